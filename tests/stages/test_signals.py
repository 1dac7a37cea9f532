"""Ctrl-C and SIGTERM in the middle of a training: it saves, says where, and no step is repeated."""

import json
import os
import signal
from pathlib import Path

import pytest

from raynas.stages import signals
from tests.stages.runs import saved_step, shown_step, small_run, start, succeed, wait_until
from tests.stages.test_mid_epoch import left_behind


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_while_something_can_be_saved_and_the_second_interrupts(number: int) -> None:
    with pytest.raises(KeyboardInterrupt) as interrupted, signals.handled(), signals.noted() as noted:
        send(number)
        assert noted.number == number
        send(number)
        raise AssertionError("not reached")
    assert isinstance(interrupted.value, signals.Terminated) == (number == signal.SIGTERM)


def test_a_signal_before_there_is_anything_to_save_interrupts() -> None:
    with pytest.raises(KeyboardInterrupt), signals.handled(), signals.noted(active=False) as noted:
        send(signal.SIGINT)
    assert noted.number is None


def test_the_exit_status_is_that_of_the_first_signal() -> None:
    with pytest.raises(signals.Terminated), signals.handled(), signals.noted():
        send(signal.SIGTERM)
        send(signal.SIGINT)


def test_a_signal_that_was_swallowed_can_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python drops exceptions of finalizers and callbacks; a SIGTERM during the clean-up is not one of these."""
    clock = [0.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: clock[0])
    with pytest.raises(signals.Terminated), signals.handled():
        try:
            send(signal.SIGTERM)
        except KeyboardInterrupt:
            send(signal.SIGTERM)  # no effect
        clock[0] += signals.CLEANUP_SECONDS
        send(signal.SIGTERM)


def test_ignored_signals_stay_ignored_and_handlers_are_put_back() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts a command in the background
    try:
        with signals.handled():
            send(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_a_training_in_one_process_saves_at_a_signal_and_repeats_no_step(tmp_path: Path) -> None:
    run = tmp_path / "disturbed/runs/small"
    file = long_training(tmp_path / "disturbed")
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start("train", file)
        wait_until(lambda: shown_epoch(run) >= 1, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 128 + number, out + err
        assert shown_step(run) <= saved_step(run, err)
        (run / "progress.json").unlink()
    succeed("train", file)
    succeed("train", long_training(tmp_path / "undisturbed"))
    assert left_behind(run) == left_behind(tmp_path / "undisturbed/runs/small")


def long_training(folder: Path) -> Path:
    """Returns a run of small batches: what a signal could lose is many steps."""
    folder.mkdir()
    train = {"epochs": 12, "batch_size": 4, "checkpoint_every": 1000}
    return small_run(folder, train=train, data={"max_images": 400})


def shown_epoch(run: Path) -> int:
    note = run / "progress.json"
    return int(json.loads(note.read_text())["epoch"]) if note.exists() else -1
