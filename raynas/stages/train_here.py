"""Training in this process, without Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from raynas.config.execution import TrainingExecution
from raynas.stages import signals
from raynas.stages.requests import Requests, Stop
from raynas.stages.training import SavedAndStopped, saved_line, train_all
from raynas.storage.mirror import Mirror
from raynas.training.learner import Training
from raynas.training.workers import Workers


def train_here(
    trainings: Sequence[Training], execution: TrainingExecution, mirror: Mirror, watch: Callable[[], None]
) -> None:
    """Trains what is not done, in this process.

    Args:
        trainings: What to train.
        execution: Threads, device, determinism and checkpoints.
        mirror: The run's folder, and the copying of its files.
        watch: Called after every epoch.

    Raises:
        KeyboardInterrupt: If a signal came; after the first step a checkpoint of that moment exists.
    """
    device = torch.device("cuda" if execution.use_gpu else "cpu")
    with signals.noted(active=False) as signal:

        def asked() -> Stop | None:
            signal.active = True  # without a checkpoint a signal would lose the step
            return Stop("a signal came", noted=False) if signal.number is not None else None

        try:
            requests = Requests(asked=asked, seconds=0)
            train_all(trainings, mirror, Workers(), device, execution, watch, requests)
        except SavedAndStopped as stopped:
            raise KeyboardInterrupt(saved_line(stopped.position)) from None
    if signal.number is not None:
        raise KeyboardInterrupt
