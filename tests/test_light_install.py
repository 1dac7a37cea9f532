"""What works without the packages of the extras, and what names the extra that it needs before anything is trained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.stages.runs import ROOT

LIGHT = """
import sys
for name in ("ray", "pyarrow", "pathspec", "tensorboard", "matplotlib", "sklearn", "optuna", "onnx", "pandas"):
    sys.modules[name] = None  # as if it was not installed
"""
COMMAND = f"{LIGHT}\nfrom raynas.cli import main\nsys.exit(main(sys.argv[1:]))"

OPEN = f"""{LIGHT}
import torch
import raynas
run = raynas.open_run("runs/light")
assert run.best[0].fitness and len(run.history) > 8
assert run.network(0)(torch.zeros(1, 3, 8, 8)).shape == (1, 3)
assert raynas.run("light.yaml").best[0].text == run.best[0].text
print("opened")
"""

RUN_FILE = """
report: false
space: {name: nasbench201, channels: 2, cells: 1}
data: {name: npz, path: own.npz}
train: {epochs: 2, workers: 0}
search: {fitness: one_shot_accuracy, population: 8, generations: 2, evaluators: 0}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with images and a run file, in which the run was carried out without the extras."""
    folder = tmp_path_factory.mktemp("light")
    rng = np.random.default_rng(0)
    np.savez(
        folder / "own.npz",
        train_images=rng.integers(0, 256, (60, 8, 8, 3), np.uint8),
        train_labels=np.arange(60) % 3,
        test_images=rng.integers(0, 256, (12, 8, 8, 3), np.uint8),
        test_labels=np.arange(12) % 3,
    )
    (folder / "light.yaml").write_text(RUN_FILE)
    done = given(folder, "run", "light.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "TensorBoard is not installed: its events are left out; give `pip install 'raynas[report]'`" in done.stdout
    assert done.stdout.splitlines()[-1] == f"run folder: {folder / 'runs/light'}"
    return folder


def given(folder: Path, *arguments: str, code: str = COMMAND) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "light.yaml"),
        ("search", "light.yaml"),
        ("network", "GDAS_V1"),
        ("list", "runs"),
        ("list", "algorithms"),
        ("explain", "train.workers"),
        ("new", "other", "--data", "own.npz"),
        ("doctor",),
        ("schema",),
        ("check", "jobs:sweep_gdas_temperature", "--quick", "--set", "report=false", "--set", "search.evaluators=0"),
        ("export", "runs/light", "--format", "safetensors", "--out", "network"),
    ],
    ids=" ".join,
)
def test_without_the_extras_runs_are_prepared_read_and_continued(folder: Path, arguments: tuple[str, ...]) -> None:
    done = given(folder, *arguments)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_without_the_extras_runs_are_opened_from_python(folder: Path) -> None:
    done = given(folder, code=OPEN)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["opened"]), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("report", "runs/light"), "report: needs the package matplotlib"),
        (("compare", "runs/light", "runs/light"), "compare: needs the package matplotlib"),
        (("run", "light.yaml", "--name", "a", "--set", "report=true"), "report: needs the package matplotlib"),
        (("check", "light.yaml", "--name", "a", "--set", "report=true"), "report: needs the package matplotlib"),
        (("run", "light.yaml", "--name", "a", "--set", "train.workers=1"), "train.workers: needs the package ray"),
        (("check", "light.yaml", "--set", "search.evaluators=2"), "search.evaluators: needs the package ray"),
        (("run", "light.yaml", "--set", "data={name: digits}"), "data.name: digits: needs the package sklearn"),
        (("run", "light.yaml", "--set", "storage_path=s3://a/b"), "storage_path: needs the package pyarrow"),
        (("sweep", "jobs:sweep_rlnas_labels"), "sweep: needs the package ray"),
        (("submit", "light.yaml"), "submit: needs the package ray"),
        (("jobs",), "jobs: needs the package ray"),
        (("network", "GDAS_V1", "--draw", "a.svg"), "--draw: needs the package matplotlib"),
        (("export", "runs/light", "--format", "onnx", "--out", "b"), "--format: onnx needs the package onnx"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_what_needs_an_extra_says_how_to_install_it(folder: Path, arguments: tuple[str, ...], line: str) -> None:
    done = given(folder, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"raynas: {line}, which is not installed; give `pip install 'raynas[")
    assert len(done.stderr.splitlines()) == 1
    assert not (folder / "runs/a").exists()
