"""What a retraining found out: test accuracies over seeds, with intervals, and whether differences can be told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from raynas.records.retrain_record import Comparison, Estimate, RetrainedNetwork

CONFIDENCE = 0.95
"""Confidence of every interval."""


def estimate(values: Sequence[float]) -> Estimate:
    """Returns the mean of values, their standard deviation, and the interval of the mean by Student's t."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean=mean)
    deviation = float(np.std(values, ddof=1))
    half = _quantile(len(values) - 1) * deviation / len(values) ** 0.5
    return Estimate(mean=mean, deviation=deviation, low=mean - half, high=mean + half)


def _quantile(freedoms: float) -> float:
    """Returns how many standard errors lie between a mean and the end of its interval, by Student's t."""
    return float(stdtrit(freedoms, (1 + CONFIDENCE) / 2))


def compare(first: RetrainedNetwork, other: RetrainedNetwork) -> Comparison:
    """Returns the difference of test accuracy or perplexity of two networks, with the interval of Welch's t-test."""
    ours = [seed.tested for seed in first.seeds]
    theirs = [seed.tested for seed in other.seeds]
    difference = float(np.mean(ours) - np.mean(theirs))
    low, high = _welch(ours, theirs) if min(len(ours), len(theirs)) > 1 else (None, None)
    of_text = first.perplexity is not None
    verdict = _verdict(first.name, other.name, difference, low, high, len(ours), of_text)
    return Comparison(of=first.name, against=other.name, difference=difference, low=low, high=high, verdict=verdict)


def _welch(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Returns the interval of the difference of two means, whose variances may differ.

    Reference: Welch 1947, "The generalization of 'Student's' problem".
    """
    difference = float(np.mean(ours) - np.mean(theirs))
    shares = [float(np.var(values, ddof=1)) / len(values) for values in (ours, theirs)]
    variance = sum(shares)
    if variance == 0:
        return difference, difference
    freedoms = [share**2 / (len(values) - 1) for share, values in zip(shares, (ours, theirs), strict=True)]
    half = _quantile(variance**2 / sum(freedoms)) * variance**0.5
    return difference - half, difference + half


def _verdict(
    first: str, other: str, difference: float, low: float | None, high: float | None, seeds: int, of_text: bool
) -> str:
    """Returns what follows of a difference in percentage points, or in perplexity, as a sentence."""
    unit = "test perplexity relative to" if of_text else "points of test accuracy on"
    points = f"{difference:+.2f} {unit} {other}"
    if low is None or high is None:
        return f"{first} has {points}; one seed does not say whether another would"
    interval = f"{points}, 95 % interval {low:+.2f} to {high:+.2f} with {seeds} seeds"
    if low > 0:
        return f"{first} is {'worse' if of_text else 'better'}: {interval}"
    if high < 0:
        return f"{first} is {'better' if of_text else 'worse'}: {interval}"
    return f"no difference is shown: {first} has {interval}"
