"""What can be known of a retraining before anything is trained."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from raynas import recipes
from raynas.config.retrain_section import RetrainSection, sizes_for
from raynas.data import TextDataset, split_images
from raynas.errors import InputError
from raynas.networks.training_form import network_to_train
from raynas.search_space import sample
from raynas.stages.dry_run import without_values
from raynas.stages.network_trainings import evaluated_streams
from raynas.stages.subjects import given_architectures, resized
from raynas.stages.task import Task, as_searched
from raynas.supernet.example_inputs import example_inputs


def check_retraining(task: Task) -> list[str]:
    """Checks the networks, the recipe and the images of a retraining, and returns what a user should know.

    Raises:
        InputError: If something is not as it should be.
    """
    config, section = task.config, task.config.retrain
    assert section is not None
    space = task.space if section.architectures is not None else as_searched(task).space
    if section.architectures is not None:
        given_architectures(space, section.architectures)
    elif section.top > config.search.top:
        raise InputError(
            f"retrain.top: expected at most search.top ({config.search.top}), got {section.top}; raise search.top"
        )
    _check_images(task, section)
    _check_held_out(task, section)
    _check_augmentation(task, section)
    _check_network(task, section)
    return _lines(task, section)


def _lines(task: Task, section: RetrainSection) -> list[str]:
    """Returns what is trained, and what of a recipe is not taken, a line each."""
    networks = len(section.architectures or range(section.top)) + len(section.controls)
    steps = round(len(task.dataset.train) * section.train_portion) // section.batch_size
    if isinstance(task.dataset, TextDataset):
        train, _ = split_images(task.dataset.train, section.train_portion, task.config.seed)
        steps = -(-(len(train) // section.batch_size) // task.dataset.window)
    lines = [
        f"retrain: {networks} networks from {len(section.seeds)} seeds each, {section.epochs:,} epochs of {steps:,} "
        f"steps of {section.batch_size} {task.dataset.batched}"
    ]
    recipe = {} if section.recipe is None else recipes.read(section.recipe)
    if recipe and sizes_for(recipe, task.config.space.name) is None:
        of_recipe = ", ".join(f"{key} {value}" for key, value in recipe["space"].items())
        lines.append(
            f"retrain.recipe: {section.recipe} is made for another space ({of_recipe}); its sizes are not taken"
        )
    return lines


def _check_images(task: Task, section: RetrainSection) -> None:
    """Checks that there are images to train on, and to test on.

    Raises:
        InputError: If not.
    """
    train, _ = split_images(task.dataset.train, section.train_portion, task.config.seed)
    if len(train) < section.batch_size:
        raise InputError(
            f"retrain.batch_size: expected at most {len(train):,} (the images there are to train on), got "
            f"{section.batch_size:,}; lower it, or load more images"
        )
    most = task.config.train.worker_range[1]
    if most > section.batch_size:
        raise InputError(
            f"retrain.batch_size: {most} workers cannot share batches of {section.batch_size} images; raise it"
        )


def _check_held_out(task: Task, section: RetrainSection) -> None:
    """Checks the streams of a text, and that there is something held out where stalled training averages.

    Raises:
        InputError: If not.
    """
    train, rest = split_images(task.dataset.train, section.train_portion, task.config.seed)
    if section.average_when_stalled is not None and not len(rest):
        raise InputError(
            "retrain.average_when_stalled: needs images that are held out, got retrain.train_portion: 1; lower that, "
            "or leave this out"
        )
    if not isinstance(task.dataset, TextDataset):
        if "lstm" in section.controls:
            raise InputError("retrain.controls: lstm reads texts, and the data are images; leave it out")
        return
    window = task.dataset.window
    if len(train) // section.batch_size < window:
        raise InputError(
            f"retrain.batch_size: expected streams of at least {window} tokens (data.window), got "
            f"{len(train) // section.batch_size}; lower it, lower data.window, or give a longer text"
        )
    for name, tokens in (("valid.txt", len(rest)), ("test.txt", len(task.dataset.test))):
        if tokens < evaluated_streams(task.config):
            raise InputError(
                f"data.path: expected {name} of more than {evaluated_streams(task.config)} tokens, since networks are "
                f"measured in so many streams, got {tokens + 1}; give a longer text"
            )


def _check_augmentation(task: Task, section: RetrainSection) -> None:
    """Checks that images of this kind can be changed as the recipe says.

    Raises:
        InputError: If not.
    """
    augmentation = section.augmentation
    if augmentation is None:
        return
    if augmentation.cutout > task.dataset.resolution:
        raise InputError(
            f"retrain.augmentation.cutout: expected at most {task.dataset.resolution} (the height and width of an "
            f"image), got {augmentation.cutout}; lower it"
        )
    if task.dataset.reads_files and augmentation.crop_padding is not None:
        raise InputError(
            "retrain.augmentation.crop_padding: files are cropped to a random area; leave it out, or set it to null"
        )
    if not task.dataset.reads_files and augmentation.crop_ratio is not None:
        raise InputError(
            f"retrain.augmentation.crop_ratio: only image files are cropped to a random area, not {task.dataset.name}; "
            "leave it out, or set it to null"
        )


def _check_network(task: Task, section: RetrainSection) -> None:
    """Runs a network on the smallest batch that it will get, without data.

    Raises:
        InputError: If that fails.
    """
    space = as_searched(task).space if section.architectures is None else task.space
    architecture = sample(space, np.random.default_rng(0))
    if section.architectures is not None:
        architecture = next(iter(given_architectures(space, section.architectures).values()))
    size = task.dataset.resolution
    share = section.batch_size // max(1, task.config.train.worker_range[1])
    with torch.device("meta"):
        network = network_to_train(
            resized(space, section.space), architecture, task.dataset.num_classes, section
        ).train()
    without_values([module for module in network.modules() if isinstance(module, _BatchNorm)])
    try:
        with torch.inference_mode():
            network(example_inputs(space, share, size, torch.device("meta")))
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"retrain: a batch of {share} images of {size} x {size} pixels does not fit the network: "
            f"{str(error).splitlines()[0]}; raise retrain.batch_size or data.resolution"
        ) from error
