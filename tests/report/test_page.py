"""The page of a run: what it says, that it holds together, and that it asks for nothing."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from raynas.report import alpha_sections
from raynas.report.alpha_figures import Curve, curves_by_epoch
from raynas.report.alpha_sections import about_alphas
from raynas.report.page import write_report
from raynas.report.rank_sections import more_than_size
from raynas.report.run_files import read_run
from raynas.report.search_sections import how_exact
from tests.report import runs
from tests.report.pages import Page, only_script

SPACE = "\N{NO-BREAK SPACE}"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = runs.write_run(tmp_path_factory.mktemp("report") / "run", name="whole-run")
    epochs = [{"epoch": 1, "tau": 0.1, "rho": 0.2}, {"epoch": 2, "tau": 0.3, "rho": 0.4}]
    runs.write_search(folder, extra=("spread", "accuracy", "loss"))
    runs.write_rank(folder, epochs=epochs)
    runs.write_rank(folder, "one_shot_accuracy", fitness="one_shot_accuracy")
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    assert write_report(folder) == folder / "report/index.html"
    return Page(folder / "report/index.html")


def test_the_page_has_its_parts_in_their_order(page: Page) -> None:
    assert page.said_by("title")[0] == "whole-run · raynas"
    assert page.said_by("h1") == ["whole-run"]
    assert page.said_by("h2") == [
        *("Best architectures", "Search", "Training", "Rank correlation", "Configuration", "Time, seeds, versions")
    ]


def test_three_lines_say_what_was_searched_and_found(page: Page, folder: Path) -> None:
    best = json.loads((folder / "search/result.json").read_text())["best"][0]
    assert page.said_by("li") == [
        "Searched: nasbench201 (channels 16, cells 5, 15,625 architectures) on cifar10 with random labels by rlnas.",
        f"Evaluated: 100 architectures, 97 different functions, by angle in 4 generations (12{SPACE}s), "
        f"after 25{SPACE}s of training 2 supernets.",
        f"Found: {best['description']} with angle {best['fitness']:.4f}{SPACE}rad, "
        f"{best['num_parameters']:,} parameters, "
        f"{best['multiply_adds']:,} multiply-adds.",
        page.said_by("li")[3],
    ]
    assert page.said_by("li")[3].startswith("Verdict: ")


def test_the_table_of_the_best_has_every_number_that_was_recorded(page: Page, folder: Path) -> None:
    head, *rows = page.rows(0)
    best = json.loads((folder / "search/result.json").read_text())["best"]
    titles = "angle (rad)|± over seeds (rad)|one-shot accuracy (percent)|one-shot loss (nats)|parameters|multiply-adds"
    assert head == ["", *titles.split("|"), "architecture"]
    assert rows == [
        [
            *(str(place), f"{b['fitness']:.4f}", f"{b['spread']:.4f}", f"{b['accuracy']:.2f}", f"{b['loss']:.4f}"),
            *(f"{b['num_parameters']:,}", f"{b['multiply_adds']:,}", b["description"]),
        ]
        for place, b in enumerate(best, start=1)
    ]


def test_true_accuracies_stand_beside_the_best_where_a_rank_tells_them(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    lines = runs.write_search(tmp_path)
    best = max(lines, key=lambda line: line["fitness"])["architecture"]
    runs.write_rank(tmp_path, cells=[best], values=[0.5], true=[93.456])
    page = Page(write_report(tmp_path))
    assert "benchmark accuracy 93.46 percent." in page.said_by("li")[2]
    assert page.rows(0)[0][-2:] == ["benchmark accuracy (percent)", "architecture"]
    assert [row[-2] for row in page.rows(0)[1:]] == ["93.46", *["–"] * 9]
    assert "found: 93.46" in page.section("Rank correlation")


def test_the_best_six_are_drawn_or_three_large_ones(page: Page, tmp_path: Path) -> None:
    assert [caption[:4] for caption in page.said_by("figcaption")[:7]] == [*(f"{i} · " for i in range(1, 7)), "The "]
    lines = runs.write_search(tmp_path)
    runs.write_config(tmp_path)
    chain = [[str(i), str(i + 1), "conv"] for i in range(20)]
    best = [{**line, "drawing": {"chain": chain}} for line in lines[:10]]
    runs.write_result(tmp_path, fitness="angle", lines=lines, best=best)
    large = Page(write_report(tmp_path))
    assert [caption[:4] for caption in large.said_by("figcaption")[:4]] == ["1 · ", "2 · ", "3 · ", "The "]


def test_the_sentence_stands_over_the_table(page: Page) -> None:
    assert page.said_by("p").count(
        "Angle (paper) ranks better than the parameter count: τ = 0.620 against 0.550; among architectures of equal "
        "size τ = 0.200 is left."
    ) == len(["angle_paper", "one_shot_accuracy"])


def test_the_rank_has_each_fitness_before_the_baselines(page: Page) -> None:
    head, *rows = page.rows(1)
    tops = ["top 1", "top 10: mean, best", "top 100: mean, best"]
    within = ["equal parameters", "equal live"]
    assert head == ["ordered by", "τ-b", "τ, ties in order", "ρ", "pairs (percent)", *tops, *within]
    assert [row[0] for row in rows] == ["angle (paper)", "angle (paper)", "parameters", "multiply-adds", "random"]
    tau, rho = "0.620 [0.610, 0.630]", "0.806 [0.796, 0.816]"
    firsts = ["92.01", "91.00, 92.10", "82.00, 93.00"]
    assert rows[0] == ["angle (paper)", tau, "0.600", rho, "81.0", *firsts, "0.200", "0.100"]
    assert rows[2][-2:] == ["–", "–"]
    assert rows[4][1] == "0.000 [−0.010, 0.010]"
    assert (
        "200 of the space's 15,625 architectures against their benchmark accuracy in nasbench201_cifar10.csv, column"
        in page.text
    )


def test_tau_with_ties_in_order_is_shown_where_the_rank_records_it(page: Page, tmp_path: Path) -> None:
    """Records of earlier versions have none, and get no empty column."""
    said = "τ with ties broken by the order of the architectures, as the published figures of RLNAS are;"
    assert said in page.text
    runs.write_config(tmp_path)
    rows = [{**runs.rank_row(name, tau), "tau_in_order": None} for name, tau in (("angle (paper)", 0.6), ("random", 0))]
    runs.write_rank(tmp_path, rows=rows)
    old = Page(write_report(tmp_path))
    assert said not in old.text
    assert old.rows(0)[0][:3] == ["ordered by", "τ-b", "ρ"]


def test_tau_over_distinct_functions_is_shown_where_functions_come_again(page: Page, tmp_path: Path) -> None:
    assert "distinct functions" not in page.text
    runs.write_config(tmp_path)
    rows = [{**runs.rank_row("angle (paper)", 0.62), "tau_columns": {"valid_accuracy_12": 0.5}}]
    runs.write_rank(tmp_path, functions=187, rows=[*rows, runs.rank_row("random", 0.0)])
    copies = Page(write_report(tmp_path))
    head, first, second = copies.rows(0)
    assert head[-2:] == ["distinct functions", "τ, valid_accuracy_12"]
    assert (first[-2:], second[-2:]) == (["0.570", "0.500"], ["−0.050", "–"])
    assert "τ over the 187 distinct functions, each counted once" in copies.text


@pytest.mark.parametrize(
    ("tau", "sentence"),
    [
        (0.62, "ranks better than the parameter count: τ = 0.620 against 0.550"),
        (0.57, "cannot be distinguished from the parameter count, as the intervals overlap: τ = 0.570 against 0.550"),
        (0.54, "cannot be distinguished from the parameter count, as the intervals overlap: τ = 0.540 against 0.550"),
        (0.4, "ranks worse than the parameter count: τ = 0.400 against 0.550"),
    ],
)
def test_a_sentence_says_whether_the_fitness_tells_more_than_the_size(
    tmp_path: Path, tau: float, sentence: str
) -> None:
    runs.write_config(tmp_path)
    for within, left in ((0.2, "; among architectures of equal size τ = 0.200 is left."), (None, ".")):
        row = runs.rank_row("angle (paper)", tau, within=within)
        runs.write_rank(tmp_path, rows=[row, runs.rank_row("num_parameters", 0.55)])
        assert more_than_size(read_run(tmp_path).ranks[0]) == f"Angle (paper) {sentence}{left}"


def test_pairs_in_the_order_of_the_benchmark_are_reported_where_the_rank_records_them(
    page: Page, tmp_path: Path
) -> None:
    assert page.said_by("p").count(
        "Of two architectures of different benchmark accuracy, angle (paper) puts the better one first in 81.0 percent "
        "of all pairs; a pair that it ties counts half, and 50 percent is chance."
    ) == len(["angle_paper", "one_shot_accuracy"])
    assert "share of the pairs of architectures that are ordered as the benchmark accuracy orders them" in page.text
    runs.write_config(tmp_path)
    old = {key: value for key, value in runs.rank_row("angle (paper)", 0.5).items() if key != "agreement"}
    runs.write_rank(tmp_path, rows=[old])
    without = Page(write_report(tmp_path))
    assert "pairs" not in without.section("Rank correlation")
    runs.write_rank(tmp_path, rows=[{**old, "agreement": None}, runs.rank_row("random", 0.0)])
    head, *rows = Page(write_report(tmp_path)).rows(0)
    assert [row[head.index("pairs (percent)")] for row in rows] == ["–", "50.0"]


def test_a_rank_without_a_table_is_held_against_the_sizes(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    row = {"name": "angle (paper)", "tau_parameters": 0.4, "tau_multiply_adds": -0.5}
    runs.write_rank(tmp_path, rows=[row, {"name": "random", "tau_parameters": 0.0}], table=None)
    page = Page(write_report(tmp_path))
    assert page.rows(0) == [
        ["ordered by", "τ with parameters", "τ with multiply-adds"],
        ["angle (paper)", "0.400", "−0.500"],
        ["random", "0.000", "–"],
    ]
    assert "benchmark accuracies are not known" in page.section("Rank correlation")
    assert "Angle (paper) has τ = 0.400 with the parameter count." in page.section("Rank correlation")
    assert page.said_by("figure") == []


def test_ranks_against_other_tables_stand_apart(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_rank(tmp_path)
    runs.write_rank(tmp_path, "angle_cifar100", table="cifar100.csv")
    section = Page(write_report(tmp_path)).section("Rank correlation")
    assert section.count("15,625 architectures against their benchmark accuracy in") == 2
    assert {"tau.svg", "tau-2.svg"} <= {file.name for file in (tmp_path / "report/figures").iterdir()}


def test_every_key_of_the_configuration_is_shown(page: Page, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())["config"]
    section = page.section("Configuration")
    for key, value in config.items():
        entries = value.items() if isinstance(value, dict) else [(key, value)]
        for inner, shown in entries:
            if isinstance(shown, dict):
                assert all(f"{inner}.{k} {json.dumps(v)}" in section for k, v in shown.items())
            else:
                assert f"{inner} {shown if isinstance(shown, str) else json.dumps(shown)}" in section


def test_keys_that_differ_from_the_defaults_come_first_and_the_rest_is_folded(tmp_path: Path) -> None:
    small_run(tmp_path)
    flat = {"seed": 0, "train.epochs": 250, "train.batch_size": 64, "data.max_images": 10}
    page = Page(write_report(tmp_path, defaults_of=lambda config: flat))
    table = next(rows for rows in map(page.rows, range(9)) if rows[0] == ["key", "value", "default"])
    shown = {key: (value, default) for key, value, default in table[1:]}
    assert shown["train.epochs"] == ("5", "250") and shown["data.max_images"] == ("null", "10")
    assert shown["name"] == ("example", "–")
    assert not {"seed", "train.batch_size"} & set(shown)
    folded = [" ".join("".join(fold.itertext()).split()) for fold in page.root.iter("details")]
    assert any(text.startswith("All ") and "batch_size 64" in text for text in folded)


def test_a_key_without_a_default_is_listed_only_if_something_is_given(tmp_path: Path) -> None:
    small_run(tmp_path)
    runs.write_config(tmp_path, data={"path": None, "max_images": None}, own={}, search={"limits": {}})
    page = Page(write_report(tmp_path, defaults_of=lambda config: {"seed": 0, "data.max_images": 10}))
    table = next(rows for rows in map(page.rows, range(9)) if rows[0] == ["key", "value", "default"])
    shown = {key: value for key, value, _ in table[1:]}
    assert not {"data.path", "own", "search.limits"} & set(shown)
    assert (shown["data.max_images"], shown["data.name"], shown["train.epochs"]) == ("null", "cifar10", "5")


def test_a_long_architecture_is_folded_and_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    runs.write_config(tmp_path)
    genotype = runs.genotype(runs.darts_cell(rng), runs.darts_cell(rng))
    lines = runs.write_search(tmp_path)
    best = [{**lines[0], "description": genotype}, lines[1]]
    runs.write_result(tmp_path, fitness="angle", lines=lines, best=best, drawings=False)
    page = Page(write_report(tmp_path))
    folds = list(page.root.iter("details"))
    assert ["".join(fold.find("code").itertext()) for fold in folds] == [genotype] * 2  # type: ignore[union-attr]
    assert page.rows(0)[2][-1] == lines[1]["description"]


def test_times_seeds_and_versions_close_the_page(page: Page) -> None:
    section = page.section("Time, seeds, versions").replace(SPACE, " ")
    assert "training 25 s search 12 s rank 6.5 s together 44 s" in section
    assert "seed 0 base seeds 0" in section
    assert "raynas 0.2.0 python 3.11.7 torch 2.15.0" in section
    assert "Begun 2026-11-22T00:05:12+0000." in section


def test_a_consensus_shows_its_parts(tmp_path: Path) -> None:
    both = ["angle", "one_shot_accuracy"]
    runs.write_config(tmp_path, search={"fitness": both})
    lines = runs.write_search(tmp_path, result=False)
    assert "so far by consensus of angle and one-shot accuracy" in Page(write_report(tmp_path)).said_by("li")[1]
    lines = [{**line, "angle": 0.25, "one_shot_accuracy": 71.5, "accuracy": 71.5} for line in lines]
    runs.write_result(tmp_path, fitness="+".join(both), lines=lines, best=lines[:2])
    head, first, _ = Page(write_report(tmp_path)).rows(0)
    assert [title for title in head if "one-shot accuracy" in title] == head[1:4:2]
    assert head[1:4] == [
        "consensus of angle and one-shot accuracy",
        "angle (rad)",
        "one-shot accuracy (percent)",
    ]
    assert first[1:4] == [f"{lines[0]['fitness']:.3f}", "0.2500", "71.50"]


# Searches for trade-offs, exact searches, latency


@pytest.fixture(scope="module")
def pareto(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pareto")
    runs.write_config(folder, search={"name": "pareto", "objectives": ["latency", "num_parameters"]})
    runs.write_pareto(folder, objectives=("latency", "num_parameters"), drawings=True)
    runs.write_profile(folder)
    write_report(folder)
    return folder


def front_of(folder: Path) -> list[dict[str, Any]]:
    front: list[dict[str, Any]] = json.loads((folder / "search/result.json").read_text())["front"]
    return front


def test_a_front_is_listed_with_its_fitness_and_its_objectives(pareto: Path) -> None:
    page, front = Page(pareto / "report/index.html"), front_of(pareto)
    section = page.section("Search")
    assert (
        f"The front has {len(front)} of the evaluated architectures: no other one is as good in angle, latency and"
        in section
    )
    assert "the worst of generation 0 (its least fitness and its largest costs), in units of the box" in section
    assert (
        "All evaluated architectures by fitness and latency; the front is among latency and parameters together."
        in section
    )
    assert "The front, by latency" in section
    assert page.rows(1) == [
        ["", "angle (rad)", "latency (ms)", "parameters", "architecture"],
        *(
            [
                *(f"{place}", f"{line['fitness']:.4f}", f"{1000 * line['latency']:.3f}"),
                *(f"{line['num_parameters']:,}", line["description"]),
            ]
            for place, line in enumerate(front, start=1)
        ),
    ]
    assert page.said_by("li")[2].startswith(f"Found: a front of {len(front)}; the fittest is |")
    names = {file.name for file in (pareto / "report/figures").iterdir()}
    assert {
        f"{name}.{end}" for name in ("hypervolume", "fitness-against-cost", "latency") for end in ("svg", "png")
    } <= names


def test_latencies_are_written_in_milliseconds(pareto: Path) -> None:
    page = Page(pareto / "report/index.html")
    best = json.loads((pareto / "search/result.json").read_text())["best"]
    head, *rows = page.rows(0)
    column = head.index("latency (ms)")
    assert [row[column] for row in rows] == [f"{1000 * line['latency']:.3f}" for line in best]
    latency = f"{1000 * best[0]['latency']:.3f}{SPACE}ms latency"
    assert latency in page.said_by("li")[2] and latency in page.said_by("figcaption")[0]


def test_a_profile_is_told_in_numbers(pareto: Path, tmp_path: Path) -> None:
    section = Page(pareto / "report/index.html").section("Latency").replace(SPACE, " ")
    assert (
        "3 networks on AMD EPYC, 1 thread, batches of 8: the sum over candidates has correlation 0.987 with the "
        "latency measured. Its median error is 2.5 percent, its worst −10.0 percent." in section
    )
    runs.write_config(tmp_path)
    runs.write_profile(tmp_path, threads=4, worst_error=0.31)
    page = Page(write_report(tmp_path))
    assert page.said_by("h2")[0] == "Latency"
    assert "4 threads" in page.text and "its worst +31.0 percent" in page.text


def test_equals_on_a_front_are_counted_but_listed_once(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_pareto(tmp_path)
    first, *others = front_of(tmp_path)
    twin = {**first, "architecture": [0] * 6, "description": "the same"}
    rival = {**first, "multiply_adds": first["multiply_adds"] + 1, "description": "as fit"}
    runs.add_to_result(tmp_path, front=[first, twin, rival, *others])
    page = Page(write_report(tmp_path))
    count = 2 + len(others)
    assert f"The front has {count + 1} of the evaluated architectures, {count} different trade-offs" in page.text
    assert [row[-1] for row in page.rows(1)[1:]] == [line["description"] for line in (first, rival, *others)]
    assert "The front, by multiply-adds; the first of equals; all are in search/result.json" in page.text
    assert f"Found: a front of {count};" in page.text


def test_a_long_front_is_listed_at_even_steps_from_end_to_end(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_pareto(tmp_path)
    line = front_of(tmp_path)[0]
    front = [{**line, "fitness": 0.01 * i, "multiply_adds": 10**6 + i} for i in range(88)]
    runs.add_to_result(tmp_path, front=front)
    page = Page(write_report(tmp_path))
    assert "30 of 88 trade-offs at even steps; all are in search/result.json" in page.text
    assert [int(row[2].replace(",", "")) - 10**6 for row in page.rows(1)[1:]] == list(range(0, 88, 3))


def test_the_benchmark_accuracy_of_a_front_stands_beside_it_where_it_is_known(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_pareto(tmp_path)
    front = front_of(tmp_path)
    runs.write_rank(tmp_path, cells=[front[1]["architecture"]], values=[0.5], true=[93.456])
    head, *rows = Page(write_report(tmp_path)).rows(1)
    assert head[-2:] == ["benchmark accuracy (percent)", "architecture"]
    assert [row[-2] for row in rows] == ["–", "93.46", *["–"] * (len(front) - 2)]


def test_a_search_for_trade_offs_that_goes_on_has_a_page(tmp_path: Path) -> None:
    runs.write_config(tmp_path, search={"name": "pareto", "objectives": ["latency", "multiply_adds"]})
    runs.write_pareto(tmp_path, result=False)
    section = Page(write_report(tmp_path)).section("Search")
    assert "by fitness and latency; those on the front no other beats in both." in section
    assert "front are" not in section and "advanced" not in section


@pytest.mark.parametrize(
    ("missed", "top", "limits", "sentence"),
    [
        (0.0, 10, {"max_parameters": 1e6}, "The 10 largest angles within the limits, proven."),
        (0.0, 1, {"max_parameters": 1e6}, "The largest angle within the limits, proven."),
        (0.0, 1, {"max_parameters": None}, "The largest angle of the space, proven."),
        (
            0.01234,
            10,
            {"max_parameters": None, "max_latency": 0.1},
            "At most 0.012 rad are missed: by no more does any other angle within the limits exceed the least of "
            "these 10.",
        ),
        (0.5, 1, {}, "At most 0.5 rad are missed: by no more does any other angle of the space exceed this one."),
    ],
)
def test_an_exact_search_says_whether_it_is_proven(
    tmp_path: Path, missed: float, top: int, limits: dict[str, float | None], sentence: str
) -> None:
    runs.write_config(tmp_path, search={"name": "exact_angle", "limits": limits})
    runs.write_search(tmp_path, generations=1, population=top)
    runs.add_to_result(tmp_path, missed=missed)
    assert how_exact(read_run(tmp_path)) == sentence


def test_the_page_of_an_exact_search_has_its_sentence_and_no_histogram(tmp_path: Path) -> None:
    runs.write_config(tmp_path, search={"name": "exact_angle"})
    runs.write_search(tmp_path, generations=1, population=10, drawings=False)
    assert "Fitness of all evaluated architectures" in Page(write_report(tmp_path)).text
    runs.add_to_result(tmp_path, missed=0.0)
    page = Page(write_report(tmp_path))
    assert page.section("Search").startswith("Search The 10 largest angles of the space, proven.")
    assert "Fitness of all evaluated architectures" not in page.text


def test_other_searches_say_nothing_of_proof_or_fronts(page: Page) -> None:
    said = page.section("Search")
    assert not any(words in said for words in ("proven", "missed", "generation 0", "On the front are"))
    assert "Found: a front" not in page.text and "Latency" not in page.said_by("h2")


def test_long_texts_may_break_between_their_parts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    runs.write_config(tmp_path)
    cells = [runs.darts_cell(rng) for _ in range(2)]
    genotype = runs.genotype(*cells)
    assert 350 < len(genotype) < 450
    lines = runs.write_search(tmp_path)
    texts = [genotype, runs.mobilenet(rng)[0], lines[0]["description"]]
    best = [{**line, "description": text} for line, text in zip(lines, texts, strict=False)]
    runs.write_result(tmp_path, fitness="angle", lines=lines, best=best, drawings=False)
    page = Page(write_report(tmp_path))
    codes = [element for element in page.root.iter("code") if element.get("class") == "architecture"][1:]
    assert ["".join(code.itertext()) for code in codes] == texts
    for code in codes:
        pieces = [piece for text in code.itertext() for piece in text.split()]
        assert max(map(len, pieces)) <= 34  # a phone shows 40 in a row


# Evaluated architectures


def accuracies(folder: Path, number: int, fitness: str = "one_shot_loss", generations: int = 1) -> Page:
    runs.write_config(folder, search={"fitness": fitness})
    extra = ("accuracy",)
    runs.write_search(folder, generations=generations, population=number // generations, fitness=fitness, extra=extra)
    return Page(write_report(folder))


@pytest.mark.parametrize(("number", "shown"), [(19, False), (20, True)])
def test_twenty_one_shot_accuracies_are_a_histogram(tmp_path: Path, number: int, shown: bool) -> None:
    page = accuracies(tmp_path, number)
    lines = [json.loads(line) for line in (tmp_path / "search/history.jsonl").read_text().splitlines()]
    median = f"{np.median([line['accuracy'] for line in lines]):.2f}{SPACE}percent"
    caption = f"Accuracy of all evaluated architectures with the supernet's weights; the median is {median}."
    assert page.said_by("figcaption").count(caption) == shown
    assert (tmp_path / "report/figures/one-shot-accuracy.svg").exists() is shown
    assert (tmp_path / "report/figures/search.svg").exists()


@pytest.mark.parametrize(
    ("number", "generations", "shown"),
    [(40, 1, ["one-shot-accuracy"]), (40, 2, ["one-shot-accuracy", "search"]), (10, 1, ["search"])],
)
def test_one_shot_accuracies_that_are_the_fitness_are_one_histogram(
    tmp_path: Path, number: int, generations: int, shown: list[str]
) -> None:
    accuracies(tmp_path, number, "one_shot_accuracy", generations)
    names = {file.stem for file in (tmp_path / "report/figures").glob("*.svg")}
    assert sorted(names & {"one-shot-accuracy", "search"}) == shown


def test_a_single_evaluated_architecture_has_no_figures_of_the_search(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_search(tmp_path, generations=1, population=1)
    runs.add_to_result(tmp_path, functions=1)
    page = Page(write_report(tmp_path))
    assert "Search" not in page.said_by("h2") and "The best by angle" in page.said_by("p")
    assert f"Evaluated: 1 architecture by angle in 1 generation (12{SPACE}s)." in page.said_by("li")


# Architecture parameters


HEADING = "Architecture parameters"


def test_the_architecture_parameters_have_a_section_after_the_search_in_runs_that_have_them(
    page: Page, tmp_path: Path
) -> None:
    assert HEADING not in page.said_by("h2")
    runs.write_run(tmp_path)
    runs.write_alphas(tmp_path)
    heads = Page(write_report(tmp_path)).said_by("h2")
    assert heads[1:4] == ["Search", HEADING, "Training"]
    names = (
        "weights",
        "entropy",
        "weight-shares",
        "operations",
        "alpha-gradient",
        "alpha-cosine",
        "alpha-agreement",
        "search-loss",
    )
    for name in (*names, "search-accuracy"):
        assert (tmp_path / f"report/figures/{name}.png").exists()


def test_one_sentence_says_how_far_the_parameters_are_decided(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_training(tmp_path, epochs=2)
    choices = {name: ["none", "skip_connect", "conv"] for name in ("a", "b", "c")}
    runs.write_alphas(tmp_path, epochs=2, choices=choices, architecture=(1, 2, 0))
    file = tmp_path / "supernet/seed_0/alphas.npy"
    values = np.log(np.array([[0.2, 0.3, 0.5], [0.1, 0.5, 0.4], [0.25, 0.7, 0.05]]))
    np.save(file, np.stack([0 * values, 2 * values, values]))
    sentence = (
        "After 2 epochs the largest weight of a choice is 0.57 on average (0.33 if all candidates weigh the same) and "
        "skip_connect has 50 percent of the weight; 1 of 2 edges of the derived architecture is skip_connect."
    )
    assert Page(write_report(tmp_path)).section(HEADING).startswith(f"{HEADING} {sentence}")

    def about(**options: Any) -> str:
        runs.write_alphas(tmp_path, **options)
        return about_alphas(read_run(tmp_path).alphas[0])

    skips = about(choices=choices, architecture=(1, 1, 1))
    assert skips.endswith("3 of 3 edges of the derived architecture are skip_connect.")
    nothing = about(choices=choices, architecture=(0, 0, 0))
    assert nothing.endswith("of the weight; the derived architecture has no edge.")
    without = about(epochs=1, choices={"a": ["x", "y"]})
    assert without.startswith("After 1 epoch the largest weight of a choice is 0.")
    assert without.endswith(" on average (0.50 if all candidates weigh the same).")
    assert "skip" not in without


def test_the_curves_of_a_run_are_those_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.write_config(tmp_path)
    runs.write_alphas(tmp_path)
    file = tmp_path / "supernet/seed_0/metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[1]["correction_norm"] = 0.0
    runs.write_lines(file, lines)
    drawn: dict[str, Sequence[Curve]] = {}
    draw = curves_by_epoch

    def watched(curves: Sequence[Curve], title: str, *looks: Any, **options: Any) -> Figure:
        drawn[title] = curves
        return draw(curves, title, *looks, **options)

    monkeypatch.setattr(alpha_sections, "curves_by_epoch", watched)
    write_report(tmp_path)
    alphas = read_run(tmp_path).alphas[0]
    taken = {name for derived in alphas.derived for name in derived.operations}
    of_lines = {key: [line[key] for line in lines] for key in lines[0]}
    cosines = [math.nan if not line["correction_norm"] else line["cosine"] for line in lines]
    wanted: dict[str, dict[str, Any]] = {
        "entropy of the weights": {"entropy of the weights": alphas.entropies.mean(axis=1)},
        "weight": {"largest weight": alphas.largest, "share of skip-connect": alphas.share("skip_connect")},
        "edges of the derived architecture": {
            name: [derived.operations.get(name, 0) for derived in alphas.derived] for name in sorted(taken)
        },
        "norm of the gradient": {
            "|g1|": of_lines["first_norm"],
            "|g2′|": of_lines["correction_norm"],
            "|mean of g1|": of_lines["first_mean_norm"],
            "|mean of g2′|": of_lines["correction_mean_norm"],
        },
        "cosine of g1 and g2′": {"each batch": cosines, "means": of_lines["cosine_of_means"]},
        "agreement between batches": {
            "g1": of_lines["first_agreement"],
            "g2′": of_lines["correction_agreement"],
        },
        "loss (nats)": {"training": of_lines["loss"], "search": of_lines["search_loss"]},
        "accuracy (percent)": {"training": of_lines["accuracy"], "search": of_lines["search_accuracy"]},
    }
    assert {title: [curve.name for curve in curves] for title, curves in drawn.items()} == {
        title: list(curves) for title, curves in wanted.items()
    }
    for title, curves in drawn.items():
        for curve in curves:
            np.testing.assert_array_equal(curve.values, wanted[title][curve.name])
            first = 0 if len(curve.values) == 6 else 1
            assert curve.epochs.tolist() == list(range(first, 6))
    (band,) = [curve.band for curve in drawn["entropy of the weights"]]
    assert band is not None
    np.testing.assert_array_equal(band, [alphas.entropies.min(axis=1), alphas.entropies.max(axis=1)])


@pytest.mark.parametrize(("best", "said"), [(5, "5 of 2 and 5, the one whose"), (None, "2 of 2 and 5, the first.")])
def test_of_several_seeds_that_of_the_best_architecture_is_shown_or_the_first(
    tmp_path: Path, best: int | None, said: str
) -> None:
    runs.write_config(tmp_path)
    lines = runs.write_search(tmp_path)
    first = max(lines, key=lambda line: line["fitness"])["architecture"]
    for seed in (2, 5):
        runs.write_alphas(tmp_path, seed, architecture=first if seed == best else [0] * 6)
    assert f"Shown is base seed {said}" in Page(write_report(tmp_path)).section(HEADING)


def test_before_the_first_epoch_there_is_a_map_and_no_curve(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_search(tmp_path)
    runs.write_alphas(tmp_path, epochs=0)
    page = Page(write_report(tmp_path))
    assert "Before the first epoch the largest weight of a choice is 0.20 on average" in page.section(HEADING)
    names = {file.stem for file in (tmp_path / "report/figures").glob("*.svg")}
    assert "weights" in names and not names & {"entropy", "weight-shares", "operations"}


def test_a_gradient_without_a_correction_is_not_drawn(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_alphas(tmp_path, correction=0)
    section = Page(write_report(tmp_path)).section(HEADING)
    assert "cosine" not in section and "norm of the gradient" not in section
    assert "Loss of the supernet in the steps on its weights (training) and in those on the" in section
    file = tmp_path / "supernet/seed_0/metrics.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[3] |= {"correction_norm": 0.1, "cosine": -0.5}
    runs.write_lines(file, lines)
    section = Page(write_report(tmp_path)).section(HEADING)
    assert "norm of the gradient" in section and "cosine of g1 and g2′" in section


# A page in one file


def test_nothing_is_fetched(page: Page) -> None:
    assert page.fetched() == []
    assert not {"link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert only_script(page)


def test_ids_are_of_one_element_each_and_references_lead_somewhere(page: Page) -> None:
    ids = page.ids()
    assert len(ids) == len(set(ids)) > 100
    assert page.referred() <= set(ids)
    assert len(page.referred()) > 20


def test_figures_have_words_for_those_who_do_not_see_them(page: Page) -> None:
    labels = [value for tag, name, value in page.attributes if tag == "svg" and name == "aria-label"]
    captions = page.said_by("figcaption")
    assert labels == captions and all(captions)


def test_the_figures_are_saved_as_svg_and_png(page: Page, folder: Path) -> None:
    names = {file.name for file in (folder / "report/figures").iterdir()}
    expected = {
        *(f"best-{i}" for i in range(1, 7)),
        *("search", "fitness-against-cost", "one-shot-accuracy", "loss", "accuracy", "learning-rate"),
        *(
            "tau",
            "benchmark-accuracy-angle_paper",
            "tau-by-epoch-angle_paper",
            "benchmark-accuracy-one_shot_accuracy",
            "overview",
        ),
    }
    named = {name.replace("_", "-") for name in expected}
    assert {name.rpartition(".")[0].replace("_", "-") for name in names} == named
    for name in names:
        content = (folder / "report/figures" / name).read_bytes()
        if name.endswith(".svg"):
            assert ElementTree.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"
        else:
            assert content.startswith(b"\x89PNG")
    assert len(names) == 2 * len(named) == 2 * (len(page.said_by("figure")) + 1)


HOSTILE = """<script>alert(1)</script> " ' & </style> $x$ \x07 ]]> <!--"""


