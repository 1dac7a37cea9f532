"""What a configuration asks for, built: the space, the images, and the batches of a supernet."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from raynas.capabilities import takes_of
from raynas.config.made_space import made_space
from raynas.config.run_config import RunConfig
from raynas.data import (
    DATASETS,
    LABELS,
    Dataset,
    Loader,
    StreamLoader,
    TextDataset,
    draw_labels,
    load_dataset,
    split_images,
)
from raynas.errors import InputError
from raynas.fitness.benchmark_table import BenchmarkTable, read_table
from raynas.search_space import AdditiveTable, SearchSpace
from raynas.supernet.costs import cost_table

if TYPE_CHECKING:
    from raynas.data.image_index import Reading


@dataclass(frozen=True)
class Task:
    """The space and the images of a run.

    Attributes:
        config: The resolved configuration.
        space: The space to search.
        dataset: The images.
        num_categories: Labels that the supernet tells apart, which random labels may make other than the data's.
        latency: Seconds of every candidate, where they have been measured.
    """

    config: RunConfig
    space: SearchSpace
    dataset: Dataset
    num_categories: int
    latency: AdditiveTable | None = None

    @functools.cached_property
    def costs(self) -> AdditiveTable:
        """What the networks of the space cost on this data set; latency is among it where it has been measured."""
        counts = cost_table(self.space, self.dataset.resolution, self.dataset.num_classes)
        return counts if self.latency is None else counts.beside(self.latency)

    @functools.cached_property
    def table(self) -> BenchmarkTable | None:
        """The benchmark that the run file names; None if it names none."""
        return read_benchmark(self.config, self.space, self.config.benchmark.column)

    @functools.cached_property
    def further_tables(self) -> dict[str, BenchmarkTable]:
        """The further columns of the benchmark that the run file names, by name; empty without a benchmark."""
        tables = {}
        for column in self.config.benchmark.columns:
            table = read_benchmark(self.config, self.space, column)
            if table is not None:
                tables[column] = table
        return tables

    def about(self, base_seed: int) -> dict[str, Any]:
        """What the weights of a supernet belong to, as its checkpoints store it."""
        return {
            "space": {"name": self.config.space.name, **self.config.space.arguments},
            "data": {"name": self.dataset.name, "images": len(self.dataset.train), "checksum": self._checksum},
            "num_classes": self.num_categories,
            "base_seed": base_seed,
        }

    @functools.cached_property
    def _checksum(self) -> int:
        """Tells the training images from others: of pixels and labels, or of an image folder's file names."""
        train = self.dataset.train
        pixels: bytes | memoryview
        if isinstance(train.images, tuple):
            pixels = "\n".join("/".join(Path(file).parts[-2:]) for file in train.images).encode()
        else:
            pixels = np.ascontiguousarray(train.images).data
        return zlib.crc32(train.labels.tobytes(), zlib.crc32(pixels))

    def labels(self, base_seed: int, epoch: int) -> np.ndarray:
        """Returns the label of every training image, ``(n,)`` int64: true or random, as the run file says."""
        data, images = self.config.data, self.dataset.train
        assert data.labels is not None
        return draw_labels(
            data.labels, images.labels, images.index, num_categories=self.num_categories, seed=base_seed, epoch=epoch
        )

    def train_batches(self, base_seed: int, device: torch.device) -> Loader | StreamLoader:
        """Returns the batches of the train part of the split, shuffled and augmented, with this seed's labels."""
        return self._batches(base_seed, device, part=0)

    def search_batches(self, base_seed: int, device: torch.device) -> Loader | StreamLoader:
        """Returns the batches of the search part, which the alphas follow, made as those of the train part are."""
        return self._batches(base_seed, device, part=1)

    def _batches(self, base_seed: int, device: torch.device, part: int) -> Loader | StreamLoader:
        config = self.config
        assert config.data.labels is not None
        positions = split_images(self.dataset.train, config.data.train_portion, config.seed)[part]
        if isinstance(self.dataset, TextDataset):
            return StreamLoader(
                self.dataset.train,
                positions,
                functools.partial(self.labels, base_seed),
                batch_size=config.train.batch_size,
                window=self.dataset.window,
                seed=base_seed,
                varies=self.dataset.window_varies,
                device=device,
            )
        return Loader(
            self.dataset,
            self.dataset.train,
            positions,
            functools.partial(self.labels, base_seed),
            batch_size=config.train.batch_size,
            seed=base_seed,
            augmentation=config.data,
            shuffle=True,
            drop_last=True,
            device=device,
            num_workers=config.data.loader_workers,
            change=LABELS.row(config.data.labels).change,
        )


