"""Networks of a run's folder are exported and used by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import raynas
from raynas.cli import main
from tests.stages.runs import small_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a run with a retraining; its images lie beside it."""
    folder = tmp_path_factory.mktemp("networks")
    file = small_run(
        folder,
        search={"name": "evolution", "fitness": "num_parameters"},
        retrain={"epochs": 8, "batch_size": 32, "seeds": [3], "controls": ["random"], "space": {"channels": 8}},
    )
    assert main(["run", str(file)]) == 0
    for number in (0, 7):
        pixels = (load_digits().images[number] / 16 * 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder / "runs/small"


@pytest.mark.slow
def test_the_best_network_of_a_run_is_exported_and_predicts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run.parents[1]
    assert main(["export", str(run), "--format", "safetensors", "--out", str(folder / "network")]) == 0
    said = capsys.readouterr().out
    record = json.loads((folder / "network/config.json").read_text())
    assert "largest difference" in said and record["weights"] == "retrained" and record["accuracy"]["seeds"] == [3]
    assert record["space"]["channels"] == 8 and record["classes"] == list("0123456789")
    images = [str(folder / f"{number}.png") for number in (0, 7)]
    outputs = []
    for place in (run, folder / "network"):
        assert main(["predict", str(place), *images, "--top", "2"]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert [line.split(": ")[1][0] for line in outputs[0].splitlines()] == ["0", "7"]


@pytest.mark.slow
def test_other_networks_of_a_run_are_named_by_their_text(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = raynas.open_run(run)
    random = opened.retrained["own"].networks[1].description
    out = run.parents[1] / "random"
    assert main(["export", str(run), "--format", "safetensors", "--out", str(out), "--architecture", random]) == 0
    assert json.loads((out / "config.json").read_text())["text"] == random
    capsys.readouterr()
    untrained = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    assert main(["export", str(run), "--format", "safetensors", "--out", str(out), "--architecture", untrained]) == 2
    said = capsys.readouterr().err
    assert "was not retrained; give one of best-1" in said and len(said.splitlines()) == 1
    assert main(["predict", str(run), "x.png", "--seed", "9"]) == 2
    assert "seed: expected one of 3, got 9" in capsys.readouterr().err
