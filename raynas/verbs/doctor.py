"""The verb that checks a machine before runs use it: versions, devices, memory, limits, storage, Ray."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import raynas
from raynas.errors import InputError, RunError
from raynas.messages import shortened
from raynas.optional import install_line, installed_version, is_installed
from raynas.stages import signals

Status: TypeAlias = Literal["ok", "warning", "fault"]

OPTIONAL = {
    "ray": ("ray", "train.workers above 0, search.evaluators above 0, sweeps and jobs"),
    "pyarrow": ("ray", "runs at URLs"),
    "matplotlib": ("report", "reports"),
    "tensorboard": ("report", "TensorBoard events"),
    "scikit-learn": ("digits", "the data set digits"),
    "onnx": ("export", "the format onnx of exports"),
    "optuna": ("optuna", "sweep.searcher: optuna"),
}
"""Packages that a light install lacks: the extra of each, and what needs it."""

GIB = 2**30

LEAST_SHARED, LEAST_DISK, LEAST_MEMORY = 1 * GIB, 2 * GIB, 2 * GIB
LEAST_FILES, LEAST_PROCESSES = 4_096, 4_096
"""What a machine should have; less is warned of."""


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        check: Name of the check.
        status: ok; warning, if something is slower or some features are missing; fault, if runs will fail.
        text: What was found.
        remedy: What to do; empty if all is well.
    """

    check: str
    status: Status
    text: str
    remedy: str = ""

    def line(self) -> str:
        """Returns the finding as a line of text."""
        return f"{self.status:<8}{self.check}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")


def doctor(options: argparse.Namespace) -> int:
    """Prints the findings of every check.

    Raises:
        RunError: If one of them is a fault.
    """
    findings: list[Finding] = []
    for finding in _findings(options.storage, options.address):
        findings.append(finding)
        if not options.json:
            print(finding.line(), flush=True)
    faults = [finding for finding in findings if finding.status == "fault"]
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        warnings = sum(finding.status == "warning" for finding in findings)
        print(f"checks: {len(findings)}, faults: {len(faults)}, warnings: {warnings}")
    if faults:
        raise RunError(
            f"faults: {'; '.join(f'{fault.check}: {fault.text}' for fault in faults)}; see the remedies above"
        )
    return 0


def _findings(storage: str, address: str | None) -> Iterator[Finding]:
    """Yields what each check finds."""
    yield _versions()
    for package, (extra, use) in OPTIONAL.items():
        yield optional_package(package, extra, use)
    yield from _devices()
    yield _memory()
    yield shared_memory(Path("/dev/shm"))
    yield _limit("open files", resource.RLIMIT_NOFILE, LEAST_FILES, "ulimit -n")
    yield _limit("processes", resource.RLIMIT_NPROC, LEAST_PROCESSES, "ulimit -u")
    yield storage_finding(storage)
    yield folder_finding("temporary files (TMPDIR)", Path(tempfile.gettempdir()))
    yield folder_finding("cache (XDG_CACHE_HOME)", _cache())
    yield from token_findings(dict(os.environ), Path.home())
    yield from _ray(address)


def _versions() -> Finding:
    """Returns the versions of Python and of the packages that every run needs."""
    names = ("torch", "torchvision", "numpy", "pydantic")
    missing = [name for name in names if installed_version(name) is None]
    found = ", ".join(f"{name} {installed_version(name)}" for name in names if name not in missing)
    text = f"raynas {raynas.__version__}, Python {platform.python_version()}, {found}"
    if missing:
        return Finding("versions", "fault", f"{text}; without {', '.join(missing)}", "give `pip install raynas`")
    return Finding("versions", "ok", text)


def optional_package(package: str, extra: str, use: str) -> Finding:
    """Returns whether a package that only some features need is installed."""
    found = installed_version(package)
    if found is None:
        return Finding(package, "warning", f"is not installed; {use} need it", install_line(extra))
    return Finding(package, "ok", found)


def _devices() -> Iterator[Finding]:
    """Yields the processors and GPUs that torch sees."""
    with signals.imports():
        import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(Path("/sys/fs/cgroup/cpu.max"))
    if quota is not None and quota < usable:
        remedy = f"set local_cpus to {max(1, int(quota))}, or lift the limit of the container"
        yield Finding("CPUs", "warning", f"{usable}, of which a container may use {quota:g}", remedy)
    else:
        yield Finding("CPUs", "ok", f"{usable}, {torch.get_num_threads()} threads of torch")
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(number)
            yield Finding(f"GPU {number}", "ok", f"{device.name}, {device.total_memory / GIB:.0f} GiB")
    elif shutil.which("nvidia-smi") is not None:
        text = f"the driver of NVIDIA is here, but torch {torch.__version__} finds no CUDA device"
        yield Finding("GPUs", "warning", text, "install the build of torch for the driver's CUDA, see pytorch.org")
    else:
        yield Finding("GPUs", "ok", "none; runs use the CPU")


