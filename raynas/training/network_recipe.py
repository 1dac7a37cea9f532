"""The hyper-parameters of training a network from scratch. Imports nothing of torch."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from raynas.errors import InputError
from raynas.options import Images, OneOf
from raynas.training.initial_weights import DISTRIBUTIONS
from raynas.training.recipe import PACES, Recipe

AUXILIARIES = ("none", "tower", "tower_without_norm")
"""Second classifiers: none, DARTS' tower, or that tower without its second batch normalisation."""


class NetworkRecipe(Recipe):
    """How a network is trained from scratch; the defaults are those of NAS-Bench-201.

    Attributes:
        auxiliary: The second classifier that training adds: none, DARTS' (tower), or DARTS' without its second batch
            normalisation (tower_without_norm), as DARTS, PC-DARTS and RLNAS have it on ImageNet.
        dropout: Share of the inputs of the classifier that is dropped in training.
        ema: Decay of the exponential moving average of the weights by the step, which is then the result; none by
            default.
        estimate_batch_norm: Whether the statistics of batch normalisation are measured anew at the end: the mean over
            the batches of an epoch.
        initialisation: Distribution of the first kernels of convolutions and linear layers: Kaiming's normal or
            uniform one by the inputs, or by the outputs (normal_fan_out, uniform_fan_out); each layer's own by default.
    """

    section: ClassVar[str] = "retrain"

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 200
    batch_size: Images = 256
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    min_learning_rate: Annotated[float, Field(ge=0)] = 0.0
    schedule_every: Annotated[str, OneOf(PACES)] = "step"
    auxiliary: Annotated[str, OneOf(AUXILIARIES)] = "none"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    estimate_batch_norm: bool = False
    initialisation: Annotated[str, OneOf(DISTRIBUTIONS)] | None = None

    @model_validator(mode="after")
    def _tower_counts(self) -> NetworkRecipe:
        if self.auxiliary != "none" and self.auxiliary_weight == 0:
            raise InputError(
                f"auxiliary: {self.auxiliary} is not trained with an auxiliary_weight of 0; raise that, or set this to "
                "none"
            )
        return self
