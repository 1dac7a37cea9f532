"""What a training measures: sums over samples, and the figures that are made of them. Imports nothing of torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


def mean(total: float, count: float) -> float:
    """Returns the mean."""
    return total / count


def percent(total: float, count: float) -> float:
    """Returns the share in percent."""
    return 100.0 * total / count


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
