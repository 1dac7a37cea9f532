"""The Ray that a run is carried out on: one of its own on this machine, or a cluster that is there."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from raynas.config import RunConfig
from raynas.own_modules import IMPORT_PATH, extend_search_path
from raynas.spaces import is_own


@dataclass(frozen=True)
class Needs:
    """What has to fit on a cluster at once.

    Attributes:
        key: The key of the run file that asks for it.
        who: Who needs it, as the beginning of a sentence.
        resources: Amounts by Ray's names: CPU, GPU, and those of the cluster's own naming.
        mends: What to change where one of them does not fit.
    """

    key: str
    who: str
    resources: dict[str, float]
    mends: dict[str, str]


def worker_resources(config: RunConfig) -> dict[str, float]:
    """Returns what one training worker takes, the processes that read image files for it included."""
    train = config.train
    own = {train.resource: 1.0} if train.resource else {}
    readers = config.data.loader_workers if config.data.name == "folder" else 0
    return {"CPU": float(train.cpus_per_worker + readers)} | ({"GPU": 1.0} if train.use_gpu else {}) | own


def worker_needs(config: RunConfig) -> Needs:
    """Returns what the least number of training workers takes."""
    workers = config.train.worker_range[0]
    cpus = "lower train.workers or train.cpus_per_worker"
    if config.data.name == "folder" and config.data.loader_workers:
        cpus = "lower train.workers, train.cpus_per_worker or data.loader_workers"
    mends = {"CPU": cpus, "GPU": "set train.use_gpu to false"}
    if config.train.resource:
        mends[config.train.resource] = "set train.resource to null"
    resources = {kind: workers * amount for kind, amount in worker_resources(config).items()}
    return Needs("train.workers", "a worker needs" if workers == 1 else f"{workers} workers need", resources, mends)


def evaluator_needs(config: RunConfig) -> Needs:
    """Returns what one evaluator takes."""
    cpus, gpus = float(config.search.cpus_per_evaluator), config.search.gpus_per_evaluator
    mends = {"CPU": "lower search.cpus_per_evaluator", "GPU": "lower search.gpus_per_evaluator"}
    resources = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
    return Needs("search.evaluators", "an evaluator needs", resources, mends)


class Cluster:
    """The Ray of a run: joined when a stage first needs it, left at the end of the block."""

    def __init__(self, config: RunConfig, dashboard: bool = False) -> None:
        """Takes the resolved configuration, which says where Ray is, and whether a local Ray has a dashboard."""
        self._config = config
        self._dashboard = dashboard
        self._joined = contextlib.ExitStack()
        self._is_joined = False

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_joined = False
        self._joined.__exit__(kind, value, traceback)

    def join(self, needs: Needs) -> None:
        """Connects to Ray, unless this process, such as an actor, is.

        Raises:
            ValueError: If there is no cluster at the address, or a local Ray could never hold what is needed.
        """
        if is_local(self._config):
            check_fits(self._config, needs)
        ray = sys.modules.get("ray")  # not imported here: it reads its environment when it is
        if not self._is_joined and not (ray is not None and ray.is_initialized()):
            self._joined.enter_context(_connected(self._config, self._dashboard))
            self._is_joined = True

    def room_for(self, needs: Needs) -> int | None:
        """Returns how many times a local Ray holds what is needed; None for a cluster, which may grow."""
        if not is_local(self._config):
            return None
        have = _resources_here(self._config)
        return min(int(have[kind] / amount) for kind, amount in needs.resources.items())


def machine_cpus() -> int:
    """Returns how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def is_local(config: RunConfig) -> bool:
    """Returns whether the Ray of a run is one of its own on this machine, which does not grow."""
    return config.address == "local" and "RAY_ADDRESS" not in os.environ


