"""The pages that the server shows: the list of runs, the page of each run, sweep and trial, and comparisons.

A page is made in memory from the records, again when they have changed. Nothing is written into a run's folder.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from raynas.errors import InputError
from raynas.report.blocks import Block, Head, Paragraph, Piece, Section, Table, Text
from raynas.report.document import document
from raynas.report.links import PAGE, home_link
from raynas.report.page import Defaults, live_run_page
from raynas.report.sweep_page import live_sweep_page
from raynas.storage.run_list import ListedRun, is_run, runs_in
from raynas.ui.comparison_pages import MOST, compare_link, comparison_page

RECORDS = (
    *("config.json", "data.json", "progress.json", "profile.json", "sweep.json", "results.json"),
    *("search/*", "rank/*.json", "rank/*.csv", "retrain/*/result.json", "supernet/*/*.jsonl", "supernet/*/alphas.npy"),
    *("trials/*/config.json", "trials/*/supernet/*/metrics.jsonl", "supernets/*/supernet/*/metrics.jsonl"),
)
"""The files that a page is made of, as patterns below the folder of a run or sweep."""

OF_SWEEPS = ("trials", "supernets")
"""Folders of a sweep that hold runs with pages of their own."""

Place: TypeAlias = Path | tuple[str, ...] | None
"""What a page shows: the folder of a run, the names of runs that are compared, or None for the list of runs."""


@dataclass(frozen=True)
class Served:
    """A page and the version of the records that it shows."""

    version: str
    content: str


class Pages:
    """The pages of a folder of runs, each kept until its records change."""

    def __init__(self, folder: Path, defaults_of: Defaults) -> None:
        """Takes the folder, and what returns the defaults of a configuration."""
        self._folder, self._defaults_of = folder, defaults_of
        self._kept: dict[Path | tuple[str, ...], Served] = {}
        self._lock = threading.Lock()  # matplotlib draws one figure at a time

    def place(self, parts: list[str]) -> Path | None:
        """Returns the folder of a run, or of a run inside of a sweep, by its names; None if there is none.

        A name is compared with those of the folders that exist, so it cannot lead elsewhere.

        Args:
            parts: The name of a run; for a run of a sweep the names of the sweep, ``trials`` or ``supernets``, and the
                run.
        """
        found = _named(self._folder, parts[0]) if parts else None
        if found is None or len(parts) == 1:
            return found
        if len(parts) == 3 and parts[1] in OF_SWEEPS and (found / "sweep.json").is_file():
            inner = _named(found, parts[1], any_content=True)
            return None if inner is None else _named(inner, parts[2])
        return None

    def _has_page(self, folder: Path) -> bool:
        """Returns whether a folder is a run that is served here, so that a page can link to it."""
        root, found = self._folder.resolve(), folder.resolve()
        return root in found.parents and self.place(list(found.relative_to(root).parts)) is not None

    def chosen(self, names: list[str]) -> tuple[str, ...] | None:
        """Returns the names of runs to compare; None if one of them is no run here, or is there twice.

        A sweep is none: its trials are compared on its own page.
        """
        if len(names) > MOST or len(set(names)) < len(names):
            return None
        places = [self.place([name]) for name in names]
        if any(place is None or (place / "sweep.json").is_file() for place in places):
            return None
        return tuple(names)

    def version(self, place: Place) -> str:
        """Returns the version of a page: it changes when a record of it changes.

        Args:
            place: The folder of a run, or the names of runs to compare; None for the list of runs.
        """
        if place is None:
            return _digest(repr([_row(run) for run in runs_in(self._folder)]))
        if isinstance(place, Path):
            return _digest("\n".join(_states_of_records(place)))
        versions = [self.version(self._folder / name) for name in place]
        return _digest("\n".join([*versions, *self._others(place)]))

    def page(self, place: Place) -> str:
        """Returns a page; that of a run which has no result yet, or is damaged, says so."""
        if place is None:
            return self._list()
        version = self.version(place)
        with self._lock:
            kept = self._kept.get(place)
            if kept is None or kept.version != version:
                kept = Served(version, self._made(place))
                self._kept[place] = kept
        return kept.content

    def _others(self, names: tuple[str, ...]) -> list[str]:
        """Returns the names of the runs that can be added to a comparison, the latest first."""
        known = [run for run in runs_in(self._folder) if run.kind == "run" and not run.folder.is_symlink()]
        return [run.name for run in known if run.name not in names]

    def _made(self, place: Path | tuple[str, ...]) -> str:
        if not isinstance(place, Path):
            return comparison_page(self._folder, place, self._others(place))
        depth = len(place.relative_to(self._folder).parts)
        home = "../" * (depth + 2)  # a page lies below runs/, and in report/
        try:
            if (place / "sweep.json").is_file():
                return live_sweep_page(place, self._has_page, home)
            return live_run_page(place, self._defaults_of, self._has_page, home)
        except InputError as error:
            sections = [Section("Nothing to show yet", [Paragraph(str(error))])]
            head = Head(place.name, home_link(home))
            return document(f"{place.name} · raynas", head, sections, live=True)

    def _list(self) -> str:
        runs = runs_in(self._folder)
        rows: list[list[Text]] = []
        for run in runs:
            link = Piece("link", run.name, f"runs/{quote(run.name)}/{PAGE}")
            rows.append([(link,), *_row(run)[1:]])
        head = ["name", "kind", "state", "best", "last change"]
        running = [place for place, run in enumerate(runs) if run.is_running]
        blocks: list[Block] = [Paragraph("There is no run in this folder yet.")]
        if rows:
            caption = "Shaded: a process works on it." if running else ""
            blocks = [Table(head, rows, marked=running, caption=caption)]
        if len(self._others(())) > 1:
            blocks.append(Paragraph((compare_link([], "Compare runs", up=0),)))
        title = self._folder.absolute().name
        return document(f"{title} · raynas", Head(title), [Section("Runs", blocks)], live=True)


def _row(run: ListedRun) -> list[str]:
    """Returns the cells of a run in the list."""
    age = "now"  # a version of the list that counted seconds would change with each of them
    if run.age >= 60:
        age = f"{run.written_age} ago".replace(" ", "\N{NO-BREAK SPACE}", 1)
    return [run.name, run.kind, run.state, run.best or "–", age]


def _named(folder: Path, name: str, *, any_content: bool = False) -> Path | None:
    """Returns the folder of a run directly inside another; None if there is none of exactly that name."""
    for place in folder.iterdir():
        if place.name == name and place.is_dir() and not place.is_symlink():
            return place if any_content or is_run(place) else None
    return None


def _states_of_records(place: Path) -> Iterator[str]:
    """Yields name, size and time of every record of a run."""
    for pattern in RECORDS:
        for file in sorted(place.glob(pattern)):
            try:
                state = os.stat(file, follow_symlinks=False)
            except OSError:  # removed meanwhile
                continue
            yield f"{file.relative_to(place)} {state.st_size} {state.st_mtime_ns}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
