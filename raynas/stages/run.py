"""The stages of a run in order; each stage reads the files of the previous one, and a complete stage is skipped."""

from __future__ import annotations

import functools
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from rich.console import Console

from raynas.config.run_config import RunConfig
from raynas.errors import InputError
from raynas.search_space import Architecture
from raynas.stages.backend import Backend, OpenBackend
from raynas.stages.carry_out import carry_out
from raynas.stages.data_record import record_data
from raynas.stages.evaluation import Evaluation, evaluating, needs_training
from raynas.stages.latency import needs_latency, profile, with_latency
from raynas.stages.prepare import prepare
from raynas.stages.progress import Progress, write_line
from raynas.stages.progress_line import duration
from raynas.stages.rank import WHOLE, rank
from raynas.stages.refine import refined_task
from raynas.stages.retrain import retrain
from raynas.stages.run_lines import continued_line, ranking_summary, space_line, trained_figures, training_summary
from raynas.stages.search import Result, check_search, search
from raynas.stages.task import Task, as_searched
from raynas.stages.tracking import Told, tracked
from raynas.stages.train_supernet import SUPERNETS, is_trained, supernet_plans, supernet_trainings
from raynas.storage.mirror import RAY, Mirror, mirrored
from raynas.storage.run_folder import (
    BESIDE_TRAINING,
    drop_unfinished,
    is_new,
    open_run,
    rounding_change,
)
from raynas.trackers import TRACKER_FOLDER


@contextmanager
def opened(
    config: RunConfig,
    console: Console,
    wait: float = 0,
    ignore: tuple[str, ...] = (),
    say: Callable[[str], None] | None = None,
    searches: bool = True,
) -> Iterator[tuple[Task, Mirror]]:
    """Yields the task and the folder of a run, which this process owns during the block.

    Args:
        config: The resolved configuration.
        console: Receives the messages.
        wait: Seconds to wait for another process that owns the folder.
        ignore: Sections of the configuration that may differ from that in the folder.
        say: Receives a line about the owner during the wait; by default the console.
        searches: Whether the run is to train supernets or to search; False if it only retrains.

    Raises:
        Busy: If another process works on the run.
        InputError: If the configuration, the data or the folder is invalid.
    """
    prepared = prepare(
        config, console, searches=searches
    )  # before the folder is created, so that invalid input leaves no folder
    task, config = prepared.task, prepared.task.config
    _print(console, [space_line(task), *prepared.lines])
    with mirrored(config, say or console.print, wait) as mirror:
        folder = open_run(config, ignore)
        _print(console, [line for line in (continued_line(config), rounding_change(config)) if line is not None])
        record_data(folder, task)
        for part in (folder, *(folder / name for name in ("search", "rank", "report", TRACKER_FOLDER))):
            drop_unfinished(part)
        shutil.rmtree(folder / RAY, ignore_errors=True)  # of a trainer whose driver was killed
        mirror.push()
        yield task, mirror


