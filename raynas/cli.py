"""The command line: `raynas VERB FILE.yaml`. torch and Ray are imported when a verb needs them, not before."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from raynas.arguments import JOB_VERBS, parse_arguments
from raynas.errors import InputError, RunError
from raynas.output import failure_line, patient_output
from raynas.report.text_tables import aligned_lines, profile_lines, ranking_lines, result_lines
from raynas.stages import signals

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from raynas.config.run_config import RunConfig

FAILURE = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 invalid input, 1 another failure, 130 interrupted, 143 terminated."""
    options = parse_arguments(None if arguments is None else list(arguments))
    if options.verb in JOB_VERBS:
        return _guarded(options)
    with patient_output() as output:
        status = _guarded(options)
    line = failure_line(output)
    return status if line is None else _end(line, status or FAILURE)


def _guarded(options: argparse.Namespace) -> int:
    """Carries out a verb and returns its exit status, whatever happens."""
    try:
        with signals.handled():
            return _carry_out(options)
    except KeyboardInterrupt as ended:
        number = signal.SIGTERM if isinstance(ended, signals.Terminated) else signal.SIGINT
        return _end(str(ended) or f"{signals.word(number)}; {signals.AGAIN}", 128 + number)
    except BrokenPipeError:  # the reader has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, SystemExit) as error:  # the last resort
        if os.environ.get("RAYNAS_TRACEBACK"):
            raise
        from raynas.failures import outcome

        status, message = outcome(error, _places(options))
        return _end(message, status)


def _end(message: str, status: int) -> int:
    from raynas.failures import lines_of

    with contextlib.suppress(OSError):  # of a standard error that is closed or full, when nothing can be said
        for line in lines_of(message):
            print(f"raynas: {line}", file=sys.stderr)
    return status


def _places(options: argparse.Namespace) -> dict[str, str]:
    """Returns the files and folders that a command and its run file name, by the option or key that names them."""
    places = {run: run for run in getattr(options, "runs", ())}
    config = getattr(options, "config", None)
    if config is not None:
        from raynas.config.locations import cache_folder, is_url

        places |= {
            "storage_path": str(config.folder if is_url(config.location) else config.folder.parent),
            "data.path": config.data.path,
            "benchmark.path": config.benchmark.path,
            "train.reuse": str(config.supernets) if config.train.reuse else None,
            "cache (XDG_CACHE_HOME)": str(cache_folder()),
        }
    return {role: place for role, place in places.items() if place is not None}


def _carry_out(options: argparse.Namespace) -> int:
    """Carries out a verb and returns its exit status."""
    if options.verb in ("report", "compare"):
        return _report(options)
    if options.verb in JOB_VERBS:
        return _jobs(options)
    if options.verb == "check":
        return _check(options)
    if options.verb == "sweep":
        return _sweep(options)
    return {"profile": _profile, "rank": _rank}.get(options.verb, _run)(options, _run_config(options))


def _console() -> Console:
    """Returns the console of progress."""
    from rich.console import Console

    return Console(file=sys.stdout, markup=False)


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
    _check_job(config)
    return config


def _run(options: argparse.Namespace, config: RunConfig) -> int:
    """Carries out the stages of a run, and prints the best architectures."""
    with signals.imports():
        from raynas.on_ray.session import on_ray
        from raynas.stages.run import run

    stages = ("train", "search") if options.verb == "run" else (options.verb,)
    result = run(config, _console(), on_ray, stages)
    if result is not None:
        print("\n".join(result_lines(result)))
    if options.verb == "run":
        _write_report(config)
    print(f"run folder: {config.location}")
    return 0


def _rank(options: argparse.Namespace, config: RunConfig) -> int:
    """Ranks the space of a run, and prints how well."""
    with signals.imports():
        from raynas.on_ray.session import on_ray
        from raynas.stages.run import rank_run

    print("\n".join(ranking_lines(rank_run(config, _console(), on_ray, options.sample, options.every_epoch))))
    _write_report(config)
    print(f"run folder: {config.location}")
    return 0


def _profile(options: argparse.Namespace, config: RunConfig) -> int:
    """Measures the latency of a run's candidates, and prints how well it predicts whole networks."""
    with signals.imports():
        from raynas.stages.run import profile_run

    print("\n".join(profile_lines(profile_run(config, _console()))))
    print(f"run folder: {config.location}")
    return 0


def _check(options: argparse.Namespace) -> int:
    """Prints the resolved configuration of a run file or sweep file, and what it means."""
    with signals.imports():
        from rich.console import Console

        from raynas.config.reading import read_run_file
        from raynas.config.run_config import parse_config
        from raynas.config.sweeps import load_sweep
        from raynas.stages.check import check_sweep, describe

    values, section = read_run_file(options.file, options.overrides, options.quick)
    options.config = parse_config(values)
    console = Console(stderr=True)
    if section is None:
        print(describe(options.config, console))
        return 0
    sweep = load_sweep(options.file, options.overrides, options.quick)
    check_sweep(sweep, console)
    print(describe(sweep.base, console, has_folder=False))
    print(sweep.describe())
    return 0


def _write_report(config: RunConfig) -> None:
    """Writes the page of a run, unless `report` says no, and prints where it is."""
    if not config.report:
        return
    from raynas.report.page import write_report
    from raynas.storage.mirror import push_report

    named = [config.train.reuse] if config.train.reuse else []
    print(f"report: {write_report(config.folder, _Reused({config.folder: config.location}, named))}")
    push_report(config.location, "driver")


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


