"""The run files that raynas brings along: `jobs:NAME` names one wherever a run file is expected."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import raynas
from raynas.errors import InputError
from raynas.messages import echo

PREFIX = "jobs:"
"""What a run file of raynas is named with, such as ``jobs:quickstart``."""


def job_folder() -> Path:
    """Returns the folder of the run files: inside an installed package, beside the package in a source tree."""
    package = Path(raynas.__file__).resolve().parent
    installed = package / "jobs"
    return installed if installed.is_dir() else package.parent / "jobs"


def job_names() -> list[str]:
    """Returns the names of the run files, sorted."""
    return sorted(file.stem for file in job_folder().glob("*.yaml"))


def located(path: str | Path) -> Path:
    """Returns the file that ``jobs:NAME`` or a path names.

    Raises:
        InputError: If raynas has no run file of that name.
    """
    text = str(path)
    if not text.startswith(PREFIX):
        return Path(path)
    name = text.removeprefix(PREFIX).removesuffix(".yaml")
    names = job_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(PREFIX + one for one in close)}?" if close else "`raynas list jobs` has them"
        raise InputError(f"{PREFIX}{echo(name)[1:-1]}: expected a run file that raynas brings along; {hint}")
    return job_folder() / f"{name}.yaml"


def job_title(name: str) -> str:
    """Returns the first sentence, up to a colon, of the comment that a run file begins with."""
    lines: list[str] = []
    for line in (job_folder() / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# "))
    sentence = re.match(r"(\([^)]*\)|[^(])*?[.:](?=\s|$)", " ".join(lines))
    return (sentence[0] if sentence else " ".join(lines)).rstrip(".:")
