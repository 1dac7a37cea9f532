"""A folder with modules of a stranger, in which a command is given: none of them is executed in the place of others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report import runs
from tests.stages.runs import ROOT, small_run

# The last three are imported before raynas can help it where Python itself puts the folder first, with `python -m`.
NAMES = ("queue", "secrets", "matplotlib", "yaml", "statistics", "torch", "ray", "optuna", "raynas_hook", "numpy")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A folder whose modules leave a trace where they are executed."""
    folder = tmp_path / "directory"
    folder.mkdir()
    for name in NAMES:
        (folder / f"{name}.py").write_text(
            f"open({str(tmp_path / 'executed')!r}, 'a').write({name!r})\nraise SystemExit(9)\n"
        )
    return folder


def raynas(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Returns exit status and output of the command line, given in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "raynas", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=250,
    )
    return done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["report", "compare", "check"])
def test_modules_beside_a_run_are_not_executed(tmp_path: Path, directory: Path, verb: str) -> None:
    runs.write_config(directory / "run")
    runs.write_training(directory / "run")
    small_run(directory)
    arguments = {"report": ["run"], "compare": ["run", "run"], "check": ["small.yaml"]}[verb]
    status, out = raynas(directory, verb, *arguments)
    assert (status, (tmp_path / "executed").exists()) == (0, False), out


@pytest.mark.slow
def test_a_class_of_the_users_own_beside_a_run_file_is_found_behind_everything_else(
    tmp_path: Path, directory: Path
) -> None:
    shutil.copy(ROOT / "tests/stages/chain_space.py", directory / "my_space.py")
    small_run(directory, space={"name": "my_space.ChainSpace"})
    status, out = raynas(directory, "check", "small.yaml")
    assert (status, (tmp_path / "executed").exists()) == (0, False), out
    (tmp_path / "elsewhere").mkdir()
    status, out = raynas(tmp_path / "elsewhere", "check", "../directory/small.yaml")
    assert status == 2 and "space.name: cannot import 'my_space.ChainSpace'" in out
    status, out = raynas(tmp_path / "elsewhere", "check", "../directory/small.yaml", RAYNAS_IMPORT_PATH=str(directory))
    assert (status, (tmp_path / "executed").exists()) == (0, False), out


@pytest.mark.slow
@pytest.mark.ray
def test_modules_beside_a_run_neither_are_executed_by_nor_break_workers_and_evaluators(
    tmp_path: Path, directory: Path
) -> None:
    shutil.copy(ROOT / "tests/stages/chain_space.py", directory / "my_space.py")
    small_run(
        directory,
        local_cpus=2,
        space={"name": "my_space.ChainSpace"},
        train={"epochs": 1, "workers": 1},
        search={"fitness": "one_shot_accuracy", "evaluators": 1, "evaluation_batch_size": 64},
    )
    status, out = raynas(directory, "run", "small.yaml")
    assert (status, (tmp_path / "executed").exists()) == (0, False), out
    assert (directory / "runs/small/search/result.json").exists()
