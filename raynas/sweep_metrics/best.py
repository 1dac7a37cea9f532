"""Numbers of the best architecture of a trial, and of its search."""

from __future__ import annotations

import functools

from raynas.sweep_metrics import SweepMetric, TrialOutcome


def number_of_best(trial: TrialOutcome, key: str) -> float | None:
    """Returns a number that ``search/result.json`` has of the best architecture."""
    value: float | None = trial.best.get(key)
    return value


def operations_of_best(trial: TrialOutcome, part: str) -> float | None:
    """Returns the number of operations of the best architecture whose names hold a text; None without a drawing."""
    operations: list[str] = []
    for graph in trial.best["drawing"].values():
        operations += [operation for _, _, operation in graph if operation]
    if not operations:
        return None
    return sum(part in name for name in operations)


def _of_best(key: str) -> functools.partial[float | None]:
    return functools.partial(number_of_best, key=key)


TRUE_ACCURACY = SweepMetric("true_accuracy", "benchmark accuracy", _of_best("true"), "percent", 2)
"""Accuracy of the best architecture in the benchmark's table."""

ONE_SHOT_ACCURACY = SweepMetric("one_shot_accuracy", "one-shot accuracy", _of_best("accuracy"), "percent", 2)
"""Accuracy of the best with the supernet's weights."""

LOSS = SweepMetric("loss", "one-shot loss", _of_best("loss"), "nats", better="min")
"""Loss of the best with the supernet's weights."""

FITNESS = SweepMetric("fitness", "fitness", _of_best("fitness"))

NUM_PARAMETERS = SweepMetric("num_parameters", "parameters", _of_best("num_parameters"), decimals=0)

MULTIPLY_ADDS = SweepMetric("multiply_adds", "multiply-adds", _of_best("multiply_adds"), decimals=0)

SKIPS = SweepMetric("skips", "skip connections", functools.partial(operations_of_best, part="skip_connect"), decimals=2)

POOLINGS = SweepMetric("poolings", "poolings", functools.partial(operations_of_best, part="pool"), decimals=2)

SEARCH_SECONDS = SweepMetric("search_seconds", "search", lambda trial: trial.result["seconds"], "s", 1)
