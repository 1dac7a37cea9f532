"""Folders and URLs of runs, and what may be read or written at a name that comes from somewhere else.

A name from a listing, a run, a URL or a configuration becomes a path in one function, `inside`, which refuses every
name that leads out of its folder. `refuse_links` does the same for the links that a folder holds, and `may_read`
decides which other place the reader of a run may visit because the run names it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from raynas.errors import InputError
from raynas.messages import echo, shortened

OPTIONS = {
    "s3": {
        "allow_bucket_creation",
        "allow_bucket_deletion",
        "allow_delayed_open",
        "background_writes",
        "check_directory_existence_before_creation",
        "endpoint_override",
        "force_virtual_addressing",
        "region",
        "scheme",
        "smart_defaults",
        "tls_ca_dir_path",
        "tls_ca_file_path",
        "tls_verify_certificates",
    },
    "gs": {"default_bucket_location", "endpoint_override", "project_id", "retry_limit_seconds", "scheme"},
    "abfs": {"background_writes", "blob_storage_authority", "dfs_storage_authority", "enable_tls"},
    "hdfs": {"buffer_size", "default_block_size", "replication", "user"},
}
"""Query keys that pyarrow takes in a URL, by scheme, without those that hold a credential."""

SAME_SCHEME = {"gcs": "gs", "abfss": "abfs", "viewfs": "hdfs"}
"""Other names of the schemes above."""


def is_url(location: str) -> bool:
    """Returns whether a run is at a URL, not in a folder."""
    return "://" in location


def within(location: str, name: str) -> str:
    """Returns the folder or URL of what lies in a folder or at a URL, whose query stays at its end."""
    if not is_url(location):
        return str(Path(location) / name)
    url = urlsplit(location)
    return url._replace(path=f"{url.path.rstrip('/')}/{name}").geturl()


def staging(url: str, role: str) -> Path:
    """Returns the folder that processes of a role use on their machine to work on a run at a URL.

    It is in ``$XDG_CACHE_HOME/raynas``, by default ``~/.cache/raynas``.

    Raises:
        InputError: If the last part of the URL is no name of a folder.
    """
    name = urlsplit(url).path.rstrip("/").rpartition("/")[2] or "run"
    return inside(cache_folder(), f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}/{role}/{name}")


def cache_folder() -> Path:
    """Returns the folder of this machine in which runs at URLs are worked on."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute()
    return cache / "raynas"


def checked_url(location: str) -> str:
    """Returns a folder or URL as it came.

    Raises:
        InputError: If it is a URL without a bucket, with a part that is no name, or with a credential. The message does
            not repeat the credential.
    """
    if not is_url(location):
        return location
    refuse_credentials(location)
    url = urlsplit(location)
    if url.scheme == "file":
        raise InputError(f"expected a folder or the URL of an object store, got {echo(location)}; give {url.path}")
    if not url.netloc:
        raise InputError(f"expected a URL such as s3://bucket/path, got {echo(location)}")
    for part in unquote(url.path).strip("/").split("/"):
        if part in (".", "..") or _WRONG.search(part):
            raise InputError(f"expected a URL of plain names, got the part {echo(part)}; give s3://bucket/path")
    return location


def refuse_credentials(location: str) -> None:
    """Checks that a URL holds nothing but its place and the options of `OPTIONS`.

    Raises:
        InputError: If it does.
    """
    url = urlsplit(location)
    scheme = SAME_SCHEME.get(url.scheme, url.scheme)
    user = url.username if scheme != "abfs" else None  # there the name of the file system
    if url.password is not None or user not in (None, "anonymous"):
        found = "a user before the @"
    elif url.fragment:
        found = "a fragment after the #"
    else:
        keys = {key for key, _ in parse_qsl(url.query, keep_blank_values=True)}
        wrong = sorted(keys - OPTIONS.get(scheme, set()))
        if not wrong:
            return
        found = f"the option {echo(wrong[0])}"
    options = ", ".join(sorted(OPTIONS.get(scheme, ()))) or "none"
    raise InputError(
        f"expected a URL without credentials, which run folders and reports would show, got {found} (allowed options "
        f"are {options}); set the environment variables of the store, such as AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY"
    )


