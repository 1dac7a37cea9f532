"""What searchers with a number of evaluations share: the budget, the memory of every fitness, and the random start."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from raynas.search.distinct import sample_distinct
from raynas.search.generations import Generations
from raynas.search.limits import Limits
from raynas.search.row import BudgetOptions, ProposalOptions
from raynas.search_space import Architecture, SearchSpace, as_array

Budget = TypeVar("Budget", bound=BudgetOptions)
Proposals = TypeVar("Proposals", bound=ProposalOptions)


class Budgeted(Generations[Budget]):
    """A search of so many evaluations, which evaluates no architecture twice."""

    def __init__(self, space: SearchSpace, options: Budget, *, seed: int, limits: Limits | None = None) -> None:
        """Prepares the search as `Generations` does; no fitness is known yet."""
        super().__init__(space, options, seed=seed, limits=limits)
        self._fitness: dict[Architecture, float] = {}

    @property
    def _left(self) -> int:
        """How many evaluations are left."""
        return self.options.evaluations - len(self._proposed)

    def _taken(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> list[Architecture]:
        """Returns the architectures last asked, and remembers their fitness."""
        generation, fitness = self._turns.told(architectures, fitness)
        self._fitness.update(zip(generation, fitness.tolist(), strict=True))
        return generation

    def _admitted(self, architectures: list[Architecture]) -> list[Architecture]:
        """Returns the architectures within the limits."""
        if self.limits is None or not architectures:
            return architectures
        admitted = self.limits.admits(as_array(architectures))
        return [architectures[index] for index in np.flatnonzero(admitted)]


class Proposing(Budgeted[Proposals], ABC):
    """A search that proposes a few architectures at a time, after a random start."""

    @property
    @abstractmethod
    def _start(self) -> int:
        """The number of random architectures of the start."""

    @abstractmethod
    def _proposals(self, wanted: int, rng: np.random.Generator) -> list[Architecture]:
        """Returns up to `wanted` architectures that are new and within the limits, added to those proposed."""

    def ask(self) -> list[Architecture]:
        """Returns the random start, then proposals; random architectures fill a generation up."""
        rng = np.random.default_rng([self.seed, self._turns.start()])
        wanted, proposed = min(self._start, self._left), []
        if self._fitness:
            wanted = min(self.options.proposals, self._left)
            proposed = self._proposals(wanted, rng)
        proposed += sample_distinct(self.space, rng, wanted - len(proposed), self._proposed, self.limits)
        return self._turns.asked(proposed)