def test_hostile_texts_are_only_texts(tmp_path: Path) -> None:
    runs.write_run(tmp_path, name=HOSTILE, algorithm=HOSTILE, space={"name": HOSTILE, HOSTILE: HOSTILE})
    runs.write_rank(tmp_path, HOSTILE.replace("/", ""), fitness=HOSTILE, rows=[runs.rank_row(HOSTILE, 0.5)])
    file = tmp_path / "search/result.json"
    result = json.loads(file.read_text())
    result["fitness"] = HOSTILE
    for best in result["best"]:
        best["description"] = HOSTILE
        best["drawing"] = {HOSTILE: [["in", HOSTILE, HOSTILE], [HOSTILE, "out", "b"]], "b": [["in", "out", "a"]]}
    file.write_text(json.dumps(result))
    page = Page(write_report(tmp_path))
    assert only_script(page)
    shown = HOSTILE.replace("\x07", "\ufffd")
    assert page.said_by("h1") == [shown]
    assert page.said_by("title")[0] == f"{shown} · raynas"
    architectures = [code for code in page.root.iter("code") if code.get("class") == "architecture"]
    assert ["".join(code.itertext()) for code in architectures] == [shown] * 11
    assert shown in page.said_by("text")
    assert page.fetched() == []
    assert all(file.parent == tmp_path / "report/figures" for file in (tmp_path / "report/figures").rglob("*.*"))


