"""Recipes of papers for training networks from scratch: YAML files beside this module, by their names.

A recipe has a ``title`` and its ``source``, the ``space`` at the size and the ``data`` that it is for, and under
``retrain`` the keys of that section of a run file.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from raynas.config.yaml_text import read_yaml
from raynas.errors import InputError
from raynas.messages import echo, shortened

SECTIONS = {"title", "source", "space", "data", "retrain"}
"""The keys of a recipe."""

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Returns the names of the recipes, sorted."""
    return sorted(file.stem for file in _FOLDER.glob("*.yaml"))


def read(name: str) -> dict[str, Any]:
    """Returns the values of a recipe.

    Args:
        name: The name of a recipe, or the path of a YAML file.

    Raises:
        InputError: If there is no such recipe, or the file is none.
    """
    file = Path(name).expanduser() if name.endswith((".yaml", ".yml")) else _FOLDER / f"{name}.yaml"
    if not file.is_file():
        close = difflib.get_close_matches(name, names(), n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise InputError(
            f"retrain.recipe: expected one of {', '.join(names())}, or the path of a YAML file, got {echo(name)}{meant}"
        )
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"retrain.recipe: {shortened(name, 200)} cannot be read: {reason}; correct it") from error
    values = read_yaml(text, f"retrain.recipe: {shortened(name, 200)}")
    if not isinstance(values, dict) or not isinstance(values.get("retrain"), dict) or set(values) - SECTIONS:
        raise InputError(
            f"retrain.recipe: expected {', '.join(sorted(SECTIONS))} in {shortened(name, 200)}, of which retrain has "
            f"keys; got {echo(sorted(values) if isinstance(values, dict) else values)}"
        )
    return values
