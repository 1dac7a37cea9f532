"""A space is one new file: beside the run file, by its dotted path, or in `raynas.spaces`, by its name."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import raynas.spaces
from raynas.capabilities import has_weight_vector
from raynas.cli import main
from raynas.spaces import SPACES, space_classes
from tests.drill.own_angle_space import CANDIDATES, ThreeLayers
from tests.stages.runs import small_run

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ACCURACY = {"evaluators": 0, "evaluation_images": 128, "calibration_images": 128, "evaluation_batch_size": 64}
SMALL = {"population": 4, "generations": 2, "mutations": 1, "crossovers": 1, "select": 2}


@pytest.fixture
def users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the user's two modules, in which raynas is started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("RAYNAS_IMPORT_PATH", "")
    modules = ("own_space", "own_angle_space")
    for module in modules:
        shutil.copy(HERE / f"{module}.py", tmp_path / f"my_{module}.py")
    yield tmp_path
    for module in modules:
        sys.modules.pop(f"my_{module}", None)


@pytest.fixture
def new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The user's first module as one new file of `raynas.spaces`."""
    folder = tmp_path / "spaces"
    folder.mkdir()
    shutil.copy(HERE / "own_space.py", folder / "two_branches.py")
    monkeypatch.setattr(raynas.spaces, "__path__", [*raynas.spaces.__path__, str(folder)])
    importlib.invalidate_caches()
    space_classes.cache_clear()
    yield
    monkeypatch.undo()
    space_classes.cache_clear()
    sys.modules.pop("raynas.spaces.two_branches", None)


def history(run: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "search/history.jsonl").read_text().splitlines())
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.mark.parametrize("module", ["own_space", "own_angle_space"])
def test_it_takes_less_than_sixty_lines(module: str) -> None:
    assert len((HERE / f"{module}.py").read_text().splitlines()) < 60


def test_a_space_of_three_members_is_run_resumed_ranked_and_reported(
    users_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = {"name": "my_own_space.TwoBranches", "channels": 3}
    file = small_run(
        users_folder, algorithm="spos", space=space, train={"epochs": 2}, search={**ACCURACY, **SMALL}, report=True
    )
    assert main(["run", str(file)]) == 0
    run = users_folder / "runs/small"
    lines = history(run)
    assert {line["description"] for line in lines} <= {
        f"left={left},right={right}" for left, right in itertools.product(*[("conv_1x1", "conv_3x3", "conv_5x5")] * 2)
    }
    stem, head = 3 * 3 * 9 + 3, 3 * 10 + 10
    for line in lines:
        kernels = [(1, 9, 25)[k] for k in line["architecture"]]
        assert line["num_parameters"] == stem + head + sum(9 * kernel + 3 for kernel in kernels)
    assert "conv_" in (run / "report/index.html").read_text()

    weights = (run / "supernet/seed_0/epoch_00002/weights.safetensors").read_bytes()
    shutil.rmtree(run / "search")
    shutil.rmtree(run / "supernet/seed_0/epoch_00002")
    (run / "supernet/seed_0/result.json").unlink()
    assert main(["run", str(file)]) == 0
    assert (run / "supernet/seed_0/epoch_00002/weights.safetensors").read_bytes() == weights
    assert history(run) == lines

    assert main(["rank", str(file)]) == 0
    assert json.loads((run / "rank/one_shot_accuracy.json").read_text())["cells"] == 9
    capsys.readouterr()
    assert main(["rank", str(file), "--set", "search.fitness=angle"]) == 2
    assert "TwoBranches states no weight vector" in capsys.readouterr().err


def test_a_space_with_a_weight_vector_is_ranked_by_angle(users_folder: Path) -> None:
    space = {"name": "my_own_angle_space.ThreeLayers"}
    file = small_run(users_folder, space=space, train={"epochs": 2}, search=SMALL)
    assert main(["run", str(file)]) == 0
    assert main(["rank", str(file)]) == 0
    run = users_folder / "runs/small"
    assert json.loads((run / "rank/angle_paper.json").read_text())["cells"] == 27
    seed = run / "supernet/seed_0"
    before, after = (load_file(seed / place / "weights.safetensors") for place in ("initial", "epoch_00002"))
    for line in history(run):
        assert line["fitness"] == pytest.approx(plain_angle(line["architecture"], before, after), abs=1e-6)


def plain_angle(
    architecture: tuple[int, ...], before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]
) -> float:
    """Returns the angle between concatenated kernels, in which a layer that is left out is an identity matrix."""
    vectors = []
    for weights in (before, after):
        parts = []
        for number, k in enumerate(architecture):
            kernel = torch.eye(4) if CANDIDATES[k] == "skip" else weights[f"blocks.{number}.{CANDIDATES[k]}.0.weight"]
            parts.append(kernel.double().flatten())
        vectors.append(torch.cat(parts))
    cosine = torch.dot(*vectors) / (vectors[0].norm() * vectors[1].norm())
    return math.acos(min(1.0, cosine.item()))


def test_what_a_space_does_not_state_is_known_before_training() -> None:
    assert has_weight_vector(ThreeLayers())


def test_in_the_package_a_space_is_one_new_file(tmp_path: Path, new_file: None) -> None:
    assert "two_branches" in space_classes()
    assert not has_weight_vector(SPACES.row("two_branches")())
    space = {"name": "two_branches", "channels": 3}
    file = small_run(
        tmp_path, algorithm="spos", space=space, train={"epochs": 1}, search={**ACCURACY, **SMALL}, report=True
    )
    assert main(["run", str(file)]) == 0
    assert main(["rank", str(file)]) == 0
    run = tmp_path / "runs/small"
    assert json.loads((run / "rank/one_shot_accuracy.json").read_text())["cells"] == 9
    assert "two_branches" in (run / "report/index.html").read_text()


def test_two_spaces_of_one_name_are_refused(new_file: None) -> None:
    folder = Path(raynas.spaces.__path__[-1])
    shutil.copy(HERE / "own_space.py", folder / "two_branches_again.py")
    with pytest.raises(RuntimeError, match=r"^raynas.spaces states two members called two_branches$"):
        space_classes()
    sys.modules.pop("raynas.spaces.two_branches_again")
