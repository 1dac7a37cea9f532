"""What the supernets of a trial measured in training; of several supernets the mean."""

from __future__ import annotations

import functools
import itertools
import statistics

from raynas.sweep_metrics import SweepMetric, TrialOutcome


def at_the_end(trial: TrialOutcome, key: str) -> float | None:
    """Returns the mean over the supernets of a number of their last epoch; None for a trial that trains none."""
    if not trial.epochs:
        return None
    values = [lines[-1][key] for lines in trial.epochs]
    return statistics.fmean(values)


def seconds_of_training(trial: TrialOutcome) -> float | None:
    """Returns the seconds of all epochs of all supernets; None for a trial that trains none."""
    if not trial.epochs:
        return None
    lines = itertools.chain.from_iterable(trial.epochs)
    return float(sum(line["seconds"] for line in lines))


def of_alphas(trial: TrialOutcome, key: str) -> float | None:
    """Returns the mean over the supernets of a number of their last alphas; None if one of them has no such number."""
    values = [line.get(key) for line in trial.derived]
    if not values or any(value is None for value in values):
        return None
    return statistics.fmean(value for value in values if value is not None)


def decidedness(trial: TrialOutcome) -> float | None:
    """Returns how far the alphas have decided, mean over the supernets; None for a trial without alphas."""
    outcomes = trial.result.get("alphas")
    return statistics.fmean(outcome["decidedness"] for outcome in outcomes) if outcomes else None


TRAIN_LOSS = SweepMetric(
    *("train_loss", "training loss", functools.partial(at_the_end, key="loss"), "nats"),
    better="min",
    of_epoch=lambda line: line["loss"],
)

TRAIN_ACCURACY = SweepMetric(
    *("train_accuracy", "training accuracy", functools.partial(at_the_end, key="accuracy"), "percent", 2),
    of_epoch=lambda line: line["accuracy"],
)
"""Accuracy on the labels that the supernet is trained on."""

TRAIN_SECONDS = SweepMetric("train_seconds", "training", seconds_of_training, "s", 1)

DOMINANCE = SweepMetric("dominance", "largest weight", functools.partial(of_alphas, key="dominance"), decimals=3)
"""Mean weight of a choice's strongest candidate."""

DECIDEDNESS = SweepMetric("decidedness", "decidedness", decidedness, decimals=3)
"""Position of the largest weight of a choice between equal weights, 0, and one candidate of weight 1, which is 1."""

SKIP_SHARE = SweepMetric(
    "skip_share", "share of skip_connect", functools.partial(of_alphas, key="skip_share"), decimals=3
)
"""Mean weight of skip connections."""

NONE_SHARE = SweepMetric("none_share", "share of none", functools.partial(of_alphas, key="none_share"), decimals=3)
"""Mean weight of ``none``."""
