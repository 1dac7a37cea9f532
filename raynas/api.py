"""The functions of the package: what the command line does, from Python."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console

from raynas.config.locations import is_url
from raynas.config.nested import merge, set_key
from raynas.config.reading import read_run_file
from raynas.config.run_config import RunConfig, parse_config
from raynas.errors import InputError
from raynas.messages import echo
from raynas.on_ray.session import on_ray
from raynas.opened_run import Run
from raynas.stages import run as stages
from raynas.stages.check import describe
from raynas.stages.events import Callback, reporting
from raynas.stages.retrain_target import chosen_keys, values_of_target

Configuration: TypeAlias = "RunConfig | str | Path | Mapping[str, Any]"
"""A run: its YAML file, its keys as a mapping, or a configuration."""


def run(
    config: Configuration, *, callbacks: Sequence[Callback] = (), console: Console | None = None, **overrides: Any
) -> Run:
    """Carries out a run, or what is left of it, and returns it: training, search, and retraining if it has one.

    Args:
        config: The run file, its keys as a mapping, or a configuration.
        callbacks: Called with every epoch and every evaluated architecture, see `Callback`.
        console: Receives the progress; the standard output by default.
        overrides: Keys that win over the others: ``seed=1``, ``train={"epochs": 5}`` or ``**{"train.epochs": 5}``.

    Raises:
        InputError: If a key, the data or the folder is not as it should be.
        RunError: If training or an evaluation fails.
    """
    resolved = configuration(config, overrides)
    with _watched(resolved, callbacks) as watch:
        return Run(stages.run(resolved, console or _standard_output(), on_ray, watch=watch).config)


def check(config: Configuration, **overrides: Any) -> str:
    """Returns the resolved configuration as YAML, and what it means as comments, without training anything.

    Args:
        config: As `run` takes it.
        overrides: As `run` takes them.

    Raises:
        InputError: If a key, the data or the folder is not as it should be.
    """
    return describe(configuration(config, overrides), Console(stderr=True))


def rank(
    config: Configuration | Run,
    *,
    sample: int | None = None,
    every_epoch: bool = False,
    console: Console | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Returns the rank correlation of a run's fitness with its benchmark and with baselines.

    Args:
        config: As `run` takes it, or a run.
        sample: Number of architectures to rank; see `raynas rank`.
        every_epoch: Whether to rank also by the angle after every epoch of the training.
        console: Receives the progress; the standard output by default.
        overrides: As `run` takes them.

    Raises:
        InputError: If a key, the data or the folder is not as it should be.
        RunError: If an evaluation fails.
    """
    resolved = configuration(config.config if isinstance(config, Run) else config, overrides)
    return stages.rank_run(resolved, console or _standard_output(), on_ray, sample, every_epoch)


def retrain(
    target: Configuration | Run,
    *,
    recipe: str | None = None,
    top: int | None = None,
    seeds: int | None = None,
    callbacks: Sequence[Callback] = (),
    console: Console | None = None,
    **overrides: Any,
) -> Run:
    """Trains the best architectures of a run, or a given one, from scratch, and returns the run with their accuracies.

    Args:
        target: A run, its file or its keys; or, as text, its folder, an architecture or the name of a published cell.
        recipe: Name of the recipe, see `raynas.recipes.names`, or a YAML file.
        top: How many of the best architectures are trained.
        seeds: From how many seeds each is trained.
        callbacks: Called with every epoch, see `Callback`.
        console: Receives the progress; the standard output by default.
        overrides: Keys that win over the others, as `run` takes them.

    Raises:
        InputError: If a key, the data or the folder is not as it should be, or the search of the run is not done.
        RunError: If training fails.
    """
    if isinstance(target, Run):
        target = target.config
    if isinstance(target, RunConfig | Mapping):
        values = dict(target.model_dump() if isinstance(target, RunConfig) else target)
        stated = {} if isinstance(target, RunConfig) and recipe is not None else values.get("retrain") or {}
        values["retrain"] = merge(stated, chosen_keys(recipe, top, seeds))
    else:
        values = values_of_target(str(target), recipe=recipe, top=top, seeds=seeds)
    resolved = configuration(values, overrides)
    with _watched(resolved, callbacks) as watch:
        return Run(stages.retrain_run(resolved, console or _standard_output(), on_ray, watch))


def open_run(location: str | Path) -> Run:
    """Returns a run that is in a folder or at a URL.

    Raises:
        InputError: If there is no run.
    """
    return Run.at(str(location))


def configuration(config: Configuration, overrides: Mapping[str, Any]) -> RunConfig:
    """Returns the resolved configuration of a run file, of keys, or of a configuration, with keys that win.

    Raises:
        InputError: If a key is not as it should be.
    """
    if isinstance(config, RunConfig):
        if not overrides:
            return config
        values = config.model_dump()
    elif isinstance(config, str | Path):
        if is_url(str(config)) or Path(config).is_dir():
            raise InputError(f"{echo(str(config))} is a run; open it with raynas.open_run")
        values, sweep = read_run_file(config, (), quick=False)
        if sweep is not None:
            raise InputError(f"sweep: {config} is a sweep; carry it out with `raynas sweep`")
    else:
        values = {"name": "run", **config}
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            values = merge(values, {key: value})
        else:
            set_key(values, key, value, key)
    return parse_config(values)


def _standard_output() -> Console:
    """Returns the console of progress: the standard output of now, which Ray's messages are kept from later."""
    return Console(file=sys.stdout)


@contextlib.contextmanager
def _watched(config: RunConfig, callbacks: Sequence[Callback]) -> Iterator[Callable[[], None]]:
    """Yields what to call while a run goes on, so that callbacks learn what is new."""
    report = reporting(config, callbacks)
    yield report
    report()
