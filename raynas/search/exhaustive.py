"""Exhaustive search, for spaces that are small enough to evaluate completely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.errors import InputError
from raynas.search.limits import Limits
from raynas.search.row import GenerationOptions, SearcherRow
from raynas.search.searcher import Turns, check_whole
from raynas.search_space import Architecture, SearchSpace

SMALLEST_BLOCK = 256
"""Combinations of candidates that are enumerated together, also if a generation has fewer architectures."""


MOST = 1_000_000
"""Largest number of combinations of candidates that exhaustive search enumerates."""


def check_size(space: SearchSpace, most: int) -> None:
    """Checks that a space is small enough to evaluate every architecture.

    Raises:
        InputError: If it has more than `most` combinations of candidates.
    """
    if space.size > most:
        raise InputError(
            f"search.name: exhaustive goes through at most {most:,} architectures but "
            f"{type(space).__name__} has {space.size:,}; take evolution or random"
        )


class Exhaustive:
    """Every legal architecture of a space once, in lexicographic order.

    The legal architectures are the fixed points of `SearchSpace.repair`. Other combinations of candidates are skipped.
    """

    def __init__(
        self,
        space: SearchSpace,
        options: GenerationOptions,
        *,
        seed: int = 0,
        limits: Limits | None = None,
        max_size: int = MOST,
    ) -> None:
        """Prepares the search, without proposing an architecture.

        Args:
            space: The search space.
            options: The population sets the number of architectures of a generation.
            seed: Accepted as by every searcher; it does not change the search.
            limits: Bounds on the costs of an architecture.
            max_size: Largest number of combinations of candidates to enumerate.

        Raises:
            InputError: If the seed is negative or the space is larger than `max_size`.
        """
        check_size(space, max_size)
        self.space = space
        self.options = options
        self.seed = check_whole("seed", seed, 0)
        self.limits = limits
        self._turns = Turns()
        self._next = 0

    def ask(self) -> list[Architecture]:
        """Returns the next `population` architectures that are legal and within the limits."""
        generation = self._turns.start()
        proposed: list[Architecture] = []
        population = self.options.population
        while (wanted := population - len(proposed)) > 0 and self._next < self.space.size:
            stop = min(self._next + max(population, SMALLEST_BLOCK), self.space.size)
            numbers, architectures = self._admitted(self._next, stop)
            proposed += architectures[:wanted]
            self._next = numbers[wanted] if wanted < len(numbers) else stop
        if generation == 0 and not proposed and self.limits is not None:
            raise InputError(self.limits.explain(self._legal(0, self.space.size)[1]))
        return self._turns.asked(proposed)

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Receives the fitness of the last generation, which does not change the search."""
        self._turns.told(architectures, fitness)

    def _admitted(self, start: int, stop: int) -> tuple[list[int], list[Architecture]]:
        """Returns the numbers and architectures, from `start` to below `stop`, that are legal and within the limits."""
        numbers, architectures = self._legal(start, stop)
        if self.limits is not None:
            admitted = self.limits.admits(architectures)
            numbers, architectures = numbers[admitted], architectures[admitted]
        return numbers.tolist(), [tuple(architecture) for architecture in architectures.tolist()]

    def _legal(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns numbers and architectures of the legal combinations from `start` to below `stop`."""
        shape = [len(choice.candidates) for choice in self.space.choices]
        numbers = np.arange(start, stop)
        combinations = np.stack(np.unravel_index(numbers, shape), axis=1)
        rng = np.random.default_rng(self.seed)
        legal = [
            self.space.repair(combination, rng) == combination for combination in map(tuple, combinations.tolist())
        ]
        return numbers[legal], combinations[legal]


EXHAUSTIVE = SearcherRow(
    name="exhaustive",
    title="every architecture of a small space",
    make=lambda space, seed, limits, context, options: Exhaustive(space, options, seed=seed, limits=limits),
    options=GenerationOptions,
    check=lambda space, options: check_size(space, MOST),
    planned=lambda space, options, supernets: space.size,
)
