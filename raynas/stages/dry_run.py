"""The smallest batches of a run, tried without data: what cannot be trained on is known before training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from raynas.capabilities import takes_of
from raynas.data import split_images
from raynas.errors import InputError
from raynas.stages.evaluation import runs_trained_networks
from raynas.stages.task import Task
from raynas.supernet.example_inputs import example_inputs
from raynas.supernet.gates import Gate


def check_batches(task: Task) -> list[str]:
    """Runs the supernet on the smallest batches that it will get, without data, and returns what is to be said of them.

    Batch normalisation cannot train on a single value of a channel: one image that has shrunk to one pixel.

    Raises:
        InputError: If a batch is too small, or the images are.
    """
    config = task.config
    with torch.device("meta"):
        supernet = task.space.build_supernet(task.num_categories)
    norms = [module for module in supernet.modules() if isinstance(module, _BatchNorm)]
    without_values(norms)
    most = max(1, config.train.worker_range[1])
    share = config.train.batch_size // most
    remedy = "raise train.batch_size" + (", lower train.workers" if most > 1 else "")
    _try(task, supernet.train(), share, "train.batch_size", "in training", remedy)
    if runs_trained_networks(config.search):
        train, _ = split_images(task.dataset.train, config.data.train_portion, config.seed)
        count, batch = min(config.search.calibration_images, len(train)), config.search.evaluation_batch_size
        remedy = f"set search.calibration_images to a multiple of search.evaluation_batch_size ({batch})"
        supernet.eval()
        for norm in norms:
            norm.train()
        in_streams = takes_of(task.space) == "tokens"  # all streams go on together: no batch is smaller
        last = batch if in_streams else count % batch or batch
        _try(task, supernet, last, "search.calibration_images", "in the last batch", remedy)
    if share == 1 and norms:
        return [
            "train.batch_size: each worker gets 1 image of a batch, over which batch normalisation takes its "
            "statistics; raise train.batch_size or lower train.workers for others"
        ]
    return []


def without_values(norms: Sequence[_BatchNorm]) -> None:
    """Makes normalisations return their input, since torch computes a normalisation without data slowly."""
    for norm in norms:
        norm.forward = _check_values  # type: ignore[method-assign, assignment]


def _check_values(features: Tensor) -> Tensor:
    """Stands in the place of a batch normalisation that trains.

    Raises:
        InputError: If there is a single value of each channel, over which there is no deviation.
    """
    if features.numel() // features.shape[1] < 2:
        raise InputError(f"it sees one value of each of {features.shape[1]} channels")
    return features


def _try(task: Task, supernet: nn.Module, images: int, key: str, where: str, remedy: str) -> None:
    """Runs all candidates on a batch without data.

    Raises:
        InputError: If that fails, with `key` if a larger batch would not fail.
    """
    reason = _failure(task, supernet, images)
    if reason is None:
        return
    size = task.dataset.resolution
    if images < 2 and _failure(task, supernet, 2) is None:
        raise InputError(
            f"{key}: a batch of {images} image {where}, of {size} x {size} pixels, is too small for the batch "
            f"normalisation of {type(task.space).__name__}: {reason}; {remedy} or raise data.resolution"
        )
    raise InputError(
        f"data.resolution: images of {size} x {size} pixels are too small for {type(task.space).__name__}: {reason}; "
        "raise it"
    )


def _failure(task: Task, supernet: nn.Module, images: int) -> str | None:
    """Returns why the supernet cannot run on so many images, in one line; None if it can."""
    size = task.dataset.resolution
    gates = tuple(Gate(tuple(range(len(choice.candidates)))) for choice in task.space.choices)
    try:
        with torch.inference_mode():
            supernet(example_inputs(task.space, images, size, torch.device("meta")), gates)
    except (ValueError, RuntimeError) as error:
        return str(error).splitlines()[0]
    return None
