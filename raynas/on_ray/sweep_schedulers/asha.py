"""Asynchronous successive halving.

Reference: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", MLSys.
"""

from __future__ import annotations

from typing import Any

from raynas.config.sweep_rows import SweepScheduler
from raynas.config.sweeps import Sweep


def make_asha(sweep: Sweep) -> Any:
    """Returns asynchronous successive halving by a metric that is known after every epoch."""
    from ray.tune.schedulers import ASHAScheduler

    settings = sweep.settings
    row = settings.metrics[settings.metric]
    metric = settings.metric if row.of_epoch is not None else "train_loss"
    return ASHAScheduler(
        time_attr="epoch",
        metric=metric,
        mode=settings.better if metric == settings.metric else settings.metrics[metric].better,
        max_t=sweep.base.train.epochs * len(sweep.base.base_seeds) + 1,  # at this epoch Tune would stop complete trials
        grace_period=settings.grace_epochs,
        reduction_factor=settings.reduction,
    )


ASHA = SweepScheduler("asha", "stops trials whose training is behind", make_asha)
