"""Ray Train around `train_all`: workers that may come, go and be killed."""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.config.locations import within
from raynas.config.run_config import RunConfig, parse_config
from raynas.errors import InputError, RunError
from raynas.on_ray import cluster
from raynas.on_ray.gauges import EpochReports, Gauges, display_name
from raynas.on_ray.mailbox import make_mailbox
from raynas.on_ray.room import Room, training_room
from raynas.stages import signals
from raynas.stages.progress import Progress
from raynas.stages.requests import Requests, Stop
from raynas.stages.training import Trainings, saved_line
from raynas.storage.mirror import RAY, Mirror, mirror_at, pull_news
from raynas.storage.run_folder import METRICS, NOTES, PROGRESS, failures_named
from raynas.training.plan import Plan

if TYPE_CHECKING:
    from ray.train import PreemptionInfo, TrainingFailedError

SAVE_SECONDS = 25.0
"""How long a signal waits for the workers to save: Kubernetes and `raynas stop` kill 30 s after SIGTERM."""

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""What a file system says that is full, read-only or somebody else's: other workers would meet the same."""


@dataclass(frozen=True)
class Failure:
    """What a trainer failed of.

    Attributes:
        reason: What happened, in one line; None if the user knows it.
        mistake: The error to raise at once, if only the user can remedy it: another attempt would meet it again.
        counts: Whether it is one of those that `train.max_failures` bounds.
        position: Where training saved before it stopped, if it was asked to stop.
    """

    reason: str | None
    mistake: InputError | OSError | None = None
    counts: bool = True
    position: str | None = None


def fit(config: RunConfig, trainings: Trainings, mirror: Mirror, progress: Progress, watch: Callable[[], None]) -> None:
    """Carries out trainings of a run on Ray, from their last checkpoints on, until they are done.

    Every attempt is a trainer of a fixed number of workers. A worker or node that is lost ends the attempt, and the
    next one continues from the last checkpoint with the room that is there. After `train.max_failures` attempts in a
    row without a new checkpoint the last failure is raised. A machine that is taken back is no failure. When there is
    room for more workers, the trainer saves and stops, and a larger one continues with the next step.

    Args:
        config: The resolved configuration.
        trainings: What to train.
        mirror: The run's folder, and what uploads its files.
        progress: Told what is waited for, and of failures.
        watch: Called twice a second.

    Raises:
        InputError: If the configuration, the data or the folder is not as it should be.
        OSError: If the disk is full, or the folder cannot be written.
        RunError: If training keeps failing.
        KeyboardInterrupt: If a signal came. The workers save first, unless a second signal comes.
    """
    import ray

    failures, mailbox, plans = 0, make_mailbox(), trainings.plans(config)
    try:
        with training_room(config) as room, signals.noted() as signal:
            while True:
                position = _position(plans, mirror.folder)
                room.gather(functools.partial(_tick, progress, signal))
                progress.start("a training worker" if room.workers == 1 else f"{room.workers} training workers")
                attempt = _Attempt(config, trainings, mirror, progress, room, mailbox, signal)
                failure = attempt.result(watch)
                mirror.pull()
                if signal.number is not None:
                    raise KeyboardInterrupt(*_last_words(failure))
                if failure is None:
                    return
                if failure.mistake is not None:
                    raise failure.mistake
                if failure.counts:
                    failures = 1 if _position(plans, mirror.folder) != position else failures + 1
                if failures > config.train.max_failures:
                    raise RunError(
                        f"training was tried {failures} times without a new checkpoint; the last time "
                        f"{failure.reason}; give the same command again to continue"
                    )
                if failure.reason is not None:
                    progress.note(f"{failure.reason}; continuing from the last checkpoint")
    finally:
        with contextlib.suppress(ray.exceptions.RayError):  # it went with the cluster
            ray.kill(mailbox)


def _last_words(failure: Failure | None) -> list[str]:
    """Returns what there is to say after a signal: where training saved, if it did."""
    return [saved_line(failure.position)] if failure is not None and failure.position is not None else []


def _tick(progress: Progress, signal: signals.Noted, waits_for: str | None) -> None:
    """Says what training waits for, and ends the wait if a signal came: there is nothing to save."""
    progress.wait_for(waits_for)
    if signal.number is not None:
        raise KeyboardInterrupt


