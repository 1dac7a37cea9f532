import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from raynas.config.reading import load_config
from raynas.stages import progress as progress_module
from raynas.stages.progress import Progress, TrainingProgress, time_left
from raynas.stages.train_supernet import supernet_plans
from raynas.storage.run_folder import METRICS, NOTES, PROGRESS, append_text, seed_folder, write_text
from raynas.training.plan import Plan
from tests.stages.runs import small_run

NOTE = {
    "training": "seed 0",
    "workers": 2,
    "epoch": 3,
    "epochs": 9,
    "step": 40,
    "steps": 160,
    "loss": 2.25,
    "accuracy": 12.5,
    "learning_rate": 0.0123,
    "images_per_second": 45678.9,
}


def plans_of(folder: Path, *base_seeds: int) -> list[Plan]:
    (folder / "files").mkdir(exist_ok=True)
    train = {"epochs": 9, "base_seeds": list(base_seeds or (0,))}
    return supernet_plans(load_config(small_run(folder / "files", train=train)))


def epoch(number: int, loss: float = 2.25) -> str:
    values = {"epoch": number, "step": 4, "loss": loss, "accuracy": 12.5, "learning_rate": 0.0123}
    return json.dumps({**values, "images_per_second": 45678.9, "seconds": 60.0}) + "\n"


def shown(folder: Path, *, terminal: bool) -> str:
    """Returns what a console shows of a run whose workers tell where they are and one thing more."""
    out = io.StringIO()
    append_text(folder / NOTES, "of an earlier attempt\n")
    with TrainingProgress(
        plans_of(folder), folder, Console(file=out, force_terminal=terminal, width=140), "starting workers"
    ):
        (folder / PROGRESS).write_text(json.dumps(NOTE))
        append_text(folder / NOTES, "the checkpoint before it is used\n")
        deadline = time.monotonic() + 10
        while terminal and "epoch" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)
    return out.getvalue()


def test_a_bar_shows_epoch_loss_accuracy_rate_and_images_per_second(tmp_path: Path) -> None:
    text = shown(tmp_path, terminal=True)
    for part in ("25 %", "epoch 4/9", "loss 2.250", "accuracy 12.5 %", "rate 0.012", "45,679 images/s"):
        assert part in text
    assert "the checkpoint before it is used" in text
    assert "earlier attempt" not in text


def test_a_note_of_a_process_that_has_ended_is_not_shown(tmp_path: Path) -> None:
    out = io.StringIO()
    (tmp_path / PROGRESS).write_text(json.dumps(NOTE))
    console = Console(file=out, force_terminal=True, width=140)
    with TrainingProgress(plans_of(tmp_path), tmp_path, console, "starting workers"):
        time.sleep(0.6)
        assert "starting workers" in out.getvalue()
        assert "epoch" not in out.getvalue()
        (tmp_path / PROGRESS).write_text(json.dumps({**NOTE, "step": 41}))
        deadline = time.monotonic() + 10
        while "epoch 4/9" not in out.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "epoch 4/9" in out.getvalue()


def test_a_note_that_is_damaged_is_passed_over_until_the_next(tmp_path: Path) -> None:
    out = io.StringIO()
    (tmp_path / PROGRESS).write_bytes(b'{"epoch": \xff')
    with TrainingProgress(
        plans_of(tmp_path), tmp_path, Console(file=out, force_terminal=True, width=140), "starting workers"
    ):
        time.sleep(0.6)  # the watch has read it
        write_text(tmp_path / PROGRESS, json.dumps(NOTE))
        written("epoch 4/9", out)


def test_where_there_is_no_terminal_only_notes_are_written(tmp_path: Path) -> None:
    assert shown(tmp_path, terminal=False) == "the checkpoint before it is used\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_waited_for_is_said_once(tmp_path: Path, terminal: bool) -> None:
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=terminal, width=140), "evaluating") as progress:
        for line in ("waiting for 1 more CPU", "waiting for 1 more CPU", None, "waiting for 1 more GPU"):
            progress.wait_for(line)
    assert out.getvalue().count("waiting for 1 more CPU") == 1
    assert out.getvalue().count("waiting for 1 more GPU") == 1


def written(condition: str, out: io.StringIO) -> None:
    """Waits until a text has been written."""
    deadline = time.monotonic() + 10
    while condition not in out.getvalue():
        assert time.monotonic() < deadline, out.getvalue()
        time.sleep(0.02)


