"""The loop of every training: epochs, steps, sums and the exchange between workers. It knows no cluster."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raynas.errors import RunError
from raynas.training.learner import Figures, Learner, Position, Sums
from raynas.training.plan import Plan
from raynas.training.recipe import Recipe
from raynas.training.workers import Workers, add_up_gradients


class EpochSums:
    """Sums of metrics over this worker's samples since an epoch began, and the time since then.

    Attributes:
        values: A sum for each metric, ``(metrics,)`` float64; reading it waits for the device.
        count: Number of samples.
    """

    def __init__(self, metrics: int, device: torch.device) -> None:
        """Begins an epoch with so many metrics."""
        self._began = time.perf_counter()
        self.values = torch.zeros(metrics, dtype=torch.float64, device=device)
        self.count = 0

    @property
    def seconds(self) -> float:
        """Duration of the epoch so far; of one that was interrupted, of its parts."""
        return time.perf_counter() - self._began

    def add(self, sums: Sums) -> None:
        """Adds the sums of a step."""
        self.values += sums.values
        self.count += sums.count

    def totals(self, workers: Workers) -> Tensor:
        """Returns sums and number of samples of all workers, and the seconds, ``(metrics + 2,)``."""
        totals = torch.cat([self.values, self.values.new_tensor([self.count])])
        workers.add_up(totals)
        return torch.cat([totals, totals.new_tensor([self.seconds])])

    def resume(self, totals: Tensor, workers: Workers) -> None:
        """Goes on from what `totals` returned: worker 0 holds it, and the others hold zeros."""
        *values, count, seconds = totals.tolist()
        self._began -= seconds
        if workers.rank == 0:
            self.values, self.count = self.values.new_tensor(values), int(count)


@dataclass(frozen=True)
class StepReport:
    """What is known after a step.

    Attributes:
        step: Steps done since the training began.
        epoch: Epoch of the step.
        sums: Sums of this worker since the epoch began.
        learning_rate: Learning rate of the step.
    """

    step: int
    epoch: int
    sums: EpochSums
    learning_rate: float


@dataclass(frozen=True)
class EpochReport:
    """What is known after an epoch, over all workers.

    Attributes:
        epoch: Epoch that ended.
        step: Steps done since the training began.
        values: The value of each metric, by name.
        learning_rate: Learning rate of the epoch, of its last step where that moves every step.
        speed: Samples per second, all workers together.
        seconds: Duration of the epoch; of one that was interrupted, of its parts.
        further: Further figures, in groups.
    """

    epoch: int
    step: int
    values: dict[str, float]
    learning_rate: float
    speed: float
    seconds: float
    further: Figures


def _nothing(report: object) -> None:
    """Does nothing."""


def train(
    learner: Learner,
    plan: Plan,
    *,
    first_epoch: int = 0,
    first_step: int = 0,
    sums: Tensor | None = None,
    report_step: Callable[[StepReport], None] = _nothing,
    report_epoch: Callable[[EpochReport], None] = _nothing,
) -> None:
    """Trains a module in place, from an epoch and step on, to the end of its recipe.

    Args:
        learner: What this worker holds.
        plan: Recipe and metrics.
        first_epoch: Epoch to begin with: 0, or the one that a restored checkpoint goes on with.
        first_step: Step of that epoch to begin with.
        sums: What the steps before it add up to, as `EpochSums.totals` returned it; None if there are none.
        report_step: Called after every step; a checkpoint is consistent there.
        report_epoch: Called after every epoch, and so is one there.

    Raises:
        RunError: If the loss is not finite.
    """
    recipe, batches, workers = plan.recipe, learner.batches, learner.workers
    update = functools.partial(take_step, list(learner.module.parameters()), learner, recipe)
    step = first_epoch * batches.steps_per_epoch + first_step
    for epoch in range(first_epoch, recipe.epochs):
        learner.module.train()
        epoch_sums = EpochSums(len(plan.metrics), learner.device)
        if sums is not None:
            epoch_sums.resume(sums, workers)

        for batch in batches.epoch(epoch, first_step, workers.rank, workers.world):
            rate = recipe.rate(epoch, step, batches.steps_per_epoch)
            for group in learner.optimizer.param_groups:
                group["lr"] = rate * learner.rate_factor(batch)
            epoch_sums.add(learner.step(batch, Position(epoch, step), update))
            step += 1
            report_step(StepReport(step, epoch, epoch_sums, rate))

        first_step, sums = 0, None
        report_epoch(_finished(learner, plan, epoch_sums, Position(epoch, step), rate))


def take_step(parameters: Sequence[nn.Parameter], learner: Learner, recipe: Recipe) -> None:
    """Adds up the gradients over the workers, clips them, and takes the step of the optimiser."""
    add_up_gradients(parameters, learner.workers)
    if recipe.clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
    if recipe.clip_value is not None:
        nn.utils.clip_grad_value_(parameters, recipe.clip_value)
    learner.optimizer.step()
    learner.optimizer.zero_grad(set_to_none=True)


def _finished(learner: Learner, plan: Plan, sums: EpochSums, position: Position, rate: float) -> EpochReport:
    """Returns the report of an epoch that has ended.

    Raises:
        RunError: If the training has diverged.
    """
    *values, count, _ = sums.totals(learner.workers).tolist()
    if not math.isfinite(values[0]):
        raise RunError(
            f"training diverged: the loss of epoch {position.epoch} is {values[0] / count}; lower "
            f"{plan.section}.learning_rate or set {plan.section}.clip_norm"
        )
    further = learner.finish_epoch(position.epoch)
    seconds = sums.seconds
    figures = {metric.name: metric.value(value, count) for metric, value in zip(plan.metrics, values, strict=True)}
    return EpochReport(*position, figures, rate, count / seconds, seconds, further)
