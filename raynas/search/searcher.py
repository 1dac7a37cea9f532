"""The role of a searcher, and what all searchers share: the order of calls, and the order of architectures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from raynas.errors import InputError, RunError
from raynas.search_space import Architecture, as_array


class Searcher(Protocol):
    """Proposes architectures in generations and hears what they were worth.

    A generation is a pure function of (seed, generation number, everything told so far): its random numbers come from
    ``np.random.default_rng([seed, generation])`` and no generator outlives it. So a searcher can be pickled at any
    time, and a search is resumed by asking a new searcher and telling it the recorded fitness, generation by
    generation.
    """

    def ask(self) -> list[Architecture]:
        """Returns the next generation, each architecture at most once over the whole search; empty when it is over.

        Raises:
            RunError: If the last generation has not been told.
            InputError: If the limits leave nothing to propose in the first generation.
        """
        ...

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures last asked, in the same order.

        Args:
            architectures: What `ask` returned.
            fitness: One finite number each, larger is better, ``(n,)``.

        Raises:
            RunError: If other architectures were asked, or none.
            InputError: If a fitness is missing or not finite.
        """
        ...


def order(architectures: Sequence[Architecture], fitness: np.ndarray) -> np.ndarray:
    """Returns the indices of the architectures from best to worst, ``(n,)``.

    Equal fitness is common (an angle sees only the live part of a cell), so ties are broken by the architecture itself,
    the lexicographically smaller first: the order depends on neither the history nor the sort. Candidate 0 is ``none``
    in the cell spaces, so that of architectures that differ in dead edges the cheapest filling comes first.
    """
    if not architectures:
        return np.empty(0, dtype=np.int64)
    return np.lexsort((*as_array(architectures).T[::-1], -np.asarray(fitness)))  # the last key is the first criterion


def check_whole(key: str, value: int, least: int) -> int:
    """Returns `value` if it is a whole number of at least `least`; `key` is its name in the configuration.

    Raises:
        InputError: If it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{key} is a whole number of at least {least}, got {value!r}")
    return int(value)


class Turns:
    """The turns of one search: a generation is asked, then told, then the next is asked.

    Attributes:
        generation: The number of generations told, which is the number of the next one to ask.
    """

    def __init__(self) -> None:
        """Starts before generation 0."""
        self.generation = 0
        self._asked: list[Architecture] = []

    def start(self) -> int:
        """Returns the number of the generation to be proposed now.

        Raises:
            RunError: If the last one has not been told.
        """
        if self._asked:
            raise RunError(
                f"ask was called twice: tell the fitness of the {len(self._asked)} architectures of generation "
                f"{self.generation} first"
            )
        return self.generation

    def asked(self, architectures: list[Architecture]) -> list[Architecture]:
        """Returns a copy of the generation, remembering that its fitness is due; none is due where it is empty."""
        self._asked = architectures
        return list(architectures)

    def told(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> tuple[list[Architecture], np.ndarray]:
        """Returns the generation asked and its fitness, ``(n,)`` float64, and ends its turn.

        Raises:
            RunError: If other architectures were asked, or none.
            InputError: If a fitness is missing or not finite. The turn goes on: it may be told again.
        """
        if not self._asked:
            raise RunError(f"tell was called before ask: generation {self.generation} has not been asked")
        if [tuple(architecture) for architecture in architectures] != self._asked:
            raise RunError(
                f"tell takes the {len(self._asked)} architectures of generation {self.generation} in the order asked, "
                f"got {len(architectures)} that are not these; to resume a search keep its space, seed and settings"
            )
        fitness = np.asarray(fitness, dtype=np.float64)
        if fitness.shape != (len(self._asked),):
            raise InputError(
                f"fitness is one number for each of the {len(self._asked)} architectures of generation "
                f"{self.generation}, got shape {fitness.shape}"
            )
        if not np.isfinite(fitness).all():
            worst = int(np.flatnonzero(~np.isfinite(fitness))[0])
            raise InputError(
                f"fitness of architecture {self._asked[worst]} is {fitness[worst]}, expected a finite number: "
                "an evaluation that failed is an error, not a score"
            )
        generation, self._asked = self._asked, []
        self.generation += 1
        return generation, fitness
