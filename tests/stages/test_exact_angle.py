"""The exact angle in a run: what it finds, and what keeps it from beginning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raynas.cli import main
from tests.stages.runs import chain_run, small_run


def result_of(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "runs/small/search/result.json").read_text())


@pytest.mark.parametrize("limits", [{}, {"max_multiply_adds": 20_000}], ids=["all", "limited"])
def test_it_finds_what_going_through_all_finds_and_says_that_nothing_is_missed(tmp_path: Path, limits: Any) -> None:
    found = {}
    for name in ("exact_angle", "exhaustive"):
        folder = tmp_path / name
        folder.mkdir()
        settings = {"name": name, "fitness": "angle", "limits": limits, "top": 3}
        assert main(["run", str(chain_run(folder, train={"epochs": 2}, search=settings))]) == 0
        found[name] = result_of(folder)
    best = {name: [(b["architecture"], b["fitness"]) for b in result["best"]] for name, result in found.items()}
    assert best["exact_angle"] == best["exhaustive"]
    assert found["exact_angle"]["missed"] == 0.0
    assert found["exact_angle"]["evaluations"] == 3 < found["exhaustive"]["evaluations"]


@pytest.mark.parametrize(
    ("run", "override", "message"),
    [
        (
            chain_run,
            "search.fitness=num_parameters",
            "search.name: exact_angle finds the largest angle; set",
        ),
        (
            chain_run,
            "train.base_seeds=[0, 1]",
            "search.name: exact_angle is exact for one supernet, got",
        ),
        (
            small_run,
            "search.top=3",
            "search.name: exact_angle is for chains of independent choices, which",
        ),
        (chain_run, "search.limits={max_multiply_adds: 10}", "search.limits.max_multiply_adds: 1.0e1 admits none of"),
    ],
)
def test_what_keeps_it_from_beginning_is_said_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Any, override: str, message: str
) -> None:
    file = run(tmp_path, search={"name": "exact_angle"})
    assert main(["run", str(file), "--set", override]) == 2
    error = capsys.readouterr().err
    assert f"raynas: {message}" in error and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()
