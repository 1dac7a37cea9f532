"""A run at a URL: each process works in a local folder and synchronises it at consistent points.

All that raynas writes are plain files: replaced at once, appended to, owned. Object stores offer none of that. Each
process therefore works on a run at a URL in a staging folder (see `locations.staging`), and a `Mirror` uploads and
downloads files. The remote copy is authoritative. A killed process leaves a run that can be continued:

- an object appears whole or not at all;
- a checkpoint counts if its ``checkpoint.json`` is there, which is uploaded after its other files and deleted first;
- the mark of a finished stage, ``result.json``, comes last of all.

The staging folder records the state of both sides when they were last the same. A file that changed on one side since
then is copied to the other. A file that changed on both sides is downloaded. A failed push is therefore completed by
the next command on the same machine, unless another machine has continued the run in between.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from raynas.config.locations import inside, is_url, refuse_links, staging
from raynas.config.run_config import RunConfig
from raynas.errors import InputError, StorageError
from raynas.records.mirror_record import MirrorRecord
from raynas.storage.object_store import ObjectStore, Stamp, one_line, opened_store
from raynas.storage.ownership import Ownership, owning
from raynas.storage.registers import OWNER, FolderRegister, Register, StoreRegister
from raynas.storage.run_folder import OLD_LOCK, write_record

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

CONFIG, SWEEP, CHECKPOINT, RESULT = "config.json", "sweep.json", "checkpoint.json", "result.json"
"""The files that make a folder a run, a sweep or a checkpoint, and a stage a finished one."""

RAY = "ray"
"""The folder or prefix in which Ray keeps its files while it trains."""

RECORD = MirrorRecord.file
"""The state of both sides when they were last the same: remote and local size and time of every file."""


class Mirror:
    """No-op mirror for a local or shared file system.

    Attributes:
        folder: The folder of the run's files.
        carries: Whether files are uploaded, so that other processes see only files that were pushed.
    """

    carries = False

    def __init__(self, folder: Path) -> None:
        """Takes the run's folder."""
        self.folder = folder
        self._ownerships: list[Ownership] = []

    @contextlib.contextmanager
    def owned(self, say: Callable[[str], None], wait: float = 0.0, part: str | Path | None = None) -> Iterator[None]:
        """Owns the run for the time of the block, see `raynas.storage.ownership`.

        Args:
            say: Takes a line for the user that names the process that is waited for.
            wait: Seconds to wait for another process that lives.
            part: A folder of the run, relative or local, to own alone; by default the run as a whole.

        Raises:
            Busy: If another process works on it.
            OSError: If it cannot be written.
        """
        register = self._register() if part is None else FolderRegister(self.folder / part)
        with owning(register, say, wait) as ownership:
            self._ownerships.append(ownership)
            try:
                yield
            finally:
                self._ownerships.remove(ownership)

    def _register(self) -> Register:
        return FolderRegister(self.folder)

    def check(self) -> None:
        """Checks that this process still owns the run and its parts.

        Raises:
            Lost: If another process has taken it over.
            OSError: If that cannot be read.
        """
        for ownership in self._ownerships:
            ownership.check()

    def pull(self, *parts: str | Path, weights: bool = True) -> None:
        """Makes local files equal to those at the URL.

        Args:
            parts: Files and folders of the run, relative or local; by default all.
            weights: Whether to download weights too.

        Raises:
            InputError: If the URL holds something else than a run.
            OSError: If the URL keeps failing.
        """

    def push(self, *parts: str | Path, every: float = 0.0) -> None:
        """Makes files at the URL equal to the local ones, if this process still owns the run.

        Args:
            parts: Files and folders of the run; by default all.
            every: Does nothing if the last push is fewer seconds ago.

        Raises:
            Lost: If another process has taken the run over.
            OSError: If the URL keeps failing.
        """
        self.check()

    def remove(self, part: str) -> None:
        """Removes a folder at the URL, if it is there."""


