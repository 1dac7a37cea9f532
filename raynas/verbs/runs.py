"""The verbs that carry out run files: run, train, search, retrain, rank, profile, sweep, check."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from raynas.errors import InputError, RunError
from raynas.optional import check_installed, check_pages
from raynas.report.text_tables import profile_lines, ranking_lines, result_lines, retraining_lines
from raynas.stages import signals
from raynas.verbs.pages import Reused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from raynas.config.run_config import RunConfig
    from raynas.stages.check import Checked


def _run_config(options: argparse.Namespace) -> RunConfig:
    """Returns the resolved configuration of a run file that is to be carried out.

    Raises:
        InputError: If it is not as it should be, or the file is a sweep.
    """
    with signals.imports():
        from raynas.config.reading import read_run_file
        from raynas.config.run_config import parse_config

    values, sweep = read_run_file(options.file, options.overrides, options.quick)
    if sweep is not None:
        raise InputError(f"sweep: {options.file} is a sweep; give `raynas sweep` with it, or take that section out")
    config = options.config = parse_config(values)
    if options.verb in ("run", "rank"):
        _check_report(config)
    _check_job(config)
    return config


def _check_report(config: RunConfig) -> None:
    """Checks that the packages of the report are installed, before anything is trained.

    Raises:
        InputError: If one is missing.
    """
    with signals.imports():
        from raynas.stages.packages import check_report

    check_report(config)


def run(options: argparse.Namespace) -> int:
    """Carries out a whole run, prints what it found, and writes its page."""
    config = _carried_out(options, ("train", "search", "retrain"), writes_page=True)
    _say_retrained(config)
    _say_page(config)
    return _end(config)


def train(options: argparse.Namespace) -> int:
    """Trains the supernets of a run."""
    return _end(_carried_out(options, ("train",)))


def search(options: argparse.Namespace) -> int:
    """Searches with the supernets of a run, and prints the best architectures."""
    return _end(_carried_out(options, ("search",)))


def _carried_out(options: argparse.Namespace, stages: tuple[str, ...], *, writes_page: bool = False) -> RunConfig:
    """Carries out stages of a run, prints the best architectures, and returns the configuration."""
    config = _run_config(options)
    with signals.imports():
        from raynas.on_ray.session import on_ray
        from raynas.stages import run as stages_of_a_run

    page = _page_of(config) if writes_page else None
    result = stages_of_a_run.run(config, _console(), on_ray, stages, report=page).result
    if result is not None:
        print("\n".join(result_lines(result)))
    return config


def _end(config: RunConfig) -> int:
    """Prints where a run is, and returns the exit status."""
    print(f"run folder: {config.location}")
    return 0


def retrain(options: argparse.Namespace) -> int:
    """Trains networks from scratch, and prints how accurate they are."""
    with signals.imports():
        from raynas.config.run_config import parse_config
        from raynas.on_ray.session import on_ray
        from raynas.stages.retrain_target import values_of_target
        from raynas.stages.run import retrain_run

    chosen = {"quick": options.quick, "recipe": options.recipe, "top": options.top, "seeds": options.seeds}
    config = options.config = parse_config(values_of_target(options.target, options.overrides, **chosen))
    _check_report(config)
    _check_job(config)
    retrain_run(config, _console(), on_ray, report=_page_of(config))
    _say_retrained(config)
    _say_page(config)
    return _end(config)


def _say_retrained(config: RunConfig) -> None:
    """Prints what the retraining of a run came to, if it has one."""
    if config.retrain is not None:
        from raynas.records.retrain_record import RetrainRecord

        print("\n".join(retraining_lines(RetrainRecord.read(config.folder / config.retrain.folder / "result.json"))))


def rank(options: argparse.Namespace) -> int:
    """Ranks the space of a run, and prints how well."""
    config = _run_config(options)
    with signals.imports():
        from raynas.on_ray.session import on_ray
        from raynas.stages.run import rank_run

    page = _page_of(config)
    result = rank_run(config, _console(), on_ray, options.sample, options.every_epoch, report=page)
    print("\n".join(ranking_lines(result)))
    _say_page(config)
    return _end(config)


def profile(options: argparse.Namespace) -> int:
    """Measures the latency of a run's candidates, and prints how well it predicts whole networks."""
    config = _run_config(options)
    with signals.imports():
        from raynas.stages.run import profile_run

    print("\n".join(profile_lines(profile_run(config, _console()))))
    return _end(config)


