"""The Ray that a run is carried out on: one of its own on this machine, or a cluster that is there."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import secrets
import signal
import socket
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from raynas.config.run_config import RunConfig
from raynas.members import is_own
from raynas.own_modules import IMPORT_PATH, extend_search_path
from raynas.storage.temporary_folder import temporary_folder

STARTS = 3
"""How often a local Ray is started, each time in a folder of its own. Ray gives its node 30 s to appear."""

AUTOSCALER_SECONDS = 10
"""Seconds for the cluster to say what its autoscaler reports."""


@dataclass(frozen=True)
class Needs:
    """What has to fit on a cluster at once.

    Attributes:
        key: The key of the run file that asks for it.
        who: Who needs it, as the beginning of a sentence.
        resources: Amounts by Ray's names: CPU, GPU, and those of the cluster's own naming.
        mends: What to change where one of them does not fit.
        bundle: What of it has to lie on one node; None if that is not known.
        number: How many bundles it is.
    """

    key: str
    who: str
    resources: dict[str, float]
    mends: dict[str, str]
    bundle: dict[str, float] | None = None
    number: int = 1


def worker_resources(config: RunConfig) -> dict[str, float]:
    """Returns what one training worker takes, the processes that read image files for it included."""
    train = config.train
    own = {train.resource: 1.0} if train.resource else {}
    readers = config.data.loader_workers if config.data.source.reads_files else 0
    return {"CPU": float(train.cpus_per_worker + readers)} | ({"GPU": 1.0} if train.use_gpu else {}) | own


def worker_needs(config: RunConfig) -> Needs:
    """Returns what the least number of training workers takes."""
    workers = config.train.worker_range[0]
    cpus = "lower train.workers or train.cpus_per_worker"
    if config.data.source.reads_files and config.data.loader_workers:
        cpus = "lower train.workers, train.cpus_per_worker or data.loader_workers"
    mends = {"CPU": cpus, "GPU": "set train.use_gpu to false"}
    if config.train.resource:
        mends[config.train.resource] = "set train.resource to null"
    bundle = worker_resources(config)
    resources = {kind: workers * amount for kind, amount in bundle.items()}
    who = "a worker needs" if workers == 1 else f"{workers} workers need"
    return Needs("train.workers", who, resources, mends, bundle, workers)


def evaluator_needs(config: RunConfig) -> Needs:
    """Returns what one evaluator takes."""
    cpus, gpus = float(config.search.cpus_per_evaluator), config.search.gpus_per_evaluator
    mends = {"CPU": "lower search.cpus_per_evaluator", "GPU": "lower search.gpus_per_evaluator"}
    resources = {"CPU": cpus} | ({"GPU": gpus} if gpus else {})
    return Needs("search.evaluators", "an evaluator needs", resources, mends, resources)


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
        return times(needs.resources, _resources_here(self._config))


def machine_cpus() -> int:
    """Returns how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _address(config: RunConfig) -> tuple[str, str]:
    """Returns which cluster is joined, or ``local``, and the key or variable that says so."""
    named = os.environ.get("RAY_ADDRESS")
    return (named, "RAY_ADDRESS") if named and config.address in ("local", "auto") else (config.address, "address")


