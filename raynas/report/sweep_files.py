"""What a sweep left in its results, read into one value: axes, trials, and a row of means for every setting."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raynas.config.locations import inside, refuse_links, reused_folder
from raynas.report.quantities import ACCURACY, CORRELATION, COSTS, Quantity
from raynas.report.run_files import printable

NUMBERS = {
    "true_accuracy": Quantity("true accuracy", "percent", 2),
    "one_shot_accuracy": Quantity("one-shot accuracy", "percent", 2),
    "train_accuracy": Quantity("training accuracy", "percent", 2),
    "train_loss": Quantity("training loss", "nats", 4),
    "loss": Quantity("one-shot loss", "nats", 4),
    **{key: cost for key, cost in COSTS.items() if key != "latency"},
    "tau": Quantity("τ", "", CORRELATION.decimals),
    "tau_within": Quantity("τ, equal parameters", "", CORRELATION.decimals),
    "rho": Quantity("ρ", "", CORRELATION.decimals),
    "top_1": Quantity("accuracy of the first ranked", "percent", ACCURACY.decimals),
    "skips": Quantity("skip connections", "", 2),
    "poolings": Quantity("poolings", "", 2),
    "dominance": Quantity("largest weight", "", 3),
    "skip_share": Quantity("share of skip_connect", "", 3),
    "none_share": Quantity("share of none", "", 3),
    "train_seconds": Quantity("training", "s", 1),
    "search_seconds": Quantity("search", "s", 1),
}
"""What a sweep measures, by its name in results.json; another's own name stands for itself."""


def quantity(metric: str) -> Quantity:
    """Returns what a metric measures."""
    return NUMBERS.get(metric, Quantity(metric.replace("_", " ")))


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

    def write(self, metric: str) -> str:
        """Returns a metric's mean and deviation, and of how many it is if of fewer than the row's other means."""
        if metric not in self.numbers:
            return "–"
        number = self.numbers[metric]
        of = len(number.values)
        fewer = f" ({of} of {len(self.trials)})" if of != self.seeds else ""
        return with_deviation(quantity(metric), number.mean, number.deviation) + fewer


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


def read_sweep(folder: Path) -> Sweep:
    """Returns the results in a sweep's folder.

    Raises:
        ValueError: If there are none, or they are damaged, or a name or link in the folder leads out of it.
    """
    refuse_links(folder)
    file = folder / "results.json"
    if not file.is_file():
        raise ValueError(
            f"{folder} holds no results of a sweep (there is no results.json); give the folder that `raynas sweep` "
            "named at its end"
        )
    try:
        sweep = parse_results(printable(json.loads(file.read_text(encoding="utf-8"))))
        for trial in sweep.trials:
            inside(folder, trial.folder)
        return sweep
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise ValueError(f"{file} is damaged ({what}); give `raynas sweep` with its file again to write it") from error


def parse_results(content: Mapping[str, Any]) -> Sweep:
    """Returns the results that results.json holds.

    Raises:
        KeyError: If a part is missing.
        TypeError: If a part is not what it should be.
        ValueError: If a number is none.
    """
    trials = [_trial(trial) for trial in content["trials"]]
    seeds: list[int] = []
    axes = []
    for axis in content["axes"]:
        if axis["kind"] == "seeds":
            seeds = list(axis["values"])
        else:
            axes.append(_axis(axis, [trial.point for trial in trials]))
    rows = {
        _key(row["point"]): Row(
            point=row["point"],
            seeds=int(row["seeds"]),
            trials=[trial for trial in trials if trial.point == row["point"]],
            numbers={name: _number(number, "mean") for name, number in row["metrics"].items()},
            published={name: _number(number, "value") for name, number in (row.get("published") or {}).items()},
        )
        for row in content["rows"]
    }
    for trial in trials:
        if _key(trial.point) not in rows:
            of_point = [other for other in trials if other.point == trial.point]
            rows[_key(trial.point)] = Row(trial.point, 0, of_point, {}, {})
    ranks = {axis.name: {_key(value): place for place, value in enumerate(axis.values)} for axis in axes}
    ordered = sorted(rows.values(), key=lambda row: [ranks[name][_key(row.point[name])] for name in ranks])
    return Sweep(
        name=str(content["name"]),
        metric=content["metric"],
        mode=content["mode"],
        also=list(content.get("also") or ()),
        source=content.get("source"),
        quick=bool(content.get("quick")),
        axes=axes,
        seeds=seeds,
        trials=trials,
        rows=ordered,
    )


def _trial(trial: Mapping[str, Any]) -> Trial:
    return Trial(
        name=trial["name"],
        point=dict(trial["point"]),
        seed=trial.get("seed"),
        status=trial["status"],
        error=trial.get("error"),
        folder=trial["folder"],
        epochs=trial.get("epochs"),
        seconds=float("nan") if trial.get("seconds") is None else float(trial["seconds"]),
        metrics={name: float(value) for name, value in (trial.get("metrics") or {}).items() if value is not None},
    )


def _axis(axis: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> Axis:
    """Returns an axis with the values that occur: of one that is drawn, the file has what they are drawn from."""
    different = {_key(point[axis["name"]]): point[axis["name"]] for point in points}
    if axis["kind"] in ("grid", "variants", "choice"):
        places = {_key(value): place for place, value in enumerate(axis["values"])}
        values = [different[key] for key in sorted(different, key=lambda key: places.get(key, len(places)))]
    else:
        values = sorted(different.values())
    return Axis(axis["name"], axis["kind"], values)


def _number(number: Mapping[str, Any], key: str) -> Number:
    deviation, values = number.get("deviation"), number.get("values") or ()
    mean = math.nan if number[key] is None else float(number[key])
    return Number(mean, None if deviation is None else float(deviation), [float(value) for value in values])


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
    reused = (json.loads(about.read_text(encoding="utf-8"))["config"].get("train") or {}).get("reuse")
    trained = folder if reused is None else reused_folder(folder, str(reused))
    if trained is None:
        return {}
    losses = {}
    for place in sorted(trained.glob("supernet/seed_*/metrics.jsonl")):
        curve = []
        for line in place.read_text(encoding="utf-8").splitlines():
            try:
                curve.append(float(json.loads(line)["loss"]))
            except (ValueError, KeyError, TypeError):
                break
        if curve:
            losses[str(place.resolve())] = np.array(curve)
    return losses
