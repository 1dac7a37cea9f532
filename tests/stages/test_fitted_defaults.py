"""Defaults fit the images and populations that there are; what a run file states is refused if it does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console

import raynas
from raynas.cli import main
from raynas.config.run_config import parse_config
from raynas.errors import InputError
from raynas.search import SEARCHERS
from raynas.stages.prepare import Purpose, prepare


def images(folder: Path, number: int, test: int = 6) -> str:
    rng = np.random.default_rng(0)
    file = folder / "own.npz"
    np.savez(
        file,
        train_images=rng.integers(0, 256, (number, 8, 8, 3), np.uint8),
        train_labels=np.arange(number) % 2,
        test_images=rng.integers(0, 256, (test, 8, 8, 3), np.uint8),
        test_labels=np.arange(test) % 2,
    )
    return str(file)


def values(folder: Path, number: int = 24, **sections: Any) -> dict[str, Any]:
    small = {
        "name": "small",
        "storage_path": str(folder / "runs"),
        "report": False,
        "space": {"name": "nasbench201", "channels": 2, "cells": 1},
        "data": {"name": "npz", "path": images(folder, number)},
        "train": {"epochs": 2, "workers": 0},
        "search": {"population": 4, "generations": 2, "evaluators": 0},
    }
    for name, section in sections.items():
        small[name] = {**small.get(name, {}), **section} if isinstance(section, dict) else section
    return small


def prepared(config: dict[str, Any]) -> tuple[Any, list[str]]:
    found = prepare(parse_config(config), Console(quiet=True), Purpose.CHECK)
    return found.task.config, found.lines


def test_24_images_are_enough_for_the_defaults(tmp_path: Path) -> None:
    config, lines = prepared(values(tmp_path))
    assert (config.train.batch_size, config.search.select) == (12, 1)
    assert (config.search.mutations, config.search.crossovers) == (2, 2)
    assert "train.batch_size: 12 in the place of 64, the default: there are 12 images to train on" in lines
    assert "search.select: 1 in the place of 30, the default: search.population is 4" in lines


def test_batches_of_the_evaluation_fit_both_kinds_of_images(tmp_path: Path) -> None:
    config, _ = prepared(values(tmp_path, 24, search={"fitness": "one_shot_accuracy"}))
    assert config.search.evaluation_batch_size == 12
    config, _ = prepared(values(tmp_path, 26, data={"train_portion": 0.5}, search={"fitness": "one_shot_accuracy"}))
    assert config.search.evaluation_batch_size == 13
    config, _ = prepared(values(tmp_path, 25, data={"train_portion": 0.52}, search={"fitness": "one_shot_accuracy"}))
    assert config.search.evaluation_batch_size == 11, "13 images to calibrate on leave 2, not 1, at the end"


def test_alphas_follow_batches_of_the_search_split(tmp_path: Path) -> None:
    config, _ = prepared(values(tmp_path, 24, algorithm="darts", data={"train_portion": 0.75}))
    assert config.train.batch_size == 6


def test_a_recipe_counts_as_a_default(tmp_path: Path) -> None:
    config, lines = prepared(values(tmp_path, retrain={"recipe": "nasbench201_12", "epochs": 1}))
    assert config.retrain.batch_size == 24
    assert "retrain.batch_size: 24 in the place of 256, the default: there are 24 images to train on" in lines
    with pytest.raises(InputError, match="retrain.batch_size: expected at most 24"):
        prepared(values(tmp_path, retrain={"recipe": "nasbench201_12", "epochs": 1, "batch_size": 64}))


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"train": {"batch_size": 64}}, "train.batch_size"),
        ({"search": {"select": 30}}, "search.select"),
        ({"search": {"mutations": 3, "crossovers": 3}}, "search.mutations"),
        ({"search": {"fitness": "one_shot_accuracy", "evaluation_batch_size": 256}}, "search.evaluation_batch_size"),
    ],
)
def test_what_a_file_states_is_refused_even_if_it_is_the_default(
    tmp_path: Path, sections: dict[str, Any], key: str
) -> None:
    with pytest.raises(InputError, match=f"^{key}"):
        prepared(values(tmp_path, **sections))


@pytest.mark.parametrize(
    ("stated", "children"),
    [
        ({"population": 20}, (10, 10)),
        ({"population": 5}, (2, 3)),
        ({"population": 20, "mutations": 15}, (15, 5)),
        ({"population": 20, "crossovers": 20}, (0, 20)),
        ({"population": 100}, (50, 50)),
        ({"mutations": 80}, (80, 20)),
    ],
)
def test_children_fit_into_a_generation(tmp_path: Path, stated: dict[str, int], children: tuple[int, int]) -> None:
    file = values(tmp_path)
    file["search"] = {"evaluators": 0, **stated}
    config, _ = prepared(file)
    assert (config.search.mutations, config.search.crossovers) == children


def test_defaults_that_fit_stay(tmp_path: Path) -> None:
    file = values(tmp_path, 400)
    file["search"] = {"evaluators": 0}
    config, lines = prepared(file)
    assert config == parse_config(file)
    assert not [line for line in lines if "the default" in line]


@pytest.mark.parametrize("name", SEARCHERS.names())
def test_no_searcher_is_refused_for_a_small_population(tmp_path: Path, name: str) -> None:
    algorithm = "darts" if name in ("derive", "alpha_sampling") else "rlnas"
    space = {"name": "mobilenet", "width": 0.25, "depth": 1} if name == "exact_angle" else {}
    file = values(tmp_path, algorithm=algorithm, search={"name": name}, space=space)
    if space:
        file["space"] = space
        file["data"]["resolution"] = 64
    prepared(file)


def test_a_run_of_24_images_is_stored_with_what_fits_and_continues(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(values(tmp_path, search={"fitness": "one_shot_accuracy"})))
    assert main(["train", str(file)]) == 0
    stored = json.loads((tmp_path / "runs/small/config.json").read_text())["config"]
    assert (stored["train"]["batch_size"], stored["search"]["evaluation_batch_size"]) == (12, 12)
    assert main(["run", str(file)]) == 0
    assert parse_config(stored).train.batch_size == 12
    run = raynas.run(file)
    assert run.config.train.batch_size == run.config.search.evaluation_batch_size == 12
    assert run.best
    assert run.network(0)(torch.zeros(1, 3, 8, 8)).shape == (1, 2)


def test_a_stored_configuration_is_not_changed(tmp_path: Path) -> None:
    stored = parse_config(values(tmp_path)).model_dump()
    with pytest.raises(InputError, match="train.batch_size: expected at most 12"):
        prepared(stored)


def test_a_score_of_initial_weights_is_taken_on_as_many_images_as_there_are(tmp_path: Path) -> None:
    config, lines = prepared(values(tmp_path, search={"fitness": "naswot"}))
    assert config.search.score_images == 12
    assert any("search.score_images: 12 in the place of 32, the default" in line for line in lines)