class UrlMirror(Mirror):
    """Synchronises a folder with a URL."""

    carries = True

    def __init__(self, url: str, folder: Path, store: FileSystem, root: str) -> None:
        """Takes the run's URL, the folder, and the file system and path that the URL stands for."""
        super().__init__(folder)
        self._url = url
        self._file_system, self._root = store, root.rstrip("/")
        self._store = ObjectStore(url, store, self._root, folder)
        self._record = folder / RECORD
        self._known: dict[str, tuple[Stamp, Stamp]] = {}
        if self._record.exists():
            stored = MirrorRecord.read(self._record, "remove it to compare all files anew").files
            self._known = {path: ((there[0], there[1]), (here[0], here[1])) for path, (there, here) in stored.items()}
        for path in self._known:
            self._file(path)
        self._unfinished: set[str] = set()
        self._pushed = -float("inf")

    def pull(self, *parts: str | Path, weights: bool = True) -> None:
        """Makes local files equal to those at the URL, see `Mirror.pull`."""
        for _ in range(self._store.attempts):
            with contextlib.suppress(FileNotFoundError):  # an object was removed since it was listed: list again
                self._pull(self._selection(parts), weights)
                return
        raise StorageError(f"storage_path: {self._url} keeps changing; wait for whoever else works on it to end")

    def _pull(self, selected: Callable[[str], bool], weights: bool) -> None:
        there = self._list()
        stands = {path: there[path] for path in (CONFIG, SWEEP) if path in there}
        if there and not stands:
            raise InputError(
                f"name: {self._url} exists and is not a run of raynas; choose another name or storage_path"
            )
        stood = {path: self._known[path][0] for path in (CONFIG, SWEEP) if path in self._known}
        if self.folder.exists() and (not stood or stood != stands):
            shutil.rmtree(self.folder)  # of a run that no longer exists
            self._known = {}
        wanted = {path for path in there if selected(path) and (weights or not path.endswith(".safetensors"))}
        wanted |= set(stands)
        try:
            for path in sorted(wanted, key=_order):
                file = self._file(path)
                if path not in self._known or self._known[path][0] != there[path] or not file.exists():
                    self._store.download(path, file)
                    _, changed = there[path]
                    os.utime(file, ns=(changed, changed))  # the age of a record is that at the URL
                    self._known[path] = there[path], _stamp(file)
            gone = {path for path in self._known if path not in there and selected(path)}
            for path in sorted(gone, key=_order, reverse=True):
                file = self._file(path)
                file.unlink(missing_ok=True)
                self._remove_empty(file.parent)
                del self._known[path]
        finally:
            self._remember()

    def push(self, *parts: str | Path, every: float = 0.0) -> None:
        """Makes files at the URL equal to the local ones, see `Mirror.push`."""
        if time.monotonic() - self._pushed < every:
            return
        self._store.tried(self.check)
        selected = self._selection(parts)
        here = {path: stamp for path, stamp in self._here().items() if selected(path)}
        changed = {path for path in here if path not in self._known or self._known[path][1] != here[path]}
        gone = {path for path in {*self._known, *self._unfinished} if selected(path) and path not in here}
        try:
            for marker in {str(PurePosixPath(path).parent / CHECKPOINT) for path in changed} & set(self._known):
                self._delete(marker)  # it marks the files that are replaced next as complete
                changed.add(marker)
            sent = sorted(changed & set(here), key=_order)
            for path in sent:
                self._store.upload(path)
            for path in sorted(gone, key=_order, reverse=True):
                self._delete(path)
            for folder in {PurePosixPath(path).parent for path in gone}:
                if not (self.folder / folder).exists():
                    self.remove(str(folder))  # some stores keep an empty object for a folder
            for path, stamp in zip(sent, self._store.stamps_of(sent), strict=True):
                self._known[path] = stamp, here[path]
        finally:
            if changed or gone:
                self._remember()
        self._pushed = time.monotonic()

    def remove(self, part: str) -> None:
        """Removes a folder at the URL, if it is there."""
        self._store.delete_folder(part)

    @contextlib.contextmanager
    def owned(self, say: Callable[[str], None], wait: float = 0.0, part: str | Path | None = None) -> Iterator[None]:
        """Owns the run at the URL, or a folder of it here, for the time of the block, see `Mirror.owned`.

        Raises:
            Busy: If another process works on it.
            InputError: If the URL cannot be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(super().owned(say, wait, part))
            except OSError as error:
                if part is not None:
                    raise
                raise InputError(
                    f"storage_path: {self._url} cannot be written ({one_line(error)}); check the bucket's name, the "
                    "credentials in the environment and the network"
                ) from error
            yield

    def _register(self) -> Register:
        return StoreRegister(self._url, self._file_system, self._root)

    def _list(self) -> dict[str, Stamp]:
        """Returns size and time of the run's files at the URL, without those of incomplete checkpoints.

        Raises:
            InputError: If an object has a name that leads out of the run.
        """
        of_run = {path: stamp for path, stamp in self._store.stamps().items() if _is_of_run(path)}
        for path in of_run:
            self._file(path)
        halves = {PurePosixPath(path).parent for path in of_run if path.endswith(".safetensors")}
        halves = {folder for folder in halves if str(folder / CHECKPOINT) not in of_run}
        self._unfinished = {path for path in of_run if PurePosixPath(path).parent in halves}
        return {path: stamp for path, stamp in of_run.items() if path not in self._unfinished}

    def _file(self, path: str) -> Path:
        """Returns the local path of a file of the run.

        Raises:
            InputError: If its name leads out of the folder.
        """
        try:
            return inside(self.folder, path)
        except ValueError as error:
            raise InputError(f"storage_path: {self._url} holds an object that is no file of a run: {error}") from error

    def _here(self) -> dict[str, Stamp]:
        """Returns size and time of the run's local files, without hidden ones and old locks."""
        stamps = {}
        for file in self.folder.rglob("*"):
            path = file.relative_to(self.folder).as_posix()
            if file.is_file() and _is_of_run(path):
                stamps[path] = _stamp(file)
        return stamps

    def _selection(self, parts: tuple[str | Path, ...]) -> Callable[[str], bool]:
        """Returns a test of whether a path lies in one of the parts; without parts, every path passes."""
        wanted = [(self.folder / part).relative_to(self.folder).as_posix() for part in parts]
        return lambda path: not wanted or any(f"{path}/".startswith(f"{part}/") for part in wanted)

    def _delete(self, path: str) -> None:
        self._store.delete(path)
        self._known.pop(path, None)
        self._unfinished.discard(path)

    def _remember(self) -> None:
        if self.folder.exists():
            write_record(self._record, MirrorRecord(files=self._stated()))

    def _stated(self) -> dict[str, list[list[int]]]:
        """Returns what is known of the files, as their record has it."""
        return {path: [list(there), list(here)] for path, (there, here) in self._known.items()}

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.folder and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent


