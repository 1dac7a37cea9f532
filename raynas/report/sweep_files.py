"""Reads the results of a sweep into one value: axes, trials, and a row of means for every setting."""

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
    """Returns the quantity of a metric in results of earlier versions, which do not state it."""
    row = SWEEP_METRICS.rows().get(metric)
    return Quantity(metric.replace("_", " ")) if row is None else Quantity(row.title, row.unit, row.decimals)


def value_text(value: object) -> str:
    """Returns a value of an axis as text: numbers with four digits, lists without brackets."""
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
    """Returns a number as text, with its deviation if it has one."""
    return quantity.write(mean) if deviation is None else f"{quantity.write(mean)} ± {quantity.write(deviation)}"


@dataclass(frozen=True)
class Axis:
    """A varied key.

    Attributes:
        name: The configuration key, or the label of variants.
        kind: grid, variants, seeds, choice, uniform or loguniform.
        values: The values that occur, in the order of the axis; sampled numbers in increasing order.
    """

    name: str
    kind: str
    values: Sequence[Any]

    @property
    def is_numeric(self) -> bool:
        """Whether all values are numbers, so that their distances are meaningful."""
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in self.values)

    @property
    def is_logarithmic(self) -> bool:
        """Whether numbers are to be compared by their logarithms: sampled log-uniformly, or spanning decades."""
        positive = [value for value in self.values if value > 0]
        if not positive or min(self.values) < 0:
            return False
        return self.kind == "loguniform" or max(positive) >= 100 * min(positive)


@dataclass(frozen=True)
class Number:
    """A mean over seeds, or a published number.

    Attributes:
        mean: The mean.
        deviation: Its sample deviation; None without one.
        values: The averaged values.
    """

    mean: float
    deviation: float | None
    values: Sequence[float] = ()


@dataclass(frozen=True)
class Trial:
    """One run of the sweep, as in results.json."""

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
    """A setting: a point, its means over seeds, and its published numbers.

    Attributes:
        point: A value on every axis except the seeds.
        seeds: Number of trials in the means.
        trials: All trials of the setting.
        numbers: The means by metric.
        published: The published numbers by metric.
    """

    point: Mapping[str, Any]
    seeds: int
    trials: Sequence[Trial]
    numbers: Mapping[str, Number]
    published: Mapping[str, Number]

    @property
    def counted(self) -> str:
        """Number of seeds in the means, with the total if some are missing."""
        return f"{self.seeds}" if self.seeds == len(self.trials) else f"{self.seeds} of {len(self.trials)}"

    def write(self, metric: str, quantity: Quantity) -> str:
        """Returns mean and deviation of a metric, with the number of seeds if it is smaller than that of the row."""
        if metric not in self.numbers:
            return "–"
        number = self.numbers[metric]
        seeds = len(number.values)
        fewer = f" ({seeds} of {len(self.trials)})" if seeds != self.seeds else ""
        return with_deviation(quantity, number.mean, number.deviation) + fewer


@dataclass(frozen=True)
class Sweep:
    """A sweep's results.

    Attributes:
        name: Its name.
        metric: The metric that compares settings.
        mode: The better direction of the metric, max or min.
        also: Further metrics to show.
        source: Source of the published numbers; None without any.
        quick: Whether it is the quick form of its file.
        axes: The varied keys without the seeds.
        seeds: The seeds; empty if the sweep does not vary them.
        trials: All trials.
        rows: All settings, including those without an ended trial.
        quantities: The quantities of its metrics by name; empty in results of earlier versions.
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
        """Returns the quantity of a metric."""
        return self.quantities.get(metric) or quantity(metric)

    @property
    def metrics(self) -> list[str]:
        """The metrics to show; the first one compares settings."""
        return list(dict.fromkeys([self.metric, *self.also]))

    @property
    def varied(self) -> list[Axis]:
        """The axes with more than one value."""
        return [axis for axis in self.axes if len(axis.values) > 1]

    @property
    def spread(self) -> Axis | None:
        """The axis with one column for each value, as in a paper's table with one column for each data set.

        It is the last of several axes, if it has at most four values.
        """
        varied = self.varied
        if len(varied) > 1 and len(varied[-1].values) <= 4 and varied[-1].kind in ("grid", "variants"):
            return varied[-1]
        return None

    def known(self, rows: Sequence[Row]) -> list[Row]:
        """Returns the rows with a finite mean of the metric."""
        return [row for row in rows if self.metric in row.numbers and math.isfinite(row.numbers[self.metric].mean)]

    def best(self, rows: Sequence[Row]) -> Row | None:
        """Returns the row with the best mean of the metric, the first of equals; None if no row has a mean."""
        sign = 1 if self.mode == "max" else -1
        return max(self.known(rows), key=lambda row: sign * row.numbers[self.metric].mean, default=None)


REMEDY = "give `raynas sweep` with its file again to write it"


def read_sweep(folder: Path) -> Sweep:
    """Returns the results in a sweep's folder.

    Raises:
        InputError: If the results are missing or damaged, or a name or link in the folder leads out of it.
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
    """Returns the results in the content of results.json.

    Raises:
        InputError: If a part is missing or of the wrong kind.
    """
    return sweep_of(ResultsRecord.checked(content, "results.json is damaged", REMEDY))


def sweep_of(results: ResultsRecord) -> Sweep:
    """Returns the sweep of its results."""
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
        quantities={
            name: Quantity(record.title, record.unit, record.decimals) for name, record in results.quantities.items()
        },
    )


def _rows(results: ResultsRecord, axes: Sequence[Axis], trials: Sequence[Trial]) -> list[Row]:
    """Returns all settings in the order of the axes, including those without an ended trial."""
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
        """Returns the position of a row on every axis; a value without a trial comes last."""
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
    """Returns an axis with the values that occur; for a sampled axis the file has only the distribution."""
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
    """Returns the training loss by epoch of every supernet of a trial, trained or reused.

    An incomplete line ends the curve. Supernets outside the storage of the sweep have no curves.
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
