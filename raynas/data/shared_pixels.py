"""One copy of evaluation images for all processes of a machine, which ends with the last of these processes.

The first process that asks writes the pixels into a file without a name in the temporary folder (``TMPDIR``); the
others map the same file. The file has no name, so the operating system frees it when the last process ends, even after
a crash. Its pages can be written to disk when memory is short.

A note in a private folder records the process with the file, and the descriptor. Linux lets processes of the same user
open it there (``/proc/PID/fd``). If this is not possible, each process reads the images itself.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np


def shared_pixels(token: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], None]) -> np.ndarray:
    """Returns an array of pixels that all processes of this user on this machine share by the same token.

    Args:
        token: Key of the pixels, of letters and digits.
        shape: Shape of the array, which is uint8.
        fill: Writes the pixels into an array of this shape; one process calls it, while the others wait.

    Raises:
        OSError: If the temporary folder has no room for them.
    """
    with _note_of(token) as note:
        held = _attach(note, shape)
        return held if held is not None else _hold(note, shape, fill)


@contextlib.contextmanager
def _note_of(token: str) -> Iterator[IO[str]]:
    """Yields the note of a token with a lock during the block."""
    folder = Path(tempfile.gettempdir()) / f"raynas-images-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise OSError(errno.EPERM, "expected a folder of this user that nobody else can write to", str(folder))
    _drop_notes_of_the_dead(folder, token)
    with (folder / token).open("a+", encoding="utf-8") as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        yield note


def _attach(note: IO[str], shape: tuple[int, ...]) -> np.ndarray | None:
    """Returns the pixels of another process; None if no process has them, or they are out of reach."""
    note.seek(0)
    try:
        place = json.loads(note.read())
        with open(f"/proc/{int(place['process'])}/fd/{int(place['descriptor'])}", "rb") as file:
            status = os.fstat(file.fileno())
            same = [status.st_ino, status.st_dev] == [place["inode"], place["device"]]
            return np.memmap(file, np.uint8, "r", shape=shape) if same and status.st_size == np.prod(shape) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hold(note: IO[str], shape: tuple[int, ...], fill: Callable[[np.ndarray], None]) -> np.ndarray:
    """Returns the pixels in a file without a name, which stays open while the array is used."""
    file = tempfile.TemporaryFile(prefix="raynas-images-")
    try:
        size = int(np.prod(shape))
        try:
            os.posix_fallocate(file.fileno(), 0, size)  # detects a full disk here, instead of a signal later
        except OSError as error:
            raise OSError(
                error.errno,
                f"no room for {size / 1e9:.1f} GB of images to evaluate by; point TMPDIR to a larger disk, or lower "
                "search.evaluation_images and search.calibration_images",
                tempfile.gettempdir(),
            ) from error
        pixels = np.memmap(file, np.uint8, "r+", shape=shape)
        fill(pixels)
    except BaseException:
        file.close()
        raise
    status = os.fstat(file.fileno())
    note.truncate(0)
    json.dump(
        {
            "process": os.getpid(),
            "descriptor": file.fileno(),
            "inode": status.st_ino,
            "device": status.st_dev,
        },
        note,
    )
    note.flush()
    weakref.finalize(pixels, file.close)
    return pixels


def _drop_notes_of_the_dead(folder: Path, token: str) -> None:
    """Removes notes of files that no process has open any more."""
    for place in folder.iterdir():
        if place.name == token:
            continue
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError), place.open("r", encoding="utf-8") as note:
            fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a note is locked while it is written
            text = note.read()
            if text and not Path(f"/proc/{json.loads(text)['process']}").exists():
                place.unlink()
