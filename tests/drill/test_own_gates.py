"""An algorithm with a new kind of gate is one file: run, derived, resumed, reported."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from raynas.cli import main
from raynas.config.reading import load_config
from raynas.spaces.nasbench201 import NasBench201
from raynas.storage.run_folder import open_run, rounding_change
from raynas.supernet.gates import Turn
from raynas.supernet.routes import GATES, SAMPLINGS, Routing
from tests.drill.conftest import Added
from tests.stages.runs import small_run

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    "data": {"max_images": 96, "train_portion": 0.5},
    "train": {"epochs": 3, "batch_size": 24, "checkpoint_every": 1},
    "alphas": {"temperature": [5.0, 1.0]},
    "search": {"evaluators": 0, "evaluation_images": 48, "calibration_images": 48, "evaluation_batch_size": 48},
}


def lines(file: Path) -> list[dict[str, Any]]:
    timed = ("seconds", "images_per_second")
    found = [json.loads(line) for line in file.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in timed} for line in found]


def test_a_users_algorithm_is_run_derived_resumed_and_reported(tmp_path: Path, beside: Added) -> None:
    path = beside("own_gates")
    file = small_run(tmp_path, algorithm=f"{path}SNAS", **SMALL, report=True)
    config = load_config(file)
    assert (config.train.sampling, config.alphas.gates) == (f"{path}CONCRETE", f"{path}CONCRETE")
    assert (config.search.name, config.search.derivation, config.alphas.gradient) == ("derive", "with_none", "first")
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    seed = run / "supernet/seed_0"
    whole = lines(seed / "metrics.jsonl")
    assert [line["temperature"] for line in whole] == [5.0, 3.0, 1.0]
    assert lines(seed / "derived.jsonl")[-1]["epochs"] == 3
    assert "users_own_gates.SNAS" in (run / "report/index.html").read_text()
    result = json.loads((run / "search/result.json").read_text())["best"]
    for later in ("epoch_00003", "result.json"):
        gone = seed / later
        shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    for gone in (run / "search", run / "report"):
        shutil.rmtree(gone, ignore_errors=True)
    assert main(["run", str(file)]) == 0
    assert lines(seed / "metrics.jsonl") == whole
    assert json.loads((run / "search/result.json").read_text())["best"] == result


def test_its_samples_have_the_temperature_in_their_weights(beside: Added) -> None:
    rule = GATES.row(f"{beside('own_gates')}CONCRETE")
    alphas = [torch.zeros(5)] * 6
    spread = {}
    for temperature in (0.1, 100.0):
        routing = Routing(NasBench201(), 0, rule, 1, rule, temperature=lambda step, t=temperature: t)  # type: ignore[misc]
        gates: Any = routing.of_alphas(3, alphas)
        assert [gate.active for gate in gates] == [(0, 1, 2, 3, 4)] * 6
        spread[temperature] = torch.stack([gate.weights for gate in gates]).std().item()
    assert spread[100.0] < 0.01 < 0.2 < spread[0.1]
    assert set(rule.serves) == {Turn.WEIGHTS, Turn.ALPHAS}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"sampling": "CONCRETE"}}, "train.sampling: users_own_gates.CONCRETE needs alphas, which rlnas has"),
        ({"algorithm": "SNAX"}, "algorithm: cannot import 'users_own_gates.SNAX'"),
        ({"algorithm": "CONCRETE"}, "algorithm: expected 'users_own_gates.CONCRETE' to be a raynas.algorithms.Algor"),
        ({"alphas": {"gates": "CONCRETE", "idle": True}}, "alphas.idle: only samples leave candidates idle, got alp"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    tmp_path: Path, beside: Added, changes: dict[str, Any], message: str
) -> None:
    path = beside("own_gates")

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: named(one) for key, one in value.items()}
        return f"{path}{value}" if isinstance(value, str) else value

    with pytest.raises(ValueError) as refused:
        load_config(small_run(tmp_path, **named(changes)))
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_inside_the_package_it_is_one_file_too(tmp_path: Path, inside: Callable[[str, str], None]) -> None:
    inside("own_gates", "raynas.algorithms")
    config = load_config(small_run(tmp_path, algorithm="snas", **SMALL))
    assert config.train.sampling == config.alphas.gates == "raynas.algorithms.drill_own_gates.CONCRETE"
    inside("own_gates", "raynas.supernet")
    assert "concrete" in SAMPLINGS.names() and "concrete" in GATES.names()
    config = load_config(small_run(tmp_path, alphas={"gates": "concrete"}, train={"sampling": "concrete"}))
    assert (config.train.sampling, config.alphas.gates) == ("concrete", "concrete")


def test_a_module_that_only_a_folder_names_is_compared_and_not_imported(tmp_path: Path, beside: Added) -> None:
    path = beside("own_gates")
    config = load_config(small_run(tmp_path, algorithm=f"{path}SNAS", **SMALL))
    open_run(config)
    file = tmp_path / "runs/small/config.json"
    (tmp_path / "strange.py").write_text("raise SystemExit('executed')\n")
    stored = json.loads(file.read_text())
    for section, key in (("alphas", "gates"), ("data", "labels")):
        changed = json.loads(json.dumps(stored))
        changed["config"][section][key] = "strange.ROW"
        file.write_text(json.dumps(changed))
        with pytest.raises(ValueError, match=rf"another configuration \({section}.{key} 'strange.ROW' there, '") as no:
            open_run(config)
        assert "executed" not in str(no.value) and "strange" not in sys.modules
    stored["config"]["search"]["fitness"] = "strange.ROW"
    file.write_text(json.dumps(stored))
    open_run(config, ignore=("search",))
    assert rounding_change(config) is None
    assert "strange" not in sys.modules
