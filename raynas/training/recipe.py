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
        epochs: Number of passes over the training images.
        batch_size: Number of images in a step, over all workers together.
        learning_rate: Learning rate at the start.
        min_learning_rate: Learning rate at the end.
        schedule: Form of the decrease of the learning rate: a cosine, a line (linear), a line with a gentler one at its
            end (two_slopes), a power of the share of the training that is left (polynomial), or a constant factor for
            each epoch (exponential).
        schedule_every: Whether the learning rate changes once an epoch or at every step.
        schedule_tail: Number of epochs of the gentler line of the schedule two_slopes.
        schedule_power: Exponent of the schedule polynomial.
        schedule_gamma: Factor for each epoch of the schedule exponential.
        warmup_epochs: Number of epochs at the start in which the learning rate rises; 0 for none.
        warmup: Form of the rise of the learning rate in the first n = warmup_epochs epochs. before: it rises from 0 at
            every step, and the schedule covers the epochs that follow. scaled: the schedule covers all epochs, and is
            multiplied by 1/n, 2/n, ..., 1 in the first n.
        momentum: Momentum of SGD, the optimiser of the weights.
        nesterov: Whether SGD uses Nesterov's momentum.
        weight_decay: Coefficient of the L2 penalty on the weights.
        decay_on: Parameters that the L2 penalty covers: all of them; the kernels of convolutions; or these kernels and
            the matrices of linear layers (weights), without biases and normalisations.
        clip_norm: Largest norm of the gradient of the weights; a larger gradient is scaled down. No bound by default.
        clip_value: Largest absolute value of each entry of the gradient of the weights, instead of clip_norm. No bound
            by default.
        label_smoothing: Share of the target that is spread evenly over all labels. Reported losses are those without
            smoothing.
        drop_path: Probability that a candidate's output is dropped for an image. Identities are never dropped.
        drop_path_rises: Whether the probability drop_path is reached in equal steps from 0, one step each epoch.
        auxiliary_weight: Weight of the loss of the auxiliary tower, in spaces that build such a second classifier.
        average_when_stalled: Number n of epochs after which stalled training averages its weights (averaged SGD of
            AWD-LSTM): once the loss on held-out data is larger than the smallest of all epochs but the last n, the mean
            of the weights over all later steps is the result. No averaging by default.
        precision: Number format of the forward and the backward pass. Weights, losses and sums have 32 bits or more
            with both.
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
    average_when_stalled: Positive | None = None
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
