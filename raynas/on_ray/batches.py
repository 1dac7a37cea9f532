"""Batches of candidates for actors: how many go into one, which wait, and which come again after a loss. No Ray here.

With r candidates waiting, m actors up, and s seconds that a candidate of its last batch took, an actor's next batch
holds

    max(1, min( ceil(r / 2m), floor(0.5 / s) ))        and 1 as long as s is unknown.

Half a second of work makes the few milliseconds of a task small. The waiting candidates are still about two batches for
every actor, so that all actors end together. A fitness that shares work among neighbours takes min(ceil(r / 2m), most)
candidates at once, whatever time they take.

Candidates of a lost actor come first again. The candidates of the batch that it was evaluating come in batches of one
from then on, each to an actor that has no other batch, so that a candidate that always ends its actor is found. (The
result of a batch before it could be on its way when it ends the actor.)
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter

import numpy as np

IN_FLIGHT = 2
"""Batches that an actor has at a time: one that it evaluates, and one to go on with while the first result travels."""

BATCH_SECONDS = 0.5
"""Seconds of work in a batch."""

WORTH_SECONDS = 10.0
"""Seconds of work that are worth a node that must come first."""


def batch_size(waiting: int, evaluators: int, seconds: float | None, together: int = 1) -> int:
    """Returns how many candidates an actor's next batch holds.

    Args:
        waiting: Candidates that are in no batch, at least 1.
        evaluators: Actors that are up.
        seconds: Seconds that a candidate of the actor's last batch took; None before that.
        together: The most candidates that share work; 1 if none do.
    """
    share = math.ceil(waiting / (IN_FLIGHT * evaluators))
    if together > 1:
        return min(share, together)
    if seconds is None:
        return 1
    return share if share * seconds <= BATCH_SECONDS else max(1, int(BATCH_SECONDS / seconds))


def worthwhile_actors(most: int | None, left: int, room: int, seconds: float | None) -> int:
    """Returns how many actors to have while candidates are left.

    Args:
        most: The number that is asked for; None for a number that follows the work.
        left: Candidates that are left, at least 1.
        room: Actors that find room on the cluster as it is.
        seconds: Seconds that a candidate takes; None as long as that is unknown.
    """
    return min(left, most or max(1, room, int(left * (seconds or 0) / WORTH_SECONDS)))


class Work:
    """The candidates of one call, by their positions: which wait, which were lost, and the rows of those evaluated.

    Attributes:
        left: Number of rows that have not been taken.
    """

    def __init__(self, count: int, width: int, together: int = 1) -> None:
        """Lets `count` candidates wait, each to become a row of `width` numbers; at most `together` share work."""
        self.left = count
        self._together = together
        self._waiting = list(range(count))  # a heap: candidates that come again come first
        self._losses: Counter[int] = Counter()
        self._rows = np.empty((count, width))
        self._evaluated = np.zeros(count + 1, dtype=bool)  # the last entry stays False and ends every search

    def next_batch(self, evaluators: int, seconds: float | None, is_only: bool = True) -> list[int]:
        """Returns the batch to evaluate next.

        Args:
            evaluators: Actors that are up.
            seconds: Seconds that a candidate of the actor's last batch took; None before that.
            is_only: Whether the actor has no other batch.

        Returns:
            A batch of a size by `batch_size`; empty if no candidate waits, or if the next must have an actor to itself.
        """
        if not self._waiting:
            return []
        is_lost = self.was_lost(self._waiting[:1])
        if is_lost and not is_only:
            return []
        size = 1 if is_lost else batch_size(len(self._waiting), evaluators, seconds, self._together)
        return [heapq.heappop(self._waiting) for _ in range(size)]

    def was_lost(self, batch: list[int]) -> bool:
        """Returns whether a candidate of a batch was lost with its actor before."""
        return any(self._losses[position] > 0 for position in batch)

    def evaluated(self, batch: list[int], rows: np.ndarray) -> None:
        """Takes the rows of a batch."""
        self._rows[batch] = rows
        self._evaluated[batch] = True

    def lost(self, batches: list[list[int]]) -> int:
        """Lets the batches of a lost actor wait again.

        Returns:
            How often the candidates of the first batch, which the actor was evaluating, were lost so far.
        """
        for position in itertools.chain(*batches):
            heapq.heappush(self._waiting, position)
        self._losses.update(batches[0])
        return max(self._losses[position] for position in batches[0])

    def take(self) -> np.ndarray:
        """Returns the rows from the last one taken up to the first that is not evaluated, ``(k, width)``."""
        start = len(self._rows) - self.left
        self.left -= int(self._evaluated[start:].argmin())
        return self._rows[start : len(self._rows) - self.left]
