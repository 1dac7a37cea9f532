"""One run of a sweep, in whatever process Tune starts it."""

from __future__ import annotations

import io
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from raynas.config.locations import within
from raynas.config.nested import flatten
from raynas.config.run_config import ROUNDING_KEYS, RunConfig
from raynas.config.sweeps import METRICS, Sweep, Trial
from raynas.on_ray.cluster import Needs, worker_resources
from raynas.on_ray.session import on_ray
from raynas.stages.judge import needs_training
from raynas.stages.run import rank_run, run, train_shared
from raynas.stages.train_supernet import DERIVED, is_trained
from raynas.storage.run_folder import METRICS as METRICS_FILE
from raynas.storage.run_folder import NUMBER, PROGRESS, records, seed_folder, training_digest

SUPERNETS = "supernets"
"""Where in a sweep's folder the runs are whose supernets several trials judge by."""

ROOM, TRAINED = "has_room", "is_trained"
"""What a trial reports beside its epochs: whether what it leads has room, and that its supernets are trained."""


def is_alone(config: RunConfig) -> bool:
    """Returns whether one process is enough for a trial."""
    return config.train.worker_range[1] <= 1 and (config.search.evaluators or 0) <= 1


def as_trial(config: RunConfig) -> RunConfig:
    """Returns the configuration as a trial carries it out.

    In one process, or on a fixed number of workers, the least that is asked for: an elastic trainer would count on what
    other trials hold.
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
    """Returns what a trial takes: the most of what its workers and, after them, its evaluators take."""
    train, search = as_trial(config).train, as_trial(config).search
    workers, evaluators = max(1, train.worker_range[0]), max(1, search.evaluators or 0)
    cpus = max(workers * train.cpus_per_worker, evaluators * search.cpus_per_evaluator)
    gpus = max(workers if train.use_gpu else 0, evaluators * search.gpus_per_evaluator)
    mends = {"CPU": "lower train.workers, search.evaluators or the CPUs of each", "GPU": "set train.use_gpu to false"}
    return Needs("sweep", "a trial needs", {"CPU": float(cpus)} | ({"GPU": float(gpus)} if gpus else {}), mends)


def led_bundles(config: RunConfig) -> tuple[dict[str, float], ...]:
    """Returns the resources of each training worker that a trial leads; none of a trial that works alone."""
    if is_alone(config):
        return ()
    return (worker_resources(config),) * as_trial(config).train.worker_range[0]


class EpochFeed:
    """Reports the epochs of a training as they come, those of before too: position, loss and accuracy.

    Attributes:
        epochs: How many were reported.
    """

    def __init__(self, report: Callable[[dict[str, Any]], None]) -> None:
        """Takes who is told of each epoch."""
        self._report = report
        self._files: list[Path] = []
        self.epochs = 0

    def follow(self, config: RunConfig) -> None:
        """Follows the training of a run."""
        self._files = [seed_folder(config.folder, seed) / METRICS_FILE for seed in config.base_seeds]
        self()

    def __call__(self) -> None:
        """Reports what is new."""
        lines = [line for file in self._files for line in _lines(file)]
        for line in lines[self.epochs :]:
            self.epochs += 1
            self._report({"epoch": self.epochs, "train_loss": line["loss"], "train_accuracy": line["accuracy"]})


class RoomFeed:
    """Reports when what a trial leads asks for room, when it has room, and when the supernets are trained.

    Training workers have room when the note of their progress changes, evaluators when their records do.
    """

    def __init__(self, report: Callable[[dict[str, Any]], None], training: RunConfig, run: RunConfig) -> None:
        """Takes who is told, the run that trains the supernets, and the run that the trial carries out."""
        self._report = report
        self._training, self._run = training, run
        self._leads = not is_alone(run)
        self._before: list[tuple[str, int, int]] | None = None  # the records when room was asked for
        self._has_asked = self._is_trained = False

    def ask(self) -> None:
        """Reports that something is about to ask for room."""
        self._has_asked = True
        self._before = self._records()
        if self._leads:
            self._report({ROOM: False})

    def __call__(self) -> None:
        """Reports what is new."""
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
        """Returns name, size and time of the files that those who have room write."""
        files = [
            self._training.folder / PROGRESS,
            self._run.folder / "search" / "history.jsonl",
            *sorted((self._run.folder / "rank").glob("*.scores.jsonl")),
        ]
        states = [(file.name, file.stat()) for file in files if file.exists()]
        return [(name, state.st_size, state.st_mtime_ns) for name, state in states]


def _lines(file: Path) -> list[dict[str, Any]]:
    """Returns what epochs left, up to the first line that is damaged."""
    return records(file, {"loss": NUMBER, "accuracy": NUMBER})


def carry_out(
    trial: Trial,
    sweep: Sweep,
    shared: frozenset[str],
    feed: EpochFeed,
    report: Callable[[dict[str, Any]], None],
    say: Callable[[str], None],
) -> dict[str, float]:
    """Returns what a trial measured, after all of its stages, or what was left of them.

    Args:
        trial: The trial.
        sweep: The sweep that it is of.
        shared: Digests of the trainings that are carried out once for several trials.
        feed: Receives the epochs.
        report: Receives what `RoomFeed` reports.
        say: Takes a line about another process that the trial waits for.

    Raises:
        ValueError: If something of the user's is not as it should be.
        RuntimeError: If training keeps failing, or an evaluation fails.
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
    result = run(
        config, silent, on_ray, watch=watch, wait=60, say=say
    )  # workers of a killed sweep may live for some seconds
    feed()
    assert result is not None
    ranking = None
    if sweep.settings.rank:
        room.ask()
        ranking = rank_run(config, silent, on_ray, watch=watch)
    return metrics_of(config, result, ranking)


