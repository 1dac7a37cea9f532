"""The runs and sweeps of a folder, each with how far it is: read from its records, without torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from raynas.config.locations import refuse_links
from raynas.errors import InputError
from raynas.messages import shortened
from raynas.records.retrain_record import RetrainRecord
from raynas.records.run_record import RunRecord
from raynas.records.search_record import SearchRecord
from raynas.records.sweep_record import ResultsRecord, SweepRecord
from raynas.records.training_record import ProgressRecord
from raynas.storage.owner import Owner
from raynas.storage.registers import RECORD


@dataclass(frozen=True)
class ListedRun:
    """A run or sweep in a folder.

    Attributes:
        name: Name of its folder.
        folder: Its folder.
        kind: run or sweep.
        state: How far it is, such as ``trained`` or ``training, epoch 3 of 10``.
        is_running: Whether a process of this machine works on it, or one of another machine claims it.
        best: What was found best, in a few words; empty if nothing was found yet.
        changed: Time of its last change in seconds since 1970.
    """

    name: str
    folder: Path
    kind: str
    state: str
    is_running: bool
    best: str
    changed: float

    @property
    def age(self) -> float:
        """Seconds since its last change."""
        return max(0.0, time.time() - self.changed)

    @property
    def written_age(self) -> str:
        """The time since its last change in its largest unit, such as ``3 h``."""
        seconds = self.age
        for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
            if seconds >= length:
                return f"{int(seconds / length)} {unit}"
        return f"{int(seconds)} s"


def is_run(place: Path) -> bool:
    """Returns whether a folder is that of a run or sweep."""
    return (place / RunRecord.file).is_file() or (place / SweepRecord.file).is_file()


def require_folder(folder: Path) -> None:
    """Checks that there is a folder of runs.

    Raises:
        InputError: If there is none.
    """
    if not folder.is_dir():
        raise InputError(f"{shortened(str(folder), 300)}: expected a folder of runs, got none; give the storage_path")


def runs_in(folder: Path) -> list[ListedRun]:
    """Returns the runs and sweeps directly inside a folder, the latest first. Records that are damaged are named.

    Raises:
        InputError: If there is no such folder.
    """
    require_folder(folder)
    found = [_listed(place) for place in sorted(folder.iterdir()) if is_run(place)]
    return sorted(found, key=lambda run: -run.changed)


def _listed(folder: Path) -> ListedRun:
    """Returns a run or sweep with what its records state."""
    kind = "sweep" if (folder / SweepRecord.file).is_file() else "run"
    try:
        refuse_links(folder)
        state, best = _sweep_state(folder) if kind == "sweep" else _run_state(folder)
    except InputError as error:
        state, best = f"damaged: {shortened(str(error), 200)}", ""
    return ListedRun(folder.name, folder, kind, state, _is_owned(folder), best, _changed(folder))


def _run_state(folder: Path) -> tuple[str, str]:
    """Returns how far a run is, and what it found best.

    Raises:
        InputError: If a record is damaged.
    """
    retrained = [RetrainRecord.read(file) for file in sorted(folder.glob("retrain/*/result.json"))]
    result = folder / SearchRecord.file
    best = ""
    if result.is_file():
        record = SearchRecord.read(result)
        best = f"{record.fitness} {record.best[0].fitness:.5g}" if record.best else ""
    if retrained:
        last = retrained[-1]
        unit = "" if last.is_of_text else " %"
        return "retrained", f"{last.tested} {last.networks[0].tested.mean:.2f}{unit}"
    if best:
        return "searched", best
    seeds = RunRecord.read(folder / RunRecord.file).section("train").get("base_seeds") or []
    if seeds and all((folder / f"supernet/seed_{seed}/result.json").is_file() for seed in seeds):
        return "trained", ""
    progress = folder / ProgressRecord.file
    if progress.is_file():
        record_of_training = ProgressRecord.read(progress)
        epochs = record_of_training.epochs
        of = "" if epochs is None else f" of {epochs:,}"
        return f"training, epoch {record_of_training.epoch + 1:,}{of}", ""
    return "begun", ""


def _sweep_state(folder: Path) -> tuple[str, str]:
    """Returns how far a sweep is, and its best setting.

    Raises:
        InputError: If a record is damaged.
    """
    file = folder / ResultsRecord.file
    if not file.is_file():
        return "begun", ""
    results = ResultsRecord.read(file)
    done = sum(trial.status in ("done", "stopped") for trial in results.trials)
    failed = sum(trial.status == "failed" for trial in results.trials)
    state = f"{done:,} of {len(results.trials):,} trials done" + (f", {failed:,} failed" if failed else "")
    means = [row.metrics[results.metric].mean for row in results.rows if results.metric in row.metrics]
    known = [mean for mean in means if mean is not None]
    if not known:
        return state, ""
    return state, f"{results.metric} {max(known) if results.mode == 'max' else min(known):.5g}"


def _is_owned(folder: Path) -> bool:
    """Returns whether a process that is not provably dead claims a folder."""
    owners = []
    for file in folder.glob(f"{RECORD}.*"):
        try:
            owners.append(Owner.parsed(file.read_bytes()))
        except OSError:  # released meanwhile
            continue
    return any(not owner.is_dead() for owner in owners)


def _changed(folder: Path) -> float:
    """Returns when one of the records of a run or sweep was last written."""
    records = (RunRecord.file, SweepRecord.file, ProgressRecord.file, ResultsRecord.file, "search/*", "retrain/*/*")
    times = [folder.stat().st_mtime]
    for pattern in (*records, "supernet/seed_*/metrics.jsonl"):
        times += [file.stat().st_mtime for file in folder.glob(pattern) if file.is_file()]
    return max(times)
