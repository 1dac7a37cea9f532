"""Runs that version 0.1.0 left behind, in tests/old_runs: later versions resume, rank and report them, and repeat them.

On the processor and the versions of torch and numpy that made them, results are equal to the bit. Elsewhere floating
point rounds differently, and losses and weights are compared with a tolerance.
"""

from __future__ import annotations

import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from raynas.cli import main

OLD = Path(__file__).parent / "old_runs" / "0.1.0"
EPOCHS = {"rlnas": 4, "spos": 3, "gdas": 3}
PROCESSOR = {"model name": "AMD EPYC", "cpu family": "25"}
"""What made the runs: Zen 4. Matrix products of a later family of the same name round differently."""


def same_arithmetic() -> bool:
    """Whether this machine rounds as the one that made the runs."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists() or platform.machine() != "x86_64":
        return False
    pairs = [line.partition(":") for line in cpuinfo.read_text().splitlines()]
    processor = {key.strip(): value.strip() for key, _, value in pairs}
    made_with = json.loads((OLD / "rlnas/config.json").read_text())["versions"]
    same_versions = all(version(package) == made_with[package] for package in ("torch", "numpy"))
    return same_versions and PROCESSOR.items() <= processor.items()


def run_file(name: str, folder: Path) -> Path:
    """Returns the run file of an old run, for runs in a folder of this test."""
    values = yaml.safe_load((OLD / f"{name}.yaml").read_text())
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(values | {"storage_path": str(folder / "runs"), "report": False}))
    return file


def copied(name: str, folder: Path) -> Path:
    """Returns a copy of an old run."""
    return Path(shutil.copytree(OLD / name, folder / "runs" / name))


def lines(file: Path) -> list[dict[str, Any]]:
    """Returns the lines of a file of JSON lines, without times."""
    timed = ("seconds", "images_per_second")
    return [
        {key: value for key, value in json.loads(line).items() if key not in timed}
        for line in file.read_text().splitlines()
    ]


def assert_equal(old: Any, new: Any, exact: bool) -> None:
    """Asserts that what the old version wrote is there with the same values; new keys may be beside it."""
    if isinstance(old, dict):
        assert set(old) <= set(new)
        for key, value in old.items():
            assert_equal(value, new[key], exact)
    elif isinstance(old, list):
        assert len(old) == len(new)
        for one, other in zip(old, new, strict=True):
            assert_equal(one, other, exact)
    elif isinstance(old, float) and not exact:
        assert new == pytest.approx(old, rel=1e-2, abs=1e-3)
    else:
        assert new == old


def assert_same_run(name: str, run: Path) -> None:
    """Asserts that a run has the weights, the records and, on the same processor, the search of an old one."""
    exact = same_arithmetic()
    place, old_place = run / "supernet/seed_0", OLD / name / "supernet/seed_0"
    for part in ("initial", f"epoch_{EPOCHS[name]:05d}"):
        old_weights = load_file(old_place / part / "weights.safetensors")
        weights = load_file(place / part / "weights.safetensors")
        assert weights.keys() == old_weights.keys()
        for key, values in old_weights.items():
            np.testing.assert_allclose(weights[key], values, rtol=0 if exact else 1e-2, atol=0 if exact else 1e-2)
    assert_equal(lines(old_place / "metrics.jsonl"), lines(place / "metrics.jsonl"), exact)
    if exact:
        assert_equal(lines(old_place / "angle_tables.jsonl"), lines(place / "angle_tables.jsonl"), exact)
        assert_equal(lines(OLD / name / "search/history.jsonl"), lines(run / "search/history.jsonl"), exact)
        old_result, result = (json.loads((one / "search/result.json").read_text()) for one in (OLD / name, run))
        assert_equal(old_result["best"], result["best"], exact)


@pytest.mark.slow
@pytest.mark.parametrize("name", EPOCHS)
def test_a_new_run_gives_what_the_old_version_gave(name: str, tmp_path: Path) -> None:
    assert main(["run", str(run_file(name, tmp_path))]) == 0
    assert_same_run(name, tmp_path / "runs" / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", EPOCHS)
def test_an_old_run_that_was_killed_in_its_last_epoch_is_resumed(name: str, tmp_path: Path) -> None:
    run = copied(name, tmp_path)
    place = run / "supernet/seed_0"
    shutil.rmtree(place / f"epoch_{EPOCHS[name]:05d}")
    (place / "result.json").unlink()
    shutil.rmtree(run / "search")
    assert main(["run", str(run_file(name, tmp_path))]) == 0
    assert_same_run(name, run)


@pytest.mark.slow
@pytest.mark.parametrize("name", EPOCHS)
def test_an_old_run_is_ranked_and_reported(name: str, tmp_path: Path) -> None:
    run = copied(name, tmp_path)
    (old_file,) = (OLD / name / "rank").glob("*.json")
    shutil.rmtree(run / "rank")
    assert main(["rank", str(run_file(name, tmp_path)), "--sample", "12"]) == 0
    if same_arithmetic():
        old, new = (json.loads(file.read_text()) for file in (old_file, run / "rank" / old_file.name))
        assert_equal(old["rows"], new["rows"], exact=True)
    assert main(["report", str(run)]) == 0
    page = (run / "report/index.html").read_text()
    assert name in page


def test_an_old_sweep_is_reported(tmp_path: Path) -> None:
    sweep = copied("sweep", tmp_path)
    assert main(["report", str(sweep)]) == 0
    page = (sweep / "report/index.html").read_text()
    assert "shuffled" in page
