"""The verbs that write pages: report and compare."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raynas.errors import InputError
from raynas.optional import check_pages
from raynas.stages import signals

if TYPE_CHECKING:
    from pathlib import Path


def report(options: argparse.Namespace) -> int:
    """Writes the page of a run or sweep."""
    return _pages(options)


def compare(options: argparse.Namespace) -> int:
    """Writes the page of several runs, side by side."""
    return _pages(options)


def _pages(options: argparse.Namespace) -> int:
    """Writes the page of one run, or that of several."""
    from pathlib import Path

    check_pages(options.verb)
    with signals.imports():
        from raynas.config.locations import is_url
        from raynas.report.page import write_comparison, write_report
        from raynas.report.sweep_page import write_sweep_report

    locations, named = [], list(options.reuse)
    for run in options.runs:
        location, reused_by_file = _location(run)
        locations.append(location)
        named += reused_by_file
    folders = [place_of(location) for location in locations]
    reused = Reused(dict(zip(folders, locations, strict=True)), [*named, *locations])
    if options.verb == "compare":
        print(f"comparison: {write_comparison(folders, Path(options.out), reused)}")
    elif (folders[0] / "sweep.json").exists():
        print(f"report: {write_sweep_report(folders[0])}")
    else:
        print(f"report: {write_report(folders[0], reused, defaults_of)}")
    for line in reused.left_out:
        print(f"raynas: {line}", file=sys.stderr)
    if options.verb == "report" and is_url(locations[0]):
        from raynas.storage.mirror import push_report

        push_report(locations[0], "reader")
    return 0


def defaults_of(config: Mapping[str, Any]) -> Mapping[str, object]:
    """Returns the defaults of a configuration whose run does not state them, which loads torch."""
    with signals.imports():
        from raynas.config.default_values import default_values

    return default_values(config)


def _location(run: str) -> tuple[str, list[str]]:
    """Returns the folder or URL of a run that is named by it or by its run file, and what the run file reuses.

    Raises:
        InputError: If there is nothing of that name, or it is a file and no run file.
    """
    from pathlib import Path

    from raynas.config.job_files import PREFIX
    from raynas.config.locations import is_url
    from raynas.messages import shortened

    if is_url(run) or Path(run).is_dir():
        return run, []
    if not run.startswith(PREFIX) and not Path(run).exists():
        raise InputError(
            f"{shortened(run, 300)}: there is neither a folder nor a file of that name; give the folder that `raynas "
            "run` named at its end, or the run file"
        )
    with signals.imports():  # here, since only a run file needs torch
        from raynas.config.reading import load_config

    config = load_config(run)
    return config.location, [config.train.reuse] if config.train.reuse else []


class Reused:
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
            found = place_of(reused)
            refuse_links(found)
            return found
        self.left_out.append(left_out(reused))
        return None


def place_of(location: str) -> Path:
    """Returns the folder of a run that is to be read; one at a URL is pulled, but for its weights."""
    from pathlib import Path

    from raynas.config.locations import is_url

    if not is_url(location):
        return Path(os.path.expanduser(location))
    from raynas.storage.mirror import pulled

    return pulled(location, weights=False)