def test_where_there_is_no_terminal_each_epoch_is_a_line_as_soon_as_it_has_ended(tmp_path: Path) -> None:
    out = io.StringIO()
    metrics = seed_folder(tmp_path, 0) / METRICS
    with TrainingProgress(plans_of(tmp_path), tmp_path, Console(file=out, width=40), "starting workers"):
        write_text(metrics, epoch(0))
        written("epoch 1/9", out)
        append_text(metrics, epoch(1)[:20])  # a line that is being written
        time.sleep(0.6)
        assert "epoch 2/9" not in out.getvalue()
        append_text(metrics, epoch(1)[20:])
        written("epoch 2/9", out)
        append_text(metrics, "".join(map(epoch, range(2, 9))))
    lines = out.getvalue().splitlines()
    line = "epoch 1/9  loss 2.250  accuracy 12.5 %  rate 0.012  45,679 images/s  8 min left"
    assert lines[0] == line
    assert [one.split("  ")[0] for one in lines] == [f"epoch {number}/9" for number in range(1, 10)]
    assert lines[-2].endswith("  60 s left") and lines[-1].endswith(" images/s")


def test_a_run_that_resumes_tells_only_epochs_that_it_trains(tmp_path: Path) -> None:
    out = io.StringIO()
    metrics = seed_folder(tmp_path, 0) / METRICS
    write_text(metrics, "".join(map(epoch, range(5))))
    with TrainingProgress(plans_of(tmp_path), tmp_path, Console(file=out), "starting workers"):
        time.sleep(0.4)
        write_text(metrics, "".join(map(epoch, range(3))))  # what the checkpoint knows
        time.sleep(0.4)
        append_text(metrics, epoch(3, loss=1.0))
        written("epoch 4/9  loss 1.000", out)
        # Another worker is lost, and all of this happens between two looks.
        write_text(metrics, epoch(0) + epoch(1) + epoch(2, loss=3.0) + epoch(3, loss=3.5))
    assert [line[:21] for line in out.getvalue().splitlines()] == [
        "epoch 4/9  loss 1.000",
        "epoch 3/9  loss 3.000",
        "epoch 4/9  loss 3.500",
    ]


def test_several_supernets_are_told_apart_and_the_time_is_that_of_all(tmp_path: Path) -> None:
    out = io.StringIO()
    with TrainingProgress(plans_of(tmp_path, 4, 5), tmp_path, Console(file=out), "starting workers"):
        write_text(seed_folder(tmp_path, 4) / METRICS, "".join(map(epoch, range(9))))
        write_text(seed_folder(tmp_path, 5) / METRICS, epoch(0))
    lines = out.getvalue().splitlines()
    assert lines[8].startswith("seed 4  epoch 9/9  loss") and lines[8].endswith("  9 min left")
    assert lines[9].startswith("seed 5  epoch 1/9  loss") and lines[9].endswith("  8 min left")


def test_on_a_terminal_no_line_is_written_for_what_the_bar_shows(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=140)
    with TrainingProgress(plans_of(tmp_path), tmp_path, console, "starting workers") as progress:
        write_text(seed_folder(tmp_path, 0) / METRICS, epoch(0))
        progress.milestone("generation 1/3")
    assert "images/s" not in out.getvalue() and "generation" not in out.getvalue()


def test_a_stage_without_milestones_speaks_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: clock[0])
    out = io.StringIO()
    with Progress(Console(file=out), "preparing") as progress:
        for second in range(100):
            clock[0] = 100.0 + second
            progress.show("evaluating", second, 100, f"best {second}")
        progress.show("counting", 5, None, "")
    assert out.getvalue() == "evaluating  30 %  best 30\nevaluating  60 %  best 60\nevaluating  90 %  best 90\n"


def test_a_stage_with_milestones_says_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "LINE_SECONDS", 0.0)
    out = io.StringIO()
    with Progress(Console(file=out), "preparing", milestones=True) as progress:
        progress.show("evaluating", 1, 2, "")
        progress.milestone("generation 1/2")
    assert out.getvalue() == "generation 1/2\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s left"), (99, "99 s left"), (100, "2 min left"), (5_900, "98 min left"), (12_000, "3 h 20 min left")],
)
def test_time_left_is_told_in_units_that_fit(seconds: float, text: str) -> None:
    assert time_left(seconds) == text
