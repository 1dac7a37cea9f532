"""The report of a sweep, from results written by hand: tables in every form, figures, and the page."""

from __future__ import annotations

import copy
import csv
import json
import math
import random
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raynas.report import sweep_page
from raynas.report.alpha_figures import curves_by_epoch
from raynas.report.palette import looks_of
from raynas.report.sweep_figures import Series, along_numbers, far_apart
from raynas.report.sweep_files import Axis, Number, parse_results, quantity, training_losses, value_text
from raynas.report.sweep_page import LINES, series, write_sweep_report
from raynas.report.sweep_tables import ROWS, markdown, table_lines
from tests.report import sweeps
from tests.report.pages import Page, only_script

ETAS = [0, 0.001, 0.01, 0.1, 1]
METHODS, DATASETS = ["A (SPOS)", "B"], ["CIFAR-10", "CIFAR-100", "ImageNet16-120"]
ACCURACIES = {"CIFAR-10": 90.0, "CIFAR-100": 70.0, "ImageNet16-120": 40.0}


def of_eta(**changes: Any) -> dict[str, Any]:
    """Returns one axis of numbers; the mean is best at 0.1."""

    def measure(point: sweeps.Point, seed: int) -> dict[str, float]:
        return {"true_accuracy": 60 + 10 * ETAS.index(point["alphas.eta"]) % 37 + seed / 3, "skips": 3 + seed % 2}

    settings = {"also": ["skips", "poolings"], "name": "eta", **changes}
    return sweeps.results({"alphas.eta": ("grid", ETAS)}, measure, **settings)


def of_methods(**changes: Any) -> dict[str, Any]:
    """Returns methods on data sets; B is better by 2 everywhere."""

    def measure(point: sweeps.Point, seed: int) -> dict[str, float]:
        better = 2 * METHODS.index(point["method"])
        return {"true_accuracy": ACCURACIES[point["dataset"]] + better + seed, "tau": 0.4 + better / 10}

    published = [
        ({"method": "A (SPOS)", "dataset": "CIFAR-10"}, "true_accuracy", 92.11, None),
        ({"method": "B", "dataset": "CIFAR-10"}, "true_accuracy", 93.76, 0.25),
    ]
    axes = {"method": ("variants", METHODS), "dataset": ("variants", DATASETS)}
    settings = {"also": ["tau"], "name": "methods", "published": published, "source": "a paper, Table 1", **changes}
    return sweeps.results(axes, measure, **settings)


# Tables


def test_the_table_has_a_row_for_each_setting_with_mean_deviation_and_seeds() -> None:
    content = of_eta()
    lines = table_lines(content)
    assert re.split(r"  +", lines[0].strip()) == [
        "alphas.eta",
        "benchmark accuracy (percent)",
        "skip connections",
        "seeds",
    ]
    for line, eta in zip(lines[1:6], ETAS, strict=True):
        of = [t["metrics"] for t in content["trials"] if t["point"]["alphas.eta"] == eta]
        words = [
            f"{statistics.mean(one[metric] for one in of):.2f} ± {statistics.stdev(one[metric] for one in of):.2f}"
            for metric in ("true_accuracy", "skips")
        ]
        assert re.split(r"  +", line.replace(" *", "")) == [f"{eta}", *words, "3"]
    assert [line.startswith("0.1 ") for line in lines[1:6]] == ["*" in line for line in lines[1:6]]
    assert "±: sample deviation over seeds." in lines[-1] and "*: the best" in lines[-1]
    assert len({len(line.rstrip()) for line in lines[:6]}) == 1, "the last column is aligned"


def test_the_best_is_the_least_where_less_is_better() -> None:
    assert [("*" in line) for line in table_lines(of_eta(mode="min"))[1:6]] == [True, False, False, False, False]


def test_data_sets_have_columns_of_their_own_with_the_papers_figures_beside_them() -> None:
    lines = table_lines(of_methods())
    cells = [re.split(r"  +", line.replace(" *", "")) for line in lines]
    assert cells[:4] == [
        ["benchmark accuracy (percent)"],
        ["method", "CIFAR-10", "published", "CIFAR-100", "ImageNet16-120", "seeds"],
        ["A (SPOS)", "91.00 ± 1.00", "92.11", "71.00 ± 1.00", "41.00 ± 1.00", "3"],
        ["B", "93.00 ± 1.00", "93.76 ± 0.25", "73.00 ± 1.00", "43.00 ± 1.00", "3"],
    ]
    assert cells[4:7] == [
        ["τ"],
        ["method", *DATASETS, "seeds"],
        ["A (SPOS)", *["0.400 ± 0.000"] * 3, "3"],
    ]
    assert [line.count("*") for line in lines[:-1]] == [0, 0, 0, 3, 0, 0, 0, 0], "by the metric, on every data set"
    assert lines[-1].startswith("±: sample deviation over seeds. Published: a paper, Table 1.")


