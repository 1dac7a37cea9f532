"""Pages that compare runs of a folder. A reader chooses them by links: each adds a run to the page, or removes one.

The address names the runs, such as ``compare/one/other/index.html``, so that no page has a state.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from raynas.errors import InputError
from raynas.report.blocks import Head, Paragraph, Piece, Section, Text
from raynas.report.document import document
from raynas.report.links import PAGE
from raynas.report.page import live_comparison_page

MOST = 12
"""Largest number of runs on a page."""


def compare_link(names: Sequence[str], text: str, up: int) -> Piece:
    """Returns a link to the page that compares runs.

    Args:
        names: The names of the runs.
        text: The text of the link.
        up: Number of folders in the address of the page that has the link.
    """
    address = "/".join(["compare", *(quote(name, safe="") for name in names), "index.html"])
    return Piece("link", text, "../" * up + address)


def comparison_page(folder: Path, names: Sequence[str], others: Sequence[str]) -> str:
    """Returns the page of the runs that were chosen; with one of them only the links that add another.

    Args:
        folder: The folder of runs.
        names: The runs that were chosen.
        others: The runs that can be added.
    """
    up = len(names) + 1
    lines: list[tuple[str, Text]] = []
    if names:
        without: dict[str, Sequence[str]] = {}
        for place, name in enumerate(names):
            without[name] = [*names[:place], *names[place + 1 :]]
        lines.append(("Remove", _links(without, up)))
    if others and len(names) < MOST:
        lines.append(("Add", _links({name: [*names, name] for name in others}, up)))
    lines.append(("All runs", (Piece("link", "list", "../" * up),)))
    if len(names) < 2:
        sections = [Section("Choose runs", [Paragraph("A comparison takes two runs or more: add them above.")])]
        return document("comparison · raynas", Head("Comparison", lines), sections, live=True)
    try:
        link = functools.partial(_run_link, up=up)
        return live_comparison_page([folder / name for name in names], link, lines)
    except InputError as error:
        sections = [Section("Nothing to show yet", [Paragraph(str(error))])]
        return document("comparison · raynas", Head("Comparison", lines), sections, live=True)


def _links(chosen: Mapping[str, Sequence[str]], up: int) -> Text:
    """Returns a link for each name, to the page of the runs that are chosen after a click on it."""
    parts: list[str | Piece] = []
    for name, names in chosen.items():
        parts += [compare_link(names, name, up), " · "]
    return tuple(parts[:-1])


def _run_link(folder: Path, name: str, up: int) -> Text:
    """Returns a link to the page of a run."""
    return (Piece("link", name, f"{'../' * up}runs/{quote(folder.name, safe='')}/{PAGE}"),)
