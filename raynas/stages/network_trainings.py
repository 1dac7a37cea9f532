"""The networks of a retraining as trainings: one for every network and seed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from raynas.config.retrain_section import RetrainSection
from raynas.config.run_config import RunConfig
from raynas.data import ImageSet, Loader, StreamLoader, TextDataset, split_images
from raynas.networks.learner import VALIDATION, NetworkLearner
from raynas.networks.training_form import network_to_train
from raynas.stages.data_record import skipped_files
from raynas.stages.subjects import Subject, space_values
from raynas.stages.task import Task, make_task
from raynas.stages.training import Trainings
from raynas.training.learner import Training
from raynas.training.metrics import MEASURED
from raynas.training.objective import SUMS
from raynas.training.plan import Plan
from raynas.training.workers import Workers


def network_trainings(subjects: Sequence[Subject]) -> Trainings:
    """Returns the trainings of networks."""
    return Trainings(functools.partial(network_plans, subjects), functools.partial(_make, subjects))


def network_plans(subjects: Sequence[Subject], config: RunConfig) -> list[Plan]:
    """Returns a plan for each network and seed: all networks of the first seed, then those of the next."""
    section, measured = _section(config), MEASURED[config.data.source.holds]
    plans = []
    for seed in section.seeds:
        for subject in subjects:
            folder = f"{section.folder}/{subject.name}/seed_{seed}"
            plan = Plan(
                f"{subject.name} seed {seed}",
                folder,
                section,
                "the networks",
                section="retrain",
                metrics=measured.metrics,
                samples=measured.samples,
            )
            plans.append(plan)
    return plans


def _make(subjects: Sequence[Subject], config: RunConfig, folder: Path) -> list[Training]:
    """Returns the trainings in a worker: the driver of the run has opened every image."""
    return make_trainings(subjects, make_task(config, skip=skipped_files(folder)))


def make_trainings(subjects: Sequence[Subject], task: Task) -> list[Training]:
    """Returns the trainings of networks on the images of a task, in the order of their plans."""
    section = _section(task.config)
    plans = iter(network_plans(subjects, task.config))
    trainings = []
    for seed in section.seeds:
        for subject in subjects:
            start = functools.partial(start_network, task, subject, seed)
            trainings.append(Training(next(plans), about(task, subject, seed), start))
    return trainings


def about(task: Task, subject: Subject, seed: int) -> dict[str, Any]:
    """Returns what the weights of a network belong to, as its checkpoints store it."""
    of_data = task.about(seed)
    return {
        "space": space_values(subject.space, task.config.space.name, task.config.space.arguments),
        "architecture": list(subject.architecture),
        "data": of_data["data"],
        "num_classes": task.dataset.num_classes,
        "seed": seed,
    }


def build_network(task: Task, subject: Subject, seed: int) -> nn.Module:
    """Returns a network in the form in which it is trained, with initial weights that are a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return network_to_train(subject.space, subject.architecture, task.dataset.num_classes, _section(task.config))


def start_network(task: Task, subject: Subject, seed: int, device: torch.device, workers: Workers) -> NetworkLearner:
    """Returns what a worker holds of the training of a network, with its initial weights."""
    section, images = _section(task.config), task.dataset.train
    network = build_network(task, subject, seed).to(device).to(memory_format=torch.channels_last)
    train, rest = split_images(images, section.train_portion, task.config.seed)
    test = task.dataset.test
    held_out = {"test": _unchanged(task, test, np.arange(len(test)), device)}
    if len(rest):
        held_out[VALIDATION] = _unchanged(task, images, rest, device)
    batches = _training_batches(task, train, seed, device)
    measure = SUMS[task.config.data.source.holds]
    return NetworkLearner(network, section, batches, held_out=held_out, seed=seed, workers=workers, measure=measure)


def _training_batches(task: Task, train: np.ndarray, seed: int, device: torch.device) -> Loader | StreamLoader:
    """Returns the batches of the images at some positions, shuffled and augmented, or the windows of a text."""
    section, images = _section(task.config), task.dataset.train
    if isinstance(task.dataset, TextDataset):
        return StreamLoader(
            images,
            train,
            lambda epoch: images.labels,
            batch_size=section.batch_size,
            window=task.dataset.window,
            seed=seed,
            varies=task.dataset.window_varies,
            device=device,
            key="retrain.batch_size",
        )
    return Loader(
        task.dataset,
        images,
        train,
        lambda epoch: images.labels,
        batch_size=section.batch_size,
        seed=seed,
        augmentation=section.augmentation or task.config.data,
        shuffle=True,
        drop_last=True,
        device=device,
        num_workers=task.config.data.loader_workers,
    )


STREAMS = 10
"""Streams in which a text is read to measure networks, as in the codes of AWD-LSTM and DARTS for validation."""


def evaluated_streams(config: RunConfig) -> int:
    """Returns in how many streams a text is read to measure networks: each worker has one at least."""
    return max(STREAMS, config.train.worker_range[1])


def _unchanged(task: Task, images: ImageSet, positions: np.ndarray, device: torch.device) -> Loader | StreamLoader:
    """Returns batches of images as they are, to measure networks on, or windows of a text."""
    if isinstance(task.dataset, TextDataset):
        streams = evaluated_streams(task.config)
        return StreamLoader(
            images,
            positions,
            lambda epoch: images.labels,
            batch_size=streams,
            window=min(task.dataset.window, max(1, len(positions) // streams)),
            device=device,
            key="data.path",
        )
    return Loader(
        task.dataset,
        images,
        positions,
        lambda epoch: images.labels,
        batch_size=_section(task.config).batch_size,
        seed=0,
        augmentation=None,
        shuffle=False,
        drop_last=False,
        device=device,
        num_workers=task.config.data.loader_workers,
    )


def _section(config: RunConfig) -> RetrainSection:
    assert config.retrain is not None
    return config.retrain
