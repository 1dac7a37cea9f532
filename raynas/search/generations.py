"""What searchers that propose new architectures in generations begin with."""

from __future__ import annotations

from typing import Generic, TypeVar

from raynas.options import Options
from raynas.search.limits import Limits
from raynas.search.searcher import Turns, check_whole
from raynas.search_space import Architecture, SearchSpace

Given = TypeVar("Given", bound=Options)


class Generations(Generic[Given]):
    """A search in generations, which remembers what it proposed."""

    def __init__(self, space: SearchSpace, options: Given, *, seed: int, limits: Limits | None = None) -> None:
        """Prepares the search, without sampling an architecture.

        Args:
            space: The search space.
            options: Those of the searcher.
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