def _sweep(options: argparse.Namespace) -> int:
    """Carries out a sweep and prints its table."""
    with signals.imports():
        from raynas.config.sweeps import load_sweep
        from raynas.on_ray.sweep import sweep_runs
        from raynas.report.sweep_tables import table_lines

    sweep = load_sweep(options.file, options.overrides, options.quick)
    options.config = sweep.base
    _check_job(sweep.base)
    results = sweep_runs(sweep, _console())
    failed = [trial for trial in results["trials"] if trial["status"] == "failed"]
    print("\n".join(table_lines(results)))
    print(f"report: {sweep.folder / 'report/index.html'}")
    print(f"sweep folder: {sweep.base.location}")
    if failed:
        raise RunError(
            f"{len(failed)} of {len(results['trials'])} trials failed; the first, {failed[0]['name']}: "
            f"{failed[0]['error']}; give the same command again to try them again"
        )
    return 0


def _report(options: argparse.Namespace) -> int:
    """Writes the page of one run, or that of several."""
    from pathlib import Path

    with signals.imports():
        from raynas.config.locations import is_url
        from raynas.report.page import write_comparison, write_report
        from raynas.report.sweep_page import write_sweep_report

    locations, named = [], list(options.reuse)
    for run in options.runs:
        location, reused_by_file = _location(run)
        locations.append(location)
        named += reused_by_file
    folders = [_place(location) for location in locations]
    reused = _Reused(dict(zip(folders, locations, strict=True)), [*named, *locations])
    if options.verb == "compare":
        print(f"comparison: {write_comparison(folders, Path(options.out), reused)}")
    elif (folders[0] / "sweep.json").exists():
        print(f"report: {write_sweep_report(folders[0])}")
    else:
        print(f"report: {write_report(folders[0], reused)}")
    for line in reused.left_out:
        print(f"raynas: {line}", file=sys.stderr)
    if options.verb == "report" and is_url(locations[0]):
        from raynas.storage.mirror import push_report

        push_report(locations[0], "reader")
    return 0


def _location(run: str) -> tuple[str, list[str]]:
    """Returns the folder or URL of a run that is named by it or by its run file, and what the run file reuses.

    Raises:
        InputError: If there is nothing of that name, or it is a file and no run file.
    """
    from pathlib import Path

    from raynas.config.locations import is_url
    from raynas.messages import shortened

    if is_url(run) or Path(run).is_dir():
        return run, []
    if not Path(run).exists():
        raise InputError(
            f"{shortened(run, 300)}: there is neither a folder nor a file of that name; give the folder that `raynas "
            "run` named at its end, or the run file"
        )
    with signals.imports():  # here, since only a run file needs torch
        from raynas.config.reading import load_config

    config = load_config(run)
    return config.location, [config.train.reuse] if config.train.reuse else []


class _Reused:
    """Finds the folder of a run that another run reuses, if it may be read.

    Attributes:
        left_out: A line for each that may not.
    """

    def __init__(self, locations: Mapping[Path, str], named: Sequence[str]) -> None:
        """Takes where the runs that are read lie, by their folders, and which other locations the user named."""
        self._locations, self._named = locations, named
        self.left_out: list[str] = []

    def __call__(self, folder: Path, reused: str) -> Path | None:
        """Returns the folder of the run that the run in `folder` reuses; None if it may not be read."""
        from raynas.config.locations import is_url, left_out, may_read, refuse_links, reused_folder

        location = self._locations[folder]
        if not is_url(location) and (found := reused_folder(folder, reused)) is not None:
            return found
        if may_read(reused, location, self._named):
            found = _place(reused)
            refuse_links(found)
            return found
        self.left_out.append(left_out(reused))
        return None


def _place(location: str) -> Path:
    """Returns the folder of a run that is to be read; one at a URL is pulled, but for its weights."""
    from pathlib import Path

    from raynas.config.locations import is_url

    if not is_url(location):
        return Path(os.path.expanduser(location))
    from raynas.storage.mirror import pulled

    return pulled(location, weights=False)


def _jobs(options: argparse.Namespace) -> int:
    """Sends, lists, follows or stops jobs; returns the exit status, of a job that is followed its own."""
    from pathlib import Path

    with signals.imports():
        from raynas.on_ray import jobs
        from raynas.on_ray.packing import package

    def write(text: str) -> None:
        print(text, end="", flush=True)

    if options.verb == "submit":
        file, sent = Path(options.file), package(Path.cwd())
        variables = jobs.environment(options.env)
        if options.list:
            print("\n".join([*sent.lines(), f"variables: {', '.join(variables)}"]))
            return 0
        config = jobs.checked(file, options.overrides, options.quick, sent)
        client = jobs.connect(options.address)
        job = jobs.submit(
            client,
            sent,
            jobs.entrypoint(file, options.overrides, options.quick, sent.folder),
            variables,
            options.id or jobs.new_id(config),
            say=lambda line: print(f"raynas: {line}", file=sys.stderr),
        )
        print(job, flush=True)
        return jobs.follow(client, job, write) if options.follow else 0
    if options.verb == "jobs" and options.follow and options.job is None:
        raise InputError("--follow: give the ID of a job; `raynas jobs` lists them")
    client = jobs.connect(options.address)
    if options.verb == "stop":
        print(f"{options.job}: {jobs.stop(client, options.job)}")
    elif options.follow:
        return jobs.follow(client, options.job, write)
    else:
        columns = jobs.listed(client, options.job)
        print("\n".join(aligned_lines(columns, left=("id", "status", "file"))) if columns["id"] else "no jobs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
