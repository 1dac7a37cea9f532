"""Random search, the baseline of every other searcher."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.search.distinct import sample_distinct
from raynas.search.limits import Limits
from raynas.search.row import PopulationOptions, SearcherRow
from raynas.search.searcher import Turns, check_whole
from raynas.search_space import Architecture, SearchSpace


class RandomSearch:
    """Samples random architectures, each at most once, independently of the fitness."""

    def __init__(
        self, space: SearchSpace, options: PopulationOptions, *, seed: int, limits: Limits | None = None
    ) -> None:
        """Prepares the search, without sampling an architecture.

        Args:
            space: The search space.
            options: Generations and population; a nearly exhausted space gives smaller generations.
            seed: Seed of all randomness, not negative.
            limits: Bounds on the costs of an architecture.

        Raises:
            InputError: If the seed is negative.
        """
        self.space = space
        self.options = options
        self.seed = check_whole("seed", seed, 0)
        self.limits = limits
        self._turns = Turns()
        self._proposed: set[Architecture] = set()

    def ask(self) -> list[Architecture]:
        """Returns the next generation of random architectures."""
        generation = self._turns.start()
        if generation == self.options.generations:
            return []
        rng = np.random.default_rng([self.seed, generation])
        sampled = sample_distinct(self.space, rng, self.options.population, self._proposed, self.limits)
        return self._turns.asked(sampled)

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Receives the fitness of the last generation, which does not change the search."""
        self._turns.told(architectures, fitness)


RANDOM = SearcherRow(
    name="random",
    title="random architectures, the baseline of every searcher",
    make=lambda space, seed, limits, context, options: RandomSearch(space, options, seed=seed, limits=limits),
)
