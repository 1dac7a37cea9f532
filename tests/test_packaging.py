"""What the wheel and the source distribution hold, and that a wheel alone runs a job by its name."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.stages.runs import ROOT

BUILD = """
import sys
from setuptools import build_meta
out = sys.argv[1]  # which a build replaces
build_meta.build_wheel(out)
build_meta.build_sdist(out)
"""


def tracked() -> list[str]:
    """Returns the files of the repository, also new ones that git does not ignore."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("the source tree is no git repository")
    return [name for name in done.stdout.splitlines() if (ROOT / name).exists()]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a wheel and a source distribution, built from a copy of the repository."""
    setuptools = pytest.importorskip("setuptools")
    if int(setuptools.__version__.partition(".")[0]) < 77:
        pytest.skip("setuptools is older than pyproject.toml asks for")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    done = subprocess.run([sys.executable, "-c", BUILD, out], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with the content of the wheel, as an installation has it."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_data(installed: Path) -> None:
    def inside(folder: str, *patterns: str) -> set[str]:
        files = [file for pattern in patterns for file in (ROOT / folder).rglob(pattern)]
        return {str(file.relative_to(ROOT / folder)) for file in files}

    found = {str(file.relative_to(installed)) for file in installed.rglob("*") if file.is_file()}
    wanted = {f"raynas/{name}" for name in inside("raynas", "*.py", "*.typed", "*.yaml", "*.html", "*.css", "*.js")}
    wanted |= {f"raynas/jobs/{name}" for name in inside("jobs", "*.yaml")}
    assert len(wanted) > 300
    assert wanted <= found
    assert not [name for name in found if name.startswith(("tests", "cluster", "jobs"))]


@pytest.mark.slow
def test_the_source_distribution_holds_the_whole_repository(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    left_out = (".ci/", ".dockerignore")
    assert [name for name in tracked() if name not in names and not name.startswith(left_out)] == []


@pytest.mark.slow
def test_an_installation_runs_a_job_by_its_name(installed: Path, tmp_path: Path) -> None:
    small = ("--set", "train.epochs=2", "--set", "train.workers=0", "--set", "search.generations=1")
    command = [sys.executable, "-m", "raynas", "run", "jobs:quickstart", *small, "--set", "search.evaluators=0"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"run folder: {tmp_path / 'runs/quickstart'}"
    where = [sys.executable, "-c", "import raynas; print(raynas.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith(str(installed)), "not the source tree"
