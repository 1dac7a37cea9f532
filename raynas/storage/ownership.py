"""Who works on a folder or a URL: one owner at a time, known by a record that changes while the owner lives.

A record names a process and holds a token and a count of beats. The process counts on every `BEAT` seconds and removes
the record when it ends. A record without its process is taken over:

- at once, if the process ran on this machine and is provably gone;
- after `MISSED` beats that did not come, by the clock of the process that waits, if it ran anywhere else.

A frozen process may wake up after another one has taken over. Its own record is gone by then: `Ownership.check`, which
every upload and every checkpoint calls first, raises `Lost`. No lock of the operating system is involved, because a
network file system keeps the locks of a machine that died, some of them for ever.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import random
import secrets
import shutil
import socket
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

BEAT = 20.0
"""Seconds between the beats of an owner."""

MISSED = 3
"""Beats that have to be missing before an owner on another machine counts as dead."""

SETTLED = 2.0
"""Seconds between writing a record at a URL and reading it back, see `StoreRegister`."""

MOST_REMOVALS = 20
"""How often in a row a folder may be removed while it is claimed; more of it is a place where none can be made."""

REMINDER = 300.0
"""Seconds between two lines that say who is waited for."""

RECORD = ".owner"
"""Records in a folder are called ``.owner.1``, ``.owner.2`` and so on."""

OWNER = "owner.json"
"""The record at a URL."""

RECORD_BYTES = 512
"""Size of a record in a folder, so that a beat replaces the bytes of the one before and needs no space."""


class Busy(RuntimeError):
    """Another process works on a folder or URL. It may have ended when the same is tried again."""


class Lost(RuntimeError):
    """Another process has taken over what this one was working on."""


@dataclass(frozen=True)
class Owner:
    """A process that owns a folder or URL.

    Attributes:
        host: Name of its machine.
        boot: Identifier of the machine's last start; empty where the system has none.
        namespace: Identifier of the process numbers it is counted in, which a container has of its own.
        process: Its number.
        started: When it started, in clock ticks after the machine; 0 where the system does not tell.
        token: Unique to this ownership.
        beat: How often it has given a sign of life.
    """

    host: str = "an unknown machine"
    boot: str = ""
    namespace: str = ""
    process: int = 0
    started: int = 0
    token: str = ""
    beat: int = 0

    def __str__(self) -> str:
        host = "".join(letter if letter.isprintable() else "?" for letter in self.host[:80])
        return f"raynas on {host} (process {self.process})"

    @staticmethod
    def here() -> Owner:
        """Returns an owner of this process with a new token."""
        process = os.getpid()
        return Owner(
            socket.gethostname(), boot_id(), namespace_id(), process, start_of(process) or 0, token=uuid.uuid4().hex
        )

    @staticmethod
    def read(content: bytes) -> Owner:
        """Returns the owner that a record names; an unknown one if the record is damaged or not written yet."""
        try:
            values = json.loads(content)
        except ValueError:
            return Owner()
        known: dict[str, Any] = {}
        for field in fields(Owner):
            value = values.get(field.name) if isinstance(values, dict) else None
            if type(value) is type(field.default):
                known[field.name] = value
        return Owner(**known)

    def record(self) -> bytes:
        """Returns the record that names this owner."""
        return json.dumps(asdict(self)).encode()

    def is_here(self) -> bool:
        """Returns whether this process can see the owner's process, if there is one."""
        return bool(self.boot) and (self.boot, self.namespace) == (boot_id(), namespace_id())

    def is_dead(self) -> bool:
        """Returns whether the owner's process is provably gone."""
        return self.is_here() and not is_running(self.process, self.started)


def boot_id() -> str:
    """Returns an identifier of this machine's last start; an empty text where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def namespace_id() -> str:
    """Returns an identifier of the process numbers that this process sees; an empty text where there is none."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def start_of(process: int) -> int | None:
    """Returns when a process started, in clock ticks after the machine.

    None if it cannot be read, and 0 if the process has ended but its parent has not noticed.
    """
    try:
        content = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *numbers = content.rpartition(")")[2].split()  # before the bracket is a name with any characters
    return 0 if state in "ZX" else int(numbers[18])  # field 22 of proc(5)


