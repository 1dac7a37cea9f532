"""A sweep file: a run file with a `sweep:` section, which says what varies; every combination is a run, a trial.

An axis is a configuration key, or a free label over named sets of keys (variants), and the values it takes. Axes of
`grid`, `variants` and `seeds` are crossed; those of `choice`, `uniform` and `loguniform` are drawn `samples` times, and
each draw goes with every point of the others, so that all of them are compared on the same draws. Over `seeds` means
and deviations are taken: trials that differ in the seed alone are one setting.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, field_validator, model_validator

from raynas.config.explain import parse_section
from raynas.config.locations import within
from raynas.config.nested import set_key
from raynas.config.reading import read_run_file
from raynas.config.run_config import RunConfig, parse_config
from raynas.messages import echo, shortened
from raynas.options import Options, Positive

PREPARED = 32
"""How many settings of a sweep are prepared before it starts. Every trial is prepared again when it starts."""

Point: TypeAlias = dict[str, Any]
"""The value, or the name of the variant, on every axis but that of seeds."""

METRICS: dict[str, str] = {
    "true_accuracy": "accuracy of the best architecture in the benchmark's table, in percent",
    "one_shot_accuracy": "accuracy of the best with the supernet's weights, in percent",
    "fitness": "fitness of the best",
    "loss": "loss of the best with the supernet's weights",
    "num_parameters": "parameters of the best",
    "multiply_adds": "multiply-adds of the best",
    "skips": "skip connections of the best",
    "poolings": "poolings of the best",
    "tau": "Kendall's tau-b of the fitness with the truth",
    "tau_within": "the same among architectures of equal size",
    "rho": "Spearman's rho of the fitness with the truth",
    "top_1": "accuracy of what the fitness ranks first, in percent",
    "train_loss": "loss of the supernet at the end of training",
    "train_accuracy": "accuracy of the supernet on its training labels, in percent",
    "dominance": "mean weight of a choice's strongest candidate",
    "skip_share": "mean weight of skip connections",
    "none_share": "mean weight of none",
    "train_seconds": "seconds of training",
    "search_seconds": "seconds of the search",
}
"""What a trial may be compared by, for people; it has those that its stages make."""

OF_RANK = ("tau", "tau_within", "rho", "top_1")
OF_TRAINING = ("train_loss", "train_accuracy")
MODES = {"train_loss": "min", "loss": "min"}  # of those whose better end is not the larger

MOST_TRIALS = 10_000
"""Trials of a sweep."""

DRAWN, CROSSED = ("choice", "uniform", "loguniform"), ("grid", "variants", "seeds")

FIXED = frozenset({"name", "storage_path", "address", "local_cpus", "report", "train.reuse"})
"""Keys that a sweep sets for its trials, or that all of them share."""


SEEDS_FIXED = "train.base_seeds fixes the seeds of the supernets; leave one of them out"


def _without_nothing(value: object) -> object:
    """Returns a mapping without its nulls, by which a `quick:` block takes out what the file has."""
    return {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value


def _dotted_axes(value: object) -> object:
    """Returns the axes under dotted keys, without nulls; ``--set sweep.keys.train.epochs.grid=[1]`` nests them."""
    if not isinstance(value, dict):
        return value
    axes: dict[Any, Any] = {}
    for key, axis in value.items():
        for dotted, one in _axes_within(key, axis):
            there = axes.get(dotted)
            axes[dotted] = {**there, **one} if isinstance(there, dict) and isinstance(one, dict) else one
    return _without_nothing(axes)


def _axes_within(key: Any, axis: Any) -> Iterator[tuple[Any, Any]]:
    """Yields an axis by its key, or those that are nested in a section of the run file."""
    section = str(key).partition(".")[0]
    is_nested = section in RunConfig.model_fields and isinstance(axis, dict) and not {*axis} & {*CROSSED, *DRAWN}
    if not is_nested or not axis or not all(one is None or isinstance(one, dict) for one in axis.values()):
        yield key, axis
        return
    for name, one in axis.items():
        yield from _axes_within(f"{key}.{name}", one)


def settings_of(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every value under its dotted key, also where sections are written as mappings."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from settings_of(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _overlap(one: str, other: str) -> bool:
    """Returns whether two dotted keys are the same, or one is a section that holds the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