def check(options: argparse.Namespace) -> int:
    """Prints the resolved configuration of a run file or sweep file, and what it means, as text or JSON."""
    if not options.json:
        found, sweep = _checked(options)
        print("\n".join(filter(None, (found.text(), sweep))))
        return 0
    try:
        found, sweep = _checked(options)
    except InputError as error:
        print(json.dumps({"valid": False, "mistakes": str(error).splitlines()}, indent=2))
        raise
    facts = [*found.lines, *sweep.splitlines()]
    print(json.dumps({"valid": True, "config": found.config, "facts": facts, "nulls": found.nulls}, indent=2))
    return 0


def _checked(options: argparse.Namespace) -> tuple[Checked, str]:
    """Returns what is known of a run file, and what its sweep is; an empty text if it is no sweep.

    Raises:
        InputError: If it is not as it should be.
    """
    with signals.imports():
        from rich.console import Console

        from raynas.config.reading import read_run_file
        from raynas.config.run_config import parse_config
        from raynas.config.sweeps import load_sweep
        from raynas.stages.check import check_sweep, checked

    values, section = read_run_file(options.file, options.overrides, options.quick)
    options.config = parse_config(values)
    console = Console(stderr=True)
    _check_report(options.config)
    if section is None:
        return checked(options.config, console), ""
    loaded = load_sweep(options.file, options.overrides, options.quick)
    check_sweep(loaded, console)
    return checked(loaded.base, console, has_folder=False), loaded.describe()


def _page_of(config: RunConfig) -> Callable[[Path], Path] | None:
    """Returns what writes the page of a run into its folder; None if `report` says no."""
    if not config.report:
        return None
    from raynas.config.default_values import default_values
    from raynas.report.page import write_report

    reused = Reused({config.folder: config.location}, [config.train.reuse] if config.train.reuse else [])
    return lambda folder: write_report(folder, reused, default_values)


def _say_page(config: RunConfig) -> None:
    """Prints where the page of a run is, unless `report` says no."""
    if config.report:
        from raynas.report.links import PAGE

        print(f"report: {config.folder / PAGE}")


def _check_job(config: RunConfig) -> None:
    """Checks that what a job of a Ray cluster leaves does not lie in the folder that the cluster removes.

    Raises:
        InputError: If `storage_path` is relative in a job.
    """
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:  # which Ray sets for the command of a job
        return
    if "://" not in config.storage_path and not config.storage_path.startswith(("/", "~")):
        raise InputError(
            f"storage_path: {config.storage_path!r} lies in {os.getcwd()}, the job's own folder, which is lost with "
            "the cluster; give --set storage_path=/FOLDER that all machines see"
        )


def sweep(options: argparse.Namespace) -> int:
    """Carries out a sweep and prints its table."""
    check_installed("ray", "ray", "sweep")
    check_pages("sweep")
    with signals.imports():
        from raynas.config.sweeps import load_sweep
        from raynas.on_ray.sweep import sweep_runs
        from raynas.report.sweep_tables import table_lines

    loaded = load_sweep(options.file, options.overrides, options.quick)
    options.config = loaded.base
    _check_job(loaded.base)
    results = sweep_runs(loaded, _console())
    failed = [trial for trial in results["trials"] if trial["status"] == "failed"]
    print("\n".join(table_lines(results)))
    print(f"report: {loaded.folder / 'report/index.html'}")
    print(f"sweep folder: {loaded.base.location}")
    if failed:
        raise RunError(
            f"{len(failed)} of {len(results['trials'])} trials failed; the first, {failed[0]['name']}: "
            f"{failed[0]['error']}; give the same command again to try them again"
        )
    return 0


def _console() -> Console:
    """Returns the console of progress."""
    from rich.console import Console

    return Console(file=sys.stdout, markup=False)