def cpu_quota(file: Path) -> float | None:
    """Returns how many CPUs the limit of a container admits; None without a limit."""
    try:
        quota, period = file.read_text(encoding="ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # no such file, or `max`
        return None


def _memory() -> Finding:
    """Returns how much memory is free."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return Finding("memory", "ok", "unknown on this system")
    amounts = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines if len(line.split()) > 1}
    total, free = amounts.get("MemTotal", 0), amounts.get("MemAvailable", 0)
    text = f"{free / GIB:.1f} of {total / GIB:.1f} GiB available"
    if free < LEAST_MEMORY:
        return Finding("memory", "warning", text, "end other programs, or lower train.batch_size and local_cpus")
    return Finding("memory", "ok", text)


def shared_memory(folder: Path) -> Finding:
    """Returns how much shared memory is free, in which Ray's object store and shared images lie."""
    if not folder.is_dir():
        return Finding("shared memory", "warning", f"there is no {folder}", "Ray uses slower files in its place")
    free = shutil.disk_usage(folder).free
    text = f"{free / GIB:.1f} GiB free in {folder}"
    if free < LEAST_SHARED:
        return Finding("shared memory", "warning", text, "give a container more, such as `docker run --shm-size=8g`")
    return Finding("shared memory", "ok", text)


def _limit(name: str, limit: int, least: int, command: str) -> Finding:
    """Returns a limit of the system on this process."""
    soft, hard = resource.getrlimit(limit)
    text = "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft:,}"
    if soft != resource.RLIM_INFINITY and soft < least:
        most = "" if hard == resource.RLIM_INFINITY else f" (at most {hard:,} without an administrator)"
        return Finding(name, "warning", f"{text}; Ray opens many", f"give `{command} {least}`{most}")
    return Finding(name, "ok", text)


def storage_finding(location: str) -> Finding:
    """Returns whether runs can be written to a folder or URL."""
    with signals.imports():
        from raynas.config.locations import is_url

    if not is_url(location):
        return folder_finding("storage_path", Path(location).expanduser())
    with signals.imports():
        from raynas.storage.object_store import check_writable

    try:
        check_writable(location)
    except (InputError, RunError, OSError) as error:
        reason = shortened(str(error), 300)
        return Finding("storage_path", "fault", f"{shortened(location)} cannot be written: {reason}")
    return Finding("storage_path", "ok", f"{shortened(location)} can be written")


def folder_finding(name: str, folder: Path) -> Finding:
    """Returns whether a folder, or the nearest one above it that exists, can be written, and the space left there."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    shown = shortened(str(folder), 200)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding(name, "fault", f"{shown} cannot be written: {error.strerror}", "choose another folder")
    free = shutil.disk_usage(place).free
    text = f"{shown} can be written, {free / GIB:.1f} GiB free"
    if free < LEAST_DISK:
        return Finding(name, "warning", text, "free some space")
    return Finding(name, "ok", text)


def _cache() -> Path:
    from raynas.config.locations import cache_folder

    return cache_folder()


def token_findings(environment: dict[str, str], home: Path) -> Iterator[Finding]:
    """Yields whether there is a token for Ray clusters, and whether other users can read it."""
    if environment.get("RAY_AUTH_TOKEN"):
        yield Finding("token of Ray", "ok", "RAY_AUTH_TOKEN is set")
        return
    named = environment.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named).expanduser() if named else home / ".ray" / "auth_token"
    if not file.is_file():
        if named:
            yield Finding("token of Ray", "fault", f"RAY_AUTH_TOKEN_PATH: there is no file {file}", "correct the path")
        else:
            yield Finding("token of Ray", "ok", "none; a cluster that wants one refuses this machine")
        return
    if file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield Finding("token of Ray", "warning", f"other users can read {file}", f"give `chmod 600 {file}`")
    else:
        yield Finding("token of Ray", "ok", f"in {file}")


def _ray(address: str | None) -> Iterator[Finding]:
    """Yields whether a Ray cluster answers, has the same version and accepts the token."""
    if not all(map(is_installed, ("ray", "pathspec"))):
        if address is not None:
            yield Finding("cluster", "fault", "Ray is not installed", install_line("ray"))
        return
    with signals.imports():
        from raynas.on_ray import jobs

    named = address or os.environ.get("RAY_API_SERVER_ADDRESS")
    try:
        jobs.connect(named)
    except (InputError, RunError) as error:
        if named is None:
            yield Finding("cluster", "ok", f"none at {jobs.ADDRESS}; `address: local` starts a Ray of its own")
            return
        yield Finding("cluster", "fault", shortened(str(error).removeprefix("--address: "), 300))
        return
    where = named or jobs.ADDRESS
    yield Finding("cluster", "ok", f"Ray {installed_version('ray')} at {where}, the same version as here")
