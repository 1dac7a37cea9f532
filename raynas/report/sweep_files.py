"""What a sweep left in its results, read into one value: axes, trials, and a row of means for every setting."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raynas.config.locations import inside, refuse_links, reused_folder
from raynas.errors import InputError
from raynas.records.run_record import RunRecord
from raynas.records.sweep_record import AxisRecord, MeanRecord, PublishedRecord, ResultsRecord, TrialRecord
from raynas.records.training_record import EpochLine
from raynas.report.quantities import Quantity
from raynas.sweep_metrics import SWEEP_METRICS


def quantity(metric: str) -> Quantity:
    """Returns what a metric measures in results of earlier versions, which do not state it."""
    row = SWEEP_METRICS.rows().get(metric)
    return Quantity(metric.replace("_", " ")) if row is None else Quantity(row.title, row.unit, row.decimals)


def value_text(value: object) -> str:
    """Returns a value of an axis as a table shows it: numbers to four digits, lists without brackets."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"{value:.4g}" if isinstance(value, float) else f"{value}"
    if isinstance(value, list):
        return ", ".join(map(value_text, value))
    return json.dumps(value, ensure_ascii=False)


def with_deviation(quantity: Quantity, mean: float, deviation: float | None) -> str:
    """Returns a number and, if there is one, its deviation."""
    return quantity.write(mean) if deviation is None else f"{quantity.write(mean)} ± {quantity.write(deviation)}"


