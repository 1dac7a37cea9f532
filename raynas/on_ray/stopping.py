"""Interruption of a sweep by a signal, after which its trials save before they end.

The process of the sweep asks a Ray actor, the board, to stop the trials. Every trial polls the board, and treats a stop
as its own signal: its training saves and ends. Stages without a state to save end with the sweep.
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
"""Seconds between two polls of a trial."""

END_SECONDS = 60.0
"""Seconds that a trial waits for the end of its sweep after it saved."""


class Stopped(RunError):
    """A trial was stopped together with its sweep, after it saved."""


class Board:
    """Records whether trials must stop, and which of them save before; a Ray actor without a CPU."""

    def __init__(self) -> None:
        """Starts without trials."""
        self._stops = False
        self._saving: set[str] = set()

    def ask(self, trial: str, saves: bool) -> bool:
        """Returns whether a trial must stop.

        Args:
            trial: Name of the trial.
            saves: Whether the trial would save before it ends.
        """
        (self._saving.add if saves else self._saving.discard)(trial)
        return self._stops

    def end(self, trial: str) -> None:
        """Records that a trial has ended or saved."""
        self._saving.discard(trial)

    def stop(self) -> int:
        """Asks all trials to stop, and returns the number of trials that save first."""
        self._stops = True
        return len(self._saving)

    def saving(self) -> int:
        """Returns the number of trials that have not saved yet."""
        return len(self._saving)


def make_board() -> Any:
    """Returns the handle of a new board on this machine."""
    return on_this_node(Board)


@contextlib.contextmanager
def stopped_by(board: Any, trial: str) -> Iterator[None]:
    """Interrupts the block like SIGTERM when a board asks for it.

    Args:
        board: The handle of a `Board`; None without one.
        trial: The name of the trial on the board.

    Raises:
        Stopped: If the block was stopped and has saved; usually the sweep ends this process before.
    """
    if board is None:
        yield
        return
    import ray

    left = threading.Event()

    def poll() -> None:
        while not left.wait(POLL_SECONDS):
            with contextlib.suppress(ray.exceptions.RayError):  # the board is lost, and the trial continues
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
    """Waits until the trials of an interrupted sweep have saved, and returns a line for the user.

    Args:
        board: The handle of the `Board`.
        seconds: Longest wait for the trials.
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
