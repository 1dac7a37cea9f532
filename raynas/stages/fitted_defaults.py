"""Defaults that fit what there is: batches of no more images than there are, children of no more than a generation.

A value that the run file states is never changed: one that does not fit is refused with its key. The values that fit
are stored in the run's configuration, so that a run which is continued has them too.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from raynas import recipes
from raynas.config.retrain_section import RetrainSection
from raynas.config.search_section import SearchSection
from raynas.data import split_images
from raynas.errors import InputError
from raynas.stages.evaluation import runs_trained_networks
from raynas.stages.task import Task

SHARE_OF_PARENTS = 0.3
"""Parents of a generation whose size the file states: as many of it as 30 of the 100 by default."""


def with_fitted_defaults(task: Task) -> tuple[Task, list[str]]:
    """Returns a task whose defaults fit its images and its populations, and a line for each default that changed."""
    config = task.config
    parts = _split(task, config.data.train_portion)
    sections = [_fitted_training(task, parts), _fitted_search(task, parts)]
    if config.retrain is not None:
        sections.append(_fitted_retraining(config.retrain, task))
    lines, updates = [], {}
    for fitted in sections:
        section = getattr(config, fitted.section)
        for key, value in fitted.changes.items():
            before = getattr(section, key)
            lines.append(f"{fitted.section}.{key}: {value:,} in the place of {before:,}, the default: {fitted.reason}")
        if fitted.changes:
            updates[fitted.section] = section.model_copy(update=fitted.changes)
    if not updates:
        return task, lines
    return dataclasses.replace(task, config=config.model_copy(update=updates)), lines


@dataclass(frozen=True)
class _Fitted:
    """The defaults of a section that change.

    Attributes:
        section: Its name.
        changes: The values that fit, by key.
        reason: Why they change.
    """

    section: str
    changes: dict[str, int]
    reason: str


def _fitted_training(task: Task, parts: tuple[int, int]) -> _Fitted:
    """Returns the defaults of the training of supernets: alphas follow batches of the search split."""
    config = task.config
    most, search_images = parts
    if config.alphas.gates is not None and search_images:
        most = min(most, search_images)
    is_open = "batch_size" not in config.train.model_fields_set
    fits = not 0 < most < config.train.batch_size
    return _Fitted(
        "train", {} if fits or not is_open else {"batch_size": most}, f"there are {most:,} images to train on"
    )


def with_sizes_of_generation(search: SearchSection) -> dict[str, int]:
    """Returns the defaults of parents and children that a population of fewer than 100 changes, by key."""
    options = search.searcher.options.model_fields
    given, population = search.model_fields_set, search.population
    changes: dict[str, int] = {}
    if "select" in options and "select" not in given and search.select > population:
        changes["select"] = max(1, int(population * SHARE_OF_PARENTS))
    if "mutations" not in options or search.mutations + search.crossovers <= population:
        return changes
    open_keys = [key for key in ("mutations", "crossovers") if key not in given]
    if len(open_keys) == 2:
        half = population // 2
        return {**changes, "mutations": half, "crossovers": population - half}
    if open_keys == ["mutations"]:
        changes["mutations"] = max(0, population - search.crossovers)
    if open_keys == ["crossovers"]:
        changes["crossovers"] = max(0, population - search.mutations)
    return changes


def _fitted_search(task: Task, parts: tuple[int, int]) -> _Fitted:
    """Returns the defaults of the search."""
    search = task.config.search
    train_images, search_images = parts
    changes = with_sizes_of_generation(search)
    reasons = [f"search.population is {search.population:,}"] if changes else []
    if runs_trained_networks(search) and "evaluation_batch_size" not in search.model_fields_set:
        calibration = min(search.calibration_images, train_images)
        evaluation = min(search.evaluation_images or search_images, search_images)
        batch = _batch_of(search.evaluation_batch_size, calibration, evaluation)
        if batch != search.evaluation_batch_size:
            changes["evaluation_batch_size"] = batch
            reasons.append(f"there are {calibration:,} images to calibrate on and {evaluation:,} to evaluate on")
    for row in search.fitness_rows:
        open_key = row.score is not None and row.batch not in search.model_fields_set
        if open_key and train_images < getattr(search.options_of(row.options), row.batch):
            changes[row.batch] = train_images
            reasons.append(f"there are {train_images:,} images that train")
    return _Fitted("search", changes, "; ".join(dict.fromkeys(reasons)))


def _batch_of(default: int, calibration: int, evaluation: int) -> int:
    """Returns the largest batch up to a default that fits, and leaves no single image to calibrate on at the end."""
    most = min(default, calibration, evaluation)
    if most == default or most < 1:
        return default
    fitting = [batch for batch in range(most, 0, -1) if calibration % batch != 1]
    return fitting[0] if fitting else most


def _fitted_retraining(section: RetrainSection, task: Task) -> _Fitted:
    """Returns the defaults of a retraining; what a recipe says counts as a default."""
    images, _ = _split(task, section.train_portion)
    is_open = "batch_size" not in section.model_fields_set
    if section.recipe is not None:
        is_open |= recipes.read(section.recipe)["retrain"].get("batch_size") == section.batch_size
    fits = not 0 < images < section.batch_size
    changes = {} if fits or not is_open else {"batch_size": images}
    return _Fitted("retrain", changes, f"there are {images:,} images to train on")


def _split(task: Task, portion: float) -> tuple[int, int]:
    """Returns the number of images of the train part and of the search part; 0 where the split is refused later."""
    try:
        train, search = split_images(task.dataset.train, portion, task.config.seed)
    except InputError:
        return 0, 0
    return len(train), len(search)