def test_no_trial_is_left_out_of_a_mean_in_silence() -> None:
    missing = {
        **{"point-0_seed-1": ("failed", "out of memory"), "point-1_seed-0": ("stopped", None)},
        **{f"point-4_seed-{seed}": ("waiting", None) for seed in range(3)},
    }
    content = of_eta(missing=missing)
    lines = table_lines(content)
    assert [re.split(r"  +", line)[-1] for line in lines[1:6]] == ["2 of 3", "2 of 3", "3", "3", "0 of 3"]
    assert "1 stopped, 1 failed, 3 waiting of 15 trials" in lines[-1]
    assert re.split(r"  +", lines[5])[:3] == ["1", "–", "–"]
    seeds = [line.split("  ")[-1] for line in table_lines(of_methods(missing={"point-4_seed-0": ("failed", "x")}))[2:4]]
    assert [text.strip() for text in seeds] == ["3", "3 · 2 of 3 · 3"]


def test_a_metric_that_not_all_trials_have_says_of_how_many_it_is() -> None:
    content = of_eta()
    del content["trials"][0]["metrics"]["skips"]
    content["rows"][0]["metrics"]["skips"] = {"mean": 3.5, "deviation": 0.71, "values": [4, 3]}
    assert "3.50 ± 0.71 (2 of 3)" in table_lines(content)[1]
    assert "of 3)" not in "".join(table_lines(content)[2:])


def test_one_seed_has_no_deviation_and_what_is_the_same_throughout_is_said_once() -> None:
    content = of_methods(seeds=1)
    fixed = copy.deepcopy(content)
    for one in (*fixed["trials"], *fixed["rows"]):
        one["point"]["dataset"] = "CIFAR-10"
    fixed["rows"], fixed["trials"] = fixed["rows"][::3], fixed["trials"][::3]
    assert "±" not in "".join(table_lines(content))[:-1].partition("Published")[0].replace("± 0.25", "")
    lines = table_lines(fixed)
    assert re.split(r"  +", lines[0])[0] == "method" and "dataset" not in lines[0]
    assert lines[-1].startswith("Throughout, dataset: CIFAR-10.")


def test_a_sweep_of_seeds_alone_has_one_row() -> None:
    content = sweeps.results({}, lambda point, seed: {"true_accuracy": 90.0 + seed}, name="seeds")
    assert re.split(r"  +", table_lines(content)[1]) == ["all trials", "91.00 ± 1.00 *", "3"]


def test_settings_that_were_drawn_stand_by_their_worth_and_many_of_them_are_cut() -> None:
    rng = random.Random(0)
    points = [{"train.learning_rate": 10 ** rng.uniform(-3, -1)} for _ in range(200)]
    axes = {"train.learning_rate": ("loguniform", [0.001, 0.1])}

    def measure(point: sweeps.Point, seed: int) -> dict[str, float]:
        return {"true_accuracy": 90 - abs(math.log10(point["train.learning_rate"]) + 2)}

    content = sweeps.results(axes, measure, points=points, seeds=1)
    lines = table_lines(content)
    accuracies = [float(re.split(r"  +", line.replace(" *", ""))[1]) for line in lines[1 : 1 + ROWS]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert lines[1].count("*") == 1
    assert lines[1 + ROWS] == f"({200 - ROWS} more rows are in results.md)"
    assert markdown(parse_results(content)).count("\n| 0.") == 200


def test_values_are_written_as_a_file_has_them() -> None:
    values = [0.001, 0.0123456, 1e-5, 10, 1.0, True, None, "a b", [10, 0.1], {"a": 1}]
    written = ["0.001", "0.01235", "1e-05", "10", "1", "true", "null", "a b", "10, 0.1", '{"a": 1}']
    assert [value_text(value) for value in values] == written


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spread", "seeds", "is_clear"), [(0.01, 3, True), (1.0, 3, False), (0.01, 1, False), (0.3, 2, False)]
)
def test_a_setting_is_bold_only_if_its_interval_is_apart_from_all_others(
    tmp_path: Path, spread: float, seeds: int, is_clear: bool
) -> None:
    def measure(point: sweeps.Point, seed: int) -> dict[str, float]:
        return {"true_accuracy": 90.0 + 10 * point["train.learning_rate"] + spread * seed}

    axes = {"train.learning_rate": ("grid", [0.1, 0.2, 0.3])}
    content = sweeps.results(axes, measure, seeds=seeds)
    page = Page(write_sweep_report(sweeps.write(tmp_path / "s", content)))
    table = next(page.root.iter("table"))
    bold = ["".join(element.itertext())[:5] for element in table.iter("b")]
    best = f"{93.0 + spread * (seeds - 1) / 2:.2f}"
    assert bold == ([best] if is_clear else [])
    assert ("Nothing is bold" in page.text) is not is_clear
    assert ("**" in (tmp_path / "s/results.md").read_text()) is is_clear
    assert table_lines(content)[-1].endswith("*: the best.") is is_clear