class _Attempt:
    """A trainer of a fixed number of workers, in a Ray task, so that this process only waits."""

    def __init__(
        self,
        config: RunConfig,
        trainings: Trainings,
        mirror: Mirror,
        progress: Progress,
        room: Room,
        mailbox: Any,
        signal: signals.Noted,
    ) -> None:
        """Starts the trainer."""
        import ray

        self._mirror, self._progress, self._room = mirror, progress, room
        self._mailbox, self._signal = mailbox, signal
        self._number, self._deadline, self._asked = time.time_ns(), math.inf, -math.inf
        self._metrics = [mirror.folder / plan.folder / METRICS for plan in trainings.plans(config)]
        with failures_named(mirror.folder / RAY):  # what Ray would fail of here, it would not say
            (mirror.folder / RAY).mkdir(exist_ok=True)
        orders = {
            "config": config.model_dump(),
            "trainings": trainings,
            "location": config.location,
            "mailbox": mailbox,
            "attempt": self._number,
        }
        # In a trial of a sweep it is in the placement group of the trial, and ends with it. Its workers have their own.
        self._task = ray.remote(num_cpus=0, max_retries=0)(run_trainer).remote(orders, room.workers)

    def result(self, watch: Callable[[], None]) -> Failure | None:
        """Returns what the trainer failed of, if it did, when it has ended.

        Raises:
            KeyboardInterrupt: If a signal came and there is nothing to save, or saving takes too long.
        """
        import ray

        spoke = time.monotonic()
        try:
            while not ray.wait([self._task], timeout=0.5)[0]:
                watch()
                self._ask_to_stop()
                if time.monotonic() - spoke > 5:
                    spoke = time.monotonic()
                    self._progress.wait_for(self._room.lacking())
                    pull_news(self._mirror, self._progress.note, PROGRESS, NOTES, *self._metrics)
            failure: Failure | None = ray.get(self._task)
        except ray.exceptions.RayError as error:
            return Failure(f"the trainer was lost ({type(error).__name__})")
        except BaseException:
            self._end()
            raise
        finally:
            shutil.rmtree(
                self._mirror.folder / RAY, ignore_errors=True
            )  # checkpoints are ours; Ray keeps nothing there
            self._mirror.remove(RAY)
        return failure

    def _end(self) -> None:
        """Ends the trainer and its workers, which nothing else ends as long as this process lives.

        The process of a trial that Tune has stopped lives on, and serves the next trial.
        """
        import ray

        with contextlib.suppress(ray.exceptions.RayError):  # it went with the cluster
            ray.cancel(self._task, force=True)

    def _ask_to_stop(self) -> None:
        """Asks the workers to save and stop, if a signal came or there is room for more of them."""
        now = time.monotonic()
        if self._signal.number is not None:
            stop = Stop("a signal came", noted=False)
            if self._deadline == math.inf:
                self._deadline, self._asked = now + SAVE_SECONDS, now
                if not self._post(stop):
                    raise KeyboardInterrupt  # no step was taken since the last checkpoint
            elif now > self._deadline:
                raise KeyboardInterrupt(
                    f"not saved within {SAVE_SECONDS:.0f} s; give the same command again to continue from the last "
                    "checkpoint"
                )
            elif now > self._asked + 5:  # a mailbox that was lost has started again, empty
                self._asked = now
                self._post(stop)
            return
        workers = self._room.watch()
        if workers and now > self._asked + 5:
            self._asked = now
            self._post(Stop(f"there is room for {workers} training workers instead of {self._room.workers}"))

    def _post(self, request: Stop) -> bool:
        """Returns whether the workers train and will receive a request."""
        import ray

        try:
            trains: bool = ray.get(self._mailbox.post.remote(self._number, request), timeout=5)
        except ray.exceptions.RayError:
            return False
        return trains


