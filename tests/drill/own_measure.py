"""A fitness of a user's own that runs networks: how sure an architecture is of its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from raynas.fitness import FitnessRow, Measure, Quantity
from raynas.options import Options


class SurenessOptions(Options):
    """Options of the sureness.

    Attributes:
        softness: What logits are divided by.
    """

    softness: Annotated[float, Field(gt=0)] = 1.0


def entropy_and_trust(logits: Tensor, labels: Tensor, options: SurenessOptions) -> Tensor:
    """Returns the summed entropy of the predictions, and the summed probability of the labels, ``(2,)``."""
    log_probabilities = torch.log_softmax(logits.double() / options.softness, dim=1)
    probabilities = log_probabilities.exp()
    trust = probabilities.gather(1, labels[:, None])
    return torch.stack([-(probabilities * log_probabilities).sum(), trust.sum()])


def means(sums: Tensor, images: int, options: SurenessOptions) -> Sequence[float]:
    """Returns mean entropy and mean probability of the label."""
    mean: list[float] = (sums / images).tolist()
    return mean


SURENESS = FitnessRow(
    name="sureness",
    title="negative entropy of predictions",
    unit="nats",
    digits=3,
    options=SurenessOptions,
    definition=lambda options: f"softness {options.softness:g}",
    measure=Measure(
        quantities=(Quantity("entropy", "entropy of predictions", "nats", 3), Quantity("trust", "trust in the label")),
        sums=entropy_and_trust,
        values=means,
    ),
    quantity="entropy",
    negated=True,
)
