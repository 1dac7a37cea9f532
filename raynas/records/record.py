"""The base of all records: a file of a run, or a line of it, as a checked value with a version.

One class writes a file and reads it. A reader ignores keys that it does not know, so that a file of a later raynas with
further keys can be read. The version grows only when the meaning of a key changes:

- A JSON file states its version under ``version``. A file that states none is of version 1.
- A line of a JSON-lines file states its version only from version 2 on: a later raynas may continue a file, so that a
  header could not speak for all lines.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from raynas.errors import InputError
from raynas.messages import echo, shortened
from raynas.records.damage import damage_of
from raynas.records.page_text import is_printable, printable

Number = int | float
"""A number as JSON has it; a truth value is none."""


def _as_list(value: Any) -> Any:
    """Returns a tuple as the list that JSON makes of it; anything else as it is."""
    return list(value) if isinstance(value, tuple) else value


Element = TypeVar("Element")
Listed = Annotated[list[Element], BeforeValidator(_as_list)]
"""A list; a writer may give a tuple."""

RERUN = "remove it to have its stage run again"
"""The usual remedy for a damaged file."""

PartType = TypeVar("PartType", bound="Part")
LineType = TypeVar("LineType", bound="Line")
RecordType = TypeVar("RecordType", bound="Record")


class Part(BaseModel):
    """Keys and values inside a record."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)

    written_last: ClassVar[tuple[str, ...]] = ()
    """Fields that are written after the keys which the class does not name."""

    def stated(self) -> dict[str, Any]:
        """Returns the values that the file states, by key; parts inside it stay parts."""
        values = {key: value for key, value in self.__dict__.items() if key in self.model_fields_set}
        return {**values, **(self.model_extra or {})}

    def numbers(self) -> dict[str, Number]:
        """Returns the numbers that the file states, by key."""
        return {key: value for key, value in self.stated().items() if is_number(value)}

    def content(self) -> dict[str, Any]:
        """Returns the plain values to write, in their order: those that were given."""
        values = {key: _plain(value) for key, value in self.stated().items()}
        for key in self.written_last:
            if key in values:
                values[key] = values.pop(key)
        return values

    @classmethod
    def checked(cls: type[PartType], content: object, where: str, remedy: str = RERUN) -> PartType:
        """Returns the part that plain values state.

        Args:
            content: The values.
            where: The file, and the place in it, for the message.
            remedy: What helps if the values are damaged.

        Raises:
            InputError: If a value is missing or of the wrong kind.
        """
        check_version(cls, content, where)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise InputError(f"{where}: {damage_of(cls, content, error)}; {remedy}") from error


def _plain(value: Any) -> Any:
    """Returns a value with all parts inside it as plain values."""
    if isinstance(value, Part):
        return value.content()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value