@contextlib.contextmanager
def _connected(config: RunConfig, dashboard: bool) -> Iterator[None]:
    """Holds a connection to Ray for the time of the block; a local Ray ends with it.

    Raises:
        ValueError: If there is no cluster at the address.
    """
    local = is_local(config)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # relative paths keep their meaning in workers
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    if local:
        # Ray says which way it takes to other machines by this name; off, all that it starts listens on 127.0.0.1.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":  # against others on this machine
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    if is_own(config.space.name):
        extend_search_path()  # which a local Ray inherits
    dashboard_port = None
    if local and dashboard:  # who frees what a stopped trainer held asks the dashboard, and has to find this one
        dashboard_port = _free_port()
        os.environ["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{dashboard_port}"
    import ray

    options = {"logging_level": logging.ERROR, "log_to_driver": False, **_search_path_of_workers(config, local)}
    temporary = _temporary_directory() if local else None
    with contextlib.ExitStack() as stack:
        if temporary is not None:
            stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        # Ray prints at length when a worker is lost; raynas says itself what that means.
        stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        stack.callback(ray.shutdown)
        if local:
            with _own_sigterm():
                ray.init(
                    address="local",
                    num_cpus=config.local_cpus or machine_cpus(),
                    include_dashboard=dashboard,
                    dashboard_host="127.0.0.1",
                    dashboard_port=dashboard_port,
                    _temp_dir=temporary,
                    **options,
                )
        else:
            address = None if config.address == "local" else config.address
            try:
                _check_answers(config.address)
                with _own_sigterm():
                    ray.init(address=address, **options)
            except OSError as error:
                raise ValueError(
                    f"address: there is no Ray cluster at {config.address!r}; start one (ray start --head), name "
                    "another address, or say `address: local`"
                ) from error
            except RuntimeError as error:
                raise ValueError(f"address: cannot join {config.address!r}: {' '.join(str(error).split())}") from error
        yield


def _search_path_of_workers(config: RunConfig, local: bool) -> dict[str, Any]:
    """Returns the options of `ray.init` that say where workers import from.

    Ray would put the current folder first on their search path, where a file such as secrets.py would take the place of
    Python's own. Here it is the folder of raynas, if raynas is not installed. A space of the user's own is found
    through `IMPORT_PATH`, which a local Ray inherits. On a cluster a runtime environment sets it, unless the job brings
    the folder along.
    """
    from ray.job_config import JobConfig

    class InstalledOnly(JobConfig):  # type: ignore[misc,unused-ignore]
        def _runtime_env_has_working_dir(self) -> bool:
            return True  # of which Ray takes the search path instead

    home = Path(__file__).resolve().parents[2]
    installed = home.is_relative_to(Path(sysconfig.get_path("purelib")).resolve())
    options: dict[str, Any] = {}
    if not config.address.startswith("ray://"):  # whose server could not unpickle it
        options["job_config"] = InstalledOnly(_py_driver_sys_path=[] if installed else [str(home)])
    job = os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "")
    if is_own(config.space.name) and not local and "working_dir" not in job and IMPORT_PATH not in job:
        options["runtime_env"] = {"env_vars": {IMPORT_PATH: os.environ[IMPORT_PATH]}}
    return options


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keeps what this process does at SIGTERM over a block that starts Ray, which sets its own handlers and exits."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit:
        if callable(handler):
            handler(signal.SIGTERM, None)
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


def _check_answers(address: str) -> None:
    """Checks that something listens at an address ``host:port`` or ``ray://host:port``: Ray would try for minutes.

    Raises:
        OSError: If nothing does.
    """
    found = re.fullmatch(r"(?:ray://)?(.+):(\d+)", address)
    if found:
        socket.create_connection((found[1], int(found[2])), timeout=10).close()


def _temporary_directory() -> str:
    """Returns a new directory for a local Ray, after removing those of processes that were killed.

    It is not the one that every Ray shares: a cluster's address file left there costs each training 12 s. Its name is
    short, since a socket's path may have 107 characters.
    """
    parent = Path("/tmp" if os.path.isdir("/tmp") else tempfile.gettempdir())
    for left in parent.glob("raynas-*-*"):
        owner = left.name.split("-")[1]
        if owner.isdigit() and not is_alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"raynas-{os.getpid()}-", dir=parent)


def is_alive(process: int) -> bool:
    """Returns whether a process of this machine is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def missing(needs: Needs) -> str:
    """Returns what the cluster lacks, as text; empty if nothing."""
    import ray

    total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    lacking = {
        kind: amount - total.get(kind, 0.0) for kind, amount in needs.resources.items() if amount > total.get(kind, 0.0)
    }
    return " and ".join(f"{math.ceil(amount)} more {kind}" for kind, amount in lacking.items())


def local_workers(config: RunConfig) -> int:
    """Returns how many training workers a local Ray holds."""
    have = _resources_here(config)
    return min(int(have.get(kind, 0.0) / amount) for kind, amount in worker_resources(config).items())


def check_fits(config: RunConfig, needs: Needs) -> None:
    """Checks that this machine can hold what is needed: a local Ray does not grow.

    Raises:
        ValueError: If it cannot.
    """
    have = _resources_here(config)
    for kind, amount in needs.resources.items():
        if amount > have.get(kind, 0.0):
            raise ValueError(
                f"{needs.key}: {needs.who} {amount:g} {kind} but this machine offers {have.get(kind, 0.0):g}; "
                f"{needs.mends[kind]}, or give the address of a larger cluster"
            )


def _resources_here(config: RunConfig) -> dict[str, float]:
    """Returns what a local Ray offers."""
    import torch

    return {"CPU": float(config.local_cpus or machine_cpus()), "GPU": float(torch.cuda.device_count())}
