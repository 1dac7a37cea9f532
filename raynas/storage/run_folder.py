"""The folder of a run, whose files are written atomically: a killed run leaves the old or the new file.

The files are records (`raynas.records`), from which the table in `records/README.md` is generated. In short:

    config.json                           the resolved configuration, seeds and versions
    data.json                             classes, mean, deviation, images of each split, files that were skipped
    supernet/seed_0/initial/              weights before the first step, written once
    supernet/seed_0/epoch_00010/          weights, optimiser and position after an epoch, and SHA256SUMS of them
    supernet/seed_0/epoch_00010_step_00120/   the same within the next epoch, and its sums of metrics so far
    supernet/seed_0/metrics.jsonl         one line per epoch
    supernet/seed_0/angle_tables.jsonl    one line per epoch: the sums for the angle of any architecture
    supernet/seed_0/alphas.npy, .json     alphas after every epoch, (epochs + 1, choices, candidates); their names
    supernet/seed_0/derived.jsonl         one line per epoch: the architecture that the alphas give
    supernet/seed_0/result.json           the training of this supernet is complete
    tensorboard/                          the same metrics, the search and the ranking as events
    trackers/mlflow.json, wandb/          what each tracker was told; what W&B keeps offline
    progress.json, notes.txt              current position of the training, and its notes
    search/history.jsonl                  one line per evaluated architecture
    search/refined.jsonl                  one line per architecture that `search.refine` evaluated again
    search/result.json                    the best architectures; the search is complete
    retrain/own/config.json, result.json  recipe and networks of a retraining; their test accuracies
    retrain/own/best-1/seed_0/            a network trained from scratch: files as those of a supernet
    rank/angle_paper.json, .csv           rank correlation of a fitness, and every score
    latency.json, profile.json            seconds of every candidate; accuracy of their sums for whole networks
    report/index.html                     the results as a page, and its figures as files

The formats are JSON, JSON lines, safetensors, text and events, which need no raynas to read.
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
from pathlib import Path
from typing import Any

from raynas import __version__
from raynas.config.default_values import default_values
from raynas.config.nested import flatten, set_key
from raynas.config.run_config import EXECUTION_KEYS, ROUNDING_KEYS, RunConfig, own_members, parse_config
from raynas.errors import InputError
from raynas.messages import echo
from raynas.optional import installed_version
from raynas.records.record import Line, Record, text_of
from raynas.records.run_record import RunRecord, SearchPlan
from raynas.storage.registers import is_record

PROGRESS, NOTES, METRICS = "progress.json", "notes.txt", "metrics.jsonl"
"""Files by which workers report their progress: the position of the training, notes, and results of epochs."""

UNFINISHED = re.compile(r"\..+\.[a-z0-9_]{8}")
"""Names of files that are being written, as `_unfinished`, claims of a folder and earlier versions make them."""

OLD_LOCK = "lock"
"""An empty file in folders of earlier versions, which is not used any more."""


def is_new(folder: Path) -> bool:
    """Returns whether a folder does not exist, or has only the records of its owners and files that are being written.

    Another process that claims the folder writes its record under a name of its own first.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return True
    return all(is_record(name) or name == OLD_LOCK or UNFINISHED.fullmatch(name) for name in names)


def open_run(config: RunConfig, ignore: tuple[str, ...] = ()) -> Path:
    """Checks that the run's folder belongs to this configuration and returns it; a new folder is created.

    The caller must own the folder. Otherwise another process could write its own configuration after the check.

    Args:
        config: The resolved configuration.
        ignore: Sections of it that may differ.

    Raises:
        InputError: If the folder has a run of another configuration, or other files.
        OSError: If it cannot be written.
    """
    folder = config.folder
    file = folder / "config.json"
    if check_folder(config, ignore):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    packages = ("torch", "torchvision", "ray", "numpy")
    versions = {"raynas": __version__, "python": platform.python_version()}
    versions |= {package: found for package in packages if (found := installed_version(package)) is not None}
    created = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    plan = SearchPlan.checked(
        {
            "fitness": "+".join(row.name for row in config.search.fitness_rows),
            "name": config.search.fitness_name,
            "quantities": config.search.recorded_quantities(),
            "objectives": list(config.search.objectives_beside_fitness),
        },
        f"the rows of {' and '.join(config.search.fitnesses)}",
        "correct what they state",
    )
    defaults = default_values(config.model_dump(mode="json"), own=True)
    values = config.model_dump()
    write_record(file, RunRecord(config=values, versions=versions, created=created, plan=plan, defaults=defaults))
    return folder


def check_folder(config: RunConfig, ignore: tuple[str, ...] = ()) -> bool:
    """Returns whether a run of this configuration is in the run's folder; False if the folder is new.

    Args:
        config: The resolved configuration.
        ignore: Sections of it that may differ.

    Raises:
        InputError: If the folder has a run of another configuration, or other files.
        OSError: If it cannot be read.
    """
    file = config.folder / "config.json"
    if is_new(config.folder):  # asked first: another process may begin the run at any time
        return False
    if not file.exists():
        raise InputError(
            f"name: {config.location} exists and is not a run of raynas; choose another name or storage_path"
        )
    changes = _changes(file, config, ignore)
    if changes:
        raise InputError(
            f"name: {config.location} holds a run of another configuration ({changes}); "
            f"give this one its own folder (--set name={config.name}-2) or remove that one"
        )
    return True


