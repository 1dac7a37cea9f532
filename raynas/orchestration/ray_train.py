"""Ray Train around `train_supernets`: workers that may come, go and be killed."""

from __future__ import annotations

import datetime
import errno
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.config import RunConfig, parse_config, within
from raynas.orchestration import cluster
from raynas.orchestration.progress import Progress
from raynas.orchestration.run_folder import METRICS, NOTES, PROGRESS, failures_named, seed_folder
from raynas.orchestration.storage import RAY, Mirror, mirror_at, pull_news

if TYPE_CHECKING:
    from ray.train import PreemptionInfo, TrainingFailedError

FAILED_STARTS = 2
"""How often Ray may fail to start the workers again before a trainer gives up; each time costs it a minute."""

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""What a file system says that is full, read-only or somebody else's: other workers would hear it too."""


@dataclass(frozen=True)
class Failure:
    """What a trainer failed of.

    Attributes:
        reason: What happened, in one line; None if a worker has told the user.
        mistake: The error to raise at once, if only the user can mend it: another attempt would meet it again.
        counts: Whether it is one of those that `train.max_failures` bounds.
        no_room: Whether the workers did not find the room to start in.
    """

    reason: str | None
    mistake: ValueError | OSError | None = None
    counts: bool = True
    no_room: bool = False


def fit(config: RunConfig, mirror: Mirror, progress: Progress, watch: Callable[[], None]) -> None:
    """Trains the supernets of a run on Ray, from their last checkpoints on, until they are done.

    A worker or node that is lost ends the attempt, and the next one goes on from the last checkpoint. After
    `train.max_failures` attempts in a row without a new checkpoint the last failure is raised. A machine that is taken
    back is no failure, and neither is a cluster without room: where workers come and go, Ray counts what others hold as
    room too, so that the next attempt is told to be content with what is free.

    Args:
        config: The resolved configuration.
        mirror: The run's folder, and what carries its files.
        progress: Told what is waited for, and of failures.
        watch: Called twice a second.

    Raises:
        ValueError: If the configuration, the data or the folder is not as it should be.
        OSError: If the disk is full, or the folder cannot be written.
        RuntimeError: If training keeps failing.
    """
    failures, said = 0, ""
    least, most = config.train.worker_range
    while True:
        position = _position(config, mirror.folder)
        failure = _attempt(config, mirror, progress, watch, most)
        mirror.pull()
        most = config.train.worker_range[1]
        if failure is None:
            return
        if failure.mistake is not None:
            raise failure.mistake
        if failure.no_room:
            free = cluster.free_workers(config)
            most = max(least, min(most, free))
            told = lack_of_room(config, free)
            if told != said and not cluster.missing(cluster.worker_needs(config)):  # that has been said
                progress.note(told)
                said = told
            continue
        if not failure.counts:
            if failure.reason is not None:
                progress.note(f"{failure.reason}; continuing from the last checkpoint")
            continue
        failures = 1 if _position(config, mirror.folder) != position else failures + 1
        if failures > config.train.max_failures:
            raise RuntimeError(
                f"training was tried {failures} times without a new checkpoint; the last time {failure.reason}; "
                "give the same command again to continue"
            )
        progress.note(f"{failure.reason}; continuing from the last checkpoint")


def lack_of_room(config: RunConfig, free: int) -> str:
    """Returns, in one line, what training waits for or goes on with when its workers found no room."""
    least, most = config.train.worker_range
    kinds = " and ".join(f"{amount:g} {kind}" for kind, amount in cluster.worker_resources(config).items())
    held = f"there is room for {free} training workers of {kinds} each, the rest is held by something else"
    if free < least:
        return f"waiting for room: {held}; train.workers needs {least}"
    return f"{held}; training with up to {min(free, most)}"


def _attempt(
    config: RunConfig, mirror: Mirror, progress: Progress, watch: Callable[[], None], most: int
) -> Failure | None:
    """Runs one trainer, of so many workers at most, to its end and returns what it failed of, if it did.

    The trainer runs in a Ray task, so that this process only waits: Ctrl-C ends it, and Ray ends the task.
    """
    import ray

    with failures_named(mirror.folder / RAY):  # what Ray would fail of here, it would not say
        (mirror.folder / RAY).mkdir(exist_ok=True)
    task = ray.remote(num_cpus=0, max_retries=0)(run_trainer).remote(config.model_dump(), config.location, most)
    metrics = [seed_folder(mirror.folder, seed) / METRICS for seed in config.base_seeds]
    began = time.monotonic()
    while not ray.wait([task], timeout=0.5)[0]:
        watch()
        if time.monotonic() - began > 5:
            began = time.monotonic()
            lacking = cluster.missing(cluster.worker_needs(config))
            progress.wait_for(f"waiting for {lacking}: train.workers needs them" if lacking else None)
            pull_news(mirror, progress.note, PROGRESS, NOTES, *metrics)
    try:
        failure: Failure | None = ray.get(task)
    except ray.exceptions.RayError as error:
        return Failure(f"the trainer was lost ({type(error).__name__})")
    finally:
        shutil.rmtree(mirror.folder / RAY, ignore_errors=True)  # checkpoints are ours; Ray keeps nothing there
        mirror.remove(RAY)
    return failure


