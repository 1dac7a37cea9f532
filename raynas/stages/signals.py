"""SIGINT and SIGTERM of a command: they interrupt it, and a training saves before it ends.

Imports nothing of torch or Ray, so that a command handles signals before it spends seconds on imports.
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
"""For how long after an interruption a further SIGTERM is ignored: supervisors of containers may send several."""


class Terminated(KeyboardInterrupt):
    """SIGTERM interrupted the command."""


@dataclass
class Noted:
    """A signal that is noted instead of raised, because something can be saved before the command ends.

    Attributes:
        active: Whether the next signal is noted.
        number: The signal that came; None as long as none has.
    """

    active: bool = True
    number: int | None = None


@dataclass
class _State:
    """How signals of this process are handled now.

    Attributes:
        process: The process that installed the handlers; forked processes inherit them.
        importing: Whether a signal ends the process at once.
        noted: Where to note the first signal.
        first: The signal that came first.
        raised: When a signal raised KeyboardInterrupt last, on the monotonic clock.
    """

    process: int = 0
    importing: bool = False
    noted: Noted | None = None
    first: int | None = None
    raised: float | None = None


_state = _State()


def word(number: int) -> str:
    """Returns what a signal does to a command, for messages."""
    return "terminated" if number == signal.SIGTERM else "interrupted"


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Lets the first signal interrupt the block, or whatever `noted` and `imports` say inside of it.

    Raises:
        Terminated: If SIGTERM came first.
        KeyboardInterrupt: If SIGINT came first.
    """
    global _state
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    outer, _state = _state, _State(process=os.getpid())
    heard = [number for number in NUMBERS if signal.getsignal(number) != signal.SIG_IGN]  # as shells start with `&`
    handlers = {number: signal.signal(number, _handle) for number in heard}
    try:
        yield
    except KeyboardInterrupt as interrupted:
        # The exception itself does not know the signal: Ray replaces it by one of its own.
        if _state.first == signal.SIGTERM:
            raise Terminated(*interrupted.args) from None
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        _state = outer


@contextlib.contextmanager
def imports() -> Iterator[None]:
    """Lets a signal end the process at once, with one line: nothing is begun, and C extensions hide exceptions."""
    before, _state.importing = _state.importing, True
    try:
        yield
    finally:
        _state.importing = before


@contextlib.contextmanager
def noted(active: bool = True) -> Iterator[Noted]:
    """Yields where the first signal of the block is noted; a second one interrupts.

    Args:
        active: Whether the first signal is noted from the beginning; else when the block sets it.
    """
    before, _state.noted = _state.noted, Noted(active)
    try:
        yield _state.noted
    finally:
        _state.noted = before


def saves_first() -> bool:
    """Returns whether a signal would be noted now, since something can be saved before the process ends."""
    noted = _state.noted
    return noted is not None and noted.active and noted.number is None


def note(number: int) -> None:
    """Notes a signal that came to another process for this one, if something can be saved before this one ends."""
    if saves_first():
        assert _state.noted is not None
        _state.noted.number = number


def _handle(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _state.process:  # a forked loader of images, which its parent ends
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
