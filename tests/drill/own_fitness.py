"""A fitness of a user's own that runs no networks: how near an architecture is to a size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.fitness import FitnessRow
from raynas.options import Options, Positive
from raynas.search_space import AdditiveTable, Architecture, as_array


class SizeOptions(Options):
    """Options of the nearness to a size.

    Attributes:
        size: Wanted parameters.
    """

    size: Positive = 1_000


class NearSize:
    """Minus the distance of the parameters from the wanted size."""

    quantities = ("fitness",)

    def __init__(self, costs: AdditiveTable, size: int) -> None:
        self._costs, self._size = costs, size

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        if not len(architectures):
            return np.empty((0, 1))
        sizes = self._costs.total(as_array(architectures))[:, :1].astype(np.float64)
        distances: np.ndarray = -np.abs(sizes - self._size)
        return distances


NEAR_SIZE = FitnessRow(
    name="near_size",
    title="nearness to a size",
    unit="weights",
    digits=0,
    options=SizeOptions,
    make=lambda context, options: NearSize(context.costs, options.size),
)
