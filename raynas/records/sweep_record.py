"""The records of a sweep: what varies, how each trial went, and the results."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from raynas.errors import InputError
from raynas.messages import echo
from raynas.records.record import Listed, Number, OtherFile, Part, Record

TRIALS_TABLE = OtherFile("results.csv", "a row for each trial: point, seed, status and metrics", "sweep")
SETTINGS_TABLE = OtherFile("results.md", "the tables of the settings in Markdown", "sweep")


class SweepRecord(Record):
    """What a sweep varies.

    Attributes:
        sweep: The sweep's own keys: axes, seeds, metric, scheduler.
        base: The resolved configuration that is varied.
    """

    folder: ClassVar[str] = "sweep"
    file: ClassVar[str] = "sweep.json"
    holds: ClassVar[str] = "what varies, and the configuration that is varied"

    sweep: dict[str, Any] = {}
    base: dict[str, Any]


class TrialState(Record):
    """How a trial goes.

    Attributes:
        name: Name of the trial.
        point: Its value on every axis.
        seed: Its seed; null if the sweep has none.
        begun: Seconds since 1970 at which it began.
        status: running, done, stopped or failed.
        error: Reason of a failure.
        epochs: Epochs trained.
        seconds: Duration.
        metrics: What it measured.
        waits: Process that it waits for, or waited for last.
    """

    folder: ClassVar[str] = "sweep"
    file: ClassVar[str] = "states/*.json"
    holds: ClassVar[str] = "how a trial went, and what it measured"

    name: str
    point: dict[str, Any] = {}
    seed: int | None = None
    begun: Number
    status: str = "running"
    error: str | None = None
    epochs: int = 0
    seconds: Number = 0.0
    metrics: dict[str, Any] = {}
    waits: str | None = None


class AxisRecord(Part):
    """An axis of a sweep.

    Attributes:
        name: The configuration key, or the label of variants.
        kind: grid, variants, seeds, choice, uniform or loguniform.
        values: Its values, or the bounds that they are sampled from.
    """

    name: str
    kind: str
    values: Listed[Any]


class TrialRecord(Part):
    """A trial in the results.

    Attributes:
        name: Name of the trial.
        point: Its value on every axis.
        seed: Its seed; null if the sweep has none.
        folder: Its folder in that of the sweep.
        status: waiting, running, done, stopped or failed.
        error: Reason of a failure.
        epochs: Epochs trained.
        seconds: Duration.
        metrics: What it measured.
    """

    name: str
    point: dict[str, Any]
    seed: int | None = None
    folder: str
    status: str
    error: str | None = None
    epochs: int | None = None
    seconds: Number | None = None
    metrics: dict[str, Number | None] | None = None


class MeanRecord(Part):
    """A metric of a setting.

    Attributes:
        mean: Mean over the seeds that are done.
        deviation: Sample deviation; null of a single seed.
        values: The value of each seed.
    """

    mean: Number | None
    deviation: Number | None = None
    values: Listed[Number] = []


class PublishedRecord(Part):
    """A published figure.

    Attributes:
        value: The figure.
        deviation: Its deviation; null if none is published.
    """

    value: Number | None
    deviation: Number | None = None


class SettingRecord(Part):
    """A point of a sweep over its seeds.

    Attributes:
        point: The value on every axis but that of seeds.
        seeds: Number of trials in the means.
        of: Number of trials.
        metrics: The means by metric.
        published: Published figures by metric.
    """

    point: dict[str, Any]
    seeds: int
    of: int | None = None
    metrics: dict[str, MeanRecord]
    published: dict[str, PublishedRecord] | None = None


class MetricQuantity(Part):
    """The quantity of a metric.

    Attributes:
        title: Its name in words.
        unit: Its unit; empty for none.
        decimals: Decimals to show.
    """

    title: str
    unit: str
    decimals: int


class ResultsRecord(Record):
    """The results of a sweep.

    Attributes:
        name: Name of the sweep.
        metric: The metric that settings are compared by.
        mode: max or min, whichever is better.
        also: Further metrics to show.
        quantities: Name, unit and decimals of each metric.
        source: Source of the published figures.
        quick: Whether it is the quick form of its file.
        axes: What varies.
        trials: Every trial.
        rows: Every setting over its seeds.
    """

    folder: ClassVar[str] = "sweep"
    file: ClassVar[str] = "results.json"
    holds: ClassVar[str] = "every trial, and every setting over its seeds"

    name: str
    metric: str
    mode: str
    also: Listed[str] | None = None
    quantities: dict[str, MetricQuantity] = {}
    source: str | None = None
    quick: bool = False
    axes: Listed[AxisRecord]
    trials: Listed[TrialRecord]
    rows: Listed[SettingRecord]

    @model_validator(mode="after")
    def _has_a_value_on_every_axis(self) -> ResultsRecord:
        names = [axis.name for axis in self.axes if axis.kind != "seeds"]
        points = [(f"trials[{number}]", trial.point) for number, trial in enumerate(self.trials)]
        points += [(f"rows[{number}]", row.point) for number, row in enumerate(self.rows)]
        for where, point in points:
            for name in names:
                if name not in point:
                    raise InputError(f"{where}: expected a value of {name} under point, got {echo(point)}")
        return self
