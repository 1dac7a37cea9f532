"""The folder of a local Ray: private to its user, and removed by the next start if its process was killed.

    /tmp/raynas-UID/            mode 0700; refused if it is a link, of somebody else, or open to others
    /tmp/raynas-UID/XXXXXXXX/   one Ray, with ``owner.json``: its process, which holds a lock on the file

Ray opens its own folders to everybody (mode 0777), so that the one above them has to be closed. A folder is removed
only if its owner is provably gone: of this start of the machine, no running process, and the lock is free. The lock
decides for containers, which share ``/tmp`` but do not see each other's processes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from raynas.errors import RunError
from raynas.storage.owner import Owner, boot_id

OWNER_FILE = "owner.json"

SOCKET_PATH = 107
"""Characters that the path of a socket may have."""

BELOW = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.12")
"""Characters of the longest path that Ray makes below its folder."""


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yields a new folder for a local Ray, which is removed at the end, after removing those of killed processes.

    It is not the one that every Ray shares: the address file of a cluster there costs each training 12 s.

    Raises:
        RunError: If the folder above it is not this user's alone, or its path is too long for sockets.
    """
    parent = _private_parent()
    for folder in parent.iterdir():
        _remove_if_dead(folder)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=""))
    try:
        # The lock comes before the content: who sees an owner without a lock knows that it has ended.
        with (folder / OWNER_FILE).open("xb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.write(Owner.here().record())
            stream.flush()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _private_parent() -> Path:
    """Returns the folder of this user's Rays, made if it is new.

    Raises:
        RunError: If it is not this user's alone, or its path is too long.
    """
    place = Path(os.environ.get("RAY_TMPDIR") or ("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir()))
    parent = place / f"raynas-{os.getuid()}"
    length = len(str(parent)) + len("/12345678") + BELOW
    if length > SOCKET_PATH:
        raise RunError(
            f"RAY_TMPDIR: expected a path of at most {len(str(place)) - length + SOCKET_PATH} characters, since the "
            f"sockets of Ray lie below it, got {len(str(place))}; set it to a shorter one"
        )
    with contextlib.suppress(FileExistsError):
        parent.mkdir(mode=0o700)
    status = parent.lstat()
    found = None
    if not stat.S_ISDIR(status.st_mode):
        found = "a link or a file"
    elif status.st_uid != os.getuid():
        found = f"one of user {status.st_uid}"
    elif stat.S_IMODE(status.st_mode) & 0o077:
        found = f"one with mode {stat.S_IMODE(status.st_mode):04o}"
    if found is not None:
        raise RunError(
            f"temporary folder: expected {parent} to be a folder of yours with mode 0700, found {found}; remove it, or "
            "set RAY_TMPDIR to a folder of your own"
        )
    return parent


def _remove_if_dead(folder: Path) -> None:
    """Removes the folder of a Ray if its process is provably gone."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return
        handle = os.open(folder / OWNER_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return  # has no owner, or is being removed by another start
    with os.fdopen(handle, "rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            owner = Owner.parsed(stream.read(10_000))
        except OSError:
            return  # somebody holds it
        of_this_boot = bool(owner.boot) and owner.boot == boot_id()
        if of_this_boot and (owner.is_dead() or not owner.is_here()):
            shutil.rmtree(folder, ignore_errors=True)
