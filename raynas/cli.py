"""The command line: `raynas VERB FILE.yaml`. torch and Ray are imported when a verb needs them, not before."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import raynas
from raynas.output import failure_line, patient_output
from raynas.stages import signals

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from raynas.config.run_config import RunConfig

FAILURE = 1

VERBS = {
    "run": "train and search: the whole run, or what is left of it",
    "train": "train the supernet",
    "search": "search with the trained supernet",
    "rank": "rank the space, or a sample of it, by the fitness; hold that against a benchmark's truth and baselines",
    "profile": "measure how long every candidate takes on this device, and how well that predicts whole networks",
    "sweep": "carry out a run file's `sweep:` section: a run for every combination, and what came of them side by side",
    "report": "write a run as one HTML page, and its figures",
    "compare": "write several runs as one HTML page, side by side",
    "submit": "send a run file to a cluster as a job",
    "jobs": "list the jobs of a cluster, or show or follow one of them",
    "stop": "stop a job, and wait until it has stopped",
    "check": "validate a run file; print all its keys, the size of the space and the range of costs",
}

JOB_VERBS = ("submit", "jobs", "stop")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 done, 2 a mistake of the user's, 1 a failure, 130 interrupted, 143 terminated."""
    parser = argparse.ArgumentParser(
        prog="raynas",
        description="Neural architecture search at scale: one YAML file in, the best architectures out.",
        epilog="A killed or interrupted run continues where it was when the same command is given again. "
        "RAYNAS_TRACEBACK=1 shows where an error came from.",
    )
    parser.add_argument("--version", action="version", version=f"raynas {raynas.__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, description in VERBS.items():
        command = verbs.add_parser(verb, help=description, description=f"raynas {verb}: {description}.")
        if verb in ("report", "compare"):
            command.add_argument(
                "runs",
                nargs="+" if verb == "compare" else 1,
                metavar="RUN",
                help="the folder or URL of a run or sweep, or its run file",
            )
            command.add_argument(
                "--reuse",
                action="append",
                default=[],
                metavar="LOCATION",
                help="the folder or URL of a run that RUN reuses, to read its supernets too where it is beyond the "
                "storage of RUN; may be repeated",
            )
        elif verb in ("jobs", "stop"):
            command.add_argument("job", nargs="?" if verb == "jobs" else None, metavar="ID", help="a job's id")
        else:
            command.add_argument("file", metavar="FILE.yaml", help="the run file; jobs/ has examples")
            command.add_argument(
                "--set",
                action="append",
                default=[],
                metavar="KEY=VALUE",
                dest="overrides",
                help="override a key, such as --set train.epochs=10; may be repeated",
            )
            command.add_argument(
                "--quick",
                action="store_true",
                help="let the keys under `quick:` in the file override the others: the same run in small, in a folder "
                "of its own",
            )
        if verb in JOB_VERBS:
            command.add_argument(
                "--address",
                metavar="URL",
                help="the cluster's dashboard; by default RAY_API_SERVER_ADDRESS, else http://127.0.0.1:8265",
            )
        if verb in ("submit", "jobs"):
            command.add_argument("--follow", action="store_true", help="show the job's log; exit with its exit status")
        if verb == "submit":
            command.add_argument("--id", metavar="ID", help="the job's id; by default the run's name and six figures")
            command.add_argument(
                "--env",
                action="append",
                default=[],
                metavar="KEY=VALUE",
                help="a variable of the job's environment, beside RAYNAS_TRACEBACK of this one; may be repeated",
            )
            command.add_argument(
                "--list",
                action="store_true",
                help="print the files that would be sent, with their sizes, and the variables; send nothing",
            )
        if verb == "compare":
            command.add_argument("--out", default="comparison.html", metavar="FILE.html", help="the page to write")
        if verb == "rank":
            command.add_argument(
                "--sample",
                type=int,
                metavar="N",
                help="rank so many architectures, always the same ones; by default 1,000 by one-shot accuracy or loss "
                "and the whole space by other fitnesses",
            )
            command.add_argument(
                "--every-epoch",
                action="store_true",
                help="rank by angle or displacement after every epoch of training too",
            )
    options = parser.parse_args(arguments)
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
    if options.verb in ("report", "compare"):
        return _report(options)
    if options.verb in JOB_VERBS:
        return _jobs(options)
    with signals.imports():
        from rich.console import Console

        from raynas.config.reading import read_run_file
        from raynas.config.run_config import parse_config

    console = Console(file=sys.stdout, markup=False)
    if options.verb == "sweep":
        return _sweep(options, console)
    values, sweep = read_run_file(options.file, options.overrides, options.quick)
    if sweep is not None and options.verb != "check":
        raise ValueError(f"sweep: {options.file} is a sweep; give `raynas sweep` with it, or take that section out")
    config = options.config = parse_config(values)
    if options.verb == "check":
        with signals.imports():
            from raynas.stages.check import describe

        print(describe(config, Console(stderr=True)))
        if sweep is not None:
            from raynas.config.sweeps import load_sweep

            print(load_sweep(options.file, options.overrides, options.quick).describe())
        return 0
    _check_job(config)
    if options.verb == "profile":
        with signals.imports():
            from raynas.stages.run import profile_run

        print("\n".join(_profile(profile_run(config, console))))
    elif options.verb == "rank":
        with signals.imports():
            from raynas.on_ray.session import on_ray
            from raynas.stages.run import rank_run

        print("\n".join(_ranking(rank_run(config, console, on_ray, options.sample, options.every_epoch))))
    else:
        with signals.imports():
            from raynas.on_ray.session import on_ray
            from raynas.stages.run import run

        result = run(config, console, on_ray, ("train", "search") if options.verb == "run" else (options.verb,))
        if result is not None:
            print("\n".join(_table(result)))
    if config.report and options.verb in ("run", "rank"):
        from raynas.report.page import write_report
        from raynas.storage.mirror import push_report

        named = [config.train.reuse] if config.train.reuse else []
        print(f"report: {write_report(config.folder, _Reused({config.folder: config.location}, named))}")
        push_report(config.location, "driver")
    print(f"run folder: {config.location}")
    return 0


def _check_job(config: RunConfig) -> None:
    """Checks that what a job of a Ray cluster leaves does not lie in the folder that the cluster removes.

    Raises:
        ValueError: If `storage_path` is relative in a job.
    """
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" not in os.environ:  # which Ray sets for the command of a job
        return
    if "://" not in config.storage_path and not config.storage_path.startswith(("/", "~")):
        raise ValueError(
            f"storage_path: {config.storage_path!r} lies in {os.getcwd()}, the job's own folder, which is lost with "
            "the cluster; give --set storage_path=/FOLDER that all machines see"
        )


def _sweep(options: argparse.Namespace, console: Console) -> int:
    """Carries out a sweep and prints its table."""
    with signals.imports():
        from raynas.config.sweeps import load_sweep
        from raynas.on_ray.sweep import sweep_runs
        from raynas.report.sweep import table_lines

    sweep = load_sweep(options.file, options.overrides, options.quick)
    options.config = sweep.base
    _check_job(sweep.base)
    results = sweep_runs(sweep, console)
    failed = [trial for trial in results["trials"] if trial["status"] == "failed"]
    print("\n".join(table_lines(results)))
    print(f"report: {sweep.folder / 'report/index.html'}")
    print(f"sweep folder: {sweep.base.location}")
    if failed:
        raise RuntimeError(
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
        from raynas.report.sweep import write_sweep_report

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
        ValueError: If there is nothing of that name, or it is a file and no run file.
    """
    from pathlib import Path

    with signals.imports():
        from raynas.config.locations import is_url
        from raynas.config.reading import load_config
    from raynas.messages import shortened

    if is_url(run) or Path(run).is_dir():
        return run, []
    if not Path(run).exists():
        raise ValueError(
            f"{shortened(run, 300)}: there is neither a folder nor a file of that name; give the folder that `raynas "
            "run` named at its end, or the run file"
        )
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
        raise ValueError("--follow: give the ID of a job; `raynas jobs` lists them")
    client = jobs.connect(options.address)
    if options.verb == "stop":
        print(f"{options.job}: {jobs.stop(client, options.job)}")
    elif options.follow:
        return jobs.follow(client, options.job, write)
    else:
        columns = jobs.listed(client, options.job)
        print("\n".join(_lines(columns, left=("id", "status", "file"))) if columns["id"] else "no jobs")
    return 0


def _table(result: dict[str, Any]) -> list[str]:
    """Returns the best architectures as lines of text."""
    best = result["best"]
    columns = {
        ("fitness" if "+" in result["fitness"] else result["fitness"]): [_figure(one["fitness"]) for one in best],
        "spread": [_figure(one["spread"]) for one in best if "spread" in one],
        "accuracy": [f"{one['accuracy']:.2f} %" for one in best if "accuracy" in one],
        "loss": [f"{one['loss']:.4f}" for one in best if "loss" in one],
        "parameters": [f"{one['num_parameters']:,}" for one in best if "num_parameters" in one],
        "mult-adds": [f"{one['multiply_adds']:,}" for one in best if "multiply_adds" in one],
        result.get("column", "true"): [
            f"{one['true']:.2f} %" if one["true"] is not None else "?" for one in best if "true" in one
        ],
        "architecture": [one["description"] for one in best],
    }
    if result["fitness"] == "one_shot_accuracy":
        del columns["accuracy"]
    return [
        f"{result['evaluations']:,} architectures, {result['functions']:,} different functions, judged by "
        f"{result['name']} in {result['seconds']:.2f} s; the best:",
        *_lines(columns),
        *_remarks(result),
    ]


def _remarks(result: dict[str, Any]) -> list[str]:
    """Returns why numbers of a result say little, a line each."""
    return [f"note: {remark}" for remark in result.get("remarks") or ()]


def _profile(result: dict[str, Any]) -> list[str]:
    """Returns predicted and measured latencies as lines of text."""
    rows = [
        f"{1e3 * n['predicted']:9.3f} ms  {1e3 * n['measured']:9.3f} ms  {n['description']}" for n in result["networks"]
    ]
    return [
        f"latency of a batch of {result['batch_size']} on {result['device']}, {result['threads']} threads: the sum "
        "over candidates, and whole networks measured",
        f"{'predicted':>12}  {'measured':>12}",
        *rows,
        f"correlation {result['correlation']:.3f}, median error {100 * result['median_error']:.1f} %, worst "
        f"{100 * result['worst_error']:+.1f} %",
    ]


def _ranking(result: dict[str, Any]) -> list[str]:
    """Returns how well a fitness ranks the space as lines of text."""
    ranked = f"{result['cells']:,} of {result['space']:,} architectures"
    if result["table"] is None:
        row = result["rows"][0]
        known = [f"{key.removeprefix('tau_')} {_figure(row[key])}" for key in row if key.startswith("tau_")]
        return [
            f"{row['name']}: {ranked} scored. What it is worth is not known without a benchmark: give --set "
            "benchmark.path=FILE to hold it against the truth.",
            f"tau-b with the {' and with the '.join(known)}: a fitness that is nearly 1 there says nothing new.",
            *_remarks(result),
        ]
    rows = result["rows"]
    columns = {
        "": [row["name"] for row in rows],
        "tau-b": [_with_interval(row, "tau") for row in rows],
        "rho": [_with_interval(row, "rho") for row in rows],
        "pairs": ["undefined" if row["agreement"] is None else f"{row['agreement']:.1f} %" for row in rows],
        **{
            f"top {k}": [f"{row['top'][k]['mean']:.2f} %" if k in row["top"] else "" for row in rows]
            for k in ("1", "10", "100")
        },
        "tau-b, equal parameters": [_figure(row["tau_within"]) for row in rows],
    }
    return [
        f"{ranked} against {result['column']} of {result['table']}; in brackets 95 % of "
        f"{result['bootstrap']} resamples; pairs: the share ordered as the truth does; "
        "top k: mean true accuracy of the k best",
        *_lines(columns),
        *_remarks(result),
    ]


def _with_interval(row: dict[str, Any], key: str) -> str:
    interval = row[f"{key}_interval"]
    return _figure(row[key]) + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _figure(value: float | None) -> str:
    """Returns a number to the digits that matter."""
    if value is None:
        return "undefined"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}" if abs(value) >= 10 else f"{value:.4f}"


def _lines(columns: dict[str, list[str]], left: Sequence[str] = ("", "architecture")) -> list[str]:
    """Returns columns of text as aligned lines under their names, some to the left; empty ones are left out."""
    filled = {name: cells for name, cells in columns.items() if cells}
    widths = {name: max(len(name), *map(len, cells)) for name, cells in filled.items()}
    rows = zip(*filled.values(), strict=True)
    return [
        "  ".join(
            f"{cell:<{width}}" if name in left else f"{cell:>{width}}"
            for (name, width), cell in zip(widths.items(), row, strict=True)
        ).rstrip()
        for row in (tuple(filled), *rows)
    ]


if __name__ == "__main__":
    sys.exit(main())
