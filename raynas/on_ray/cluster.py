"""The Ray of a run: one of its own on this machine, or a cluster that is already there."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import signal
import socket
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from raynas.config.run_config import RunConfig, own_members
from raynas.errors import InputError, RunError
from raynas.on_ray.nodes import Needs, times
from raynas.own_modules import IMPORT_PATH, extend_search_path
from raynas.storage.temporary_folder import temporary_folder

STARTS = 3
"""Attempts to start a local Ray, each in a folder of its own. Ray gives its node 30 s to appear."""


def worker_resources(config: RunConfig) -> dict[str, float]:
    """Returns the resources of one training worker, including the processes that read image files for it."""
    train = config.train
    own = {train.resource: 1.0} if train.resource else {}
    readers = config.data.loader_workers if config.data.source.reads_files else 0
    return {"CPU": float(train.cpus_per_worker + readers)} | ({"GPU": 1.0} if train.use_gpu else {}) | own


def worker_needs(config: RunConfig) -> Needs:
    """Returns the resources of the least number of training workers."""
    workers = config.train.worker_range[0]
    cpus = "lower train.workers or train.cpus_per_worker"
    if config.data.source.reads_files and config.data.loader_workers:
        cpus = "lower train.workers, train.cpus_per_worker or data.loader_workers"
    remedies = {"CPU": cpus, "GPU": "set train.use_gpu to false"}
    if config.train.resource:
        remedies[config.train.resource] = "set train.resource to null"
    bundle = worker_resources(config)
    resources = {kind: workers * amount for kind, amount in bundle.items()}
    who = "a worker needs" if workers == 1 else f"{workers} workers need"
    return Needs("train.workers", who, resources, remedies, bundle, workers)


def evaluator_needs(config: RunConfig) -> Needs:
    """Returns the resources of one evaluator."""
    cpus, gpus = float(config.search.cpus_per_evaluator), config.search.gpus_per_evaluator
    remedies = {"CPU": "lower search.cpus_per_evaluator", "GPU": "lower search.gpus_per_evaluator"}
    resources = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
    return Needs("search.evaluators", "an evaluator needs", resources, remedies, resources)


class Cluster:
    """The Ray of a run. It is joined when a stage first needs it, and left at the end of the block."""

    def __init__(self, config: RunConfig, dashboard: bool = False) -> None:
        """Takes the resolved configuration, which names the place of Ray, and whether a local Ray has a dashboard."""
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
        """Connects to Ray, unless this process, such as an actor, is connected.

        Raises:
            InputError: If there is no cluster at the address, or a local Ray could never hold the resources.
        """
        if is_local(self._config):
            check_fits(self._config, needs)
        ray = sys.modules.get("ray")  # not imported here: it reads its environment when it is
        if not self._is_joined and not (ray is not None and ray.is_initialized()):
            self._joined.enter_context(_connected(self._config, self._dashboard))
            self._is_joined = True

    def room_for(self, needs: Needs) -> int | None:
        """Returns how many times a local Ray holds the resources; None for a cluster, which may grow."""
        if not is_local(self._config):
            return None
        return times(needs.resources, _resources_here(self._config))


def machine_cpus() -> int:
    """Returns the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _address(config: RunConfig) -> tuple[str, str]:
    """Returns the address of the cluster, or ``local``, and the key or variable that states it."""
    named = os.environ.get("RAY_ADDRESS")
    return (named, "RAY_ADDRESS") if named and config.address in ("local", "auto") else (config.address, "address")


def is_local(config: RunConfig) -> bool:
    """Returns whether the Ray of a run is its own Ray on this machine, which does not grow."""
    return _address(config)[0] == "local"


