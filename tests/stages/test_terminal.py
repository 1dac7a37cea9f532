"""What a person sees in a terminal of 60 to 140 columns."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import raynas
from raynas.cli import main
from tests.stages.runs import ROOT, small_run
from tests.stages.terminal import in_terminal

RAYNAS = [sys.executable, "-m", "raynas"]

STAGE = """
import time
from rich.console import Console
from raynas.stages.progress import Progress
with Progress(Console(), "preparing") as progress:
    for step in range(1, 41):
        figures = (f"loss {4 / step:.3f}", f"epoch {step}/40", "accuracy 12.5 %", "45,679 images/s", "rate 0.012")
        progress.show("supernet", step, 40, *figures)
        time.sleep(0.04)
progress.note("supernet: trained in 2 s, loss 0.100")
"""


@pytest.mark.parametrize(
    ("columns", "figures"),
    [
        (60, ["loss"]),
        (80, ["loss", "epoch", "accuracy"]),
        (100, ["loss", "epoch", "accuracy", "images/s"]),
        (140, ["loss", "epoch", "accuracy", "images/s", "rate"]),
    ],
)
def test_a_bar_fits_its_terminal_and_shows_time_left_and_loss_first(columns: int, figures: list[str]) -> None:
    screen = in_terminal([sys.executable, "-c", STAGE], columns, ROOT)
    assert screen.status == 0, screen.text
    assert all(len(line) <= columns for line in screen.drawn)
    known = [bar for bar in screen.bars() if " left" in bar]
    assert len(known) >= 3
    for bar in known:
        assert re.match(r"supernet [━─]{8,40}  \d+ %  \d+ s left  loss \d\.\d{3}", bar), bar
        shown = [name for name in ("loss", "epoch", "accuracy", "images/s", "rate") if name in bar]
        assert shown[: len(figures)] == figures
    assert screen.drawn[-1] == "supernet: trained in 2 s, loss 0.100"


FIRST_LINE = """
import builtins, os, sys, time
def first(line, **named):
    loaded = sorted({"torch", "ray", "numpy", "pydantic", "rich"} & set(sys.modules))
    os.write(1, f"{time.process_time()} {loaded} {line}".encode())
    os._exit(0)
builtins.print = first
from raynas.cli import main
main(["run", sys.argv[1]])
"""
"""Ends at the first line of a command, and says what CPU time it took: other work on the machine does not count."""


def test_the_first_line_comes_within_half_a_second_of_cpu_time_and_before_slow_imports(tmp_path: Path) -> None:
    file = small_run(tmp_path)
    seconds = []
    for _ in range(3):
        command = [sys.executable, "-c", FIRST_LINE, str(file)]
        out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        taken, _, rest = out.partition(" ")
        assert rest == f"[] raynas {raynas.__version__}  run small ({file})  folder {tmp_path / 'runs/small'}, new"
        seconds.append(float(taken))
    assert min(seconds) < 0.5


@pytest.mark.slow
def test_a_run_that_was_complete_says_what_it_continues_from(tmp_path: Path) -> None:
    file = small_run(tmp_path, train={"epochs": 2}, data={"max_images": 200})
    assert main(["run", str(file)]) == 0
    screen = in_terminal([*RAYNAS, "run", str(file)], 80, ROOT)
    assert screen.status == 0, screen.text
    first = f"raynas {raynas.__version__}  run small ({file})  folder {tmp_path / 'runs/small'}, exists"
    assert screen.text.startswith(first)
    assert "continues: supernet trained; search done" in screen.drawn


@pytest.mark.slow
@pytest.mark.ray
def test_starting_ray_is_named_with_seconds_and_a_line_of_it_stays(tmp_path: Path) -> None:
    file = small_run(tmp_path, train={"workers": 1, "epochs": 2}, data={"max_images": 200})
    screen = in_terminal([*RAYNAS, "run", str(file)], 100, ROOT)
    assert screen.status == 0, screen.text
    assert all(len(line) <= 100 for line in screen.drawn if "folder" not in line and "architecture" not in line)
    ticks = [int(found[1]) for line in screen.drawn if (found := re.fullmatch(r"starting Ray  (\d+) s", line))]
    assert ticks == sorted(ticks) and ticks[-1] >= 1
    assert any(re.fullmatch(r"starting a training worker  \d+ s", line) for line in screen.drawn)
    (started,) = (line for line in screen.drawn if line.startswith("started: "))
    assert re.fullmatch(r"started: Ray .+, a training worker .+", started)
    (trained,) = (line for line in screen.drawn if line.startswith("supernet: trained in "))
    assert re.fullmatch(r"supernet: trained in .+, loss \d\.\d{3}, accuracy \d+\.\d %", trained)
    (searched,) = (line for line in screen.drawn if line.startswith("search: "))
    assert re.fullmatch(r"search: 60 architectures in 3 generations, best angle \(paper\) \S+, .+", searched)