def _print(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _nothing() -> None:
    """Does nothing."""


Report: TypeAlias = Callable[[Path], object]
"""Writes the page of a run, from its folder into it."""


def _write_page(report: Report | None, mirror: Mirror) -> None:
    """Has the page of a run written where the trackers are told of it, and uploads it."""
    if report is not None:
        report(mirror.folder)
        mirror.push("report")


def train(task: Task, mirror: Mirror, backend: Backend, console: Console, watch: Callable[[], None] = _nothing) -> None:
    """Trains the incomplete supernets of a run, on Ray or, with ``train.workers: 0``, in this process.

    Args:
        task: Space and images.
        mirror: The run's folder, and the copying of its files.
        backend: Trains, unless this process does.
        console: Receives the progress.
        watch: Called after every epoch, or more often.
    """
    config = task.config
    if not needs_training(config.search):
        console.print(f"supernet: not needed by search.fitness: {config.search.fitness_name}", highlight=False)
        return
    if config.train.reuse is not None:
        console.print(f"supernet: that of {config.supernets_location}", highlight=False, soft_wrap=True)
        return
    folder = mirror.folder
    if all(is_trained(folder, base_seed) for base_seed in config.base_seeds):
        console.print("supernet: trained before", highlight=False)
        return
    began = time.perf_counter()
    carry_out(SUPERNETS, lambda: supernet_trainings(task), config, mirror, backend, console, watch)
    plans, seconds = supernet_plans(config), duration(time.perf_counter() - began)
    figures = f", {trained_figures(plans[0], folder)}" if len(plans) == 1 else ""
    write_line(console, f"supernet: trained in {seconds}{figures}")


@dataclass(frozen=True)
class CarriedOut:
    """What stages of a run came to.

    Attributes:
        config: The configuration that they followed: its defaults fit the images, as the run stores them.
        result: The result of the search; None without a search.
    """

    config: RunConfig
    result: Result | None = None


def run(
    config: RunConfig,
    console: Console,
    open_backend: OpenBackend,
    stages: tuple[str, ...] = ("train", "search", "retrain"),
    *,
    watch: Callable[[], None] = _nothing,
    wait: float = 0,
    say: Callable[[str], None] | None = None,
    group: str = "",
    report: Report | None = None,
) -> CarriedOut:
    """Runs stages of a run and returns the configuration that they followed, and the result of the search.

    Args:
        config: The resolved configuration.
        console: Receives the progress.
        open_backend: Opens the backend that trains and evaluates in other processes.
        stages: The stages to run.
        watch: Called after the training, and at least after every epoch of the training and every batch of rows of the
            search.
        wait: Seconds to wait for another process of the same run.
        say: Receives a line about such a process; by default the console.
        group: The sweep that the run is a trial of, for trackers.
        report: Writes the page of the run after a search; None for no page.

    Raises:
        Busy: If another process works on the run.
        InputError: If the configuration, the data or the folder is invalid.
        RunError: If training keeps failing, or an evaluation fails.
    """
    with ExitStack() as stack:
        task, mirror = stack.enter_context(opened(config, console, wait, say=say))
        config = task.config
        told = stack.enter_context(tracked(config, mirror, console, group))
        backend = stack.enter_context(open_backend(config))
        if "search" in stages and needs_latency(config):
            with Progress(console, "measuring latency") as progress:
                task = with_latency(task, mirror.folder, progress)
            mirror.push()
            check_search(task)
        if "train" in stages:
            with told.stage("train") as summary:
                train(task, mirror, backend, console, watch)
                summary |= training_summary(config)
            watch()
        if "search" not in stages:
            return CarriedOut(config)
        with told.stage("search") as summary, Progress(console, "preparing to evaluate") as progress:
            evaluating_here = functools.partial(_watched_evaluation, as_searched(task), backend, progress, watch)
            evaluating_again = None
            if config.search.refine is not None:
                evaluating_again = functools.partial(_watched_evaluation, refined_task(task), backend, progress, watch)
            result = search(task, mirror, evaluating_here, progress, evaluating_again)
            summary["best"] = result["best"][0]["fitness"]
        mirror.push()
        if "retrain" in stages and config.retrain is not None:
            _retrain(task, mirror, backend, console, watch, told)
        _write_page(report, mirror)
        return CarriedOut(config, result)


def _retrain(
    task: Task, mirror: Mirror, backend: Backend, console: Console, watch: Callable[[], None], told: Told
) -> None:
    """Retrains the networks of a run, and tells the trackers of it."""
    with told.stage("retrain") as summary:
        record = retrain(task, mirror, backend, console, watch)
        key = "test_perplexity" if record.is_of_text else "test_accuracy"
        summary[key] = record.networks[0].tested.mean


def retrain_run(
    config: RunConfig,
    console: Console,
    open_backend: OpenBackend,
    watch: Callable[[], None] = _nothing,
    report: Report | None = None,
) -> RunConfig:
    """Trains the networks of a run's `retrain` section from scratch, and returns the configuration that it followed.

    Args:
        config: The resolved configuration; it has the section.
        console: Receives the progress.
        open_backend: Opens the backend that trains in other processes.
        watch: Called after every epoch, or more often.
        report: Writes the page of the run; None for no page.

    Raises:
        Busy: If another process works on the run.
        InputError: If the configuration, the data or the folder is invalid, or the search is not done.
        RunError: If training keeps failing.
    """
    with ExitStack() as stack:
        task, mirror = stack.enter_context(opened(config, console, searches=False))
        config = task.config
        told = stack.enter_context(tracked(config, mirror, console))
        _retrain(task, mirror, stack.enter_context(open_backend(config)), console, watch, told)
        _write_page(report, mirror)
        return config


@contextmanager
def _watched_evaluation(
    task: Task, backend: Backend, progress: Progress, watch: Callable[[], None]
) -> Iterator[Evaluation]:
    """Yields the evaluation of `evaluating`, which calls `watch` after every batch of rows."""
    with evaluating(task, backend, progress) as evaluation:

        def stream(architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
            for rows in evaluation.stream(architectures):
                yield rows
                watch()

        yield replace(evaluation, stream=stream)


def train_shared(
    config: RunConfig,
    console: Console,
    open_backend: OpenBackend,
    watch: Callable[[], None],
    say: Callable[[str], None] | None = None,
) -> None:
    """Trains supernets that several runs reuse, or waits until another process has trained them.

    Args:
        config: The resolved configuration of one run, with name and location of the shared supernets.
        console: Receives the progress.
        open_backend: Opens the backend that trains in other processes.
        watch: Called after every epoch, or more often.
        say: Receives a line about a process during the wait; by default the console.

    Raises:
        Busy: If another process works on the run.
        InputError: If the configuration, the data or the folder is invalid.
        RunError: If training keeps failing.
    """
    with ExitStack() as stack:
        task, mirror = stack.enter_context(opened(config, console, math.inf, BESIDE_TRAINING, say))
        config = task.config
        backend = stack.enter_context(open_backend(config))
        with tracked(config, mirror, console) as told, told.stage("train") as summary:
            train(task, mirror, backend, console, watch)
            summary |= training_summary(config)
        watch()


def profile_run(config: RunConfig, console: Console) -> dict[str, Any]:
    """Measures the latency of every candidate, and returns the accuracy of the predictions for whole networks.

    Raises:
        Busy: If another process works on the run.
        InputError: If the configuration, the data or the folder is invalid.
    """
    prepared = prepare(config, console)
    task, config = prepared.task, prepared.task.config
    _print(console, [space_line(task), *prepared.lines])
    with ExitStack() as stack:
        mirror = stack.enter_context(mirrored(config, console.print))
        folder = open_run(config)
        record_data(folder, task)
        progress = stack.enter_context(Progress(console, "preparing"))
        result = profile(with_latency(task, folder, progress), folder, progress)
        mirror.push()
        return result


RANKED_DIFFERENTLY = ("search", "benchmark")
"""Sections that a ranking may change, for another fitness or another benchmark."""


def rank_run(
    config: RunConfig,
    console: Console,
    open_backend: OpenBackend,
    size: int | None = None,
    every_epoch: bool = False,
    watch: Callable[[], None] = _nothing,
    report: Report | None = None,
) -> dict[str, Any]:
    """Returns the rank correlation of a run's fitness; keys of `search` and `benchmark` may differ from the run's.

    A ranking refines nothing: `search.refine` is left out.

    Args:
        config: The resolved configuration.
        console: Receives the progress.
        open_backend: Opens the backend that evaluates in other processes.
        size: Number of architectures to rank; by default that of `rank`.
        every_epoch: Whether to rank also by the angle after every epoch of the training.
        watch: Called after every batch of rows.
        report: Writes the page of the run; None for no page.

    Raises:
        Busy: If another process works on the run.
        InputError: If the configuration, the data or the folder is invalid.
        RunError: If an evaluation fails.
    """
    config = config.model_copy(update={"search": config.search.model_copy(update={"refine": None})})
    prepared = prepare(config, console)
    task, config, table = prepared.task, prepared.task.config, prepared.task.table
    with ExitStack() as stack:
        mirror = stack.enter_context(mirrored(config, console.print))
        if needs_training(config.search) and is_new(config.folder):
            raise InputError(f"name: there is no run {config.location}; give `raynas train` with this file first")
        _print(console, [space_line(task), *prepared.lines])
        record_data(open_run(config, ignore=RANKED_DIFFERENTLY), task)
        told = stack.enter_context(tracked(config, mirror, console))
        backend = stack.enter_context(open_backend(config))
        progress = stack.enter_context(Progress(console, "preparing to evaluate"))
        if table is not None and len(table) < task.space.size <= WHOLE:
            progress.note(
                f"{table.path.name} holds {table.column} of {len(table):,} of {task.space.size:,} architectures: the "
                "others are left out"
            )
        evaluating_here = functools.partial(_watched_evaluation, task, backend, progress, watch)
        with told.stage("rank") as summary:
            result = rank(task, mirror, evaluating_here, progress, size=size, every_epoch=every_epoch)
            summary |= ranking_summary(result)
        _write_page(report, mirror)
        return result
