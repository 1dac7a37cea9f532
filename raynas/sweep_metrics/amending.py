"""What the amended gradient of a trial's architecture parameters came to; of several supernets the mean."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Mapping
from typing import Any

from raynas.sweep_metrics import SweepMetric, TrialOutcome


def _mean_of_epochs(trial: TrialOutcome, take: Callable[[Mapping[str, Any]], float | None]) -> float | None:
    """Returns the mean of a number over the epochs that know it; None if none does."""
    values: list[float] = []
    for lines in trial.epochs:
        for line in lines:
            value = take(line)
            if value is not None:
                values.append(value)
    return statistics.fmean(values) if values else None


def _ratio(line: Mapping[str, Any]) -> float | None:
    """Returns how much longer the correction is than the first term; None without both."""
    first, correction = line.get("first_norm"), line.get("correction_norm")
    return correction / first if first and correction is not None else None


def _descent(line: Mapping[str, Any]) -> float | None:
    """Returns by how much a step of the architecture parameters lowers the loss on its own batch, in nats."""
    before, after = line.get("search_loss"), line.get("search_loss_after")
    return None if before is None or after is None else before - after


def _agreement(line: Mapping[str, Any]) -> float | None:
    """Returns the agreement of the corrections of different batches."""
    value: float | None = line.get("correction_agreement")
    return value


AMENDING_RATIO = SweepMetric(
    "amending_ratio", "|g2'| / |g1|", functools.partial(_mean_of_epochs, take=_ratio), decimals=2
)
"""Length of the correction over that of the first term, mean over the epochs."""

AMENDING_AGREEMENT = SweepMetric(
    "amending_agreement", "agreement of g2'", functools.partial(_mean_of_epochs, take=_agreement), decimals=2
)
"""Agreement of the correction between batches, mean over the epochs: 1 where all are equal, 0 for noise."""

DESCENT = SweepMetric(
    "descent", "loss before - after a step", functools.partial(_mean_of_epochs, take=_descent), "nats", 4
)
"""By how much a step of the alphas lowers the search loss on its batch, mean; needs alphas.measures_descent."""
