"""Local search: from a random architecture to its best neighbour, again and again.

Reference: White et al. 2021, "Exploring the Loss Landscape in Neural Architecture Search", Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.search.budgeted import Budgeted
from raynas.search.distinct import sample_distinct
from raynas.search.limits import Limits
from raynas.search.neighbours import all_neighbours
from raynas.search.row import SearcherRow, StartOptions, check_start, evaluations
from raynas.search.searcher import order
from raynas.search_space import Architecture, SearchSpace


class LocalSearch(Budgeted[StartOptions]):
    """Climbs from a random architecture to its best neighbour until no neighbour is better, then begins anew.

    Neighbours differ in one choice, and are repaired. A generation is the best known architecture's neighbours that are
    new and within the limits, or the random architectures that a climb begins with. Neighbours that are known already
    are compared without another evaluation.

    Departs from the paper: a climb begins at the best of `start_samples` random architectures, which keeps evaluators
    busy; with ``start_samples=1`` it is Algorithm 1.
    """

    def __init__(self, space: SearchSpace, options: StartOptions, *, seed: int, limits: Limits | None = None) -> None:
        """Sets the search up as `Budgeted` does.

        Raises:
            InputError: If the budget is smaller than a start, or the seed is negative.
        """
        check_start(space, options)
        super().__init__(space, options, seed=seed, limits=limits)
        self._current: Architecture | None = None
        self._around: list[Architecture] = []

    def ask(self) -> list[Architecture]:
        """Returns the new neighbours of the current architecture, or the start of another climb."""
        rng = np.random.default_rng([self.seed, self._turns.start()])
        left = self._left
        while left > 0 and self._current is not None:
            self._around = self._admitted(all_neighbours(self.space, self._current, rng))
            new = [neighbour for neighbour in self._around if neighbour not in self._proposed][:left]
            if new:
                self._proposed.update(new)
                return self._turns.asked(new)
            self._move()
        wanted = min(self.options.start_samples, left)
        self._around = sample_distinct(self.space, rng, wanted, self._proposed, self.limits)
        return self._turns.asked(self._around)

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures last asked, and moves to the best around."""
        self._taken(architectures, fitness)
        self._move()

    def _move(self) -> None:
        """Moves to the best architecture around if it is better; else the current one is a local optimum."""
        known = [architecture for architecture in self._around if architecture in self._fitness]
        values = np.array([self._fitness[architecture] for architecture in known])
        best = known[order(known, values)[0]] if known else None
        is_better = best is not None and self._fitness[best] > self._worth_of_current()
        self._current = best if is_better else None

    def _worth_of_current(self) -> float:
        return -np.inf if self._current is None else self._fitness[self._current]


LOCAL_SEARCH = SearcherRow(
    name="local_search",
    title="climbs to the best neighbour, from random starts",
    make=lambda space, seed, limits, context, options: LocalSearch(space, options, seed=seed, limits=limits),
    options=StartOptions,
    check=check_start,
    planned=evaluations,
)