def is_number(value: object) -> bool:
    """Returns whether a value is a number, which a truth value is not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_version(cls: type[Part], content: object, where: str) -> None:
    """Checks that this raynas knows the version of a record.

    Raises:
        InputError: If it is a later one.
    """
    newest = getattr(cls, "newest", None)
    version = content.get("version", 1) if isinstance(content, Mapping) else 1
    if newest is not None and isinstance(version, int) and version > newest:
        place = where.replace(" is damaged", "")
        raise InputError(
            f"{place}: expected version {newest} or earlier, got {echo(version)}; update raynas to read it"
        )


class Record(Part):
    """A JSON file of a run or sweep.

    Attributes:
        version: Version of the file's layout; a file that states none is of version 1.
    """

    folder: ClassVar[str] = "run"
    """Whose folder holds the file: run or sweep."""

    file: ClassVar[str] = ""
    """The place of the file in that folder."""

    holds: ClassVar[str] = ""
    """What the file holds, in one line."""

    newest: ClassVar[int] = 1
    """The version that this class writes, and the latest that it reads."""

    version: int = 1

    def content(self) -> dict[str, Any]:
        """Returns the plain values to write, the version first."""
        return {"version": self.newest, **super().content()}

    @classmethod
    def read(cls: type[RecordType], file: Path, remedy: str = RERUN, *, for_page: bool = False) -> RecordType:
        """Returns the record that a file holds.

        Args:
            file: The file.
            remedy: What helps if it is damaged.
            for_page: Whether characters that a page cannot show are replaced.

        Raises:
            InputError: If the file is damaged, or of a later version.
        """
        data = file.read_bytes()
        fast = None if for_page and not is_printable(data) else _validated(cls, data)
        if fast is not None and fast.version <= cls.newest:
            return fast
        where = f"{file} is damaged"
        text = decoded(data, where, remedy)
        content = _parsed(text, where, remedy, first_line=None)
        return cls.checked(printable(content) if for_page else content, where, remedy)


class Line(Part):
    """A line of a JSON-lines file of a run.

    Attributes:
        version: Version of the line; a line that states none is of version 1.
    """

    folder: ClassVar[str] = "run"
    file: ClassVar[str] = ""
    holds: ClassVar[str] = ""
    newest: ClassVar[int] = 1

    version: int = 1

    def content(self) -> dict[str, Any]:
        """Returns the plain values to write; the version is among them from version 2 on."""
        values = super().content()
        values.pop("version", None)
        return values if self.newest == 1 else {"version": self.newest, **values}

    @classmethod
    def read_all(cls: type[LineType], file: Path, remedy: str = RERUN, *, for_page: bool = False) -> list[LineType]:
        """Returns the lines of a file; a last line that was not written to its end is left out.

        Args:
            file: The file; one that is not there has no lines.
            remedy: What helps if it is damaged.
            for_page: Whether characters that a page cannot show are replaced.

        Raises:
            InputError: If a line is damaged, or of a later version.
        """
        lines = []
        for number, data in enumerate(whole_lines(file), start=1):
            fast = None if for_page and not is_printable(data) else _validated(cls, data)
            if fast is not None and fast.version <= cls.newest:
                lines.append(fast)
                continue
            where = f"{file} is damaged at line {number}"
            content = _parsed(decoded(data, where, remedy), where, remedy, first_line=number)
            lines.append(cls.checked(printable(content) if for_page else content, where, remedy))
        return lines

    @classmethod
    def read_good(cls: type[LineType], file: Path) -> list[LineType]:
        """Returns the lines of a file up to the first that is damaged or was not written to its end."""
        lines: list[LineType] = []
        for data in whole_lines(file):
            line = cls.read_one(data)
            if line is None:
                break
            lines.append(line)
        return lines

    @classmethod
    def read_one(cls: type[LineType], data: bytes | str) -> LineType | None:
        """Returns the line that a text holds; None if it is damaged."""
        line = _validated(cls, data)
        return line if line is not None and line.version <= cls.newest else None


@dataclass(frozen=True)
class OtherFile:
    """A file that is no JSON: numbers, a table or text.

    Attributes:
        file: The place of the file in the folder of the run or sweep.
        holds: What the file holds, in one line.
        folder: Whose folder holds the file: run or sweep.
    """

    file: str
    holds: str
    folder: str = "run"


def whole_lines(file: Path) -> list[bytes]:
    """Returns the lines of a file that are written to their ends; none if the file is not there."""
    data = file.read_bytes() if file.exists() else b""
    return data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]


def text_of(records: Sequence[Line]) -> str:
    """Returns the text of lines of a file."""
    return "".join(f"{json.dumps(record.content())}\n" for record in records)


def _validated(cls: type[PartType], data: bytes | str) -> PartType | None:
    """Returns what a JSON text holds; None if it is damaged, or of JSON that only Python's own reader takes."""
    try:
        return cls.model_validate_json(data)
    except ValidationError:
        return None


def decoded(data: bytes, where: str, remedy: str) -> str:
    """Returns the text of bytes.

    Raises:
        InputError: If they are not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = "" if " at line " in where else f" at line {data[: error.start].count(10) + 1}"
        raise InputError(f"{where}{line} (it is not UTF-8 text); {remedy}") from error


def _parsed(text: str, where: str, remedy: str, first_line: int | None) -> Any:
    """Returns the values of a JSON text; its errors name the line, of a file of one value that in the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f" at line {error.lineno}" if first_line is None else ""
        raise InputError(f"{where}{line} ({error.msg}); {remedy}") from error
    except RecursionError as error:
        raise InputError(f"{where} (lists in lists without end); {remedy}") from error
    except ValueError as error:
        raise InputError(f"{where} ({shortened(str(error))}); {remedy}") from error
