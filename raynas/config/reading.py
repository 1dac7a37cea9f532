"""A run file: its keys, their defaults, and errors that name the key, what was expected and what came.

A run file is YAML. Every key has a default except `space` and `data`; `--set train.epochs=10` overrides one. What a
file leaves open, the row of its `algorithm` fills in, and the resolved configuration is what a run stores and repeats.

What stands under `quick` overrides the rest of its file where `--quick` is given: the same run in small, to be tried.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from raynas.config.explain import explain
from raynas.config.job_files import located
from raynas.config.nested import flatten, is_nested, set_key, small_form
from raynas.config.run_config import LONGEST_NAME, NAME, RunConfig, parse_config
from raynas.config.yaml_text import LARGEST, read_yaml
from raynas.errors import InputError
from raynas.messages import echo, shortened


def load_config(path: str | Path, overrides: Sequence[str] = (), quick: bool = False) -> RunConfig:
    """Returns the resolved configuration of a run file; of a sweep file, that of the run that it varies.

    Args:
        path: The YAML file, or ``jobs:NAME`` for one that raynas brings along.
        overrides: ``key=value`` pairs with dotted keys; values are read as YAML. They win over all that the file says.
        quick: Whether the keys under `quick` override the others, and the name ends in ``-quick``. Without it they are
            only checked.

    Raises:
        InputError: If the file is missing or no YAML, or a key or value is not what it should be.
    """
    return parse_config(read_run_file(path, overrides, quick)[0])


def read_run_file(path: str | Path, overrides: Sequence[str], quick: bool) -> tuple[dict[str, Any], Any]:
    """Returns the values of a run file, and its `sweep` section, None if it has none; both are still to be parsed.

    Args:
        path: As `load_config` takes it.
        overrides: As `load_config` takes them.
        quick: As `load_config` takes it.

    Raises:
        InputError: As `load_config` does, but for what only parsing finds.
    """
    path = located(path)
    try:
        with path.open(encoding="utf-8-sig") as stream:
            text = stream.read(LARGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"{path}: cannot read the run file: {reason}; give the path of a YAML file") from error
    values = read_yaml(text, str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected keys such as `space:` and `data:`, got {type(values).__name__}")
    named = "name" in values
    values.setdefault("name", path.stem)
    block = values.pop("quick", {})
    if not isinstance(block, dict):
        raise InputError(f"quick: expected keys that override those of the file, got {echo(block)}")
    if quick and not block:
        raise InputError(f"--quick: {path} has no `quick:` block; write one, or leave --quick out")
    small = small_form(values, block)
    block = {key: value for key, value in block.items() if key != "sweep"}
    if not quick and (lines := [line for line in _mistakes(small, block) if line.startswith("quick.")]):
        raise InputError("\n".join(lines))
    values = small if quick else values
    for text in overrides:
        override(values, text)
    if not named and values["name"] in (path.stem, f"{path.stem}-quick"):
        check_file_name(path)
    if quick and (lines := _mistakes(values, block, {text.partition("=")[0] for text in overrides})):
        raise InputError("\n".join(lines))
    return values, values.pop("sweep", None)


def check_file_name(path: Path) -> None:
    """Checks that a run can be named after its file.

    Raises:
        InputError: If not.
    """
    if re.search(NAME, path.stem) is None:
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:LONGEST_NAME] or "run"
        raise InputError(
            f"name: the file's own name {echo(path.stem)} cannot be that of a run, which has letters, digits, dots, "
            f"dashes and underscores; write `name: {safe}` into the file, or give --set name={safe}"
        )


def _mistakes(values: Mapping[str, Any], block: Mapping[str, Any], overridden: Collection[str] = ()) -> list[str]:
    """Returns a line for each mistake of a quick run; ``quick.`` leads the keys whose values are the block's."""
    try:
        RunConfig.model_validate({key: value for key, value in values.items() if key != "sweep"})
    except ValidationError as error:
        lines = explain(error, RunConfig).splitlines()
    else:
        return []
    written = list(flatten(block))
    for key_set in overridden:
        written = [key for key in written if not is_nested(key_set, key)]
    mistakes = []
    for line in lines:
        key = line.partition(": ")[0]
        of_block = any(is_nested(key, other) or is_nested(other, key) for other in written)
        mistakes.append(f"quick.{line}" if of_block else line)
    return mistakes


def override(values: dict[str, Any], pair: str) -> None:
    """Sets one ``dotted.key=value`` in place.

    Raises:
        InputError: If the pair is not of that form, or a part of the key is no section.
    """
    key, equals, text = pair.partition("=")
    if not equals or not key:
        raise InputError(f"--set: expected key=value such as train.epochs=10, got {echo(pair)}")
    if key.startswith("quick."):
        raise InputError(
            f"--set {shortened(pair)}: overrides win over the block; give --quick --set {shortened(pair[6:])}"
        )
    source = f"--set {shortened(pair)}"
    set_key(values, key, read_yaml(text, source), source)
