"""A gradient of the architecture parameters is one file: followed, recorded, resumed, reported."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from raynas.cli import main
from raynas.config.reading import load_config
from raynas.supernet.architecture_gradients import GRADIENTS, GradientProblem, SgdStep
from tests.drill.conftest import Added
from tests.stages.runs import small_run

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SMALL: dict[str, Any] = {
    "data": {"max_images": 96, "train_portion": 0.5},
    "train": {"epochs": 2, "batch_size": 24, "checkpoint_every": 1},
    "search": {"evaluators": 0, "evaluation_images": 48, "calibration_images": 48, "evaluation_batch_size": 48},
}


def test_it_takes_less_than_sixty_lines() -> None:
    assert len((HERE / "own_gradient.py").read_text().splitlines()) < 60


def test_a_users_gradient_is_the_one_that_the_alphas_are_given(beside: Added) -> None:
    """On losses whose derivatives are known: L_val = w a0^2, L_train = 3 w a1."""
    rule = GRADIENTS.row(f"{beside('own_gradient')}MIXED_LEVEL")
    problem = GradientProblem(
        train_loss=lambda weights, alphas: 3 * weights["w"] * alphas[0][1],
        search_loss=lambda weights, alphas: weights["w"] * alphas[0][0] ** 2,
        weights={"w": torch.tensor(2.0)},
        alphas=[torch.tensor([5.0, 7.0])],
        options=None,  # type: ignore[arg-type]
        step=lambda: SgdStep(0.1),
        summed=doubled,
    )
    gradient = rule.gradient(problem)
    assert [part.tolist() for part in gradient.first] == [[2 * 2.0 * 2 * 5.0, 0.0]]
    assert [part.tolist() for part in gradient.correction] == [[0.0, 2 * 0.5 * 3 * 2.0]]


def doubled(parts: Sequence[Tensor]) -> list[Tensor]:
    """Returns the sums over two workers that have the same."""
    return [2 * part for part in parts]


def test_a_users_gradient_is_followed_recorded_resumed_and_reported(tmp_path: Path, beside: Added) -> None:
    path = beside("own_gradient")
    file = small_run(tmp_path, algorithm=f"{path}MILENAS", **SMALL, report=True)
    assert load_config(file).alphas.gradient == f"{path}MIXED_LEVEL"
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    seed = run / "supernet/seed_0"
    last = json.loads((seed / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < last["correction_norm"] and 0 < last["first_norm"]
    assert "users_own_gradient.MILENAS" in (run / "report/index.html").read_text()
    alphas = np.load(seed / "alphas.npy")
    assert math.isfinite(alphas.sum())
    shutil.rmtree(seed / "epoch_00002")
    (seed / "result.json").unlink()
    assert main(["run", str(file)]) == 0
    assert np.array_equal(np.load(seed / "alphas.npy"), alphas)
    other = small_run(tmp_path, algorithm=f"{path}MILENAS", **SMALL, name="first", alphas={"gradient": "first"})
    assert main(["train", str(other)]) == 0
    assert not np.array_equal(np.load(tmp_path / "runs/first/supernet/seed_0/alphas.npy"), alphas)


def test_inside_the_package_it_is_one_file_too(tmp_path: Path, inside: Callable[[str, str], None]) -> None:
    inside("own_gradient", "raynas.supernet")
    assert "mixed_level" in GRADIENTS.names()
    config = load_config(small_run(tmp_path, algorithm="darts", alphas={"gradient": "mixed_level"}))
    assert config.alphas.gradient == "mixed_level"
