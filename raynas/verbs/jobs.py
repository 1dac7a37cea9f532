"""The verbs of jobs on a cluster: submit, jobs and stop."""

from __future__ import annotations

import argparse
import json
import sys

from raynas.errors import InputError
from raynas.optional import check_installed
from raynas.report.text_tables import aligned_lines, rows_of
from raynas.stages import signals


def submit(options: argparse.Namespace) -> int:
    """Sends a run file as a job; returns the exit status, of a job that is followed its own."""
    from pathlib import Path

    _check_installed(options.verb)
    with signals.imports():
        from raynas.config.job_files import located
        from raynas.on_ray import jobs as on_ray
        from raynas.on_ray.packing import package

    file, sent = located(options.file), package(Path.cwd())
    variables = on_ray.environment(options.env)
    if options.list:
        print("\n".join([*sent.lines(), f"variables: {', '.join(variables)}"]))
        return 0
    config = on_ray.checked(file, options.overrides, options.quick, sent)
    client = on_ray.connect(options.address)
    job = on_ray.submit(
        client,
        sent,
        on_ray.entrypoint(file, options.overrides, options.quick, sent.folder),
        variables,
        options.id or on_ray.new_id(config),
        say=lambda line: print(f"raynas: {line}", file=sys.stderr),
        metadata=on_ray.metadata_of(config, file),
    )
    print(job, flush=True)
    return on_ray.follow(client, job, _write) if options.follow else 0


def jobs(options: argparse.Namespace) -> int:
    """Lists jobs, or shows or follows one; returns the exit status, of a job that is followed its own."""
    _check_installed(options.verb)
    with signals.imports():
        from raynas.on_ray import jobs as on_ray

    if options.follow and options.job is None:
        raise InputError("--follow: give the ID of a job; `raynas jobs` lists them")
    client = on_ray.connect(options.address)
    if options.follow:
        return on_ray.follow(client, options.job, _write)
    columns = on_ray.listed(client, options.job)
    if options.json:
        print(json.dumps(rows_of(columns), indent=2))
        return 0
    print("\n".join(aligned_lines(columns, left=("id", "status", "file"))) if columns["id"] else "no jobs")
    return 0


def stop(options: argparse.Namespace) -> int:
    """Stops a job, and prints how it ended."""
    _check_installed(options.verb)
    with signals.imports():
        from raynas.on_ray import jobs as on_ray

    client = on_ray.connect(options.address)
    print(f"{options.job}: {on_ray.stop(client, options.job)}")
    return 0


def _check_installed(verb: str) -> None:
    """Checks that what talks to clusters is installed.

    Raises:
        InputError: If it is not.
    """
    for package in ("ray", "pathspec"):
        check_installed(package, "ray", verb)


def _write(text: str) -> None:
    print(text, end="", flush=True)
