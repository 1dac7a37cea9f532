"""Keys of the run file that name a member: by the name of a row, by a dotted path, or in Python by the row itself."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import core_schema

from raynas.config.explain import own_words
from raynas.members import Family

AnyFamily: TypeAlias = "Family[Any]"


@dataclass(frozen=True)
class Naming:
    """Marks a key that names members of a family, one or a list of them; a row is replaced by its name.

    Attributes:
        family: The family.
        is_loaded: Whether a name is looked up when the file is read. Otherwise whoever uses the key does it.
    """

    family: AnyFamily
    is_loaded: bool = True

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Returns the schema of the key, with rows replaced and names looked up before."""
        return core_schema.no_info_before_validator_function(
            functools.partial(_names_of, self.family, is_loaded=self.is_loaded), handler(source)
        )


def named(family: AnyFamily, is_loaded: bool = True) -> Naming:
    """Returns the mark of a key that names members of a family.

    Example:
        ``sampling: Annotated[str, named(SAMPLINGS)] | None = None``

    Args:
        family: The family.
        is_loaded: As `Naming` takes it.
    """
    return Naming(family, is_loaded)


def _names_of(family: AnyFamily, value: Any, is_loaded: bool) -> Any:
    """Returns the names or dotted paths of members; what is neither that nor a row is returned as it is.

    Raises:
        PydanticCustomError: If there is no such member.
    """
    if isinstance(value, list | tuple):
        return [_names_of(family, one, is_loaded) for one in value]
    try:
        if family.holds(value):
            return family.path_of(value)
        if is_loaded and isinstance(value, str):
            family.row(value)
    except ValueError as error:
        raise own_words(str(error).removeprefix(f"{family.key}: ")) from error
    return value


def naming_keys(section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, AnyFamily]]:
    """Yields the keys of a section, and of the sections inside it, that name members, each with the family.

    Args:
        section: The section.
        prefix: What leads the names of its keys, such as ``train.``.
    """
    for key, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from naming_keys(field.annotation, f"{prefix}{key}.")
            continue
        for mark in (*field.metadata, *_marks_in(field.annotation)):
            if isinstance(mark, Naming):
                yield prefix + key, mark.family


def _marks_in(annotation: Any) -> Iterator[Any]:
    """Yields the marks of the members of a union or of a list, such as of ``Annotated[str, mark] | None``."""
    yield from getattr(annotation, "__metadata__", ())
    for part in typing.get_args(annotation):
        yield from _marks_in(part)
