"""Training that is interrupted after every step, each time continued by fresh objects from what lies in the folder."""

import itertools
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from raynas.config.reading import load_config
from raynas.stages import checkpoint_clock
from raynas.stages.requests import Requests
from raynas.stages.task import Task, make_task
from raynas.stages.train_supernet import supernet_trainings
from raynas.stages.training import SavedAndStopped, train_all
from raynas.storage.checkpoint import checkpoint_folders
from raynas.storage.mirror import Mirror
from raynas.training.workers import ALONE, Workers
from tests.stages.runs import chain_run, small_run
from tests.supernet.test_train_supernet import Together

CPU = torch.device("cpu")
ASKED = Requests(warning=lambda: "a machine")
EPOCHS, STEPS = 2, 3
TIMED = ("seconds", "images_per_second", "tokens_per_second")

RUNS: dict[str, dict[str, Any]] = {
    "uniform paths": {},
    "fair paths, rate by step, drop path": {
        "train": {"sampling": "fair", "schedule": "linear", "schedule_every": "step", "drop_path": 0.2},
    },
    "coasting candidates": {"train": {"idle_weights": "coast"}},
    "hard samples": {"algorithm": "gdas", "alphas": {"learning_rate": 0.1}},
    "amended": {"algorithm": "amended_darts", "alphas": {"learning_rate": 0.1, "eta": 0.3}},
    "measured descent": {"algorithm": "darts", "alphas": {"learning_rate": 0.1, "measures_descent": True}},
    "resting alphas": {"algorithm": "darts", "alphas": {"learning_rate": 0.1, "first_epoch": 1}},
}


def task_of(folder: Path, run: Any = small_run, **sections: Any) -> tuple[Task, Path]:
    """Returns the task and the folder of a run of two epochs of three steps."""
    folder.mkdir(exist_ok=True)
    sections["train"] = {"epochs": EPOCHS, "batch_size": 20, "checkpoint_every": 2, **sections.get("train", {})}
    sections["data"] = {"max_images": 2 * 20 * STEPS, "train_portion": 0.5}
    config = load_config(run(folder, **sections))
    config.folder.mkdir(parents=True, exist_ok=True)
    return make_task(config), config.folder


def train_in_pieces(task: Task, folder: Path, worlds: Iterable[int] = ()) -> list[tuple[int, int]]:
    """Trains, interrupted as often as it asks, and returns the positions that it went on from."""
    positions, worlds = [], iter(worlds)
    while True:
        world = next(worlds, 1)

        def train(rank: int, workers: Workers) -> bool:
            try:
                train_all(supernet_trainings(task), Mirror(folder), workers, CPU, task.config.train, requests=ASKED)
            except SavedAndStopped:
                return True
            return False

        results, errors = Together(world).run(train)
        assert errors == [None] * world
        assert len(set(results)) == 1, "all workers end alike"
        if not results[0]:
            return positions
        newest = json.loads((checkpoint_folders(folder / "supernet/seed_0")[-1] / "checkpoint.json").read_text())
        positions.append((newest["epochs"], newest["steps_of_epoch"]))


