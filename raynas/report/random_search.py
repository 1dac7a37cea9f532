"""What random search would have found in a space whose benchmark accuracies are known, in closed form.

Of `N` architectures in increasing order of a fitness, `n` are sampled without replacement. The one at place `i` is the
best of the sample with probability ``C(i - 1, n - 1) / C(N, n)``. This gives the distribution of the accuracy that
random search chooses without a simulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raynas.report.intervals import Interval


@dataclass(frozen=True, eq=False)
class Choice:
    """The distribution of the benchmark accuracy of a chosen architecture.

    Attributes:
        accuracies: Accuracies in percent, in increasing order.
        weights: Their probabilities, which sum to 1.
    """

    accuracies: np.ndarray
    weights: np.ndarray

    @property
    def interval(self) -> Interval:
        """The expected accuracy, and the range of 95 percent of all searches."""
        cumulated = np.cumsum(self.weights)
        low, high = (int(np.searchsorted(cumulated, q - 1e-9)) for q in (0.025, 0.975))
        last = len(self.accuracies) - 1
        return Interval(
            float(self.accuracies @ self.weights),
            float(self.accuracies[min(low, last)]),
            float(self.accuracies[min(high, last)]),
        )

    def at_least(self, accuracy: float) -> float:
        """Returns the probability of an accuracy that is as large as this one, or larger."""
        return float(self.weights[self.accuracies >= accuracy - 1e-9].sum())


def choice_of_random_search(fitness: np.ndarray, accuracies: np.ndarray, evaluations: int) -> Choice:
    """Returns what random search chooses: the fittest of so many architectures, sampled without replacement.

    Architectures of equal fitness are chosen with equal probability.

    Args:
        fitness: Fitness of every architecture of the space; NaN is the worst.
        accuracies: Their benchmark accuracies, all finite.
        evaluations: Number of sampled architectures, at least 1; no more than there are count.
    """
    total = len(accuracies)
    sampled = min(max(1, evaluations), total)
    places = np.arange(1, total + 1)
    ordered = np.where(np.isnan(fitness), -math.inf, fitness)
    order = np.argsort(ordered, kind="stable")

    factorials = np.array([math.lgamma(k + 1) for k in range(total + 1)])
    logarithms = np.full(total, -math.inf)
    possible = places >= sampled
    before = places[possible] - 1
    logarithms[possible] = _binomial(factorials, before, sampled - 1) - _binomial(factorials, total, sampled)
    weights = np.exp(logarithms)

    _, group = np.unique(ordered[order], return_inverse=True)
    sums = np.bincount(group, weights)
    weights = (sums / np.bincount(group))[group]
    chosen = accuracies[order]
    by_accuracy = np.argsort(chosen, kind="stable")
    return Choice(chosen[by_accuracy], weights[by_accuracy] / weights.sum())


def _binomial(factorials: np.ndarray, total: np.ndarray | int, sampled: int) -> np.ndarray:
    """Returns the logarithm of the number of samples."""
    logarithm: np.ndarray = factorials[total] - factorials[sampled] - factorials[total - sampled]
    return logarithm
