"""Wrong inputs, each with what is expected of it: refused with a key, or accepted."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from raynas.config.run_config import RunConfig

Write = Callable[[Path], list[str]]
"""Writes the files of a case into an empty folder, and returns the command line."""

REFUSED, FAILED, DONE = (2,), (1,), (0,)
ANY = (0, 1, 2)


@dataclass(frozen=True)
class Case:
    """A wrong input.

    Attributes:
        kind: The row of the table that it counts in.
        name: What is wrong with it.
        write: Writes its files and returns the command line.
        status: The exit statuses that are right.
        names: What a message must name: a key, an option or a file.
        unchanged: Called after exit status 0 with the case's folder; returns what of the outcome is wrong, if anything.
    """

    kind: str
    name: str
    write: Write
    status: tuple[int, ...] = REFUSED
    names: str = ""
    unchanged: Callable[[Path], str | None] | None = field(default=None, compare=False)


def base(folder: Path) -> dict[str, Any]:
    """Returns the smallest run: an untrained angle would need none, so it trains two epochs of four steps."""
    return {
        "storage_path": str(folder / "runs"),
        "report": False,
        "space": {"name": "nasbench201", "channels": 2, "cells": 1},
        "data": {"name": "digits", "max_images": 128},
        "train": {"epochs": 2, "batch_size": 16, "workers": 0, "checkpoint_every": 1},
        "search": {"population": 4, "generations": 2, "select": 2, "mutations": 2, "crossovers": 1, "evaluators": 0}
        | {"evaluation_batch_size": 16},
    }


def with_keys(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Returns nested values with dotted keys changed."""
    for key, value in changes.items():
        *sections, last = key.split(".")
        place = values
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return values


def run_file(changes: dict[str, Any], *arguments: str, verb: str = "check") -> Write:
    """Returns how to write the smallest run with dotted keys changed."""

    def write(folder: Path) -> list[str]:
        file = folder / "small.yaml"
        file.write_text(yaml.safe_dump(with_keys(base(folder), changes)))
        return [verb, str(file), *arguments]

    return write


def text_file(text: str | bytes, name: str = "small.yaml", verb: str = "check", *arguments: str) -> Write:
    """Returns how to write a run file of any content."""

    def write(folder: Path) -> list[str]:
        file = folder / name
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return [verb, str(file), *arguments]

    return write


# Every key

WRONG: dict[type, list[Any]] = {
    int: ["text", 1.5, True, [1], {"a": 1}, -1, 10**20, float("inf"), "1:30", "010"],
    float: ["text", True, [0.5], {"a": 1}, float("inf"), float("-inf"), float("nan"), -1e9],
    bool: ["maybe", 2, [True], {"a": 1}, 1.5],
    str: [3, 1.5, True, ["a"], {"a": 1}],
    list: ["text", 3.5, {"a": 1}, [[]], [None], [{"a": 1}]],
    dict: ["text", 3.5, True, [1]],
}
"""Values that no key of these types takes."""


def leaves(model: type[BaseModel] = RunConfig, prefix: str = "") -> Iterator[tuple[str, set[type], bool]]:
    """Yields every key with the types of its values, and whether it can be null."""
    for name, info in model.model_fields.items():
        section = _section(info.annotation)
        if section is not None:
            yield from leaves(section, f"{prefix}{name}.")
            continue
        kinds = set(_kinds(info.annotation))
        yield f"{prefix}{name}", kinds - {type(None)}, type(None) in kinds


