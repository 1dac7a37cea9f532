"""A sweep file: a run file with a `sweep:` section, which says what varies; every combination is a run, a trial.

An axis is a configuration key, or a free label over named sets of keys (variants), and the values it takes. Axes of
`grid`, `variants` and `seeds` are crossed; those of `choice`, `uniform` and `loguniform` are sampled `samples` times,
and each sample goes with every point of the others, so that all points are compared on the same samples. Trials that
differ in the seed alone are one setting, with means and deviations over its `seeds`.
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
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from raynas.config.explain import parse_section
from raynas.config.locations import within
from raynas.config.named import named
from raynas.config.nested import set_key
from raynas.config.reading import read_run_file
from raynas.config.run_config import RunConfig, parse_config
from raynas.config.sweep_axes import CROSSED, MOST_TRIALS, SAMPLED, Axis, dotted_axes, first_overlap, overlap
from raynas.config.sweep_rows import SWEEP_SCHEDULERS, SWEEP_SEARCHERS, SweepScheduler, SweepSearcher
from raynas.errors import InputError
from raynas.messages import shortened
from raynas.options import Options, Positive
from raynas.sweep_metrics import SWEEP_METRICS, SweepMetric

PREPARED = 32
"""How many settings of a sweep are prepared before it starts. Every trial is prepared again when it starts."""

Point: TypeAlias = dict[str, Any]
"""The value, or the name of the variant, on every axis but that of seeds."""

FIXED = frozenset({"name", "storage_path", "address", "local_cpus", "report", "train.reuse"})
"""Keys that a sweep sets for its trials, or that all of them share."""


SEEDS_FIXED = "train.base_seeds fixes the seeds of the supernets; leave one of them out"


class Published(Options):
    """A figure of a paper.

    Attributes:
        when: Settings that the figure belongs to, by the names of the axes; an axis that is left out may have any
            value.
        deviation: Standard deviation of the figure, if the paper states it.
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
            raise InputError(f"expected when, deviation and one metric with its figure, got {shortened(came)}")
        name = next(iter(figures))
        try:
            SWEEP_METRICS.row(name)
        except ValueError as error:
            raise InputError(f"{name}: no metric; {str(error).removeprefix('sweep.metric: ')}") from error
        return self

    @property
    def metric(self) -> str:
        """What it is a figure of."""
        return next(iter(self.model_extra or {}))

    def is_of(self, point: Point) -> bool:
        """Returns whether the figure is one of a point's."""
        return all(point.get(key) == value for key, value in self.when.items())

    @property
    def value(self) -> float:
        """The figure."""
        return float((self.model_extra or {})[self.metric])


