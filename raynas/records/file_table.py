"""The table of the files that a run or sweep leaves, made from their records; README.md here has it between two marks.

``python -m raynas.records.file_table raynas/records/README.md`` brings that table up to date.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path

from raynas import records
from raynas.docstrings import attribute_docs
from raynas.errors import InputError
from raynas.records.record import Line, OtherFile, Part, Record

BEGIN, END = "<!-- files: made by raynas.records.file_table -->", "<!-- /files -->"
"""The marks around the table."""

FileKind = type[Record] | type[Line] | OtherFile


def file_kinds(folder: str) -> list[FileKind]:
    """Returns every kind of file that is left in the folder of a run or of a sweep, by its place.

    Args:
        folder: ``run`` or ``sweep``.
    """
    found: dict[str, FileKind] = {}
    for module in pkgutil.iter_modules(records.__path__):
        for value in vars(importlib.import_module(f"raynas.records.{module.name}")).values():
            if _is_file(value) and value.folder == folder:
                found[value.file] = value
    return [found[file] for file in sorted(found)]


def _is_file(value: object) -> bool:
    is_record = inspect.isclass(value) and issubclass(value, Record | Line)
    return isinstance(value, OtherFile) or (is_record and bool(getattr(value, "file", "")))


def documented_fields(part: type[Part]) -> dict[str, str]:
    """Returns what each field of a record is, by its name, as docstrings say."""
    shared = {name for base in (Record, Line) for name in attribute_docs(base, Part)}
    return {name: text for name, text in attribute_docs(part, Part).items() if name not in shared}


def file_table(folder: str) -> str:
    """Returns a Markdown table of the files: place, what the file holds, and its keys.

    Args:
        folder: ``run`` or ``sweep``.
    """
    lines = ["| file | holds | keys |", "|---|---|---|"]
    for kind in file_kinds(folder):
        keys = "" if isinstance(kind, OtherFile) else ", ".join(f"`{key}`" for key in documented_fields(kind))
        lines.append(f"| `{kind.file}` | {kind.holds} | {keys} |")
    return "\n".join(lines)


def with_tables(text: str, tables: Mapping[str, str]) -> str:
    """Returns a text with its tables brought up to date.

    Args:
        text: A text with the marks around a part of it.
        tables: The tables by a line before each.

    Raises:
        InputError: If the text has no marks.
    """
    parts = [f"{title}\n\n{table}" for title, table in tables.items()]
    return between_marks(text, BEGIN, END, "\n\n".join(parts))


def between_marks(text: str, begin: str, end: str, content: str) -> str:
    """Returns a text with other content between two marks.

    Raises:
        InputError: If the text has no marks.
    """
    before, first, rest = text.partition(begin)
    _, second, after = rest.partition(end)
    if not first or not second:
        raise InputError(f"expected the marks {begin} and {end}")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def all_tables() -> dict[str, str]:
    """Returns the tables of a run and of a sweep, by the line before each."""
    return {
        "In the folder of a run (`*` is a seed, an epoch or the label of a fitness):": file_table("run"),
        "In the folder of a sweep, beside a run in `trials/*/` for each trial:": file_table("sweep"),
    }


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(with_tables(readme.read_text(encoding="utf-8"), all_tables()), encoding="utf-8")
