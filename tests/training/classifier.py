"""A training that is no supernet: a plain classifier on digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from raynas.config.reading import load_config
from raynas.config.run_config import RunConfig
from raynas.stages.task import Task, make_task
from raynas.stages.training import Trainings, train_all
from raynas.storage.mirror import Mirror
from raynas.training.learner import Learner, Position, Sums, Training
from raynas.training.objective import Objective, classification_sums
from raynas.training.plan import Plan
from raynas.training.workers import ALONE, Workers


class Classifier(Learner):
    """A convolution and a linear layer, trained by Adam."""

    def __init__(self, task: Task, device: torch.device, workers: Workers) -> None:
        recipe, seed = task.config.train, task.config.seed
        network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(216, 10))
        generator = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)
        network = network.to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
        super().__init__(network, optimizer, task.train_batches(seed, device), workers)
        self._objective = Objective.of(recipe)

    def step(self, batch: tuple[Tensor, Tensor], position: Position, update: Callable[[], None]) -> Sums:
        images, labels = batch
        loss, logits = self._objective.evaluate(lambda: self.module(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        update()
        return Sums(classification_sums(logits, labels), len(labels))


def plans(config: RunConfig) -> list[Plan]:
    return [Plan("classifier", "classifier", config.train, "the classifier")]


def make(config: RunConfig, folder: Path) -> list[Training]:
    task = make_task(config)
    (plan,) = plans(config)
    return [Training(plan, {"network": "classifier"}, lambda device, workers: Classifier(task, device, workers))]


CLASSIFIERS = Trainings(plans, make)


def main(file: str) -> None:
    """Trains what a run file describes, in this process."""
    config = load_config(Path(file))
    train_all(make(config, config.folder), Mirror(config.folder), ALONE, torch.device("cpu"), config.train)