def as_searched(task: Task) -> Task:
    """Returns the task with the space that is searched, where what alphas stand for is of another than is trained."""
    search = task.config.search
    row = search.searcher
    space = row.searched_space(task.space, search.options_of(row.options))
    return task if space is task.space else replace(task, space=space)


def make_space(config: RunConfig) -> SearchSpace:
    """Returns the space of a run.

    Raises:
        InputError: If there is no such space or it does not take the given keys.
    """
    return made_space(config.space.name, config.space.arguments)


def read_benchmark(config: RunConfig, space: SearchSpace, column: str) -> BenchmarkTable | None:
    """Returns a column of the benchmark that a run file names; None if it names none.

    Raises:
        InputError: If it cannot be read, or is not of this space.
    """
    benchmark = config.benchmark
    if benchmark.path is None:
        return None
    return read_table(Path(benchmark.path), space, column=column, dataset=benchmark.dataset)


def dataset_arguments(config: RunConfig) -> dict[str, Any]:
    """Returns what `load_dataset` makes the images of a run from."""
    data = config.data
    return {
        "name": data.name,
        "path": data.path,
        "resolution": data.resolution,
        "max_images": data.max_images,
        "seed": config.seed,
        "normalise": data.normalise,
        "further": data.further,
    }


def make_task(config: RunConfig, *, skip: Collection[str] | None = None, reading: Reading | None = None) -> Task:
    """Returns the space and the images of a run.

    Args:
        config: The resolved configuration.
        skip: Files of an image folder to leave out, as the run recorded them; None opens every file to find them.
        reading: Called while image files are opened.

    Raises:
        InputError: If one of them is not as the configuration says.
    """
    space = make_space(config)  # before the images, which may take minutes to read
    dataset = load_dataset(**dataset_arguments(config), on_damaged=config.data.on_damaged, skip=skip, reading=reading)
    return task_of(config, space, dataset)


def task_of(config: RunConfig, space: SearchSpace, dataset: Dataset) -> Task:
    """Returns the task of a space and images.

    Raises:
        InputError: If the categories that the supernet tells apart do not hold the labels.
    """
    _check_kinds(config, space)
    assert config.data.labels is not None
    categories = config.data.num_label_categories or LABELS.row(config.data.labels).categories or dataset.num_classes
    task = Task(config, space, dataset, categories)
    task.labels(config.base_seeds[0], epoch=0)  # says if they do not
    return task


def _check_kinds(config: RunConfig, space: SearchSpace) -> None:
    """Checks that the networks of the space take what the data set holds, and that the labels are of that kind.

    Raises:
        InputError: If they do not.
    """
    takes, holds = takes_of(space), config.data.source.holds
    if takes != holds:
        fitting = [row.name for row in DATASETS.rows().values() if row.holds == takes]
        raise InputError(
            f"data.name: networks of {config.space.name} take {takes}, got {config.data.name}, which holds {holds}; "
            f"take {', '.join(fitting)}"
        )
    assert config.data.labels is not None
    if holds == "tokens" and LABELS.row(config.data.labels).change is not None:
        raise InputError(
            f"data.labels: {config.data.labels} says what was done to an image, and {config.data.name} is a text; take "
            "true, random or shuffled"
        )
