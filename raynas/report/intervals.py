"""Means with their intervals over seeds, shares of images with theirs, and whether two of them can be distinguished."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit


@dataclass(frozen=True)
class Interval:
    """A number with the ends of its interval; the ends are NaN where one value gives no interval."""

    mean: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether the interval is known."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def is_apart_from(self, other: Interval) -> bool:
        """Returns whether both intervals are known and do not overlap."""
        return self.is_known and other.is_known and (self.low > other.high or other.low > self.high)


def mean_interval(values: Sequence[float]) -> Interval:
    """Returns the mean of values over seeds with its 95 percent interval by Student's t."""
    known = np.array([value for value in values if math.isfinite(value)])
    if not len(known):
        return Interval(math.nan, math.nan, math.nan)
    mean = float(known.mean())
    if len(known) < 2:
        return Interval(mean, math.nan, math.nan)
    freedom = len(known) - 1
    quantile = float(stdtrit(freedom, 0.975))
    half = quantile * float(known.std(ddof=1)) / math.sqrt(len(known))
    return Interval(mean, mean - half, mean + half)


def wilson_interval(percent: float, images: int) -> Interval:
    """Returns an accuracy with its 95 percent interval over samples of so many images.

    With the share p of n images and the normal quantile z, the ends are
    ``(p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)``.

    Reference: Wilson 1927, Probable inference, the law of succession, and statistical inference.
    """
    share, z = percent / 100, float(ndtri(0.975))
    scale = 1 + z**2 / images
    center = (share + z**2 / (2 * images)) / scale
    half = z * math.sqrt(share * (1 - share) / images + z**2 / (4 * images**2)) / scale
    return Interval(percent, 100 * max(0.0, center - half), 100 * min(1.0, center + half))


def stands_apart(best: Interval, others: Sequence[Interval]) -> bool:
    """Returns whether a number is better than all others beyond its interval and theirs."""
    return bool(others) and all(best.is_apart_from(other) for other in others)
