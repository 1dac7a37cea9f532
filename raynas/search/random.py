"""Random search, the baseline of every other searcher."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.search.distinct import sample_distinct
from raynas.search.generations import Generations
from raynas.search.row import PopulationOptions, SearcherRow
from raynas.search_space import Architecture


class RandomSearch(Generations[PopulationOptions]):
    """Samples random architectures, each at most once, independently of the fitness."""

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
