"""How a sweep chooses points and stops trials early: rows that a sweep file names, and the families of them.

The rows lie beside the code that asks Ray Tune, in `raynas.on_ray`. A row of your own is named by its dotted path, such
as ``sweep.scheduler: my_module.MY_SCHEDULER``; its function returns a scheduler or a searcher of Ray Tune.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raynas.members import Family


@dataclass(frozen=True)
class SweepScheduler:
    """How trials are stopped early: a row of `sweep.scheduler`.

    Attributes:
        name: The name in sweep files.
        title: What it does, in a few words.
        make: Returns Ray Tune's scheduler from the `Sweep`; None if every trial runs to its end. A scheduler reads
            ``epoch`` and the metrics of an epoch, which every trial reports after each epoch.
    """

    name: str
    title: str
    make: Callable[[Any], Any] | None = None

    @property
    def stops_early(self) -> bool:
        """Whether trials may be stopped before their end, by what they report after each epoch."""
        return self.make is not None


@dataclass(frozen=True)
class SweepSearcher:
    """How the values of sampled axes are chosen: a row of `sweep.searcher`.

    Attributes:
        name: The name in sweep files.
        title: What it does, in a few words.
        make: Returns Ray Tune's searcher from the `Plan`, which has the axes, and the points that were sampled before
            with their results. None if all points are known before the sweep starts.
    """

    name: str
    title: str
    make: Callable[[Any], Any] | None = None

    @property
    def samples_by_results(self) -> bool:
        """Whether points are sampled while the sweep runs, by the results of earlier trials."""
        return self.make is not None


SWEEP_SCHEDULERS = Family("sweep.scheduler", SweepScheduler, "raynas.on_ray.sweep_schedulers")
"""The schedulers that a sweep file can name."""

SWEEP_SEARCHERS = Family("sweep.searcher", SweepSearcher, "raynas.on_ray.sweep_searchers")
"""The searchers that a sweep file can name."""