def run_trainer(values: dict[str, Any], location: str, most: int) -> Failure | None:
    """Returns what a Ray trainer failed of, or None after it has trained the supernets to their end.

    Args:
        values: The resolved configuration as plain values.
        location: The run's folder or URL.
        most: How many workers to train with at most.
    """
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # on a cluster this process has not the driver's environment
    from ray.train import FailureConfig, ScalingConfig, TrainingFailedError
    from ray.train import RunConfig as RayRunConfig
    from ray.train.torch import TorchTrainer

    config = parse_config(values)
    train, least = config.train, config.train.worker_range[0]
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={"config": values, "location": location},
        scaling_config=ScalingConfig(
            num_workers=least if least == most else (least, most),  # type: ignore[arg-type]
            use_gpu=train.use_gpu,
            elastic_resize_monitor_interval_s=15,  # type: ignore[call-arg]
            resources_per_worker=cluster.worker_resources(config),
        ),
        run_config=RayRunConfig(
            name=f"attempt-{time.time_ns()}",
            storage_path=within(location, RAY),
            failure_config=FailureConfig(  # all that ends an attempt is for `fit` to judge
                max_failures=0,
                max_preemption_failures=0,  # type: ignore[call-arg]
                controller_failure_limit=FAILED_STARTS,
            ),
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
    from ray.train.v2.api.exceptions import PreemptionError

    from raynas.orchestration.ownership import Busy
    from raynas.orchestration.train_supernet import TakenBack

    failures = list(getattr(error, "worker_failures", {}).values()) or [getattr(error, "controller_failure", error)]
    causes: list[BaseException] = [getattr(failure, "_base_exc", failure) for failure in failures]
    if any(isinstance(cause, TakenBack) for cause in causes):
        return Failure(None, counts=False)
    if any(type(cause).__name__ == "WorkerGroupStartupTimeoutError" for cause in causes):
        return Failure("training workers found no room", counts=False, no_room=True)
    if isinstance(error, PreemptionError) or any(getattr(cause, "preempted", False) for cause in causes):
        return Failure("the machine of a training worker was taken back", counts=False)
    for cause in causes:
        if isinstance(cause, ValueError):
            return Failure(str(cause), ValueError(str(cause)))
        if isinstance(cause, OSError) and cause.errno in UNWRITABLE:
            return Failure(str(cause), cause)
        if isinstance(cause, Busy):  # whoever works there may have ended by the next attempt
            return Failure(str(cause))
    # What a worker meets whose peer is gone: Ray's own checks, or an exchange that breaks off.
    signs = ("health check failed", "gloo", "NCCL")
    if any(isinstance(cause, RayActorError) or any(sign in str(cause) for sign in signs) for cause in causes):
        return Failure("a training worker was lost")
    told = (str(causes[0]).strip() or type(causes[0]).__name__).splitlines()[0]
    return Failure(f"a training worker failed: {told}")


def _position(config: RunConfig, folder: Path) -> list[Path]:
    """Returns what the supernets have reached, to tell progress from its absence."""
    from raynas.orchestration.checkpoint import checkpoint_folders

    return [path for seed in config.base_seeds for path in checkpoint_folders(seed_folder(folder, seed))]


def taken_back(info: PreemptionInfo, addresses: dict[str, str], now: float) -> str:
    """Returns which machine is about to be taken back, as the beginning of a line.

    Args:
        info: What Ray knows of it.
        addresses: Addresses of the cluster's nodes by their ids.
        now: The time, in seconds since 1970.
    """
    machines = " and ".join(addresses.get(node, node) for node in info.preempted_node_ids)
    workers = " and ".join(map(str, info.preempted_ranks))
    when = "soon"
    if info.deadline_ms is not None:
        at = datetime.datetime.fromtimestamp(info.deadline_ms / 1000)
        when = f"at {at:%H:%M:%S}, in {max(0, round(info.deadline_ms / 1000 - now))} s"
    return f"{machines} with training worker {workers} will be taken back {when}"


def train_worker(values: dict[str, Any]) -> None:
    """Trains as one worker of a Ray trainer.

    Args:
        values: ``config``, the resolved configuration as plain values, and ``location``, the run's folder or URL.
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

    def warning() -> str | None:
        info = ray.train.get_preemption_info()
        if info is None:
            return None
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return taken_back(info, {node["NodeID"]: node["NodeManagerAddress"] for node in nodes}, time.time())

    context = ray.train.get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size(), add_up)
    config = parse_config(values["config"])
    device = ray.train.torch.get_device()
    # Workers of a run whose driver was just killed may live for some seconds: wait for them.
    with mirror_at(values["location"], f"worker-{workers.rank}", wait=60) as mirror:
        if mirror.carries:
            if workers.rank == 0:
                mirror.pull()
                mirror.push()
            workers.add_up(torch.zeros(1, device=device))  # what worker 0 had not pushed is there now
            mirror.pull("config.json", "supernet", weights=False)
        train_supernets(make_task(config), mirror, workers, device, warning=warning)
