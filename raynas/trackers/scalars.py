"""Events as numbers by names, the same for every tracker: ``search/best``, ``rank/angle``, ``train/loss``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from raynas.trackers.event import Epoch, Event, Generation, Rank, Stage, Trial

BESIDE_FIGURES = ("epoch", "step", "training", "version")
"""Keys of an epoch's line that say where it is."""


class Scalars(NamedTuple):
    """Numbers of one event.

    Attributes:
        step: Where they are: steps of a training, generations of a search.
        values: The numbers by names.
    """

    step: int
    values: Mapping[str, float]


def scalars_of(event: Event) -> list[Scalars]:
    """Returns the numbers of an event; none of kinds that have none. What is not finite is left out."""
    if isinstance(event, Epoch):
        figures = {key: value for key, value in event.line.items() if key not in BESIDE_FIGURES}
        return [_named(event.step, event.training.replace("/", "_"), figures)]
    if isinstance(event, Generation):
        figures = {"best": event.best, "mean": event.mean, "evaluated": event.evaluated}
        return [_named(event.generation, "search", figures)]
    if isinstance(event, Rank):
        last = max(event.by_epoch, default=0)
        by_epoch = [_named(epoch, "rank_by_epoch", {event.label: tau}) for epoch, tau in event.by_epoch.items()]
        return [*by_epoch, _named(last, f"rank_{event.label}", event.tau)]
    if isinstance(event, Stage):
        return [_named(0, f"summary_{event.name}", event.summary)] if event.summary else []
    if isinstance(event, Trial):
        return [_named(event.number, "trial", event.metrics)]
    return []


def _named(step: int, group: str, figures: Mapping[str, object]) -> Scalars:
    """Returns the finite numbers of a group under ``group/name``."""
    values = {}
    for name, value in figures.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            values[f"{group}/{name}"] = float(value)
    return Scalars(step, values)
