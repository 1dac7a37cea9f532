"""Gauges of a run on Ray's metrics endpoint, which Prometheus and Ray's dashboard read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from raynas.config.run_config import RunConfig
from raynas.records.training_record import ProgressRecord
from raynas.search_space import Architecture
from raynas.stages.backend import Stream

GAUGES = {
    "raynas_loss": "Loss of the training, the mean of the epoch so far",
    "raynas_images_per_second": "Images of all training workers a second",
    "raynas_candidates_per_second": "Architectures of all evaluators a second",
    "raynas_best": "Best fitness that the evaluators have found",
}
"""The gauges by names, and what they are."""

TRIALS = "trials"
"""The folder of a sweep in which its trials are."""


def tags_of(config: RunConfig) -> dict[str, str]:
    """Returns the tags of a run: ``run``, its name, and ``trial``; of a trial of a sweep, the sweep and the trial."""
    place = PurePosixPath(config.storage_path)
    if place.name == TRIALS and place.parent.name:
        return {"run": place.parent.name, "trial": config.name}
    return {"run": config.name, "trial": ""}


def display_name(config: RunConfig) -> str:
    """Returns the name of a run in dashboards."""
    return ".".join(filter(None, tags_of(config).values()))


class Gauges:
    """The gauges of one run, as one process sets them."""

    def __init__(self, config: RunConfig) -> None:
        """Takes the configuration of the run, whose name the gauges have as a tag."""
        self._tags = tags_of(config)
        self._gauges: dict[str, Any] = {}

    def set(self, name: str, value: float) -> None:
        """Sets a gauge of `GAUGES`."""
        if name not in self._gauges:
            from ray.util.metrics import Gauge

            self._gauges[name] = Gauge(name, GAUGES[name], tag_keys=tuple(self._tags))
        self._gauges[name].set(value, tags=self._tags)

    def set_training(self, note: ProgressRecord) -> None:
        """Sets the gauges of a training from its note of progress."""
        self.set("raynas_loss", float(note.loss))
        if note.images_per_second is not None:
            self.set("raynas_images_per_second", float(note.images_per_second))

    def measured(self, stream: Stream) -> Stream:
        """Returns a stream of evaluations that sets the gauges of the search as its rows come."""
        best = -np.inf

        def evaluate(architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
            nonlocal best
            began, done = time.monotonic(), 0
            for rows in stream(architectures):
                done += len(rows)
                best = float(np.fmax.reduce(rows[:, 0], initial=best))  # one that diverged is not a number
                self.set("raynas_candidates_per_second", done / max(1e-9, time.monotonic() - began))
                self.set("raynas_best", best)
                yield rows

        return evaluate


REPORT_SECONDS = 20.0
"""The least time between two reports to Ray Train: each takes as long as a look at the workers, 0.2 s."""


class EpochReports:
    """Reports epochs to Ray Train, for its dashboard: each, but one in `REPORT_SECONDS` at most.

    All workers must report equally often. The clock of worker 0 decides.
    """

    def __init__(self, elapsed: Callable[[float], float], seconds: float = REPORT_SECONDS) -> None:
        """Takes a function that returns worker 0's argument on every worker, and the least time between reports."""
        self._elapsed, self._seconds = elapsed, seconds
        self._reported = time.monotonic()

    def __call__(self, training: str, epoch: int, figures: dict[str, float]) -> None:
        """Reports an epoch if it is time; every worker calls this after every epoch."""
        if self._elapsed(time.monotonic() - self._reported) < self._seconds:
            return
        import ray.train

        self._reported = time.monotonic()
        ray.train.report({"training": training, "epoch": epoch, **figures})
