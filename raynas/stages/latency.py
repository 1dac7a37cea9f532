"""The latency of a run's candidates, measured once and then read from the run's folder.

A second measurement would give other numbers, and would change a resumed search.
"""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raynas.capabilities import cost_terms_of
from raynas.config.locations import is_url
from raynas.config.run_config import RunConfig
from raynas.config.search_section import LatencySection
from raynas.errors import InputError
from raynas.messages import echo
from raynas.records.latency_record import LatencyRecord, ProfiledNetwork, ProfileRecord
from raynas.search.limits import limit_keys
from raynas.search_space import AdditiveTable, as_array, sample
from raynas.stages.progress import Progress
from raynas.stages.task import Task
from raynas.storage.run_folder import write_record
from raynas.supernet.costs import COSTS
from raynas.supernet.latency import LATENCY as LATENCY_COST
from raynas.supernet.latency import check_latency, device_name, latency_table

LATENCY = "latency.json"
"""File with the seconds of every candidate, and the device of the measurement."""

PROFILE = "profile.json"
"""File with the accuracy of the sums over candidates for whole networks."""

CHECKED = 20
"""Number of networks that check a profile."""


def needs_latency(config: RunConfig) -> bool:
    """Returns whether the search of a run uses the latency of networks."""
    search = config.search
    measured = [row.name for row in COSTS.rows().values() if row.is_measured]
    limited = [name for name in measured if set(limit_keys(name)) & set(search.bounds())]
    return bool(limited) or any(name in search.objectives_beside_fitness for name in measured)


def check_latency_device(config: RunConfig) -> None:
    """Checks that this machine has the device for the measurement, unless the run's folder may have the latency.

    Raises:
        InputError: If the device is missing.
    """
    may_be_measured = is_url(config.location) or (config.folder / LATENCY).exists()
    if needs_latency(config) and not may_be_measured:
        _check_device(config.latency)


def with_latency(task: Task, folder: Path, progress: Progress) -> Task:
    """Returns the task with the latency of its candidates as a cost, from the run's folder or measured now.

    Raises:
        InputError: If it was measured for other networks, or the device for the measurement is missing.
    """
    config, file = task.config.latency, folder / LATENCY
    about = {
        "space": {"name": task.config.space.name, **task.config.space.arguments},
        "resolution": task.dataset.resolution,
        "num_classes": task.dataset.num_classes,
        **config.model_dump(),
    }
    if not file.exists():
        measurement = _measurement(task, progress, "measuring latency")
        progress.note(f"latency: measuring every candidate on {device_name(torch.device(config.device))}")
        table = latency_table(task.space, **measurement)
        sums = {"always": table.fixed.tolist(), "candidates": table.terms.tolist()}
        write_record(file, LatencyRecord(**about, measured_on=device_name(torch.device(config.device)), **sums))
    remedy = "remove it to measure anew, which changes what limits admit"
    stored = LatencyRecord.read(file, remedy)
    settings = stored.stated()
    for key, value in about.items():
        if settings.get(key) != value:
            measured_for = f"{key} {echo(settings.get(key))}"
            raise InputError(
                f"latency: {file} was measured for {measured_for}, now it is {echo(value)}; remove the file"
            )
    try:
        always = np.array(stored.always, dtype=np.float64)
        candidates = np.array(stored.candidates, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(f"{file} is damaged (expected numbers); {remedy}") from error
    if (
        always.shape != (1,)
        or candidates.ndim != 3
        or not (np.isfinite(candidates).all() and np.isfinite(always).all())
    ):
        raise InputError(
            f"{file} is damaged (expected seconds of every candidate, got shape {candidates.shape}); {remedy}"
        )
    table = AdditiveTable((LATENCY_COST.name,), always, candidates, terms_of=cost_terms_of(task.space))
    return dataclasses.replace(task, latency=table)


def profile(task: Task, folder: Path, progress: Progress) -> dict[str, Any]:
    """Measures whole networks, and returns how accurately the sums over candidates predict their latency.

    The result is also written into the run's folder.

    Args:
        task: The task, with the latency of its candidates.
        folder: The run's folder.
        progress: Receives the progress.

    Raises:
        InputError: If the device is missing.
    """
    assert task.latency is not None
    rng = np.random.default_rng(1)
    architectures = [sample(task.space, rng) for _ in range(CHECKED)]
    measured = check_latency(task.space, architectures, **_measurement(task, progress, "measuring whole networks"))
    predicted = task.latency.total(as_array(architectures))[:, 0]
    errors = (predicted / measured - 1).tolist()
    networks = []
    for architecture, sum_of_parts, seconds in zip(architectures, predicted.tolist(), measured.tolist(), strict=True):
        description = task.space.describe(architecture)
        networks.append(ProfiledNetwork(description=description, predicted=sum_of_parts, measured=seconds))
    result = ProfileRecord(
        device=device_name(torch.device(task.config.latency.device)),
        batch_size=task.config.latency.batch_size,
        threads=task.config.latency.threads,
        networks=networks,
        correlation=float(np.corrcoef(predicted, measured)[0, 1]),
        median_error=statistics.median(map(abs, errors)),
        worst_error=max(errors, key=abs),
    )
    write_record(folder / PROFILE, result)
    return result.content()


def _measurement(task: Task, progress: Progress, activity: str) -> dict[str, Any]:
    """Returns the keyword arguments of a measurement."""
    config = task.config.latency
    _check_device(config)
    return {
        "resolution": task.dataset.resolution,
        "num_classes": task.dataset.num_classes,
        "device": torch.device(config.device),
        "batch_size": config.batch_size,
        "threads": config.threads,
        "report": lambda done, total: progress.show(activity, done, total),
    }


def _check_device(config: LatencySection) -> None:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("latency.device: this machine has no CUDA device; set it to cpu")