def _section(annotation: Any) -> type[BaseModel] | None:
    """Returns the class of a section, also of one that can be left out; None of other keys."""
    for kind in _kinds(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _kinds(annotation: Any) -> Iterator[type]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _kinds(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _kinds(part)
    elif origin is typing.Literal:
        yield from {type(value) for value in typing.get_args(annotation)}
    elif origin is not None:
        yield origin
    else:
        yield annotation


def taken(value: Any, kinds: set[type]) -> bool:
    """Returns whether a value is one that a key of these types may take, so that it says nothing."""
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, str):
        return str in kinds
    return isinstance(value, list) and list in kinds and value in ([1], [0.5])


def keys() -> Iterator[Case]:
    """Every key x values of the wrong type or size."""
    for key, kinds, nullable in leaves():
        wrong = [value for kind in kinds for value in WRONG[kind] if not taken(value, kinds)]
        if key == "data.labels":
            wrong = [value for value in wrong if value is not True]  # which is how YAML reads the word
        if not nullable:
            wrong.append(None)
        for number, value in enumerate(wrong):
            yield Case("keys", f"{key}={value!r:.40} ({number})", run_file({key: value}), names=key)


def sections() -> Iterator[Case]:
    """Every section as something else, or with a key that it does not have."""
    for name, info in RunConfig.model_fields.items():
        if _section(info.annotation) is None:
            continue
        can_be_none = type(None) in set(_kinds(info.annotation))
        values = ["text", 3, [1], True] if can_be_none else ["text", 3, [1], None, True]
        if name != "trackers":  # where a list of names stands for the section, also an empty one
            values.append([])
        for value in values:
            yield Case("sections", f"{name}={value!r}", run_file({name: value}), names=name)
        for key in ("epoch", "x" * 5_000, "\x1b[31m", "", "a b"):
            yield Case("sections", f"{name}.{key[:20]!a}", run_file({f"{name}.{key}": 1}), names=name)
    for key in ("spce", "Train", "quick_", "sweeps"):
        yield Case("sections", key, run_file({key: {}}), names=key)


# What contradicts itself, or cannot be on any machine

CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"train.workers": 17}, "train.workers"),
    ({"train.workers": [4, 2]}, "train.workers"),
    ({"train.min_learning_rate": 0.5}, "train.min_learning_rate"),
    ({"train.momentum": 0}, "train.nesterov"),
    ({"train.idle_weights": "coast", "train.momentum": 0, "train.nesterov": False}, "train.idle_weights"),
    ({"train.clip_norm": 1.0, "train.clip_value": 1.0}, "train.clip_value"),
    ({"train.base_seeds": [1, 1]}, "train.base_seeds"),
    ({"train.base_seeds": []}, "train.base_seeds"),
    ({"train.base_seeds": [2**63]}, "train.base_seeds"),
    ({"train.sampling": "mixture"}, "train.sampling"),
    ({"train.resource": "CPU"}, "train.resource"),
    ({"train.batch_size": 100}, "train.batch_size"),
    ({"train.reuse": "nowhere"}, "train.reuse"),
    ({"train.reuse": "$NOT_SET/a"}, "train.reuse"),
    ({"search.name": "derive"}, "search.name"),
    ({"search.fitness": "log_probability"}, "search.fitness"),
    ({"search.fitness": "benchmark_table"}, "benchmark.path"),
    ({"search.fitness": ["angle"]}, "search.fitness"),
    ({"search.fitness": ["angle", "angle"]}, "search.fitness"),
    ({"search.fitness": ["one_shot_accuracy", "one_shot_loss"]}, "search.fitness"),
    ({"search.name": "exact_angle", "search.fitness": "random"}, "search.name"),
    ({"search.name": "exact_angle", "train.base_seeds": [0, 1]}, "search.name"),
    ({"search.angle_epoch": 3}, "search.angle_epoch"),
    ({"search.angle_ends": "first"}, "search.angle_ends"),
    ({"search.angle_ends": "all", "space": {"name": "mobilenet", "width": 0.1, "depth": 1}}, "search.angle_ends"),
    ({"search.fitness": "one_shot_accuracy", "data.train_portion": 1.0}, "data.train_portion"),
    ({"search.fitness": "one_shot_accuracy", "search.evaluation_images": 100_000}, "search.evaluation_images"),
    ({"search.fitness": "one_shot_accuracy", "search.evaluation_batch_size": 1_000}, "search.evaluation_batch_size"),
    ({"search.fitness": "one_shot_accuracy", "search.evaluation_labels": "true"}, "search.evaluation_labels"),
    (
        {"algorithm": "spos", "data.labels": "rotation", "search.evaluation_labels": "classes"},
        "search.evaluation_labels",
    ),
    ({"search.fitness": "naswot", "search.score_images": 1}, "search.score_images"),
    ({"search.fitness": "jacob_cov", "search.score_images": 100_000}, "search.score_images"),
    ({"search.fitness": "swap_regularised"}, "search.swap_mu"),
    ({"search.fitness": "swap_regularised", "search.swap_mu": 1}, "search.swap_sigma"),
    ({"search.fitness": "swap_regularised", "search.swap_mu": 1, "search.swap_sigma": 0}, "search.swap_sigma"),
    ({"search.fitness": "zico", "search.zico_batches": 1}, "search.zico_batches"),
    ({"search.fitness": "zico", "search.zico_batches": 33}, "search.zico_batches"),
    ({"search.fitness": "short_training", "search.training_images": 100_000}, "search.training_images"),
    ({"search.fitness": "short_training", "search.training_epochs": 0}, "search.training_epochs"),
    ({"search.combine": "ranks"}, "search.combine"),
    ({"search.refine": {}}, "search.refine"),
    ({"search.refine": {"fitness": "naswot", "from": 0}}, "search.refine.from"),
    ({"search.refine": {"fitness": "one_shot_loss", "space": {"cells": 2}}}, "search.refine.fitness"),
    ({"search.refine": {"space": {"cells": 0}}, "search.fitness": "naswot"}, "search.refine.space.cells"),
    ({"search.refine": {"space": {"colour": 3}}, "search.fitness": "naswot"}, "search.refine.space"),
    ({"search.fitness": "predictor"}, "benchmark.path"),
    ({"search.predictor_samples": 0}, "search.predictor_samples"),
    ({"search.predictor": "forest"}, "search.predictor"),
    ({"search.limits.max_parameters": 1}, "search.limits"),
    ({"search.limits.max_parameters": -1}, "search.limits.max_parameters"),
    ({"search.limits.min_parameters": 5, "search.limits.max_parameters": 4}, "search.limits.min_parameters"),
    ({"search.limits.min_multiply_adds": 1e30}, "search.limits"),
    ({"search.mutation_excludes": ["nonsense"]}, "search.mutation_excludes"),
    ({"search.name": "pareto", "search.objectives": []}, "search.objectives"),
    ({"search.name": "aging_evolution", "search.evaluations": 3}, "search.evaluations"),
    ({"search.name": "local_search", "search.evaluations": 3}, "search.evaluations"),
    ({"search.name": "bayesian", "search.start_samples": 3_000}, "search.start_samples"),
    ({"search.name": "aging_evolution", "search.tournament": 0}, "search.tournament"),
    ({"search.name": "aging_evolution", "search.proposals": 0}, "search.proposals"),
    ({"alphas.gates": "mixture", "data.train_portion": 1.0}, "data.train_portion"),
    ({"alphas.gates": "mixture", "alphas.first_epoch": 2}, "alphas.first_epoch"),
    ({"alphas.idle": True}, "alphas.idle"),
    ({"alphas.virtual_step": "nesterov"}, "alphas.virtual_step"),
    ({"alphas.draws": 0}, "alphas.draws"),
    ({"alphas.draws": 2}, "alphas.draws"),
    ({"alphas.gates": "mixture", "alphas.draws": 2}, "alphas.draws"),
    ({"alphas.betas": [0.5]}, "alphas.betas"),
    ({"alphas.betas": [0.5, 1.0]}, "alphas.betas"),
    ({"alphas.temperature": [0, 1]}, "alphas.temperature"),
    ({"algorithm": "gdas", "search.limits.max_parameters": 1e6}, "search.limits"),
    ({"algorithm": "darts2"}, "algorithm"),
    ({"data.name": "npz"}, "data.path"),
    ({"data.name": "npz", "data.path": "/nowhere"}, "data.path"),
    ({"data.name": "imagenet16-120", "data.path": "/nowhere"}, "data.path"),
    ({"data.name": "folder", "data.path": "/nowhere", "data.max_images": None}, "data.path"),
    ({"data.max_images": 100_000}, "data.max_images"),
    ({"data.max_images": 1}, "data."),
    ({"data.train_portion": 1e-9}, "data.train_portion"),
    ({"data.train_portion": 1.1}, "data.train_portion"),
    ({"data.crop_ratio": [1, 2]}, "data.crop_ratio"),
    ({"data.name": "folder", "data.crop_padding": 1}, "data.crop_padding"),
    ({"data.labels": "random", "data.num_label_categories": 1}, "data.num_label_categories"),
    ({"data.labels": "true", "data.num_label_categories": 3}, "data.num_label_categories"),
    ({"data.resolution": 10**6}, "data.resolution"),
    ({"data.resolution": 3}, "data.resolution"),
    ({"data.crop_padding": 10**9}, "data.crop_padding"),
    ({"data.cutout": 10**9}, "data.cutout"),
    ({"latency.threads": 10**9}, "latency.threads"),
    ({"latency.batch_size": 10**9}, "latency.batch_size"),
    ({"local_cpus": 10**9}, "local_cpus"),
    ({"train.epochs": 10**20}, "train.epochs"),
    ({"train.cpus_per_worker": 10**9}, "train.cpus_per_worker"),
    ({"search.population": 10**9}, "search.population"),
    ({"search.generations": 10**9}, "search.generations"),
    ({"search.select": 5}, "search.select"),
    ({"space.channels": 0}, "space.channels"),
    ({"space.channels": -1}, "space.channels"),
    ({"space.channels": 10**9}, "space.channels"),
    ({"space.channels": "two"}, "space.channels"),
    ({"space.channels": float("nan")}, "space.channels"),
    ({"space.cells": 0}, "space.cells"),
    ({"space.cells": 10**9}, "space.cells"),
    ({"space.chanels": 2}, "space.chanels"),
    ({"space.name": "nasbench"}, "space.name"),
    ({"space.name": "os.path.join"}, "space.name"),
    ({"space.name": "raynas.no_such_module.Space"}, "space.name"),
    ({"space.name": "...."}, "space.name"),
    ({"space.name": ""}, "space.name"),
    ({"space": {"name": "darts", "channels": 2, "cells": 1}}, "space.cells"),
    ({"space": {"name": "darts", "channels": 10**9}}, "space.channels"),
    ({"space": {"name": "darts", "cells": 10**9}}, "space.cells"),
    ({"space": {"name": "darts", "operations": ["none"]}}, "space.operations"),
    ({"space": {"name": "darts", "channels": 6, "partial_channels": 4}}, "space.partial_channels"),
    ({"space": {"name": "mobilenet", "width": 0}}, "space.width"),
    ({"space": {"name": "mobilenet", "width": 1e9}}, "space.width"),
    ({"space": {"name": "mobilenet", "depth": 10**9}}, "space.depth"),
    ({"space": {"name": "quadruples", "operations": []}}, "space.operations"),
    ({"benchmark.path": "/nowhere.csv"}, "benchmark.path"),
    ({"benchmark.path": "~nobody_here/a.csv"}, "benchmark.path"),
    ({"storage_path": ""}, "storage_path"),
    ({"storage_path": "s3://"}, "storage_path"),
    ({"storage_path": "file:///tmp"}, "storage_path"),
    ({"storage_path": "${NOT_SET}"}, "storage_path"),
    ({"trackers": ["tensorboard", "tensorboard"]}, "trackers.names"),
    ({"trackers": ["tensorbord"]}, "trackers.names"),
    ({"trackers.tracking_uri": "https://me:secret@host"}, "trackers.tracking_uri"),
    ({"name": "a/b"}, "name"),
    ({"name": ".."}, "name"),
    ({"name": "x" * 300}, "name"),
    ({"name": "a\x1b[31m"}, "name"),
    ({"quick": {"train": {"epochs": "ten"}}}, "quick.train.epochs"),
    ({"quick": 3}, "quick"),
]


def contradictions() -> Iterator[Case]:
    """Keys that are right alone and wrong together, or of no machine's size: `check` and `run` refuse the same."""
    for number, (changes, key) in enumerate(CONTRADICTIONS):
        for verb in ("check", "run"):
            name = f"{number} {verb} {', '.join(f'{k}={v!r:.30}' for k, v in changes.items())}"
            yield Case("contradictions", name, run_file(changes, verb=verb), names=key)


ACCEPTED: list[dict[str, Any]] = [
    {},
    {"name": "a.b-c_d"},
    {"data.labels": True},
    {"train.learning_rate": 1},
    {"search.limits.max_parameters": 600e6},
    {"search.fitness": ["angle", "num_parameters"]},
    {"search.name": "aging_evolution", "search.evaluations": 4},
    {"search.name": "local_search"},
    {"search.name": "bayesian"},
    {"latency.threads": 4},
    {"trackers": []},
    {"trackers.names": ["tensorboard"]},
    {"quick": {"train": {"epochs": 1}}},
]


def accepted() -> Iterator[Case]:
    """Right inputs, so that a program that refuses everything does not pass."""
    for number, changes in enumerate(ACCEPTED):
        yield Case("accepted", f"{number} {changes!r:.60}", run_file(changes), DONE)
