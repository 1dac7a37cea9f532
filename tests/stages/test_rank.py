"""`raynas rank`: what it leaves, against statistics computed here from the scores it left."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from raynas.cli import main
from raynas.search_space import all_architectures
from raynas.spaces.nasbench201 import NasBench201
from raynas.stages import rank as rank_stage
from raynas.supernet.costs import cost_table
from tests.stages.runs import small_run

SPACE = NasBench201(2, 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run of three epochs and a table of the whole space."""
    folder = tmp_path_factory.mktemp("rank")
    everything = all_architectures(SPACE)
    costs = cost_table(SPACE, 8, 10).total(everything)[:, 0]
    noise = np.random.default_rng(0).normal(size=len(everything))
    accuracies = 50 + 10 * (costs - costs.mean()) / costs.std() + 5 * noise
    with (folder / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["arch", "test_accuracy_200", "backwards"])
        for number, (architecture, accuracy) in enumerate(
            zip(everything.tolist(), accuracies.clip(0, 100), strict=True)
        ):
            backwards = f"{100 - accuracy:.4f}" if number % 2 else ""
            writer.writerow([SPACE.describe(tuple(architecture)), f"{accuracy:.4f}", backwards])
    assert main(["train", str(run_file(folder))]) == 0
    return folder


def run_file(folder: Path, **sections: Any) -> Path:
    search = {"evaluators": 0, "evaluation_images": 64, "calibration_images": 64, "evaluation_batch_size": 64}
    sections["search"] = {**search, **sections.get("search", {})}
    return small_run(folder, benchmark={"path": str(folder / "table.csv")}, train={"epochs": 3}, **sections)


