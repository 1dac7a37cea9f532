"""The same global batch on any number of workers, also when their number changes on the way."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.stages.runs import ROOT, chain_run, command, losses, start, succeed, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def largest_difference(curve: list[float], reference: list[float]) -> float:
    """Returns the largest relative difference of two curves, and prints it (``pytest -rP`` shows it)."""
    assert len(curve) == len(reference)
    largest = max(abs(a - b) / b for a, b in zip(curve, reference, strict=True))
    print(f"largest relative difference of {len(curve)} epochs' losses: {largest:.1e}")
    return largest


@pytest.mark.long
def test_weights_and_alphas_of_four_workers_are_those_of_one(tmp_path: Path) -> None:
    """Weights on random paths, whose gradients alone are exchanged; alphas by second derivatives, added up."""
    for name, workers in (("alone", 0), ("four", 4)):
        (tmp_path / name).mkdir()
        file = chain_run(
            tmp_path / name,
            algorithm="spos",
            train={"epochs": 10, "workers": workers},
            alphas={"gates": "mixture", "gradient": "amended", "eta": 1.0, "learning_rate": 0.1},
            local_cpus=4,
        )
        succeed("train", file)
    alone, four = (losses(tmp_path / f"{name}/runs/small") for name in ("alone", "four"))
    assert alone[-1] < alone[0] - 0.01, "a curve that does not move shows nothing"
    assert largest_difference(four, alone) < 1e-5
    place = "runs/small/supernet/seed_0/alphas.npy"
    of_one, of_four = (np.load(tmp_path / name / place) for name in ("alone", "four"))
    assert np.abs(of_one[-1] - of_one[0]).max() > 0.1, "alphas that do not move show nothing"
    print(f"largest difference of alphas: {np.abs(of_four - of_one).max():.1e}")
    assert np.abs(of_four - of_one).max() < 1e-3


def repeated(seen: dict[str, int]) -> int:
    """Returns how many steps that one worker had shown were not saved for two."""
    return max(0, seen["shown"] - seen["saved"])


@pytest.mark.long
def test_elastic_training_keeps_the_loss_curve_while_a_node_joins_and_leaves(tmp_path: Path) -> None:
    """Nothing trains until a node comes; a second one makes it two workers, and no step is repeated; one is killed."""
    epochs = 5000  # more than there is time for: both are ended when the curves are long enough
    saves = {"checkpoint_every": 20, "checkpoint_minutes": None}  # else only for the node that joins
    file = chain_run(tmp_path, train={"epochs": epochs, "workers": [1, 2], **saves})
    script = Path(__file__).parent / "elastic_cluster.py"
    done = subprocess.run(
        [sys.executable, str(script), str(file), str(tmp_path / "runs/small")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a training worker was lost; continuing from the last checkpoint" in done.stdout
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["worlds"] == [1, 2, 1]
    print(f"two workers {seen['joined_after']:.0f} s after a node joined; steps repeated: {repeated(seen)}")
    assert repeated(seen) == 0
    assert "there is room for 2 training workers instead of 1: saved after epoch " in done.stdout
    curve, alone = losses(tmp_path / "runs/small"), tmp_path / "alone"
    alone.mkdir()
    process = start("train", chain_run(alone, train={"epochs": epochs, "checkpoint_every": 10_000}))
    metrics = alone / "runs/small/supernet/seed_0/metrics.jsonl"
    wait_until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) > len(curve), process)
    process.terminate()
    process.communicate()
    assert largest_difference(curve, losses(alone / "runs/small")[: len(curve)]) < 1e-4


def test_workers_that_a_machine_cannot_hold_are_refused_before_anything_starts(tmp_path: Path) -> None:
    status, _, err = command("train", chain_run(tmp_path, train={"workers": 4}, local_cpus=2))
    assert status == 2
    assert err == (
        "raynas: train.workers: 4 workers need 4 CPU but this machine offers 2; lower train.workers or "
        "train.cpus_per_worker, or give the address of a larger cluster\n"
    )
