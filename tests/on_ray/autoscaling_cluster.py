"""A Ray cluster that grows and shrinks on this machine: a head without CPUs, nodes that the autoscaler starts and ends.

The nodes are processes here, and their CPUs and GPUs are only counted; the autoscaler is the real one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEAD_ID = "f" * 51 + "00000"  # which the provider of nodes on one machine gives its head; those that come count up


@dataclass(frozen=True)
class State:
    """What there is in the cluster at a moment.

    Attributes:
        seconds: When, on the clock of `time.monotonic`.
        nodes: Resources of the nodes that are up, by their ids; the head is not among them.
        actors: ``(class, node)`` of each actor that lives, and ``(class, None)`` of each that has no place yet.
        groups: How many placement groups there are.
    """

    seconds: float
    nodes: dict[str, dict[str, float]]
    actors: list[tuple[str, str | None]]
    groups: int

    def places(self, name: str) -> list[str | None]:
        """Returns where the actors of a class are."""
        return [node for kind, node in self.actors if kind == name]


@dataclass(frozen=True)
class AutoscalingCluster:
    """Where it listens, and all that its processes have in their environment."""

    address: str
    dashboard: str
    environment: Mapping[str, str]

    def state(self) -> State:
        """Returns what there is now."""
        from ray.util.state import list_actors, list_nodes, list_placement_groups

        seconds = time.monotonic()
        where: dict[str, Any] = {"address": self.dashboard, "limit": 1000, "raise_on_missing_output": False}
        nodes = {node.node_id: node.resources_total for node in list_nodes(**where) if node.state == "ALIVE"}
        actors = [actor for actor in list_actors(**where) if actor.state != "DEAD"]
        groups = [group for group in list_placement_groups(**where) if group.state != "REMOVED"]
        return State(
            seconds,
            {node: resources for node, resources in nodes.items() if node != HEAD_ID},
            [(actor.class_name, actor.node_id if actor.state == "ALIVE" else None) for actor in actors],
            len(groups),
        )

    def processes(self) -> list[int]:
        """Returns the processes that belong to the cluster or were started on it."""
        mark = f"RAY_TMPDIR={self.environment['RAY_TMPDIR']}\0".encode()
        return [int(place.name) for place in Path("/proc").glob("[0-9]*") if mark in _read(place / "environ")]


@contextmanager
def watched(cluster: AutoscalingCluster) -> Iterator[list[State]]:
    """Yields the states of a cluster, five a second; the list grows as long as the block lasts."""
    states = [cluster.state()]
    left = threading.Event()

    def watch() -> None:
        while not left.wait(0.2):
            states.append(cluster.state())

    with ThreadPoolExecutor(max_workers=1) as thread:
        watching = thread.submit(watch)
        try:
            yield states
        finally:
            left.set()
            watching.result()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended, or is another user's
        return b""


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def autoscaling_cluster(
    node_types: Mapping[str, tuple[Mapping[str, float], int]], idle_seconds: float
) -> Iterator[AutoscalingCluster]:
    """Yields a cluster without a node but its head; it ends with the block.

    Args:
        node_types: Resources of a node of each type, and how many of them there may be.
        idle_seconds: After so long without work a node goes.
    """
    port, dashboard = _free_port(), _free_port()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rn", dir="/tmp", ignore_cleanup_errors=True))
        of_all: dict[str, Any] = {"node_config": {}, "min_workers": 0}
        types = {
            name: {**of_all, "resources": dict(holds), "max_workers": most}
            for name, (holds, most) in {"ray.head.default": ({}, 0), **node_types}.items()
        }
        config = {
            "cluster_name": "raynas",
            "max_workers": sum(most for _, most in node_types.values()),
            "provider": {
                "type": "external",
                "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
                "gcs_address": f"127.0.0.1:{port}",
                "head_node_id": HEAD_ID,
                "launch_multiple": True,
                "use_node_id_as_ip": True,
                "disable_node_updaters": True,
                "disable_launch_config_check": True,
            },
            "available_node_types": {
                name: {**kind, "node_config": {}, "min_workers": 0} for name, kind in types.items()
            },
            "head_node_type": "ray.head.default",
            "idle_timeout_minutes": idle_seconds / 60,
            "upscaling_speed": 1000,
            **dict.fromkeys(("auth", "docker", "file_mounts"), {}),
            **dict.fromkeys(
                (
                    *("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands"),
                    *("head_start_ray_commands", "worker_start_ray_commands"),
                    *("cluster_synced_files", "rsync_exclude", "rsync_filter"),
                ),
                [],
            ),
            "file_mounts_sync_continuously": False,
        }
        Path(folder, "cluster.json").write_text(json.dumps(config))
        environment = {
            **os.environ,
            "RAY_TMPDIR": folder,
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}",
            "PYTHONPATH": os.getcwd(),
        }
        of_head = {
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "2",
        }
        head = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "ray.scripts.scripts",
                    "start",
                    "--head",
                    "--block",
                    "--num-cpus=0",
                    "--num-gpus=0",
                ),
                *(f"--autoscaling-config={folder}/cluster.json", "--node-ip-address=127.0.0.1", f"--port={port}"),
                *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", f"--temp-dir={folder}"),
                *("--object-store-memory=200000000", "--disable-usage-stats"),
            ],
            env=environment | of_head,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        stack.callback(_end, head)
        cluster = AutoscalingCluster(f"127.0.0.1:{port}", environment["RAY_API_SERVER_ADDRESS"], environment)
        _wait_until_up(cluster, head)
        yield cluster


def _wait_until_up(cluster: AutoscalingCluster, head: subprocess.Popen[bytes]) -> None:
    from ray.util.state.exception import RayStateApiException

    deadline = time.monotonic() + 120
    while True:
        try:
            cluster.state()
            return
        except (RayStateApiException, ConnectionError) as error:
            if head.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the head did not come up: exit status {head.poll()}") from error
            time.sleep(0.2)


def _end(head: subprocess.Popen[bytes]) -> None:
    """Ends a head and all that it started."""
    head.terminate()
    try:
        head.wait(timeout=90)
    except subprocess.TimeoutExpired:
        warnings.warn("the head did not end when it was told to", stacklevel=2)
    with contextlib.suppress(ProcessLookupError):  # all have ended
        os.killpg(head.pid, signal.SIGKILL)
    head.wait()
