"""One file a paper: the row that names its parts, its equations, and where raynas departs from it.

An algorithm is a row of parts, not a class with a loop: what a step of the weights trains on and on which labels, what
a step of the alphas follows, and how architectures are then proposed and evaluated. The parts live in `supernet`,
`data`, `search` and `fitness`. The `algorithm` of a run file fills in what the file leaves
open; every key can still be set.

To add an algorithm: write its file, and give it a job in `jobs/`. An algorithm of your own is named by its dotted path,
such as ``my_module.MY_ALGORITHM``, and its module may state new parts too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from raynas.data.labels import LABELS
from raynas.fitness import FITNESSES
from raynas.members import Family, Row
from raynas.search import SEARCHERS
from raynas.supernet.architecture_gradients import GRADIENTS, GradientRule
from raynas.supernet.gates import RouteRule
from raynas.supernet.routes import GATES, SAMPLINGS


@dataclass(frozen=True)
class Algorithm:
    """A row of the table of algorithms: each entry is the value of a key, or the row that the key would name.

    Attributes:
        name: The name in run files.
        sampling: Routes of the weights' step, `train.sampling`.
        labels: Labels that the supernet is trained on, `data.labels`.
        search: How architectures are proposed, `search.name`.
        fitness: What they are evaluated by, `search.fitness`.
        gates: Routes of the alphas' step, `alphas.gates`; None for an algorithm without alphas.
        gradient: Gradient of the alphas, `alphas.gradient`.
        path_per_cell: Whether every cell samples its own path, `train.path_per_cell`.
        before_weights: Whether the alphas' step comes before the weights' step, `alphas.before_weights`.
        derivation: What alphas stand for, `search.derivation`.
        most_skips: How many skip connections stop the alphas, `search.most_skips`.
    """

    name: str
    sampling: str | RouteRule
    labels: str | Row
    search: str | Row
    fitness: str | Row
    gates: str | RouteRule | None = None
    gradient: str | GradientRule = "first"
    path_per_cell: bool = False
    before_weights: bool = False
    derivation: str = "without_none"
    most_skips: int | None = None

    def in_words(self, module: str = "") -> dict[str, Any]:
        """Returns the entries as the values of a run file, with a name in the place of each row.

        Args:
            module: The module that states this algorithm, if it is of the user's own.

        Raises:
            InputError: If an entry is a row that no module states under a name.
        """
        words = dict(vars(self))
        for entry, family in PARTS.items():
            if isinstance(words[entry], family.kind):
                words[entry] = family.path_of(words[entry], module)
        return words


PARTS: dict[str, Family[Any]] = {
    "sampling": SAMPLINGS,
    "labels": LABELS,
    "search": SEARCHERS,
    "fitness": FITNESSES,
    "gates": GATES,
    "gradient": GRADIENTS,
}
"""The family that each entry of an algorithm names a row of."""

ALGORITHMS = Family("algorithm", Algorithm, "raynas.algorithms")
"""The rows that a run file can name."""
