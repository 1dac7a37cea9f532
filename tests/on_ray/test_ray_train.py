"""What is made of the ways in which a trainer ends: without a Ray, but with Ray's own errors."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from signal import SIGTERM

import pytest
from ray.exceptions import RayActorError
from ray.train import PreemptionInfo
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerGroupStartupTimeoutError
from ray.train.v2.api.exceptions import ControllerError, PreemptionError, WorkerGroupError
from rich.console import Console

from raynas.config.reading import load_config
from raynas.errors import InputError
from raynas.on_ray import trainer as ray_train
from raynas.on_ray.mailbox import Mailbox
from raynas.on_ray.room import Room
from raynas.on_ray.trainer import Failure, _Attempt, _failure, fit, taken_back
from raynas.stages.progress import Progress
from raynas.stages.requests import Stop
from raynas.stages.signals import Noted
from raynas.stages.train_supernet import SUPERNETS
from raynas.stages.training import SavedAndStopped
from raynas.storage.mirror import Mirror
from raynas.storage.ownership import Busy
from tests.stages.runs import small_run

NODE = "3f2a"


def worker_failure(*causes: Exception) -> WorkerGroupError:
    return WorkerGroupError("lost", dict(enumerate(causes)))


def test_a_machine_that_is_taken_back_is_no_failure_and_said_once() -> None:
    saved = UserExceptionWithTraceback(SavedAndStopped("a machine", "epoch 3, step 66"), "Traceback")
    peer = UserExceptionWithTraceback(RuntimeError("gloo: Connection closed by peer"), "Traceback")
    stopped = Failure(None, counts=False, position="epoch 3, step 66")
    assert _failure(worker_failure(saved)) == stopped
    assert _failure(worker_failure(peer, saved)) == stopped
    unseen = Failure("the machine of a training worker was taken back", counts=False)
    assert _failure(PreemptionError(PreemptionInfo(None, {NODE: [0]}))) == unseen
    killed = RayActorError("ab", "node drained", preempted=True)
    assert _failure(worker_failure(peer, killed)) == unseen


def test_other_failures_count() -> None:
    lost = Failure("a training worker was lost")
    assert _failure(worker_failure(RayActorError("ab", "killed"))) == lost
    assert lost.counts and lost.position is None
    mistake = _failure(worker_failure(UserExceptionWithTraceback(InputError("data.path: gone"), "Traceback")))
    assert mistake.reason == "data.path: gone" and isinstance(mistake.mistake, InputError)


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
        config, mirror = load_config(small_run(tmp_path)), Mirror(tmp_path / "file")
        _Attempt(config, SUPERNETS, mirror, Progress(Console(), "-"), Room(config, 1), None, Noted())


def test_a_supernet_that_another_process_works_on_is_a_failure_that_is_tried_again() -> None:
    busy = UserExceptionWithTraceback(Busy("x/seed_0 is in use by raynas on y (process 7)"), "Traceback")
    assert _failure(worker_failure(busy)) == Failure("x/seed_0 is in use by raynas on y (process 7)")


def test_workers_whose_room_others_have_taken_are_no_failure() -> None:
    assert not _failure(ControllerError(WorkerGroupStartupTimeoutError(2))).counts


def test_a_warning_names_machine_workers_and_deadline() -> None:
    info = PreemptionInfo(1_700_000_012_400, {NODE: [0, 2]})
    line = taken_back(info, {NODE: "10.0.0.3", "other": "10.0.0.4"}, 1_700_000_000.0)
    assert line.startswith("10.0.0.3 with training worker 0 and 2 will be taken back at ")
    assert line.endswith(", in 12 s")
    assert (
        taken_back(PreemptionInfo(None, {NODE: [1]}), {}, 0.0)
        == f"{NODE} with training worker 1 will be taken back soon"
    )


class Ends:
    """Plays a list of ends of attempts, of which some save, and some are when a signal comes."""

    def __init__(self, folder: Path, *ends: Failure | None, saves: bool = False, signal_at: int | None = None) -> None:
        self._ends: Iterator[Failure | None] = iter(ends)
        self._place, self._saves, self._signal_at = folder / "supernet/seed_0", saves, signal_at
        self.number = 0

    def __call__(self, *arguments: object):  # type: ignore[no-untyped-def]
        self.number += 1
        if self.number == self._signal_at:
            signal = arguments[-1]
            assert isinstance(signal, Noted)
            signal.number = SIGTERM
        if self._saves:
            (self._place / f"epoch_00000_step_{self.number:05d}").mkdir(parents=True)
        return self

    def result(self, watch: Callable[[], None]) -> Failure | None:
        return next(self._ends)


def ended(folder: Path, monkeypatch: pytest.MonkeyPatch, ends: Ends, **train: object) -> list[str]:
    """Returns the lines that `fit` says while it lives through these ends of attempts."""
    config = load_config(small_run(folder, train=train))
    monkeypatch.setattr(ray_train, "_Attempt", ends)
    monkeypatch.setattr(ray_train, "make_mailbox", lambda: None)
    monkeypatch.setattr(ray_train, "training_room", lambda config: nullcontext(Room(config, 1)))
    monkeypatch.setattr("ray.kill", lambda actor: None)
    with (folder / "said").open("w") as stream, Progress(Console(file=stream), "") as progress:
        fit(config, SUPERNETS, Mirror(folder), progress, lambda: None)
    return [line[10:] for line in (folder / "said").read_text().splitlines()]  # without the time of day


def test_machines_may_be_taken_back_any_number_of_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = Failure("the machine of a training worker was taken back", counts=False)
    ends = Ends(tmp_path, *[Failure(None, counts=False)] * 5, unseen, None)
    said = ended(tmp_path, monkeypatch, ends, max_failures=0, workers=[1, 4])
    assert said == ["the machine of a training worker was taken back; continuing from the last checkpoint"]
    assert ends.number == 7


def test_a_new_checkpoint_in_mid_epoch_is_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = Failure("a training worker was lost")
    said = ended(tmp_path, monkeypatch, Ends(tmp_path, *[lost] * 9, None, saves=True), max_failures=1)
    assert len(said) == 9
    (tmp_path / "again").mkdir()
    with pytest.raises(RuntimeError, match="training was tried 2 times without a new checkpoint"):
        ended(tmp_path / "again", monkeypatch, Ends(tmp_path / "again", *[lost] * 9), max_failures=1)


def test_a_signal_ends_training_with_the_position_that_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Failure("a training worker was lost")
    saved = Failure(None, counts=False, position="epoch 3, step 66")
    with pytest.raises(KeyboardInterrupt, match="^saved at epoch 3, step 66; give the same command again$"):
        ended(tmp_path, monkeypatch, Ends(tmp_path, lost, saved, signal_at=2))
    for last in (lost, None):  # the workers died of the same signal, or training was done before they heard of it
        with pytest.raises(KeyboardInterrupt, match="^$"):
            ended(tmp_path, monkeypatch, Ends(tmp_path, last, signal_at=1))


class Trainer:
    """Stands for Ray: a trainer that never ends, and a mailbox that answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, trains: bool) -> None:
        self.requests: list[Stop] = []
        self.cancelled: list[object] = []
        self._trains = trains
        monkeypatch.setattr("ray.remote", lambda **options: lambda function: self)
        monkeypatch.setattr("ray.wait", lambda tasks, timeout: ([], tasks))
        monkeypatch.setattr("ray.get", lambda answer, timeout: answer)
        monkeypatch.setattr("ray.cancel", lambda task, force: self.cancelled.append((task, force)))
        monkeypatch.setattr("raynas.on_ray.nodes.missing", lambda needs: "")
        self.post = self

    def remote(self, *arguments: object) -> bool:
        self.requests += [one for one in arguments if isinstance(one, Stop)]
        return self._trains


