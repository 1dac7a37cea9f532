"""One-shot accuracy and loss, as tests state them."""

from __future__ import annotations

from typing import Literal

from torch import nn

from raynas.data import FixedImages
from raynas.fitness.inherited_weights import WithInheritedWeights
from raynas.fitness.one_shot_accuracy import ONE_SHOT_ACCURACY, ONE_SHOT_LOSS


def one_shot(
    supernet: nn.Module,
    calibration: FixedImages,
    evaluation: FixedImages,
    *,
    measure: Literal["accuracy", "loss"] = "accuracy",
    batch_size: int = 256,
) -> WithInheritedWeights:
    """Returns the one-shot accuracy, or minus the loss, as the fitness of a supernet."""
    row = {"accuracy": ONE_SHOT_ACCURACY, "loss": ONE_SHOT_LOSS}[measure]
    return WithInheritedWeights(supernet, calibration, evaluation, row, batch_size=batch_size)
