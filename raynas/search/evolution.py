"""Evolutionary search as in SPOS and RLNAS."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from raynas.search.distinct import draw_distinct, sample_distinct
from raynas.search.limits import Limits
from raynas.search.searcher import Turns, check_whole, order
from raynas.search_space import Architecture, SearchSpace, crossover, mutate


class Evolution:
    """Evolution of a population: the best of everything seen so far are the parents of the next generation.

    Generation 0 is random. Every later one holds `mutations` children of one parent each and `crossovers` children of
    two, the parents drawn uniformly among the `select` best, and is filled up to `population` with random
    architectures. No architecture is proposed twice, so that children take several tries. Where too few of them are
    within the limits, the others are brought in: some of their choices are drawn anew (`raynas.search.distinct`). Where
    the space within the limits is nearly exhausted a generation is smaller, and the search ends early where nothing new
    is found.

    The default sizes are those of RLNAS on NAS-Bench-201 (2,000 evaluations); SPOS and RLNAS elsewhere take
    ``population=50, select=10, mutations=25, crossovers=25``.

    Departs from the official code: that of RLNAS mutates only the normal cell of the DARTS space; here every choice
    mutates.

    Reference: Guo et al. 2020 (SPOS), Algorithm 1; Zhang et al. 2021 (RLNAS), sections 3.1 and 4.1.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        population: int = 100,
        select: int = 30,
        mutations: int = 50,
        crossovers: int = 50,
        mutation_probability: float = 0.1,
        generations: int = 20,
        mutation_excludes: Collection[str] = (),
        max_tries: int = 10,
        limits: Limits | None = None,
    ) -> None:
        """Sets the search up; nothing is drawn yet.

        Args:
            space: Where to search.
            seed: Seed of all randomness, not negative.
            population: Architectures in a generation.
            select: Architectures that may be parents, the best of all generations so far.
            mutations: Children by mutation in a generation.
            crossovers: Children by crossover in a generation.
            mutation_probability: Chance of each choice of a mutated child to be drawn anew, in [0, 1].
            generations: Evaluated populations, the random one included.
            mutation_excludes: Names of candidates that a mutation never draws (RLNAS on NAS-Bench-201: ``none``).
            max_tries: Draws allowed for each child wanted before those outside the limits are brought in; random
                architectures stand in for children not found.
            limits: Bounds on the costs of an architecture.

        Raises:
            ValueError: If a value is out of range or a name in `mutation_excludes` is no candidate of the space.
        """
        self.space = space
        self.seed = check_whole("seed", seed, 0)
        self.population = check_whole("search.population", population, 1)
        self.select = check_whole("search.select", select, 1)
        self.mutations = check_whole("search.mutations", mutations, 0)
        self.crossovers = check_whole("search.crossovers", crossovers, 0)
        self.mutation_probability = mutation_probability
        self.generations = check_whole("search.generations", generations, 1)
        self.mutation_excludes = tuple(mutation_excludes)
        self.max_tries = check_whole("search.max_tries", max_tries, 1)
        self.limits = limits
        if self.select > self.population:
            raise ValueError(
                f"search.select: expected at most search.population, {self.population}, got {self.select}; lower it or "
                "raise the population"
            )
        if self.mutations + self.crossovers > self.population:
            raise ValueError(
                f"search.mutations: {mutations} and search.crossovers: {crossovers} make {mutations + crossovers} "
                f"children, more than search.population: {population}; lower them or raise the population"
            )
        if not isinstance(mutation_probability, int | float) or not 0 <= mutation_probability <= 1:
            raise ValueError(f"search.mutation_probability is a chance from 0 to 1, got {mutation_probability!r}")
        known = dict.fromkeys(name for choice in space.choices for name in choice.candidates)
        for name in self.mutation_excludes:
            if name not in known:
                raise ValueError(
                    f"search.mutation_excludes lists candidates of {type(space).__name__} ({', '.join(known)}), "
                    f"got {name!r} in {mutation_excludes!r}"
                )
        self._turns = Turns()
        self._proposed: set[Architecture] = set()
        self._parents: list[Architecture] = []
        self._parents_fitness = np.empty(0)

    def ask(self) -> list[Architecture]:
        """Returns the next generation: mutated children, children by crossover, then random architectures."""
        generation = self._turns.start()
        if generation == self.generations:
            return []
        rng = np.random.default_rng([self.seed, generation])
        proposed = self._children(rng) if self._parents else []
        proposed += sample_distinct(self.space, rng, self.population - len(proposed), self._proposed, self.limits)
        return self._turns.asked(proposed)

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures last asked and keeps the `select` best of all as parents."""
        generation, fitness = self._turns.told(architectures, fitness)
        candidates = self._parents + generation
        candidates_fitness = np.concatenate([self._parents_fitness, fitness])
        best = self._selected(candidates, candidates_fitness)
        self._parents = [candidates[index] for index in best]
        self._parents_fitness = candidates_fitness[best]

    def _selected(self, candidates: list[Architecture], fitness: np.ndarray) -> np.ndarray:
        """Returns the indices of the candidates that become parents."""
        return order(candidates, fitness)[: self.select]

    def _parent(self, rng: np.random.Generator) -> Architecture:
        """Returns a parent for a child."""
        return self._parents[int(rng.integers(len(self._parents)))]

    def _children(self, rng: np.random.Generator) -> list[Architecture]:
        """Returns new children of the parents, by mutation and then by crossover."""

        def mutated() -> Architecture:
            return mutate(self.space, self._parent(rng), self.mutation_probability, rng, self.mutation_excludes)

        def crossed() -> Architecture:
            return crossover(self.space, self._parent(rng), self._parent(rng), rng)

        children: list[Architecture] = []
        for draw, wanted in ((mutated, self.mutations), (crossed, self.crossovers)):
            tries, excluded = self.max_tries * wanted, self.mutation_excludes
            children += draw_distinct(self.space, rng, draw, wanted, tries, self._proposed, self.limits, excluded)
        return children