@contextlib.contextmanager
def _connected(config: RunConfig, dashboard: bool) -> Iterator[None]:
    """Holds a connection to Ray for the time of the block; a local Ray ends with it.

    Raises:
        InputError: If there is no cluster at the address.
    """
    local = is_local(config)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # relative paths keep their meaning in workers
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "120")  # by default 30, too few on a busy machine
    if local:
        # By this variable Ray decides on its network interface. At 0, all its processes listen on 127.0.0.1.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":  # against others on this machine
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    if names_own_modules(config):
        extend_search_path()  # which a local Ray inherits
    dashboard_port = None
    if local and dashboard:  # Ray asks it to free the resources of a stopped trainer
        dashboard_port = _free_port()
        os.environ["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{dashboard_port}"
    import ray

    imports = _search_path_of_workers(config, local)
    with contextlib.ExitStack() as stack:
        # Ray prints long messages when a worker is lost; raynas reports losses itself.
        stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        if local:
            options = {"num_cpus": config.local_cpus or machine_cpus(), "include_dashboard": dashboard}
            stack.enter_context(_local_ray(dashboard_port=dashboard_port, **options, **imports))
        else:
            stack.callback(ray.shutdown)
            _join(*_address(config), imports)
        yield


def names_own_modules(config: RunConfig) -> bool:
    """Returns whether a configuration names a member of the user's own by its dotted path, which workers import."""
    return bool(own_members(config.model_dump()))


def _search_path_of_workers(config: RunConfig, local: bool) -> dict[str, Any]:
    """Returns the options of `ray.init` that set the search path of workers.

    Ray would put the current folder first on their search path. A file such as secrets.py there would replace Python's
    module. Here only the folder of raynas is added, if raynas is not installed. A module of the user's own is found
    through `IMPORT_PATH`, which a local Ray inherits. On a cluster a runtime environment sets it, unless the job
    uploads the folder.
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
    named = IMPORT_PATH in os.environ  # by the configuration, or by the sweep that its trials are of
    if named and not local and "working_dir" not in job and IMPORT_PATH not in job:
        options["runtime_env"] = {"env_vars": {IMPORT_PATH: os.environ[IMPORT_PATH]}}
    return options


QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


@contextlib.contextmanager
def _local_ray(**options: Any) -> Iterator[None]:
    """Holds a local Ray for the time of the block; on a busy machine it may start at the second attempt.

    Raises:
        RunError: If it does not start.
    """
    import ray

    for attempt in range(1, STARTS + 1):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(temporary_folder())
            before = _children()
            try:
                with _own_sigterm():
                    ray.init(address="local", dashboard_host="127.0.0.1", _temp_dir=str(folder), **options, **QUIET)
            except Exception as error:  # as Ray itself raises it
                ray.shutdown()
                _end(_children() - before)
                if attempt < STARTS:
                    continue
                raise RunError(
                    f"Ray did not start on this machine in {STARTS} attempts ({_first_line(error)}); give the same "
                    "command again when the machine has less to do"
                ) from error
            stack.callback(ray.shutdown)
            yield
            return


def _children() -> set[int]:
    """Returns the running processes that this one has started; none where the system does not list them."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] not in "ZX":
                found.add(int(file.parent.name))
    return found


def _end(processes: set[int]) -> None:
    """Ends the processes of a Ray that did not start."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _join(address: str, key: str, options: Mapping[str, Any]) -> None:
    """Connects to a cluster.

    Args:
        address: Its address.
        key: The key or variable that states the address.
        options: Further options of `ray.init`.

    Raises:
        InputError: If there is none, or it does not accept this process.
    """
    import ray

    try:
        _check_answers(address)
        with _own_sigterm():
            ray.init(address=address, **options, **QUIET)
    except OSError as error:
        remedy = "unset it" if key == "RAY_ADDRESS" else "say `address: local`"
        raise InputError(
            f"{key}: there is no Ray cluster at {address!r}; start one (ray start --head), name another address, or "
            f"{remedy}"
        ) from error
    except RuntimeError as error:
        raise InputError(f"{key}: cannot join {address!r}: {' '.join(str(error).split())}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keeps this process's handler of SIGTERM over a block that starts Ray, which sets its own handlers and exits."""
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

    ``auto`` is the address of the last cluster that was started here, which may have ended.

    Raises:
        OSError: If nothing does.
    """
    if address == "auto":
        from ray._private.services import canonicalize_bootstrap_address_or_die

        address = canonicalize_bootstrap_address_or_die(address)
    found = re.fullmatch(r"(?:ray://)?(.+):(\d+)", address)
    if found:
        socket.create_connection((found[1], int(found[2])), timeout=10).close()


def local_workers(config: RunConfig) -> int:
    """Returns the number of training workers that a local Ray holds."""
    have = _resources_here(config)
    return times(worker_resources(config), have)


def check_fits(config: RunConfig, needs: Needs) -> None:
    """Checks that this machine holds the resources: a local Ray does not grow.

    Raises:
        InputError: If it cannot.
    """
    have = _resources_here(config)
    for kind, amount in needs.resources.items():
        if amount > have.get(kind, 0.0):
            raise InputError(
                f"{needs.key}: {needs.who} {amount:g} {kind} but this machine offers {have.get(kind, 0.0):g}; "
                f"{needs.remedies[kind]}, or give the address of a larger cluster"
            )


def _resources_here(config: RunConfig) -> dict[str, float]:
    """Returns the resources of a local Ray."""
    import torch

    return {"CPU": float(config.local_cpus or machine_cpus()), "GPU": float(torch.cuda.device_count())}
