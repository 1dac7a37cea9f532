"""One-shot training: which routes a step trains, and the loop that trains the shared weights on them.

The loop knows no cluster. What several workers must share enters as `Workers`, whose default is one worker alone.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.search_space import Architecture, SearchSpace, sample
from raynas.supernet.gates import single_path
from raynas.training.schedules import SCHEDULES

Path: TypeAlias = tuple[Architecture, ...]
"""One architecture per cell of the supernet, or a single one for all cells."""


def uniform_paths(space: SearchSpace, seed: int, step: int, cells: int) -> list[Path]:
    """Returns the one path of a step, every candidate drawn uniformly (SPOS, Guo et al. 2019, section 3.2).

    A pure function of its arguments: the same on every rank, after every resume and at every number of workers.

    Args:
        space: The space; its `repair_path` has the last word on what is worth training.
        seed: Seed of the run.
        step: Step of the training, from 0.
        cells: 1 for one architecture in all cells (the papers), the number of cells for one in each (RLNAS' code).
    """
    rng = np.random.default_rng([seed, step])
    return [tuple(space.repair_path(sample(space, rng), rng) for _ in range(cells))]


def fair_paths(space: SearchSpace, seed: int, step: int, cells: int) -> list[Path]:
    """Returns the K paths of a step in which each of a choice's K candidates is trained exactly once.

    Gradients of the K paths add up to one update (strict fairness; FairNAS, Chu et al. 2021, Algorithm 1). Where
    choices have different numbers of candidates, the shorter ones start over. Arguments as in `uniform_paths`.
    """
    rng = np.random.default_rng([seed, step])
    counts = [len(choice.candidates) for choice in space.choices]
    orders = [[rng.permutation(count) for count in counts] for _ in range(cells)]
    return [tuple(tuple(int(order[k % len(order)]) for order in cell) for cell in orders) for k in range(max(counts))]


SAMPLINGS: dict[str, Callable[[SearchSpace, int, int, int], list[Path]]] = {
    "uniform": uniform_paths,
    "fair": fair_paths,
}
"""Rules for the paths of a step, by the name `train.sampling` uses."""


class Batches(Protocol):
    """Training batches that are a pure function of the epoch, split over ranks."""

    steps_per_epoch: int

    def epoch(self, epoch: int, first_step: int = 0, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields this rank's part of every batch: images ``(b, 3, height, width)`` and labels ``(b,)``."""


def alone(tensor: Tensor) -> None:
    """Leaves the tensor: the sum over one worker."""


@dataclass(frozen=True)
class Workers:
    """The workers that train together: how many, which one this is, and how they add up a tensor in place."""

    rank: int = 0
    world: int = 1
    add_up: Callable[[Tensor], None] = alone


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters of one-shot training; the defaults are RLNAS' on NAS-Bench-201.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step over all workers together.
        learning_rate: Where the learning rate starts.
        min_learning_rate: Where it ends.
        schedule: How it gets there, one of `SCHEDULES`.
        schedule_every: Whether it moves once an ``epoch`` or every ``step``.
        momentum: Momentum of SGD.
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: L2 penalty.
        decay_on: Which parameters the penalty is on, one of `DECAYED`.
        clip_norm: Bound on the norm of the gradient; None for none.
        clip_value: Bound on the size of each entry of the gradient; None for none.
        label_smoothing: Share of the target that is spread evenly over all labels.
        bfloat16: Whether forward and backward run under bfloat16 autocast.
    """

    epochs: int = 250
    batch_size: int = 64
    learning_rate: float = 0.025
    min_learning_rate: float = 0.001
    schedule: str = "cosine"
    schedule_every: str = "epoch"
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    decay_on: str = "all"
    clip_norm: float | None = None
    clip_value: float | None = None
    label_smoothing: float = 0.0
    bfloat16: bool = False

    def rate(self, epoch: int, step: int, steps_per_epoch: int) -> float:
        """Returns the learning rate of a step; epoch and step count from 0 since the training began."""
        by_step = self.schedule_every == "step"
        position, length = (step, self.epochs * steps_per_epoch) if by_step else (epoch, self.epochs)
        return SCHEDULES[self.schedule](position, length, self.learning_rate, self.min_learning_rate)


@dataclass(frozen=True)
class StepMetrics:
    """What a step reports: sums over this rank's images since the epoch began; reading a tensor waits for the device.

    Attributes:
        step: Steps done since the training began.
        epoch: Epoch of the step.
        loss_sum: Sum over images and paths of the cross-entropy, without label smoothing, ``()``.
        correct_sum: Number of right predictions, ``()``.
        images: Images seen, times paths per step.
        learning_rate: Learning rate of the step.
    """

    step: int
    epoch: int
    loss_sum: Tensor
    correct_sum: Tensor
    images: int
    learning_rate: float


@dataclass(frozen=True)
class EpochMetrics:
    """What an epoch reports, over all workers.

    Attributes:
        epoch: Epoch that ended.
        step: Steps done since the training began.
        loss: Mean cross-entropy, in nats. Label smoothing is left out of it, so that losses with and without compare.
        accuracy: Right predictions on the training labels, in percent.
        learning_rate: Learning rate of the epoch, of its last step where that moves every step.
        images_per_second: Images trained on per second, all workers together.
        seconds: Duration of the epoch.
    """

    epoch: int
    step: int
    loss: float
    accuracy: float
    learning_rate: float
    images_per_second: float
    seconds: float


DECAYED: dict[str, Callable[[Tensor], bool]] = {
    "all": lambda parameter: True,
    "convolutions": lambda parameter: parameter.dim() == 4,
    "weights": lambda parameter: parameter.dim() >= 2,
}
"""Which parameters the L2 penalty is on, by the name `train.decay_on` uses.

Kernels of convolutions alone, or the matrices of linear layers too; biases and normalisations have a single dimension.
"""


def make_optimizer(supernet: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Returns SGD over all weights of the supernet; a weight without a gradient in a step stays as it is.

    So a step moves only what its path ran. Codes of the time of RLNAS filled such gradients with zeros, which let
    momentum and weight decay move idle candidates too; raynas does not, and neither does today's PyTorch.
    """
    decays = DECAYED[recipe.decay_on]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in supernet.parameters() if decays(p)], "weight_decay": recipe.weight_decay},
        {"params": [p for p in supernet.parameters() if not decays(p)], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
    )