# Files


@pytest.mark.slow
def test_markdown_is_the_same_table_and_csv_has_a_row_a_trial(tmp_path: Path) -> None:
    content = of_methods(missing={"point-5_seed-2": ("failed", "a | b\nc")})
    folder = sweeps.write(tmp_path / "sweep", content)
    assert write_sweep_report(folder) == folder / "report/index.html"
    text = (folder / "results.md").read_text()
    rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[2] == ["A (SPOS)", "91.00 ± 1.00", "92.11", "71.00 ± 1.00", "41.00 ± 1.00", "3"]
    assert rows[3][1:] == ["93.00 ± 1.00", "93.76 ± 0.25", "73.00 ± 1.00", "42.50 ± 0.71", "3 · 3 · 2 of 3"]
    assert {len(row) for row in rows[:4]} == {6}
    with (folder / "results.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == len(content["trials"]) == 18
    for line, trial in zip(lines, content["trials"], strict=True):
        assert {name: line[name] for name in trial["point"]} == trial["point"]
        assert (int(line["seed"]), line["status"], line["folder"]) == (
            trial["seed"],
            trial["status"],
            trial["folder"],
        )
        for metric in ("true_accuracy", "tau"):
            assert line[metric] == (repr(trial["metrics"][metric]) if trial["metrics"] else "")
    assert lines[-1]["error"] == "a | b\nc"


def test_labels_with_bars_and_line_breaks_keep_the_table_whole() -> None:
    content = of_eta()
    content["axes"][0] = {"name": "label", "kind": "grid", "values": ["a | b\nc", "d"]}
    content["rows"], content["trials"] = content["rows"][:2], content["trials"][:6]
    for one in (*content["rows"], *content["trials"]):
        one["point"] = {"label": "a | b\nc" if one["point"]["alphas.eta"] == 0 else "d"}
    text = markdown(parse_results(content))
    assert "| a \\| b c | " in text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda content: content.pop("rows"),
            "is damaged: expected a list under rows, got None; give `raynas sweep` with its file again",
        ),
        (
            lambda content: [trial["point"].pop("alphas.eta") for trial in content["trials"][:1]],
            "trials[0]: expected a value",
        ),
        (
            lambda content: content["trials"][0].pop("status"),
            "is damaged: trials[0]: expected text under status, got None; give",
        ),
        (
            lambda content: content["rows"][0].update(metrics={"x": {"mean": "many"}}),
            "is damaged: rows[0].metrics.x: expected a number under mean, got 'many'; give",
        ),
        (lambda content: content.update(trials=7), "is damaged: expected a list under trials, got 7; give"),
    ],
)
def test_damaged_results_are_said_in_one_line(tmp_path: Path, damage: Any, message: str) -> None:
    content = of_eta()
    damage(content)
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        write_sweep_report(sweeps.write(tmp_path, content))
    assert str(error.value).startswith(f"{tmp_path / 'results.json'} ") and "\n" not in str(error.value)


