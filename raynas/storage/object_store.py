"""Operations on the files of a run at a URL, each tried again while the store fails."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from raynas.config.locations import refuse_credentials
from raynas.errors import InputError, StorageError
from raynas.messages import shortened
from raynas.optional import needed

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

Returned = TypeVar("Returned")

Stamp: TypeAlias = tuple[int, int]
"""Size of a file in bytes, and time of its last change in nanoseconds."""

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between attempts, after those of the library."""


class ObjectStore:
    """The objects under a URL.

    Attributes:
        url: The URL, for messages.
    """

    def __init__(self, url: str, store: FileSystem, root: str, folder: Path) -> None:
        """Takes the URL, the file system and path that it stands for, and the local folder of the same files."""
        self.url = url
        self._store = store
        self._root = root
        self._folder = folder

    @property
    def attempts(self) -> int:
        """The number of attempts at something that other processes disturb."""
        return len(WAITS)

    def stamps(self) -> dict[str, Stamp]:
        """Returns size and time of all objects by their paths under the URL."""
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self._root, recursive=True, allow_not_found=True)
        found = {}
        for info in self.tried(lambda: self._store.get_file_info(selector)):
            if info.type == FileType.File:
                found[info.path[len(self._root) + 1 :]] = _stamp(info)
        return found

    def stamps_of(self, paths: Sequence[str]) -> list[Stamp]:
        """Returns size and time of some objects."""
        names = [f"{self._root}/{path}" for path in paths]
        return [_stamp(info) for info in self.tried(lambda: self._store.get_file_info(names))]

    def download(self, path: str, file: Path) -> None:
        """Replaces a local file by an object, whole or not at all.

        Raises:
            FileNotFoundError: If the object is not there.
        """
        from pyarrow.fs import LocalFileSystem, copy_files

        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".") as temporary:
            copied = f"{temporary}/{file.name}"
            self.tried(lambda: copy_files(f"{self._root}/{path}", copied, self._store, LocalFileSystem()))
            os.replace(copied, file)

    def upload(self, path: str) -> None:
        """Replaces an object by the local file of the same path."""
        from pyarrow.fs import LocalFileSystem, copy_files

        file = str(self._folder / path)
        self.tried(lambda: copy_files(file, f"{self._root}/{path}", LocalFileSystem(), self._store))

    def delete(self, path: str) -> None:
        """Deletes an object, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.tried(lambda: self._store.delete_file(f"{self._root}/{path}"))

    def delete_folder(self, path: str) -> None:
        """Deletes all objects under a path, if there are any."""
        with contextlib.suppress(FileNotFoundError):
            self.tried(lambda: self._store.delete_dir(f"{self._root}/{path}"))

    def tried(self, operation: Callable[[], Returned]) -> Returned:
        """Returns the result of an operation, which is tried again while it fails.

        Raises:
            FileNotFoundError: If the object is not there.
            OSError: If the last attempt fails.
        """
        for wait in (*WAITS, None):
            try:
                return operation()
            except FileNotFoundError:
                raise
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise OSError(error.errno, os.strerror(error.errno), str(self._folder)) from error
                if wait is None:
                    raise StorageError(
                        f"storage_path: {self.url} keeps failing ({one_line(error)}); what is not there yet is kept in "
                        f"{self._folder}; correct that and give the same command again to continue"
                    ) from error
                time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")


def opened_store(url: str) -> tuple[FileSystem, str]:
    """Returns the file system of a URL, and the path in it.

    Raises:
        InputError: If the URL cannot be opened or holds a credential, or pyarrow is not installed.
    """
    refuse_credentials(url)
    file_systems = needed("pyarrow.fs", "ray", f"storage_path: {shortened(url, 300)}")
    try:
        store, root = file_systems.FileSystem.from_uri(url)
    except (ValueError, OSError) as error:
        raise InputError(
            f"storage_path: {url} cannot be opened ({one_line(error)}); give a folder, or a URL such as "
            "s3://bucket/path or gs://bucket/path"
        ) from error
    return store, root


def folders_in(store: FileSystem, root: str) -> list[str]:
    """Returns the names of the folders directly under a path, sorted.

    Raises:
        OSError: If the path is not there or cannot be read.
    """
    from pyarrow.fs import FileSelector, FileType

    found = store.get_file_info(FileSelector(root, recursive=False))
    return sorted(info.base_name for info in found if info.type == FileType.Directory)


def check_writable(url: str) -> None:
    """Checks that objects can be written at a URL and deleted again.

    Raises:
        InputError: If the URL cannot be opened or holds a credential.
        OSError: If an object cannot be written or deleted.
    """
    store, root = opened_store(url)
    name = f"{root}/.raynas-{secrets.token_hex(8)}"
    with store.open_output_stream(name) as stream:
        stream.write(b"raynas")
    store.delete_file(name)


def _stamp(info: FileInfo) -> Stamp:
    return info.size, info.mtime_ns


def one_line(error: Exception) -> str:
    """Returns the text of an error as one line of at most 300 characters."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line if len(line) < 300 else f"{line[:297]}..."