@pytest.mark.parametrize(
    ("trains", "told"), [(True, "not saved within 25 s; give the same command again"), (False, "^$")]
)
def test_a_signal_waits_for_workers_that_train_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trains: bool, told: str
) -> None:
    trainer, clock = Trainer(monkeypatch, trains), [0.0]
    config, signal = load_config(small_run(tmp_path)), Noted()
    monkeypatch.setattr(ray_train.time, "monotonic", lambda: clock[0])
    attempt = _Attempt(config, SUPERNETS, Mirror(tmp_path), Progress(Console(), "-"), Room(config, 1), trainer, signal)

    def watch() -> None:
        clock[0] += 0.5
        signal.number = SIGTERM if clock[0] >= 10 else None

    with pytest.raises(KeyboardInterrupt, match=told):
        attempt.result(watch)
    asked = 5 if trains else 1  # every 5 s, since a mailbox that is lost forgets
    assert trainer.requests == [Stop("a signal came", noted=False)] * asked
    assert clock[0] == (35.5 if trains else 10)


def test_a_larger_trainer_is_asked_for_until_the_workers_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, clock = Trainer(monkeypatch, trains=True), [0.0]
    config = load_config(small_run(tmp_path))
    room = Room(config, 2)
    monkeypatch.setattr(room, "watch", lambda: 5 if clock[0] >= 10 else 0)
    monkeypatch.setattr(ray_train.time, "monotonic", lambda: clock[0])
    attempt = _Attempt(config, SUPERNETS, Mirror(tmp_path), Progress(Console(), "-"), room, trainer, Noted())

    def watch() -> None:
        clock[0] += 0.5
        if clock[0] > 17:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        attempt.result(watch)
    assert trainer.requests == [Stop("there is room for 5 training workers instead of 2")] * 2


def test_a_trial_that_tune_stops_takes_its_trainer_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune ends a trial by SystemExit out of its next report, and its process goes on with another trial."""
    trainer, config = Trainer(monkeypatch, trains=True), load_config(small_run(tmp_path))
    attempt = _Attempt(config, SUPERNETS, Mirror(tmp_path), Progress(Console(), "-"), Room(config, 1), trainer, Noted())
    assert trainer.cancelled == []

    def watch() -> None:
        sys.exit(0)

    with pytest.raises(SystemExit):
        attempt.result(watch)
    assert trainer.cancelled == [(attempt._task, True)]


def test_a_mailbox_passes_a_request_on_to_the_attempt_that_it_is_for() -> None:
    mailbox, stop = Mailbox(), Stop("a signal came")
    assert mailbox.ask(1) is None
    assert not mailbox.post(2, stop), "attempt 2 has not begun to train"
    assert (mailbox.ask(1), mailbox.ask(2)) == (None, stop)
    assert mailbox.post(2, stop)
