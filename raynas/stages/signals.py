"""Handling of SIGINT and SIGTERM: they interrupt a command, and a training saves before it ends.

This module imports no torch and no Ray, so that a command handles signals before its slow imports.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

AGAIN = "give the same command again to continue"
"""The remedy after every interruption."""

NUMBERS = (signal.SIGINT, signal.SIGTERM)

CLEANUP_SECONDS = 10.0
"""Seconds after an interruption in which a further SIGTERM is ignored: supervisors may send several."""


class Terminated(KeyboardInterrupt):
    """SIGTERM interrupted the command."""


@dataclass
class Noted:
    """A signal that is recorded instead of raised, because the command can save before it ends.

    Attributes:
        active: Whether the next signal is recorded.
        number: The received signal; None before the first one.
    """

    active: bool = True
    number: int | None = None


@dataclass
class _State:
    """The current handling of signals in this process.

    Attributes:
        process: The process that installed the handlers; forked processes inherit them.
        importing: Whether a signal ends the process at once.
        noted: Records the first signal.
        first: The first signal.
        raised: Time of the last KeyboardInterrupt by a signal, on the monotonic clock.
    """

    process: int = 0
    importing: bool = False
    noted: Noted | None = None
    first: int | None = None
    raised: float | None = None


_state = _State()


def word(number: int) -> str:
    """Returns the effect of a signal on a command, for messages."""
    return "terminated" if number == signal.SIGTERM else "interrupted"


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Lets the first signal interrupt the block, unless `noted` or `imports` handles it inside the block.

    Raises:
        Terminated: If SIGTERM came first.
        KeyboardInterrupt: If SIGINT came first.
    """
    global _state
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    outer, _state = _state, _State(process=os.getpid())
    heard = [
        number for number in NUMBERS if signal.getsignal(number) != signal.SIG_IGN
    ]  # as in processes that a shell starts with `&`
    handlers = {number: signal.signal(number, _handle) for number in heard}
    try:
        yield
    except KeyboardInterrupt as interrupted:
        # The exception does not contain the signal, since Ray replaces it by its own exception.
        if _state.first == signal.SIGTERM:
            raise Terminated(*interrupted.args) from None
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        _state = outer


@contextlib.contextmanager
def imports() -> Iterator[None]:
    """Lets a signal end the process at once with one line, since C extensions hide exceptions during imports."""
    before, _state.importing = _state.importing, True
    try:
        yield
    finally:
        _state.importing = before


@contextlib.contextmanager
def noted(active: bool = True) -> Iterator[Noted]:
    """Yields the record of the first signal in the block; a second signal interrupts.

    Args:
        active: Whether recording is active at the start; otherwise the block activates it.
    """
    before, _state.noted = _state.noted, Noted(active)
    try:
        yield _state.noted
    finally:
        _state.noted = before


def saves_first() -> bool:
    """Returns whether a signal is recorded now, because the process can save before it ends."""
    noted = _state.noted
    return noted is not None and noted.active and noted.number is None


def note(number: int) -> None:
    """Records a signal that another process received for this one, if this process can save before it ends."""
    if saves_first():
        assert _state.noted is not None
        _state.noted.number = number


def _handle(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _state.process:  # a forked image loader, which its parent ends
        if number == signal.SIGTERM:
            os._exit(128 + number)
        return
    if _state.importing:
        os.write(2, f"raynas: {word(number)}; {AGAIN}\n".encode())
        os._exit(128 + number)
    _state.first = _state.first or number
    if saves_first():
        note(number)
        return
    now = time.monotonic()
    if number == signal.SIGTERM and _state.raised is not None and now < _state.raised + CLEANUP_SECONDS:
        return
    _state.raised = now
    raise KeyboardInterrupt
