"""How a sweep that a signal interrupts lets its trials save first.

The process of the sweep asks a Ray actor, the board, to stop the trials. Every trial asks the board, and treats the
answer as a signal of its own: its training saves and ends. Stages without anything to save end with the sweep.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from raynas.errors import RunError
from raynas.on_ray.mailbox import on_this_node
from raynas.stages import signals

POLL_SECONDS = 2.0
"""Seconds between two questions of a trial."""

END_SECONDS = 60.0
"""Seconds for which a trial that has saved waits for the end of its sweep."""


class Stopped(RunError):
    """A trial was stopped together with its sweep, after it saved."""


class Board:
    """Knows whether trials are to stop, and which of them have something to save; a Ray actor that takes no CPU."""

    def __init__(self) -> None:
        """Starts with no trial."""
        self._stops = False
        self._saving: set[str] = set()

    def ask(self, trial: str, saves: bool) -> bool:
        """Returns whether a trial is to stop.

        Args:
            trial: Its name.
            saves: Whether it would save first.
        """
        (self._saving.add if saves else self._saving.discard)(trial)
        return self._stops

    def end(self, trial: str) -> None:
        """Notes that a trial has ended or saved."""
        self._saving.discard(trial)

    def stop(self) -> int:
        """Asks all trials to stop, and returns how many of them save first."""
        self._stops = True
        return len(self._saving)

    def saving(self) -> int:
        """Returns how many trials have not saved yet."""
        return len(self._saving)


def make_board() -> Any:
    """Returns the handle of a new board on this machine."""
    return on_this_node(Board)


@contextlib.contextmanager
def stopped_by(board: Any, trial: str) -> Iterator[None]:
    """Lets a board stop the block as SIGTERM does.

    Args:
        board: The handle of a `Board`; None if nothing stops the block.
        trial: The name by which to ask it.

    Raises:
        Stopped: If the block was stopped, after it saved; the sweep ends this process before that.
    """
    if board is None:
        yield
        return
    import ray

    left = threading.Event()

    def poll() -> None:
        while not left.wait(POLL_SECONDS):
            with contextlib.suppress(ray.exceptions.RayError):  # of a board that is lost: nothing stops the trial
                if ray.get(board.ask.remote(trial, signals.saves_first()), timeout=POLL_SECONDS):
                    signals.note(signal.SIGTERM)

    polling = threading.Thread(target=poll, name="board", daemon=True)
    polling.start()
    stopped = False
    try:
        yield
    except KeyboardInterrupt:
        stopped = True
    finally:
        left.set()
        polling.join()
        with contextlib.suppress(ray.exceptions.RayError):
            ray.get(board.end.remote(trial), timeout=POLL_SECONDS)
    if stopped:
        time.sleep(END_SECONDS)
        raise Stopped("the sweep was asked to stop and goes on")


def save_and_stop(board: Any, seconds: float) -> str:
    """Returns what to say of a sweep that a signal interrupts, after its trials have saved.

    Args:
        board: The handle of the `Board`.
        seconds: How long to wait for them.
    """
    import ray

    deadline = time.monotonic() + seconds
    try:
        number = ray.get(board.stop.remote(), timeout=seconds)
        left = number
        while left and time.monotonic() < deadline:
            time.sleep(0.2)
            left = ray.get(board.saving.remote(), timeout=seconds)
    except ray.exceptions.RayError:
        return ""
    saved = number - left
    if not number:
        return ""
    return f"saved {saved} of {number} trials in training; {signals.AGAIN}"
