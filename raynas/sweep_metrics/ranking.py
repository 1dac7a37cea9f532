"""How well the fitness of a trial ranks the architectures of a benchmark."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from raynas.sweep_metrics import SweepMetric, TrialOutcome


def row_of_fitness(trial: TrialOutcome) -> Mapping[str, Any] | None:
    """Returns the row of the fitness in ``rank/result.json``; None without a ranking or a benchmark."""
    if trial.ranking is None or trial.ranking["table"] is None:
        return None
    row: Mapping[str, Any] = trial.ranking["rows"][0]
    return row


def correlation(trial: TrialOutcome, key: str) -> float | None:
    """Returns a rank correlation of the fitness with the benchmark's accuracies."""
    row = row_of_fitness(trial)
    return None if row is None else row[key]


def top_1(trial: TrialOutcome) -> float | None:
    """Returns the benchmark's accuracy of the architecture that the fitness ranks first, in percent."""
    row = row_of_fitness(trial)
    return None if row is None else row["top"]["1"]["mean"]


def _correlation(name: str, title: str) -> SweepMetric:
    return SweepMetric(name, title, functools.partial(correlation, key=name), decimals=3, needs_ranking=True)


TAU = _correlation("tau", "τ")
"""Kendall's tau-b."""

TAU_WITHIN = _correlation("tau_within", "τ, equal parameters")
"""Kendall's tau-b among architectures of equal size."""

TAU_IN_ORDER = _correlation("tau_in_order", "τ, ties in order")
"""Kendall's tau with ties broken by the order of the architectures, as the published figures of RLNAS are."""

TAU_WITHIN_LIVE = _correlation("tau_within_live", "τ, equal live multiply-adds")
"""Kendall's tau-b among architectures of equal multiply-adds on live paths."""

TAU_DISTINCT = _correlation("tau_distinct", "τ, distinct functions")
"""Kendall's tau-b over distinct functions: of architectures that compute the same function, only the first counts."""

RHO = _correlation("rho", "ρ")
"""Spearman's rho."""

TOP_1 = SweepMetric("top_1", "accuracy of the first ranked", top_1, "percent", 2, needs_ranking=True)
