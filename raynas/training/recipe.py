"""The hyper-parameters of a training. Imports nothing of torch, so that a run file is read without it."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from raynas.errors import InputError
from raynas.options import Images, OneOf, Options
from raynas.training.decay import DECAYED
from raynas.training.schedules import SCHEDULES

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
        schedule: How it gets there: cosine or linear.
        schedule_every: Whether it moves once an epoch or every step.
        momentum: Momentum of SGD.
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: L2 penalty.
        decay_on: What the penalty is on: all parameters, the kernels of convolutions, or these and the matrices of
            linear layers (weights), so neither biases nor normalisations.
        clip_norm: Bound on the norm of the gradient; none by default.
        clip_value: Bound on the size of each entry of the gradient, in the place of clip_norm; none by default.
        label_smoothing: Share of the target that is spread evenly over all labels; losses are reported without it.
        drop_path: Chance of an image to be dropped by a candidate that is no identity.
        auxiliary_weight: Weight of the loss of the auxiliary tower, where the space builds one.
        precision: Arithmetic of forward and backward.
    """

    section: ClassVar[str] = ""
    """What leads the keys in messages: the section of the run file and a dot, such as ``train.``."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 250
    batch_size: Images = 64
    learning_rate: Annotated[float, Field(gt=0)] = 0.025
    min_learning_rate: Annotated[float, Field(ge=0)] = 0.001
    schedule: Annotated[str, OneOf(SCHEDULES)] = "cosine"
    schedule_every: Annotated[str, OneOf(PACES)] = "epoch"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    decay_on: Annotated[str, OneOf(DECAYED)] = "all"
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    clip_value: Annotated[float, Field(gt=0)] | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    auxiliary_weight: Annotated[float, Field(ge=0)] = 0.4
    precision: Annotated[str, OneOf(PRECISIONS)] = "float32"

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.nesterov and self.momentum == 0:
            raise InputError(f"nesterov: needs a momentum above 0; set {self.section}nesterov to false")
        if self.min_learning_rate > self.learning_rate:
            raise InputError(
                f"min_learning_rate: expected at most {self.section}learning_rate ({self.learning_rate}), "
                f"got {self.min_learning_rate}"
            )
        if self.clip_norm is not None and self.clip_value is not None:
            raise InputError(
                f"clip_value: the gradient is clipped in one way; leave out this or {self.section}clip_norm"
            )
        return self

    def rate(self, epoch: int, step: int, steps_per_epoch: int) -> float:
        """Returns the learning rate of a step; epoch and step count from 0 since the training began."""
        if self.schedule_every == "step":
            position, length = step, self.epochs * steps_per_epoch
        else:
            position, length = epoch, self.epochs
        return SCHEDULES[self.schedule](position, length, self.learning_rate, self.min_learning_rate)
