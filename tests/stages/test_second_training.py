"""A training that is no supernet has all that the stage offers, without a line of its own for it."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from raynas.config.reading import load_config
from raynas.config.run_config import RunConfig
from raynas.stages import checkpoint_clock, progress_line
from raynas.stages.progress import Progress, TrainingProgress
from raynas.stages.requests import NO_REQUESTS, Requests
from raynas.stages.training import SavedAndStopped, train_all
from raynas.storage.checkpoint import checkpoint_folders
from raynas.storage.mirror import Mirror
from raynas.training.workers import Workers
from tests.stages.runs import ROOT, small_run
from tests.supernet.test_train_supernet import Together
from tests.training.classifier import CLASSIFIERS, make, plans

EPOCHS, STEPS = 3, 4
TIMED = ("seconds", "images_per_second")
ASKED = Requests(warning=lambda: "a machine", seconds=0)
WHOLE = [divmod(step, STEPS) for step in range(1, EPOCHS * STEPS)]


def config_of(folder: Path, **train: Any) -> RunConfig:
    folder.mkdir(exist_ok=True)
    sections = {"epochs": EPOCHS, "batch_size": 24, "learning_rate": 0.01, "checkpoint_every": EPOCHS, **train}
    data = {"max_images": 2 * 24 * STEPS, "train_portion": 0.5, "labels": "true"}
    config = load_config(small_run(folder, train=sections, data=data))
    config.folder.mkdir(parents=True, exist_ok=True)
    return config


def trained(config: RunConfig, worlds: Iterable[int] = (), requests: Requests = NO_REQUESTS) -> list[tuple[int, int]]:
    """Trains by so many workers after each interruption, and returns the positions of these."""
    positions, worlds = [], iter(worlds)
    while True:
        world = next(worlds, 1)

        def train(rank: int, workers: Workers) -> bool:
            trainings = make(config, config.folder)
            try:
                train_all(
                    trainings, Mirror(config.folder), workers, torch.device("cpu"), config.train, requests=requests
                )
            except SavedAndStopped:
                return True
            return False

        stopped, errors = Together(world).run(train)
        assert errors == [None] * world
        if not any(stopped):
            return positions
        newest = checkpoint_folders(config.folder / "classifier")[-1]
        stored = json.loads((newest / "checkpoint.json").read_text())
        positions.append((stored["epochs"], stored["steps_of_epoch"]))


def metrics_of(config: RunConfig) -> list[dict[str, Any]]:
    lines = (config.folder / "classifier/metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMED} for line in lines]


def outcome(config: RunConfig) -> dict[str, Any]:
    """Returns the metrics and the bytes of the last checkpoint."""
    last = config.folder / f"classifier/epoch_{EPOCHS:05d}"
    parts = {file.name: file.read_bytes() for file in last.iterdir()}
    assert set(parts) == {"weights.safetensors", "optimizer.safetensors", "checkpoint.json", "SHA256SUMS"}
    return {"metrics": metrics_of(config), **parts}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """An undisturbed training."""
    config = config_of(tmp_path_factory.mktemp("whole"))
    assert trained(config) == []
    return config


def test_it_learns_and_its_metrics_and_events_are_recorded(whole: RunConfig) -> None:
    lines = metrics_of(whole)
    assert [line["epoch"] for line in lines] == list(range(EPOCHS))
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert lines[-1]["accuracy"] > lines[0]["accuracy"]
    assert list((whole.folder / "tensorboard/classifier").iterdir())
    trained = json.loads((whole.folder / "classifier/result.json").read_text())
    assert (trained["epochs"], trained["steps"]) == (EPOCHS, EPOCHS * STEPS)


def test_an_interruption_after_every_step_leaves_no_trace(
    whole: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint_clock, "INTERVAL", 0.0)
    config = config_of(tmp_path)
    assert trained(config, requests=ASKED) == WHOLE
    assert outcome(config) == outcome(whole)
    assert (config.folder / "notes.txt").read_text().splitlines()[0] == (
        f"a machine: saved after epoch 0 and step 1 of {STEPS}"
    )


@pytest.mark.parametrize("worlds", [[2], [1, 2, 1, 2, 2, 1, 3, 1]], ids=["two", "elastic"])
def test_any_number_of_workers_in_turn_ends_with_the_metrics_and_weights_of_one(
    whole: RunConfig, tmp_path: Path, worlds: list[int]
) -> None:
    config = config_of(tmp_path)
    requests = ASKED if len(worlds) > 1 else NO_REQUESTS
    assert trained(config, worlds, requests) == (WHOLE if len(worlds) > 1 else [])
    assert_alike(config, whole)


def assert_alike(config: RunConfig, whole: RunConfig) -> None:
    """Asserts that two trainings agree to rounding."""
    for ours, theirs in zip(metrics_of(config), metrics_of(whole), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    name = f"classifier/epoch_{EPOCHS:05d}/weights.safetensors"
    theirs = load_file(whole.folder / name)
    for key, tensor in load_file(config.folder / name).items():
        torch.testing.assert_close(tensor, theirs[key], rtol=0, atol=1e-4)


KILLED_IN_THE_SEVENTH_STEP = """
import os, signal, sys
from tests.training import classifier

step = classifier.Classifier.step

def killed(self, batch, position, update):
    if position.step == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, position, update)

classifier.Classifier.step = killed
classifier.main(sys.argv[1])
"""


def test_a_killed_process_goes_on_to_the_same_bits(whole: RunConfig, tmp_path: Path) -> None:
    config = config_of(tmp_path, checkpoint_minutes=1e-9)
    command = [sys.executable, "-c", KILLED_IN_THE_SEVENTH_STEP, str(tmp_path / "small.yaml")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    place = config.folder / "classifier"
    assert "epoch_00000_step_00003" in [folder.name for folder in checkpoint_folders(place)]
    assert not (place / "result.json").exists()
    assert trained(config) == []
    assert outcome(config) == outcome(whole)


def test_a_damaged_checkpoint_gives_way_to_the_one_before(whole: RunConfig, tmp_path: Path) -> None:
    config = config_of(tmp_path, checkpoint_every=1, keep_checkpoints=5)
    trained(config)
    place = config.folder / "classifier"
    (place / "result.json").unlink()
    (place / f"epoch_{EPOCHS:05d}/optimizer.safetensors").write_bytes(b"")
    trained(config)
    assert outcome(config) == outcome(whole)
    assert "is damaged" in (config.folder / "notes.txt").read_text()


def test_progress_is_told_of_its_epochs(whole: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_line, "LINE_SECONDS", 0.0)
    out = io.StringIO()
    file = whole.folder / "classifier/metrics.jsonl"
    lines = file.read_text()
    file.write_text("")
    with TrainingProgress(plans(whole), whole.folder, Console(file=out), "preparing to train"):
        file.write_text(lines)
        time.sleep(0.5)
    first = json.loads(lines.splitlines()[0])
    assert f"loss {first['loss']:.3f}  epoch 1/{EPOCHS}  accuracy {first['accuracy']:.1f} %" in out.getvalue()


@pytest.mark.ray
@pytest.mark.slow
def test_two_workers_on_ray_end_with_the_metrics_and_weights_of_one(whole: RunConfig, tmp_path: Path) -> None:
    from raynas.on_ray.session import on_ray

    config = config_of(tmp_path, workers=2)
    with on_ray(config) as backend, Progress(Console(), "starting workers") as progress:
        backend.train(CLASSIFIERS, Mirror(config.folder), progress, lambda: None)
    assert_alike(config, whole)
