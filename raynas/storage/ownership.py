"""Ownership of a folder or a URL: one process at a time, known by a record that changes while the process lives.

A record names a process and holds a token and a count of beats. The process counts on every `BEAT` seconds and removes
the record when it ends. A record without its process is taken over:

- at once, if the process ran on this machine and is provably gone;
- after `MISSED` beats that did not come, by the clock of the process that waits, if it ran anywhere else.

A frozen process may wake up after another one has taken over. Its own record is gone by then. `Ownership.check`, which
every upload and every checkpoint calls first, raises `Lost`. No lock of the operating system is involved, because a
network file system keeps the locks of a machine that died, some of them for ever.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from raynas.errors import RunError
from raynas.storage.owner import Owner
from raynas.storage.registers import Lost, Register

MISSED = 3
"""Beats that have to be missing before an owner on another machine counts as dead."""

MOST_REMOVALS = 20
"""Times in a row that a folder may be removed while it is claimed. After more, no folder can be made there."""

REMINDER = 300.0
"""Seconds between two lines that name the process that is waited for."""


class Busy(RunError):
    """Another process works on a folder or URL. It may have ended when the same is tried again."""


class Ownership:
    """A place that this process owns until the block of `owning` ends or another process takes it over."""

    def __init__(self, register: Register, owner: Owner) -> None:
        """Takes the records of the place and the owner that has claimed it."""
        self._register, self._owner = register, owner
        self._left = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="owner", daemon=True)

    def check(self) -> None:
        """Checks that this process still owns the place.

        Raises:
            Lost: If another process has taken it over.
            OSError: If the record cannot be read.
        """
        self._register.check(self._owner)

    def begin(self) -> None:
        """Begins to give signs of life."""
        self._beating.start()

    def end(self) -> None:
        """Ends the signs of life and removes the record. A record that stays counts as one of a dead process."""
        self._left.set()
        self._beating.join()
        with contextlib.suppress(OSError):
            self._register.release(self._owner)

    def _beat(self) -> None:
        while not self._left.wait(self._register.beat):
            self._owner = self._owner.with_beat()
            try:
                self._register.refresh(self._owner)
            except Lost:
                return  # the next check raises
            except OSError:
                continue  # a network may fail for a while; a check raises if it lasts


def _silence(line: str) -> None:
    """Says nothing."""


@contextlib.contextmanager
def owning(register: Register, say: Callable[[str], None] = _silence, wait: float = 0.0) -> Iterator[Ownership]:
    """Owns a place for the time of the block.

    Args:
        register: The records of the place.
        say: Takes a line for the user that names the process that is waited for.
        wait: Seconds to wait for an owner that lives. An owner that may be dead is waited for in any case, for `MISSED`
            beats.

    Raises:
        Busy: If the owner lives longer.
        OSError: If the records cannot be read or written.
    """
    owner = Owner.here()
    removals = 0
    try:
        while True:
            try:
                if register.claim(owner, _dead_records(register, say, wait)):
                    break
            except FileNotFoundError:
                removals += 1
                if removals > MOST_REMOVALS:
                    raise
            time.sleep(random.uniform(0.0, register.poll / 2))
    except BaseException:
        register.abandon()
        raise
    ownership = Ownership(register, owner)
    ownership.begin()
    try:
        yield ownership
    finally:
        ownership.end()


def _dead_records(register: Register, say: Callable[[str], None], wait: float) -> dict[str, bytes]:
    """Returns the records of a place when all of their owners are dead.

    Raises:
        Busy: If one of them lives, and longer than `wait` seconds.
        OSError: If the records cannot be read at first.
    """
    watch = _Watch(MISSED * register.beat)
    began = reminder = time.monotonic()
    records = register.read()
    while True:
        living, certain = watch.living(records)
        if not living:
            return records
        now = time.monotonic()
        if certain and now - began >= wait:
            raise Busy(
                f"{register.place} is in use by {certain[-1]}; wait for it to end, or give this run its own name"
            )
        if now >= reminder:
            reminder = now + REMINDER
            say(
                f"{register.place} was last worked on by {living[-1]}: waiting for its end, or for "
                f"{MISSED * register.beat:.0f} s without a sign of life"
            )
        time.sleep(register.poll)
        try:
            records = register.read()
        except OSError:
            watch.reset()  # signs of life may have been missed


class _Watch:
    """Records, and the times at which they changed."""

    def __init__(self, patience: float) -> None:
        """Takes the seconds of silence after which an owner counts as dead."""
        self._patience = patience
        self._known: dict[str, bytes] = {}
        self._changed: dict[str, float] = {}

    def reset(self) -> None:
        """Starts the silence of all owners again from now."""
        self._changed = dict.fromkeys(self._changed, time.monotonic())

    def living(self, records: Mapping[str, bytes]) -> tuple[list[Owner], list[Owner]]:
        """Returns the owners that are not known to be dead, and those of them that are known to live."""
        now = time.monotonic()
        living: list[Owner] = []
        certain: list[Owner] = []
        for name, content in records.items():
            owner = Owner.parsed(content)
            beats = name in self._known and self._known[name] != content
            if beats or name not in self._known:
                self._changed[name] = now
            if owner.is_dead() or now - self._changed[name] >= self._patience:
                continue
            living.append(owner)
            if beats or owner.is_here():
                certain.append(owner)
        self._known = dict(records)
        return living, certain
