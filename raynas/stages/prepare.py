"""What every verb does before anything is trained: make all that a run needs, and check all that can be known."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console

from raynas.config.locations import is_url
from raynas.config.run_config import RunConfig
from raynas.data import LABELS
from raynas.errors import InputError
from raynas.records.run_record import RunRecord
from raynas.search_space import AdditiveTable
from raynas.stages.check_retraining import check_retraining
from raynas.stages.data_record import data_lines
from raynas.stages.dry_run import check_batches
from raynas.stages.evaluation import check_evaluation, needs_training
from raynas.stages.fitted_defaults import with_fitted_defaults
from raynas.stages.latency import check_latency_device, needs_latency
from raynas.stages.packages import check_packages
from raynas.stages.progress import Progress
from raynas.stages.refine import check_refinement
from raynas.stages.search import check_search
from raynas.stages.stand_in import is_here, is_readable, stand_in, stand_in_line
from raynas.stages.task import Task, make_space, make_task, task_of
from raynas.storage.mirror import pulled
from raynas.storage.run_folder import check_folder, check_reuse


class Purpose(enum.Enum):
    """What a run file is prepared for. It decides what of this machine is looked at."""

    EXECUTION = "to carry out the run on this machine"
    CHECK = "to check it on this machine: nothing is downloaded"
    ELSEWHERE = "to check a run that other machines will carry out: their files and devices are not looked at"


@dataclass(frozen=True)
class Prepared:
    """What is known of a run before training.

    Attributes:
        task: The space and the images. Its configuration has defaults that fit them, and is what the run stores.
        lines: What was read, and what a user should know before training, a line each.
    """

    task: Task
    lines: list[str]


def prepare(
    config: RunConfig,
    console: Console,
    purpose: Purpose = Purpose.EXECUTION,
    *,
    has_folder: bool = True,
    searches: bool = True,
) -> Prepared:
    """Returns the space and the images of a run, after checking all that can be known before training.

    These are: the space, the images and their labels, the splits, the batches, the searcher and its limits, what each
    fitness needs, the benchmark, the run that is reused, the run's folder, and the devices.

    Args:
        config: The resolved configuration.
        console: For progress while image files are opened.
        purpose: What it is prepared for.
        has_folder: Whether the run will be in the folder that the configuration names; False of what a sweep varies.
        searches: Whether the run is to train supernets or to search; False if it only retrains.

    Raises:
        InputError: If something of the user's is not as it should be.
        OSError: If a file cannot be read.
    """
    notes: list[str] = [] if purpose is Purpose.ELSEWHERE else check_packages(config, searches)
    if purpose is not Purpose.ELSEWHERE and searches:
        _pull_reused(config, weights=purpose is Purpose.EXECUTION)
    task, lines = _task(config, console, purpose)
    task, changed = with_fitted_defaults(task)
    config = task.config
    lines += [*changed, *notes]
    if purpose is not Purpose.ELSEWHERE and searches:
        check_reuse(config)
    if config.retrain is not None:
        lines += check_retraining(task)
    if searches:
        lines += _check_search(task, purpose)
    if purpose is not Purpose.ELSEWHERE:
        check_devices(config, searches)
        config.trackers.check_installed()
    if purpose is Purpose.CHECK and has_folder and not is_url(config.location):
        check_folder(config)  # who carries the run out looks at the folder once it owns it
    return Prepared(task, lines)


def _check_search(task: Task, purpose: Purpose) -> list[str]:
    """Checks supernets and search, and returns what a user should know before training.

    Raises:
        InputError: If something is not as it should be.
    """
    config, lines = task.config, []
    if needs_training(config.search):
        check_labels(task)
        lines += check_batches(task)
    task.train_batches(config.base_seeds[0], torch.device("cpu"))  # says if there are too few images for a batch
    searcher = config.search.searcher
    searcher.check(task.space, config.search.options_of(searcher.options))
    check_search(_without_latency(task) if needs_latency(config) else task)
    check_evaluation(task)
    lines += check_refinement(task)
    if purpose is not Purpose.ELSEWHERE or config.benchmark.path is None:
        _ = task.table, task.further_tables  # says if the benchmark cannot be read
    return lines


def _pull_reused(config: RunConfig, weights: bool) -> None:
    """Downloads the run that is reused if it is at a URL, with its weights or without, and checks that it is a run.

    Raises:
        InputError: If it is no run.
    """
    if config.train.reuse is not None and is_url(config.train.reuse):
        parts = ("config.json", "supernet") if weights else ("config.json",)
        pulled(config.train.reuse, *parts, weights=weights)
    if not (config.supernets / RunRecord.file).exists():
        check_reuse(config)  # before images are read, which may take minutes


def _task(config: RunConfig, console: Console, purpose: Purpose) -> tuple[Task, list[str]]:
    """Returns the task, and what was read or assumed.

    Raises:
        InputError: If the space or the data is not as the configuration says.
    """
    data = config.data
    reads = purpose is Purpose.EXECUTION or (is_readable(data) if purpose is Purpose.ELSEWHERE else is_here(data))
    if not reads:
        return task_of(config, make_space(config), stand_in(data)), [stand_in_line(data)]
    with Progress(console, "listing images") as progress:
        task = make_task(config, reading=_reading(progress))
    return task, data_lines(task)


def _reading(progress: Progress) -> Callable[[int, int], None]:
    """Returns what shows how many image files have been opened."""

    def reading(done: int, total: int) -> None:
        progress.show(f"reading {total:,} images", done, total)

    return reading


def _without_latency(task: Task) -> Task:
    """Returns the task with a latency of 0 for every candidate and no limits on it: it is measured later."""
    costs, search = task.costs, task.config.search
    terms = np.zeros((*costs.terms.shape[:2], 1))
    limits = search.limits.model_copy(update={"max_latency": None, "min_latency": None})
    config = task.config.model_copy(update={"search": search.model_copy(update={"limits": limits})})
    latency = AdditiveTable(("latency",), np.zeros(1), terms, terms_of=costs.terms_of)
    return dataclasses.replace(task, config=config, latency=latency)


def check_labels(task: Task) -> None:
    """Checks that there is something to tell apart.

    Raises:
        InputError: If all training images have the same label.
    """
    data, dataset = task.config.data, task.dataset
    assert data.labels is not None
    if LABELS.row(data.labels).free_categories:
        if task.num_categories < 2:
            raise InputError(
                f"data.num_label_categories: expected at least 2 categories of random labels, got "
                f"{task.num_categories}, the number of classes; set it"
            )
    elif len(np.unique(dataset.train.labels)) < 2:
        raise InputError(
            f"data.path: expected training images of at least 2 classes, got 1 of {dataset.num_classes}, which any "
            "network learns to 100 %; add images of others, or set data.labels to random and "
            "data.num_label_categories to 2 or more"
        )


def check_devices(config: RunConfig, searches: bool = True) -> None:
    """Checks that this machine has a GPU where the run is to use one without Ray.

    Args:
        config: The resolved configuration.
        searches: Whether the run is to train supernets or to search; False if it only retrains.

    Raises:
        InputError: If not.
    """
    if torch.cuda.is_available():
        return
    trains_supernets = searches and config.train.reuse is None and needs_training(config.search)
    trains_here = config.train.workers == 0 and (trains_supernets or config.retrain is not None)
    if trains_here and config.train.use_gpu:
        raise InputError("train.use_gpu: this machine has no CUDA device; set it to false")
    if searches:
        check_latency_device(config)
