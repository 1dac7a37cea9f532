"""Random search, the baseline of every other searcher."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.search.distinct import sample_distinct
from raynas.search.limits import Limits
from raynas.search.searcher import Turns, check_whole
from raynas.search_space import Architecture, SearchSpace


class RandomSearch:
    """Random architectures, each at most once, whatever the others were worth."""

    def __init__(
        self, space: SearchSpace, *, seed: int, population: int, generations: int, limits: Limits | None = None
    ) -> None:
        """Sets the search up; nothing is drawn yet.

        Args:
            space: Where to search.
            seed: Seed of all randomness, not negative.
            population: Architectures in a generation; fewer where the space within the limits is nearly exhausted.
            generations: Evaluated populations.
            limits: Bounds on the costs of an architecture.

        Raises:
            ValueError: If a value is out of range.
        """
        self.space = space
        self.seed = check_whole("seed", seed, 0)
        self.population = check_whole("search.population", population, 1)
        self.generations = check_whole("search.generations", generations, 1)
        self.limits = limits
        self._turns = Turns()
        self._proposed: set[Architecture] = set()

    def ask(self) -> list[Architecture]:
        """Returns the next generation of random architectures."""
        generation = self._turns.start()
        if generation == self.generations:
            return []
        rng = np.random.default_rng([self.seed, generation])
        return self._turns.asked(sample_distinct(self.space, rng, self.population, self._proposed, self.limits))

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures last asked; it changes nothing."""
        self._turns.told(architectures, fitness)