def is_running(process: int, started: int) -> bool:
    """Returns whether a process of this machine runs that started at a time, see `start_of`."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # of another user
    now = start_of(process)
    return now is None or now == started  # None: a process of another user that /proc hides


class Register(ABC):
    """The records of one place.

    Attributes:
        place: The folder or URL, for messages.
        poll: Seconds between two looks at it while another process is waited for.
    """

    place: str

    @property
    @abstractmethod
    def poll(self) -> float:
        """Seconds between two looks at the place."""

    @abstractmethod
    def read(self) -> dict[str, bytes]:
        """Returns the records by their names."""

    @abstractmethod
    def claim(self, owner: Owner, dead: Mapping[str, bytes]) -> bool:
        """Returns whether the place is the owner's, after adding its record; of several claims one succeeds.

        Args:
            owner: Who wants it.
            dead: The records that may be there: their owners are dead.

        Raises:
            FileNotFoundError: If a folder was removed meanwhile, or cannot be made.
        """

    @abstractmethod
    def refresh(self, owner: Owner) -> None:
        """Replaces the owner's record.

        Raises:
            Lost: If it is not there any more.
        """

    @abstractmethod
    def check(self, owner: Owner) -> None:
        """Checks that the owner's record is there.

        Raises:
            Lost: If it is not.
        """

    @abstractmethod
    def release(self, owner: Owner) -> None:
        """Removes the owner's record, if it is there."""

    def abandon(self) -> None:  # noqa: B027
        """Undoes what claims have changed that did not succeed."""

    def lost(self, owner: Owner) -> Lost:
        """Returns the error that says who has taken over."""
        others = [Owner.read(content) for content in self.read().values()]
        others = [other for other in others if other.token != owner.token]
        if others:
            return Lost(f"{self.place} was taken over by {others[-1]}; leave it to that process")
        return Lost(f"{self.place} lost the record of its owner; give the same command again to continue")


class FolderRegister(Register):
    """Records in a folder, which may be on a network file system.

    A claim adds the record of the next number, which the file system lets only one process do. A claimant that was
    suspended between looking and adding may add a number that is long past; it then finds records that it did not
    see before, and gives way.
    """

    def __init__(self, folder: Path) -> None:
        """Takes the folder, which a claim makes if it is not there."""
        self.place = str(folder)
        self._folder = folder
        self._made: list[Path] = []
        self._file = folder / f"{RECORD}.0"

    @property
    def poll(self) -> float:
        """Seconds between two looks at the place."""
        return min(0.2, BEAT / 10)

    def read(self) -> dict[str, bytes]:
        """Returns the records by their names, the latest last."""
        records = {}
        for name in self._names():
            with contextlib.suppress(FileNotFoundError):
                records[name] = (self._folder / name).read_bytes()
        return records

    def claim(self, owner: Owner, dead: Mapping[str, bytes]) -> bool:
        """Returns whether the folder is the owner's now, see `Register.claim`."""
        file = self._folder / f"{RECORD}.{max(map(_number, dead), default=0) + 1}"
        add = _add if self._folder.exists() else self._add_folder
        if not add(file, _padded(owner)):
            return False
        if not set(self._names()) <= {file.name, *dead}:
            file.unlink(missing_ok=True)
            return False
        for name in dead:
            (self._folder / name).unlink(missing_ok=True)
        self._file = file
        return True

    def refresh(self, owner: Owner) -> None:
        """Replaces the bytes of the owner's record in their place: one that was removed stays removed."""
        try:
            with self._file.open("r+b", buffering=0) as stream:
                if Owner.read(stream.read()).token != owner.token:
                    raise self.lost(owner)
                os.pwrite(stream.fileno(), _padded(owner), 0)
                os.fsync(stream.fileno())
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            raise self.lost(owner) from error

    def check(self, owner: Owner) -> None:
        """Checks that the owner's record is there, see `Register.check`."""
        if not self._is_of(owner):
            raise self.lost(owner)

    def release(self, owner: Owner) -> None:
        """Removes the owner's record, and the folders that the claim made if nothing else is in them."""
        if self._is_of(owner):
            self._file.unlink(missing_ok=True)
        self.abandon()

    def _is_of(self, owner: Owner) -> bool:
        try:
            return Owner.read(self._file.read_bytes()).token == owner.token
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            return False

    def abandon(self) -> None:
        """Removes the folders that claims made, as far as nothing is in them."""
        with contextlib.suppress(OSError):
            while self._made:
                self._made[-1].rmdir()
                self._made.pop()

    def _add_folder(self, file: Path, content: bytes) -> bool:
        """Returns whether the folder was added, with a record in it: who owns a new folder is who made it."""
        for folder in reversed(self._folder.parents):
            if not folder.exists():
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                    self._made.append(folder)
        temporary = self._folder.with_name(f".{self._folder.name}.{secrets.token_hex(4)}")
        temporary.mkdir()
        try:
            _write(os.open(temporary / file.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), content)
            os.rename(temporary, self._folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self._made.append(self._folder)
        return True

    def _names(self) -> list[str]:
        """Returns the names of the records, the latest last."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return sorted((name for name in names if is_record(name)), key=_number)


def is_record(name: str) -> bool:
    """Returns whether a file of a folder is the record of an owner."""
    start, _, number = name.rpartition(".")
    return start == RECORD and number.isascii() and number.isdigit()


def _number(name: str) -> int:
    return int(name.rpartition(".")[2])


def _padded(owner: Owner) -> bytes:
    record = owner.record()
    return record.ljust(RECORD_BYTES - 1) + b"\n"


def _add(file: Path, content: bytes) -> bool:
    """Returns whether a file was added that was not there before, with all of its content.

    A link appears at once and on a network file system too. Where there are no links the content follows the name,
    and a reader may see an empty record, whose owner it cannot know and waits for.
    """
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        _write(os.open(temporary, flags, 0o666), content)
        try:
            os.link(temporary, file)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            try:
                _write(os.open(file, flags, 0o666), content)
            except FileExistsError:
                return False
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _write(handle: int, content: bytes) -> None:
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


class StoreRegister(Register):
    """The record at a URL.

    No store offers through pyarrow to write an object only where there is none. A claimant writes its record, waits
    `SETTLED` seconds and reads it back: of several that begin together, the last to write is the owner. A write that
    takes longer than that escapes this; the first check of the one that was overwritten then raises `Lost`.
    """

    def __init__(self, url: str, store: FileSystem, root: str) -> None:
        """Takes the URL, for messages, and the file system and path that it stands for."""
        self.place = url
        self._store, self._path = store, f"{root}/{OWNER}"
        self._seen = -math.inf

    @property
    def poll(self) -> float:
        """Seconds between two looks at the place."""
        return BEAT / 10

    def read(self) -> dict[str, bytes]:
        """Returns the record, if there is one."""
        try:
            with self._store.open_input_stream(self._path) as stream:
                return {OWNER: bytes(stream.read())}
        except FileNotFoundError:
            return {}

    def claim(self, owner: Owner, dead: Mapping[str, bytes]) -> bool:
        """Returns whether the URL is the owner's now, see `Register.claim`."""
        self._write(owner)
        time.sleep(SETTLED)
        return self._is_of(owner)

    def refresh(self, owner: Owner) -> None:
        """Replaces the record, unless it is another owner's."""
        self._seen = -math.inf
        self.check(owner)
        self._write(owner)

    def check(self, owner: Owner) -> None:
        """Checks that the record is the owner's, or was a quarter of a beat ago, see `Register.check`."""
        if time.monotonic() - self._seen < BEAT / 4:
            return
        if not self._is_of(owner):
            raise self.lost(owner)
        self._seen = time.monotonic()

    def release(self, owner: Owner) -> None:
        """Removes the record, unless it is another owner's."""
        if self._is_of(owner):
            self._store.delete_file(self._path)

    def _is_of(self, owner: Owner) -> bool:
        return any(Owner.read(record).token == owner.token for record in self.read().values())

    def _write(self, owner: Owner) -> None:
        with self._store.open_output_stream(self._path) as stream:
            stream.write(owner.record())


class Ownership:
    """A place that this process owns, until the block of `owning` ends or another process takes it over."""

    def __init__(self, register: Register, owner: Owner) -> None:
        """Takes the records of the place, and the owner that has claimed it."""
        self._register, self._owner = register, owner
        self._left = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="owner", daemon=True)

    def check(self) -> None:
        """Checks that the place is still this process's.

        Raises:
            Lost: If another process has taken it over.
            OSError: If the record cannot be read.
        """
        self._register.check(self._owner)

    def begin(self) -> None:
        """Begins to give signs of life."""
        self._beating.start()

    def end(self) -> None:
        """Ends them, and removes the record; one that cannot be removed is taken over as that of a dead process."""
        self._left.set()
        self._beating.join()
        with contextlib.suppress(OSError):
            self._register.release(self._owner)

    def _beat(self) -> None:
        while not self._left.wait(BEAT):
            self._owner = replace(self._owner, beat=self._owner.beat + 1)
            try:
                self._register.refresh(self._owner)
            except Lost:
                return  # the next check says so
            except OSError:
                continue  # such as a network that fails for a while; a check says so if it lasts


