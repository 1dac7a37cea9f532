"""The Ray that a run is carried out on: one of its own on this machine, or a cluster that is there."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raynas.config import RunConfig


def machine_cpus() -> int:
    """Returns how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


@contextlib.contextmanager
def connected(config: RunConfig) -> Iterator[None]:
    """Holds a connection to Ray for the time of the block; a local Ray ends with it.

    Raises:
        ValueError: If there is no cluster at the address, or a local Ray could never place the workers.
    """
    local = config.address == "local" and "RAY_ADDRESS" not in os.environ
    if local:
        _check_fits(config)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")  # relative paths keep their meaning in workers
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")
    if local:
        os.environ["RAY_AUTH_MODE"] = "disabled"  # nothing of it listens beyond this machine
        # Workers inherit the environment, and so import what this process can: a space of the user's own, from the
        # directory raynas was started in. (A runtime environment would do it too, and cost each process its start.)
        search_path = [os.getcwd(), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, dict.fromkeys(search_path)))
    import ray

    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    temporary = _temporary_directory() if local else None
    with contextlib.ExitStack() as stack:
        if temporary is not None:
            stack.callback(shutil.rmtree, temporary, ignore_errors=True)
        # Ray prints at length when a worker is lost; raynas says itself what that means.
        stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        stack.callback(ray.shutdown)
        if local:
            ray.init(
                address="local",
                num_cpus=config.local_cpus or machine_cpus(),
                include_dashboard=False,
                _temp_dir=temporary,
                **quiet,
            )
        else:
            address = None if config.address == "local" else config.address
            try:
                _check_answers(config.address)
                ray.init(address=address, **quiet)
            except OSError as error:
                raise ValueError(
                    f"address: there is no Ray cluster at {config.address!r}; start one (ray start --head), name "
                    "another address, or say `address: local`"
                ) from error
            except RuntimeError as error:
                raise ValueError(f"address: cannot join {config.address!r}: {' '.join(str(error).split())}") from error
        yield


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
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"raynas-{os.getpid()}-", dir=parent)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def needs(config: RunConfig, workers: int) -> dict[str, float]:
    """Returns the resources that so many training workers take."""
    wanted = {"CPU": float(workers * config.train.cpus_per_worker)}
    return wanted | ({"GPU": float(workers)} if config.train.use_gpu else {})


def missing(config: RunConfig) -> str:
    """Returns what the cluster lacks for the least number of workers, as text; empty if nothing."""
    import ray

    total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    lacking = {
        kind: amount - total.get(kind, 0.0)
        for kind, amount in needs(config, config.train.worker_range[0]).items()
        if amount > total.get(kind, 0.0)
    }
    return " and ".join(f"{math.ceil(amount)} more {kind}" for kind, amount in lacking.items())


def _check_fits(config: RunConfig) -> None:
    """Checks that this machine can hold the least number of workers: a local Ray does not grow."""
    import torch

    least = config.train.worker_range[0]
    have = {"CPU": float(config.local_cpus or machine_cpus()), "GPU": float(torch.cuda.device_count())}
    for kind, amount in needs(config, least).items():
        if amount > have[kind]:
            mend = "set train.use_gpu to false" if kind == "GPU" else "lower train.workers or train.cpus_per_worker"
            raise ValueError(
                f"train.workers: {least} workers need {amount:g} {kind} but this machine offers {have[kind]:g}; "
                f"{mend}, or give the address of a larger cluster"
            )
