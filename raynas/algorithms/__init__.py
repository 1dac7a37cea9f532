"""One file a paper: the row that names its parts, its equations, and where raynas departs from it.

An algorithm here is a row of names, not a class with a loop: which paths a step trains, on which labels, and how
architectures are then proposed and judged. Its parts live in `supernet`, `data`, `search` and `fitness`. A run file's
`algorithm` fills in what the file leaves open; every key can still be set by itself.

To add one: write its file, name it below, and give it a job in `jobs/`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Algorithm:
    """A row of the table of algorithms, each entry in the words of a run file.

    Attributes:
        sampling: Paths of a training step, `train.sampling`.
        labels: Labels that the supernet is trained on, `data.labels`.
        search: How architectures are proposed, `search.name`.
        fitness: What they are judged by, `search.fitness`.
    """

    sampling: str
    labels: str
    search: str
    fitness: str


def algorithms() -> dict[str, Algorithm]:
    """Returns the rows by name."""
    from raynas.algorithms.random_search import RANDOM_SEARCH
    from raynas.algorithms.rlnas import RLNAS
    from raynas.algorithms.spos import SPOS
    from raynas.algorithms.training_free import TRAINING_FREE

    return {"rlnas": RLNAS, "spos": SPOS, "random_search": RANDOM_SEARCH, "training_free": TRAINING_FREE}
