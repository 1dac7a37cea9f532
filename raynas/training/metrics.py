"""What a training measures: sums over samples, and the figures that are made of them. Imports nothing of torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


def mean(total: float, count: float) -> float:
    """Returns the mean."""
    return total / count


def percent(total: float, count: float) -> float:
    """Returns the share in percent."""
    return 100.0 * total / count


LARGEST_EXPONENT = 700.0
"""The largest number whose exponential is taken; beyond it a perplexity would be infinite."""


def perplexity(total: float, count: float) -> float:
    """Returns exp(mean), no more than a float holds."""
    return math.exp(min(total / count, LARGEST_EXPONENT))


@dataclass(frozen=True)
class Metric:
    """A quantity that a step sums up over its samples.

    Attributes:
        name: The name in records.
        value: Returns the figure, given the sum over all samples of an epoch and their number.
        text: How a line for people shows the figure, a format such as ``loss {:.3f}``.
    """

    name: str
    value: Callable[[float, float], float]
    text: str


LOSS = Metric("loss", mean, "loss {:.3f}")
"""Cross-entropy, in nats."""

ACCURACY = Metric("accuracy", percent, "accuracy {:.1f} %")
"""Right predictions."""

PERPLEXITY = Metric("perplexity", perplexity, "perplexity {:.1f}")
"""The exponential of the cross-entropy of the next token."""


@dataclass(frozen=True)
class Measured:
    """What the training on a kind of data measures.

    Attributes:
        metrics: What a step sums up, the loss first.
        samples: What a step counts.
    """

    metrics: tuple[Metric, ...]
    samples: str


MEASURED = {"images": Measured((LOSS, ACCURACY), "images"), "tokens": Measured((LOSS, PERPLEXITY), "tokens")}
"""What is measured, by what networks take."""
