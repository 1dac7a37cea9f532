"""The records of owners in a folder or at a URL: how one is claimed, refreshed, checked and released."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import secrets
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from raynas.errors import RunError
from raynas.storage.owner import Owner

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

BEAT = 20.0
"""Seconds between the beats of an owner."""

SETTLED = 2.0
"""Seconds between writing a record at a URL and reading it back, see `StoreRegister`."""

RECORD = ".owner"
"""Records in a folder are called ``.owner.1``, ``.owner.2`` and so on."""

OWNER = "owner.json"
"""The record at a URL."""

RECORD_BYTES = 512
"""Size of a record in a folder, so that a beat replaces the bytes of the one before and needs no space."""

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL
"""Opens a file that must not exist."""

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""Errors of a file system without links."""


class Lost(RunError):
    """Another process has taken over what this one was working on."""


class Register(ABC):
    """The records of one place.

    Attributes:
        place: The folder or URL, for messages.
    """

    place: str

    @property
    @abstractmethod
    def poll(self) -> float:
        """Seconds between two looks at the place while another process is waited for."""

    @property
    def beat(self) -> float:
        """Seconds between two signs of life of an owner."""
        return BEAT

    @abstractmethod
    def read(self) -> dict[str, bytes]:
        """Returns the records by their names."""

    @abstractmethod
    def claim(self, owner: Owner, dead: Mapping[str, bytes]) -> bool:
        """Adds the owner's record and returns whether the place is the owner's; of several claims one succeeds.

        Args:
            owner: The owner that claims the place.
            dead: The records of dead owners, which may be there.

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
        """Undoes the changes of claims that did not succeed."""

    def lost(self, owner: Owner) -> Lost:
        """Returns the error that names the process that has taken over."""
        owners = map(Owner.parsed, self.read().values())
        others = [other for other in owners if other.token != owner.token]
        if others:
            return Lost(f"{self.place} was taken over by {others[-1]}; leave it to that process")
        return Lost(f"{self.place} lost the record of its owner; give the same command again to continue")


class FolderRegister(Register):
    """Records in a folder, which may be on a network file system.

    A claim adds the record of the next number. The file system lets only one process add it. A claimant that was
    suspended between looking and adding may add an old number. It then finds records that it did not see before, and
    gives way.
    """

    def __init__(self, folder: Path) -> None:
        """Takes the folder. A claim makes it if it is not there."""
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
        """Replaces the bytes of the owner's record in place: a record that was removed stays removed."""
        try:
            with self._file.open("r+b", buffering=0) as stream:
                if Owner.parsed(stream.read()).token != owner.token:
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
            return Owner.parsed(self._file.read_bytes()).token == owner.token
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
            return False

    def abandon(self) -> None:
        """Removes the folders that claims made, unless something is in them."""
        with contextlib.suppress(OSError):
            while self._made:
                self._made[-1].rmdir()
                self._made.pop()

    def _add_folder(self, file: Path, content: bytes) -> bool:
        """Returns whether the folder was added, with a record in it: the process that makes a folder owns it."""
        for folder in reversed(self._folder.parents):
            if not folder.exists():
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                    self._made.append(folder)
        temporary = self._folder.with_name(f".{self._folder.name}.{secrets.token_hex(4)}")
        temporary.mkdir()
        try:
            _write(os.open(temporary / file.name, NEW_FILE, 0o666), content)
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

    A link appears with its content, on a network file system too. Without links the content follows the name. A reader
    may then see an empty record, and waits for its unknown owner.
    """
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        _write(os.open(temporary, NEW_FILE, 0o666), content)
        return _link(temporary, file, content)
    except FileNotFoundError:  # the owner of the folder has cleared it, or removed it
        return False
    finally:
        temporary.unlink(missing_ok=True)


def _link(temporary: Path, file: Path, content: bytes) -> bool:
    """Returns whether a file was added as a link, or by writing its content where there are no links."""
    try:
        os.link(temporary, file)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        try:
            _write(os.open(file, NEW_FILE, 0o666), content)
        except FileExistsError:
            return False
    return True


def _write(handle: int, content: bytes) -> None:
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


class StoreRegister(Register):
    """The record at a URL.

    Through pyarrow, no store can write an object only where there is none. A claimant writes its record, waits
    `SETTLED` seconds and reads it back: of several claimants, the last to write is the owner. A write may take longer
    than that. The first check of the overwritten owner then raises `Lost`.
    """

    def __init__(self, url: str, store: FileSystem, root: str) -> None:
        """Takes the URL, and the file system and path that it stands for."""
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
        return any(Owner.parsed(record).token == owner.token for record in self.read().values())

    def _write(self, owner: Owner) -> None:
        with self._store.open_output_stream(self._path) as stream:
            stream.write(owner.record())