def run_trainer(orders: dict[str, Any], workers: int) -> Failure | None:
    """Returns what a Ray trainer failed of, or None after it has trained to the end.

    Args:
        orders: What each worker takes, see `train_worker`.
        workers: How many workers train.
    """
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # on a cluster this process has not the driver's environment
    from ray.train import FailureConfig, ScalingConfig, TrainingFailedError
    from ray.train import RunConfig as RayRunConfig
    from ray.train.torch import TorchTrainer

    config = parse_config(orders["config"])
    if not cluster.is_local(config):  # a Ray of its own has no dashboard
        os.environ.setdefault("RAY_TRAIN_ENABLE_STATE_TRACKING", "1")
    trainer = TorchTrainer(
        train_worker,
        train_loop_config=orders,
        scaling_config=ScalingConfig(
            num_workers=workers,
            use_gpu=config.train.use_gpu,
            resources_per_worker=cluster.worker_resources(config),
        ),
        run_config=RayRunConfig(
            name=f"{display_name(config)}-{orders['attempt']}",
            storage_path=within(orders["location"], RAY),
            failure_config=FailureConfig(  # `fit` decides about everything that ends an attempt
                max_failures=0,
                max_preemption_failures=0,  # type: ignore[call-arg]
                controller_failure_limit=0,
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

    from raynas.stages.training import SavedAndStopped
    from raynas.storage.ownership import Busy

    failures = list(getattr(error, "worker_failures", {}).values()) or [getattr(error, "controller_failure", error)]
    causes: list[BaseException] = [getattr(failure, "_base_exc", failure) for failure in failures]
    for cause in causes:
        if isinstance(cause, SavedAndStopped):
            return Failure(None, counts=False, position=cause.position)
    if any(type(cause).__name__ == "WorkerGroupStartupTimeoutError" for cause in causes):
        return Failure("the room of training workers is held by others", counts=False)
    if isinstance(error, PreemptionError) or any(getattr(cause, "preempted", False) for cause in causes):
        return Failure("the machine of a training worker was taken back", counts=False)
    for cause in causes:
        if isinstance(cause, InputError):
            return Failure(str(cause), InputError(str(cause)))
        if isinstance(cause, OSError) and cause.errno in UNWRITABLE:
            return Failure(str(cause), cause)
        if isinstance(cause, Busy):  # whoever works there may have ended by the next attempt
            return Failure(str(cause))
    # What a worker meets whose peer is gone: Ray's own checks, or an exchange that breaks off.
    signs = re.compile("health check failed|gloo|NCCL")
    if any(isinstance(cause, RayActorError) or signs.search(str(cause)) for cause in causes):
        return Failure("a training worker was lost")
    line = (str(causes[0]).strip() or type(causes[0]).__name__).splitlines()[0]
    return Failure(f"a training worker failed: {line}")


def _position(plans: Sequence[Plan], folder: Path) -> list[Path]:
    """Returns the checkpoints of the trainings: new ones are progress."""
    from raynas.storage.checkpoint import checkpoint_folders

    found: list[Path] = []
    for plan in plans:
        found += checkpoint_folders(folder / plan.folder)
    return found


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


def train_worker(orders: dict[str, Any]) -> None:
    """Trains as one worker of a Ray trainer.

    Args:
        orders: ``config``, the resolved configuration as plain values; ``trainings``, what to train; ``location``, the
            run's folder or URL; ``mailbox``, where worker 0 asks what it is asked to do, and ``attempt``, by which
            number.
    """
    import ray
    import ray.train
    import ray.train.torch
    import torch
    import torch.distributed

    from raynas.stages.data_record import DATA
    from raynas.stages.training import TrainingOutput, train_all
    from raynas.training.workers import Workers

    def add_up(tensor: torch.Tensor) -> None:
        torch.distributed.all_reduce(tensor)

    def warning() -> str | None:
        info = ray.train.get_preemption_info()
        if info is None:
            return None
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        return taken_back(info, {node["NodeID"]: node["NodeManagerAddress"] for node in nodes}, time.time())

    def asked() -> Stop | None:
        try:
            request: Stop | None = ray.get(orders["mailbox"].ask.remote(orders["attempt"]), timeout=2)
        except ray.exceptions.RayError:  # the mailbox is lost, and starts again: the next question is answered
            return None
        return request

    def of_worker_0(seconds: float) -> float:
        shared = torch.tensor([seconds if workers.rank == 0 else 0.0], dtype=torch.float64, device=device)
        workers.add_up(shared)
        return float(shared.item())

    context = ray.train.get_context()
    workers = Workers(context.get_world_rank(), context.get_world_size(), add_up)
    config, trainings = parse_config(orders["config"]), orders["trainings"]
    device = ray.train.torch.get_device()
    # Workers of a run whose driver was just killed may live for some seconds: wait for them.
    with mirror_at(orders["location"], f"worker-{workers.rank}", wait=60) as mirror:
        if mirror.carries:
            if workers.rank == 0:
                mirror.pull()
                mirror.push()
            workers.add_up(torch.zeros(1, device=device))  # what worker 0 had not pushed is there now
            places = [plan.folder for plan in trainings.plans(config)]
            mirror.pull("config.json", DATA, *places, weights=False)
        made = trainings.make(config, mirror.folder)
        output = TrainingOutput(config.trackers.has_tensorboard, Gauges(config).set_training, EpochReports(of_worker_0))
        requests = Requests(warning, asked)
        train_all(made, mirror, workers, device, config.train, requests=requests, output=output)
