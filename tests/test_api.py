"""The package from Python: runs, what they found, and their networks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import raynas
from raynas.config.reading import load_config
from raynas.data import fix_images
from raynas.records.run_record import RunRecord
from raynas.records.search_record import SearchRecord
from raynas.stages.network_evaluation import image_positions
from raynas.stages.task import make_task
from tests.stages.runs import ROOT, small_run

SPACES: dict[str, dict[str, Any]] = {
    "nasbench201": {"name": "nasbench201", "channels": 4, "cells": 1},
    "darts": {"name": "darts", "channels": 4, "cells": 3, "affine": False},
    "quadruples": {"name": "quadruples", "channels": 4, "cells": 3},
    "mobilenet": {"name": "mobilenet", "width": 0.1, "depth": 1},
}
SPOS = {
    "algorithm": "spos",
    "train": {"epochs": 1},
    "search": {
        **{"population": 4, "generations": 1, "select": 2, "mutations": 1, "crossovers": 1, "top": 3},
        **{"evaluators": 0, "calibration_images": 256},
    },
}


def quiet() -> Console:
    return Console(quiet=True)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> raynas.Run:
    file = small_run(tmp_path_factory.mktemp("run"), space=SPACES["nasbench201"], **SPOS)
    run = raynas.run(file, console=quiet())
    assert isinstance(run, raynas.Run)
    return run


def test_a_run_shows_what_it_found(found: raynas.Run) -> None:
    assert [one.fitness for one in found.best] == sorted((one.fitness for one in found.best), reverse=True)
    assert found.best[0].text.startswith("|") and found.best[0].figures["num_parameters"] > 0
    assert len(found.history) == 4 and set(found.history.columns) >= {"architecture", "fitness", "accuracy"}
    assert found.classes == [str(digit) for digit in range(10)]
    assert repr(found).endswith("spos on nasbench201, search done)")
    defaults = RunRecord.read(found.folder / "config.json").defaults
    assert defaults["train.epochs"] == 250 and defaults["search.fitness"] == "one_shot_accuracy", "those of spos"
    record = SearchRecord.read(found.folder / "search/result.json")
    images = len(make_task(found.config).dataset.train)
    assert record.evaluation_images == images - round(0.5 * images) and record.categories == 10
    again = raynas.open_run(found.folder)
    assert again.best == found.best and again.config == found.config


@pytest.mark.parametrize("space", SPACES)
def test_a_network_with_inherited_weights_has_the_accuracy_that_the_search_saw(tmp_path: Path, space: str) -> None:
    run = raynas.run(small_run(tmp_path, space=SPACES[space], **SPOS), console=quiet())
    task = make_task(run.config)
    _, evaluation = image_positions(task)
    images = fix_images(task.dataset, task.dataset.train, evaluation, task.dataset.train.labels)
    for number, best in enumerate(run.best[:2]):
        network, right = run.network(number), 0
        assert not network.training
        with torch.inference_mode():
            for pixels, labels in images.batches(256, torch.device("cpu")):
                right += int((network(pixels).argmax(dim=1) == labels).sum())
        assert 100 * right / len(images) == pytest.approx(best.fitness, abs=100.5 / len(images))


def test_a_run_by_angle_on_few_images_has_networks_whose_classes_are_those_of_its_labels(tmp_path: Path) -> None:
    data = {"max_images": 120, "train_portion": 1.0, "labels": "random"}
    run = raynas.run(small_run(tmp_path, train={"epochs": 1, "batch_size": 32}, data=data), console=quiet())
    found = run.found(0)
    assert found.module(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
    assert found.record.classes is None and run.classes is not None, "the supernet learnt random labels"


def test_a_run_states_the_defaults_that_fit_its_images_as_it_stores_them(tmp_path: Path) -> None:
    sections = {**SPOS, "data": {"max_images": 40}, "retrain": {"epochs": 1, "controls": []}}
    sections["search"] = {**SPOS["search"], "calibration_images": 8}
    run = raynas.run(small_run(tmp_path, space=SPACES["nasbench201"], **sections), console=quiet())
    assert run.config.train.batch_size == 20, "half of the images trains"
    assert run.config.search.evaluation_batch_size == 8
    assert run.config.retrain is not None and run.config.retrain.batch_size == 40
    stored = raynas.open_run(run.folder).config
    assert stored == run.config
    again = raynas.retrain(run, console=quiet(), retrain={"name": "longer", "epochs": 2})
    assert again.config.retrain is not None and again.config.retrain.batch_size == 40


def test_networks_are_asked_for_by_place_text_or_candidates(found: raynas.Run) -> None:
    first = found.best[0]
    for architecture in (0, first.text, list(first.architecture)):
        network = found.network(architecture, weights="initial")
        assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
    with pytest.raises(raynas.InputError, match="expected an architecture from 0 to 2"):
        found.network(3)
    with pytest.raises(raynas.InputError, match="nothing was retrained"):
        found.network(0, weights="retrained")
    with pytest.raises(raynas.InputError, match="weights: expected inherited"):
        found.network(0, weights="trained")


def test_retraining_gives_networks_with_their_test_accuracy(found: raynas.Run) -> None:
    keys = {"epochs": 2, "batch_size": 64, "controls": []}
    run = raynas.retrain(found, seeds=2, console=quiet(), retrain=keys)
    (result,) = run.retrained.values()
    of_seeds = [one.test_accuracy for one in result.networks[0].seeds]
    digits = make_task(run.config).dataset
    for seed, expected in enumerate(of_seeds):
        network = run.network(0, weights="retrained", seed=seed)
        images = torch.stack([run.preprocess(np.asarray(pixels)) for pixels in np.asarray(digits.test.images)])
        with torch.inference_mode():
            right = (network(images).argmax(dim=1).numpy() == digits.test.labels).mean()
        assert 100 * right == pytest.approx(expected, abs=1e-6)
    record = run.found(0, weights="retrained").record
    assert record.accuracy is not None and record.accuracy.top1 == of_seeds


def test_callbacks_hear_of_every_epoch_and_architecture(tmp_path: Path) -> None:
    heard: list[tuple[str, Mapping[str, Any]]] = []
    file = small_run(tmp_path, train={"epochs": 3})
    raynas.run(file, callbacks=[lambda kind, figures: heard.append((kind, figures))], console=quiet())
    epochs = [figures for kind, figures in heard if kind == "epoch"]
    assert [(one["training"], one["epoch"]) for one in epochs] == [("supernet/seed_0", n) for n in range(3)]
    assert sum(kind == "architecture" for kind, _ in heard) > 20
    heard.clear()
    raynas.run(file, callbacks=[lambda kind, figures: heard.append((kind, figures))], console=quiet())
    assert heard == []


def test_a_configuration_is_a_file_keys_or_a_value_and_overrides_win(tmp_path: Path) -> None:
    from raynas.api import configuration

    file = small_run(tmp_path)
    config = load_config(file)
    for given in (file, str(file), config, config.model_dump()):
        assert configuration(given, {"seed": 5, "train": {"epochs": 9}}).train.epochs == 9
        assert configuration(given, {"train.epochs": 8}).train.epochs == 8
        assert configuration(given, {"train.epochs": 8}).train.batch_size == config.train.batch_size
    with pytest.raises(raynas.InputError, match="train.epochs: expected"):
        configuration(file, {"train.epochs": -1})
    assert "multiply_adds:" in raynas.check(file)


def test_a_folder_that_names_code_of_its_own_is_opened_once_that_is_imported(tmp_path: Path) -> None:
    run = raynas.run(small_run(tmp_path, space={"name": "tests.stages.chain_space.ChainSpace"}), console=quiet())
    code = f"import raynas; raynas.open_run({str(run.folder)!r})"
    refused = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "import tests.stages.chain_space before you open the run" in refused.stderr
    trusted = subprocess.run([sys.executable, "-c", f"import tests.stages.chain_space; {code}"], capture_output=True)
    assert trusted.returncode == 0


def test_the_import_is_fast_and_unknown_names_are_told() -> None:
    code = "import raynas, sys; print(sorted({'torch', 'ray', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
    assert set(raynas.__all__) == set(raynas._PLACES) <= set(dir(raynas)) and len(raynas.__all__) <= 12
    assert all(getattr(raynas, name) is not None for name in raynas.__all__)
    with pytest.raises(AttributeError, match="it has run, check"):
        _ = raynas.searching


@pytest.mark.ray
@pytest.mark.slow
def test_progress_is_shown_in_python_too_while_ray_runs(tmp_path: Path) -> None:
    file = small_run(tmp_path, train={"workers": 1, "epochs": 2}, data={"max_images": 200})
    done = subprocess.run(
        [sys.executable, "-c", f"import raynas; raynas.run({str(file)!r})"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = [line[10:] for line in done.stdout.splitlines()]
    for start in ("started: Ray ", "supernet: trained in ", "search: 60 architectures in 3 generations"):
        assert sum(line.startswith(start) for line in lines) == 1, done.stdout