def training_name(config: RunConfig, base: RunConfig) -> str | None:
    """Returns the same name for trials that train the same supernets to the bit; None for one that trains none itself.

    Args:
        config: The configuration of a trial.
        base: The run that its sweep varies.
    """
    if config.train.reuse is not None or not needs_training(config.search):
        return None
    values, of_base = flatten(config.model_dump()), flatten(base.model_dump())
    keys = sorted(key for key in ROUNDING_KEYS if key.startswith("train.") and values[key] != of_base[key])
    return "_".join([training_digest(config), *(re.sub(r"[^\w.]+", "-", f"{key[6:]}-{values[key]}") for key in keys)])


def metrics_of(config: RunConfig, result: Mapping[str, Any], ranking: Mapping[str, Any] | None) -> dict[str, float]:
    """Returns what a trial is compared by, of `METRICS` those that it has.

    Args:
        config: Its configuration.
        result: What its search found.
        ranking: How well its fitness ranks the space; None if that was not asked.
    """
    best = result["best"][0]
    found: dict[str, float | None] = {
        "true_accuracy": best.get("true"),
        "one_shot_accuracy": best.get("accuracy"),
        **{name: best.get(name) for name in ("fitness", "loss", "num_parameters", "multiply_adds")},
        "search_seconds": result["seconds"],
    }
    operations = [name for graph in best["drawing"].values() for _, _, name in graph if name]
    if operations:
        found["skips"] = sum(name == "skip_connect" for name in operations)
        found["poolings"] = sum("pool" in name for name in operations)
    if needs_training(config.search):
        found |= _of_training([seed_folder(config.supernets, seed) for seed in config.base_seeds])
    if ranking is not None and ranking["table"] is not None:
        row = ranking["rows"][0]
        found |= {name: row[name] for name in ("tau", "tau_within", "rho")} | {"top_1": row["top"]["1"]["mean"]}
    return {name: float(value) for name in METRICS if (value := found.get(name)) is not None}


def _of_training(places: Sequence[Path]) -> dict[str, float | None]:
    """Returns what the supernets in some folders measured as their training ended; of several, the mean."""
    epochs = [_lines(place / METRICS_FILE) for place in places]
    derived = [lines[-1] for place in places if (lines := _lines(place / DERIVED))]
    return {
        "train_loss": statistics.fmean(lines[-1]["loss"] for lines in epochs),
        "train_accuracy": statistics.fmean(lines[-1]["accuracy"] for lines in epochs),
        "train_seconds": sum(line["seconds"] for lines in epochs for line in lines),
        **{
            name: statistics.fmean(line[name] for line in derived)
            for name in ("dominance", "skip_share", "none_share")
            if derived and all(line.get(name) is not None for line in derived)
        },
    }
