"""Requests to save and stop that reach a training. Imports nothing of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stop:
    """A request to save and then to stop.

    Attributes:
        why: What happens, as the beginning of a line.
        noted: Whether the line goes to the notes of the run; else whoever asked writes it.
    """

    why: str
    noted: bool = True


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Requests:
    """Who can ask training to save and stop.

    Attributes:
        warning: Returns which machine is about to be taken back, if one is, the same on every worker. All workers
            call it equally often.
        asked: Returns what is asked of this training, if anything is. Only worker 0 calls it.
        seconds: Time between two questions; None for that of the `CheckpointClock`.
    """

    warning: Callable[[], str | None] = _nothing
    asked: Callable[[], Stop | None] = _nothing
    seconds: float | None = None


NO_REQUESTS = Requests()
"""Nobody asks: training stops when it is done."""
