"""Networks are trained from scratch on Ray as supernets are, and trials of a sweep are compared by their accuracy."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

from raynas.config.sweeps import load_sweep
from raynas.errors import InputError
from raynas.records.retrain_record import RetrainRecord
from raynas.sweep_metrics import SWEEP_METRICS, TrialOutcome
from tests.on_ray.test_faults import training_workers
from tests.stages.runs import small_run, start, succeed, wait_until

FREE = {"name": "evolution", "fitness": "num_parameters"}
EPOCHS = 20
RETRAIN = {"epochs": EPOCHS, "batch_size": 32, "seeds": [0], "controls": [], "space": {"channels": 4}}


def retrain_file(folder: Path, workers: int, **retrain: Any) -> Path:
    folder.mkdir(exist_ok=True)
    train = {"workers": workers, "checkpoint_every": 1}
    return small_run(folder, search=FREE, train=train, retrain={**RETRAIN, **retrain})


def weights(folder: Path) -> dict[str, bytes]:
    place = folder / f"runs/small/retrain/own/best-1/seed_0/epoch_{EPOCHS:05d}"
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(place / "weights.safetensors").items()}


@pytest.mark.ray
@pytest.mark.slow
def test_a_worker_that_is_killed_leaves_no_trace_in_a_network(tmp_path: Path) -> None:
    succeed("run", retrain_file(tmp_path / "here", 0))
    process = start("run", retrain_file(tmp_path / "ray", 1))
    metrics = tmp_path / "ray/runs/small/retrain/own/best-1/seed_0/metrics.jsonl"
    wait_until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) >= 2, process)
    os.kill(training_workers(process)[0], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "a training worker was lost; continuing from the last checkpoint" in out
    assert weights(tmp_path / "ray") == weights(tmp_path / "here")


@pytest.mark.ray
@pytest.mark.slow
def test_trials_are_compared_by_the_test_accuracy_of_their_networks(tmp_path: Path) -> None:
    file = retrain_file(tmp_path, 0, epochs=6)
    axes = {"retrain.learning_rate": {"grid": [0.1, 0.001]}}
    sweep = {"keys": axes, "metric": "test_accuracy", "also": ["num_parameters"]}
    file.write_text(file.read_text() + yaml.safe_dump({"sweep": sweep}))
    out = succeed("sweep", file)
    trials = json.loads((tmp_path / "runs/small/results.json").read_text())["trials"]
    for trial in trials:
        (result,) = (tmp_path / f"runs/small/trials/{trial['name']}").glob("retrain/*/result.json")
        assert trial["metrics"]["test_accuracy"] == RetrainRecord.read(result).networks[0].accuracy.mean
    assert trials[0]["metrics"]["test_accuracy"] > trials[1]["metrics"]["test_accuracy"] + 10
    assert "test accuracy from scratch" in out


def test_test_accuracy_needs_the_section_that_measures_it(tmp_path: Path) -> None:
    file = small_run(tmp_path, search=FREE)
    sweep = {"keys": {"seed": {"seeds": 2}}, "metric": "test_accuracy"}
    file.write_text(file.read_text() + yaml.safe_dump({"sweep": sweep}))
    with pytest.raises(InputError, match="sweep.metric: test_accuracy is known by training from scratch; add"):
        load_sweep(file)
    metric = SWEEP_METRICS.row("validation_accuracy")
    networks = [{"accuracy": {"mean": 90.0}, "validation": {"mean": 80.0}}]
    assert metric.take(TrialOutcome({}, retrained={"networks": networks})) == 80.0
    assert metric.take(TrialOutcome({})) is None
