"""Aging evolution: of a population the oldest architecture dies, not the worst.

Reference: Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search", Algorithm 1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from raynas.options import Positive
from raynas.search.budgeted import Proposing
from raynas.search.limits import Limits
from raynas.search.neighbours import random_neighbour
from raynas.search.row import GenerationOptions, ProposalOptions, SearcherRow, check_budget, evaluations
from raynas.search_space import Architecture, SearchSpace

STEPS = 100
"""Mutations for each wanted child after which random architectures take the place of children that are not new."""


class AgingOptions(ProposalOptions, GenerationOptions):
    """Options of aging evolution.

    The defaults of population and tournament, 100 and 25, are those of the paper's experiments. The authors of
    NAS-Bench-201 take 10 and 3 for its 15,625 architectures (Dong and Yang 2020).

    Attributes:
        tournament: Number of living architectures that are sampled for each child of aging evolution, with replacement.
            The best of them is the parent.
    """

    tournament: Positive = 25


def check_aging(space: SearchSpace, options: AgingOptions) -> None:
    """Checks that the first population is within the budget.

    Raises:
        InputError: If it is not.
    """
    check_budget("population", options.population, options)


class AgingEvolution(Proposing[AgingOptions]):
    """A queue of `population` architectures: a child of the best of a random tournament enters, and the oldest leaves.

    The first population is random. A child is its parent with another candidate at one choice, repaired. No
    architecture is evaluated twice: a child that was evaluated before enters the queue with the fitness that it had.

    Departs from the paper: `proposals` children of the same queue are evaluated together, where the paper's workers
    each add a child when they have one. With ``proposals=1`` it is Algorithm 1. A child outside the limits is dropped.
    Where `STEPS` mutations for each child give too few new ones, random architectures fill the generation up.
    """

    def __init__(self, space: SearchSpace, options: AgingOptions, *, seed: int, limits: Limits | None = None) -> None:
        """Sets the search up as `Budgeted` does.

        Raises:
            InputError: If the budget is smaller than the population, or the seed is negative.
        """
        check_aging(space, options)
        super().__init__(space, options, seed=seed, limits=limits)
        self._living: deque[Architecture] = deque(maxlen=options.population)

    @property
    def _start(self) -> int:
        return self.options.population

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures last asked; they enter the queue in the order asked."""
        self._living.extend(self._taken(architectures, fitness))

    def _proposals(self, wanted: int, rng: np.random.Generator) -> list[Architecture]:
        """Returns up to `wanted` new children within the limits; known ones enter the queue at once."""
        found: list[Architecture] = []
        for _ in range(STEPS * wanted):
            if len(found) == wanted:
                break
            child = random_neighbour(self.space, self._parent(rng), rng)
            if child in self._fitness:
                self._living.append(child)
            elif child not in self._proposed and self._admitted([child]):
                self._proposed.add(child)
                found.append(child)
        return found

    def _parent(self, rng: np.random.Generator) -> Architecture:
        """Returns the best of a tournament; of equals the one that was sampled first."""
        sampled = rng.integers(len(self._living), size=self.options.tournament).tolist()
        return max((self._living[index] for index in sampled), key=self._fitness.__getitem__)


AGING_EVOLUTION = SearcherRow(
    name="aging_evolution",
    title="mutation of the best of a tournament, the oldest die (regularised evolution)",
    make=lambda space, seed, limits, context, options: AgingEvolution(space, options, seed=seed, limits=limits),
    options=AgingOptions,
    check=check_aging,
    planned=evaluations,
)
