"""Ctrl-C in the middle of a run. (`test_fault_campaign` kills workers, evaluators and drivers.)"""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.stages.runs import outcome, saved_step, shown_step, small_run, start, succeed, wait_until

EPOCHS = 50  # long enough that a run is not over before it is disturbed, also on a busy machine
pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.long]


def long_run(folder: Path, workers: int) -> Path:
    """Weights on random paths, alphas on samples: what an interruption could lose is all there."""
    train = {"epochs": EPOCHS, "checkpoint_every": 10, "workers": workers}
    # On one CPU an evaluator starts when the training worker has given it back.
    return small_run(folder, train=train, alphas={"gates": "gumbel"}, local_cpus=1)


def training_workers(driver: subprocess.Popen[str]) -> list[int]:
    """Returns the processes that train, among those that the driver started."""
    listing = subprocess.run(["ps", "-eo", "pid=,sid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    return [int(pid) for pid, session, name in rows if "RayTrainWorker" in name and int(session) == driver.pid]


def test_ctrl_c_saves_and_is_answered_in_one_line_and_the_run_continues(tmp_path: Path) -> None:
    file = long_run(tmp_path, workers=1)
    process = start("run", file)
    wait_until(lambda: (tmp_path / "runs/small/supernet/seed_0/epoch_00010").exists(), process)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, f"exit status {process.returncode}\n{out}\n{err}"
    assert shown_step(tmp_path / "runs/small") <= saved_step(tmp_path / "runs/small", err), "no step is repeated"
    assert not training_workers(process)
    succeed("run", file, "--set", "train.workers=0")  # where it runs may change in between
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    succeed("run", long_run(undisturbed, workers=0))
    assert outcome(tmp_path / "runs/small", EPOCHS) == outcome(undisturbed / "runs/small", EPOCHS)