def left_behind(folder: Path) -> dict[str, Any]:
    """Returns what a training left, without what is a time."""
    place = folder / "supernet/seed_0"
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    files = [*checkpoint_folders(place)[-1].iterdir(), *place.iterdir()]
    return {
        "metrics": [{key: value for key, value in line.items() if key not in TIMED} for line in lines],
        **{file.name: file.read_bytes() for file in files if file.is_file() and file.name != "metrics.jsonl"},
        "events": events(folder),
    }


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Returns what TensorBoard shows, by tag, without what is a time."""
    files = sorted((folder / "tensorboard/seed_0").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    joined = folder / "events.out.tfevents"  # names of files of the same second are not in the order of their writing
    joined.write_bytes(b"".join(file.read_bytes() for file in files))
    shown = EventAccumulator(str(joined))
    shown.Reload()
    tags = [tag for tag in shown.Tags()["scalars"] if "per_second" not in tag]
    return {tag: [(event.step, event.value) for event in shown.Scalars(tag)] for tag in tags}


@pytest.fixture(autouse=True)
def after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_clock, "INTERVAL", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_an_interruption_after_every_step_leaves_no_trace(tmp_path: Path, run: str) -> None:
    whole, whole_folder = task_of(tmp_path / "whole", **RUNS[run])
    train_all(supernet_trainings(whole), Mirror(whole_folder), ALONE, CPU, whole.config.train)
    pieces, folder = task_of(tmp_path / "pieces", **RUNS[run])
    positions = train_in_pieces(pieces, folder)
    assert positions == [divmod(step, STEPS) for step in range(1, EPOCHS * STEPS)]
    expected, found = left_behind(whole_folder), left_behind(folder)
    assert found == expected
    assert [step for step, _ in found["events"]["train/loss"]] == [STEPS, 2 * STEPS]
    notes = (folder / "notes.txt").read_text().splitlines()
    assert notes[0] == f"a machine: saved after epoch 0 and step 1 of {STEPS}"
    assert len(notes) == len(positions)


@pytest.mark.slow
def test_interrupted_workers_go_on_with_the_running_statistics_of_each(tmp_path: Path) -> None:
    whole, whole_folder = task_of(tmp_path / "whole")

    def train(rank: int, workers: Workers) -> None:
        train_all(supernet_trainings(whole), Mirror(whole_folder), workers, CPU, whole.config.train)

    assert Together(2).run(train)[1] == [None, None]
    pieces, folder = task_of(tmp_path / "pieces")
    # Threads share torch's generator, so that both trainings must begin with the same initial weights.
    shutil.copytree(whole_folder / "supernet/seed_0/initial", folder / "supernet/seed_0/initial")
    assert len(train_in_pieces(pieces, folder, itertools.repeat(2))) == EPOCHS * STEPS - 1
    newest = "supernet/seed_0/epoch_00002"
    for part in ("weights", "optimizer", "weights_of_workers"):
        expected, found = (load_file(place / newest / f"{part}.safetensors") for place in (whole_folder, folder))
        assert set(found) == set(expected)
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items()), part
    rows = load_file(folder / newest / "weights_of_workers.safetensors")
    means = load_file(folder / newest / "weights.safetensors")
    assert all(torch.equal(means[name], (row[0] + row[1]) / 2) for name, row in rows.items())
    assert any(not torch.equal(row[0], row[1]) for row in rows.values())


@pytest.mark.slow
def test_one_two_and_three_workers_in_turn_end_with_the_metrics_and_weights_of_one(tmp_path: Path) -> None:
    sections = RUNS["amended"]
    whole, whole_folder = task_of(tmp_path / "whole", chain_run, **sections)
    train_all(supernet_trainings(whole), Mirror(whole_folder), ALONE, CPU, whole.config.train)
    pieces, folder = task_of(tmp_path / "pieces", chain_run, **sections)
    positions = train_in_pieces(pieces, folder, [1, 2, 3, 3, 2, 2])
    assert len(positions) == EPOCHS * STEPS - 1
    expected, found = left_behind(whole_folder), left_behind(folder)
    for ours, theirs in zip(found["metrics"], expected["metrics"], strict=True):
        unknown = [key for key, value in theirs.items() if value is None]
        assert "temperature" in unknown
        assert all(ours.pop(key) is theirs.pop(key) is None for key in unknown)
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-6)
    place = "supernet/seed_0/alphas.npy"
    ours, theirs = np.load(folder / place), np.load(whole_folder / place)
    assert np.abs(ours - theirs).max() < 1e-4 < np.abs(theirs[-1] - theirs[0]).max()


def test_seconds_are_those_of_training_and_not_of_the_time_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that a step moves by a second, and an interruption by a thousand."""
    from raynas.supernet import one_shot
    from raynas.training import loop

    task, folder = task_of(tmp_path)
    clock = [0.0]
    evaluate = one_shot.Objective.evaluate

    def step(*arguments: Any) -> Any:
        clock[0] += 1
        return evaluate(*arguments)

    monkeypatch.setattr(one_shot.Objective, "evaluate", step)
    monkeypatch.setattr(loop.time, "perf_counter", lambda: clock[0])

    for _ in range(EPOCHS * STEPS - 1):
        with pytest.raises(SavedAndStopped):
            train_all(supernet_trainings(task), Mirror(folder), ALONE, CPU, task.config.train, requests=ASKED)
        clock[0] += 1000
    train_all(supernet_trainings(task), Mirror(folder), ALONE, CPU, task.config.train)
    lines = [json.loads(line) for line in (folder / "supernet/seed_0/metrics.jsonl").read_text().splitlines()]
    assert [line["seconds"] for line in lines] == [STEPS] * EPOCHS
    assert [line["images_per_second"] for line in lines] == [20] * EPOCHS


def test_time_alone_saves_in_mid_epoch_and_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, folder = task_of(tmp_path, train={"checkpoint_minutes": 1e-9, "keep_checkpoints": 100})
    train_all(supernet_trainings(task), Mirror(folder), Workers(), CPU, task.config.train)
    found = [path.name for path in checkpoint_folders(folder / "supernet/seed_0")]
    names = [f"epoch_{n // STEPS:05d}" + (f"_step_{n % STEPS:05d}" if n % STEPS else "") for n in range(1, 7)]
    assert found == names
    assert not (folder / "notes.txt").exists()


def test_training_saves_again_where_all_checkpoints_were_damaged(tmp_path: Path) -> None:
    task, folder = task_of(tmp_path, train={"checkpoint_minutes": 1e-9})
    place = folder / "supernet/seed_0"
    train_all(supernet_trainings(task), Mirror(folder), ALONE, CPU, task.config.train)
    expected = left_behind(folder)
    for checkpoint in checkpoint_folders(place):
        (checkpoint / "weights.safetensors").write_bytes(b"")
    (place / "result.json").unlink()
    with pytest.raises(SavedAndStopped):
        train_all(supernet_trainings(task), Mirror(folder), ALONE, CPU, task.config.train, requests=ASKED)
    assert [path.name for path in checkpoint_folders(place)] == ["epoch_00000_step_00001"]
    said = (folder / "notes.txt").read_text().splitlines()
    assert ["epoch_00002 is damaged" in said[0], "epoch_00001_step_00002 is damaged" in said[1]] == [True, True]
    train_all(supernet_trainings(task), Mirror(folder), ALONE, CPU, task.config.train)
    assert left_behind(folder) == expected


def test_without_a_reason_checkpoints_are_those_of_their_epochs(tmp_path: Path) -> None:
    task, folder = task_of(tmp_path, train={"checkpoint_minutes": None, "keep_checkpoints": 100})
    train_all(supernet_trainings(task), Mirror(folder), Workers(), CPU, task.config.train)
    assert [path.name for path in checkpoint_folders(folder / "supernet/seed_0")] == ["epoch_00002"]