def ranked(place: Path, label: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    folder = place / "runs/small/rank"
    with (folder / f"{label}.csv").open(newline="") as stream:
        return json.loads((folder / f"{label}.json").read_text()), list(csv.DictReader(stream))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def first_of_each_function(architectures: Sequence[Sequence[int]]) -> list[int]:
    """Returns the positions of the cells that no earlier one equals, by their outputs for random operations."""
    matrices = {k: np.random.default_rng(k).normal(size=(3, 3)) for k in (2, 3, 4)}
    outputs: dict[tuple[float, ...], int] = {}
    for position, cell in enumerate(architectures):
        nodes = [np.array([0.3, 0.5, 0.7]), np.zeros(3), np.zeros(3), np.zeros(3)]
        for (target, source), k in zip(((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)), cell, strict=True):
            x = nodes[source]
            nodes[target] = nodes[target] + (0 if k == 0 else x if k == 1 else np.tanh(matrices[k] @ x))
        outputs.setdefault(tuple(np.round(nodes[3], 9).tolist()), position)
    return list(outputs.values())


@pytest.mark.slow
def test_the_angle_ranks_the_whole_space_beside_its_baselines(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", str(run_file(place))]) == 0
    out = capsys.readouterr().out
    result, rows = ranked(place, "angle_paper")
    assert len(rows) == result["cells"] == result["space"] == 15_625
    assert [row["name"] for row in result["rows"]] == [
        "angle (paper)",
        "num_parameters",
        "multiply_adds",
        "live_multiply_adds",
        "random",
    ]
    vector = np.load(place / "runs/small/rank/angle_paper.npy")
    assert (vector.shape, vector.dtype) == ((15_625,), np.float64)
    in_order = ["-".join(map(str, a)) for a in np.ndindex(*(5,) * 6)]
    assert [row["architecture"] for row in rows] == in_order
    np.testing.assert_allclose(vector, column(rows, "fitness"), rtol=1e-12)
    truth = column(rows, "true")
    for row, name in zip(result["rows"], ("fitness", "num_parameters", "multiply_adds"), strict=False):
        values = column(rows, name)
        assert row["tau"] == pytest.approx(kendalltau(values, truth).statistic, abs=1e-12)
        assert row["rho"] == pytest.approx(spearmanr(values, truth).statistic, abs=1e-12)
        assert row["tau_interval"][0] < row["tau"] < row["tau_interval"][1]
        ties_first = sorted(range(len(rows)), key=lambda i: (-values[i], rows[i]["architecture"]))[:10]
        assert row["top"]["10"]["mean"] == pytest.approx(truth[ties_first].mean(), abs=1e-9)
        assert f"{row['tau']:.4f}"[:6] in out
    assert abs(result["rows"][4]["tau"]) < 0.02
    assert (result["rows"][3]["tau_within_live"], result["rows"][3]["tau_within"] is None) == (None, False)
    assert -1 < result["rows"][0]["tau_within_live"] < 1
    assert result["rows"][1]["tau_within"] is None
    assert "undefined" in out
    assert result["functions"] == 4_930
    firsts = first_of_each_function([tuple(map(int, row["architecture"].split("-"))) for row in rows])
    values = column(rows, "fitness")
    assert result["rows"][0]["tau_distinct"] == pytest.approx(kendalltau(values[firsts], truth[firsts]).statistic)
    assert {tuple(map(int, row["architecture"].split("-"))) for row in rows} == {
        tuple(a) for a in all_architectures(SPACE).tolist()
    }
    space_says = [SPACE.parse(row["description"]) for row in rows[::500]]
    assert space_says == [tuple(map(int, row["architecture"].split("-"))) for row in rows[::500]]


def test_other_settings_of_the_search_rank_the_same_supernets(place: Path) -> None:
    file = run_file(place)
    assert main(["rank", str(file), "--set", "search.angle=official", "--sample", "300"]) == 0
    result, rows = ranked(place, "angle_official")
    assert result["cells"] == len(rows) == 300
    assert not (place / "runs/small/rank/angle_official.npy").exists()
    parts = ["--set", "search.angle=published", "--set", "search.angle_skip=identity"]
    assert main(["rank", str(file), *parts, "--sample", "300"]) == 0
    result, others = ranked(place, "angle_published_skip_identity")
    assert result["rows"][0]["name"] == "angle (published, skip identity)"
    assert [row["fitness"] for row in others] != [row["fitness"] for row in rows]
    assert main(["rank", str(file), "--set", "search.fitness=one_shot_loss", "--sample", "30"]) == 0
    result, rows = ranked(place, "one_shot_loss")
    assert result["cells"] == 30
    assert (column(rows, "fitness") == -column(rows, "loss")).all()
    assert "100" not in result["rows"][0]["top"]


def test_further_columns_are_correlated_over_the_architectures_that_they_know(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["rank", str(run_file(place)), "--set", "search.fitness=num_parameters"]
    assert main([*arguments, "--set", "benchmark.columns=[backwards]"]) == 0
    result, rows = ranked(place, "num_parameters")
    known = rows[1::2]
    expected = -kendalltau(column(known, "fitness"), column(known, "true")).statistic
    assert result["rows"][0]["tau_columns"] == {"backwards": pytest.approx(expected, abs=1e-12)}
    assert "tau-b, backwards" in capsys.readouterr().out
    assert main([*arguments, "--set", "benchmark.columns=[none_such]"]) == 2
    assert "column none_such" in capsys.readouterr().err


def test_every_run_ranks_the_same_sample(place: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes((place / "table.csv").read_bytes())
    sampled = []
    for folder, seed in ((place, 0), (tmp_path, 5)):
        file = run_file(folder, **({} if seed == 0 else {"seed": seed, "search": {"fitness": "num_parameters"}}))
        fitness = [] if seed == 0 else ["--set", "search.fitness=num_parameters"]
        assert main(["rank", str(file), "--sample", "100", *fitness]) == 0
        _, rows = ranked(folder, "angle_paper" if seed == 0 else "num_parameters")
        sampled.append([row["architecture"] for row in rows])
    assert sampled[0] == sampled[1]
    assert len(set(sampled[0])) == 100
    assert sampled[0] == sorted(sampled[0])


def test_scores_of_networks_are_kept_and_only_what_is_left_is_evaluated(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["rank", str(run_file(place)), "--set", "search.fitness=one_shot_accuracy", "--sample", "40"]
    assert main(arguments) == 0
    whole = ranked(place, "one_shot_accuracy")
    scores = place / "runs/small/rank/one_shot_accuracy.scores.jsonl"
    lines = scores.read_text().splitlines(keepends=True)
    assert len(lines) == 41
    scores.write_text("".join(lines[:11]) + lines[11][:9])  # ten of them, and one torn by the end of its process
    evaluated = []
    append = rank_stage.append_text
    monkeypatch.setattr(rank_stage, "append_text", lambda file, text: evaluated.append(text) or append(file, text))
    assert main(arguments) == 0
    assert len(evaluated) == 30
    again = ranked(place, "one_shot_accuracy")
    assert again[1] == whole[1]
    assert again[0]["rows"] == whole[0]["rows"]
    assert main([*arguments, "--set", "search.calibration_images=128"]) == 0
    assert len(evaluated) == 70, "scores of other settings are not taken"


@pytest.mark.slow
def test_tau_of_every_epoch_ends_with_that_of_the_trained_weights(place: Path) -> None:
    assert main(["rank", str(run_file(place)), "--every-epoch"]) == 0
    result, _ = ranked(place, "angle_paper")
    assert [epoch["epoch"] for epoch in result["epochs"]] == [1, 2, 3]
    assert result["epochs"][-1]["tau"] == pytest.approx(result["rows"][0]["tau"], abs=1e-9)
    assert len({epoch["tau"] for epoch in result["epochs"]}) == 3


def test_without_a_table_rank_says_what_it_can_do(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rank", str(run_file(place)), "--set", "benchmark.path=null"]) == 0
    out = capsys.readouterr().out
    assert "15,625 of 15,625 architectures scored" in out
    assert "give --set benchmark.path=FILE to compare it with the benchmark accuracy" in out
    result, rows = ranked(place, "angle_paper")
    assert rows[0]["true"] == ""
    expected = kendalltau(column(rows, "fitness"), column(rows, "num_parameters")).statistic
    assert result["rows"] == [
        {
            "name": "angle (paper)",
            "tau_parameters": pytest.approx(expected),
            "tau_multiply_adds": pytest.approx(expected),
        }
    ]


def test_architectures_that_the_table_does_not_know_are_left_out_and_it_is_said(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (place / "table.csv").read_text().splitlines(keepends=True)
    (tmp_path / "part.csv").write_text("".join(lines[:5001]))
    assert main(["rank", str(run_file(place)), "--set", f"benchmark.path={tmp_path / 'part.csv'}"]) == 0
    out = capsys.readouterr().out
    assert "part.csv holds test_accuracy_200 of 5,000 of 15,625 architectures: the others are left out" in out
    assert ranked(place, "angle_paper")[0]["cells"] == 5_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "name=never"], "there is no run"),
        (["--every-epoch", "--set", "search.fitness=num_parameters"], "--every-epoch: the weights of every epoch are"),
        (["--every-epoch", "--set", "benchmark.path=null"], "--every-epoch: needs benchmark accuracies to rank"),
        (["--set", "train.epochs=4"], "holds a run of another configuration (train.epochs 3 there, 4 here)"),
        (["--sample", "1"], "--sample: expected 2 or more, got 1"),
        (["--set", "benchmark.path=/none.csv"], "benchmark.path: /none.csv does not exist"),
        (["--set", "benchmark.column=test"], "benchmark.column: "),
    ],
)
def test_what_cannot_be_ranked_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["rank", str(run_file(place)), *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_run_that_was_opened_but_never_trained_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = small_run(tmp_path)
    assert main(["search", str(file)]) == 2
    assert main(["rank", str(file)]) == 2
    assert "holds no trained supernet of base seed 0; run `raynas train` with this file" in capsys.readouterr().err