@contextlib.contextmanager
def mirror_at(location: str, role: str, wait: float = 0.0) -> Iterator[Mirror]:
    """Yields the mirror of a run, and owns its staging folder for the time of the block.

    Args:
        location: The run's folder or URL.
        role: The role of this process. Processes of different roles have folders of their own.
        wait: Seconds to wait for another process of the same role.

    Raises:
        InputError: If the URL cannot be opened, or holds a credential.
        Busy: If another process of the same role works there.
    """
    if not is_url(location):
        yield Mirror(Path(location))
        return
    store, root = opened_store(location)
    folder = staging(location, role)
    with owning(FolderRegister(folder.parent), wait=wait):  # a pull may remove the folder itself
        yield UrlMirror(location, folder, store, root)


@contextlib.contextmanager
def mirrored(
    config: RunConfig, say: Callable[[str], None], wait: float = 0.0, parts: tuple[str, ...] = ()
) -> Iterator[Mirror]:
    """Yields the mirror of the run that a command works on, owned for the time of the block and pulled.

    Files that an earlier process left unpushed in the staging folder are pushed.

    Args:
        config: The resolved configuration.
        say: Takes a line for the user.
        wait: Seconds to wait for another process that works on it.
        parts: The files and folders that this process works on; by default all.

    Raises:
        Busy: If another process works on the run.
        InputError: If the URL cannot be opened or written, or is no run, or a link leads out of the folder.
        OSError: If the folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        mirror = stack.enter_context(mirror_at(config.location, "driver", wait))
        refuse_links(mirror.folder)
        stack.enter_context(mirror.owned(say, wait))
        mirror.pull(*parts)
        mirror.push(*parts)
        yield mirror


def pulled(location: str, *parts: str, weights: bool = True) -> Path:
    """Returns the folder of a run or sweep that is only read, after pulling it if `location` is a URL.

    Raises:
        InputError: If there is no run, or a name or link in it leads out of it.
        OSError: If the URL keeps failing.
    """
    with mirror_at(location, "reader", wait=600) as mirror:
        refuse_links(mirror.folder)
        mirror.pull(*parts, weights=weights)
        if mirror.carries and not mirror.folder.exists():
            raise InputError(f"{location} holds no run; check the URL and the credentials in the environment")
        return mirror.folder


def pull_news(mirror: Mirror, say: Callable[[str], None], *parts: str | Path) -> None:
    """Pulls the news of other processes. A store that fails for a while is reported and does not end the work."""
    try:
        mirror.pull(*parts)
    except OSError as error:
        say(f"work goes on unseen: {error}")


def push_report(location: str, role: str) -> None:
    """Pushes a report that was written into the folder of a role."""
    with mirror_at(location, role, wait=600) as mirror:
        mirror.push("report")


def _is_of_run(path: str) -> bool:
    """Returns whether a path belongs to a run: not a lock, not hidden, and not a file of Ray or of the owner."""
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") and part != ".." for part in parts)
    return not hidden and OLD_LOCK not in parts and not {OWNER, RAY} & {*parts}


def _order(path: str) -> tuple[int, str]:
    """Returns a sort key that puts files that mark others as complete behind them."""
    name = PurePosixPath(path).name
    return ((CHECKPOINT, RESULT).index(name) + 1 if name in (CHECKPOINT, RESULT) else 0), path


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return status.st_size, status.st_mtime_ns
