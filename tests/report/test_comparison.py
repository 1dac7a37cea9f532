"""Several runs on one page."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from raynas.report import comparison
from raynas.report.alpha_figures import Curve, curves_by_epoch
from raynas.report.page import write_comparison
from raynas.report.run_files import read_run
from tests.report import runs
from tests.report.pages import Page, only_script

pytestmark = pytest.mark.slow


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    first = runs.write_run(tmp_path / "first", name="first")
    second = tmp_path / "second"
    runs.write_config(second, name="second", algorithm="spos", data={"labels": "true"}, train={"epochs": 7})
    runs.write_training(second, 3, seconds=60)
    runs.write_search(second, seed=1)
    row = runs.rank_row("angle (official)", 0.5)
    runs.write_rank(second, "angle_official", rows=[row, runs.rank_row("num_parameters", 0.55)])
    return [first, second]


def column(page: Page, table: int, column: int) -> dict[str, str]:
    return {row[0]: row[column] for row in page.rows(table)}


def test_a_table_sets_the_runs_side_by_side(two: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "new/folder/compare.html"
    assert write_comparison(two, file) == file
    page = Page(file)
    assert page.said_by("h1") == ["first, second"]
    assert page.rows(0)[0] == ["", "● first", "■ second"]
    first, second = column(page, 0, 1), column(page, 0, 2)
    assert (first["folder"], second["folder"]) == (str(two[0]), str(two[1]))
    assert (first["algorithm"], second["algorithm"]) == ("rlnas", "spos")
    assert (first["labels"], second["labels"]) == ("random", "true")
    assert (first["training"], second["training"]) == ("25 s", "5 min 0 s")
    assert (first["fitness"], first["evaluated architectures"], first["rank"]) == ("angle (rad)", "100", "3.2 s")
    assert (first["τ-b with benchmark accuracy"], second["τ-b with benchmark accuracy"]) == (
        "angle (paper): 0.620 [0.610, 0.630]",
        "angle (official): 0.500 [0.490, 0.510]",
    )
    for folder, found in zip(two, (first, second), strict=True):
        best = max(read_lines(folder), key=lambda line: line["fitness"])
        assert found["best architecture"] == best["description"]
        assert found["its fitness"] == f"{best['fitness']:.4f} rad"
        assert found["its parameters"] == f"{best['num_parameters']:,}"
        assert found["its multiply-adds"] == f"{best['multiply_adds']:,}"


def read_lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "search/history.jsonl").read_text().splitlines()]


def test_searches_by_one_fitness_share_a_figure_and_others_do_not(two: list[Path], tmp_path: Path) -> None:
    third = tmp_path / "third"
    runs.write_config(third, name="third", search={"fitness": "one_shot_accuracy"})
    runs.write_search(third, fitness="one_shot_accuracy")
    section = Page(write_comparison([*two, third], tmp_path / "c.html")).section("Search")
    assert "The best angle so far of first, second." in section
    assert "The best one-shot accuracy so far of third." in section


def test_hypervolumes_by_the_same_quantities_share_a_figure(tmp_path: Path) -> None:
    runs_of = {"a": ("multiply_adds",), "b": ("multiply_adds",), "c": ("latency",), "d": None}
    for seed, (name, objectives) in enumerate(runs_of.items()):
        runs.write_config(tmp_path / name, name=name)
        if objectives:
            runs.write_pareto(tmp_path / name, objectives=objectives, seed=seed)
        else:
            runs.write_search(tmp_path / name)
    folders = {name: tmp_path / name for name in runs_of}
    page = Page(write_comparison(list(folders.values()), tmp_path / "c.html"))
    (caption,) = (text for text in page.said_by("figcaption") if "Hypervolume" in text)
    assert caption.startswith("Hypervolume by angle and multiply-adds.") and "Each run has a generation 0" in caption
    (shown,) = (g for g in page.root.iter("figure") if "".join(g.find("figcaption").itertext()) == caption)  # type: ignore
    words = {"".join(e.itertext()) for e in shown.iter() if e.tag.endswith("}text")}
    assert {"a", "b"} <= words and not {"c", "d"} & words
    for one, other in (("a", "c"), ("a", "d"), ("d", "d")):
        page = Page(write_comparison([folders[one], folders[other]], tmp_path / "c.html"))
        assert "Hypervolume by" not in page.text


def words_of(page: Page, caption: str) -> list[str]:
    """Returns the words of the figure whose caption begins so."""
    (shown,) = (g for g in page.root.iter("figure") if "".join(g.find("figcaption").itertext()).startswith(caption))  # type: ignore
    return ["".join(e.itertext()) for e in shown.iter() if e.tag.endswith("}text")]


def test_evaluated_architectures_of_runs_are_histograms_over_the_same_bins(two: list[Path], tmp_path: Path) -> None:
    caption = "Accuracy of all evaluated architectures with the supernet's weights, over the same bins."
    for folder, population in zip(two, (20, 19), strict=True):
        runs.write_search(folder, generations=1, population=population, fitness="one_shot_loss", extra=("accuracy",))
    page = Page(write_comparison(two, tmp_path / "c.html"))
    words = words_of(page, caption)
    assert "first" in words and "second" not in words
    median = np.median([line["accuracy"] for line in read_lines(two[0])])
    assert f"median {median:.2f}" in words
    runs.write_search(two[1], generations=1, population=30, seed=1, fitness="one_shot_loss", extra=("accuracy",))
    page = Page(write_comparison(two, tmp_path / "c.html"))
    assert {"first", "second"} <= set(words_of(page, caption))
    runs.write_search(two[0])
    runs.write_search(two[1])
    assert caption not in Page(write_comparison(two, tmp_path / "c.html")).text


def test_architecture_parameters_of_runs_share_their_figures(two: list[Path], tmp_path: Path) -> None:
    assert "Architecture parameters" not in Page(write_comparison(two, tmp_path / "c.html")).said_by("h2")
    runs.write_alphas(two[0], collapse=20)
    page = Page(write_comparison(two, tmp_path / "c.html"))
    assert page.section("Architecture parameters").count("After 5 epochs the largest weight of a choice is") == 1
    runs.write_alphas(two[1], 3, epochs=4, architecture=(4, 4, 4, 4, 0, 1))
    page = Page(write_comparison(two, tmp_path / "c.html"))
    section = page.section("Architecture parameters")
    assert "first: After 5 epochs the largest weight" in section and "second: After 4 epochs" in section
    assert "6 of 6 edges of the derived architecture are skip_connect." in section
    captions = ("Entropy of softmax(α)", "Weight of skip_connect, mean", "The largest weight of a choice, mean")
    taken = "How many edges of the architecture derived after each epoch take "
    for caption in (*captions, f"{taken}skip_connect", f"{taken}avg_pool_3x3"):
        assert [words_of(page, caption).count(name) for name in ("first", "second")] == [1, 1]
    assert section.count(taken) == 2


def test_the_operations_compared_are_skip_connect_and_those_that_are_taken_most(
    two: list[Path], tmp_path: Path
) -> None:
    runs.write_alphas(two[0], architecture=(0, 0, 0, 4, 4, 1))
    runs.write_alphas(two[1], 3, architecture=(0, 0, 0, 0, 0, 0))
    section = Page(write_comparison(two, tmp_path / "c.html")).section("Architecture parameters")
    assert re.findall(r"derived after each epoch take (\w+)\.", section) == ["skip_connect", "avg_pool_3x3"]


def test_the_curves_of_runs_are_those_of_their_files(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs.write_alphas(two[0], 0, collapse=5)
    runs.write_alphas(two[0], 1, collapse=5)
    runs.write_alphas(two[1], 3, epochs=2, choices={"a": ["x", "y"], "b": ["x", "y"]})
    drawn: dict[str, Sequence[Curve]] = {}
    draw = curves_by_epoch

    def watched(curves: Sequence[Curve], title: str, *looks: Any, **options: Any) -> Figure:
        drawn[title] = curves
        return draw(curves, title, *looks, **options)

    monkeypatch.setattr(comparison, "curves_by_epoch", watched)
    write_comparison(two, tmp_path / "c.html")
    alphas = [read_run(two[0]).alphas[0], read_run(two[0]).alphas[1], read_run(two[1]).alphas[3]]
    assert set(drawn) == {
        *("entropy of the weights", "largest weight", "share of skip-connect"),
        *(
            "edges that take skip_connect",
            f"edges that take {max(alphas[2].derived[-1].operations.items(), key=lambda i: i[1])[0]}",
        ),
    }
    for title, curves in drawn.items():
        having = [of for of in alphas if title != "share of skip-connect" or of is not alphas[2]]
        assert [curve.name for curve in curves] == ["first", "first", "second"][: len(having)]
        for curve, of in zip(curves, having, strict=True):
            operation = title.removeprefix("edges that take ")
            wanted = {
                "entropy of the weights": [row.mean() for row in of.entropies],
                "largest weight": [np.nanmax(row, axis=1).mean() for row in of.weights],
                "share of skip-connect": [row[:, 1].mean() for row in of.weights],
            }.get(title, [derived.operations.get(operation, 0) for derived in of.derived])
            assert curve.epochs.tolist() == list(range(len(of.values)))
            assert curve.values.tolist() == pytest.approx(wanted)


def test_runs_whose_parameters_were_never_trained_have_sentences_and_no_curves(two: list[Path], tmp_path: Path) -> None:
    for folder in two:
        runs.write_alphas(folder, epochs=0)
    page = Page(write_comparison(two, tmp_path / "c.html"))
    section = page.section("Architecture parameters")
    assert section.count("Before the first epoch the largest weight") == 2 and "Entropy" not in section


def test_runs_in_different_spaces_are_set_side_by_side(two: list[Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    darts, chain = tmp_path / "darts", tmp_path / "chain"
    cells = [runs.darts_cell(rng), runs.darts_cell(rng)]
    text, edges = runs.mobilenet(rng)
    drawn = {
        darts: (runs.genotype(*cells), dict(zip(("normal", "reduction"), cells, strict=True))),
        chain: (text, {"chain": edges}),
    }
    for folder, (description, drawing) in drawn.items():
        runs.write_config(folder, name=folder.name, space={"name": folder.name})
        (best, *_), lines = [runs.write_pareto(folder)] * 2
        best = {**best, "description": description, "drawing": drawing}
        runs.write_result(folder, fitness="angle", lines=lines, best=[best])
    page = Page(write_comparison([two[0], darts, chain], tmp_path / "c.html"))
    rows = {row[0]: row[1:] for row in page.rows(0)}
    assert rows["space"] == ["nasbench201", "darts", "chain"]
    assert rows["best architecture"][1:] == [runs.genotype(*cells), text]
    latency = f"{1000 * runs.latency_of(best['architecture']):.3f}\N{NO-BREAK SPACE}ms"
    assert rows["its latency"] == [
        "–",
        latency.replace("\N{NO-BREAK SPACE}", " "),
        latency.replace("\N{NO-BREAK SPACE}", " "),
    ]
    assert page.section("Best architectures").count("What pale lines without an operation bring") == 1
    said = page.said_by("text")
    assert {"normal", "reduction", "sep conv", "k5 e6"} <= set(said)
    assert said.count("20") >= 1


def test_a_line_that_no_run_has_anything_for_is_left_out(two: list[Path], tmp_path: Path) -> None:
    rows = [row[0] for row in Page(write_comparison(two, tmp_path / "c.html")).rows(0)]
    assert "its parameters" in rows and "its latency" not in rows and "its benchmark accuracy" not in rows


def test_ranks_stand_in_one_table_with_the_baselines_once(two: list[Path], tmp_path: Path) -> None:
    page = Page(write_comparison(two, tmp_path / "c.html"))
    assert "pairs (percent)" in page.rows(1)[0]
    names = [row[0] for row in page.rows(1)[1:]]
    assert names == ["first: angle (paper)", "second: angle (official)", "parameters", "multiply-adds", "random"]


def test_the_keys_that_differ_are_listed_and_no_others(two: list[Path], tmp_path: Path) -> None:
    page = Page(write_comparison(two, tmp_path / "c.html"))
    assert page.rows(2) == [
        ["key that differs", "first", "second"],
        ["name", "first", "second"],
        ["algorithm", "rlnas", "spos"],
        ["data.labels", "random", "true"],
        ["train.epochs", "5", "7"],
    ]


def test_a_run_beside_itself_stays_told_apart(two: list[Path], tmp_path: Path) -> None:
    page = Page(write_comparison([two[0], two[0]], tmp_path / "c.html"))
    assert page.rows(0)[0] == ["", "● first #1", "■ first #2"]
    colors = [value for tag, name, value in page.attributes if tag == "span" and name == "style"]
    assert len(set(colors)) == 2
    assert "The configurations are the same." in page.section("Configuration")
    assert page.said_by("text").count("first #2") >= 3


def test_runs_of_one_name_stay_told_apart_whatever_the_third_is_called(two: list[Path], tmp_path: Path) -> None:
    names = ["a", "a", "a #1"]
    for i, name in enumerate(names):
        runs.write_config(tmp_path / f"{i}", name=name)
        runs.write_training(tmp_path / f"{i}")
    page = Page(write_comparison([tmp_path / f"{i}" for i in range(3)], tmp_path / "c.html"))
    head = page.rows(0)[0]
    assert len(set(head)) == len(head) == 4


def test_runs_that_lack_parts_are_compared_in_what_they_have(two: list[Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    runs.write_config(bare, name="bare")
    runs.write_training(bare)
    page = Page(write_comparison([two[0], bare], tmp_path / "c.html"))
    assert column(page, 0, 2)["its fitness"] == column(page, 0, 2)["search"] == "–"
    assert page.said_by("h2")[1:] == ["Best architectures", "Search", "Training", "Rank correlation", "Configuration"]
    page = Page(write_comparison([bare, bare], tmp_path / "c.html"))
    assert page.said_by("h2") == ["Side by side", "Training", "Configuration"]


def test_the_page_is_whole_and_fetches_nothing(two: list[Path], tmp_path: Path) -> None:
    runs.write_config(two[1], name='<b>"&')
    page = Page(write_comparison(two, tmp_path / "c.html"))
    assert page.fetched() == [] and only_script(page)
    assert len(page.ids()) == len(set(page.ids()))
    assert page.referred() <= set(page.ids())
    assert page.rows(0)[0][2] == '■ <b>"&'
    again = Page(write_comparison(two, tmp_path / "d.html"))
    assert again.source == page.source


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_runs_are_no_comparison(two: list[Path], tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match=f"a comparison takes two run folders or more, got {count}"):
        write_comparison(two[:count], tmp_path / "c.html")


def test_a_folder_without_a_run_is_named(two: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere holds no run"):
        write_comparison([two[0], tmp_path / "nowhere"], tmp_path / "c.html")
    assert not (tmp_path / "c.html").exists()


def test_tau_by_epoch_of_all_runs_is_drawn_together_where_any_run_tells_it(two: list[Path], tmp_path: Path) -> None:
    caption = "by epochs; dotted, that of the parameter count"
    assert caption not in write_comparison(two, tmp_path / "without.html").read_text()
    runs.write_rank(two[0], epochs=[{"epoch": 1, "tau": 0.1, "rho": 0.2}, {"epoch": 2, "tau": 0.3, "rho": 0.4}])
    text = write_comparison(two, tmp_path / "with.html").read_text()
    assert caption in text
    assert "first: angle (paper)" in text
