"""A tracker of one's own is a file that states a row; one that fails never ends a run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from raynas.cli import main
from tests.stages.runs import ROOT, small_run

PATH = "tests.drill.own_tracker.DIARY"


def run_file(folder: Path, **options: str) -> Path:
    return small_run(
        folder,
        train={"epochs": 3},
        data={"max_images": 200},
        search={"generations": 4},
        trackers={"names": [PATH], **options},
    )


def kinds(file: Path) -> list[str]:
    return [line.split()[0] for line in file.read_text().splitlines()]


def test_a_tracker_of_ones_own_is_told_of_everything_once_also_by_a_run_in_parts(tmp_path: Path) -> None:
    file = run_file(tmp_path, diary="mine.txt")
    for verb in ("train", "search", "run"):
        assert main([verb, str(file)]) == 0
    told = kinds(tmp_path / "runs/small/mine.txt")
    history = (tmp_path / "runs/small/search/history.jsonl").read_text().splitlines()
    counts = Counter(told)
    assert (counts["epoch"], counts["architecture"], counts["generation"]) == (3, len(history), 4)
    assert counts["configuration"] == counts["end"] == 2, "one for each command that did something"
    assert told[0] == "configuration" and told[-1] == "end"
    first, second = told[: told.index("end") + 1], told[told.index("end") + 1 :]
    assert {"epoch"} <= set(first) and "architecture" not in first
    assert {"architecture", "generation", "artifact", "stage"} <= set(second) and "epoch" not in second


def test_the_page_of_a_run_is_an_artifact_that_is_told_before_the_end(tmp_path: Path) -> None:
    file = run_file(tmp_path)
    assert main(["run", str(file), "--set", "report=true", "--set", "trackers.shows_paths=true"]) == 0
    told = (tmp_path / "runs/small/diary.txt").read_text().splitlines()
    assert told[-2:] == ["artifact report/index.html", "end ['reason', 'status']"]
    assert main(["run", str(file), "--set", "report=true", "--set", "trackers.shows_paths=true"]) == 0
    assert (tmp_path / "runs/small/diary.txt").read_text().splitlines() == told, "an equal page is no news"


def test_a_tracker_that_fails_is_named_once_and_the_run_goes_on_and_tells_it_the_rest_when_it_is_given_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(run_file(tmp_path, fails_at="generation"))]) == 0
    out = capsys.readouterr().out
    warned = [line[10:] for line in out.splitlines() if "trackers: " in line]
    (warning,) = warned
    assert warning.startswith("trackers: diary: OSError: the diary is full (")
    assert warning.endswith("; the run goes on without it")
    assert json.loads((tmp_path / "runs/small/search/result.json").read_text())["evaluations"] > 0
    assert main(["run", str(run_file(tmp_path))]) == 0, "trackers may be others when a run continues"
    assert Counter(kinds(tmp_path / "runs/small/diary.txt"))["generation"] == 4


@pytest.mark.parametrize(
    ("trackers", "message"),
    [
        (["tensorbord"], "trackers.names: expected one of mlflow, tensorboard, wandb, got 'tensorbord'; did you mean"),
        (["tensorboard", "tensorboard"], "trackers.names: expected different ones"),
        ("tensorboard", "trackers: "),
        ({"names": [PATH], "fails": "x"}, "trackers.fails: unknown key"),
        ({"names": [PATH], "diary": "../a"}, "trackers.diary: "),
        ({"names": ["os.path.join"]}, "trackers.names: expected 'os.path.join' to be a raynas.trackers.row.TrackerRow"),
        ({"tracking_uri": "https://me:secret@host/"}, "trackers.tracking_uri: expected a URL without credentials"),
    ],
)
def test_wrong_trackers_are_refused(
    tmp_path: Path, trackers: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(small_run(tmp_path, trackers=trackers))]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"raynas: {message}"), err
    assert "secret" not in err


SLOW = """
import sys, time
from raynas.cli import main
from raynas.stages import tracking
from tests.drill import own_tracker
tracking.CLOSE_SECONDS = 0.5
own_tracker.Diary.tell = lambda self, event: time.sleep(60)
sys.exit(main(["run", sys.argv[1]]))
"""


def test_a_tracker_that_hangs_is_left_behind_at_the_end_of_the_run(tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", SLOW, run_file(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 55
    assert "trackers: diary: is not done 0 s after the run; the run goes on without it" in done.stdout
    assert (tmp_path / "runs/small/search/result.json").exists()
