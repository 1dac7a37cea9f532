"""The last stage of a run: the best architectures and their controls, trained from scratch and tested."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from raynas.config.nested import flatten
from raynas.config.retrain_section import CHOSEN, RetrainSection
from raynas.data import split_images
from raynas.errors import InputError
from raynas.records.record import Number
from raynas.records.retrain_record import (
    Estimate,
    NetworkEpochLine,
    RetrainedNetwork,
    RetrainingRecord,
    RetrainRecord,
    SeedResult,
    SubjectRecord,
)
from raynas.records.search_record import SearchRecord
from raynas.stages.backend import Backend
from raynas.stages.carry_out import carry_out
from raynas.stages.network_trainings import make_trainings, network_plans, network_trainings
from raynas.stages.retrain_results import compare, estimate
from raynas.stages.subjects import Subject, subjects_of
from raynas.stages.task import Task
from raynas.stages.training import is_done
from raynas.storage.mirror import Mirror
from raynas.storage.run_folder import METRICS, differences, write_record

SETTINGS, RESULT = "config.json", "result.json"
"""The files of a retraining in its folder."""


def retrain(task: Task, mirror: Mirror, backend: Backend, console: Console, watch: Callable[[], None]) -> RetrainRecord:
    """Trains the networks of a retraining that are not done, and returns what all of them came to.

    Args:
        task: Space and images.
        mirror: The run's folder, and the copying of its files.
        backend: Trains, unless this process does.
        console: Receives the progress.
        watch: Called after every epoch, or more often.

    Raises:
        InputError: If the search is not done, or the folder has a retraining of other settings.
        RunError: If training keeps failing.
    """
    section = _section(task)
    folder = mirror.folder / section.folder
    subjects = subjects_of(task, None if section.architectures else _search_result(mirror.folder))
    records = [subject.record(task) for subject in subjects]
    _begin(folder, section, records)
    plans = network_plans(subjects, task.config)
    for record in records:
        console.print(_line(record), highlight=False, markup=False, soft_wrap=True)
    if not all(is_done(mirror.folder, plan) for plan in plans):
        trainings = network_trainings(subjects)
        carry_out(trainings, lambda: make_trainings(subjects, task), task.config, mirror, backend, console, watch)
    result = _result(task, mirror.folder, subjects, records)
    write_record(folder / RESULT, result)
    mirror.push()
    return result


def _section(task: Task) -> RetrainSection:
    section = task.config.retrain
    assert section is not None
    return section


def _search_result(folder: Path) -> SearchRecord:
    """Returns the result of a run's search.

    Raises:
        InputError: If there is none.
    """
    file = folder / "search" / "result.json"
    if not file.exists():
        raise InputError(
            f"{folder}: its search is not done, so that there is nothing to retrain; give `raynas run` with its run "
            "file, or name architectures in retrain.architectures"
        )
    return SearchRecord.read(file)


def _line(record: SubjectRecord) -> str:
    """Returns a line about a network that is trained."""
    return (
        f"retrain: {record.name}  {record.num_parameters / 1e6:.3f} M parameters  "
        f"{record.multiply_adds / 1e6:.2f} M multiply-adds  {record.description}"
    )


def _begin(folder: Path, section: RetrainSection, records: Sequence[SubjectRecord]) -> None:
    """Writes what is trained, and how, unless the folder has it.

    Raises:
        InputError: If the folder has a retraining of other settings, or of other networks under the same names.
    """
    file = folder / SETTINGS
    settings = section.model_dump()
    known: dict[str, SubjectRecord] = {}
    if file.exists():
        there = RetrainingRecord.read(file)
        if differing := _differences(there.settings, settings):
            raise InputError(
                f"retrain.name: {folder} holds a retraining of other settings ({differing}); give this one a name of "
                "its own with retrain.name"
            )
        known = {record.name: record for record in there.subjects}
    for record in records:
        before = known.setdefault(record.name, record)
        if (before.architecture, before.space) != (record.architecture, record.space):
            raise InputError(
                f"retrain.name: {folder} trained {before.description} as {record.name}, which is "
                f"{record.description} now; give this one a name of its own with retrain.name"
            )
    write_record(file, RetrainingRecord(settings=settings, subjects=list(known.values())))


def _differences(there: dict[str, Any], here: dict[str, Any]) -> str:
    """Returns the keys that differ, as text; empty if those that matter are equal."""
    stored, wanted = flatten(there), flatten(here)
    keys = [key for key in sorted({*stored, *wanted}) if key.partition(".")[0] not in CHOSEN]
    return differences(stored, wanted, keys)


def _result(task: Task, folder: Path, subjects: Sequence[Subject], records: Sequence[SubjectRecord]) -> RetrainRecord:
    """Returns the result of a retraining whose trainings are done."""
    section = _section(task)
    plans = {(plan.folder): plan for plan in network_plans(subjects, task.config)}
    networks = []
    for record in records:
        seeds = []
        for seed in section.seeds:
            place = folder / plans[f"{section.folder}/{record.name}/seed_{seed}"].folder
            seeds.append(_seed_result(place / METRICS, seed))
        networks.append(
            RetrainedNetwork(
                **record.stated(),
                seeds=seeds,
                accuracy=estimate([float(one.test_accuracy) for one in seeds]),
                validation=_estimate(one.validation_accuracy for one in seeds),
                perplexity=_estimate(one.test_perplexity for one in seeds),
                validation_perplexity=_estimate(one.validation_perplexity for one in seeds),
            )
        )
    train, _ = split_images(task.dataset.train, section.train_portion, task.config.seed)
    return RetrainRecord(
        recipe=section.recipe,
        data=task.dataset.name,
        train_images=len(train),
        test_images=len(task.dataset.test),
        num_classes=task.dataset.num_classes,
        epochs=section.epochs,
        networks=networks,
        comparisons=[compare(networks[0], other) for other in networks if other.reason in section.controls],
    )


def _estimate(values: Iterable[Number | None]) -> Estimate | None:
    """Returns the estimate of figures of seeds; None where none has one."""
    known = [float(value) for value in values if value is not None]
    return estimate(known) if known else None


def _seed_result(metrics: Path, seed: int) -> SeedResult:
    """Returns the figures of a training that is done, from the lines of its epochs."""
    lines = NetworkEpochLine.read_all(metrics)
    last = lines[-1]
    assert last.test_accuracy is not None and last.test_loss is not None, "the last epoch measures"
    return SeedResult(
        seed=seed,
        test_accuracy=last.test_accuracy,
        test_top5_accuracy=last.test_top5_accuracy,
        test_loss=last.test_loss,
        validation_accuracy=last.validation_accuracy,
        test_perplexity=last.test_perplexity,
        validation_perplexity=last.validation_perplexity,
        seconds=sum(line.seconds or 0.0 for line in lines),
    )
