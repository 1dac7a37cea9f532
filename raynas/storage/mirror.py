"""A run at a URL: worked on in a local folder, and carried to and from an object store at points that make sense.

All that raynas writes are plain files: replaced at once, appended to, owned. Object stores know none of that, so a run
whose `storage_path` is a URL lives in a staging folder of each process that works on it (see `locations.staging`) and
a `Mirror` carries files. What is at the URL counts. A killed process leaves what can be continued from:

- an object appears whole or not at all;
- a checkpoint counts if its ``checkpoint.json`` is there, which comes after its other files and goes before them;
- what says that a stage is done, ``result.json``, comes last of all.

The staging folder remembers what both sides were when they were last the same. A file changed on one side since is
carried to the other; changed on both, it is taken from the URL. So a push that failed is made up for by the next
command on the same machine, unless another machine has gone on in between.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from raynas.config.locations import inside, is_url, refuse_credentials, refuse_links, staging
from raynas.config.run_config import RunConfig
from raynas.storage.ownership import OWNER, FolderRegister, Ownership, Register, StoreRegister, owning
from raynas.storage.run_folder import OLD_LOCK, write_json

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

Returned = TypeVar("Returned")

CONFIG, SWEEP, CHECKPOINT, RESULT = "config.json", "sweep.json", "checkpoint.json", "result.json"
"""What makes a folder a run or a sweep, a folder a checkpoint, and a stage done."""

RAY = "ray"
"""What Ray keeps in a run's folder or at its URL while it trains."""

RECORD = ".mirror.json"
"""What both sides were when they were last the same: size and time there, size and time here, of every file."""

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between attempts, after those of the library."""

Stamp = tuple[int, int]


class Mirror:
    """Carries nothing: the run is in a folder that all its processes see.

    Attributes:
        folder: Where the run's files are.
        carries: Whether files are carried, so that other processes see only what was pushed.
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
            say: Takes a line for the user, who is waited for.
            wait: Seconds to wait for another process that lives.
            part: A folder of the run, relative or here, to own alone; by default the run as a whole.

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
        """Checks that all that is owned still is this process's.

        Raises:
            Lost: If another process has taken it over.
            OSError: If that cannot be seen.
        """
        for ownership in self._ownerships:
            ownership.check()

    def pull(self, *parts: str | Path, weights: bool = True) -> None:
        """Makes files here what they are at the URL.

        Args:
            parts: Files and folders of the run, relative or here; by default all.
            weights: Whether weights are wanted too.

        Raises:
            ValueError: If there is something else than a run.
            OSError: If the URL keeps failing.
        """

    def push(self, *parts: str | Path, every: float = 0.0) -> None:
        """Makes files at the URL what they are here, if this process still owns the run.

        Args:
            parts: Files and folders of the run; by default all.
            every: Does nothing if the last push is not so many seconds ago.

        Raises:
            Lost: If another process has taken the run over.
            OSError: If the URL keeps failing.
        """
        self.check()

    def remove(self, part: str) -> None:
        """Removes a folder at the URL, if it is there."""


