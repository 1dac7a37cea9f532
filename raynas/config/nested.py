"""Nested values of a YAML file under dotted keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raynas.errors import InputError
from raynas.messages import shortened


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested values under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def small_form(values: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a run file with those of its block `quick`, under a name of its own."""
    return merge({**values, "name": f"{values['name']}-quick"}, block)


def merge(values: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested values with those of a block in the place of theirs."""
    merged = dict(values)
    for key, value in block.items():
        section = merged.get(key)
        if isinstance(section, Mapping) and isinstance(value, Mapping):
            value = merge(section, value)
        merged[key] = value
    return merged


def is_nested(section: str, key: str) -> bool:
    """Returns whether a dotted key is `section` or lies in it."""
    return f"{key}.".startswith(f"{section}.")


def set_key(values: dict[str, Any], key: str, value: Any, source: str) -> None:
    """Sets one dotted key in nested values, in place.

    Raises:
        InputError: If a part of the key is no section; `source`, who sets it, leads the message.
    """
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise InputError(f"{source}: {shortened(section)} is a value, not a section")
    values[last] = value
