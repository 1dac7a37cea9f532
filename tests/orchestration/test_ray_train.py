"""What is made of the ways in which a trainer ends: without a Ray, but with Ray's own errors."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ray.exceptions import RayActorError
from ray.train import PreemptionInfo
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerGroupStartupTimeoutError
from ray.train.v2.api.exceptions import ControllerError, PreemptionError, WorkerGroupError
from rich.console import Console

from raynas.config import RunConfig, load_config
from raynas.orchestration import ray_train
from raynas.orchestration.ownership import Busy
from raynas.orchestration.progress import Progress
from raynas.orchestration.ray_train import Failure, _attempt, _failure, fit, lack_of_room, taken_back
from raynas.orchestration.storage import Mirror
from raynas.orchestration.train_supernet import TakenBack
from tests.orchestration.runs import small_run

NODE = "3f2a"


def worker_failure(*causes: Exception) -> WorkerGroupError:
    return WorkerGroupError("lost", dict(enumerate(causes)))


def test_a_machine_that_is_taken_back_is_no_failure_and_said_once() -> None:
    saved = UserExceptionWithTraceback(TakenBack("a machine"), "Traceback")
    peer = UserExceptionWithTraceback(RuntimeError("gloo: Connection closed by peer"), "Traceback")
    assert _failure(worker_failure(saved)) == Failure(None, counts=False)
    assert _failure(worker_failure(peer, saved)) == Failure(None, counts=False)
    unseen = Failure("the machine of a training worker was taken back", counts=False)
    assert _failure(PreemptionError(PreemptionInfo(None, {NODE: [0]}))) == unseen
    killed = RayActorError("ab", "node drained", preempted=True)
    assert _failure(worker_failure(peer, killed)) == unseen


def test_other_failures_count() -> None:
    lost = Failure("a training worker was lost")
    assert _failure(worker_failure(RayActorError("ab", "killed"))) == lost
    assert lost.counts and not lost.no_room
    mistake = _failure(worker_failure(UserExceptionWithTraceback(ValueError("data.path: gone"), "Traceback")))
    assert mistake.reason == "data.path: gone" and isinstance(mistake.mistake, ValueError)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_disk_that_cannot_be_written_is_for_the_user_to_mend(number: int) -> None:
    disk = OSError(number, os.strerror(number), "/runs/small/supernet/seed_0/metrics.jsonl")
    found = _failure(worker_failure(UserExceptionWithTraceback(disk, "Traceback")))
    assert isinstance(found.mistake, OSError)
    assert (found.mistake.errno, found.mistake.filename) == (number, disk.filename)
    passing = OSError(errno.ECONNRESET, "reset")
    assert _failure(worker_failure(UserExceptionWithTraceback(passing, "Traceback"))).mistake is None


def test_no_trainer_is_begun_in_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=f"Not a directory: '{tmp_path}/file/ray'"):
        _attempt(load_config(small_run(tmp_path)), Mirror(tmp_path / "file"), Progress(Console(), "-"), lambda: None, 1)


def test_a_supernet_that_another_process_works_on_is_a_failure_that_is_tried_again() -> None:
    busy = UserExceptionWithTraceback(Busy("x/seed_0 is in use by raynas on y (process 7)"), "Traceback")
    assert _failure(worker_failure(busy)) == Failure("x/seed_0 is in use by raynas on y (process 7)")


def test_workers_without_room_are_no_failure() -> None:
    found = _failure(ControllerError(WorkerGroupStartupTimeoutError(2)))
    assert (found.counts, found.no_room) == (False, True)


def test_a_warning_names_machine_workers_and_deadline() -> None:
    info = PreemptionInfo(1_700_000_012_400, {NODE: [0, 2]})
    line = taken_back(info, {NODE: "10.0.0.3", "other": "10.0.0.4"}, 1_700_000_000.0)
    assert line.startswith("10.0.0.3 with training worker 0 and 2 will be taken back at ")
    assert line.endswith(", in 12 s")
    assert (
        taken_back(PreemptionInfo(None, {NODE: [1]}), {}, 0.0)
        == f"{NODE} with training worker 1 will be taken back soon"
    )


@pytest.mark.parametrize(
    ("free", "told"),
    [
        (
            1,
            "waiting for room: there is room for 1 training workers of 1 CPU and 1 spot each, the rest is held by "
            "something else; train.workers needs 2",
        ),
        (
            3,
            "there is room for 3 training workers of 1 CPU and 1 spot each, the rest is held by something else; "
            "training with up to 3",
        ),
    ],
)
def test_a_lack_of_room_is_told_with_what_is_asked_for(tmp_path: Path, free: int, told: str) -> None:
    config = load_config(small_run(tmp_path), ["train.workers=[2, 4]", "train.resource=spot"])
    assert lack_of_room(config, free) == told


class Attempts:
    """Plays a list of ends of attempts, and notes how many workers each was allowed."""

    def __init__(self, folder: Path, *ends: Failure | None, saves: bool = False) -> None:
        self._ends: Iterator[Failure | None] = iter(ends)
        self._place, self._saves = folder / "supernet/seed_0", saves
        self.most: list[int] = []

    def __call__(
        self, config: RunConfig, mirror: Mirror, progress: Progress, watch: Callable[[], None], most: int
    ) -> Failure | None:
        self.most.append(most)
        if self._saves:
            (self._place / f"epoch_00000_step_{len(self.most):05d}").mkdir(parents=True)
        return next(self._ends)


def ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch, attempts: Attempts, free: int = 0, **train: object
) -> list[str]:
    """Returns the lines that `fit` says while it lives through these attempts."""
    config = load_config(small_run(folder, train=train))
    monkeypatch.setattr(ray_train, "_attempt", attempts)
    monkeypatch.setattr(ray_train.cluster, "free_workers", lambda config: free)
    monkeypatch.setattr(ray_train.cluster, "missing", lambda needs: "")
    with (folder / "said").open("w") as stream, Progress(Console(file=stream), "") as progress:
        fit(config, Mirror(folder), progress, lambda: None)
    return (folder / "said").read_text().splitlines()


def test_machines_may_be_taken_back_any_number_of_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = Failure("the machine of a training worker was taken back", counts=False)
    attempts = Attempts(tmp_path, *[Failure(None, counts=False)] * 5, unseen, None)
    said = ended(tmp_path, monkeypatch, attempts, max_failures=0, workers=[1, 4])
    assert said == ["the machine of a training worker was taken back; continuing from the last checkpoint"]
    assert attempts.most == [4] * 7


def test_a_new_checkpoint_in_mid_epoch_is_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Failure("a training worker was lost")
    said = ended(tmp_path, monkeypatch, Attempts(tmp_path, *[lost] * 9, None, saves=True), max_failures=1)
    assert len(said) == 9
    (tmp_path / "again").mkdir()
    with pytest.raises(RuntimeError, match="training was tried 2 times without a new checkpoint"):
        ended(tmp_path / "again", monkeypatch, Attempts(tmp_path / "again", *[lost] * 9), max_failures=1)


@pytest.mark.parametrize(("free", "allowed"), [(0, 2), (3, 3), (9, 4)])
def test_workers_without_room_are_content_with_what_is_free_until_the_next_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, allowed: int
) -> None:
    no_room = Failure("", counts=False, no_room=True)
    attempts = Attempts(tmp_path, no_room, no_room, Failure(None, counts=False), None)
    said = ended(tmp_path, monkeypatch, attempts, free, workers=[2, 4], max_failures=0)
    assert attempts.most == [4, allowed, allowed, 4]
    assert len(said) == 1, "the same is said once"
