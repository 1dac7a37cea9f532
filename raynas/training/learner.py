"""A training as a value, and what one worker holds while it is trained."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

from raynas.training.optimizers import optimizer_state, restore_optimizer
from raynas.training.plan import Plan
from raynas.training.workers import ALONE, Batches, Workers

State: TypeAlias = dict[str, dict[str, Tensor]]
"""What a training goes on from: tensors by name, in parts."""

Figures: TypeAlias = Mapping[str, Mapping[str, float | None]]
"""Figures of an epoch by name, in groups; None where there is no figure."""


@dataclass(frozen=True)
class Sums:
    """What a step sums up over this worker's samples.

    Attributes:
        values: A sum for each metric of the training, ``(metrics,)`` float64.
        count: Number of samples.
    """

    values: Tensor
    count: int


class Position(NamedTuple):
    """Where a training is.

    Attributes:
        epoch: The epoch, from 0.
        step: The step since the training began, from 0.
    """

    epoch: int
    step: int


class Learner(abc.ABC):
    """What one worker holds of a training: the module, its optimiser, its batches and the step.

    A subclass writes `step`. It adds to `state` whatever else changes during the training, so that checkpoints hold it.

    Attributes:
        module: The module, on its device.
        optimizer: Its optimiser.
        batches: Training batches.
        workers: Who trains together.
    """

    def __init__(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches, workers: Workers = ALONE
    ) -> None:
        """Takes the module with its initial weights, the optimiser, the batches and the workers."""
        self.module, self.optimizer, self.batches, self.workers = module, optimizer, batches, workers

    @property
    def device(self) -> torch.device:
        """Where the module is."""
        return next(self.module.parameters()).device

    @abc.abstractmethod
    def step(self, batch: Any, position: Position, update: Callable[[], None]) -> Sums:
        """Trains on a batch and returns the sums of its metrics.

        Args:
            batch: This worker's part of the batch, as `batches` yields it.
            position: Where the training is.
            update: Adds up the gradients over the workers, clips them, and takes the step of the optimiser. To be
                called once, with the gradients of this worker in place.
        """

    def rate_factor(self, batch: Any) -> float:
        """Returns what the learning rate of a step is multiplied by: 1, unless the batches say something else."""
        factor = getattr(self.batches, "rate_factor", None)
        return 1.0 if factor is None else float(factor(batch))

    def state(self) -> State:
        """Returns what a checkpoint must hold. Every worker calls this at the same step, so that they can exchange."""
        return {
            "weights": dict(self.module.state_dict()),
            "optimizer": optimizer_state(self.module, self.optimizer),
        }

    def restore(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Goes on from what `state` returned; from initial weights where there are only these.

        In the middle of an epoch there is a part ``sums``, with what `sums` returned.
        """
        self.module.load_state_dict(dict(state["weights"]))
        restore_optimizer(self.module, self.optimizer, state.get("optimizer", {}))

    def modules(self) -> dict[str, nn.Module]:
        """Returns the modules whose weights are parts of `state`, by the names of the parts."""
        return {"weights": self.module}

    def sums(self) -> dict[str, Tensor]:
        """Returns further sums of the epoch so far, over all workers, for a checkpoint in the middle of an epoch."""
        return {}

    def finish_epoch(self, epoch: int) -> Figures:
        """Returns further figures of an epoch. Every worker calls this when the epoch ends.

        Raises:
            RunError: If the training has diverged.
        """
        return {}


class Records:
    """Files that a training writes beside its metrics. Worker 0 alone keeps them. By default there are none."""

    def epochs(self) -> float:
        """Returns after how many epochs the first of these files ends."""
        return float("inf")

    def keep(self, epochs: int, started: bool) -> None:
        """Drops what is later than a checkpoint.

        Args:
            epochs: Epochs done.
            started: Whether a step has been taken.
        """

    def write(self, epochs: int, learner: Learner, initial: Mapping[str, Tensor]) -> Mapping[str, float]:
        """Adds what there is after so many epochs, 0 included, and returns figures for TensorBoard by tag.

        Args:
            epochs: Epochs done.
            learner: The training as it is.
            initial: Weights before the first step, by name.
        """
        return {}


@dataclass(frozen=True)
class Training:
    """A training as a value.

    Attributes:
        plan: Name, place, recipe and metrics.
        about: What the weights belong to, as checkpoints store it.
        start: Makes what a worker holds, on its device. Initial weights are a function of a seed alone.
        records: Makes the further records in the folder of the training.
    """

    plan: Plan
    about: Mapping[str, Any]
    start: Callable[[torch.device, Workers], Learner]
    records: Callable[[Path], Records] = lambda folder: Records()
