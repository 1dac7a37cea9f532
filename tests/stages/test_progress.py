import io
import json
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from raynas.config.reading import load_config
from raynas.stages import progress as progress_module
from raynas.stages import progress_line as line_module
from raynas.stages.progress import Progress, TrainingProgress
from raynas.stages.progress_line import Pace, ProgressLine, duration, time_left
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


def test_where_there_is_no_terminal_a_short_training_writes_only_notes_each_with_the_time_of_day(
    tmp_path: Path,
) -> None:
    (line,) = shown(tmp_path, terminal=False).splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d  the checkpoint before it is used", line)


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


@pytest.fixture
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a log have a line whenever there is something new."""
    monkeypatch.setattr(line_module, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(line_module, "LINES", 10**9)


def told(out: io.StringIO) -> list[str]:
    """Returns the lines of a log without the time of day."""
    lines = out.getvalue().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in lines)
    return [line[10:] for line in lines]


def epochs_in(out: io.StringIO) -> list[str]:
    return [found[0] for line in told(out) if (found := re.search(r"loss \S+  (seed \d  )?epoch \d", line))]


@pytest.mark.usefixtures("every_line")
def test_where_there_is_no_terminal_each_epoch_can_be_a_line_as_soon_as_it_has_ended(tmp_path: Path) -> None:
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
    lines = told(out)
    assert lines[0] == "supernet  11 %  loss 2.250  epoch 1/9  accuracy 12.5 %  45,679 images/s  rate 0.012"
    assert [line.split("  ")[1] for line in lines] == [f"{100 * number / 9:.0f} %" for number in range(1, 10)]
    assert epochs_in(out) == [f"loss 2.250  epoch {number}" for number in range(1, 10)]
    assert all(" s left  loss" in line for line in lines[1:])


@pytest.mark.usefixtures("every_line")
def test_a_run_that_resumes_tells_only_epochs_that_it_trains(tmp_path: Path) -> None:
    out = io.StringIO()
    metrics = seed_folder(tmp_path, 0) / METRICS
    write_text(metrics, "".join(map(epoch, range(5))))
    with TrainingProgress(plans_of(tmp_path), tmp_path, Console(file=out), "starting workers"):
        time.sleep(0.4)
        write_text(metrics, "".join(map(epoch, range(3))))  # what the checkpoint knows
        time.sleep(0.4)
        append_text(metrics, epoch(3, loss=1.0))
        written("loss 1.000  epoch 4/9", out)
        # Another worker is lost, and all of this happens between two looks.
        write_text(metrics, epoch(0) + epoch(1) + epoch(2, loss=3.0) + epoch(3, loss=3.5))
    assert epochs_in(out) == ["loss 1.000  epoch 4", "loss 3.000  epoch 3", "loss 3.500  epoch 4"]


@pytest.mark.usefixtures("every_line")
def test_several_supernets_are_told_apart_and_the_share_is_that_of_all(tmp_path: Path) -> None:
    out = io.StringIO()
    with TrainingProgress(plans_of(tmp_path, 4, 5), tmp_path, Console(file=out), "starting workers"):
        write_text(seed_folder(tmp_path, 4) / METRICS, "".join(map(epoch, range(9))))
        write_text(seed_folder(tmp_path, 5) / METRICS, epoch(0))
    lines = told(out)
    assert lines[8].startswith("supernet  50 %  ") and "loss 2.250  seed 4  epoch 9/9" in lines[8]
    assert lines[9].startswith("supernet  56 %  ") and "loss 2.250  seed 5  epoch 1/9" in lines[9]


def test_on_a_terminal_no_line_is_written_for_what_the_bar_shows(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=140)
    with TrainingProgress(plans_of(tmp_path), tmp_path, console, "starting workers"):
        write_text(seed_folder(tmp_path, 0) / METRICS, epoch(0))
    assert "images/s" not in out.getvalue()


class Clock:
    """A clock that tests move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        for module in (progress_module, line_module):
            monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


