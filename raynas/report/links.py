"""Links between the pages of a run, of its sweep, of the run that it reuses, and of a comparison.

A link is relative and leads to a page that exists. It follows from where folders lie once links of the file system are
resolved, never from texts in their files.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from raynas.report.blocks import Piece, Text

PAGE = "report/index.html"

HasPage: TypeAlias = Callable[[Path], bool]
"""Whether the folder of a run or sweep has a page to link to."""


def has_page(folder: Path) -> bool:
    """Returns whether the page of a run or sweep was written."""
    return (folder / PAGE).is_file()


def link_to(folder: Path, text: str, page: Path, exists: HasPage = has_page) -> Text:
    """Returns a text that links to the page of a run or sweep; a plain text if it has none.

    Args:
        folder: The folder of the run or sweep.
        text: The text of the link.
        page: The folder of the page that has the link.
        exists: Returns whether a folder has a page.
    """
    if not exists(folder):
        return text
    address = os.path.relpath(folder.resolve() / PAGE, page.resolve())
    return (Piece("link", text, quote(address.replace(os.sep, "/"))),)


def home_link(home: str | None) -> list[tuple[str, Text]]:
    """Returns the line of a page with a link to the list of all runs; nothing for a page without a server."""
    return [] if home is None else [("All runs", (Piece("link", "list", home),))]
