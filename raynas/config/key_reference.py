"""The reference of all keys by section, made from the sections and the rows; `jobs/README.md` has it between two marks.

``python -m raynas.config.key_reference jobs/README.md`` brings the page up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from raynas.config.key_docs import KeyDoc, key_docs, section_docs
from raynas.config.key_text import default_in_words, null_in_words
from raynas.records.file_table import between_marks
from raynas.spaces import SPACES

BEGIN, END = "<!-- keys: made by raynas.config.key_reference -->", "<!-- /keys -->"
"""The marks around the reference."""

HEAD = ["| key | takes | default | meaning |", "|---|---|---|---|"]


def reference() -> str:
    """Returns the reference in Markdown: a table for each section, and one for each space."""
    keys, texts = key_docs(), section_docs()
    blocks = ["### Top of the file", "", *_table([key for key in keys if not key.section])]
    for section in dict.fromkeys(key.section for key in keys if key.section):
        of_section = [key for key in keys if key.section == section and not key.owner]
        blocks += ["", f"### `{section}`", "", texts[section], "", *_table(of_section)]
        if section == "space":
            for name in SPACES.names():
                of_space = [key for key in keys if key.space == name]
                blocks += ["", f"#### `space.name: {name}`", "", *_table(of_space)]
        if section == "data":
            for name in dict.fromkeys(key.data_set for key in keys if key.data_set):
                of_data_set = [key for key in keys if key.data_set == name]
                blocks += ["", f"#### `data.name: {name}`", "", *_table(of_data_set)]
    return "\n".join(blocks)


def _table(keys: Sequence[KeyDoc]) -> list[str]:
    """Returns a Markdown table of keys. A key that may change when a run is resumed has a star."""
    lines = list(HEAD)
    for key in keys:
        star = "" if key.execution is None else " *"
        takes = key.kind
        if key.family is not None:
            takes = ", ".join(f"`{name}`" for name in key.family.names())
        meaning = key.text
        by_algorithm = null_in_words(key)
        if by_algorithm:
            meaning += f" By algorithm: {by_algorithm}."
        cells = (f"`{key.name}`{star}", takes, f"`{default_in_words(key)}`", meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return lines


def with_reference(text: str) -> str:
    """Returns a text with the reference brought up to date.

    Args:
        text: A text with the marks around a part of it.

    Raises:
        InputError: If the text has no marks.
    """
    return between_marks(text, BEGIN, END, reference())


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_reference(page.read_text(encoding="utf-8")), encoding="utf-8")