def is_local(config: RunConfig) -> bool:
    """Returns whether the Ray of a run is one of its own on this machine, which does not grow."""
    return _address(config)[0] == "local"


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
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "120")  # by default 30, too few on a busy machine
    if local:
        # Ray says which way it takes to other machines by this name; off, all that it starts listens on 127.0.0.1.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":  # against others on this machine
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    if names_own_modules(config):
        extend_search_path()  # which a local Ray inherits
    dashboard_port = None
    if local and dashboard:  # who frees what a stopped trainer held asks the dashboard, and has to find this one
        dashboard_port = _free_port()
        os.environ["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{dashboard_port}"
    import ray

    imports = _search_path_of_workers(config, local)
    with contextlib.ExitStack() as stack:
        # Ray prints at length when a worker is lost; raynas says itself what that means.
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
    search = config.search
    names = (config.algorithm, config.space.name, config.data.name, search.name or "", *search.fitnesses)
    return any(is_own(name) for name in names)


def _search_path_of_workers(config: RunConfig, local: bool) -> dict[str, Any]:
    """Returns the options of `ray.init` that say where workers import from.

    Ray would put the current folder first on their search path, where a file such as secrets.py would take the place of
    Python's own. Here it is the folder of raynas, if raynas is not installed. A module of the user's own is found
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
    if names_own_modules(config) and not local and "working_dir" not in job and IMPORT_PATH not in job:
        options["runtime_env"] = {"env_vars": {IMPORT_PATH: os.environ[IMPORT_PATH]}}
    return options


QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}


@contextlib.contextmanager
def _local_ray(**options: Any) -> Iterator[None]:
    """Holds a local Ray for the time of the block; on a busy machine it may start at the second attempt.

    Raises:
        RuntimeError: If it does not start.
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
                raise RuntimeError(
                    f"Ray did not start on this machine in {STARTS} attempts ({_first_line(error)}); give the same "
                    "command again when the machine has less to do"
                ) from error
            stack.callback(ray.shutdown)
            yield
            return


def _children() -> set[int]:
    """Returns the processes that this one has started and that run; none where the system does not say."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = file.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == os.getpid() and fields[0] not in "ZX":
                found.add(int(file.parent.name))
    return found


def _end(processes: set[int]) -> None:
    """Ends what a Ray that did not start has left."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _join(address: str, key: str, options: Mapping[str, Any]) -> None:
    """Connects to a cluster.

    Args:
        address: Where it is.
        key: The key or variable that says so.
        options: What `ray.init` takes besides.

    Raises:
        ValueError: If there is none, or it does not accept this process.
    """
    import ray

    try:
        _check_answers(address)
        with _own_sigterm():
            ray.init(address=address, **options, **QUIET)
    except OSError as error:
        remedy = "unset it" if key == "RAY_ADDRESS" else "say `address: local`"
        raise ValueError(
            f"{key}: there is no Ray cluster at {address!r}; start one (ray start --head), name another address, or "
            f"{remedy}"
        ) from error
    except RuntimeError as error:
        raise ValueError(f"{key}: cannot join {address!r}: {' '.join(str(error).split())}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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


# --- What fits on its nodes -------------------------------------------------------------------------------------------


def fits_a_node(bundle: Mapping[str, float]) -> bool:
    """Returns whether a node holds a bundle of resources, one that is there or one that can come.

    Node types of an autoscaler are known where it has told Ray of them. Where it has not, a node may come for any
    bundle that the autoscaler has not said to be infeasible.

    Args:
        bundle: Amounts by Ray's names that have to lie on one node, such as those of a training worker.
    """
    if any(times(bundle, node) for node in (*_nodes(), *_node_types())):
        return True
    return _may_grow(bundle)


def times(bundle: Mapping[str, float], room: Mapping[str, float]) -> int:
    """Returns how many times some resources hold a bundle."""
    return min((int(room.get(kind, 0.0) / amount) for kind, amount in bundle.items() if amount), default=1)


def _nodes() -> list[dict[str, float]]:
    """Returns the resources of every node that is there."""
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]


def _node_types() -> list[dict[str, float]]:
    """Returns the resources of each node type that an autoscaler has told Ray of and may start."""
    from ray._private.state import state

    config = state.get_cluster_config()
    groups = config.node_group_configs if config is not None else ()
    return [dict(group.resources) for group in groups if group.max_count]


def _autoscaler() -> Any:
    """Returns what the autoscaler of the cluster reports, as Ray's AutoscalingState; None if that cannot be read."""
    import ray
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply  # type: ignore[attr-defined]

    reply = GetClusterStatusReply()
    try:
        client = GcsClient(ray.get_runtime_context().gcs_address)
        reply.ParseFromString(client.get_cluster_status(timeout_s=AUTOSCALER_SECONDS))
    except (ray.exceptions.RayError, RuntimeError, OSError):
        return None
    return reply.autoscaling_state


def _may_grow(bundle: Mapping[str, float]) -> bool:
    """Returns whether an autoscaler is at work that has not said that it has no node type for a bundle."""
    reported = _autoscaler()
    if reported is None:
        return True  # unknown
    infeasible = [dict(report.resources_bundle) for report in reported.infeasible_resource_requests]
    return bool(reported.autoscaler_state_version) and dict(bundle) not in infeasible


def missing(needs: Needs) -> str:
    """Returns what the cluster lacks, as text; empty if nothing.

    Nodes are counted one by one: eight machines of 4 CPUs hold no worker of 8.
    """
    nodes = _nodes()
    total: dict[str, float] = {}
    for node in nodes:
        for kind, amount in node.items():
            total[kind] = total.get(kind, 0.0) + amount
    lacking = [
        f"{math.ceil(amount - total.get(kind, 0.0))} more {kind}"
        for kind, amount in needs.resources.items()
        if amount > total.get(kind, 0.0)
    ]
    has_none = not any(node.get(kind) for node in nodes for kind in needs.resources)
    if lacking and (needs.bundle is None or has_none or fits_a_node(needs.bundle)):
        return " and ".join(lacking)
    if needs.bundle is None:
        return ""
    kinds = " and ".join(f"{amount:g} {kind}" for kind, amount in needs.bundle.items())
    room = sum(times(needs.bundle, node) for node in nodes)
    if not room:
        wanted = f"a node with {kinds} (the largest there is has {_held(needs.bundle, nodes)})"
        return wanted if fits_a_node(needs.bundle) else f"{wanted}, which is of no node type that can come"
    return f"nodes for {needs.number - room} more of {kinds} each" if room < needs.number else ""


def _held(bundle: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> str:
    """Returns the most that a node has of each kind that a bundle asks for, as text."""
    most = {kind: max((node.get(kind, 0.0) for node in nodes), default=0.0) for kind in bundle}
    return " and ".join(f"{amount:g} {kind}" for kind, amount in most.items())


def local_workers(config: RunConfig) -> int:
    """Returns how many training workers a local Ray holds."""
    have = _resources_here(config)
    return times(worker_resources(config), have)


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