LATER = ("retrain", "trackers")
"""Sections that a run may have others of later: what they lead to is kept in folders of its own."""

BESIDE_TRAINING = ("algorithm", "search", "benchmark", *LATER)
"""Sections that do not change the supernets; resolved configurations state the training in other keys."""


def training_digest(config: RunConfig) -> str:
    """Returns a digest that is equal for runs with the same training of supernets, and different for others."""
    values = flatten(config.model_dump())
    kept = {
        key: value
        for key, value in values.items()
        if (key == "data.path" or key not in EXECUTION_KEYS) and key.partition(".")[0] not in BESIDE_TRAINING
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def check_reuse(config: RunConfig) -> None:
    """Checks that the run of `train.reuse`, if set, trained the same supernets as this run would train.

    Raises:
        InputError: If it is not a run, or has another space, data or training.
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
    """Returns the keys that differ from a stored configuration, as text; empty without relevant differences.

    Args:
        file: The stored configuration.
        config: The current configuration.
        ignore: Keys and sections that may differ; `EXECUTION_KEYS` always may.
    """
    remedy = "put it back, or give this run another name"
    stored_config = RunRecord.read(file, remedy).config
    foreign = _foreign_members(stored_config, config)
    beside = {*ignore, *LATER}
    compared = [key for key in foreign if key.partition(".")[0] not in beside]
    if compared:
        wanted = flatten(config.model_dump())
        return ", ".join(f"{key} {echo(foreign[key])} there, {echo(wanted.get(key))} here" for key in compared[:3])
    stored_config = _without_foreign_members(stored_config, config)
    try:
        there = parse_config(stored_config)  # keys newer than the run have their defaults
    except ValueError as error:
        reason = "; ".join(str(error).splitlines()[:2])
        raise InputError(f"name: {file} is not of this version of raynas: {reason}; {remedy}") from error
    stored, wanted = flatten(there.model_dump()), flatten(config.model_dump())
    keys = sorted({key for key in {*stored, *wanted} - EXECUTION_KEYS if key.partition(".")[0] not in beside})
    return differences(stored, wanted, keys)


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Returns the keys whose values differ, as text with the first three; empty without differences."""
    different = [key for key in keys if stored.get(key) != wanted.get(key)]
    changes = ", ".join(f"{key} {echo(stored.get(key))} there, {echo(wanted.get(key))} here" for key in different[:3])
    return f"{changes} and {len(different) - 3} more" if len(different) > 3 else changes


def _foreign_members(stored: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """Returns a user's own members that only the stored configuration names, by key.

    A folder of somebody else may name any module. A name that only the folder states is compared as text, and the
    module is not imported.
    """
    here = own_members(config.model_dump())
    return {key: names for key, names in own_members(stored).items() if names != here.get(key)}


def _without_foreign_members(stored: Mapping[str, Any], config: RunConfig) -> dict[str, Any]:
    """Returns a stored configuration, with current names in place of members that only it names."""
    values = copy.deepcopy(dict(stored))
    wanted = flatten(config.model_dump())
    for key in _foreign_members(stored, config):
        set_key(values, key, wanted.get(key), key)
    return values


def rounding_change(config: RunConfig) -> str | None:
    """Returns one line: the keys that change the rounding of a resumed run; None without such keys."""
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


def whole_lines(file: Path) -> list[str]:
    """Returns the complete lines of a file; none without the file."""
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    return text[: text.rfind("\n") + 1].split("\n")[:-1]


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file atomically: readers see the old or the new content."""
    write_text(file, json.dumps(content, indent=2) + "\n")


def write_record(file: Path, record: Record) -> None:
    """Writes a record atomically: readers see the old or the new record."""
    write_json(file, record.content())


def append_lines(file: Path, lines: Sequence[Line]) -> None:
    """Adds lines to the end of a file."""
    append_text(file, text_of(lines))


def write_text(file: Path, text: str) -> None:
    """Writes a text file atomically: readers see the old or the new content."""
    write_bytes(file, text.encode("utf-8"))


def write_bytes(file: Path, content: bytes) -> None:
    """Writes a file atomically: readers see the old or the new content."""
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
    """Adds the name of the file to an OSError of the block, such as a full disk."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error


@contextlib.contextmanager
def written_at_once(folder: Path) -> Iterator[Path]:
    """Yields a folder to fill; it replaces `folder` when it is complete."""
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
    """Returns the path at which a file or folder is written before it is moved into place."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def drop_unfinished(folder: Path) -> None:
    """Removes incomplete files of killed processes from a folder, and the lock of an earlier version."""
    for path in folder.glob(".*"):
        if UNFINISHED.fullmatch(path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (folder / OLD_LOCK).unlink(missing_ok=True)