def test_a_folder_without_results_or_with_half_of_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no results of a sweep .* give the folder that `raynas sweep` named"):
        write_sweep_report(tmp_path)
    (tmp_path / "results.json").write_text('{"name": ')
    with pytest.raises(ValueError, match=r"results.json is damaged at line 1 \(Expecting value\)"):
        write_sweep_report(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


# The page


@pytest.fixture(scope="module")
def eta_page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("eta") / "sweep"
    why = "RuntimeError: <b> & " + "x" * 300
    content = of_eta(missing={"point-4_seed-1": ("failed", why), "point-4_seed-2": ("stopped", None)}, quick=True)
    sweeps.write(folder, content)
    first = folder / content["trials"][0]["folder"]
    sweeps.write_losses(first, [2.0, 1.0])
    (first / "report").mkdir()
    (first / "report/index.html").write_text("a page")
    (folder / "report/figures").mkdir(parents=True)
    (folder / "report/figures/old.svg").write_text("stale")
    return Page(write_sweep_report(folder))


@pytest.mark.slow
def test_the_page_says_what_was_swept_how_trials_ended_and_what_is_best(eta_page: Page) -> None:
    lead = eta_page.said_by("ul")[0]
    assert "alphas.eta: 0 | 0.001 | 0.01 | 0.1 | 1; 3 seeds (the quick form)." in lead
    assert "15: 13 done, 1 stopped, 1 failed." in lead
    assert "by largest mean benchmark accuracy, alphas.eta 0.1, 90.33 ± 0.33 percent (3 seeds)." in lead
    assert eta_page.rows(0)[4] == ["0.1", "90.33 ± 0.33", "3.33 ± 0.58", "3"]
    assert "90.33 ± 0.33" not in "".join(eta_page.said_by("b"))  # another setting has one seed, so no interval
    assert eta_page.fetched() == ["../trials/point-0_seed-0/report/index.html"]
    assert len(eta_page.ids()) == len(set(eta_page.ids())) and eta_page.referred() <= set(eta_page.ids())


@pytest.mark.slow
def test_the_page_says_which_trials_are_not_done_and_why(eta_page: Page) -> None:
    section = eta_page.section("Trials that are not done")
    assert "point-4_seed-1 failed RuntimeError: <b> & xxx" in section
    assert "point-4_seed-2 stopped stopped early after 5 epochs, as its training was behind" in section


@pytest.mark.slow
def test_every_trial_is_in_a_table_and_those_with_a_page_link_to_it(eta_page: Page) -> None:
    rows = eta_page.rows(2)
    assert rows[0] == [
        "trial",
        "alphas.eta",
        "seed",
        "status",
        "benchmark accuracy (percent)",
        "skip connections",
        "epochs",
        "time",
    ]
    assert len(rows) == 16
    assert rows[1] == ["point-0_seed-0", "0", "0", "done", "60.00", "3.00", "40", "12 s"]
    assert rows[14] == ["point-4_seed-1", "1", "1", "failed", "–", "–", "5", "12 s"]


@pytest.mark.slow
def test_every_metric_is_drawn_against_every_key_and_lies_beside_the_page(eta_page: Page) -> None:
    captions = eta_page.said_by("figcaption")
    assert captions[:2] == [
        f"Against alphas.eta: {name}, means over seeds with their deviations; small, the single seeds."
        for name in ("benchmark accuracy", "skip connections")
    ]
    assert captions[2].startswith("Training loss of 1 supernet, by alphas.eta")


@pytest.mark.slow
def test_a_sweep_whose_trials_have_all_failed_has_a_page_without_figures(tmp_path: Path) -> None:
    failed = {f"point-{number}_seed-{seed}": ("failed", "no room") for number in range(5) for seed in range(3)}
    content = of_eta(missing=failed)
    (tmp_path / "results.json").write_text(json.dumps(content))
    page = write_sweep_report(tmp_path).read_text(encoding="utf-8")
    assert "no room" in page and "By key" not in page


def test_a_sweep_that_has_drawn_nothing_yet_has_a_page(tmp_path: Path) -> None:
    content = sweeps.results({"train.learning_rate": ("loguniform", [])}, lambda point, seed: {}, points=[])
    (tmp_path / "results.json").write_text(json.dumps(content))
    assert "train.learning_rate" in write_sweep_report(tmp_path).read_text(encoding="utf-8")


def test_the_figures_lie_beside_the_page_and_old_ones_go(tmp_path: Path) -> None:
    folder = sweeps.write(tmp_path / "s", of_eta())
    (folder / "report/figures").mkdir(parents=True)
    for name in ("old", "of-the-user"):
        (folder / f"report/figures/{name}.svg").write_text(name)
    (folder / "report/figures.json").write_text('["old.svg", "true-accuracy-1.svg"]')
    write_sweep_report(folder)
    names = {f"{name}.{kind}" for name in ("true-accuracy-1", "skips-1") for kind in ("svg", "png")}
    names.add("of-the-user.svg")
    assert {file.name for file in (folder / "report/figures").iterdir()} == names


# Series and figures


def test_there_is_a_line_for_each_value_of_the_second_axis() -> None:
    axes = {"a": ("grid", [1, 2, 3]), "b": ("grid", [10, 20])}
    sweep = parse_results(
        sweeps.results(
            axes,
            lambda p, s: {"true_accuracy": p["a"] * p["b"] + s},
            published=[({"a": 2, "b": 10}, "true_accuracy", 5.0, None)],
        )
    )
    one, other = series(sweep, "true_accuracy", sweep.axes[0])
    assert (one.name, one.values, [n.mean for n in one.numbers if n]) == ("10", [1, 2, 3], [11, 21, 31])
    assert (other.name, [n.mean for n in other.numbers if n]) == ("20", [21, 41, 61])
    assert [n and n.mean for n in one.published] == [None, 5.0, None] and one.joined
    assert [line.name for line in series(sweep, "true_accuracy", sweep.axes[1])] == ["1", "2", "3"]


def test_points_are_not_joined_where_other_keys_were_drawn_or_differ_too_much() -> None:
    points = [{"a": a, "b": b} for a, b in ((0.1, 1.0), (0.2, 2.0), (0.3, 1.0))]
    axes = {"a": ("uniform", [0, 1]), "b": ("uniform", [1, 2])}
    drawn = parse_results(sweeps.results(axes, lambda p, s: {"true_accuracy": p["a"]}, points=points))
    assert [(one.name, one.joined) for one in series(drawn, "true_accuracy", drawn.axes[0])] == [
        ("1", False),
        ("2", False),
    ]
    many = {"a": ("grid", [1, 2]), "b": ("grid", list(range(LINES + 1)))}
    sweep = parse_results(sweeps.results(many, lambda p, s: {"true_accuracy": p["a"]}))
    (one,) = series(sweep, "true_accuracy", sweep.axes[0])
    assert not one.joined and len(one.values) == 2 * (LINES + 1)
    assert len(series(sweep, "true_accuracy", sweep.axes[1])) == 2


def line(low: float, high: float) -> Series:
    return Series(f"{low}", [1, 2], [Number(low, None), Number(high, None)], [None, None])


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([(90, 93), (68, 71), (41, 43)], True),
        ([(90, 93), (88, 91)], False),
        ([(90, 93), (80, 89)], False),
        ([(90, 93)], False),
    ],
)
def test_series_far_from_each_other_have_figures_of_their_own(
    ranges: list[tuple[float, float]], expected: bool
) -> None:
    assert far_apart([line(*ends) for ends in ranges]) is expected


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("grid", ETAS, True),
        ("grid", [0.001, 0.1], True),
        ("grid", [10, 50, 100, 200], False),
        ("loguniform", [0.01, 0.02], True),
        ("uniform", [0.01, 0.02], False),
        ("grid", [-1, 0, 1000], False),
        ("grid", [0], False),
    ],
)
def test_an_axis_that_spans_decades_is_logarithmic(kind: str, values: list[float], expected: bool) -> None:
    assert Axis("a", kind, values).is_logarithmic is expected