def train_supernet(
    supernet: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    paths: Callable[[int], Sequence[Path]],
    recipe: Recipe,
    *,
    first_epoch: int = 0,
    workers: Workers = Workers(),
    report_step: Callable[[StepMetrics], None] = lambda metrics: None,
    report_epoch: Callable[[EpochMetrics], None] = lambda metrics: None,
) -> None:
    """Trains the shared weights in place: min_W E_a L(a, W) (RLNAS, Zhang et al. 2021, Eq. 5 and 7).

    The loss is the sum over this rank's images divided by the global batch size, and gradients are added up over the
    workers, so that an update does not depend on how many workers there are, but for batch normalisation, which sees a
    worker's own images. Only gradients of the active path are exchanged.

    Args:
        supernet: The weight-sharing network, on its device.
        optimizer: Its optimiser, as `make_optimizer` makes it.
        batches: Training batches.
        paths: The paths of a step.
        recipe: Hyper-parameters.
        first_epoch: Epoch to begin with: 0, or the one after a restored checkpoint.
        workers: Who trains together.
        report_step: Called after every step.
        report_epoch: Called after every epoch, at which point a checkpoint is consistent.

    Raises:
        RuntimeError: If workers trained different paths, or the loss is not finite.
    """
    parameters = list(supernet.parameters())
    device = parameters[0].device
    step = first_epoch * batches.steps_per_epoch
    for epoch in range(first_epoch, recipe.epochs):
        supernet.train()
        began = time.perf_counter()
        sums = torch.zeros(2, dtype=torch.float64, device=device)
        images_seen = 0
        for images, labels in batches.epoch(epoch, rank=workers.rank, world=workers.world):
            rate = recipe.rate(epoch, step, batches.steps_per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate
            routes = paths(step)
            if step % 50 == 0:
                _check_same_paths(routes, step, workers, device)
            for path in routes:
                gates = [single_path(architecture) for architecture in path]
                with torch.autocast(device.type, torch.bfloat16) if recipe.bfloat16 else nullcontext():
                    logits = supernet(images, gates if len(gates) > 1 else gates[0])
                logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
                losses = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=recipe.label_smoothing)
                (losses / recipe.batch_size).backward()  # type: ignore[no-untyped-call]
                with torch.no_grad():
                    plain = F.cross_entropy(logits, labels, reduction="sum") if recipe.label_smoothing else losses
                    sums += torch.stack([plain.double(), (logits.argmax(dim=1) == labels).sum().double()])
                images_seen += len(labels)
            add_up_gradients(parameters, workers)
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
            if recipe.clip_value is not None:
                nn.utils.clip_grad_value_(parameters, recipe.clip_value)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            step += 1
            report_step(StepMetrics(step, epoch, sums[0], sums[1], images_seen, rate))
        totals = torch.cat([sums, torch.tensor([images_seen], dtype=torch.float64, device=device)])
        workers.add_up(totals)
        loss_sum, correct, count = totals.tolist()
        if not np.isfinite(loss_sum):
            raise RuntimeError(
                f"training diverged: the loss of epoch {epoch} is {loss_sum / count}; lower train.learning_rate or set "
                "train.clip_norm"
            )
        seconds = time.perf_counter() - began
        report_epoch(
            EpochMetrics(epoch, step, loss_sum / count, 100.0 * correct / count, rate, count / seconds, seconds)
        )


def add_up_gradients(parameters: Iterable[nn.Parameter], workers: Workers) -> None:
    """Adds up the gradients of the active path over the workers, in place, as one flat tensor.

    Every rank trains the same path, so every rank has gradients of the same parameters, and those without are left
    out of the exchange: for five candidates per choice about a fifth of the bytes of a full exchange.
    """
    if workers.world == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    workers.add_up(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


def _check_same_paths(paths: Sequence[Path], step: int, workers: Workers, device: torch.device) -> None:
    """Checks that all ranks are about to train the same paths at the same step.

    With h a rank's digest, all h are equal exactly when world * sum h^2 = (sum h)^2 (Cauchy and Schwarz).

    Raises:
        RuntimeError: If they are not.
    """
    digest = zlib.crc32(repr((step, list(paths))).encode()) % 2**20
    sums = torch.tensor([digest, digest**2], dtype=torch.float64, device=device)
    workers.add_up(sums)
    if sums[1] * workers.world != sums[0] ** 2:
        raise RuntimeError(f"the workers train different paths at step {step}: are they of one version and one seed?")
