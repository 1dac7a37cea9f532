"""Processes are really killed. What a run computes must not show it. (`test_fault_campaign` kills drivers.)"""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.orchestration.runs import outcome, small_run, start, succeed, wait_until

EPOCHS = 50  # long enough that a run is not over before it is disturbed, also on a busy machine
pytestmark = [pytest.mark.slow, pytest.mark.ray]


def long_run(folder: Path, workers: int) -> Path:
    """Weights on random paths, alphas on samples: what an interruption could lose is all there."""
    train = {"epochs": EPOCHS, "checkpoint_every": 5, "workers": workers}
    # On one CPU an evaluator starts when the training worker has given it back.
    return small_run(folder, train=train, alphas={"gates": "gumbel"}, local_cpus=1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The outcome of the same run in one process, without Ray."""
    folder = tmp_path_factory.mktemp("undisturbed")
    succeed("run", long_run(folder, workers=0))
    return outcome(folder / "runs/small", EPOCHS)


def training_workers(driver: subprocess.Popen[str]) -> list[int]:
    """Returns the processes that train, among those that the driver started."""
    listing = subprocess.run(["ps", "-eo", "pid=,sid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    return [int(pid) for pid, session, name in rows if "RayTrainWorker" in name and int(session) == driver.pid]


def test_a_killed_training_worker_costs_at_most_one_checkpoint_interval(
    tmp_path: Path, undisturbed: dict[str, object]
) -> None:
    process = start("run", long_run(tmp_path, workers=1))
    place = tmp_path / "runs/small/supernet/seed_0"
    wait_until(lambda: (place / "epoch_00020").exists(), process)
    (victim,) = training_workers(process)
    os.kill(victim, signal.SIGKILL)
    reached = len((place / "metrics.jsonl").read_text().splitlines())
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err
    assert "a training worker was lost; continuing from the last checkpoint" in out
    assert "Traceback" not in out + err
    assert outcome(tmp_path / "runs/small", EPOCHS) == undisturbed
    events = sorted((tmp_path / "runs/small/tensorboard/seed_0").glob("events*"))
    assert len(events) == 2  # one file per attempt: the second begins after the checkpoint before the kill
    assert first_epoch(events[1]) >= reached - 5


def first_epoch(events: Path) -> int:
    """Returns the first epoch, counted from 0, that an events file tells of."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    steps = [event.step for event in EventFileLoader(str(events)).Load() if event.HasField("summary")]
    return steps[0] // (steps[-1] // EPOCHS) - 1


def test_ctrl_c_is_answered_in_one_line_and_the_run_continues(tmp_path: Path, undisturbed: dict[str, object]) -> None:
    file = long_run(tmp_path, workers=1)
    process = start("run", file)
    wait_until(lambda: (tmp_path / "runs/small/supernet/seed_0/epoch_00010").exists(), process)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, f"exit status {process.returncode}\n{out}\n{err}"
    assert err == "raynas: interrupted; give the same command again to continue\n"
    assert not training_workers(process)
    succeed("run", file, "--set", "train.workers=0")  # where it runs may change in between
    assert outcome(tmp_path / "runs/small", EPOCHS) == undisturbed
