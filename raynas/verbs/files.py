"""The verbs about run files that carry out nothing: new, explain, schema and completion."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from raynas.errors import InputError
from raynas.messages import echo, shortened
from raynas.stages import signals


def new(options: argparse.Namespace) -> int:
    """Writes a commented run file."""
    with signals.imports():
        from raynas.config.new_file import NewFile, new_text
        from raynas.config.reading import check_file_name

    file = Path(options.name if options.name.endswith((".yaml", ".yml")) else f"{options.name}.yaml").expanduser()
    try:
        check_file_name(file)
    except InputError as error:
        raise InputError(f"NAME: {str(error).removeprefix('name: ').partition(';')[0]}; give another name") from error
    if file.exists():
        raise InputError(f"NAME: {shortened(str(file), 300)} exists; give another name, or remove that file")
    if not file.absolute().parent.is_dir():
        raise InputError(f"NAME: there is no folder {echo(str(file.parent))}; make it, or name another one")
    data, path = _data_of(options.data, options.path)
    text = new_text(NewFile(str(file), options.algorithm, options.space, data, path))
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"NAME: {shortened(str(file), 300)} cannot be written: {error.strerror}") from error
    print(f"run file: {file}")
    print(f"next: raynas check {file}, then raynas run {file} --quick")
    return 0


def _data_of(data: str, path: str | None) -> tuple[str, str | None]:
    """Returns the name and the path of a data set; a folder or .npz file in the place of the name stands for both."""
    place = Path(data).expanduser()
    if path is None and place.is_dir():
        return "folder", data
    if path is None and place.suffix == ".npz":
        return "npz", data
    return data, path


def explain(options: argparse.Namespace) -> int:
    """Prints what a key, a section or a member means."""
    with signals.imports():
        from raynas.config.key_text import explained

    print("\n".join(explained(options.key, _values_of(options))))
    return 0


def _values_of(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the resolved values of the run file that is given, under dotted keys; nothing without a file.

    A key that is null has what it stands for in this run, if it is the key in question.
    """
    if options.file is None:
        return {}
    with signals.imports():
        from rich.console import Console

        from raynas.config.nested import flatten
        from raynas.config.reading import load_config
        from raynas.stages.check import checked

    options.config = load_config(options.file, options.overrides, options.quick)
    values = flatten(options.config.model_dump())
    if values.get(options.key, "") is None:
        meaning = checked(options.config, Console(stderr=True)).nulls.get(options.key)
        values[options.key] = None if meaning is None else f"null, which stands for {meaning}"
    return values


def schema(options: argparse.Namespace) -> int:
    """Prints the JSON schema of run files."""
    with signals.imports():
        from raynas.config.json_schema import run_file_schema

    print(json.dumps(run_file_schema(), indent=2, ensure_ascii=False))
    return 0


def completion(options: argparse.Namespace) -> int:
    """Prints the script that completes commands in a shell."""
    from raynas.arguments import command_line
    from raynas.verbs.shell_scripts import completion_script

    print(completion_script(command_line(), options.shell), end="")
    return 0