@dataclass(frozen=True)
class Axis:
    """What varies.

    Attributes:
        name: The configuration key, or the label of variants.
        kind: grid, variants, seeds, choice, uniform or loguniform.
        values: The values that occur, in the order of the axis, numbers that were drawn by their size.
    """

    name: str
    kind: str
    values: Sequence[Any]

    @property
    def is_numeric(self) -> bool:
        """Whether all values are numbers, so that distances between them mean something."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)


@dataclass(frozen=True)
class Number:
    """A mean over seeds, or a published figure.

    Attributes:
        mean: The mean.
        deviation: Its sample deviation; None where there is none.
        values: What it is the mean of.
    """

    mean: float
    deviation: float | None
    values: Sequence[float] = ()


@dataclass(frozen=True)
class Trial:
    """One run of the sweep, as results.json has it."""

    name: str
    point: Mapping[str, Any]
    seed: int | None
    status: str
    error: str | None
    folder: str
    epochs: int | None
    seconds: float
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """A setting: a point, its means over seeds, and what is published of it.

    Attributes:
        point: A value on every axis but that of seeds.
        seeds: How many trials are in the means.
        trials: All trials of the setting.
        numbers: The means by metric.
        published: What the paper has, by metric.
    """

    point: Mapping[str, Any]
    seeds: int
    trials: Sequence[Trial]
    numbers: Mapping[str, Number]
    published: Mapping[str, Number]

    @property
    def counted(self) -> str:
        """How many seeds the means hold, and of how many if they do not hold all."""
        return f"{self.seeds}" if self.seeds == len(self.trials) else f"{self.seeds} of {len(self.trials)}"

    def write(self, metric: str, quantity: Quantity) -> str:
        """Returns a metric's mean and deviation, and of how many it is if of fewer than the row's other means."""
        if metric not in self.numbers:
            return "–"
        number = self.numbers[metric]
        of = len(number.values)
        fewer = f" ({of} of {len(self.trials)})" if of != self.seeds else ""
        return with_deviation(quantity, number.mean, number.deviation) + fewer


@dataclass(frozen=True)
class Sweep:
    """A sweep's results.

    Attributes:
        name: Its name.
        metric: What settings are compared by.
        mode: Which end of it is better, max or min.
        also: Further metrics to show.
        source: Where the published figures stand; None without any.
        quick: Whether it is the quick form of its file.
        axes: What varied, but for seeds.
        seeds: The seeds; empty where none were asked for.
        trials: All trials.
        rows: All settings, those of which no trial has ended too.
        quantities: What its metrics measure, by name; empty in results of earlier versions.
    """

    name: str
    metric: str
    mode: str
    also: Sequence[str]
    source: str | None
    quick: bool
    axes: Sequence[Axis]
    seeds: Sequence[int]
    trials: Sequence[Trial]
    rows: Sequence[Row]
    quantities: Mapping[str, Quantity] = field(default_factory=dict)

    def quantity(self, metric: str) -> Quantity:
        """Returns what a metric measures."""
        return self.quantities.get(metric) or quantity(metric)

    @property
    def metrics(self) -> list[str]:
        """The metrics to show, that which settings are compared by first."""
        return list(dict.fromkeys([self.metric, *self.also]))

    @property
    def varied(self) -> list[Axis]:
        """The axes with more than one value."""
        return [axis for axis in self.axes if len(axis.values) > 1]

    @property
    def spread(self) -> Axis | None:
        """The axis whose values have columns of their own, as a paper's table has one for each data set.

        That is the last of several, if it has no more than four values.
        """
        varied = self.varied
        if len(varied) > 1 and len(varied[-1].values) <= 4 and varied[-1].kind in ("grid", "variants"):
            return varied[-1]
        return None

    def best(self, rows: Sequence[Row]) -> Row | None:
        """Returns the row whose mean of the metric is best, the first of equals; None where none has a mean."""
        known = [row for row in rows if self.metric in row.numbers and math.isfinite(row.numbers[self.metric].mean)]
        sign = 1 if self.mode == "max" else -1
        return max(known, key=lambda row: sign * row.numbers[self.metric].mean, default=None)


REMEDY = "give `raynas sweep` with its file again to write it"


def read_sweep(folder: Path) -> Sweep:
    """Returns the results in a sweep's folder.

    Raises:
        InputError: If there are none, or they are damaged, or a name or link in the folder leads out of it.
    """
    refuse_links(folder)
    file = folder / "results.json"
    if not file.is_file():
        raise InputError(
            f"{folder} holds no results of a sweep (there is no results.json); give the folder that `raynas sweep` "
            "named at its end"
        )
    sweep = sweep_of(ResultsRecord.read(file, REMEDY, for_page=True))
    for trial in sweep.trials:
        try:
            inside(folder, trial.folder)
        except ValueError as error:
            raise InputError(f"{file} is damaged ({error}); {REMEDY}") from error
    return sweep


def parse_results(content: Mapping[str, Any]) -> Sweep:
    """Returns the results that results.json holds.

    Raises:
        InputError: If a part is missing or of the wrong kind.
    """
    return sweep_of(ResultsRecord.checked(content, "results.json is damaged", REMEDY))


def sweep_of(results: ResultsRecord) -> Sweep:
    """Returns the sweep that results are of."""
    trials = [_trial(trial) for trial in results.trials]
    points = [trial.point for trial in trials]
    axes = [_axis(axis, points) for axis in results.axes if axis.kind != "seeds"]
    seeds = next((list(axis.values) for axis in results.axes if axis.kind == "seeds"), [])
    return Sweep(
        name=results.name,
        metric=results.metric,
        mode=results.mode,
        also=list(results.also or ()),
        source=results.source,
        quick=results.quick,
        axes=axes,
        seeds=seeds,
        trials=trials,
        rows=_rows(results, axes, trials),
        quantities={name: Quantity(of.title, of.unit, of.decimals) for name, of in results.quantities.items()},
    )


def _rows(results: ResultsRecord, axes: Sequence[Axis], trials: Sequence[Trial]) -> list[Row]:
    """Returns all settings in the order of the axes, those of which no trial has ended too."""
    trials_of: dict[str, list[Trial]] = {}
    for trial in trials:
        trials_of.setdefault(_key(trial.point), []).append(trial)
    rows = {key: Row(of_point[0].point, 0, of_point, {}, {}) for key, of_point in trials_of.items()}
    for row in results.rows:
        rows[_key(row.point)] = Row(
            point=row.point,
            seeds=row.seeds,
            trials=trials_of.get(_key(row.point), []),
            numbers={name: _mean(number) for name, number in row.metrics.items()},
            published={name: _published(number) for name, number in (row.published or {}).items()},
        )

    places: dict[str, dict[str, int]] = {}
    for axis in axes:
        places[axis.name] = {_key(value): place for place, value in enumerate(axis.values)}

    def place(row: Row) -> list[int]:
        """Returns the place of a row on every axis; a value that no trial has comes last."""
        return [known.get(_key(row.point[name]), len(known)) for name, known in places.items()]

    return sorted(rows.values(), key=place)


def _trial(trial: TrialRecord) -> Trial:
    metrics = {}
    for name, value in (trial.metrics or {}).items():
        if value is not None:
            metrics[name] = float(value)
    return Trial(
        name=trial.name,
        point=trial.point,
        seed=trial.seed,
        status=trial.status,
        error=trial.error,
        folder=trial.folder,
        epochs=trial.epochs,
        seconds=math.nan if trial.seconds is None else float(trial.seconds),
        metrics=metrics,
    )


def _axis(axis: AxisRecord, points: Sequence[Mapping[str, Any]]) -> Axis:
    """Returns an axis with the values that occur: of one that is drawn, the file has what they are drawn from."""
    different = {_key(point[axis.name]): point[axis.name] for point in points}
    if axis.kind not in ("grid", "variants", "choice"):
        return Axis(axis.name, axis.kind, sorted(different.values()))
    places = {_key(value): place for place, value in enumerate(axis.values)}
    ordered = sorted(different, key=lambda key: places.get(key, len(places)))
    return Axis(axis.name, axis.kind, [different[key] for key in ordered])


def _mean(number: MeanRecord) -> Number:
    return Number(_float(number.mean), _deviation(number.deviation), [float(value) for value in number.values])


def _published(number: PublishedRecord) -> Number:
    return Number(_float(number.value), _deviation(number.deviation))


def _float(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _deviation(value: float | None) -> float | None:
    return None if value is None else float(value)


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def training_losses(folder: Path) -> dict[str, np.ndarray]:
    """Returns the training loss by epoch of every supernet that a trial judged by, its own or one it took over.

    A line that is being written, or cut off, ends the curve. Of supernets beyond the sweep's own storage there are no
    curves.
    """
    about = folder / "config.json"
    if not about.is_file():
        return {}
    reused = RunRecord.read(about, REMEDY).section("train").get("reuse")
    trained = folder if reused is None else reused_folder(folder, str(reused))
    if trained is None:
        return {}
    losses = {}
    for place in sorted(trained.glob("supernet/seed_*/metrics.jsonl")):
        curve = [float(line.loss) for line in EpochLine.read_good(place)]
        if curve:
            losses[str(place.resolve())] = np.array(curve)
    return losses
