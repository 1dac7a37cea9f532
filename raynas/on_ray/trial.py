"""One run of a sweep, in the process that Tune starts."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from raynas.config.locations import within
from raynas.config.nested import flatten
from raynas.config.run_config import ROUNDING_KEYS, RunConfig
from raynas.config.sweeps import Sweep, Trial
from raynas.errors import InputError
from raynas.failures import described
from raynas.members import is_own
from raynas.on_ray.cluster import worker_resources
from raynas.on_ray.nodes import Needs
from raynas.on_ray.session import on_ray
from raynas.records.retrain_record import RetrainRecord
from raynas.records.training_record import DerivedLine, EpochLine
from raynas.stages.evaluation import needs_training
from raynas.stages.run import rank_run, run, train_shared
from raynas.stages.supernet_records import DERIVED
from raynas.stages.train_supernet import is_trained
from raynas.storage.run_folder import METRICS as METRICS_FILE
from raynas.storage.run_folder import PROGRESS, seed_folder, training_digest
from raynas.sweep_metrics import SWEEP_METRICS, SweepMetric, TrialOutcome

SUPERNETS = "supernets"
"""Subfolder of a sweep with the runs whose supernets several trials share."""

ROOM, TRAINED = "has_room", "is_trained"
"""Keys that a trial reports besides its epochs: whether its workers have room, and the end of the training."""


def is_alone(config: RunConfig) -> bool:
    """Returns whether one process is enough for a trial."""
    return config.train.worker_range[1] <= 1 and (config.search.evaluators or 0) <= 1


def as_trial(config: RunConfig) -> RunConfig:
    """Returns the configuration of the run in a trial: in one process, or with a fixed number of workers.

    The number is the least of the requested ones, since an elastic trainer would count on the room of other trials.
    """
    if is_alone(config):
        workers, evaluators = 0, 0
    else:
        workers = max(1, config.train.worker_range[0])
        evaluators = workers if config.search.evaluators is None else config.search.evaluators
    train = config.train.model_copy(update={"workers": workers})
    return config.model_copy(
        update={"train": train, "search": config.search.model_copy(update={"evaluators": evaluators})}
    )


def trial_needs(config: RunConfig) -> Needs:
    """Returns the resources of a trial: the maximum of its workers and, after them, its evaluators."""
    train, search = as_trial(config).train, as_trial(config).search
    workers, evaluators = max(1, train.worker_range[0]), max(1, search.evaluators or 0)
    cpus = max(workers * train.cpus_per_worker, evaluators * search.cpus_per_evaluator)
    gpus = max(workers if train.use_gpu else 0, evaluators * search.gpus_per_evaluator)
    remedies = {
        "CPU": "lower train.workers, search.evaluators or the CPUs of each",
        "GPU": "set train.use_gpu to false",
    }
    return Needs("sweep", "a trial needs", {"CPU": float(cpus)} | ({"GPU": float(gpus)} if gpus else {}), remedies)


def led_bundles(config: RunConfig) -> tuple[dict[str, float], ...]:
    """Returns the resources of each training worker that a trial leads; none without workers."""
    if is_alone(config):
        return ()
    return (worker_resources(config),) * as_trial(config).train.worker_range[0]


class EpochFeed:
    """Reports the epochs of a training, earlier ones included: the position, and the metrics of an epoch.

    Attributes:
        epochs: Number of reported epochs.
    """

    def __init__(
        self, report: Callable[[dict[str, Any]], None], metrics: Mapping[str, SweepMetric] | None = None
    ) -> None:
        """Stores the receiver of each epoch, and the metrics of the sweep; by default those of raynas."""
        self._report = report
        self._metrics = SWEEP_METRICS.rows() if metrics is None else metrics
        self._files: list[Path] = []
        self.epochs = 0

    def follow(self, config: RunConfig) -> None:
        """Follows the training of a run."""
        self._files = [seed_folder(config.folder, seed) / METRICS_FILE for seed in config.base_seeds]
        self()

    def __call__(self) -> None:
        """Reports new events."""
        lines = [line for file in self._files for line in _lines(file)]
        for line in lines[self.epochs :]:
            self.epochs += 1
            known = {name: row.of_epoch(line) for name, row in self._metrics.items() if row.of_epoch is not None}
            self._report({"epoch": self.epochs, **known})


class RoomFeed:
    """Reports when the workers of a trial ask for room, when they have room, and when the supernets are trained.

    Training workers have room when their progress file changes, and evaluators when their records change.
    """

    def __init__(self, report: Callable[[dict[str, Any]], None], training: RunConfig, run: RunConfig) -> None:
        """Stores the receiver, the run that trains the supernets, and the run of the trial."""
        self._report = report
        self._training, self._run = training, run
        self._leads = not is_alone(run)
        self._before: list[tuple[str, int, int]] | None = None  # the records when room was asked for
        self._has_asked = self._is_trained = False

    def ask(self) -> None:
        """Reports that workers or evaluators are about to ask for room."""
        self._has_asked = True
        self._before = self._records()
        if self._leads:
            self._report({ROOM: False})

    def __call__(self) -> None:
        """Reports new events."""
        seeds = self._training.base_seeds
        was_trained, self._is_trained = (
            self._is_trained,
            all(is_trained(self._training.folder, seed) for seed in seeds),
        )
        if self._is_trained and not was_trained:
            self._report({TRAINED: True})
            self.ask()  # evaluators are next
        elif not self._has_asked:
            self.ask()
        elif self._before is not None and self._records() != self._before:
            self._before = None
            if self._leads:
                self._report({ROOM: True})

    def _records(self) -> list[tuple[str, int, int]]:
        """Returns name, size and time of the files that workers or evaluators write once they have room."""
        files = [
            self._training.folder / PROGRESS,
            self._run.folder / "search" / "history.jsonl",
            *sorted((self._run.folder / "rank").glob("*.scores.jsonl")),
        ]
        states = [(file.name, file.stat()) for file in files if file.exists()]
        return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def _lines(file: Path) -> list[dict[str, Any]]:
    """Returns what epochs left, up to the first line that is damaged."""
    whole = itertools.takewhile(_is_whole, EpochLine.read_good(file))
    return [line.content() for line in whole]


def _is_whole(line: EpochLine) -> bool:
    """Returns whether the line of an epoch has what its training measures."""
    return line.accuracy is not None or "perplexity" in line.stated()


def carry_out(
    trial: Trial,
    sweep: Sweep,
    shared: frozenset[str],
    feed: EpochFeed,
    report: Callable[[dict[str, Any]], None],
    say: Callable[[str], None],
) -> dict[str, float]:
    """Runs the remaining stages of a trial and returns its metrics.

    Args:
        trial: The trial.
        sweep: The sweep of the trial.
        shared: Digests of the trainings that run once for several trials.
        feed: Receives the epochs.
        report: Receives the reports of `RoomFeed`.
        say: Receives a line about another process that the trial waits for.

    Raises:
        InputError: If the configuration, the data or the folder is invalid.
        RunError: If training keeps failing, or an evaluation fails.
    """
    config, silent = as_trial(trial.config), Console(file=io.StringIO())
    training, digest = config, training_name(trial.config, sweep.base)
    shares = digest in shared
    if shares:
        training = config.model_copy(update={"name": digest, "storage_path": within(sweep.base.location, SUPERNETS)})
        config = config.model_copy(update={"train": config.train.model_copy(update={"reuse": training.location})})
    feed.follow(training)
    room = RoomFeed(report, training, config)

    def watch() -> None:
        feed()
        room()

    if shares:
        train_shared(training, silent, on_ray, watch=watch, say=say)
    # Workers of a killed sweep may run for some more seconds.
    result = run(config, silent, on_ray, watch=watch, wait=60, say=say, group=sweep.base.name).result
    feed()
    assert result is not None
    ranking = None
    if sweep.settings.rank:
        room.ask()
        ranking = rank_run(config, silent, on_ray, watch=watch)
    return metrics_of(outcome_of(config, result, ranking), sweep.settings.metrics)


def training_name(config: RunConfig, base: RunConfig) -> str | None:
    """Returns a name that trials with bitwise equal supernets share; None for a trial without a training.

    Args:
        config: The configuration of a trial.
        base: The base configuration of the sweep.
    """
    if config.train.reuse is not None or not needs_training(config.search):
        return None
    values, of_base = flatten(config.model_dump()), flatten(base.model_dump())
    keys = sorted(key for key in ROUNDING_KEYS if key.startswith("train.") and values[key] != of_base[key])
    return "_".join([training_digest(config), *(re.sub(r"[^\w.]+", "-", f"{key[6:]}-{values[key]}") for key in keys)])


def outcome_of(config: RunConfig, result: Mapping[str, Any], ranking: Mapping[str, Any] | None) -> TrialOutcome:
    """Returns the results of a trial.

    Args:
        config: Its configuration.
        result: The result of its search.
        ranking: The ranking by its fitness; None if it was not requested.
    """
    retrained = None
    if config.retrain is not None:
        retrained = RetrainRecord.read(config.folder / config.retrain.folder / "result.json").content()
    if not needs_training(config.search):
        return TrialOutcome(result, ranking, retrained=retrained)
    folders = [seed_folder(config.supernets, seed) for seed in config.base_seeds]
    derived = [lines[-1].content() for folder in folders if (lines := DerivedLine.read_good(folder / DERIVED))]
    epochs = [_lines(folder / METRICS_FILE) for folder in folders]
    return TrialOutcome(result, ranking, epochs, derived, retrained)


def metrics_of(outcome: TrialOutcome, metrics: Mapping[str, SweepMetric]) -> dict[str, float]:
    """Returns the metrics of a trial, by their names in the sweep file.

    Raises:
        InputError: If a metric of the user fails.
    """
    found: dict[str, float] = {}
    for name, metric in metrics.items():
        try:
            value = metric.take(outcome)
        except Exception as error:
            if not is_own(name):
                raise
            raise InputError(f"sweep.metric: {name} ends in {described(error)}; correct its function") from error
        if value is not None:
            found[name] = float(value)
    return found