class UrlMirror(Mirror):
    """Carries files between a folder and a URL."""

    carries = True

    def __init__(self, url: str, folder: Path, store: FileSystem, root: str) -> None:
        """Takes the run's URL, for messages; the folder; and the file system and path that the URL stands for."""
        super().__init__(folder)
        self._url, self._store, self._root = url, store, root.rstrip("/")
        self._record = folder / RECORD
        self._known: dict[str, tuple[Stamp, Stamp]] = {}
        if self._record.exists():
            stored = json.loads(self._record.read_text(encoding="utf-8"))
            self._known = {path: ((there[0], there[1]), (here[0], here[1])) for path, (there, here) in stored.items()}
        for path in self._known:
            self._file(path)
        self._unfinished: set[str] = set()
        self._pushed = -float("inf")

    def pull(self, *parts: str | Path, weights: bool = True) -> None:
        """Makes files here what they are at the URL, see `Mirror.pull`."""
        for _ in WAITS:
            with contextlib.suppress(FileNotFoundError):  # replaced or removed since it was listed: look again
                self._pull(self._selection(parts), weights)
                return
        raise ConnectionError(f"storage_path: {self._url} keeps changing; wait for whoever else works on it to end")

    def _pull(self, selected: Callable[[str], bool], weights: bool) -> None:
        there = self._list()
        stands = {path: there[path] for path in (CONFIG, SWEEP) if path in there}
        if there and not stands:
            raise ValueError(
                f"name: {self._url} exists and is not a run of raynas; choose another name or storage_path"
            )
        stood = {path: self._known[path][0] for path in (CONFIG, SWEEP) if path in self._known}
        if self.folder.exists() and (not stood or stood != stands):
            shutil.rmtree(self.folder)  # of a run that is no more
            self._known = {}
        wanted = {path for path in there if selected(path) and (weights or not path.endswith(".safetensors"))}
        wanted |= set(stands)
        try:
            for path in sorted(wanted, key=_order):
                file = self._file(path)
                if path not in self._known or self._known[path][0] != there[path] or not file.exists():
                    self._download(path, file)
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
        """Makes files at the URL what they are here, see `Mirror.push`."""
        if time.monotonic() - self._pushed < every:
            return
        self._tried(self.check)
        selected = self._selection(parts)
        here = {path: stamp for path, stamp in self._here().items() if selected(path)}
        changed = {path for path in here if path not in self._known or self._known[path][1] != here[path]}
        gone = {path for path in {*self._known, *self._unfinished} if selected(path) and path not in here}
        try:
            for marker in {str(PurePosixPath(path).parent / CHECKPOINT) for path in changed} & set(self._known):
                self._delete(marker)  # it stood for what is about to be replaced
                changed.add(marker)
            sent = sorted(changed & set(here), key=_order)
            for path in sent:
                self._upload(path)
            for path in sorted(gone, key=_order, reverse=True):
                self._delete(path)
            for folder in {PurePosixPath(path).parent for path in gone}:
                if not (self.folder / folder).exists():
                    self.remove(str(folder))  # the empty object that stands for it in some stores
            for path, stamp in zip(sent, self._stamps(sent), strict=True):
                self._known[path] = stamp, here[path]
        finally:
            if changed or gone:
                self._remember()
        self._pushed = time.monotonic()

    def remove(self, part: str) -> None:
        """Removes a folder at the URL, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._tried(lambda: self._store.delete_dir(f"{self._root}/{part}"))

    @contextlib.contextmanager
    def owned(self, say: Callable[[str], None], wait: float = 0.0, part: str | Path | None = None) -> Iterator[None]:
        """Owns the run at the URL, or a folder of it here, for the time of the block, see `Mirror.owned`.

        Raises:
            Busy: If another process works on it.
            ValueError: If the URL cannot be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(super().owned(say, wait, part))
            except OSError as error:
                if part is not None:
                    raise
                raise ValueError(
                    f"storage_path: {self._url} cannot be written ({_told(error)}); check the bucket's name, the "
                    "credentials in the environment and the network"
                ) from error
            yield

    def _register(self) -> Register:
        return StoreRegister(self._url, self._store, self._root)

    def _list(self) -> dict[str, Stamp]:
        """Returns size and time of the run's files at the URL, without those of checkpoints that do not count.

        Raises:
            ValueError: If an object has a name that leads out of the run.
        """
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self._root, recursive=True, allow_not_found=True)
        infos = [
            info for info in self._tried(lambda: self._store.get_file_info(selector)) if info.type == FileType.File
        ]
        found = {info.path[len(self._root) + 1 :]: (info.size, info.mtime_ns) for info in infos}
        of_run = {path: stamp for path, stamp in found.items() if _is_of_run(path)}
        for path in of_run:
            self._file(path)
        halves = {PurePosixPath(path).parent for path in of_run if path.endswith(".safetensors")}
        halves = {folder for folder in halves if str(folder / CHECKPOINT) not in of_run}
        self._unfinished = {path for path in of_run if PurePosixPath(path).parent in halves}
        return {path: stamp for path, stamp in of_run.items() if path not in self._unfinished}

    def _file(self, path: str) -> Path:
        """Returns where a file of the run lies here.

        Raises:
            ValueError: If its name leads out of the folder.
        """
        try:
            return inside(self.folder, path)
        except ValueError as error:
            raise ValueError(f"storage_path: {self._url} holds an object that is no file of a run: {error}") from error

    def _here(self) -> dict[str, Stamp]:
        """Returns size and time of the run's files here; hidden ones and old locks are none of them."""
        files = ((file.relative_to(self.folder).as_posix(), file) for file in self.folder.rglob("*") if file.is_file())
        return {path: _stamp(file) for path, file in files if _is_of_run(path)}

    def _selection(self, parts: tuple[str | Path, ...]) -> Callable[[str], bool]:
        wanted = [(self.folder / part).relative_to(self.folder).as_posix() for part in parts]
        return lambda path: not wanted or any(f"{path}/".startswith(f"{part}/") for part in wanted)

    def _download(self, path: str, file: Path) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as temporary:
            copied = f"{temporary}/{file.name}"
            self._tried(lambda: copy_files(f"{self._root}/{path}", copied, self._store, LocalFileSystem()))
            os.replace(copied, file)

    def _upload(self, path: str) -> None:
        from pyarrow.fs import LocalFileSystem, copy_files

        file = str(self.folder / path)
        self._tried(lambda: copy_files(file, f"{self._root}/{path}", LocalFileSystem(), self._store))

    def _delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._tried(lambda: self._store.delete_file(f"{self._root}/{path}"))
        self._known.pop(path, None)
        self._unfinished.discard(path)

    def _stamps(self, paths: list[str]) -> list[Stamp]:
        infos = self._tried(lambda: self._store.get_file_info([f"{self._root}/{path}" for path in paths]))
        return [(info.size, info.mtime_ns) for info in infos]

    def _remember(self) -> None:
        if self.folder.exists():
            write_json(self._record, self._known)

    def _remove_empty(self, folder: Path) -> None:
        while folder != self.folder and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
            folder = folder.parent

    def _tried(self, operation: Callable[[], Returned]) -> Returned:
        """Returns what an operation on the store returns, tried again while it fails.

        Raises:
            FileNotFoundError: If the object is not there.
            OSError: If it fails to the last.
        """
        for wait in (*WAITS, None):
            try:
                return operation()
            except FileNotFoundError:
                raise
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise OSError(error.errno, os.strerror(error.errno), str(self.folder)) from error
                if wait is None:
                    raise ConnectionError(
                        f"storage_path: {self._url} keeps failing ({_told(error)}); what is not there yet is kept in "
                        f"{self.folder}; mend that and give the same command again to continue"
                    ) from error
                time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")


