"""Index of the image files of a folder: each file is decoded once, and a cache stores the results.

The cache is a Parquet file in ``$XDG_CACHE_HOME/raynas/images`` (by default below ``~/.cache``), named after the
folder. A row is valid while the file has the size and the modification time of its decoding.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raynas.data.image_files import Examination, examine, pillow_quiet

Reading = Callable[[int, int], None]
"""Called with the number of files that have been read and their total."""

_COLUMNS = [field.name for field in fields(Examination)]
_SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("size", pa.int64()),
        ("modified", pa.int64()),  # nanoseconds since 1970
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("mode", pa.string()),
        ("conversions", pa.string()),
        ("error", pa.string()),
    ],
    metadata={"raynas": "images 1"},  # increase the number when the results of `examine` change
)
_CHUNK = 64
"""Files that one thread reads before it reports."""

_STORE_SECONDS = 60.0
"""Interval at which an incomplete index is stored, so that an interruption costs little."""


@dataclass(frozen=True)
class ImageIndex:
    """Results of the examination of the files of a folder.

    Attributes:
        damaged: The reason for each unreadable file, by its path below the folder, in the order of the files.
        conversions: Number of files for each conversion.
        num_read: Number of files that were decoded now; the cache had the others.
        not_stored: The reason why the index was not stored; empty if it was stored.
    """

    damaged: dict[str, str]
    conversions: dict[str, int]
    num_read: int
    not_stored: str = ""


def index_images(root: Path, files: Sequence[str], reading: Reading | None = None) -> ImageIndex:
    """Decodes the files that are new or changed since the cache was written, and returns the results for all.

    Files are decoded in threads, and Pillow lets other threads run. The memory contains one row for each file and one
    decoded image for each thread.

    Args:
        root: The folder that the files are in.
        files: Their paths.
        reading: Called at intervals while files are decoded.
    """
    names = [os.path.relpath(file, root) for file in files]
    place = index_file(root)
    known = _load(place)
    stamps = [_stamp(file) for file in files]
    rows = [_known_row(known, name, stamp) for name, stamp in zip(names, stamps, strict=True)]
    unknown = [position for position, row in enumerate(rows) if row is None]
    not_stored = ""
    if unknown:
        not_stored = _decode(files, unknown, rows, reading, lambda: _store(place, names, stamps, rows, known))
    damaged = {name: row.error for name, row in zip(names, rows, strict=True) if row is not None and row.error}
    conversions: Counter[str] = Counter()
    for row in rows:
        if row is not None and row.conversions:
            conversions.update(row.conversions.split("; "))
    return ImageIndex(damaged, dict(conversions), len(unknown), not_stored)


def index_file(root: Path) -> Path:
    """Returns the path of the cached index of a folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute()
    key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return cache / "raynas" / "images" / f"{key}.parquet"


_Stamp = tuple[int, int]
_Row = tuple[_Stamp, Examination]


def _stamp(file: str) -> _Stamp:
    """Returns size in bytes and modification time in nanoseconds; -1 for both if there is no such file."""
    try:
        status = os.stat(file)
    except OSError:
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _known_row(known: dict[str, _Row], name: str, stamp: _Stamp) -> Examination | None:
    row = known.get(name)
    return row[1] if row is not None and row[0] == stamp and stamp[0] >= 0 else None


def _decode(
    files: Sequence[str],
    unknown: Sequence[int],
    rows: list[Examination | None],
    reading: Reading | None,
    store: Callable[[], str],
) -> str:
    """Adds the rows of the unknown files and stores them; returns the reason if storing fails, else an empty text."""
    chunks = [unknown[start : start + _CHUNK] for start in range(0, len(unknown), _CHUNK)]
    pending: deque[tuple[Sequence[int], Future[list[Examination]]]] = deque()
    done, stored = 0, time.monotonic()

    def collect() -> None:
        nonlocal done, stored
        chunk, future = pending.popleft()
        for position, row in zip(chunk, future.result(), strict=True):
            rows[position] = row
        done += len(chunk)
        if reading is not None:
            reading(done, len(unknown))
        if time.monotonic() - stored > _STORE_SECONDS:
            store()
            stored = time.monotonic()

    with pillow_quiet():
        pool = ThreadPoolExecutor(thread_name_prefix="images")
        try:
            for chunk in chunks:
                pending.append((chunk, pool.submit(_examine_all, [files[position] for position in chunk])))
                if len(pending) > 64:
                    collect()
            while pending:
                collect()
        finally:
            pool.shutdown(cancel_futures=True)
            not_stored = store()
    return not_stored


def _examine_all(files: Sequence[str]) -> list[Examination]:
    return [examine(file) for file in files]


def _load(place: Path) -> dict[str, _Row]:
    """Returns the rows of a cached index by name; none if the index is missing or has another form."""
    try:
        table = pq.read_table(place, memory_map=False)
    except (OSError, pa.ArrowException):
        return {}
    if not table.schema.equals(_SCHEMA, check_metadata=True) or any(column.null_count for column in table.columns):
        return {}
    columns: list[list[Any]] = [column.to_pylist() for column in table.columns]
    return {name: ((size, modified), Examination(*row)) for name, size, modified, *row in zip(*columns, strict=True)}


def _store(
    place: Path,
    names: Sequence[str],
    stamps: Sequence[_Stamp],
    rows: Sequence[Examination | None],
    known: dict[str, _Row],
) -> str:
    """Stores the index atomically; returns the reason if storing fails, else an empty text.

    Rows of files that are not among `names`, such as those that ``max_images`` left out, are kept.
    """
    merged = dict(known)
    for name, stamp, row in zip(names, stamps, rows, strict=True):
        if row is not None and stamp[0] >= 0:
            merged[name] = (stamp, row)
    columns: dict[str, list[Any]] = {
        "name": list(merged),
        "size": [stamp[0] for stamp, _ in merged.values()],
        "modified": [stamp[1] for stamp, _ in merged.values()],
    }
    for column in _COLUMNS:
        columns[column] = [getattr(row, column) for _, row in merged.values()]
    try:
        table = pa.table(columns, schema=_SCHEMA)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                pq.write_table(table, stream)
            os.replace(temporary, place)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except (OSError, pa.ArrowException, UnicodeEncodeError) as error:
        return f"{place}: {error}"
    return ""
