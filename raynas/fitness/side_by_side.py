"""Several fitnesses as one, so that the same processes take them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.fitness.row import FITNESS, Fitness
from raynas.search_space import Architecture


class SideBySide:
    """The quantities of several fitnesses in one row, in their order.

    The first quantity is ``fitness``; the others are named by number, since fitnesses have quantities of equal names.
    """

    def __init__(self, parts: Sequence[Fitness]) -> None:
        """Takes the fitnesses, two or more."""
        assert len(parts) > 1
        self._parts = tuple(parts)
        self.quantities = numbered(sum(len(part.quantities) for part in parts))

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the quantities of each architecture, ``(n, len(quantities))`` float64."""
        rows: np.ndarray = np.concatenate([part(architectures) for part in self._parts], axis=1)
        return rows


def numbered(width: int) -> tuple[str, ...]:
    """Returns the names of so many quantities side by side."""
    return (FITNESS, *(f"quantity_{number}" for number in range(1, width)))
