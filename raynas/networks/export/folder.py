"""The folder of an exported network: which files it has, how they are checked, and how it is replaced."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from raynas.config.locations import inside, refuse_links
from raynas.errors import InputError, RunError
from raynas.messages import shortened
from raynas.records.network_record import NetworkRecord

CONFIG, CARD = "config.json", "README.md"
"""The record and the model card, named as huggingface_hub names them."""

WEIGHTS, PROGRAM, GRAPH, CODE = "model.safetensors", "model.pt2", "model.onnx", "model.py"
"""The files of weights and code. The first has the name that huggingface_hub expects."""

KNOWN = frozenset((CONFIG, CARD, WEIGHTS, PROGRAM, GRAPH, CODE))
"""All files of an export; no name comes from the folder itself."""

MOST_BYTES_OF_RECORD = 16 << 20
REMEDY = "export the network again"


def read_record(folder: Path) -> NetworkRecord:
    """Returns the record of an exported network.

    Raises:
        InputError: If there is none, a link leads out of the folder, or the record is damaged or of a later version.
    """
    if not folder.is_dir():
        raise InputError(f"{_shown(folder)}: expected the folder of an exported network, found none")
    refuse_links(folder)
    file = existing_file(folder, CONFIG)
    if file.stat().st_size > MOST_BYTES_OF_RECORD:
        raise InputError(f"{file}: expected at most {MOST_BYTES_OF_RECORD:,} bytes; {REMEDY}")
    record = NetworkRecord.read(file, REMEDY)
    if record.export is None:
        raise InputError(f"{file}: expected what was measured under export, found none; {REMEDY}")
    return record


def existing_file(folder: Path, name: str) -> Path:
    """Returns a file of an exported network.

    Raises:
        InputError: If it is not there, is no file, or a link leads out of the folder.
    """
    assert name in KNOWN
    file = inside(folder, name)
    if not file.is_file():
        raise InputError(f"{_shown(folder)}: expected an exported network with the file {name}, found none; {REMEDY}")
    return file


def checked_bytes(folder: Path, name: str, record: NetworkRecord) -> bytes:
    """Returns the content of a file of an exported network.

    Raises:
        InputError: If it is not there, or not what was written at the export.
    """
    assert record.export is not None
    file = existing_file(folder, name)
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != record.export.files.get(name):
        raise InputError(f"{file} is damaged: its SHA-256 is not that in {CONFIG}; {REMEDY}")
    return content


def checksums(folder: Path, names: Collection[str]) -> dict[str, str]:
    """Returns the SHA-256 of files by their names, sorted."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sorted(names)}


def check_replaceable(folder: Path) -> None:
    """Checks that an export may be written at a folder: there is nothing yet, or an earlier export and nothing else.

    Raises:
        InputError: If something else is there.
    """
    if not os.path.lexists(folder):
        return
    expected = f"--out: expected a new folder or an earlier export, but {_shown(folder)}"
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"{expected} is a file or a link; give another folder")
    names = {entry.name for entry in folder.iterdir()}
    if not names:
        return
    strange = sorted(names - KNOWN - {"__pycache__"})  # which an import of model.py leaves
    if strange or CONFIG not in names:
        found = f"has {shortened(strange[0])}" if strange else f"has no {CONFIG}"
        raise InputError(f"{expected} {found}; give another folder, or remove that one")
    try:
        read_record(folder)
    except InputError as error:
        raise InputError(f"{expected} is none ({error}); give another folder, or remove that one") from error


@contextlib.contextmanager
def replaced_at_once(folder: Path) -> Iterator[Path]:
    """Yields an empty folder to fill beside `folder`, whose place it takes at the end; nothing is left after an error.

    Raises:
        InputError: If something else than an export is at the place, see `check_replaceable`.
        RunError: If the place was taken by somebody else meanwhile.
    """
    check_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(4)
    new, old = (folder.with_name(f".{folder.name}.{mark}.{word}") for word in ("new", "old"))
    new.mkdir()
    try:
        yield new
        for file in new.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        check_replaceable(folder)
        _exchange(new, folder, old)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(new: Path, folder: Path, old: Path) -> None:
    """Moves a folder away and another one to its place; where the second move fails, the first is undone."""
    had_one = folder.exists()
    if had_one:
        os.rename(folder, old)
    try:
        os.rename(new, folder)
    except OSError as error:
        if had_one:
            os.rename(old, folder)
        raise RunError(f"--out: {_shown(folder)} cannot be written ({error.strerror}); give another folder") from error


def _shown(folder: Path) -> str:
    return shortened(str(folder), 300)
