import json
from pathlib import Path
from typing import Any

import pytest

from raynas.cli import main
from raynas.search_space import Architecture
from raynas.spaces.nasbench201 import OPERATIONS, NasBench201
from raynas.stages import search as search_stage
from tests.stages.runs import small_run

POPULATION, GENERATIONS = 20, 3


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run file whose supernet is trained and whose search is done."""
    file = small_run(tmp_path_factory.mktemp("trained"))
    assert main(["run", str(file)]) == 0
    return file


@pytest.fixture
def search_folder(trained: Path) -> Path:
    return trained.parent / "runs/small/search"


def untimed(history: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in history.splitlines()]


def test_the_history_has_a_line_per_architecture_and_the_best_are_its_best_functions(search_folder: Path) -> None:
    space = NasBench201(2, 1)
    lines = untimed((search_folder / "history.jsonl").read_text())
    assert [line["generation"] for line in lines] == [g for g in range(GENERATIONS) for _ in range(POPULATION)]
    architectures: list[Architecture] = [tuple(line["architecture"]) for line in lines]
    assert len(set(architectures)) == len(lines)
    assert all(space.parse(line["description"]) == tuple(line["architecture"]) for line in lines)
    result = json.loads((search_folder / "result.json").read_text())
    expected: list[dict[str, Any]] = []
    seen = set()
    for line in sorted(lines, key=lambda line: (-line["fitness"], line["architecture"])):
        function = space.canonical(tuple(line["architecture"]))
        if function not in seen:
            edges = [("in", "1"), ("in", "2"), ("1", "2"), ("in", "out"), ("1", "out"), ("2", "out")]
            taken = zip(edges, line["architecture"], strict=True)
            drawing = {"cell": [[*edge, OPERATIONS[k]] for edge, k in taken if k]}
            expected.append({key: line[key] for key in line if key != "generation"} | {"drawing": drawing})
        seen.add(function)
    assert result["best"] == expected[:10]
    assert (result["evaluations"], result["functions"]) == (len(lines), len(seen))


@pytest.mark.parametrize("left", [0, 1, POPULATION - 1, POPULATION, POPULATION + 7, 2 * POPULATION, 3 * POPULATION])
@pytest.mark.parametrize("torn", [False, True])
def test_a_search_goes_on_from_whatever_is_left_of_its_history(
    trained: Path, search_folder: Path, monkeypatch: pytest.MonkeyPatch, left: int, torn: bool
) -> None:
    history = search_folder / "history.jsonl"
    whole = history.read_text()
    result = json.loads((search_folder / "result.json").read_text())
    lines = whole.splitlines(keepends=True)
    history.write_text("".join(lines[:left]) + (lines[left][:30] if torn and left < len(lines) else ""))
    (search_folder / "result.json").unlink()
    evaluated = []
    describe = search_stage.describe_all
    monkeypatch.setattr(search_stage, "describe_all", lambda *a: evaluated.append(len(a[1])) or describe(*a))  # type: ignore[func-returns-value]
    assert main(["search", str(trained)]) == 0
    assert untimed(history.read_text()) == untimed(whole)
    again = json.loads((search_folder / "result.json").read_text())
    assert again["best"] == result["best"]
    assert sum(evaluated) == GENERATIONS * POPULATION - left, "nothing is evaluated again"


@pytest.mark.parametrize("damage", ["other", "garbage"])
def test_a_history_of_another_search_is_refused(
    trained: Path, search_folder: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    history = search_folder / "history.jsonl"
    whole, result = history.read_text(), (search_folder / "result.json").read_text()
    lines = whole.splitlines(keepends=True)
    lines[3] = lines[4] if damage == "other" else "{{{\n"
    history.write_text("".join(lines))
    (search_folder / "result.json").unlink()
    assert main(["search", str(trained)]) == 2
    assert "remove the file to search anew" in capsys.readouterr().err
    history.write_text(whole)
    (search_folder / "result.json").write_text(result)


def test_a_search_without_a_supernet_says_what_to_do_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(small_run(tmp_path))]) == 2
    assert (
        "holds no trained supernet of base seed 0; run `raynas train` with this file first" in capsys.readouterr().err
    )


@pytest.mark.parametrize("name", ["random", "exhaustive"])
def test_every_searcher_runs_on_a_trained_supernet(tmp_path: Path, name: str) -> None:
    search = {"name": name, "population": 5000, "generations": 1}
    assert main(["run", str(small_run(tmp_path, train={"epochs": 1}, search=search))]) == 0
    result = json.loads((tmp_path / "runs/small/search/result.json").read_text())
    assert result["evaluations"] == (15_625 if name == "exhaustive" else 5_000)
    if name == "exhaustive":
        assert result["functions"] == 4_930


def test_several_base_seeds_give_the_mean_and_the_spread_of_single_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    def best_of_all(seeds: list[int]) -> dict[tuple[int, ...], tuple[float, float]]:
        folder = tmp_path / "-".join(map(str, seeds))
        folder.mkdir()
        search = {"name": "exhaustive", "population": 15_625}
        file = small_run(folder, train={"epochs": 1, "base_seeds": seeds}, search=search)
        assert main(["run", str(file)]) == 0
        lines = (folder / "runs/small/search/history.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        assert all(("spread" in row) == (len(seeds) > 1) for row in rows)
        return {tuple(row["architecture"]): (row["fitness"], row.get("spread", 0.0)) for row in rows}

    single = [best_of_all([seed]) for seed in (3, 4)]
    both = best_of_all([3, 4])
    assert "spread" in capsys.readouterr().out
    for architecture, (mean, spread) in list(both.items())[::100]:
        values = [angles[architecture][0] for angles in single]
        assert mean == pytest.approx(np.mean(values), abs=1e-15)
        assert spread == pytest.approx(np.std(values, ddof=1), abs=1e-15)
    assert any(spread > 0 for _, spread in both.values())


def test_the_truth_of_the_best_is_written_down_once_a_table_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = small_run(tmp_path)
    assert main(["run", str(file)]) == 0
    place = tmp_path / "runs/small/search/result.json"
    before = json.loads(place.read_text())
    first, second = (best["description"] for best in before["best"][:2])
    table = tmp_path / "table.csv"
    table.write_text(f"arch,test_accuracy_200\n{first},91.5\n{second},\n")
    assert main(["run", str(file), "--set", f"benchmark.path={table}"]) == 0
    after = json.loads(place.read_text())
    assert [best["true"] for best in after["best"]] == [91.5] + [None] * 9
    assert {key: after[key] for key in before if key != "best"} == {k: v for k, v in before.items() if k != "best"}
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in reversed(lines) if "mult-adds" in line)
    assert "test_accuracy_200" in header
    assert any("91.50 %" in line and first in line for line in lines)
    assert main(["run", str(file)]) == 0
    assert json.loads(place.read_text()) == after, "what is known stays"