class SweepSection(Options):
    """What varies, and what it is compared by.

    Attributes:
        keys: The axes.
        metric: What trials are compared by: a name, or the dotted path of a metric of your own.
        mode: Whether the largest value of the metric is best (max) or the least (min). The metric decides by default.
        also: Further metrics that the tables of the sweep show.
        samples: Number of points that are sampled, where keys have sampled values (choice, uniform, loguniform).
        rank: Whether every trial also ranks the space, as `raynas rank` does.
        scheduler: none; or asha, which stops trials whose training is behind (Li et al. 2020, asynchronous successive
            halving): by the metric if it is known after every epoch, else by train_loss; or the dotted path of one of
            your own.
        grace_epochs: Number of epochs that every trial trains before the scheduler asha may stop it.
        reduction: Number of trials of which the scheduler asha lets one go on, the best.
        searcher: random; or optuna (the extra of that name), which samples where earlier trials were good; or the
            dotted path of one of your own.
        concurrent: Number of trials at a time; by default as many as the cluster has room for.
        source: Paper and table of the published figures.
        published: Figures to show beside the sweep's.
    """

    keys: Annotated[dict[str, Axis], Field(min_length=1), BeforeValidator(dotted_axes)]
    metric: Annotated[str, named(SWEEP_METRICS)] = "true_accuracy"
    mode: Literal["max", "min"] | None = None
    also: list[Annotated[str, named(SWEEP_METRICS)]] = []
    samples: Annotated[int, Field(ge=1, le=MOST_TRIALS)] = 1
    rank: bool = False
    scheduler: Annotated[str, named(SWEEP_SCHEDULERS)] = "none"
    grace_epochs: Positive = 1
    reduction: Annotated[int, Field(ge=2)] = 4
    searcher: Annotated[str, named(SWEEP_SEARCHERS)] = "random"
    concurrent: Positive | None = None
    source: str | None = None
    published: list[Published] = []

    @model_validator(mode="after")
    def _consistent(self) -> SweepSection:
        for key, name in [("metric", self.metric), *(("also", name) for name in self.also)]:
            if SWEEP_METRICS.row(name).needs_ranking and not self.rank:
                raise InputError(f"{key}: {name} is known by ranking; set sweep.rank to true")
        for key, axis in self.keys.items():
            if axis.seeds is not None and key != "seed":
                raise InputError(f"keys.{key}: seeds are values of the key seed; call it that")
        sampled = [key for key, axis in self.keys.items() if axis.kind in SAMPLED]
        trials = self.samples * math.prod(len(axis.values) for axis in self.keys.values() if axis.kind in CROSSED)
        if trials > MOST_TRIALS:
            raise InputError(f"keys: expected at most {MOST_TRIALS:,} trials, got {trials:,}; name fewer values")
        if self.samples > 1 and not sampled:
            raise InputError(
                "samples: no axis is sampled; leave it out, or vary a key by choice, uniform or loguniform"
            )
        crossed = [key for key, axis in self.keys.items() if axis.kind in CROSSED]
        samples_by_results = self.searcher_row.samples_by_results
        if samples_by_results and crossed:
            raise InputError(
                f"searcher: {self.searcher} samples every value, got {self.keys[crossed[0]].kind} for {crossed[0]}; "
                "vary it by choice, uniform or loguniform"
            )
        self._check_changes()
        stops_early = self.scheduler_row.stops_early
        if samples_by_results and stops_early and SWEEP_METRICS.row(self.metric).of_epoch is None:
            of_epochs = [name for name, row in SWEEP_METRICS.rows().items() if row.of_epoch is not None]
            raise InputError(
                f"scheduler: {self.scheduler} with {self.searcher} stops by what {self.searcher} looks for, expected "
                f"{' or '.join(of_epochs)} as sweep.metric, got {self.metric}"
            )
        for number, published in enumerate(self.published):
            unknown = [key for key in published.when if key not in self.keys]
            if unknown:
                raise InputError(f"published.{number}.when: {unknown[0]} is none of sweep.keys")
        return self

    def _check_changes(self) -> None:
        """Checks which keys of the run file the axes set.

        Raises:
            InputError: If a key is the same for all trials, or set by two axes.
        """
        before: list[str] = []
        for key, axis in self.keys.items():
            changed = axis.changed(key)
            for one in changed:
                if any(overlap(one, fixed) for fixed in FIXED):
                    raise InputError(f"keys.{key}: {one} is the same for all trials; leave it out")
            twice = first_overlap(changed, before)
            if twice is not None:
                raise InputError(f"keys: {twice} is varied by more than one of them; name it in one")
            before += changed
        if self.has_seeds and first_overlap(["train.base_seeds"], before):
            raise InputError(f"keys.seed: {SEEDS_FIXED}")

    @property
    def scheduler_row(self) -> SweepScheduler:
        """The row of the scheduler."""
        return SWEEP_SCHEDULERS.row(self.scheduler)

    @property
    def searcher_row(self) -> SweepSearcher:
        """The row of the searcher."""
        return SWEEP_SEARCHERS.row(self.searcher)

    @property
    def has_seeds(self) -> bool:
        """Whether an axis repeats every setting over seeds."""
        return "seed" in self.keys and self.keys["seed"].seeds is not None

    @property
    def better(self) -> str:
        """Which end of the metric is better: max or min."""
        return self.mode or SWEEP_METRICS.row(self.metric).better

    @property
    def metrics(self) -> dict[str, SweepMetric]:
        """The metrics that trials are asked for: all that raynas brings along, and the user's own that are named."""
        own = {name: SWEEP_METRICS.row(name) for name in (self.metric, *self.also)}
        return {**SWEEP_METRICS.rows(), **own}


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
        """The axes that are sampled."""
        return {key: axis for key, axis in self.settings.keys.items() if axis.kind in SAMPLED}

    def points(self) -> Iterator[tuple[Point, int | None]]:
        """Yields every point with its seed, seeds fastest; of a sweep that samples as it goes, nothing.

        The samples are a function of the base's seed.
        """
        if self.settings.searcher_row.samples_by_results:
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
            InputError: If a key is unknown or takes no such value.
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
            raise InputError("\n".join(f"sweep.keys, at {name}: {line}" for line in str(error).splitlines())) from error

    def trials(self) -> list[Trial]:
        """Returns the trials that are known beforehand, without repetitions.

        Raises:
            InputError: If one of them is not as it should be.
        """
        found = (self.trial(point, seed) for point, seed in self.points())
        return list({trial.name: trial for trial in found}.values())

    def examples(self) -> list[Trial]:
        """Returns the known trials; of a sweep that samples as it goes, some in which each value or bound occurs."""
        if not self.settings.searcher_row.samples_by_results:
            return self.trials()
        most = max(len(axis.values) for axis in self.drawn.values())
        return [self.trial(self._values_at(place), None) for place in range(most)]

    def _values_at(self, place: int) -> Point:
        """Returns the value of each axis at a place in its list; the last of a shorter list."""
        return {key: axis.values[min(place, len(axis.values) - 1)] for key, axis in self.drawn.items()}

    def settings_to_prepare(self) -> list[RunConfig]:
        """Returns the configurations of the examples that differ in more than the seed, at most `PREPARED` of them."""
        by_point = {json.dumps(trial.point): trial.config for trial in reversed(self.examples())}
        return list(reversed(by_point.values()))[:PREPARED]

    @property
    def number(self) -> int:
        """How many trials there will be."""
        return self.settings.samples if self.settings.searcher_row.samples_by_results else len(self.trials())

    def describe(self) -> str:
        """Returns what there is to come, as a comment below the run that is varied."""
        axes = ", ".join(f"{key} ({axis.kind}, {len(axis.values)})" for key, axis in self.settings.keys.items())
        settings = self.settings
        return f"# sweep: {self.number} trials over {axes}; compared by {settings.metric}, {settings.better}"

    def published(self, point: Point) -> dict[str, dict[str, float | None]]:
        """Returns the published figures of a point by metric."""
        figures: dict[str, dict[str, float | None]] = {}
        for figure in self.settings.published:
            if figure.is_of(point):
                figures[figure.metric] = {"value": figure.value, "deviation": figure.deviation}
        return figures


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
        InputError: If it is no sweep, or a key or value is not what it should be; one line for each.
    """
    values, section = read_run_file(path, overrides, quick)
    if section is None:
        raise InputError(f"sweep: {path} has no such section; write one, or give `raynas run` with this file")
    settings = parse_section(section, SweepSection, "sweep")
    base = parse_config(values)
    if settings.has_seeds and base.train.base_seeds != [base.seed]:
        raise InputError(f"sweep.keys.seed: {SEEDS_FIXED}")
    for name in (settings.metric, *settings.also):
        if SWEEP_METRICS.row(name).needs_retraining and base.retrain is None:
            raise InputError(f"sweep.metric: {name} is known by training from scratch; add the section retrain")
    sweep = Sweep(base, values, settings, quick)
    sweep.trials()
    return sweep
