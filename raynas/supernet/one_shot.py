"""One-shot training: the loop that trains the shared weights on the routes of each step, and the alphas beside them.

The loop knows no cluster. What several workers must share enters as `Workers`, whose default is one worker alone.
"""

from __future__ import annotations

import functools
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.supernet.alphas import AlphaMetrics, AlphaTraining
from raynas.supernet.choice_block import set_drop_path
from raynas.supernet.gates import Route
from raynas.supernet.routes import actives
from raynas.training.objective import Objective, dropping
from raynas.training.schedules import SCHEDULES
from raynas.training.workers import ALONE, Batches, Workers


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
        drop_path: Chance of an image to be dropped by a candidate that is no identity.
        auxiliary_weight: Weight of the loss of the supernet's auxiliary tower, if it has one.
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
    drop_path: float = 0.0
    auxiliary_weight: float = 0.4

    @property
    def objective(self) -> Objective:
        """What the weights are trained to minimise."""
        return Objective(self.batch_size, self.label_smoothing, self.auxiliary_weight, self.bfloat16)

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
        seconds: Duration of the epoch so far.
    """

    step: int
    epoch: int
    loss_sum: Tensor
    correct_sum: Tensor
    images: int
    learning_rate: float
    seconds: float

    def sums(self, workers: Workers) -> Tensor:
        """Returns what `train_supernet` goes on from: losses, right predictions and images of all workers; seconds."""
        totals = torch.stack([self.loss_sum, self.correct_sum, self.loss_sum.new_tensor(self.images)])
        workers.add_up(totals)
        return torch.cat([totals, totals.new_tensor([self.seconds])])


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
        seconds: Duration of the epoch; of one that was interrupted, of its parts.
        alphas: What the alphas' steps report; None without any.
    """

    epoch: int
    step: int
    loss: float
    accuracy: float
    learning_rate: float
    images_per_second: float
    seconds: float
    alphas: AlphaMetrics | None = None


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
    optimizer: torch.optim.SGD,
    batches: Batches,
    routes: Callable[[int, Sequence[Tensor]], Sequence[Route]],
    recipe: Recipe,
    *,
    alphas: AlphaTraining | None = None,
    seed: int = 0,
    first_epoch: int = 0,
    first_step: int = 0,
    sums: Tensor | None = None,
    workers: Workers = ALONE,
    report_step: Callable[[StepMetrics], None] = lambda metrics: None,
    report_epoch: Callable[[EpochMetrics], None] = lambda metrics: None,
) -> None:
    """Trains the shared weights in place: min_W E_a L(a, W) (RLNAS, Zhang et al. 2021, Eq. 5 and 7).

    Where there are alphas, every step of the weights on a training batch goes with one of the alphas on a batch of the
    search split: min_alpha L_val(W, alpha) (DARTS, Liu et al. 2019, Algorithm 1; GDAS, Algorithm 1; SETN, Algorithm 1).

    The loss is the sum over this rank's images divided by the global batch size, and gradients are added up over the
    workers, so that an update does not depend on how many workers there are, but for batch normalisation, which sees a
    worker's own images, and for what is dropped. Only gradients of the active path are exchanged.

    Args:
        supernet: The weight-sharing network, on its device.
        optimizer: Its optimiser, as `make_optimizer` makes it.
        batches: Training batches.
        routes: The routes of a step of the weights, given the alphas.
        recipe: Hyper-parameters.
        alphas: The alphas and their training; None to train weights alone.
        seed: Seed of what is dropped.
        first_epoch: Epoch to begin with: 0, or the one that a restored checkpoint goes on with.
        first_step: Step of that epoch to begin with, and the same in the alphas.
        sums: What the steps before it add up to, as `StepMetrics.sums` returned it; None if there are none.
        workers: Who trains together.
        report_step: Called after every step; a checkpoint is consistent there.
        report_epoch: Called after every epoch, and so is one there.

    Raises:
        RuntimeError: If workers trained different routes, or the loss or an alpha is not finite.
    """
    parameters = list(supernet.parameters())
    device = parameters[0].device
    held = alphas.alphas if alphas else []
    objective = recipe.objective
    set_drop_path(supernet, recipe.drop_path)
    step = first_epoch * batches.steps_per_epoch + first_step
    for epoch in range(first_epoch, recipe.epochs):
        supernet.train()
        began = time.perf_counter()
        epoch_sums = torch.zeros(2, dtype=torch.float64, device=device)
        images_seen = 0
        if sums is not None:
            *seen, seconds = sums.tolist()
            began -= seconds
            if workers.rank == 0:
                epoch_sums, images_seen = epoch_sums.new_tensor(seen[:2]), int(seen[2])
        for images, labels in batches.epoch(epoch, first_step, workers.rank, workers.world):
            rate = recipe.rate(epoch, step, batches.steps_per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate
            if alphas is not None and alphas.before_weights:
                alphas.step(supernet, optimizer, images, labels, step, epoch, workers)
            now = routes(step, held)
            if step % 50 == 0:
                _check_same_routes(now, held, step, workers, device)
            for turn, route in enumerate(now):
                seeds = (seed, step, workers.rank, 0, turn)
                with dropping(device, *seeds) if recipe.drop_path else nullcontext():
                    loss, logits = objective.evaluate(functools.partial(supernet, images, route), labels)
                loss.backward()  # type: ignore[no-untyped-call]
                with torch.no_grad():
                    plain = F.cross_entropy(logits, labels, reduction="sum")
                    epoch_sums += torch.stack([plain.double(), (logits.argmax(dim=1) == labels).sum().double()])
                images_seen += len(labels)
            add_up_gradients(parameters, workers)
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
            if recipe.clip_value is not None:
                nn.utils.clip_grad_value_(parameters, recipe.clip_value)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if alphas is not None and not alphas.before_weights:
                alphas.step(supernet, optimizer, images, labels, step, epoch, workers)
            step += 1
            spent = time.perf_counter() - began
            report_step(StepMetrics(step, epoch, epoch_sums[0], epoch_sums[1], images_seen, rate, spent))
        first_step, sums = 0, None
        totals = torch.cat([epoch_sums, torch.tensor([images_seen], dtype=torch.float64, device=device)])
        workers.add_up(totals)
        loss_sum, correct, count = totals.tolist()
        if not np.isfinite(loss_sum):
            raise RuntimeError(
                f"training diverged: the loss of epoch {epoch} is {loss_sum / count}; lower train.learning_rate or set "
                "train.clip_norm"
            )
        if not all(bool(torch.isfinite(alpha).all()) for alpha in held):
            raise RuntimeError(
                f"the alphas diverged in epoch {epoch}; lower alphas.learning_rate or set alphas.clip_norm"
            )
        seconds = time.perf_counter() - began
        report_epoch(
            EpochMetrics(
                *(epoch, step, loss_sum / count, 100.0 * correct / count, rate, count / seconds, seconds),
                alphas.take_metrics(workers) if alphas else None,
            )
        )


def add_up_gradients(parameters: Iterable[nn.Parameter], workers: Workers) -> None:
    """Adds up the gradients of the active path over the workers, in place, as one flat tensor.

    Every rank trains the same path, so every rank has gradients of the same parameters, and those without are left
    out of the exchange: for five candidates per choice about a fifth of the bytes of a full exchange.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if workers.world > 1:
        for gradient, total in zip(gradients, workers.summed(gradients), strict=True):
            gradient.copy_(total)


def _check_same_routes(
    routes: Sequence[Route], alphas: Sequence[Tensor], step: int, workers: Workers, device: torch.device
) -> None:
    """Checks that all ranks are about to train the same routes at the same step, and hold the same alphas.

    With h a rank's digest, all h are equal exactly when world * sum h^2 = (sum h)^2 (Cauchy and Schwarz).

    Raises:
        RuntimeError: If they are not.
    """
    if workers.world == 1:
        return
    values = [alpha.tolist() for alpha in alphas]
    digest = zlib.crc32(repr((step, [actives(route) for route in routes], values)).encode()) % 2**20
    sums = torch.tensor([digest, digest**2], dtype=torch.float64, device=device)
    workers.add_up(sums)
    if sums[1] * workers.world != sums[0] ** 2:
        raise RuntimeError(f"the workers train different paths at step {step}: are they of one version and one seed?")
