"""Benchmark accuracy of one random architecture: what costs no search, and what any search must exceed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raynas.fitness.benchmark_table import BenchmarkTable
from raynas.search_space import SearchSpace

WITHOUT_NONE = "without_none"
"""The derivation rule under which ``none`` is never taken."""

WITHIN_LIMITS = "within_limits"
"""What the set of architectures within the limits of a search is called."""


@dataclass(frozen=True, eq=False)
class RandomArchitecture:
    """Benchmark accuracy of an architecture that is sampled uniformly from a set.

    Attributes:
        of: The set: ``all`` architectures with an accuracy, those ``without_none``, or those ``within_limits``.
        accuracies: Accuracy of each of them in percent, sorted, ``(n,)``.
    """

    of: str
    accuracies: np.ndarray

    @property
    def mean(self) -> float:
        """Mean accuracy, in percent."""
        return float(self.accuracies.mean())

    @property
    def deviation(self) -> float:
        """Standard deviation of the accuracy, in points."""
        return float(self.accuracies.std())

    def share_below(self, accuracy: float) -> float:
        """Returns the percentage of the set with a lower accuracy; of equals, half of them count."""
        below = np.searchsorted(self.accuracies, accuracy, side="left")
        not_above = np.searchsorted(self.accuracies, accuracy, side="right")
        return float(50.0 * (below + not_above) / len(self.accuracies))


def random_architectures(
    table: BenchmarkTable,
    space: SearchSpace,
    derivation: str | None = None,
    admits: Callable[[np.ndarray], np.ndarray] | None = None,
) -> list[RandomArchitecture]:
    """Returns the accuracy of a random architecture of the table, and of those that a search can give.

    A second set is left out where it is the first one, or empty.

    Args:
        table: The benchmark's accuracies.
        space: Its space.
        derivation: The rule of `SearchSpace.derive` that the search uses; None if it derives nothing.
        admits: Returns which architectures, ``(n, num_choices)``, are within the limits of the search; None without.
    """
    architectures = table.architectures
    accuracies = table.accuracies(architectures)
    subsets = {}
    if derivation == WITHOUT_NONE:
        subsets[WITHOUT_NONE] = _without_none(space, architectures)
    if admits is not None:
        subsets[WITHIN_LIMITS] = admits(architectures)
    found = [RandomArchitecture("all", np.sort(accuracies))]
    for name, included in subsets.items():
        if included.any() and not included.all():
            found.append(RandomArchitecture(name, np.sort(accuracies[included])))
    return found


def _without_none(space: SearchSpace, architectures: np.ndarray) -> np.ndarray:
    """Returns which architectures take no candidate called ``none``, ``(n,)`` bool."""
    without = np.ones(len(architectures), dtype=bool)
    for column, choice in zip(architectures.T, space.choices, strict=True):
        if "none" in choice.candidates:
            without &= column != choice.candidates.index("none")
    return without
