"""The text of a new run file: the keys that most users set, with the documentation of each as a comment."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from raynas.algorithms import ALGORITHMS
from raynas.capabilities import has_weight_vector
from raynas.config.key_docs import REQUIRED, KeyDoc, data_keys, filled_values, key_docs, section_docs, space_keys
from raynas.config.member_docs import member_doc
from raynas.config.run_config import FILLED_BY_ALGORITHM
from raynas.data.image_source import DATASETS
from raynas.errors import InputError
from raynas.fitness import FITNESSES
from raynas.members import Need, is_own
from raynas.optional import install_line, is_installed
from raynas.spaces import SPACES

WIDTH = 100
"""Characters of a line."""

SHOWN = {
    "data": ("path", "labels", "train_portion", "max_images", "resolution"),
    "train": ("epochs", "batch_size", "learning_rate", "workers", "use_gpu"),
    "alphas": ("gates", "gradient", "learning_rate"),
    "search": ("name", "fitness", "population", "generations", "top", "evaluators"),
}
"""Keys of each section that a new file shows. All others have defaults, and `raynas explain SECTION` lists them."""

SMALL: dict[str, dict[str, Any]] = {
    "nasbench201": {"channels": 8, "cells": 1},
    "darts": {"channels": 4, "cells": 3},
    "quadruples": {"channels": 4, "cells": 3},
    "mobilenet": {"width": 0.25, "depth": 1},
    "recurrent": {"nodes": 4, "embedding": 32, "hidden": 32},
}
"""Sizes of spaces for a first try."""

SHOWN_OF_TEXT = ("path", "labels", "window", "vocabulary_size", "max_tokens")
"""Keys of the section `data` of a text."""

TRAIN_OF_TEXT = {
    "learning_rate": 20.0,
    "min_learning_rate": 20.0,
    "momentum": 0.0,
    "nesterov": False,
    "weight_decay": 5e-7,
    "clip_norm": 0.25,
}
"""How the code of DARTS trains a recurrent supernet."""

LARGE_DATA = 5_000
"""Training images of the `quick` form of a larger data set."""

HEADER = """\
# A run of raynas. The comment above a key says what it means. A line such as `#epochs: 250` shows a default; remove
# its # to set the key. `raynas explain KEY` says more, and `raynas explain SECTION` lists all keys of a section.
#
#   raynas check {file}          # validates the file, and says what it means
#   raynas run {file} --quick    # carries out the run in small, as `quick` at the end says
#   raynas run {file}            # carries out the whole run; the same command continues it
"""


@dataclass(frozen=True)
class NewFile:
    """What a new run file is for.

    Attributes:
        file: Name of the file, for its own comment.
        algorithm: The algorithm.
        space: The space.
        data: The data set.
        path: Its file or folder; None for a data set that needs none.
    """

    file: str
    algorithm: str = "rlnas"
    space: str = "nasbench201"
    data: str = "digits"
    path: str | None = None

    @property
    def is_text(self) -> bool:
        """Whether the data set is a text."""
        return DATASETS.row(self.data).holds == "tokens"

    def check(self) -> None:
        """Checks that algorithm, space and data set exist.

        Raises:
            InputError: If one does not, the space does not take the data, or the data set needs a path and has none.
        """
        for option, family, name in (
            ("--algorithm", ALGORITHMS, self.algorithm),
            ("--space", SPACES, self.space),
            ("--data", DATASETS, self.data),
        ):
            try:
                family.row(name)
            except InputError as error:
                raise InputError(f"{option}: {str(error).removeprefix(f'{family.key}: ')}") from error
        takes, holds = getattr(SPACES.row(self.space), "takes", "images"), DATASETS.row(self.data).holds
        if takes != holds:
            fitting = ", ".join(name for name, row in DATASETS.rows().items() if row.holds == takes)
            raise InputError(
                f"--data: networks of {self.space} take {takes}, got {self.data}, which holds {holds}; give --data "
                f"with one of {fitting}"
            )
        if self.path is None and DATASETS.row(self.data).needs_path:
            raise InputError(f"--data: {self.data} is read from your disk, got no path; give --path PATH too")
        self._check_space()

    def _check_space(self) -> None:
        """Checks that the space states what the algorithm needs of it.

        Raises:
            InputError: If it does not.
        """
        if is_own(self.space) or is_own(self.algorithm):
            return
        if has_weight_vector(SPACES.row(self.space)()):
            return
        needs = []
        for name, row in ALGORITHMS.rows().items():
            fitness = FITNESSES.row(row.in_words()["fitness"])
            if Need.WEIGHT_VECTOR in fitness.needs:
                needs.append(name)
        if self.algorithm in needs:
            others = ", ".join(name for name in ALGORITHMS.names() if name not in needs)
            raise InputError(
                f"--space: {self.space} states no weight vector, which {self.algorithm} needs; give --algorithm with "
                f"one of {others}"
            )


def new_text(new: NewFile) -> str:
    """Returns the text of a run file. `raynas check` accepts it where its images can be read.

    Raises:
        InputError: If the algorithm, the space or the data set does not exist.
    """
    new.check()
    keys = {key.key: key for key in key_docs() if not key.owner}
    if not is_own(new.data):
        keys |= {key.key: key for key in data_keys(new.data)}
    texts = section_docs()
    filled = {key: filled_values(key).get(new.algorithm) for key in FILLED_BY_ALGORITHM}
    lines = HEADER.format(file=new.file).splitlines()
    lines += ["", *_key_lines(keys["seed"], 0, "")]
    lines += ["", *_key_lines(keys["algorithm"], new.algorithm, "", _title(ALGORITHMS, new.algorithm))]
    lines += ["", *_comment(texts["space"], ""), "space:", *_space_lines(keys["space.name"], new.space)]
    for section, names in SHOWN.items():
        if section == "alphas" and ALGORITHMS.row(new.algorithm).gates is None:
            continue
        chosen = _chosen(section, new)
        lines += ["", *_comment(texts[section], ""), f"{section}:"]
        if section == "data" and new.is_text:
            names = SHOWN_OF_TEXT
        for name in dict.fromkeys([*chosen, *names]):
            key = keys[f"{section}.{name}"]
            title = _title(DATASETS, new.data) if key.key == "data.name" else ""
            lines += _key_lines(key, chosen.get(name, REQUIRED), "  ", title, filled)
    if not is_installed("matplotlib"):
        lines += ["", f"# The report needs matplotlib: {install_line('report')}.", "report: false"]
    lines += ["", *_comment(texts["quick"], ""), "quick:", *_nested(_small(new), "  ")]
    return "\n".join(lines) + "\n"


def _chosen(section: str, new: NewFile) -> dict[str, Any]:
    """Returns the keys of a section that the file sets."""
    if section == "data":
        return {"name": new.data, **({} if new.path is None else {"path": new.path})}
    if section == "alphas":
        return {"gates": filled_values("alphas.gates").get(new.algorithm)}
    chosen: dict[str, dict[str, Any]] = {"train": {"workers": 0}, "search": {"evaluators": 0}}
    if new.is_text:
        chosen["train"] |= TRAIN_OF_TEXT
        if FITNESSES.row(ALGORITHMS.row(new.algorithm).in_words()["fitness"]).measure is not None:
            chosen["search"] |= {"fitness": "one_shot_perplexity"}
    return chosen.get(section, {})


def _small(new: NewFile) -> dict[str, Any]:
    """Returns the keys of the run in small."""
    source = DATASETS.row(new.data)
    data: dict[str, Any] = {}
    if new.is_text:
        data = {"vocabulary_size": 1_000, "max_tokens": 20_000}
    elif source.known is not None and not source.reads_files and source.known.images > LARGE_DATA:
        data["max_images"] = LARGE_DATA
    if source.reads_files:
        data["resolution"] = 32
    small = {
        "space": SMALL.get(new.space, {}),
        "data": data,
        "train": {"epochs": 5},
        "search": {"population": 20, "generations": 3},
    }
    return {name: section for name, section in small.items() if section}


def _space_lines(name: KeyDoc, space: str) -> list[str]:
    """Returns the keys of the section `space`."""
    lines = _key_lines(name, space, "  ", _title(SPACES, space))
    if not is_own(space):
        for key in space_keys(space):
            lines += _key_lines(key, REQUIRED, "  ")
    return lines


def _title(family: Any, name: str) -> str:
    return f"{name}: {member_doc(family, name).title}."


def _key_lines(
    key: KeyDoc, value: Any, indent: str, title: str = "", filled: Mapping[str, Any] = MappingProxyType({})
) -> list[str]:
    """Returns a key with its documentation.

    Args:
        key: The key.
        value: Its value; `REQUIRED` shows the default as a comment.
        indent: What its lines begin with.
        title: What its value is.
        filled: The values of keys that the algorithm fills in.
    """
    accepted = "a name of " + ", ".join(key.family.names()) if key.family is not None else key.kind
    text = f"{key.text} ({accepted})"
    lines = [*_comment(text, indent), *_comment(title, indent)]
    if value is REQUIRED:
        return [*lines, f"{indent}#{key.name}: {_yaml(filled.get(key.key, key.default))}"]
    return [*lines, f"{indent}{key.name}: {_yaml(value)}"]


def _yaml(value: Any) -> str:
    """Returns a value as YAML on one line; texts that YAML would read as something else are quoted."""
    import yaml

    text: str = yaml.safe_dump(
        list(value) if isinstance(value, tuple) else value, default_flow_style=True, width=10_000, allow_unicode=True
    )
    return text.removesuffix("\n...\n").rstrip("\n")


def _nested(values: Mapping[str, Any], indent: str) -> list[str]:
    """Returns sections with one line each."""
    return [f"{indent}{name}: {_yaml(section)}" for name, section in values.items()]


def _comment(text: str, indent: str) -> list[str]:
    """Returns a text as lines of comments."""
    lead = f"{indent}# "
    return textwrap.wrap(text, WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False)
