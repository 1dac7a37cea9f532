"""A fitness or a searcher is one new file: beside the run file, by its dotted path, or in raynas, by its name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from raynas.cli import main
from raynas.config.run_config import parse_config
from raynas.data import load_dataset, split_indices
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.gates import single_path
from tests.drill.conftest import Added
from tests.stages.runs import ROOT, small_run

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
MODULES = ("own_measure", "own_fitness", "own_searcher")
IMAGES = {"evaluators": 0, "evaluation_images": 719, "calibration_images": 718, "evaluation_batch_size": 700}
FEW = {"name": "random", "population": 4, "generations": 2}


def history(run: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "search/history.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def assert_resumed(file: Path, run: Path) -> None:
    """Asserts that a search that was killed in the middle ends as it did before."""
    before = history(run)
    (run / "search/result.json").unlink()
    lines = (run / "search/history.jsonl").read_text().splitlines(keepends=True)
    (run / "search/history.jsonl").write_text("".join(lines[: len(lines) // 2]) + '{"generation": 1, "archi')
    assert main(["run", str(file)]) == 0
    assert history(run) == before


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("module", MODULES)
def test_it_takes_less_than_sixty_lines(module: str) -> None:
    assert len((HERE / f"{module}.py").read_text().splitlines()) < 60


def entropy_by_hand(run: Path, architecture: list[int], softness: float) -> float:
    """Returns the mean entropy of the predictions on the search split, with statistics of one batch of images."""
    supernet = NasBench201(2, 1).build_supernet(10)
    supernet.load_state_dict(load_file(run / "supernet/seed_0/epoch_00001/weights.safetensors"))
    digits = load_dataset("digits")
    train, search = split_indices(len(digits.train), 0.5, 0)
    mean, std = (torch.tensor(values)[:, None, None] for values in (digits.mean, digits.std))

    def images(positions: np.ndarray) -> torch.Tensor:
        return (torch.from_numpy(digits.train.images[positions]).permute(0, 3, 1, 2) / 255 - mean) / std

    for module in supernet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        calibration = np.random.default_rng([0, 0]).permutation(len(train))[:718]
        supernet.train()(images(train[calibration]), single_path(tuple(architecture)))
        probabilities = torch.softmax(supernet.eval()(images(search), single_path(tuple(architecture))) / softness, 1)
    return float(torch.distributions.Categorical(probabilities).entropy().mean())


def test_a_fitness_that_runs_networks_is_run_resumed_ranked_and_reported_with_its_unit(
    beside: Added, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = {**IMAGES, **FEW, "evaluation_batch_size": 718, "fitness": f"{beside('own_measure')}SURENESS"}
    search |= {"softness": 0.5, "evaluation_images": None}
    file = small_run(tmp_path, algorithm="spos", train={"epochs": 1}, search=search, report=True)
    assert main(["run", str(file)]) == 0
    assert "entropy" in capsys.readouterr().out
    run = tmp_path / "runs/small"
    lines = history(run)
    for line in lines:
        assert line["fitness"] == -line["entropy"]
        assert 0 < line["trust"] < 1
    for line in lines[:3]:
        assert line["entropy"] == pytest.approx(entropy_by_hand(run, line["architecture"], 0.5), rel=1e-3)
    page = (run / "report/index.html").read_text()
    for title in ("negative entropy of predictions, softness 0.5 (nats)", "trust in the label"):
        assert title in page
    assert_resumed(file, run)
    assert main(["rank", str(file), "--sample", "5"]) == 0
    ranking = json.loads((run / "rank/sureness_softness_0_5.json").read_text())
    assert (ranking["fitness"], ranking["cells"], ranking["quantities"][0]["unit"]) == ("sureness", 5, "nats")


def test_a_fitness_without_networks_is_run_resumed_ranked_and_reported_with_its_unit(
    beside: Added, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fitness = f"{beside('own_fitness')}NEAR_SIZE"
    file = small_run(tmp_path, search={"fitness": fitness, "size": 500}, report=True)
    assert main(["run", str(file)]) == 0
    assert "supernet: not needed by search.fitness: near_size" in capsys.readouterr().out
    run = tmp_path / "runs/small"
    assert all(line["fitness"] == -abs(line["num_parameters"] - 500) for line in history(run))
    assert "nearness to a size (weights)" in (run / "report/index.html").read_text()
    assert_resumed(file, run)
    assert main(["rank", str(file), "--sample", "9"]) == 0
    assert json.loads((run / "rank/near_size.json").read_text())["quantities"][0]["unit"] == "weights"
    wrong = mistake(capsys, "check", file, "--set", "search.size=-3", "--set", "search.sise=3")
    assert "search.size: expected greater than or equal to 1, got -3" in wrong
    assert "search.sise: unknown key" in wrong


def test_a_searcher_is_run_resumed_and_reported_with_an_option_of_its_own(beside: Added, tmp_path: Path) -> None:
    search = {"name": f"{beside('own_searcher')}CLIMB", "fitness": "num_parameters", "starts": 2, "population": 30}
    file = small_run(tmp_path, search={**search, "generations": 7}, report=True)
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    lines = history(run)
    assert sum(line["generation"] == 0 for line in lines) == 2
    best = json.loads((run / "search/result.json").read_text())["best"][0]
    assert best["architecture"] == [3] * 6, "the most parameters are those of 3x3 convolutions on every edge"
    assert "parameters" in (run / "report/index.html").read_text()
    assert_resumed(file, run)


def test_options_of_own_members_have_their_defaults_recorded(beside: Added) -> None:
    values: dict[str, Any] = {"name": "x", "space": {"name": "nasbench201"}, "data": {"name": "digits"}}
    values["search"] = {"name": f"{beside('own_searcher')}CLIMB", "fitness": f"{beside('own_fitness')}NEAR_SIZE"}
    stored = parse_config(values).model_dump()
    assert (stored["search"]["starts"], stored["search"]["size"]) == (3, 1_000)
    assert parse_config(stored).model_dump() == stored


def test_each_is_one_new_file_of_raynas(inside: Callable[[str, str], None], tmp_path: Path) -> None:
    inside("own_measure", "raynas.fitness")
    inside("own_searcher", "raynas.search")
    search = {"name": "climb", "fitness": ["sureness", "num_parameters"], "generations": 1, "softness": 2.0}
    file = small_run(tmp_path, algorithm="spos", train={"epochs": 1}, search={**IMAGES, **search})
    assert main(["run", str(file)]) == 0
    result = json.loads((tmp_path / "runs/small/search/result.json").read_text())
    assert (result["name"], result["evaluations"]) == ("sureness (softness 2) + num_parameters", 3)
    assert all(line["sureness"] == -line["entropy"] for line in history(tmp_path / "runs/small"))


def test_a_fitness_without_networks_is_one_new_file_of_raynas(
    inside: Callable[[str, str], None], tmp_path: Path
) -> None:
    inside("own_fitness", "raynas.fitness")
    assert main(["run", str(small_run(tmp_path, search={"fitness": "near_size", "size": 700}))]) == 0
    assert all(line["fitness"] == -abs(line["num_parameters"] - 700) for line in history(tmp_path / "runs/small"))


@pytest.mark.ray
@pytest.mark.slow
def test_a_fitness_that_runs_networks_gives_the_same_bits_on_actors(beside: Added, tmp_path: Path) -> None:
    search = {**IMAGES, **FEW, "fitness": f"{beside('own_measure')}SURENESS", "softness": 0.5}
    histories = []
    for evaluators in (0, 1):
        values = {**search, "evaluators": evaluators}
        file = small_run(tmp_path, algorithm="spos", train={"epochs": 1}, search=values, local_cpus=2)
        name = f"evaluators-{evaluators}"
        done = subprocess.run(
            [sys.executable, "-m", "raynas", "run", str(file), "--set", f"name={name}"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
        histories.append(history(tmp_path / "runs" / name))
    assert histories[0] == histories[1]