def test_a_line_stands_at_its_means_with_its_deviations_and_zero_beside_the_logarithms() -> None:
    axis = Axis("alphas.eta", "grid", ETAS)
    numbers = [Number(50.0 + k, 1.0 + k, [49.0 + k, 51.0 + k]) for k in range(5)]
    one = Series("", ETAS, numbers, [None, None, Number(60, 0.5), None, None])
    figure = along_numbers(axis, [one], "", quantity("true_accuracy"), looks_of([""]))
    (axes,) = figure.axes
    lines = [drawn.get_xydata() for drawn in axes.lines if len(drawn.get_xdata()) == 5]
    assert any(np.allclose(xy, [[-4, 50], [-3, 51], [-2, 52], [-1, 53], [0, 54]]) for xy in lines)
    (band,) = [c for c in axes.collections if type(c).__name__ in ("PolyCollection", "FillBetweenPolyCollection")]
    corners = {(round(x, 6), round(y, 6)) for x, y in band.get_paths()[0].vertices}
    assert {(-4, 49), (-4, 51), (0, 49), (0, 59)} <= corners
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "0.001", "0.01", "0.1", "1"]
    marks = [drawn.get_xydata().tolist() for drawn in axes.lines if drawn.get_marker() == "D"]
    assert [xy for xy in marks if xy] == [[[-2, 60]]]


