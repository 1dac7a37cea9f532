"""The hyper-parameters of a training. Imports nothing of torch, so that a run file is read without it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from raynas.errors import InputError
from raynas.options import Count, Images, OneOf, Options, Positive
from raynas.training.decay import DECAYED
from raynas.training.schedules import SCHEDULES, WARMUPS

PRECISIONS = ("float32", "bfloat16")
"""Arithmetic of forward and backward; weights, losses and sums are in 32 bits or more with both."""

PACES = ("epoch", "step")
"""How often a learning rate moves."""


class Recipe(Options):
    """How a network is trained; the defaults are those of RLNAS on NAS-Bench-201.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step over all workers together.
        learning_rate: Where the learning rate starts.
        min_learning_rate: Where it ends.
        schedule: How it gets there: by a cosine, a line (linear), a line with a gentler one at its end (two_slopes), a
            power of the share that is left (polynomial), or a factor for every epoch (exponential).
        schedule_every: Whether it moves once an epoch or every step.
        schedule_tail: Number of epochs of the gentler line of two_slopes.
        schedule_power: The power of polynomial.
        schedule_gamma: The factor of exponential.
        warmup_epochs: Number of epochs in which the rate rises.
        warmup: How it rises: before (from 0, every step, and the schedule takes the epochs after) or scaled (the
            schedule takes all epochs and is multiplied by 1/n, 2/n, ..., 1 in the first n of them).
        momentum: Momentum of SGD.
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: L2 penalty.
        decay_on: What the penalty is on: all parameters, the kernels of convolutions, or these and the matrices of
            linear layers (weights), so neither biases nor normalisations.
        clip_norm: Bound on the norm of the gradient; none by default.
        clip_value: Bound on the size of each entry of the gradient, in the place of clip_norm; none by default.
        label_smoothing: Share of the target that is spread evenly over all labels; losses are reported without it.
        drop_path: Chance of an image to be dropped by a candidate that is no identity.
        drop_path_rises: Whether that chance rises from 0 by the same amount every epoch, towards drop_path.
        auxiliary_weight: Weight of the loss of the auxiliary tower, where the space builds one.
        precision: Arithmetic of forward and backward.
    """

    section: ClassVar[str] = "train"
    """The section of a run file that holds the recipe, for messages."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 250
    batch_size: Images = 64
    learning_rate: Annotated[float, Field(gt=0)] = 0.025
    min_learning_rate: Annotated[float, Field(ge=0)] = 0.001
    schedule: Annotated[str, OneOf(SCHEDULES)] = "cosine"
    schedule_every: Annotated[str, OneOf(PACES)] = "epoch"
    schedule_tail: Positive = 5
    schedule_power: Annotated[float, Field(gt=0, le=100)] = 0.9
    schedule_gamma: Annotated[float, Field(gt=0, le=1)] = 0.97
    warmup_epochs: Count = 0
    warmup: Annotated[str, OneOf(WARMUPS)] = "before"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    decay_on: Annotated[str, OneOf(DECAYED)] = "all"
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    clip_value: Annotated[float, Field(gt=0)] | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    drop_path_rises: bool = False
    auxiliary_weight: Annotated[float, Field(ge=0)] = 0.4
    precision: Annotated[str, OneOf(PRECISIONS)] = "float32"

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.nesterov and self.momentum == 0:
            raise InputError(f"nesterov: needs a momentum above 0; set {self.section}.nesterov to false")
        if self.min_learning_rate > self.learning_rate:
            raise InputError(
                f"min_learning_rate: expected at most {self.section}.learning_rate ({self.learning_rate}), "
                f"got {self.min_learning_rate}"
            )
        if self.clip_norm is not None and self.clip_value is not None:
            raise InputError(
                f"clip_value: the gradient is clipped in one way; leave out this or {self.section}.clip_norm"
            )
        return self

    @model_validator(mode="after")
    def _schedule_fits(self) -> Recipe:
        if self.warmup_epochs and self.warmup_epochs >= self.epochs:
            raise InputError(
                f"warmup_epochs: expected less than {self.section}.epochs ({self.epochs}), got {self.warmup_epochs}; "
                "lower it"
            )
        if self.schedule == "two_slopes":
            if self.schedule_every == "step":
                raise InputError("schedule_every: two_slopes moves once an epoch, got step; set it to epoch")
            if self.schedule_tail >= self._scheduled_epochs:
                raise InputError(
                    f"schedule_tail: expected less than the {self._scheduled_epochs} epochs of the schedule, got "
                    f"{self.schedule_tail}; lower it"
                )
        return self

    @property
    def _epochs_before(self) -> int:
        """Number of epochs before the schedule begins."""
        return self.warmup_epochs if self.warmup == "before" else 0

    @property
    def _scheduled_epochs(self) -> int:
        """Number of epochs of the schedule."""
        return self.epochs - self._epochs_before

    def rate(self, epoch: int, step: int, steps_per_epoch: int) -> float:
        """Returns the learning rate of a step; epoch and step count from 0 since the training began."""
        if epoch < self._epochs_before:
            return self.learning_rate * step / (self.warmup_epochs * steps_per_epoch)

        per_epoch, position = (steps_per_epoch, step) if self.schedule_every == "step" else (1, epoch)
        length = self._scheduled_epochs * per_epoch
        rate = SCHEDULES[self.schedule](
            position - self._epochs_before * per_epoch,
            length,
            self.learning_rate,
            self.min_learning_rate,
            **self._numbers(),
        )
        warmup = self.warmup_epochs * per_epoch
        if self.warmup == "scaled" and position < warmup:
            rate = rate * (position + 1) / warmup
        return rate

    def _numbers(self) -> dict[str, float]:
        """Returns the numbers that only the schedule of this recipe takes."""
        if self.schedule == "two_slopes":
            return {"tail": self.schedule_tail}
        if self.schedule == "polynomial":
            return {"power": self.schedule_power}
        if self.schedule == "exponential":
            return {"gamma": self.schedule_gamma, "epochs": self._scheduled_epochs}
        return {}

    def drop_path_at(self, epoch: int) -> float:
        """Returns the chance of an image to be dropped in an epoch.

        Where it rises, epoch e of E has drop_path e / E, as in the code of DARTS.
        """
        return self.drop_path * epoch / self.epochs if self.drop_path_rises else self.drop_path
