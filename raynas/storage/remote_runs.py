"""The runs at a URL, copied into a local folder and kept up to date, for those who only read them."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from raynas.config.locations import inside
from raynas.errors import InputError
from raynas.storage.mirror import UrlMirror
from raynas.storage.object_store import folders_in, one_line, opened_store

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

EVERY = 5.0
"""Seconds between two looks at the URL."""


class RemoteRuns:
    """The runs and sweeps directly under a URL: all of their records, without weights.

    Nothing is written at the URL. What lies there and is no run is left out.
    """

    def __init__(self, url: str, folder: Path, store: FileSystem, root: str) -> None:
        """Takes the URL, a folder of this object's own, and the file system and path that the URL stands for."""
        self._url, self._folder = url.rstrip("/"), folder
        self._store, self._root = store, root.rstrip("/")
        self._mirrors: dict[str, UrlMirror] = {}

    def pull(self) -> None:
        """Makes the local folder hold what is at the URL.

        Raises:
            InputError: If a name there leads out of the folder.
            OSError: If the URL cannot be read.
        """
        names = folders_in(self._store, self._root)
        for name in names:
            mirror = self._mirrors.get(name)
            if mirror is None:
                place = _place(self._folder, name, self._url)
                mirror = UrlMirror(f"{self._url}/{name}", place, self._store, f"{self._root}/{name}")
            with contextlib.suppress(InputError):  # it is no run, or not yet
                mirror.pull(weights=False)
                self._mirrors[name] = mirror
        for name in set(self._mirrors) - set(names):
            del self._mirrors[name]
            shutil.rmtree(self._folder / name, ignore_errors=True)


def _place(folder: Path, name: str, url: str) -> Path:
    """Returns the local folder of a run.

    Raises:
        InputError: If its name leads elsewhere.
    """
    try:
        return inside(folder, name)
    except ValueError as error:
        raise InputError(f"{url} holds a folder that is no run: {error}; remove it") from error


@contextlib.contextmanager
def runs_at(url: str, say: Callable[[str], None], every: float = EVERY) -> Iterator[Path]:
    """Yields a temporary folder that holds the runs at a URL, and follows them for the time of the block.

    Args:
        url: The `storage_path` of the runs.
        say: Takes a line for the user if the URL cannot be read for a while.
        every: Seconds between two looks at the URL.

    Raises:
        InputError: If the URL cannot be opened or read, or holds no folder.
    """
    store, root = opened_store(url)
    with tempfile.TemporaryDirectory(prefix="raynas-ui-") as temporary:
        runs = RemoteRuns(url, Path(temporary), store, root)
        try:
            runs.pull()
        except OSError as error:
            raise InputError(
                f"{url} cannot be read ({one_line(error)}); give the storage_path of runs, and check the credentials "
                "in the environment"
            ) from error
        ended = threading.Event()
        follower = threading.Thread(target=_follow, args=(runs, ended, every, say), daemon=True)
        follower.start()
        try:
            yield Path(temporary)
        finally:
            ended.set()
            follower.join()


def _follow(runs: RemoteRuns, ended: threading.Event, every: float, say: Callable[[str], None]) -> None:
    """Pulls until the end. A failure is said once, until a pull succeeds again."""
    fails = False
    while not ended.wait(every):
        try:
            runs.pull()
            fails = False
        except (OSError, InputError) as error:
            if not fails:
                say(f"the pages are not of this minute: {one_line(error)}")
            fails = True
