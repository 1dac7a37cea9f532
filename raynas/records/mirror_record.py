"""The record of a mirror: the state of a run's files when its folder and its URL were last the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import model_validator

from raynas.records.record import Listed, Record


class MirrorRecord(Record):
    """The files of a run when its folder and its URL were last the same.

    Attributes:
        files: Size in bytes and time in nanoseconds of each file, by its path: at the URL, then in the folder.
    """

    file: ClassVar[str] = ".mirror.json"
    holds: ClassVar[str] = "of a run at a URL: the state of its files when both sides were last the same"
    newest: ClassVar[int] = 2

    version: int = 2
    files: dict[str, Listed[Listed[int]]]

    @model_validator(mode="before")
    @classmethod
    def _of_version_1(cls, content: Any) -> Any:
        """Returns the content of a file of version 1, which held the files alone, as one of this version."""
        if isinstance(content, Mapping) and "version" not in content and "files" not in content:
            return {"files": content}
        return content
