"""Trainings, carried out by Ray or in this process, with their progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from rich.console import Console

from raynas.config.run_config import RunConfig
from raynas.stages import signals
from raynas.stages.backend import Backend
from raynas.stages.progress import TrainingProgress
from raynas.stages.requests import Requests, Stop
from raynas.stages.run_lines import trained_line
from raynas.stages.training import SavedAndStopped, TrainingOutput, Trainings, is_done, saved_line, train_all
from raynas.storage.mirror import Mirror
from raynas.training.learner import Training
from raynas.training.workers import Workers


def carry_out(
    trainings: Trainings,
    here: Callable[[], Sequence[Training]],
    config: RunConfig,
    mirror: Mirror,
    backend: Backend,
    console: Console,
    watch: Callable[[], None],
) -> None:
    """Carries out trainings of a run that are not done, on Ray or, with ``train.workers: 0``, in this process.

    Args:
        trainings: The trainings, as other processes make them.
        here: Makes them in this process, which has read the images.
        config: The resolved configuration.
        mirror: The run's folder, and the copying of its files.
        backend: Trains, unless this process does.
        console: Receives the progress.
        watch: Called after every epoch, or more often.

    Raises:
        KeyboardInterrupt: If a signal came; after the first step a checkpoint of that moment exists.
        RunError: If training keeps failing.
    """
    plans = trainings.plans(config)
    left = [plan for plan in plans if not is_done(mirror.folder, plan)]
    with TrainingProgress(plans, mirror.folder, console, "preparing to train") as progress:
        if config.train.workers == 0:
            _train_here(here(), config, mirror, watch)
        else:
            backend.train(trainings, mirror, progress, watch)
    if len(plans) > 1:
        for plan in left:
            progress.note(trained_line(plan, mirror.folder))


def _train_here(trainings: Sequence[Training], config: RunConfig, mirror: Mirror, watch: Callable[[], None]) -> None:
    """Trains what is not done, in this process.

    Args:
        trainings: What to train.
        config: The resolved configuration.
        mirror: The run's folder, and the copying of its files.
        watch: Called after every epoch.

    Raises:
        KeyboardInterrupt: If a signal came; after the first step a checkpoint of that moment exists.
    """
    device = torch.device("cuda" if config.train.use_gpu else "cpu")
    output = TrainingOutput(config.trackers.has_tensorboard)
    with signals.noted(active=False) as signal:

        def asked() -> Stop | None:
            signal.active = True  # without a checkpoint a signal would lose the step
            return Stop("a signal came", noted=False) if signal.number is not None else None

        try:
            requests = Requests(asked=asked, seconds=0)
            train_all(trainings, mirror, Workers(), device, config.train, watch, requests, output)
        except SavedAndStopped as stopped:
            raise KeyboardInterrupt(saved_line(stopped.position)) from None
    if signal.number is not None:
        raise KeyboardInterrupt
