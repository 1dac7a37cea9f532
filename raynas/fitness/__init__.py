"""What an architecture is worth: a batch of architectures in, a row of numbers for each out.

A fitness says what it measures (`quantities`); the first, always called ``fitness``, is what architectures are ranked
by, larger is better, and the others are recorded beside it. It never returns a stand-in for a failure: an evaluation
that fails is an error with its cause. To add one, write a module here and give it a name in `stages/judge.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from raynas.search_space import Architecture


class Fitness(Protocol):
    """What an architecture is worth.

    Attributes:
        quantities: Names of what it measures; the first is ``fitness``.
    """

    quantities: tuple[str, ...]

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns what each architecture is worth, ``(n, len(quantities))`` float64.

        A row depends on its architecture alone, to the bit: not on the others, nor on their order.
        """


class Mean:
    """The mean of one fitness over several supernets, and how far they differ.

    To the quantities it adds ``spread``, the sample standard deviation of the fitness over the supernets.
    """

    def __init__(self, parts: Sequence[Fitness]) -> None:
        """Takes the fitness with each supernet, two or more."""
        assert len(parts) > 1
        self._parts = tuple(parts)
        self.quantities = (*parts[0].quantities, "spread")

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
