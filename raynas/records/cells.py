"""Text of a run as cells of CSV and as Markdown, so that no program takes it for a formula or for markup."""

from __future__ import annotations

import re
from typing import TypeVar

Cell = TypeVar("Cell")

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff20")
"""How a text begins that a spreadsheet takes for a formula; the last two are the wide forms of = and @."""

NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"


def csv_cell(value: Cell) -> Cell | str:
    """Returns a value as a cell of CSV.

    A text that a spreadsheet would take for a formula gets an apostrophe in front. Numbers, and texts that are
    numbers, stay as they are.
    """
    is_formula = isinstance(value, str) and value.lstrip(" ").startswith(FORMULA) and not re.fullmatch(NUMBER, value)
    return f"'{value}" if is_formula else value


MARKUP = re.compile(
    r"[\\`*\[\]<|~]"  # code, emphasis, links, pictures, HTML, cells, strikethrough
    r"|(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])"  # emphasis; none inside a word
    r"|&(?=#?\w+;)"  # entities
    r"|^(?:[-+=](?=[-+=\s]|$)|#(?=[#\s]|$)|>)"  # lists, rules, headings, quotations
    r"|(?<=^\d)[.)](?=\s|$)"  # numbered lists
)


def markdown_text(text: str) -> str:
    """Returns a text as one line of Markdown that shows it as it is: no markup, no link, no picture, no HTML."""
    return MARKUP.sub(lambda found: f"\\{found[0]}", " ".join(text.split()))
