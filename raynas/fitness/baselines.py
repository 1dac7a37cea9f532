"""The plainest fitnesses, without which no other says anything: what an architecture costs, and chance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from raynas.fitness.row import FitnessRow
from raynas.search_space import AdditiveTable, Architecture, as_array


class Cost:
    """A cost as fitness: the more parameters or multiply-adds, the better."""

    quantities: tuple[str, ...] = ("fitness",)

    def __init__(self, table: AdditiveTable, quantity: str) -> None:
        """Takes the costs of the space, as `supernet/costs.py` traces them, and which of them to rank by."""
        self._table = table
        self._column = table.quantities.index(quantity)

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the cost of each architecture, ``(n, 1)`` float64, an absolute count."""
        if not len(architectures):
            return np.empty((0, 1))
        return self._table.total(as_array(architectures))[:, self._column, None].astype(np.float64)


class Chance:
    """A random number as fitness, the same for an architecture whenever it is asked."""

    quantities: tuple[str, ...] = ("fitness",)

    def __init__(self, seed: int) -> None:
        """Takes the seed of the numbers."""
        self._seed = seed

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns a number in [0, 1) for each architecture, ``(n, 1)`` float64, a hash of seed and architecture."""
        return np.array([self._number(architecture) for architecture in architectures]).reshape(-1, 1)

    def _number(self, architecture: Architecture) -> float:
        text = repr((self._seed, *map(int, architecture)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "little") / 2**48


NUM_PARAMETERS = FitnessRow(
    name="num_parameters",
    title="parameters",
    digits=0,
    make=lambda context, options: Cost(context.costs, "num_parameters"),
)
MULTIPLY_ADDS = FitnessRow(
    name="multiply_adds",
    title="multiply-adds",
    digits=0,
    make=lambda context, options: Cost(context.costs, "multiply_adds"),
)
RANDOM = FitnessRow(name="random", title="random number", make=lambda context, options: Chance(context.seed))

BASELINES = (NUM_PARAMETERS, MULTIPLY_ADDS, RANDOM)
"""What every other fitness is ranked beside."""