# What may be missing


def test_a_run_that_is_only_trained_has_a_page(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_training(tmp_path)
    page = Page(write_report(tmp_path))
    assert page.said_by("h2") == ["Training", "Configuration", "Time, seeds, versions"]
    assert page.said_by("li")[1:] == [
        f"Evaluated: nothing was searched yet, after 12{SPACE}s of training 1 supernet.",
        "Found: nothing yet.",
    ]


def test_a_search_that_goes_on_has_a_page(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    lines = runs.write_search(tmp_path, result=False)
    page = Page(write_report(tmp_path))
    assert page.said_by("li")[1] == "Evaluated: 100 architectures so far by angle; the search goes on."
    assert f"angle {max(line['fitness'] for line in lines):.4f}" in page.said_by("li")[2]


def test_a_run_that_is_only_ranked_has_a_page(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_rank(tmp_path)
    assert Page(write_report(tmp_path)).said_by("h2")[0] == "Rank correlation"


def test_a_space_of_anothers_without_costs_has_a_page(tmp_path: Path) -> None:
    runs.write_config(tmp_path, space={"name": "mypackage.Chain"}, search={"fitness": "my_fitness"})
    rng = np.random.default_rng(0)
    nodes = ["in", *map(str, range(1, 21)), "out"]
    lines = []
    for index in range(60):
        architecture = rng.integers(0, 3, size=21).tolist()
        operations = [("mb3_3x3", "mb6_5x5", "identity")[k] for k in architecture]
        edges = [list(edge) for edge in zip(nodes, nodes[1:], operations, strict=False)]
        description = ",".join(f"block{i}={name}" for i, name in enumerate(operations))
        line = {"architecture": architecture, "description": description, "fitness": float(rng.normal())}
        lines.append({"generation": index // 20, **line, "drawing": {"chain": edges}, "seconds": 1.0})
    runs.write_lines(tmp_path / "search/history.jsonl", [{k: v for k, v in x.items() if k != "drawing"} for x in lines])
    runs.write_result(tmp_path, fitness="my_fitness", lines=lines, best=lines[:10])
    page = Page(write_report(tmp_path))
    assert page.rows(0)[0] == ["", "my fitness", "architecture"]
    assert page.rows(0)[1][2] == lines[0]["description"]
    assert {"in", "20", "out"} <= set(page.said_by("text"))
    assert not (tmp_path / "report/figures/fitness-against-cost.svg").exists()


def test_a_cell_without_any_edge_is_listed_but_not_drawn(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    lines = [{"generation": 0, **runs.evaluated([0] * 6, 0.5), "drawing": {"cell": []}}]
    runs.write_result(tmp_path, fitness="angle", lines=lines, best=lines)
    page = Page(write_report(tmp_path))
    assert page.rows(0)[1][1] == "0.5000" and page.said_by("figure") == []


# Files


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_the_same_run_gives_the_same_bytes(folder: Path, page: Page, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/report")
    write_report(tmp_path / "copy")
    assert contents(tmp_path / "copy/report") == contents(folder / "report")


def small_run(folder: Path) -> None:
    runs.write_config(folder)
    runs.write_training(folder)
    runs.write_rank(folder)


def test_figures_of_an_older_report_that_are_no_more_are_removed(tmp_path: Path) -> None:
    small_run(tmp_path)
    write_report(tmp_path)
    shutil.rmtree(tmp_path / "rank")
    write_report(tmp_path)
    names = {file.name for file in (tmp_path / "report/figures").iterdir()}
    assert "loss.svg" in names and not any("tau" in name or "true" in name for name in names)


def test_a_report_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_run(tmp_path)
    write_report(tmp_path)
    before = contents(tmp_path / "report")
    metrics = tmp_path / "supernet/seed_0/metrics.jsonl"
    whole = metrics.read_text()
    metrics.write_text(whole + "{\n")
    with pytest.raises(ValueError, match="damaged at line 6"):
        write_report(tmp_path)
    assert contents(tmp_path / "report") == before
    metrics.write_text(whole.partition("\n")[0] + "\n")

    def full(source: str, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path)
    assert contents(tmp_path / "report") == before


def test_the_page_is_put_in_place_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process killed at any moment leaves the old page or the new one: it is renamed when all of it is on disk."""
    small_run(tmp_path)
    replaced, replace = {}, os.replace

    def watched(source: str, target: Path) -> None:
        replaced[target.name] = Path(source).read_bytes()
        assert Path(source).parent == target.parent
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    written = write_report(tmp_path)
    assert replaced.pop("index.html") == written.read_bytes()
    assert replaced.pop("figures.json") == (tmp_path / "report/figures.json").read_bytes()
    assert replaced == {file.name: file.read_bytes() for file in (tmp_path / "report/figures").iterdir()}
    assert {oct(file.stat().st_mode & 0o777) for file in (tmp_path / "report").rglob("*.*")} == {"0o644"}


def test_what_makes_numbers_say_little_stands_below_their_tables(tmp_path: Path) -> None:
    folder = runs.write_run(tmp_path / "run")
    runs.write_search(folder)
    runs.write_rank(folder)
    runs.add_to_result(folder, remarks=["accuracy: 30 % of the best is what <chance> gives"])
    file = next(folder.glob("rank/*.json"))
    runs.write_json(file, json.loads(file.read_text()) | {"remarks": ["benchmark: only 2 architectures are ranked"]})
    said = Page(write_report(folder)).said_by("p")
    assert "Accuracy: 30 % of the best is what <chance> gives." in said
    assert "Benchmark: only 2 architectures are ranked." in said
