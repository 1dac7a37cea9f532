"""A run is a folder, written so that a killed run leaves the old file or the new one.

Its files are records (`raynas.records`); the README's table of them is made from there. In short:

    config.json                           the resolved configuration, seeds and versions
    data.json                             classes, mean, deviation, images of each split, files that were skipped
    supernet/seed_0/initial/              weights before the first step, written once
    supernet/seed_0/epoch_00010/          weights, optimiser and position after an epoch, and SHA256SUMS of them
    supernet/seed_0/epoch_00010_step_00120/   the same in the middle of the next one, and its sums of metrics so far
    supernet/seed_0/metrics.jsonl         one line per epoch
    supernet/seed_0/angle_tables.jsonl    one line per epoch: the sums under the angle of any architecture
    supernet/seed_0/alphas.npy, .json     alphas after every epoch, (epochs + 1, choices, candidates); their names
    supernet/seed_0/derived.jsonl         one line per epoch: the architecture that the alphas stand for
    supernet/seed_0/result.json           training of this supernet is done
    tensorboard/                          the same metrics as events
    progress.json, notes.txt              where training is now, and what it had to say
    search/history.jsonl                  one line per judged architecture
    search/result.json                    the best architectures; the search is done
    rank/angle_paper.json, .csv           how well a fitness ranks the space, and every score
    latency.json, profile.json            seconds of every candidate; how well their sums predict whole networks
    report/index.html                     all of it as a page, and its figures as files

All of it is JSON, JSON lines, safetensors, text or events: raynas is not needed to read it.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from raynas import __version__
from raynas.config.nested import flatten, set_key
from raynas.config.run_config import EXECUTION_KEYS, ROUNDING_KEYS, RunConfig, own_members, parse_config
from raynas.errors import InputError
from raynas.messages import echo, shortened
from raynas.records.record import Line, Record, text_of
from raynas.records.run_record import RunRecord
from raynas.storage.registers import is_record

PROGRESS, NOTES, METRICS = "progress.json", "notes.txt", "metrics.jsonl"
"""What workers tell whoever shows their progress: where training is now, lines for the user, and what epochs gave."""

OLD_LOCK = "lock"
"""An empty file in folders of earlier versions, which nothing looks at any more."""


def is_new(folder: Path) -> bool:
    """Returns whether a folder is not there, or holds nothing but the records of its owners."""
    try:
        return all(is_record(name) or name == OLD_LOCK for name in os.listdir(folder))
    except FileNotFoundError:
        return True


def open_run(config: RunConfig, ignore: tuple[str, ...] = ()) -> Path:
    """Returns the run's folder, made if it is new, after checking that it is this configuration's.

    The caller owns the folder: another process could write its own configuration after the check.

    Args:
        config: The resolved configuration.
        ignore: Sections of it that may differ.

    Raises:
        InputError: If the folder holds a run of another configuration, or something else altogether.
        OSError: If it cannot be written.
    """
    folder = config.folder
    file = folder / "config.json"
    if check_folder(config, ignore):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    packages = ("torch", "torchvision", "ray", "numpy")
    versions = {"raynas": __version__, "python": platform.python_version()}
    versions |= {package: version(package) for package in packages}
    created = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    write_record(file, RunRecord(config=config.model_dump(), versions=versions, created=created))
    return folder


def check_folder(config: RunConfig, ignore: tuple[str, ...] = ()) -> bool:
    """Returns whether a run of this configuration is in the run's folder; False if the folder is new.

    Args:
        config: The resolved configuration.
        ignore: Sections of it that may differ.

    Raises:
        InputError: If the folder holds a run of another configuration, or something else altogether.
        OSError: If it cannot be read.
    """
    file = config.folder / "config.json"
    if file.exists():
        changes = _changes(file, config, ignore)
        if changes:
            raise InputError(
                f"name: {config.location} holds a run of another configuration ({changes}); "
                f"give this one its own folder (--set name={config.name}-2) or remove that one"
            )
        return True
    if not is_new(config.folder):
        raise InputError(
            f"name: {config.location} exists and is not a run of raynas; choose another name or storage_path"
        )
    return False


BESIDE_TRAINING = ("algorithm", "search", "benchmark")
"""Sections that do not change the supernets; what an algorithm trains is in other keys once it is resolved."""


def training_digest(config: RunConfig) -> str:
    """Returns the same text for runs that would train the same supernets, and another for any others."""
    values = flatten(config.model_dump())
    kept = {
        key: value
        for key, value in values.items()
        if (key == "data.path" or key not in EXECUTION_KEYS) and key.partition(".")[0] not in BESIDE_TRAINING
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def check_reuse(config: RunConfig) -> None:
    """Checks that the run of `train.reuse`, if there is one, trained the supernets that this run would train.

    Raises:
        InputError: If it is no run, or one of another space, data or training.
    """
    if config.train.reuse is None:
        return
    file = config.supernets / "config.json"
    if not file.exists():
        raise InputError(
            f"train.reuse: {config.supernets_location} is no run of raynas; give the folder of one, or leave it out"
        )
    changes = _changes(file, config, BESIDE_TRAINING)
    if changes:
        raise InputError(
            f"train.reuse: {config.supernets_location} trained other supernets ({changes}); leave it out to train"
        )


def _changes(file: Path, config: RunConfig, ignore: tuple[str, ...]) -> str:
    """Returns which keys differ from those of a stored configuration, as text; empty if none that matters does.

    Args:
        file: The stored configuration.
        config: The one at hand.
        ignore: Keys and sections that may differ; `EXECUTION_KEYS` always may.
    """
    remedy = "put it back, or give this run another name"
    stored_config = RunRecord.read(file, remedy).config
    foreign = _foreign_members(stored_config, config)
    compared = [key for key in foreign if key.partition(".")[0] not in ignore]
    if compared:
        wanted = flatten(config.model_dump())
        return ", ".join(f"{key} {echo(foreign[key])} there, {echo(wanted.get(key))} here" for key in compared[:3])
    stored_config = _without_foreign_members(stored_config, config)
    try:
        there = parse_config(stored_config)  # keys that are newer than the run have their defaults
    except ValueError as error:
        reason = "; ".join(str(error).splitlines()[:2])
        raise InputError(f"name: {file} is not of this version of raynas: {reason}; {remedy}") from error
    stored, wanted = flatten(there.model_dump()), flatten(config.model_dump())
    keys = sorted({key for key in {*stored, *wanted} - EXECUTION_KEYS if key.partition(".")[0] not in ignore})
    different = [key for key in keys if stored.get(key) != wanted.get(key)]
    changes = ", ".join(f"{key} {echo(stored.get(key))} there, {echo(wanted.get(key))} here" for key in different[:3])
    return f"{changes} and {len(different) - 3} more" if len(different) > 3 else changes


def _foreign_members(stored: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """Returns the members of a user's own that a stored configuration names and the one at hand does not, by key.

    A folder that somebody else wrote may name any module: what only it names is compared as text, and not imported.
    """
    here = own_members(config.model_dump())
    return {key: names for key, names in own_members(stored).items() if names != here.get(key)}


def _without_foreign_members(stored: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """Returns a stored configuration with the names at hand in the place of members that only it names."""
    values = copy.deepcopy(dict(stored))
    wanted = flatten(config.model_dump())
    for key in _foreign_members(stored, config):
        set_key(values, key, wanted.get(key), key)
    return values


def rounding_change(config: RunConfig) -> str | None:
    """Returns, in one line, which keys make a resumed run differ from its beginning by rounding; None if none does."""
    stored_config = RunRecord.read(config.folder / "config.json").config
    stored = parse_config(_without_foreign_members(stored_config, config))
    differing = {}
    for key in sorted(ROUNDING_KEYS):
        there, here = flatten(stored.model_dump())[key], flatten(config.model_dump())[key]
        if there != here and {str(there), str(here)} != {"0", "1"}:  # no worker and one worker give the same bits
            differing[key] = f"{key} was {there} and is {here}"
    if not differing:
        return None
    return f"{'; '.join(differing.values())}: what is computed from here on agrees to rounding, not to the bit"


def seed_folder(folder: Path, base_seed: int) -> Path:
    """Returns the folder of one supernet."""
    return folder / "supernet" / f"seed_{base_seed}"


Kind: TypeAlias = type | tuple[type, ...]
NUMBER: Kind = (int, float)
"""A number as JSON has it."""

NO_KEYS: Mapping[str, Kind] = {}


def read_json(
    file: Path, keys: Mapping[str, Kind] = NO_KEYS, remedy: str = "remove it to have its stage run again"
) -> dict[str, Any]:
    """Returns the content of a JSON file of the run, a mapping.

    Args:
        file: The file.
        keys: What must be there, and of which kind.
        remedy: What helps if it is damaged.

    Raises:
        InputError: If it is not JSON, or not of these keys.
    """
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged ({shortened(str(error))}); {remedy}") from error
    if (lack := lacking(content, keys)) is not None:
        raise InputError(f"{file} is damaged ({lack}); {remedy}")
    return content


def lacking(content: object, keys: Mapping[str, Kind]) -> str | None:
    """Returns what a JSON value lacks of a mapping with values of such kinds under these keys; None if nothing."""
    if not isinstance(content, dict):
        return f"expected keys and values, got {echo(content)}"
    for key, kind in keys.items():
        value = content.get(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            names = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
            return f"expected {names} under {key}, got {echo(value)}"
    return None


def records(file: Path, keys: Mapping[str, Kind]) -> list[dict[str, Any]]:
    """Returns the JSON lines of a file that are whole and have values of such kinds, up to the first that is not so."""
    found: list[dict[str, Any]] = []
    for line in whole_lines(file):
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            break
        if lacking(content, keys) is not None:
            break
        found.append(content)
    return found


def whole_lines(file: Path) -> list[str]:
    """Returns the lines of a file that are written to their ends; none if it is not there."""
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    return text[: text.rfind("\n") + 1].split("\n")[:-1]


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file at once: readers see the old content or the new."""
    write_text(file, json.dumps(content, indent=2) + "\n")


