"""Accuracies of the networks of a trial that were trained from scratch."""

from __future__ import annotations

import functools

from raynas.sweep_metrics import SweepMetric, TrialOutcome


def mean_of_first(trial: TrialOutcome, key: str) -> float | None:
    """Returns a mean over the seeds of the first network in ``retrain/*/result.json``; None without it."""
    if trial.retrained is None:
        return None
    figures = trial.retrained["networks"][0].get(key)
    return None if figures is None else figures["mean"]


def _of_first(key: str) -> functools.partial[float | None]:
    return functools.partial(mean_of_first, key=key)


TEST_ACCURACY = SweepMetric(
    "test_accuracy", "test accuracy from scratch", _of_first("accuracy"), "percent", 2, needs_retraining=True
)
"""Test accuracy of the best architecture after it was trained from scratch, mean over the seeds of the retraining."""

VALIDATION_ACCURACY = SweepMetric(
    "validation_accuracy",
    "validation accuracy from scratch",
    _of_first("validation"),
    "percent",
    2,
    needs_retraining=True,
)
"""The same on training images that were held out."""

TEST_PERPLEXITY = SweepMetric(
    "test_perplexity",
    "test perplexity from scratch",
    _of_first("perplexity"),
    decimals=2,
    better="min",
    needs_retraining=True,
)
"""Of a text: test perplexity of the best architecture after it was trained from scratch, mean over the seeds."""

VALIDATION_PERPLEXITY = SweepMetric(
    "validation_perplexity",
    "validation perplexity from scratch",
    _of_first("validation_perplexity"),
    decimals=2,
    better="min",
    needs_retraining=True,
)
"""The same on the validation text."""