_WRONG = re.compile(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:|^\s|\s$")
"""What no part of a path has that raynas writes: control characters, backslashes, drive letters, outer spaces."""


def inside(root: Path, name: str) -> Path:
    """Returns the path of a name that comes from somewhere else, which lies below a folder.

    Args:
        root: The folder.
        name: A relative path with ``/`` between its parts.

    Raises:
        InputError: If the name is absolute, has a part ``.`` or ``..``, a backslash, a control character or a drive
            letter, or if a link that exists leads it out of the folder.
    """
    for part in name.split("/"):
        if part in ("", ".", "..") or len(part.encode("utf-8", "surrogatepass")) > 255 or _WRONG.search(part):
            raise InputError(f"{echo(name)}: expected the name of something below {root}; rename or remove it")
    path = root / name
    if not _is_below(path, root):
        raise InputError(f"{echo(name)}: a link leads it out of {root}; replace the link by what it leads to")
    return path


def refuse_links(folder: Path) -> None:
    """Checks that no link below a folder leads out of it, so that what reads and writes there stays there.

    The folder itself may be a link, and links may lead from one place in it to another.

    Raises:
        InputError: If one does.
    """
    for link in _links(folder):
        if not _is_below(Path(link), folder):
            raise InputError(
                f"{link}: expected files and folders, got a link out of {folder} to {echo(os.path.realpath(link))}; "
                "replace the link by what it leads to"
            )


def _links(folder: Path | str) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # removed meanwhile by whoever works there
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield entry.path
                elif entry.is_dir():
                    yield from _links(entry.path)


def _is_below(path: Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def may_read(other: str, location: str, named: Collection[str] = ()) -> bool:
    """Returns whether whoever reads a run may read another place because the run names it.

    A place that the user named always is. Else a folder has to lie in the folder that also holds the run, or the sweep
    that the run is a trial of; a URL has to have the scheme, bucket and options of the URL that the user gave.

    Args:
        other: The folder or URL that the run names.
        location: The run's folder or URL as the user gave it.
        named: The folders and URLs that the user named besides.
    """
    if any(_same(other, one) for one in named):
        return True
    if is_url(other) != is_url(location):
        return False
    if is_url(other):
        with contextlib.suppress(ValueError):  # a URL that nobody may open
            return _store_of(other) == _store_of(location)
        return False
    shelf = _shelf(Path(location))
    return shelf != Path(shelf.anchor) and _is_below(Path(os.path.expanduser(other)), shelf)


def _same(one: str, other: str) -> bool:
    """Returns whether two locations are the same place."""
    if is_url(one) or is_url(other):
        with contextlib.suppress(ValueError):  # a URL that nobody may open
            return _store_of(one) == _store_of(other) and _path_of(one) == _path_of(other)
        return False
    return os.path.realpath(os.path.expanduser(one)) == os.path.realpath(os.path.expanduser(other))


def _store_of(url: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    parts = urlsplit(checked_url(url))
    return parts.scheme, parts.netloc, tuple(sorted(parse_qsl(parts.query, keep_blank_values=True)))


def _path_of(url: str) -> str:
    return urlsplit(url).path.rstrip("/")


def sweep_of(folder: Path) -> Path | None:
    """Returns the folder of the sweep that a run's folder is a trial of; None if it is none."""
    trials = folder.resolve().parent
    is_sweep = any((trials.parent / name).is_file() for name in ("sweep.json", "results.json"))
    return trials.parent if trials.name == "trials" and is_sweep else None


def _shelf(folder: Path) -> Path:
    """Returns the folder that holds a run, or the sweep that it is a trial of."""
    return (sweep_of(folder) or folder.resolve()).parent


def reused_folder(folder: Path, reused: str) -> Path | None:
    """Returns the folder of the run whose supernets a run names as its own; None if it may not be read.

    A trial of a sweep that was moved finds the supernets that it shares in the sweep's present folder.

    Args:
        folder: The run's folder.
        reused: What the run names.

    Raises:
        InputError: If links lead out of that folder.
    """
    sweep = sweep_of(folder)
    name = reused.partition("?")[0].rpartition("/")[2]
    found = None
    if sweep is not None and name and (sweep / "supernets" / name).is_dir():
        found = inside(sweep / "supernets", name)
    elif not is_url(reused) and may_read(reused, str(folder)):
        found = Path(os.path.expanduser(reused))
    if found is not None:
        refuse_links(found)
    return found


def left_out(reused: str) -> str:
    """Returns the line that says that the supernets of another run are not in a report, and how to name them."""
    return (
        f"supernets: those of {shortened(reused, 300)} are left out, since the run names a place beyond its own "
        "storage; give --reuse with that place to read it"
    )
