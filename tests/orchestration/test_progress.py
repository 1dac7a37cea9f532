import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from raynas.orchestration.progress import Progress, TrainingProgress
from raynas.orchestration.run_folder import NOTES, PROGRESS, append_text

NOTE = {
    "base_seed": 0,
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


def shown(folder: Path, *, terminal: bool) -> str:
    """Returns what a console shows of a run whose workers tell where they are and one thing more."""
    out = io.StringIO()
    append_text(folder / NOTES, "of an earlier attempt\n")
    with TrainingProgress(folder, Console(file=out, force_terminal=terminal, width=140)):
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


def test_where_there_is_no_terminal_only_notes_are_written(tmp_path: Path) -> None:
    assert shown(tmp_path, terminal=False) == "the checkpoint before it is used\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_waited_for_is_said_once(tmp_path: Path, terminal: bool) -> None:
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=terminal, width=140), "judging") as progress:
        for line in ("waiting for 1 more CPU", "waiting for 1 more CPU", None, "waiting for 1 more GPU"):
            progress.wait_for(line)
    assert out.getvalue().count("waiting for 1 more CPU") == 1
    assert out.getvalue().count("waiting for 1 more GPU") == 1
