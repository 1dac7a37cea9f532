"""What the options of a part are made of: checked values with a name, a default and a documentation.

A part of raynas that takes options declares them once, as a subclass of `Options` beside its code. The section of the
run file is composed of these classes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import core_schema

from raynas.errors import InputError
from raynas.messages import echo, shortened

MOST = 10**9
"""The largest whole number that a key takes, but for seeds and for keys with a smaller bound of their own."""
Positive = Annotated[int, Field(ge=1, le=MOST)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Processes = Annotated[int, Field(ge=1, le=100_000)]
"""Processes, or the CPUs or threads of one."""
Images = Annotated[int, Field(ge=1, le=1_000_000)]
"""Images, or architectures, of which one process holds all at a time."""
Pixels = Annotated[int, Field(ge=0, le=4_096)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Share = Annotated[float, Field(gt=0, le=1)]


def _expanded(location: str) -> str:
    """Returns a path or URL with ``~`` and variables such as ``$HOME`` or ``${HOME}`` replaced by what they stand for.

    Raises:
        InputError: If a variable is not set, or there is no such user.
    """
    for name in re.findall(r"\$(\w+)|\$\{([^}]*)\}", location):
        variable = "".join(name)
        if variable not in os.environ:
            raise InputError(
                f"expected variables that are set, got {echo(location)}, and {shortened(variable)} is not; set it, or "
                "write the path out"
            )
    expanded = os.path.expanduser(os.path.expandvars(location))
    if expanded.startswith("~"):
        raise InputError(f"expected a user's home, got {echo(location)}; write the path out, or ./ before the name")
    if not expanded:
        raise InputError(f"expected a path, got {echo(location)}; leave the key out for the default")
    return expanded


Location = Annotated[str, AfterValidator(_expanded)]
"""A path or a URL."""


@dataclass(frozen=True)
class Execution:
    """Marks a key that says where and how a run is executed, not what it computes; written as ``Annotated[int, ...]``.

    Such a key may change between resumes.

    Attributes:
        rounds: Whether the key changes the order in which numbers are added up. Results then agree to rounding, not to
            the bit.
    """

    rounds: bool = False


class OneOf:
    """Restricts a key to names that are stated beside the code; written as ``Annotated[str, OneOf(TABLE)]``."""

    def __init__(self, names: Iterable[str]) -> None:
        """Takes the names, for example the keys of a table of functions."""
        self._names = list(names)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Returns the schema of a literal of the names, so that messages list them."""
        return core_schema.literal_schema(self._names)


class Options(BaseModel):
    """Options of a part of raynas: unknown keys, wrong types and numbers that are not finite are refused."""

    further_keys: ClassVar[tuple[str, ...]] = ()
    """Keys that a file may have beside these, which are read before the others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


OptionsType = TypeVar("OptionsType", bound=Options)


def marked_keys(section: type[Options], prefix: str = "") -> Iterator[tuple[str, Execution]]:
    """Yields the keys of a section and of the sections inside it that are marked, each with its mark.

    Args:
        section: The section.
        prefix: What leads the names of its keys, such as ``train.``.
    """
    for key, field in section.model_fields.items():
        for mark in field.metadata:
            if isinstance(mark, Execution):
                yield prefix + key, mark
        if isinstance(field.annotation, type) and issubclass(field.annotation, Options):
            yield from marked_keys(field.annotation, f"{prefix}{key}.")
