"""The interface of searchers, with the order of calls and the order of architectures that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from raynas.errors import InputError, RunError
from raynas.search_space import Architecture, as_array


class Searcher(Protocol):
    """Proposes architectures in generations and receives their fitness.

    A generation is a pure function of the seed, the generation number and all fitness reported before. Its random
    numbers come from ``np.random.default_rng([seed, generation])``, which lives for one generation only. A searcher can
    therefore be pickled at any time. To resume a search, a new searcher gets the recorded fitness through `ask` and
    `tell`, generation by generation.
    """

    def ask(self) -> list[Architecture]:
        """Returns the next generation, each architecture at most once in a search; empty when the search is over.

        Raises:
            RunError: If the fitness of the last generation has not been reported.
            InputError: If the limits leave nothing to propose in the first generation.
        """
        ...

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Receives the fitness of the architectures that `ask` returned last, in the same order.

        Args:
            architectures: The architectures that `ask` returned.
            fitness: One finite number for each architecture, larger is better, ``(n,)``.

        Raises:
            RunError: If `ask` returned other architectures, or was not called.
            InputError: If a fitness is missing or not finite.
        """
        ...


def order(architectures: Sequence[Architecture], fitness: np.ndarray) -> np.ndarray:
    """Returns the indices of the architectures from best to worst, ``(n,)``.

    Equal fitness is common, since an angle depends only on the live part of a cell. Among equals the lexicographically
    smaller architecture comes first, so the order is independent of the history and of the sorting algorithm. In the
    cell spaces candidate 0 is ``none``. Among architectures that differ in dead edges, the cheapest one comes first.
    """
    if not architectures:
        return np.empty(0, dtype=np.int64)
    return np.lexsort((*as_array(architectures).T[::-1], -np.asarray(fitness)))  # the last key is the first criterion


def check_whole(key: str, value: int, least: int) -> int:
    """Returns `value` if it is a whole number of at least `least`; `key` is its name in the configuration.

    Raises:
        InputError: If it is not such a number.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{key} is a whole number of at least {least}, got {value!r}")
    return int(value)


class Turns:
    """The turns of one search: `ask` returns a generation, `tell` reports its fitness, and `ask` returns the next.

    Attributes:
        generation: Number of generations with reported fitness, which is the number of the next generation.
    """

    def __init__(self) -> None:
        """Starts before generation 0."""
        self.generation = 0
        self._asked: list[Architecture] = []

    def start(self) -> int:
        """Returns the number of the generation to propose now.

        Raises:
            RunError: If the fitness of the last generation has not been reported.
        """
        if self._asked:
            raise RunError(
                f"ask was called twice: tell the fitness of the {len(self._asked)} architectures of generation "
                f"{self.generation} first"
            )
        return self.generation

    def asked(self, architectures: list[Architecture]) -> list[Architecture]:
        """Returns a copy of the generation and expects its fitness next; an empty generation expects none."""
        self._asked = architectures
        return list(architectures)

    def told(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> tuple[list[Architecture], np.ndarray]:
        """Returns the last generation and its fitness, ``(n,)`` float64, and ends its turn.

        Raises:
            RunError: If `ask` returned other architectures, or was not called.
            InputError: If a fitness is missing or not finite. The turn continues, and `tell` may be called again.
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