@pytest.mark.slow
def test_data_sets_far_apart_are_drawn_apart_and_published_figures_are_marked(tmp_path: Path) -> None:
    page = Page(write_sweep_report(sweeps.write(tmp_path / "s", of_methods())))
    captions = page.said_by("figcaption")
    places = [number for number, caption in enumerate(captions) if caption.startswith("Against method, ")]
    assert [captions[place].partition(":")[0] for place in places[:3]] == [f"Against method, {n}" for n in DATASETS]
    first = list(page.root.iter("figure"))[places[0]]
    words = ["".join(e.itertext()) for e in first.iter() if e.tag.endswith("}text")]
    assert {"A (SPOS)", "B", "published", "method, CIFAR-10"} <= set(words)
    third = list(page.root.iter("figure"))[places[2]]
    assert "published" not in ["".join(e.itertext()) for e in third.iter() if e.tag.endswith("}text")]
    assert "CIFAR-10: method B, 93.00 ± 1.00 percent (3 seeds); CIFAR-100: method B, 73.00" in page.said_by("ul")[0]


@pytest.mark.slow
def test_a_supernet_that_trials_share_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = of_methods()
    folder = sweeps.write(tmp_path / "s", content)
    for number, trial in enumerate(content["trials"]):
        shared = folder / f"supernets/{trial['point']['dataset']}"
        if number % 2:
            sweeps.write_losses(folder / trial["folder"], np.linspace(2, 1, 200).tolist(), reuse=shared)
    drawn: list[Any] = []
    draw = curves_by_epoch
    monkeypatch.setattr(
        sweep_page, "curves_by_epoch", lambda curves, *r, **o: drawn.extend(curves) or draw(curves, *r, **o)
    )
    page = Page(write_sweep_report(folder))
    assert "Training loss of 3 supernets, by method" in page.section("Training")
    assert len(drawn) == 3 and all(len(curve.values) <= 60 for curve in drawn)
    assert (drawn[0].epochs[0], drawn[0].epochs[-1]) == (1, 200)
    assert (drawn[0].values[0], drawn[0].values[-1]) == (2, 1)


@pytest.mark.parametrize(
    "was", ["s3://bucket/x/sweep/supernets/abc?endpoint_override=http://127.0.0.1:9", "/elsewhere/supernets/abc"]
)
def test_supernets_that_trials_share_are_found_in_a_sweep_that_was_carried_here(tmp_path: Path, was: str) -> None:
    sweeps.write_losses(tmp_path / "supernets/abc", [2.0, 1.5])
    trial = tmp_path / "trials/t"
    trial.mkdir(parents=True)
    (tmp_path / "sweep.json").write_text("{}")
    (trial / "config.json").write_text(json.dumps({"config": {"name": "t", "train": {"reuse": was}}}))
    ((name, losses),) = training_losses(trial).items()
    assert losses.tolist() == [2.0, 1.5] and name == str(tmp_path / "supernets/abc/supernet/seed_0/metrics.jsonl")


def test_a_training_that_goes_on_has_the_losses_that_are_whole(tmp_path: Path) -> None:
    sweeps.write_losses(tmp_path / "t", [2.0, 1.5])
    file = tmp_path / "t/supernet/seed_0/metrics.jsonl"
    file.write_text(file.read_text() + '{"epoch": 2, "lo')
    ((name, losses),) = training_losses(tmp_path / "t").items()
    assert losses.tolist() == [2.0, 1.5] and name == str(file)
    assert training_losses(tmp_path / "none") == {}


@pytest.mark.slow
def test_texts_of_trials_are_escaped_and_control_characters_are_no_end_of_the_page(tmp_path: Path) -> None:
    content = of_eta(missing={"point-0_seed-0": ("failed", "\x1b[31mred\x00 <script>")}, name="<i>name</i>")
    page = Page(write_sweep_report(sweeps.write(tmp_path / "s", content)))
    assert page.said_by("h1") == ["<i>name</i>"]
    assert only_script(page) and "<script>" in page.text


def test_results_are_read_as_they_are_and_not_changed() -> None:
    content = of_methods()
    before = json.dumps(content)
    table_lines(content)
    assert json.dumps(content) == before
