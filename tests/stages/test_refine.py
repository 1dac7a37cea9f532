"""`search.refine`: the best of a search, evaluated again, against evaluations of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raynas.cli import main
from raynas.config.reading import load_config
from raynas.on_ray.session import on_ray
from raynas.spaces.nasbench201 import NasBench201
from raynas.stages.evaluation import evaluating
from raynas.stages.progress import Progress
from raynas.stages.task import make_task
from tests.stages.runs import small_run

SEARCH = {"name": "evolution", "population": 12, "generations": 2, "select": 4, "mutations": 4, "crossovers": 4}


def refined_run(folder: Path, refine: dict[str, Any], **search: Any) -> Path:
    """Returns a run file that searches by naswot, in this process."""
    return small_run(folder, search={**SEARCH, "evaluators": 0, "fitness": "naswot", "refine": refine, **search})


def fitness_of(file: Path, architectures: list[list[int]], *overrides: str) -> list[float]:
    """Returns the fitness of architectures in a run file of their own."""
    config = load_config(file, list(overrides))
    with on_ray(config) as backend, evaluating(make_task(config), backend, Progress(Console(), "")) as evaluation:
        rows = [row for part in evaluation.stream([tuple(a) for a in architectures]) for row in part]
    return [float(row[0]) for row in rows]


def result_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "runs/small/search/result.json").read_text())
    return result


def expected_order(folder: Path, number: int) -> list[list[int]]:
    """Returns the best architectures of the history, of each function the one that comes first in their order."""
    text = (folder / "runs/small/search/history.jsonl").read_text()
    lines = sorted(map(json.loads, text.splitlines()), key=lambda line: (-line["fitness"], line["architecture"]))
    firsts: dict[Any, list[int]] = {}
    for line in lines:
        firsts.setdefault(NasBench201().canonical(tuple(line["architecture"])), line["architecture"])
    return list(firsts.values())[:number]


def test_the_best_are_evaluated_at_another_size_and_ordered_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"from": 7, "fitness": ["jacob_cov", "live_multiply_adds"], "combine": "log_ranks"}
    file = refined_run(tmp_path, {**settings, "space": {"cells": 2}}, top=5)
    assert main(["check", str(file)]) == 0
    line = "refinement: the best 7 of the search again by jacob_cov + live_multiply_adds with space.cells 2"
    assert f"# {line}\n" in capsys.readouterr().out
    assert main(["run", str(file)]) == 0
    assert "of 7 that were evaluated again by jacob_cov + live_multiply_adds with space.cells 2:" in (
        capsys.readouterr().out
    )
    chosen = expected_order(tmp_path, 7)
    overrides = ["search.fitness=[jacob_cov, live_multiply_adds]", "search.combine=log_ranks", "space.cells=2"]
    again = fitness_of(file, chosen, *overrides, "search.refine=null")
    best = sorted(zip(again, chosen, strict=True), key=lambda pair: -pair[0])[:5]
    result = result_of(tmp_path)
    assert [(line["refined"], line["architecture"]) for line in result["best"]] == best
    small = fitness_of(file, [line["architecture"] for line in result["best"]], "search.refine=null")
    assert [line["fitness"] for line in result["best"]] == small
    refinement = {key: value for key, value in result["refinement"].items() if key != "seconds"}
    assert refinement == {
        "architectures": 7,
        "fitness": "jacob_cov+live_multiply_adds",
        "name": "jacob_cov + live_multiply_adds",
        "space": {"cells": 2},
    }
    assert result["quantities"][-1]["name"] == "refined"


def test_a_refinement_goes_on_from_what_is_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = refined_run(tmp_path, {"from": 5, "fitness": "meco"})
    assert main(["run", str(file)]) == 0
    place = tmp_path / "runs/small/search"
    whole, lines = result_of(tmp_path)["best"], (place / "refined.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 5
    (place / "result.json").unlink()
    (place / "refined.jsonl").write_text("".join(lines[:2]) + lines[2][:30])  # torn by the end of its process
    capsys.readouterr()
    assert main(["run", str(file)]) == 0
    assert "; 2 of the best evaluated again\n" in capsys.readouterr().out
    assert result_of(tmp_path)["best"] == whole
    assert (place / "refined.jsonl").read_text().startswith("".join(lines[:2]))
    (place / "result.json").unlink()
    (place / "refined.jsonl").write_text("".join(lines[1:]))
    capsys.readouterr()
    assert main(["run", str(file)]) == 2
    assert "refined.jsonl is not of this search; remove the file" in capsys.readouterr().err


def test_a_ranking_leaves_the_refinement_out(tmp_path: Path) -> None:
    file = refined_run(tmp_path, {"from": 3, "fitness": "meco"})
    assert main(["rank", str(file), "--set", "search.fitness=meco", "--sample", "5"]) == 0
    assert not (tmp_path / "runs/small/search").exists()


@pytest.mark.parametrize(
    ("refine", "message"),
    [
        ({"fitness": "naswot"}, "search.refine: expected another fitness than the search has, or other keys"),
        ({"fitness": "one_shot_loss"}, "search.refine.fitness: one_shot_loss needs trained supernets, which naswot"),
        ({"fitness": "angle", "space": {"cells": 2}}, "angle needs supernets that are trained at the size of"),
        ({"fitness": ["meco", "meco"]}, "search.refine.fitness: expected different ones"),
        ({"space": {"colour": 1}}, "search.refine.space"),
        ({"space": {"cells": 0}}, "search.refine.space.cells: expected 1 to 1,000, got 0"),
        ({"fitness": "swap_regularised"}, "search.swap_mu: expected a number"),
    ],
)
def test_what_cannot_be_refined_is_one_line_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refine: dict[str, Any], message: str
) -> None:
    assert main(["run", str(refined_run(tmp_path, refine))]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
