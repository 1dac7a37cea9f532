"""One file a paper: the row that names its parts, its equations, and where raynas departs from it.

An algorithm here is a row of names, not a class with a loop: what a step of the weights trains on and on which labels,
what a step of the alphas follows, and how architectures are then proposed and judged. Its parts live in `supernet`,
`data`, `search` and `fitness`. A run file's `algorithm` fills in what the file leaves open; every key can still be set
by itself.

To add one: write its file, name it below, and give it a job in `jobs/`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Algorithm:
    """A row of the table of algorithms, each entry in the words of a run file.

    Attributes:
        sampling: Routes of the weights' step, `train.sampling`.
        labels: Labels that the supernet is trained on, `data.labels`.
        search: How architectures are proposed, `search.name`.
        fitness: What they are judged by, `search.fitness`.
        gates: Routes of the alphas' step, `alphas.gates`; None for an algorithm without alphas.
        gradient: Gradient of the alphas, `alphas.gradient`.
        path_per_cell: Whether every cell draws for itself, `train.path_per_cell`.
        before_weights: Whether the alphas' step comes before the weights' step, `alphas.before_weights`.
        derivation: What alphas stand for, `search.derivation`.
        most_skips: How many skip connections stop the alphas, `search.most_skips`.
    """

    sampling: str
    labels: str
    search: str
    fitness: str
    gates: str | None = None
    gradient: str = "first"
    path_per_cell: bool = False
    before_weights: bool = False
    derivation: str = "without_none"
    most_skips: int | None = None


def algorithms() -> dict[str, Algorithm]:
    """Returns the rows by name."""
    from raynas.algorithms.amended_darts import AMENDED_DARTS
    from raynas.algorithms.darts import DARTS, DARTS_SECOND_ORDER
    from raynas.algorithms.darts_plus import DARTS_PLUS
    from raynas.algorithms.fairnas import FAIRNAS
    from raynas.algorithms.gdas import GDAS
    from raynas.algorithms.plain import MULTIPLY_ADDS, NUM_PARAMETERS
    from raynas.algorithms.proxyless import PROXYLESS
    from raynas.algorithms.random_search import RANDOM_SEARCH
    from raynas.algorithms.rlnas import RLNAS
    from raynas.algorithms.setn import SETN
    from raynas.algorithms.spos import SPOS
    from raynas.algorithms.training_free import TRAINING_FREE

    return {
        "rlnas": RLNAS,
        "spos": SPOS,
        "fairnas": FAIRNAS,
        "darts": DARTS,
        "darts_second_order": DARTS_SECOND_ORDER,
        "darts_plus": DARTS_PLUS,
        "amended_darts": AMENDED_DARTS,
        "gdas": GDAS,
        "proxyless": PROXYLESS,
        "setn": SETN,
        "random_search": RANDOM_SEARCH,
        "training_free": TRAINING_FREE,
        "num_parameters": NUM_PARAMETERS,
        "multiply_adds": MULTIPLY_ADDS,
    }
