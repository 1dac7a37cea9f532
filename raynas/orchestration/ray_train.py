"""Ray Train around `train_supernets`: workers that may come, go and be killed."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.config import RunConfig, parse_config
from raynas.orchestration import cluster
from raynas.orchestration.progress import Progress
from raynas.orchestration.run_folder import seed_folder

if TYPE_CHECKING:
    from ray.train import TrainingFailedError


@dataclass(frozen=True)
class Failure:
    """What a trainer failed of.

    Attributes:
        reason: What happened, in one line.
        mistake: The error to raise at once, if only the user can mend it: another attempt would meet it again.
    """

    reason: str
    mistake: ValueError | OSError | None = None


def fit(config: RunConfig, folder: Path, progress: Progress, watch: Callable[[], None]) -> None:
    """Trains the supernets of a run on Ray, from their last checkpoints on, until they are done.

    A worker or node that is lost ends the attempt, and the next one goes on from the last checkpoint. After
    `train.max_failures` attempts in a row without a new checkpoint the last failure is raised.

    Args:
        config: The resolved configuration.
        folder: The run's folder.
        progress: Told what is waited for, and of failures.
        watch: Called twice a second.

    Raises:
        ValueError: If the configuration, the data or the folder is not as it should be.
        OSError: If the disk is full.
        RuntimeError: If training keeps failing.
    """
    failures = 0
    while True:
        position = _position(config, folder)
        failure = _attempt(config, folder, progress, watch)
        if failure is None:
            return
        if failure.mistake is not None:
            raise failure.mistake
        failures = 1 if _position(config, folder) != position else failures + 1
        if failures > config.train.max_failures:
            raise RuntimeError(
                f"training was tried {failures} times without a new checkpoint; the last time {failure.reason}; "
                "give the same command again to continue"
            )
        progress.note(f"{failure.reason}; continuing from the last checkpoint")


def _attempt(config: RunConfig, folder: Path, progress: Progress, watch: Callable[[], None]) -> Failure | None:
    """Runs one trainer to its end and returns what it failed of, if it did.

    The trainer runs in a Ray task, so that this process only waits: Ctrl-C ends it, and Ray ends the task.
    """
    import ray

    task = ray.remote(num_cpus=0, max_retries=0)(run_trainer).remote(config.model_dump(), str(folder))
    began = time.monotonic()
    while not ray.wait([task], timeout=0.5)[0]:
        watch()
        if time.monotonic() - began > 5:
            began = time.monotonic()
            lacking = cluster.missing(cluster.worker_needs(config))
            progress.wait_for(f"waiting for {lacking}: train.workers needs them" if lacking else None)
    try:
        failure: Failure | None = ray.get(task)
    except ray.exceptions.RayError as error:
        return Failure(f"the trainer was lost ({type(error).__name__})")
    finally:
        shutil.rmtree(folder / "ray", ignore_errors=True)  # checkpoints are ours; Ray keeps nothing there
    return failure


def run_trainer(values: dict[str, Any], folder: str) -> Failure | None:
    """Returns what a Ray trainer failed of, or None after it has trained the supernets to their end.

    Args:
        values: The resolved configuration as plain values.
        folder: The run's folder.
    """
    from ray.train import FailureConfig, ScalingConfig, TrainingFailedError
    from ray.train import RunConfig as RayRunConfig
    from ray.train.torch import TorchTrainer

    train = parse_config(values).train
    least, most = train.worker_range
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"config": values, "folder": folder},
        scaling_config=ScalingConfig(
            num_workers=least if least == most else (least, most),  # type: ignore[arg-type]
            use_gpu=train.use_gpu,
            elastic_resize_monitor_interval_s=15,  # type: ignore[call-arg]
            resources_per_worker={"CPU": train.cpus_per_worker} | ({"GPU": 1} if train.use_gpu else {}),
        ),
        run_config=RayRunConfig(
            name=f"attempt-{time.time_ns()}",
            storage_path=f"{folder}/ray",
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        return _failure(error)
    return None


def _failure(error: TrainingFailedError) -> Failure:
    """Returns what a failed trainer failed of: a mistake of the user's if there is one, else the first failure."""
    from ray.exceptions import RayActorError

    failures = list(getattr(error, "worker_failures", {}).values()) or [getattr(error, "controller_failure", error)]
    causes: list[BaseException] = [getattr(failure, "_base_exc", failure) for failure in failures]
    for cause in causes:
        if isinstance(cause, ValueError):
            return Failure(str(cause), ValueError(str(cause)))
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            return Failure(str(cause), cause)
    # What a worker meets whose peer is gone: Ray's own checks, or an exchange that breaks off.
    signs = ("health check failed", "gloo", "NCCL")
    if any(isinstance(cause, RayActorError) or any(sign in str(cause) for sign in signs) for cause in causes):
        return Failure("a training worker was lost")
    told = (str(causes[0]).strip() or type(causes[0]).__name__).splitlines()[0]
    return Failure(f"a training worker failed: {told}")


def _position(config: RunConfig, folder: Path) -> list[str]:
    """Returns what the supernets have reached, to tell progress from its absence."""
    return sorted(path.name for seed in config.base_seeds for path in seed_folder(folder, seed).glob("epoch_*"))


def train_worker(values: dict[str, Any]) -> None:
    """Trains as one worker of a Ray trainer.

    Args:
        values: ``config``, the resolved configuration as plain values, and ``folder``, the run's folder.
    """
    import ray.train
    import ray.train.torch
    import torch
    import torch.distributed

    from raynas.orchestration.task import make_task
    from raynas.orchestration.train_supernet import train_supernets
    from raynas.supernet.workers import Workers

    def add_up(tensor: torch.Tensor) -> None:
        torch.distributed.all_reduce(tensor)

    context = ray.train.get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size(), add_up)
    config = parse_config(values["config"])
    train_supernets(make_task(config), Path(values["folder"]), workers, ray.train.torch.get_device())
