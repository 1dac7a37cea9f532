"""A machine is taken back in the middle of a long epoch: training saves before, and goes on elsewhere from there."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.on_ray.preempted_cluster import DEADLINE
from tests.stages.runs import ROOT, chain_run, succeed
from tests.stages.test_mid_epoch import left_behind

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.long]

IMAGES = 12_000  # an epoch that outlasts the warning


def long_epoch(folder: Path) -> Path:
    """Returns a run of one epoch, with alphas, whose workers take one of a resource that only some nodes offer."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    images = {f"{part}_images": rng.integers(0, 256, (n, 8, 8, 3), np.uint8) for part, n in PARTS.items()}
    labels = {f"{part}_labels": rng.integers(0, 10, n) for part, n in PARTS.items()}
    np.savez(folder / "images.npz", **images, **labels)
    return chain_run(
        folder,
        data={"name": "npz", "path": str(folder / "images.npz")},
        train={"epochs": 1, "batch_size": 2, "workers": 1, "resource": "raynas_train"},
        alphas={"gates": "gumbel"},
    )


PARTS = {"train": IMAGES, "test": 100}


def test_training_saves_before_its_machine_is_taken_back_and_repeats_no_step_elsewhere(tmp_path: Path) -> None:
    file = long_epoch(tmp_path / "taken")
    folder = tmp_path / "taken/runs/small"
    script = Path(__file__).parent / "preempted_cluster.py"
    done = subprocess.run(
        [sys.executable, str(script), str(file), str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["saved_after"] < DEADLINE
    assert seen["again_after"] > 0
    repeated = seen["reached"] - seen["position"]
    print(f"saved {seen['saved_after']:.1f} s after the warning, training again {seen['again_after']:.1f} s after it; ")
    print(f"steps repeated: {max(0, repeated)} of {IMAGES // 4}")
    assert repeated <= 0, "what progress.json told last was saved"
    (line,) = (folder / "notes.txt").read_text().splitlines()
    assert "with training worker 0 will be taken back at " in line
    assert line.endswith(f": saved after epoch 0 and step {seen['position']} of {IMAGES // 4}")
    assert done.stdout.count("taken back") == 1, "one line says it"
    succeed("train", long_epoch(tmp_path / "undisturbed"), "--set", "train.workers=0")
    assert left_behind(folder) == left_behind(tmp_path / "undisturbed/runs/small")