def log_of(monkeypatch: pytest.MonkeyPatch, steps: int, seconds: float) -> list[float]:
    """Returns the seconds at which the log of a stage of equal steps has a line."""
    clock, out, spoke = Clock(monkeypatch), io.StringIO(), []
    with Progress(Console(file=out), "preparing") as progress:
        for step in range(1, steps + 1):
            clock.now = 100.0 + step * seconds / steps
            before = len(out.getvalue())
            progress.show("search", step, steps, f"best {step}")
            if len(out.getvalue()) > before:
                spoke.append(round(clock.now - 100.0, 6))
    return spoke


def test_a_log_has_a_line_at_each_tenth_of_the_work_and_none_between_that_are_nearer_than_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert log_of(monkeypatch, 300, 60.0) == [6.0 * tenth for tenth in range(1, 11)]
    spoke = log_of(monkeypatch, 400, 400.0)
    tenths = [40.0 * tenth for tenth in range(1, 11)]
    assert set(tenths) <= set(spoke)
    assert all(later - earlier >= 10.0 for earlier, later in zip(spoke, spoke[1:], strict=False) if later not in tenths)
    assert len(spoke) == 40


def test_the_log_of_a_second_is_empty_and_that_of_a_day_has_no_line_for_each_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert log_of(monkeypatch, 300, 0.9) == []
    day = log_of(monkeypatch, 8_640, 86_400.0)
    assert 280 <= len(day) <= 330
    assert max(later - earlier for earlier, later in zip([0.0, *day], day, strict=False)) <= 310.0


def test_the_time_left_follows_the_speed_of_the_last_minute() -> None:
    pace = Pace()
    assert pace.seconds_left(100) is None
    for second in range(61):
        pace.note(second, float(second))  # one a second
    assert pace.seconds_left(100) == pytest.approx(40.0)
    for second in range(61, 181):
        pace.note(60 + (second - 60) / 10, float(second))  # ten times slower
    assert pace.seconds_left(100) == pytest.approx(280.0)
    pace.note(10, 181.0)  # a lost worker takes the stage back
    assert pace.seconds_left(100) is None


FIGURES = ("loss 2.250", "epoch 40/300", "accuracy 12.5 %", "45,679 images/s", "rate 0.012")


@pytest.mark.parametrize(
    ("width", "figures", "has_bar"), [(20, 0, False), (45, 1, False), (60, 1, True), (80, 3, True), (140, 5, True)]
)
def test_a_narrow_terminal_drops_the_last_figures_first_and_time_and_loss_never(
    width: int, figures: int, has_bar: bool
) -> None:
    line = ProgressLine("supernet", 40, 300, FIGURES, left=480.0)
    text = line.text(width).plain
    assert len(text) <= width
    assert [figure in text for figure in FIGURES] == [number < figures for number in range(5)]
    assert ("━" in text) == has_bar
    assert ("8 min left" in text) == (width >= 45)


def test_a_bar_is_as_full_as_the_work_is_done() -> None:
    text = ProgressLine("supernet", 3, 4, (), left=1.0).text(80).plain
    assert (text.count("━"), text.count("─")) == (30, 10)
    ascii_only = ProgressLine("supernet", 3, 4, (), left=1.0).text(80, "#").plain
    assert ascii_only.count("#") == 30 and ascii_only.isascii()


def test_starts_are_named_with_their_seconds_and_one_line_of_them_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, out = Clock(monkeypatch), io.StringIO()
    with Progress(Console(file=out), "preparing") as progress:
        progress.start("Ray")
        clock.now += 3.6
        assert progress._line.parts() == ["starting Ray", "4 s"]
        progress.start("2 training workers")
        clock.now += 12.2
        progress.show("supernet", 1, 100)
        progress.show("supernet", 2, 100)
    assert told(out)[0] == "started: Ray 3.6 s, 2 training workers 12 s"
    assert [line for line in told(out) if "started" in line] == told(out)[:1]


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (10.2, "10 s"), (300, "5 min")])
def test_durations_have_two_figures_or_so(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s left"), (99, "99 s left"), (100, "2 min left"), (5_900, "98 min left"), (12_000, "3 h 20 min left")],
)
def test_time_left_is_told_in_units_that_fit(seconds: float, text: str) -> None:
    assert time_left(seconds) == text
