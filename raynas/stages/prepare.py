"""What every verb does before anything is trained: read the images, say what they are, and try the batches."""

from __future__ import annotations

import time

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from raynas.config.run_config import RunConfig
from raynas.data import split_images
from raynas.stages.data_record import data_lines
from raynas.stages.judge import FORWARD, needs_training
from raynas.stages.progress import Progress, time_left
from raynas.stages.task import Task, make_task
from raynas.supernet.gates import Gate


def prepare(config: RunConfig, console: Console) -> tuple[Task, list[str]]:
    """Returns the space and the images of a run, and lines that say what was read.

    Args:
        config: The resolved configuration.
        console: For progress while image files are opened.

    Raises:
        ValueError: If the space, the images, their labels or the batches cannot be trained on.
    """
    with Progress(console, "listing images") as progress:
        began = time.monotonic()

        def reading(done: int, total: int) -> None:
            seconds = (time.monotonic() - began) * (total - done) / done
            progress.show(f"reading {total:,} images", done, total, time_left(seconds))

        task = make_task(config, reading=reading)
    lines = data_lines(task)
    if needs_training(config.search):
        check_labels(task)
        lines += check_batches(task)
    return task, lines


def check_labels(task: Task) -> None:
    """Checks that there is something to tell apart.

    Raises:
        ValueError: If all training images have the same label.
    """
    data, dataset = task.config.data, task.dataset
    assert data.labels is not None
    if data.labels.startswith("random"):
        if task.num_categories < 2:
            raise ValueError(
                f"data.num_label_categories: expected at least 2 categories of random labels, got "
                f"{task.num_categories}, the number of classes; set it"
            )
    elif len(np.unique(dataset.train.labels)) < 2:
        raise ValueError(
            f"data.path: expected training images of at least 2 classes, got 1 of {dataset.num_classes}, which any "
            "network learns to 100 %; add images of others, or set data.labels to random and "
            "data.num_label_categories to 2 or more"
        )


def check_batches(task: Task) -> list[str]:
    """Runs the supernet on the smallest batches that it will get, without data, and returns what is to be said of them.

    Batch normalisation cannot train on a single value of a channel: one image that has shrunk to one pixel.

    Raises:
        ValueError: If a batch is too small, or the images are.
    """
    config = task.config
    with torch.device("meta"):
        supernet = task.space.build_supernet(task.num_categories)
    norms = [module for module in supernet.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        # Only shapes are asked for, and torch computes a normalisation without data slowly.
        norm.forward = _check_values  # type: ignore[method-assign, assignment]
    most = max(1, config.train.worker_range[1])
    share = config.train.batch_size // most
    remedy = "raise train.batch_size" + (", lower train.workers" if most > 1 else "")
    _try(task, supernet.train(), share, "train.batch_size", "in training", remedy)
    if any(name in FORWARD for name in config.search.fitnesses):
        train, _ = split_images(task.dataset.train, config.data.train_portion, config.seed)
        count, batch = min(config.search.calibration_images, len(train)), config.search.evaluation_batch_size
        remedy = f"set search.calibration_images to a multiple of search.evaluation_batch_size ({batch})"
        supernet.eval()
        for norm in norms:
            norm.train()
        _try(task, supernet, count % batch or batch, "search.calibration_images", "in the last batch", remedy)
    if share == 1 and norms:
        return [
            "train.batch_size: each worker gets 1 image of a batch, over which batch normalisation takes its "
            "statistics; raise train.batch_size or lower train.workers for others"
        ]
    return []


def _check_values(features: Tensor) -> Tensor:
    """Stands in the place of a batch normalisation that trains.

    Raises:
        ValueError: If there is a single value of each channel, over which there is no deviation.
    """
    if features.numel() // features.shape[1] < 2:
        raise ValueError(f"it sees one value of each of {features.shape[1]} channels")
    return features


def _try(task: Task, supernet: nn.Module, images: int, key: str, where: str, remedy: str) -> None:
    """Runs all candidates on a batch without data.

    Raises:
        ValueError: If that fails, with `key` if a larger batch would not fail.
    """
    reason = _failure(task, supernet, images)
    if reason is None:
        return
    size = task.dataset.resolution
    if images < 2 and _failure(task, supernet, 2) is None:
        raise ValueError(
            f"{key}: a batch of {images} image {where}, of {size} x {size} pixels, is too small for the batch "
            f"normalisation of {type(task.space).__name__}: {reason}; {remedy} or raise data.resolution"
        )
    raise ValueError(
        f"data.resolution: images of {size} x {size} pixels are too small for {type(task.space).__name__}: {reason}; "
        "raise it"
    )


def _failure(task: Task, supernet: nn.Module, images: int) -> str | None:
    """Returns why the supernet cannot run on so many images, in one line; None if it can."""
    size = task.dataset.resolution
    gates = tuple(Gate(tuple(range(len(choice.candidates)))) for choice in task.space.choices)
    try:
        with torch.inference_mode():
            supernet(torch.empty(images, 3, size, size, device="meta"), gates)
    except (ValueError, RuntimeError) as error:
        return str(error).splitlines()[0]
    return None
