"""The verb that lists what there is: members of raynas, its run files and recipes, and the runs of a folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from raynas.arguments import LISTS
from raynas.errors import InputError
from raynas.messages import echo
from raynas.report.text_tables import aligned_lines
from raynas.stages import signals

Rows: TypeAlias = "list[dict[str, Any]]"
"""A table as a list of rows, each with the same columns."""


def list_(options: argparse.Namespace) -> int:
    """Prints a list as a table or as JSON; without a kind, the names of every list."""
    if options.folder is not None and options.kind != "runs":
        raise InputError(f"DIR: only `raynas list runs` takes a folder, got {echo(options.folder)}; leave it out")
    if options.kind is None:
        _print_overview(options.json)
        return 0
    rows = _runs(options.folder) if options.kind == "runs" else _TABLES[options.kind]()
    if options.json:
        print(json.dumps(rows, indent=2, default=str))
    elif rows:
        print("\n".join(_table(rows)))
    else:
        print(f"no {options.kind}")
    return 0


def _print_overview(as_json: bool) -> None:
    """Prints the names of every list but that of runs."""
    names = {kind: _names(make()) for kind, make in _TABLES.items()}
    if as_json:
        print(json.dumps(names, indent=2))
        return
    width = max(map(len, names))
    for kind, of_kind in names.items():
        print(f"{kind.ljust(width)}  {', '.join(of_kind)}")
    print(
        f"{'runs'.ljust(width)}  `raynas list runs` reads a folder of runs; `raynas list KIND` says more of each kind"
    )


def _names(rows: Rows) -> list[str]:
    return [row["name"] for row in rows]


def _table(rows: Rows) -> list[str]:
    """Returns rows as aligned lines; numbers align right, and empty columns are left out."""
    shown: dict[str, list[str]] = {}
    left: list[str] = []
    for name in rows[0]:
        values = [row[name] for row in rows]
        cells = list(map(_cell, values))
        if any(cells):
            shown[name] = cells
        if not all(map(_is_number, values)):
            left.append(name)
    return aligned_lines(shown, left)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    """Returns a value of a table as text."""
    if value is None or value == "":
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _algorithms() -> Rows:
    with signals.imports():
        from raynas.algorithms import ALGORITHMS
        from raynas.config.member_docs import member_docs

    rows = []
    for member in member_docs(ALGORITHMS):
        entries = ALGORITHMS.row(member.name).in_words()
        parts = {key: entries[entry] for key, entry in _PARTS.items()}
        rows.append({"name": member.name, **parts, "what": member.title})
    return rows


_PARTS = {"weights": "sampling", "labels": "labels", "alphas": "gates", "searcher": "search", "fitness": "fitness"}
"""Columns of the list of algorithms, each with the entry of the row."""


def _spaces() -> Rows:
    with signals.imports():
        from raynas.config.member_docs import member_docs
        from raynas.spaces import SPACES

    rows = []
    for member in member_docs(SPACES):
        space = SPACES.row(member.name)()
        rows.append({"name": member.name, "architectures": _size(space.num_architectures), "what": member.title})
    return rows


def _size(number: int) -> str:
    return f"{number:,}" if number < 1_000_000 else f"{number:.2g}"


def _fitnesses() -> Rows:
    with signals.imports():
        from raynas.config.member_docs import member_docs
        from raynas.fitness import FITNESSES

    rows = []
    for member in member_docs(FITNESSES):
        unit = FITNESSES.row(member.name).unit
        rows.append({"name": member.name, "unit": unit, "what": member.title, "needs": list(member.needs)})
    return rows


def _searchers() -> Rows:
    with signals.imports():
        from raynas.config.member_docs import member_docs
        from raynas.search import SEARCHERS

    return [
        {"name": member.name, "what": member.title, "needs": list(member.needs)} for member in member_docs(SEARCHERS)
    ]


def _data() -> Rows:
    with signals.imports():
        from raynas.config.member_docs import member_docs
        from raynas.data import DATASETS

    rows = []
    for member in member_docs(DATASETS):
        source = DATASETS.row(member.name)
        known = source.known
        rows.append(
            {
                "name": member.name,
                "images": None if known is None else known.images,
                "classes": None if known is None else known.num_classes,
                "downloaded": "yes" if source.is_downloaded else "",
                "what": member.title,
            }
        )
    return rows


def _jobs() -> Rows:
    from raynas.config.job_files import PREFIX, job_names, job_title

    return [{"name": f"{PREFIX}{name}", "what": job_title(name)} for name in job_names()]


def _recipes() -> Rows:
    with signals.imports():
        from raynas import recipes

    rows = []
    for name in recipes.names():
        recipe = recipes.read(name)
        rows.append(
            {"name": name, "space": recipe["space"]["name"], "what": recipe["title"], "source": recipe["source"]}
        )
    return rows


def _runs(folder: str | None) -> Rows:
    """Returns the runs and sweeps of a folder, the latest first.

    Raises:
        InputError: If there is no such folder.
    """
    with signals.imports():
        from raynas.storage.run_list import runs_in

    rows = []
    for run in runs_in(Path(folder or "runs").expanduser()):
        state = f"{run.state} (running)" if run.is_running else run.state
        rows.append({"name": run.name, "kind": run.kind, "state": state, "best": run.best, "age": run.written_age})
    return rows


def _trackers() -> Rows:
    """Returns the trackers, and whether the package of each is installed."""
    with signals.imports():
        from raynas.optional import install_line, is_installed
        from raynas.trackers import TRACKERS

    rows = []
    for name in TRACKERS.names():
        row = TRACKERS.row(name)
        is_ready = not row.module or is_installed(row.module)
        rows.append({"name": name, "what": row.title, "installed": "yes" if is_ready else install_line(row.extra)})
    return rows


_TABLES: dict[str, Callable[[], Rows]] = {
    "algorithms": _algorithms,
    "spaces": _spaces,
    "fitnesses": _fitnesses,
    "searchers": _searchers,
    "data": _data,
    "trackers": _trackers,
    "jobs": _jobs,
    "recipes": _recipes,
}
"""What makes the table of each kind; that of runs needs a folder."""

assert {*_TABLES, "runs"} == set(LISTS)
