"""A ragged space without batch normalisation, its supernet, and batches, all in float64."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from torch import nn

from raynas.options import Options
from raynas.search_space import Choice, SearchSpace
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.gates import per_cell
from raynas.supernet.one_shot import OneShot
from raynas.training.loop import train
from raynas.training.optimizers import make_optimizer
from raynas.training.plan import Plan
from raynas.training.workers import ALONE

WIDTH, CLASSES = 6, 4


class Toy(SearchSpace):
    """Three choices of two, three and four candidates, each a linear layer before a different nonlinearity."""

    name = "toy"
    counts = (2, 3, 4)

    @property
    def choices(self):
        names = ("tanh", "sigmoid", "sine", "identity")
        return tuple(Choice(f"layer{i}", names[:count]) for i, count in enumerate(self.counts))

    def build_supernet(self, num_classes):
        return ToySupernet(self, num_classes)

    def build_network(self, architecture, num_classes):
        raise NotImplementedError


class Sine(nn.Module):
    def forward(self, x):
        return torch.sin(x)


NONLINEARITIES = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "sine": Sine, "identity": nn.Identity}


class ToySupernet(nn.Module):
    """Two cells, each the chain of the choices, on (3, 2, 2) images."""

    num_cells = 2

    def __init__(self, space, num_classes):
        super().__init__()
        self.stem = nn.Linear(12, WIDTH)
        self.cells = nn.ModuleList(
            nn.ModuleList(
                ChoiceBlock({n: nn.Sequential(nn.Linear(WIDTH, WIDTH), NONLINEARITIES[n]()) for n in choice.candidates})
                for choice in space.choices
            )
            for _ in range(self.num_cells)
        )
        self.classifier = nn.Linear(WIDTH, num_classes)

    def forward(self, images, gates):
        x = self.stem(images.flatten(1))
        for cell, cell_gates in zip(self.cells, per_cell(gates, self.num_cells), strict=True):
            for block, gate in zip(cell, cell_gates, strict=True):
                x = block(x, gate)
        return self.classifier(x)


def toy_supernet(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Toy().build_supernet(CLASSES).double()


def plain_logits(weights, images, path):
    """Returns what the toy supernet computes for one architecture per cell (or one for both), written plainly."""
    functions = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "sine": torch.sin, "identity": lambda x: x}
    path = path if len(path) == 2 else path * 2
    x = images.flatten(1) @ weights["stem.weight"].T + weights["stem.bias"]
    for cell, architecture in enumerate(path):
        for i, k in enumerate(architecture):
            name = list(functions)[k]
            layer = f"cells.{cell}.{i}.{name}.0"
            x = functions[name](x @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
    return x @ weights["classifier.weight"].T + weights["classifier.bias"]


class ToyBatches:
    """Batches of random images in an order of the epoch; rank r of w takes every w-th image of a batch."""

    def __init__(self, steps_per_epoch=5, batch_size=8, seed=0):
        generator = torch.Generator().manual_seed(seed)
        number = steps_per_epoch * batch_size
        self.images = torch.randn(number, 3, 2, 2, generator=generator, dtype=torch.float64)
        self.labels = torch.randint(0, CLASSES, (number,), generator=generator)
        self.steps_per_epoch, self.batch_size = steps_per_epoch, batch_size

    def epoch(self, epoch, first_step=0, rank=0, world=1):
        order = np.random.default_rng([11, epoch]).permutation(len(self.labels)).reshape(self.steps_per_epoch, -1)
        for rows in order[first_step:]:
            rows = torch.from_numpy(rows[rank::world].copy())
            yield self.images[rows], self.labels[rows]


def replace(value, **changes):
    """Returns options or a dataclass with some values changed, which options do not check."""
    if isinstance(value, Options):
        return value.model_copy(update=changes)
    return dataclasses.replace(value, **changes)


def train_supernet(
    supernet, optimizer, batches, routes, recipe, *, alphas=None, seed=0, workers=ALONE, sums=None, **options
):
    """Trains a supernet, from sums of its weights and alphas on where there are any; options are those of the loop."""
    optimizer = make_optimizer(supernet, recipe) if optimizer is None else optimizer
    learner = OneShot(supernet, optimizer, batches, routes, recipe, alphas=alphas, seed=seed, workers=workers)
    train(learner, Plan("toy", "toy", recipe), sums=sums, **options)
