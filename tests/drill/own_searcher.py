"""A searcher of a user's own: it climbs from the best of a few random architectures to its best neighbour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.options import Positive
from raynas.search import Limits, PopulationOptions, SearcherRow, order
from raynas.search.distinct import sample_distinct
from raynas.search.searcher import Turns
from raynas.search_space import Architecture, SearchSpace


class ClimbOptions(PopulationOptions):
    """Options of the climb.

    Attributes:
        starts: Random architectures of the first generation.
    """

    starts: Positive = 3


class Climb:
    """In every generation the best architecture so far with one choice changed, in all ways that are new."""

    def __init__(self, space: SearchSpace, options: ClimbOptions, seed: int, limits: Limits | None) -> None:
        self._space, self._options, self._seed, self._limits = space, options, seed, limits
        self._turns = Turns()
        self._fitness: dict[Architecture, float] = {}

    def ask(self) -> list[Architecture]:
        generation = self._turns.start()
        rng = np.random.default_rng([self._seed, generation])
        if generation == self._options.generations:
            return []
        if generation == 0:
            return self._turns.asked(sample_distinct(self._space, rng, self._options.starts, set(), self._limits))
        known = list(self._fitness)
        best = known[order(known, np.array(list(self._fitness.values())))[0]]
        neighbours: dict[Architecture, None] = {}
        for position, choice in enumerate(self._space.choices):
            for candidate in range(len(choice.candidates)):
                neighbours[self._space.repair((*best[:position], candidate, *best[position + 1 :]), rng)] = None
        new = [architecture for architecture in neighbours if architecture not in self._fitness]
        return self._turns.asked(new[: self._options.population])

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        generation, values = self._turns.told(architectures, fitness)
        self._fitness.update(zip(generation, values.tolist(), strict=True))


CLIMB = SearcherRow(
    "climb", lambda space, seed, limits, context, options: Climb(space, options, seed, limits), ClimbOptions
)
