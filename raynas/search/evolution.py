"""Evolutionary search as in SPOS and RLNAS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from raynas.errors import InputError
from raynas.options import Positive
from raynas.search.distinct import draw_distinct, sample_distinct
from raynas.search.generations import Generations
from raynas.search.limits import Limits
from raynas.search.row import PopulationOptions, SearcherRow
from raynas.search.searcher import order
from raynas.search_space import Architecture, SearchSpace, crossover, mutate


class BreedingOptions(PopulationOptions):
    """How the children of a generation are made.

    Attributes:
        mutations: Number of children of a generation that are made by mutation.
        crossovers: Number of children of a generation that are made by crossover.
        mutation_probability: Probability that a mutation samples a choice anew, for each choice of the architecture.
        mutation_excludes: Names of candidates that a mutation never takes (RLNAS on NAS-Bench-201: ``none``).
        max_tries: Number of tries for each wanted child, before children outside the limits are changed to be within
            them. Random architectures replace children that are not found.
    """

    mutations: Annotated[int, Field(ge=0, le=1_000_000)] = 50
    crossovers: Annotated[int, Field(ge=0, le=1_000_000)] = 50
    mutation_probability: Annotated[float, Field(ge=0, le=1)] = 0.1
    mutation_excludes: list[str] = []
    max_tries: Annotated[int, Field(ge=1, le=10_000)] = 10


class EvolutionOptions(BreedingOptions):
    """Options of evolution.

    Attributes:
        select: Number of architectures, the best ones, that are parents of the next generation.
    """

    select: Positive = 30


def check_breeding(space: SearchSpace, options: BreedingOptions) -> None:
    """Checks that children fit into a generation, and that the excluded candidates exist.

    Raises:
        InputError: If they do not.
    """
    children = options.mutations + options.crossovers
    if children > options.population:
        raise InputError(
            f"search.mutations: {options.mutations} and search.crossovers: {options.crossovers} make {children} "
            f"children, more than search.population: {options.population}; lower them or raise the population"
        )
    candidates: dict[str, None] = {}
    for choice in space.choices:
        candidates.update(dict.fromkeys(choice.candidates))
    for name in options.mutation_excludes:
        if name not in candidates:
            raise InputError(
                f"search.mutation_excludes lists candidates of {type(space).__name__} ({', '.join(candidates)}), "
                f"got {name!r} in {options.mutation_excludes!r}"
            )


def check_evolution(space: SearchSpace, options: EvolutionOptions) -> None:
    """Checks the children as `check_breeding` does, and that a generation holds all parents.

    Raises:
        InputError: If something does not go together.
    """
    if options.select > options.population:
        raise InputError(
            f"search.select: expected at most search.population, {options.population}, got {options.select}; lower it "
            "or raise the population"
        )
    check_breeding(space, options)


class Breeding(Generations[BreedingOptions], ABC):
    """A population and its children, generation by generation; a subclass says who survives, and who is a parent."""

    def __init__(
        self, space: SearchSpace, options: BreedingOptions, *, seed: int, limits: Limits | None = None
    ) -> None:
        """Sets the search up; nothing is sampled yet.

        Args:
            space: Where to search.
            options: How the children of a generation are made.
            seed: Seed of all randomness, not negative.
            limits: Bounds on the costs of an architecture.

        Raises:
            InputError: If the options do not go together, or the seed is negative.
        """
        check_breeding(space, options)
        super().__init__(space, options, seed=seed, limits=limits)
        self._parents: list[Architecture] = []
        self._parents_fitness = np.empty(0)

    def ask(self) -> list[Architecture]:
        """Returns the next generation: mutated children, children by crossover, then random architectures."""
        generation = self._turns.start()
        if generation == self.options.generations:
            return []
        rng = np.random.default_rng([self.seed, generation])
        proposed = self._children(rng) if self._parents else []
        wanted = self.options.population - len(proposed)
        proposed += sample_distinct(self.space, rng, wanted, self._proposed, self.limits)
        return self._turns.asked(proposed)

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures last asked, and keeps the best of all as parents."""
        generation, fitness = self._turns.told(architectures, fitness)
        candidates = self._parents + generation
        candidates_fitness = np.concatenate([self._parents_fitness, fitness])
        best = self._selected(candidates, candidates_fitness)
        self._parents = [candidates[index] for index in best]
        self._parents_fitness = candidates_fitness[best]

    @abstractmethod
    def _selected(self, candidates: list[Architecture], fitness: np.ndarray) -> np.ndarray:
        """Returns the indices of the candidates that become parents, the best first."""

    @abstractmethod
    def _parent(self, rng: np.random.Generator) -> Architecture:
        """Returns a parent for a child."""

    def _children(self, rng: np.random.Generator) -> list[Architecture]:
        """Returns new children of the parents, by mutation and then by crossover."""
        options = self.options

        def mutated() -> Architecture:
            parent = self._parent(rng)
            return mutate(self.space, parent, options.mutation_probability, rng, options.mutation_excludes)

        def crossed() -> Architecture:
            return crossover(self.space, self._parent(rng), self._parent(rng), rng)

        return self._bred(mutated, options.mutations, rng) + self._bred(crossed, options.crossovers, rng)

    def _bred(self, make: Callable[[], Architecture], wanted: int, rng: np.random.Generator) -> list[Architecture]:
        """Returns up to `wanted` children that are new and within the limits."""
        tries, excluded = self.options.max_tries * wanted, self.options.mutation_excludes
        return draw_distinct(self.space, rng, make, wanted, tries, self._proposed, self.limits, excluded)


class Evolution(Breeding):
    """Evolution of a population: the best of everything seen so far are the parents of the next generation.

    Generation 0 is random. Every later one holds `mutations` children of one parent each and `crossovers` children of
    two. The parents are sampled uniformly among the `select` best. Random architectures fill a generation up to
    `population`. No architecture is proposed twice, so that children take several tries. Where too few of them are
    within the limits, the others are brought in: some of their choices are sampled anew (`raynas.search.distinct`).
    Where the space within the limits is nearly exhausted a generation is smaller, and the search ends early where
    nothing new is found.

    The default sizes are those of RLNAS on NAS-Bench-201 (2,000 evaluations); SPOS and RLNAS elsewhere take
    ``population=50, select=10, mutations=25, crossovers=25``.

    Departs from the official code: that of RLNAS mutates only the normal cell of the DARTS space; here every choice
    mutates.

    Reference: Guo et al. 2020 (SPOS), Algorithm 1; Zhang et al. 2021 (RLNAS), sections 3.1 and 4.1.
    """

    def __init__(
        self, space: SearchSpace, options: EvolutionOptions, *, seed: int, limits: Limits | None = None
    ) -> None:
        """Sets the search up as `Breeding` does."""
        check_evolution(space, options)
        super().__init__(space, options, seed=seed, limits=limits)
        self._select = options.select

    def _selected(self, candidates: list[Architecture], fitness: np.ndarray) -> np.ndarray:
        """Returns the indices of the `select` best."""
        return order(candidates, fitness)[: self._select]

    def _parent(self, rng: np.random.Generator) -> Architecture:
        """Returns one of the parents, each with the same probability."""
        return self._parents[int(rng.integers(len(self._parents)))]


EVOLUTION = SearcherRow(
    name="evolution",
    title="mutation and crossover of the best, as in SPOS and RLNAS",
    make=lambda space, seed, limits, context, options: Evolution(space, options, seed=seed, limits=limits),
    options=EvolutionOptions,
    check=check_evolution,
)
