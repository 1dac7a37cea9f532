"""The first line of a command: version, run, run file and folder, as far as they are known within half a second.

Imports nothing slow. What is wrong with a run file is said by whoever reads it next.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import raynas
from raynas.config.job_files import located
from raynas.config.locations import is_url, within
from raynas.config.nested import set_key, small_form
from raynas.config.yaml_text import LARGEST, read_yaml
from raynas.errors import InputError
from raynas.messages import shortened

LONGEST = 200
"""Characters of a name or place in the line."""


def announcement(verb: str, target: str, overrides: Sequence[str] = (), quick: bool = False) -> str:
    """Returns the first line of a command.

    Args:
        verb: The verb.
        target: The run file, or what else the verb works on.
        overrides: What `--set` overrides.
        quick: Whether the keys under `quick` override the others.
    """
    what = shortened(target, LONGEST)
    values: Mapping[str, Any] = {}
    with contextlib.suppress(InputError, OSError, UnicodeDecodeError):
        file = located(target)
        if file.suffix in (".yaml", ".yml"):
            values = _values(file, overrides, quick)
    name, storage = values.get("name"), values.get("storage_path", "runs")
    if not isinstance(name, str) or not isinstance(storage, str):
        return f"raynas {raynas.__version__}  {verb} {what}"
    place = within(storage, name)
    state = ""
    if not is_url(place):
        state = ", exists" if os.path.exists(os.path.expanduser(os.path.expandvars(place))) else ", new"
    name, place = shortened(name, LONGEST), shortened(place, LONGEST)
    return f"raynas {raynas.__version__}  {verb} {name} ({what})  folder {place}{state}"


def _values(path: Path, overrides: Sequence[str], quick: bool) -> dict[str, Any]:
    """Returns the keys of a run file that are written in it or on the command line.

    Raises:
        InputError: If the file is not YAML, or an override sets no key.
        OSError: If the file cannot be read.
    """
    with path.open(encoding="utf-8-sig") as stream:
        read = read_yaml(stream.read(LARGEST + 1), str(path))
    values: dict[str, Any] = read if isinstance(read, dict) else {}
    values.setdefault("name", path.stem)
    block = values.pop("quick", {})
    if quick and isinstance(block, dict):
        values = small_form(values, block)
    for pair in overrides:
        key, _, text = pair.partition("=")
        set_key(values, key, read_yaml(text, key), key)
    return values