def write_record(file: Path, record: Record) -> None:
    """Writes a record at once: readers see the old one or the new."""
    write_json(file, record.content())


def append_lines(file: Path, lines: Sequence[Line]) -> None:
    """Adds lines to the end of a file."""
    append_text(file, text_of(lines))


def write_text(file: Path, text: str) -> None:
    """Writes a text file at once: readers see the old content or the new."""
    write_bytes(file, text.encode("utf-8"))


def write_bytes(file: Path, content: bytes) -> None:
    """Writes a file at once: readers see the old content or the new."""
    with failures_named(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = _unfinished(file)
        try:
            with temporary.open("xb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def append_text(file: Path, text: str) -> None:
    """Adds text to the end of a file."""
    with failures_named(file), file.open("a", encoding="utf-8") as stream:
        stream.write(text)


@contextlib.contextmanager
def failures_named(file: Path) -> Iterator[None]:
    """Lets an OSError of the block, such as a full disk, name the file that was to be written."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error


@contextlib.contextmanager
def written_at_once(folder: Path) -> Iterator[Path]:
    """Yields a folder to fill, which becomes `folder` when all of it is written, in the place of an older one."""
    with failures_named(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = _unfinished(folder)
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.iterdir():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
            if folder.exists():
                shutil.rmtree(folder)
            os.rename(temporary, folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def _unfinished(path: Path) -> Path:
    """Returns where a file or folder is written before it takes its place."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def drop_unfinished(folder: Path) -> None:
    """Removes what killed processes left half-written in a folder, and the lock of an earlier version."""
    for path in folder.glob(".*"):
        if re.fullmatch(r"\..+\.[a-z0-9_]{8}", path.name):  # as `_unfinished` and earlier versions name them
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / OLD_LOCK).unlink(missing_ok=True)
