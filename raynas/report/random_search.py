"""What random search would have found in a space whose benchmark accuracies are known, in closed form.

Of `N` architectures in increasing order of a fitness, `n` are sampled without replacement. The one at place `i` is the
best of the sample with probability ``C(i - 1, n - 1) / C(N, n)``. This gives the distribution of the accuracy that
random search chooses without a simulation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

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


class RandomSearch:
    """Random search in a space with known benchmark accuracies: the space is sorted once for any number of evaluations.

    Architectures of equal fitness are chosen with equal probability.
    """

    def __init__(self, fitness: np.ndarray, accuracies: np.ndarray) -> None:
        """Sorts the space.

        Args:
            fitness: Fitness of every architecture of the space; NaN is the worst.
            accuracies: Their benchmark accuracies, all finite.
        """
        ordered = np.where(np.isnan(fitness), -math.inf, fitness)
        order = np.argsort(ordered, kind="stable")
        _, self._group, self._sizes = np.unique(ordered[order], return_inverse=True, return_counts=True)
        self._by_accuracy = np.argsort(accuracies[order], kind="stable")
        self._accuracies = accuracies[order][self._by_accuracy]
        self._factorials = gammaln(np.arange(len(accuracies) + 1) + 1.0)

    def choice(self, evaluations: int) -> Choice:
        """Returns what it chooses: the fittest of so many architectures, sampled without replacement.

        Args:
            evaluations: Number of sampled architectures, at least 1; no more than there are count.
        """
        total = len(self._accuracies)
        sampled = min(max(1, evaluations), total)
        before = np.arange(sampled - 1, total)  # so many are less fit than the best of the sample
        weights = np.zeros(total)
        weights[before] = np.exp(self._binomial(before, sampled - 1) - self._binomial(total, sampled))

        sums = np.bincount(self._group, weights)
        weights = (sums / self._sizes)[self._group]
        return Choice(self._accuracies, weights[self._by_accuracy] / weights.sum())

    def _binomial(self, total: np.ndarray | int, sampled: int) -> np.ndarray:
        """Returns the logarithm of the number of samples."""
        factorials = self._factorials
        logarithm: np.ndarray = factorials[total] - factorials[sampled] - factorials[total - sampled]
        return logarithm


def choice_of_random_search(fitness: np.ndarray, accuracies: np.ndarray, evaluations: int) -> Choice:
    """Returns what random search chooses with so many evaluations, as `RandomSearch` does."""
    return RandomSearch(fitness, accuracies).choice(evaluations)
