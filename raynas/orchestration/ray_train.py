"""Ray Train around `train_supernets`: workers that may come, go and be killed, and a bar that shows what they do."""

from __future__ import annotations

import errno
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from raynas.config import RunConfig, parse_config
from raynas.orchestration import cluster
from raynas.orchestration.progress import Progress
from raynas.orchestration.run_folder import seed_folder


def fit(config: RunConfig, folder: Path, progress: Progress) -> None:
    """Trains the supernets of a run on Ray, from their last checkpoints on, until they are done.

    A worker or node that is lost ends the attempt, and the next one goes on from the last checkpoint. After
    `train.max_failures` attempts in a row without a new checkpoint the cause is raised. Mistakes of the user are raised
    at once: another attempt would meet them again.

    Args:
        config: The resolved configuration.
        folder: The run's folder.
        progress: Told what the workers do, and what is waited for.

    Raises:
        ValueError: If the configuration, the data or the folder is not as it should be.
        RuntimeError: If training keeps failing.
    """
    failures = 0
    while True:
        position = _position(config, folder)
        error = _attempt(config, folder, progress)
        if error is None:
            return
        cause = _cause(error)
        if _is_the_users(cause):
            raise cause
        failures = 1 if _position(config, folder) != position else failures + 1
        reason = _reason(cause)
        if failures > config.train.max_failures:
            raise RuntimeError(
                f"training was tried {failures} times without a new checkpoint; the last time {reason}; "
                "give the same command again to continue"
            ) from cause
        progress.note(f"{reason}; continuing from the last checkpoint")


def _attempt(config: RunConfig, folder: Path, progress: Progress) -> Exception | None:
    """Runs one trainer to its end and returns what it failed of, if it did.

    The trainer runs in a thread of its own, so that Ctrl-C stays with this one.
    """
    from ray.train import FailureConfig, ScalingConfig
    from ray.train import RunConfig as RayRunConfig
    from ray.train.torch import TorchTrainer

    least, most = config.train.worker_range
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"config": config.model_dump(), "folder": str(folder)},
        scaling_config=ScalingConfig(
            num_workers=least if least == most else (least, most),  # type: ignore[arg-type]
            use_gpu=config.train.use_gpu,
            elastic_resize_monitor_interval_s=15,  # type: ignore[call-arg]
            resources_per_worker={"CPU": config.train.cpus_per_worker} | ({"GPU": 1} if config.train.use_gpu else {}),
        ),
        run_config=RayRunConfig(
            name=f"attempt-{time.time_ns()}",
            storage_path=str(folder / "ray"),
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    outcome: list[Exception | None] = []

    def run() -> None:
        try:
            trainer.fit()
            outcome.append(None)
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            outcome.append(error)

    watch = threading.Thread(target=run, name="trainer", daemon=True)
    watch.start()
    began = time.monotonic()
    while watch.is_alive():
        watch.join(timeout=0.2)
        if time.monotonic() - began > 5:
            began = time.monotonic()
            lacking = cluster.missing(config)
            progress.wait_for(f"waiting for {lacking}: train.workers needs them" if lacking else None)
    shutil.rmtree(folder / "ray", ignore_errors=True)  # checkpoints are ours; Ray keeps nothing there
    return outcome[0]


def _cause(error: BaseException) -> BaseException:
    """Returns what a failed trainer failed of: the user's mistake if there is one, else the first worker's error."""
    failures: list[Any] = list(getattr(error, "worker_failures", {}).values())
    if not failures:
        cause: BaseException = getattr(error, "controller_failure", error)
        return cause
    causes: list[BaseException] = [getattr(failure, "_base_exc", failure) for failure in failures]
    return next(filter(_is_the_users, causes), causes[0])


def _is_the_users(cause: BaseException) -> bool:
    """Returns whether only the user can mend it: a mistake, or a full disk."""
    return isinstance(cause, ValueError) or (isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT))


def _reason(cause: BaseException) -> str:
    """Returns in one line what happened to a worker."""
    from ray.exceptions import RayActorError

    # What a worker meets whose peer is gone: Ray's own checks, or an exchange that breaks off.
    signs = ("health check failed", "gloo", "NCCL")
    lost = isinstance(cause, RayActorError) or any(sign in str(cause) for sign in signs)
    told = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    return "a training worker was lost" if lost else f"a training worker failed: {told}"


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
    from raynas.supernet.one_shot import Workers

    def add_up(tensor: torch.Tensor) -> None:
        torch.distributed.all_reduce(tensor)

    context = ray.train.get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size(), add_up)
    config = parse_config(values["config"])
    train_supernets(make_task(config), Path(values["folder"]), workers, ray.train.torch.get_device())
