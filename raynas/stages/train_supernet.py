"""The supernets of a run as trainings: one for every base seed."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import nn

from raynas.config.run_config import RunConfig
from raynas.stages.data_record import skipped_files
from raynas.stages.supernet_records import supernet_records
from raynas.stages.task import Task, make_task
from raynas.stages.training import Trainings
from raynas.storage.run_folder import seed_folder
from raynas.supernet.alphas import AlphaTraining, initial_alphas
from raynas.supernet.gates import MIXTURE
from raynas.supernet.one_shot import OneShot, drops
from raynas.supernet.routes import GATES, SAMPLINGS, Routing
from raynas.training.initial_weights import draw_kernels
from raynas.training.learner import Training
from raynas.training.metrics import MEASURED
from raynas.training.objective import SUMS, Objective
from raynas.training.optimizers import make_optimizer
from raynas.training.plan import Plan
from raynas.training.window import memory_of
from raynas.training.workers import Workers


def is_trained(folder: Path, base_seed: int) -> bool:
    """Returns whether the supernet of this seed is done."""
    return (seed_folder(folder, base_seed) / "result.json").exists()


def supernet_plan(config: RunConfig, base_seed: int) -> Plan:
    """Returns the plan of the supernet of a base seed."""
    folder, measured = seed_folder(Path(), base_seed), MEASURED[config.data.source.holds]
    return Plan(
        f"seed {base_seed}",
        folder.as_posix(),
        config.train,
        "the supernet",
        metrics=measured.metrics,
        samples=measured.samples,
        events=folder.name,
    )


def supernet_plans(config: RunConfig) -> list[Plan]:
    """Returns the plans of the supernets of a run."""
    return [supernet_plan(config, base_seed) for base_seed in config.base_seeds]


def supernet_trainings(task: Task) -> list[Training]:
    """Returns the trainings of the supernets of a run, once its data are read."""
    trainings = []
    for base_seed in task.config.base_seeds:
        plan, about = supernet_plan(task.config, base_seed), task.about(base_seed)
        start = functools.partial(start_supernet, task, base_seed)
        trainings.append(Training(plan, about, start, functools.partial(supernet_records, task)))
    return trainings


def make_supernet_trainings(config: RunConfig, folder: Path) -> list[Training]:
    """Returns the trainings of the supernets of a run, in a worker: the driver of the run has opened every image."""
    return supernet_trainings(make_task(config, skip=skipped_files(folder)))


SUPERNETS = Trainings(supernet_plans, make_supernet_trainings)
"""The supernets of a run."""


def routing_of(task: Task, base_seed: int, num_cells: int, steps_per_epoch: int) -> Routing:
    """Returns the routes of a training that a configuration describes."""
    config = task.config
    assert config.train.sampling is not None
    last_epoch = max(1, config.train.epochs - 1)
    return Routing(
        task.space,
        base_seed,
        SAMPLINGS.row(config.train.sampling),
        num_cells if config.train.path_per_cell else 1,
        GATES.row(config.alphas.gates) if config.alphas.gates else MIXTURE,
        config.alphas.idle,
        lambda step: config.alphas.temperature_at(step // steps_per_epoch, last_epoch),
    )


def build_supernet(task: Task, base_seed: int) -> nn.Module:
    """Returns the supernet with the initial weights of a seed, a function of the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(base_seed)
        supernet = task.space.build_supernet(task.num_categories)
        draw_kernels(supernet, task.config.train.initialisation, task.config.train.linear_initialisation)
        return supernet


def start_supernet(task: Task, base_seed: int, device: torch.device, workers: Workers) -> OneShot:
    """Returns what a worker holds of the training of a supernet, with its initial weights."""
    config, recipe = task.config, task.config.train
    supernet = build_supernet(task, base_seed).to(device).to(memory_format=torch.channels_last)
    batches = task.train_batches(base_seed, device)
    routing = routing_of(task, base_seed, int(supernet.num_cells), batches.steps_per_epoch)  # type: ignore[arg-type]
    alphas = None
    if config.alphas.gates is not None:
        first = initial_alphas(task.space, base_seed, initial=config.alphas.initial)
        alphas = AlphaTraining(
            [nn.Parameter(alpha.detach().to(device)) for alpha in first],
            task.search_batches(base_seed, device),
            routing.of_alphas,
            config.alphas,
            objective=Objective.of(recipe),
            seeds=(lambda step: (base_seed, step, workers.rank)) if drops(supernet, recipe) else None,
            temperature=routing.gates_temperature,
            memory=memory_of(supernet, recipe.batch_size, workers),
        )
    optimizer = make_optimizer(supernet, recipe, coasts=recipe.idle_weights == "coast")
    return OneShot(
        supernet,
        optimizer,
        batches,
        routing.of_weights,
        recipe,
        alphas=alphas,
        seed=base_seed,
        workers=workers,
        measure=SUMS[config.data.source.holds],
    )
