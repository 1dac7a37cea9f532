"""What is damaged in a record, in the words of a message: the place, what was expected there, and what stands there."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from raynas.messages import echo

_SINGULAR: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "keys and values",
}
_PLURAL: Mapping[Any, str] = {int: "whole numbers", float: "numbers", str: "names"}


def damage_of(model: type[BaseModel], content: object, error: ValidationError) -> str:
    """Returns the first thing that keeps a value from being a record.

    Args:
        model: The record's class.
        content: The value.
        error: What pydantic found.

    Returns:
        Such as ``best[1]: expected a list under architecture, got None``.
    """
    first = error.errors(include_url=False)[0]
    place = _Place(model, content)
    for step in first["loc"]:
        if not place.enter(step):
            break

    cause = (first.get("ctx") or {}).get("error")
    if first["type"] == "value_error" and cause is not None:
        path = place.whole_path
        separator = " " if str(cause).startswith("is ") else ": "
        return f"{path}{separator}{cause}" if path else str(cause)

    element = _plain(get_args(_plain(place.kind))[0]) if first["type"] == "too_short" else place.element
    expected = _PLURAL[element] if element in _PLURAL else _words(place.kind)
    if place.key is None:
        got = type(place.value).__name__
        found = f"expected {expected}, got {got}"
    else:
        found = f"expected {expected} under {place.key}, got {echo(place.value)}"
    return f"{place.path}: {found}" if place.path else found


@dataclass
class _Place:
    """A place in a value and in the class that describes it.

    Attributes:
        kind: The annotation of the place.
        value: What stands there.
        path: The way to the keys and values that hold it, such as ``best[1]``.
        key: The key under which it stands; None for an element of a list.
        element: The kind of the elements of a list of scalars, if one of these is damaged.
    """

    kind: Any
    value: Any
    path: str = ""
    key: str | None = None
    element: Any = None

    @property
    def whole_path(self) -> str:
        """The way to the place itself."""
        return ".".join(part for part in (self.path, self.key) if part)

    def enter(self, step: int | str) -> bool:
        """Moves to an element or a key; returns whether there is one, which the mark of an alternative is not."""
        kind = _plain(self.kind)
        if isinstance(step, int) and get_origin(kind) is list:
            return self._enter_element(_plain(get_args(kind)[0]), step)
        if not isinstance(step, str):
            return False

        if isinstance(kind, type) and issubclass(kind, BaseModel):
            if step not in kind.model_fields:
                return False
            inner = kind.model_fields[step].annotation
        elif get_origin(kind) is dict and isinstance(self.value, Mapping) and step in self.value:
            inner = get_args(kind)[1]
        else:
            return False
        self.path, self.key = self.whole_path, step
        self.value = self.value.get(step) if isinstance(self.value, Mapping) else None
        self.kind = inner
        return True

    def _enter_element(self, element: Any, index: int) -> bool:
        if element in _PLURAL:
            self.element = element
            return False
        self.path, self.key = f"{self.whole_path}[{index}]", None
        self.value, self.kind = self.value[index], element
        return True


def _plain(kind: Any) -> Any:
    """Returns an annotation without its validators and without None; of a choice of numbers, float."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        kinds = [_plain(one) for one in get_args(kind) if one is not type(None)]
        return float if set(kinds) == {int, float} else kinds[0]
    return kind


def _words(kind: Any) -> str:
    """Returns what an annotation stands for."""
    kind = _plain(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _SINGULAR[dict]
    return _SINGULAR.get(get_origin(kind) or kind, "another value")