class Axis(Options):
    """The values that a key takes, in one of these ways.

    Attributes:
        grid: Each of these.
        choice: One of these, drawn evenly.
        uniform: A number between two, drawn evenly.
        loguniform: A number between two, whose logarithm is drawn evenly.
        seeds: The seeds 0, 1, ... of so many repetitions.
        variants: Sets of keys, by the names that tables give them; a section may be a mapping of some of its keys.
    """

    grid: Annotated[list[Any], Field(min_length=1)] | None = None
    choice: Annotated[list[Any], Field(min_length=1)] | None = None
    uniform: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    loguniform: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)] | None = None
    seeds: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = None
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] | None = None

    @field_validator("variants", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return _without_nothing(value)

    @model_validator(mode="after")
    def _one_way(self) -> Axis:
        given = [kind for kind in (*CROSSED, *DRAWN) if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of {', '.join((*CROSSED, *DRAWN))}, got {' and '.join(given) or 'none'}")
        for kind in ("uniform", "loguniform"):
            bounds = getattr(self, kind)
            if bounds is not None and bounds[0] >= bounds[1]:
                raise ValueError(f"{kind}: expected [least, greatest], got {bounds}")
        listed = self.grid or self.choice
        if listed is not None and len({json.dumps(value, sort_keys=True) for value in listed}) < len(listed):
            raise ValueError(f"expected different values, got {echo(listed)}")
        return self

    @property
    def kind(self) -> str:
        """The way, by its name."""
        return next(kind for kind in (*CROSSED, *DRAWN) if getattr(self, kind) is not None)

    @property
    def values(self) -> list[Any]:
        """The values of an axis that is crossed; the bounds or the values to draw from of one that is drawn."""
        if self.seeds is not None:
            return list(range(self.seeds))
        return list(getattr(self, self.kind))

    def draw(self, rng: np.random.Generator) -> Any:
        """Returns a value."""
        if self.choice is not None:
            return self.choice[int(rng.integers(len(self.choice)))]
        if self.uniform is not None:
            return float(rng.uniform(self.uniform[0], self.uniform[1]))
        assert self.loguniform is not None
        return float(np.exp(rng.uniform(*np.log(self.loguniform))))

    def changes(self, key: str, value: Any) -> list[tuple[str, Any]]:
        """Returns what a value of this axis sets: dotted keys of the run file, each with its value.

        A mapping sets the keys that it names and leaves the others of its section as they are.

        Args:
            key: The axis's key.
            value: One of its values, or the name of a variant.
        """
        return list(settings_of({key: value} if self.variants is None else self.variants[value]))

    def changed(self, key: str) -> list[str]:
        """Returns the dotted keys that the axis sets, each once.

        Raises:
            ValueError: If one of its values sets a key twice.
        """
        keys: list[str] = []
        for value in self.values if self.kind not in ("uniform", "loguniform") else [0.0]:
            of_value = [changed for changed, _ in self.changes(key, value)]
            twice = _first_overlap(of_value, of_value)
            if twice is not None:
                raise ValueError(f"keys.{key}: {value} sets {twice} twice; name it once")
            keys += [changed for changed in of_value if changed not in keys]
        return keys


def _first_overlap(keys: Sequence[str], others: Sequence[str]) -> str | None:
    """Returns the first key that overlaps another one, by position if both lists are the same; None if none does."""
    for place, key in enumerate(keys):
        for number, other in enumerate(others):
            if (keys is not others or number != place) and _overlap(key, other):
                return max(key, other, key=len)
    return None


class Published(Options):
    """A figure of a paper.

    Attributes:
        when: The settings it is of, by axis; axes that are left out do not matter.
        deviation: Its deviation.
    """

    model_config = ConfigDict(extra="allow")

    when: dict[str, Any] = {}
    deviation: float | None = None

    @model_validator(mode="after")
    def _one_metric(self) -> Published:
        figures = self.model_extra or {}
        value = next(iter(figures.values()), None)
        if (
            len(figures) != 1
            or isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            came = " and ".join(f"{name} {figure}" for name, figure in figures.items()) or "no metric"
            raise ValueError(f"expected when, deviation and one metric with its figure, got {shortened(came)}")
        if next(iter(figures)) not in METRICS:
            raise ValueError(f"{next(iter(figures))}: no metric; there are {', '.join(METRICS)}")
        return self

    @property
    def metric(self) -> str:
        """What it is a figure of."""
        return next(iter(self.model_extra or {}))

    @property
    def value(self) -> float:
        """The figure."""
        return float((self.model_extra or {})[self.metric])


class SweepSection(Options):
    """What varies, and what it is compared by.

    Attributes:
        keys: The axes.
        metric: What trials are compared by.
        mode: Whether more of it is better.
        also: What else tables show.
        samples: Draws of the axes that are drawn.
        rank: Whether every trial ranks the space too.
        scheduler: asha stops trials whose training is behind (Li et al. 2020, asynchronous successive halving): by
            train_accuracy if that is the metric, else by train_loss.
        grace_epochs: Epochs before asha stops any.
        reduction: Of so many trials asha lets one go on.
        searcher: Who draws: random, or optuna (the extra of that name), which draws where earlier trials were good.
        concurrent: Trials at a time; as many as the cluster holds by default.
        source: Where the published figures stand.
        published: Figures to show beside the sweep's.
    """

    keys: Annotated[dict[str, Axis], Field(min_length=1), BeforeValidator(_dotted_axes)]
    metric: str = "true_accuracy"
    mode: Literal["max", "min"] | None = None
    also: list[str] = []
    samples: Annotated[int, Field(ge=1, le=MOST_TRIALS)] = 1
    rank: bool = False
    scheduler: Literal["none", "asha"] = "none"
    grace_epochs: Positive = 1
    reduction: Annotated[int, Field(ge=2)] = 4
    searcher: Literal["random", "optuna"] = "random"
    concurrent: Positive | None = None
    source: str | None = None
    published: list[Published] = []

    @model_validator(mode="after")
    def _consistent(self) -> SweepSection:
        for key, name in [("metric", self.metric), *(("also", name) for name in self.also)]:
            if name not in METRICS:
                raise ValueError(f"{key}: expected one of {', '.join(METRICS)}, got {echo(name)}")
            if name in OF_RANK and not self.rank:
                raise ValueError(f"{key}: {name} is known by ranking; set sweep.rank to true")
        for key, axis in self.keys.items():
            if axis.seeds is not None and key != "seed":
                raise ValueError(f"keys.{key}: seeds are values of the key seed; call it that")
        drawn = [key for key, axis in self.keys.items() if axis.kind in DRAWN]
        trials = self.samples * math.prod(len(axis.values) for axis in self.keys.values() if axis.kind in CROSSED)
        if trials > MOST_TRIALS:
            raise ValueError(f"keys: expected at most {MOST_TRIALS:,} trials, got {trials:,}; name fewer values")
        if self.samples > 1 and not drawn:
            raise ValueError("samples: nothing is drawn; leave it out, or vary a key by choice, uniform or loguniform")
        crossed = [key for key, axis in self.keys.items() if axis.kind in CROSSED]
        if self.searcher == "optuna" and crossed:
            raise ValueError(
                f"searcher: optuna draws every value, got {self.keys[crossed[0]].kind} for {crossed[0]}; vary it by "
                "choice, uniform or loguniform"
            )
        self._check_changes()
        if self.searcher == "optuna" and self.scheduler == "asha" and self.metric not in OF_TRAINING:
            raise ValueError(
                f"scheduler: asha with optuna stops by what optuna looks for, expected {' or '.join(OF_TRAINING)} as "
                f"sweep.metric, got {self.metric}"
            )
        for number, published in enumerate(self.published):
            unknown = [key for key in published.when if key not in self.keys]
            if unknown:
                raise ValueError(f"published.{number}.when: {unknown[0]} is none of sweep.keys")
        return self

    def _check_changes(self) -> None:
        """Checks which keys of the run file the axes set.

        Raises:
            ValueError: If a key is the same for all trials, or set by two axes.
        """
        before: list[str] = []
        for key, axis in self.keys.items():
            changed = axis.changed(key)
            for one in changed:
                if any(_overlap(one, fixed) for fixed in FIXED):
                    raise ValueError(f"keys.{key}: {one} is the same for all trials; leave it out")
            twice = _first_overlap(changed, before)
            if twice is not None:
                raise ValueError(f"keys: {twice} is varied by more than one of them; name it in one")
            before += changed
        if self.has_seeds and _first_overlap(["train.base_seeds"], before):
            raise ValueError(f"keys.seed: {SEEDS_FIXED}")

    @property
    def has_seeds(self) -> bool:
        """Whether an axis repeats every setting over seeds."""
        return "seed" in self.keys and self.keys["seed"].seeds is not None

    @property
    def better(self) -> str:
        """Which end of the metric is better: max or min."""
        return self.mode or MODES.get(self.metric, "max")


@dataclass(frozen=True)
class Trial:
    """One run of a sweep.

    Attributes:
        name: Its folder's name, a function of its point and seed.
        point: Where it stands.
        seed: Which repetition it is; None in a sweep without seeds.
        config: The resolved configuration.
    """

    name: str
    point: Point
    seed: int | None
    config: RunConfig


@dataclass(frozen=True)
class Sweep:
    """A sweep as its file says.

    Attributes:
        base: The run that is varied, resolved.
        values: The same as plain values, before it was resolved.
        settings: What varies.
        quick: Whether it is the quick form of its file.
    """

    base: RunConfig
    values: Mapping[str, Any]
    settings: SweepSection
    quick: bool = False

    @property
    def folder(self) -> Path:
        """The sweep's folder."""
        return self.base.folder

    @property
    def drawn(self) -> dict[str, Axis]:
        """The axes that are drawn."""
        return {key: axis for key, axis in self.settings.keys.items() if axis.kind in DRAWN}

    def points(self) -> Iterator[tuple[Point, int | None]]:
        """Yields every point with its seed, seeds fastest; of a sweep that draws as it goes, nothing.

        The draws are a function of the base's seed.
        """
        if self.settings.searcher != "random":
            return
        axes = self.settings.keys
        crossed = [key for key, axis in axes.items() if axis.kind in ("grid", "variants")]
        seeds = axes["seed"].values if self.settings.has_seeds else [None]
        rng = np.random.default_rng(self.base.seed)
        for _ in range(self.settings.samples):
            draw = {key: axis.draw(rng) for key, axis in self.drawn.items()}
            for taken in itertools.product(*(axes[key].values for key in crossed)):
                values = {**draw, **dict(zip(crossed, taken, strict=True))}
                for seed in seeds:
                    yield {key: values[key] for key in axes if key in values}, seed

    def trial(self, point: Point, seed: int | None) -> Trial:
        """Returns the trial at a point.

        Raises:
            ValueError: If a key is unknown or takes no such value.
        """
        values = copy.deepcopy(dict(self.values))
        for key, value in point.items():
            for changed, setting in self.settings.keys[key].changes(key, value):
                set_key(values, changed, setting, f"sweep.keys.{key}")
        if seed is not None:
            values["seed"] = seed
        name = trial_name(point, seed)
        values |= {"name": name, "storage_path": within(self.base.location, "trials")}
        try:
            return Trial(name, point, seed, parse_config(values))
        except ValueError as error:
            raise ValueError("\n".join(f"sweep.keys, at {name}: {line}" for line in str(error).splitlines())) from error

    def trials(self) -> list[Trial]:
        """Returns the trials that are known beforehand, without repetitions.

        Raises:
            ValueError: If one of them is not as it should be.
        """
        found = (self.trial(point, seed) for point, seed in self.points())
        return list({trial.name: trial for trial in found}.values())

    def examples(self) -> list[Trial]:
        """Returns the known trials; of a sweep that draws as it goes, some in which each value or bound occurs."""
        if self.settings.searcher == "random":
            return self.trials()
        most = max(len(axis.values) for axis in self.drawn.values())
        return [
            self.trial({key: axis.values[min(at, len(axis.values) - 1)] for key, axis in self.drawn.items()}, None)
            for at in range(most)
        ]

    def settings_to_prepare(self) -> list[RunConfig]:
        """Returns the configurations of the examples that differ in more than the seed, at most `PREPARED` of them."""
        by_point = {json.dumps(trial.point): trial.config for trial in reversed(self.examples())}
        return list(reversed(by_point.values()))[:PREPARED]

    @property
    def number(self) -> int:
        """How many trials there will be."""
        return len(self.trials()) if self.settings.searcher == "random" else self.settings.samples

    def describe(self) -> str:
        """Returns what there is to come, as a comment below the run that is varied."""
        axes = ", ".join(f"{key} ({axis.kind}, {len(axis.values)})" for key, axis in self.settings.keys.items())
        settings = self.settings
        return f"# sweep: {self.number} trials over {axes}; compared by {settings.metric}, {settings.better}"

    def published(self, point: Point) -> dict[str, dict[str, float | None]]:
        """Returns the published figures of a point by metric."""
        return {
            figure.metric: {"value": figure.value, "deviation": figure.deviation}
            for figure in self.settings.published
            if all(point.get(key) == value for key, value in figure.when.items())
        }


def trial_name(point: Point, seed: int | None) -> str:
    """Returns the name of a trial's folder: readable, and different for different points."""
    whole = {**point, **({} if seed is None else {"seed": seed})}
    parts = [f"{key.rpartition('.')[2]}-{_written(value)}" for key, value in whole.items()]
    plain = "_".join(parts)
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:80]
    if safe == plain and all(_written(value) == str(value) for value in whole.values()):
        return safe
    digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:8]
    return f"{safe}-{digest}"


def _written(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def load_sweep(path: str | Path, overrides: Sequence[str] = (), quick: bool = False) -> Sweep:
    """Returns the sweep of a file.

    Args:
        path: The YAML file.
        overrides: As `load_config` takes them; keys of the sweep begin with ``sweep.``.
        quick: As `load_config` takes it.

    Raises:
        ValueError: If it is no sweep, or a key or value is not what it should be; one line for each.
    """
    values, section = read_run_file(path, overrides, quick)
    if section is None:
        raise ValueError(f"sweep: {path} has no such section; write one, or give `raynas run` with this file")
    settings = parse_section(section, SweepSection, "sweep")
    base = parse_config(values)
    if settings.has_seeds and base.train.base_seeds != [base.seed]:
        raise ValueError(f"sweep.keys.seed: {SEEDS_FIXED}")
    sweep = Sweep(base, values, settings, quick)
    sweep.trials()
    return sweep
