"""Metrics of a sweep as a user would write them: one of whole trials, one that is known after every epoch."""

import statistics

from raynas.sweep_metrics import SweepMetric, TrialOutcome


def weights_per_step(trial: TrialOutcome) -> float:
    """Returns how many parameters of the best architecture there are for each training step."""
    steps = sum(lines[-1]["step"] for lines in trial.epochs)
    return trial.best["num_parameters"] / steps


def training_error(trial: TrialOutcome) -> float:
    """Returns the share of training images that the supernets label wrongly, in percent."""
    return 100.0 - statistics.fmean(lines[-1]["accuracy"] for lines in trial.epochs)


WEIGHTS_PER_STEP = SweepMetric("weights_per_step", "weights per step", weights_per_step, "weights/step", 1)

TRAINING_ERROR = SweepMetric(
    "training_error",
    "training error",
    training_error,
    "percent",
    2,
    better="min",
    of_epoch=lambda line: 100.0 - line["accuracy"],
)