@contextlib.contextmanager
def mirror_at(location: str, role: str, wait: float = 0.0) -> Iterator[Mirror]:
    """Yields the mirror of a run, and owns its staging folder for the time of the block.

    Args:
        location: The run's folder or URL.
        role: Who works on it: processes of different roles have folders of their own.
        wait: Seconds to wait for another process of the same role.

    Raises:
        ValueError: If the URL is none that can be opened, or holds a credential.
        Busy: If another process of the same role works there.
    """
    if not is_url(location):
        yield Mirror(Path(location))
        return
    from pyarrow.fs import FileSystem

    refuse_credentials(location)
    try:
        store, root = FileSystem.from_uri(location)
    except (ValueError, OSError) as error:
        raise ValueError(
            f"storage_path: {location} cannot be opened ({_told(error)}); give a folder, or a URL such as "
            "s3://bucket/path or gs://bucket/path"
        ) from error
    folder = staging(location, role)
    with owning(FolderRegister(folder.parent), wait=wait):  # a pull may remove the folder itself
        yield UrlMirror(location, folder, store, root)


@contextlib.contextmanager
def mirrored(
    config: RunConfig, say: Callable[[str], None], wait: float = 0.0, parts: tuple[str, ...] = ()
) -> Iterator[Mirror]:
    """Yields the mirror of the run that a command works on, owned for the time of the block and pulled.

    What another process left unpushed in the staging folder is pushed.

    Args:
        config: The resolved configuration.
        say: Takes a line for the user.
        wait: Seconds to wait for another process that works on it.
        parts: The files and folders that this process works on; by default all.

    Raises:
        Busy: If another process works on the run.
        ValueError: If the URL cannot be opened or written, or is no run, or a link leads out of the folder.
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
        ValueError: If there is no run, or a name or link in it leads out of it.
        OSError: If the URL keeps failing.
    """
    with mirror_at(location, "reader", wait=600) as mirror:
        refuse_links(mirror.folder)
        mirror.pull(*parts, weights=weights)
        if mirror.carries and not mirror.folder.exists():
            raise ValueError(f"{location} holds no run; check the URL and the credentials in the environment")
        return mirror.folder


def pull_news(mirror: Mirror, say: Callable[[str], None], *parts: str | Path) -> None:
    """Pulls what others have to tell; that it cannot be told for a while is no reason to end what they do."""
    try:
        mirror.pull(*parts)
    except OSError as error:
        say(f"work goes on unseen: {error}")


def push_report(location: str, role: str) -> None:
    """Pushes a report that was written into the folder of a role."""
    with mirror_at(location, role, wait=600) as mirror:
        mirror.push("report")


def _is_of_run(path: str) -> bool:
    """Returns whether a path in a run is one that is carried: not a lock, not hidden, and not Ray's or the owner's."""
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith(".") and part != ".." for part in parts)
    return not hidden and OLD_LOCK not in parts and not {OWNER, RAY} & {*parts}


def _order(path: str) -> tuple[int, str]:
    """Sorts what counts on other files behind them."""
    name = PurePosixPath(path).name
    return ((CHECKPOINT, RESULT).index(name) + 1 if name in (CHECKPOINT, RESULT) else 0), path


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _told(error: Exception) -> str:
    """Returns what an error says, in one line that is not too long."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if len(line) < 300 else f"{line[:297]}..."