def _silence(line: str) -> None:
    """Says nothing."""


@contextlib.contextmanager
def owning(register: Register, say: Callable[[str], None] = _silence, wait: float = 0.0) -> Iterator[Ownership]:
    """Owns a place for the time of the block.

    Args:
        register: The records of the place.
        say: Takes a line for the user, who is waited for.
        wait: Seconds to wait for an owner that lives. One whose life is not certain is waited for in any case, for
            `MISSED` beats.

    Raises:
        Busy: If it lives longer.
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
    watch = _Watch()
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
                f"{MISSED * BEAT:.0f} s without a sign of life"
            )
        time.sleep(register.poll)
        try:
            records = register.read()
        except OSError:
            watch.reset()  # signs of life may have come unseen


class _Watch:
    """Records as they were seen to change."""

    def __init__(self) -> None:
        """Has seen none."""
        self._known: dict[str, bytes] = {}
        self._changed: dict[str, float] = {}

    def reset(self) -> None:
        """Counts the silence of all owners from now."""
        self._changed = dict.fromkeys(self._changed, time.monotonic())

    def living(self, records: Mapping[str, bytes]) -> tuple[list[Owner], list[Owner]]:
        """Returns the owners that are not known to be dead, and those of them that are known to live."""
        now = time.monotonic()
        living: list[Owner] = []
        certain: list[Owner] = []
        for name, content in records.items():
            owner = Owner.read(content)
            beats = name in self._known and self._known[name] != content
            if beats or name not in self._known:
                self._changed[name] = now
            if owner.is_dead() or now - self._changed[name] >= MISSED * BEAT:
                continue
            living.append(owner)
            if beats or owner.is_here():
                certain.append(owner)
        self._known = dict(records)
        return living, certain
