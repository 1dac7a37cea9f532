"""The record of a page's figures."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, model_validator

from raynas.records.record import Record

FIGURE = r"[A-Za-z0-9-]+\.(svg|png)"
"""The names of the files of figures, as a regular expression."""


def _names_of_figures(value: Any) -> Any:
    """Returns the entries that can be names of figures, sorted; a file of somebody else may hold any."""
    if not isinstance(value, list | set):
        return value
    return sorted({name for name in value if isinstance(name, str) and re.fullmatch(FIGURE, name)})


class FiguresRecord(Record):
    """The figures of a page, so that the next page removes those that it lacks.

    Attributes:
        figures: Names of the files in the page's folder `figures`.
    """

    file: ClassVar[str] = "report/figures.json"
    holds: ClassVar[str] = "the figures of the page, so that the next page removes those that it lacks"
    newest: ClassVar[int] = 2

    version: int = 2
    figures: Annotated[list[str], BeforeValidator(_names_of_figures)]

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, content: Any) -> Any:
        """Returns the content of a file of version 1, which was the list alone, as one of this version."""
        return {"figures": content} if isinstance(content, list) else content
