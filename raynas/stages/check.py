"""What `raynas check` says of a run file before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console

from raynas.config.nested import flatten
from raynas.config.run_config import RunConfig
from raynas.config.sweeps import Sweep
from raynas.data import TextDataset
from raynas.search import Limits
from raynas.search_space import all_architectures, as_array, sample
from raynas.stages.evaluation import needs_training
from raynas.stages.network_evaluation import evaluation_count
from raynas.stages.prepare import Prepared, Purpose, prepare
from raynas.stages.task import Task

WHOLE = 1_000_000
"""The largest space whose architectures are all counted."""

SAMPLED = 5_000
"""How many architectures are sampled of a larger one."""


def check_sweep(sweep: Sweep, console: Console) -> None:
    """Prepares the settings of a sweep, as each of its trials will.

    Raises:
        InputError: If one of them is not as it should be.
    """
    for config in sweep.settings_to_prepare():
        prepare(config, console, Purpose.CHECK)


@dataclass(frozen=True)
class Checked:
    """What is known of a valid run file before anything is trained.

    Attributes:
        config: Its resolved keys.
        lines: What it means: images, steps, the size of the space, the range of costs.
        nulls: What the keys that are null stand for in this run, by key.
    """

    config: dict[str, Any]
    lines: list[str]
    nulls: dict[str, Any]

    def text(self) -> str:
        """Returns the resolved configuration as YAML, then what it means, as comments."""
        values = yaml.safe_dump(self.config, sort_keys=False, width=120).rstrip()
        meanings = [*self.lines, *[f"{key}: null stands for {meaning}" for key, meaning in self.nulls.items()]]
        return "\n".join([values, "", *[f"# {line}" for line in meanings]])


def checked(config: RunConfig, console: Console, has_folder: bool = True) -> Checked:
    """Returns the resolved configuration, and what it means.

    Args:
        config: The resolved configuration.
        console: For progress while image files are opened.
        has_folder: Whether the run will be in its folder; False of what a sweep varies.

    Raises:
        InputError: If something of the user's is not as it should be, as `prepare` says.
    """
    prepared = prepare(config, console, Purpose.CHECK, has_folder=has_folder)
    config = prepared.task.config
    return Checked(config.model_dump(), list(_lines(config, prepared)), _nulls(prepared.task))


def describe(config: RunConfig, console: Console, has_folder: bool = True) -> str:
    """Returns what `checked` returns as text; arguments and errors as there."""
    return checked(config, console, has_folder).text()


def _lines(config: RunConfig, prepared: Prepared) -> Iterator[str]:
    """Yields what a configuration means, a line each."""
    task = prepared.task
    yield from prepared.lines
    steps = task.train_batches(config.base_seeds[0], torch.device("cpu")).steps_per_epoch
    yield (
        f"training: {steps:,} steps of {config.train.batch_size} {task.dataset.batched} an epoch, "
        f"{steps * config.train.epochs:,} in all, for each of {len(config.base_seeds)} base seeds"
    )
    yield from _space_lines(task)
    table = task.table
    if table is not None:
        yield f"benchmark: {table.column} of {len(table):,} architectures in {table.path}"


def _nulls(task: Task) -> dict[str, Any]:
    """Returns what keys that are null stand for in this run, by key."""
    config, dataset = task.config, task.dataset
    meanings: dict[str, Any] = {"data.num_label_categories": task.num_categories}
    if not isinstance(dataset, TextDataset):
        meanings["data.max_images"] = f"all {len(dataset.train):,} training images"
        meanings["data.resolution"] = dataset.resolution
        meanings["data.flip"] = dataset.flip
        if not dataset.reads_files:
            meanings["data.crop_padding"] = dataset.crop_padding
    if needs_training(config.search):
        meanings["search.angle_epoch"] = f"{config.train.epochs}, the last"
        meanings["search.evaluation_images"] = f"{evaluation_count(task):,}, the whole search split"
    values = flatten(config.model_dump())
    return {key: meaning for key, meaning in meanings.items() if values[key] is None}


def _space_lines(task: Task) -> Iterator[str]:
    """Yields the size of the space, the range of its costs, and the share of it within the limits."""
    space, table = task.space, task.costs
    everything = space.size <= WHOLE
    rng = np.random.default_rng(0)
    if everything:
        architectures, of = all_architectures(space), "all of them"
    else:
        architectures, of = as_array([sample(space, rng) for _ in range(SAMPLED)]), f"{SAMPLED:,} sampled ones"
    costs = table.total(architectures)
    yield f"space: {space.num_architectures:,} architectures of {len(space.choices)} choices"
    for column, quantity in enumerate(table.quantities):
        yield f"{quantity}: {costs[:, column].min():,} to {costs[:, column].max():,} ({of})"
    given = task.config.search.limits.model_dump(exclude_none=True)
    counted = {key: value for key, value in given.items() if not key.endswith("latency")}
    if len(counted) < len(given):
        yield "search.limits on latency: it is measured when the search begins; `raynas profile` does now"
    if counted:
        admitted = Limits(table, **counted).admits(architectures)
        rest = "" if admitted.any() else "; a search changes them until they are inside"
        yield f"search.limits admit {100 * admitted.mean():.2f} % of {of}{rest}"
