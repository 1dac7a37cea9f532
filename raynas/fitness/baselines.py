"""The plainest fitnesses, without which no other says anything: what an architecture costs, and chance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from raynas.capabilities import is_chain, path_counts_of
from raynas.fitness.row import FitnessRow
from raynas.search_space import AdditiveTable, Architecture, SearchSpace, as_array


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


class LiveMultiplyAdds:
    """Multiply-adds of the candidates that lie on a path from an input to the output: the others compute nothing.

    An architecture pays for an edge into a node that no path leaves, but its function does not depend on it. In
    NAS-Bench-201 on CIFAR-10 the tau-b of the live multiply-adds is 0.654, that of all of them 0.578.
    """

    quantities: tuple[str, ...] = ("fitness",)

    def __init__(self, space: SearchSpace, table: AdditiveTable) -> None:
        """Takes the space, which counts paths, and its costs."""
        self._space, self._table = space, table
        self._column = table.quantities.index("multiply_adds")

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the live multiply-adds of each architecture, ``(n, 1)`` float64."""
        if not len(architectures):
            return np.empty((0, 1))
        entries = as_array(architectures)
        is_live = (path_counts_of(self._space, entries) > 0).astype(np.int64)
        return self._table.total(entries, is_live)[:, self._column, None].astype(np.float64)


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
LIVE_MULTIPLY_ADDS = FitnessRow(
    name="live_multiply_adds",
    title="live multiply-adds",
    digits=0,
    make=lambda context, options: LiveMultiplyAdds(context.space, context.costs),
)
RANDOM = FitnessRow(name="random", title="random number", make=lambda context, options: Chance(context.seed))


def baselines_of(space: SearchSpace) -> tuple[FitnessRow, ...]:
    """Returns what every fitness is ranked beside in a space; in a chain every candidate is live."""
    live = () if is_chain(space) else (LIVE_MULTIPLY_ADDS,)
    return (NUM_PARAMETERS, MULTIPLY_ADDS, *live, RANDOM)
