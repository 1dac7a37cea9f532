"""The mean of a fitness over several supernets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.fitness.row import SPREAD, Fitness
from raynas.search_space import Architecture


class Mean:
    """The mean of one fitness over several supernets, and how far they differ.

    To the quantities it adds ``spread``, the sample standard deviation of the fitness over the supernets.
    """

    def __init__(self, parts: Sequence[Fitness]) -> None:
        """Takes the fitness with each supernet, two or more."""
        assert len(parts) > 1
        self._parts = tuple(parts)
        self.quantities = (*parts[0].quantities, SPREAD)

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the mean of every quantity and the spread of the first, ``(n, len(quantities))`` float64."""
        # Supernets last: numpy then adds them up in the same order for one architecture as for many.
        values = np.stack([part(architectures) for part in self._parts], axis=-1)
        spread = values[:, 0].std(axis=-1, ddof=1)
        means: np.ndarray = np.concatenate([values.mean(axis=-1), spread[:, None]], axis=1)
        return means


def mean_of(parts: Sequence[Fitness]) -> Fitness:
    """Returns the mean over supernets; of a single one, that one itself."""
    return parts[0] if len(parts) == 1 else Mean(parts)
