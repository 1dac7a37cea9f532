"""What figures show: lines, points and texts against the numbers they stand for."""

from __future__ import annotations

import html
import itertools
import re
import statistics
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch

from raynas.records.graph import Edge
from raynas.report.alpha_figures import Curve, curves_by_epoch, weight_map
from raynas.report.architecture_figures import architecture_figure, colors_of
from raynas.report.drawing_style import WIDTH, png_of, svg_of
from raynas.report.hover import add_values, marks_of
from raynas.report.overview_figure import run_overview
from raynas.report.palette import ACCENT, FAINT, MUTED, TONES, looks_of, operation_looks, themed
from raynas.report.quantities import Quantity, fitness_quantity
from raynas.report.rank_figures import (
    benchmark_accuracy_against_fitness,
    predicted_against_measured,
    tau_bars,
    tau_by_epoch,
    tau_curves,
)
from raynas.report.run_files import read_run
from raynas.report.run_values import Evaluated, History, Run
from raynas.report.search_figures import (
    fitness_against_cost,
    histogram,
    histograms,
    hypervolume_curves,
    pareto_front,
    search_by_generation,
    search_curves,
)
from raynas.report.training_figures import seed_lines, training_curves
from tests.report import runs

ANGLE = fitness_quantity("angle")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return read_run(runs.write_run(tmp_path / "run"))


def labelled(figure: Figure, label: str) -> np.ndarray:
    """Returns the points of the line of a label, ``(n, 2)``."""
    (line,) = (line for line in figure.axes[0].lines if line.get_label() == label)
    return np.asarray(line.get_xydata())


def texts(figure: Figure) -> list[str]:
    """Returns all words of a figure as they stand in its SVG."""
    return [html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg_of(figure))]


def drawn(history_of: list[tuple[int, float]], **columns: list[float]) -> History:
    generation, fitness = zip(*history_of, strict=True)
    return History(
        {name: np.array(v, float) for name, v in {"generation": generation, "fitness": fitness, **columns}.items()}
    )


# Training and search


def test_training_has_a_line_of_the_metric_for_each_seed(run: Run) -> None:
    lines = seed_lines(run)
    for metric, title in (
        ("loss", "loss (nats)"),
        ("accuracy", "accuracy (percent)"),
        ("learning_rate", "learning rate"),
    ):
        figure = training_curves(lines, metric, looks_of(name for name, _ in lines))
        assert len(figure.axes[0].lines) == 2
        for seed in (0, 1):
            points = labelled(figure, f"seed {seed}")
            assert points[:, 0].tolist() == [1, 2, 3, 4, 5]
            assert points[:, 1].tolist() == run.training[seed][metric].tolist()
        assert {title, "epoch", "seed 0", "seed 1"} <= set(texts(figure))


def test_the_lines_of_one_name_look_alike_and_are_named_once(run: Run) -> None:
    lines = [("a", run.training[0]), ("a", run.training[1]), ("b", run.training[0])]
    figure = training_curves(lines, "loss", looks_of(["a", "b"]))
    colors = [line.get_color() for line in figure.axes[0].lines]
    assert colors[0] == colors[1] != colors[2]
    assert texts(figure).count("a") == 1


def test_twenty_names_look_different() -> None:
    looks = looks_of(f"run {i}" for i in range(20))
    assert len(set(looks.values())) == 20


def test_a_search_shows_best_median_and_spread_of_each_generation() -> None:
    rng = np.random.default_rng(0)
    generations = {g: rng.normal(g, 1, size=20 + g).tolist() for g in range(5)}
    figure = search_by_generation(drawn([(g, v) for g, values in generations.items() for v in values]), ANGLE)
    assert labelled(figure, "median")[:, 1].tolist() == pytest.approx(
        [statistics.median(values) for values in generations.values()]
    )
    best = [max(v for h in range(g + 1) for v in generations[h]) for g in generations]
    assert labelled(figure, "best so far").tolist() == [[g, value] for g, value in enumerate(best)]
    (band,) = figure.axes[0].collections
    corners = band.get_paths()[0].vertices
    for g, values in generations.items():
        deciles = statistics.quantiles(values, n=10, method="inclusive")
        at = corners[corners[:, 0] == g][:, 1]
        assert (at.min(), at.max()) == pytest.approx((deciles[0], deciles[-1]))
    assert {"angle (rad)", "generation (shaded: 10 to 90 percent)", "median", "best so far"} <= set(texts(figure))


def test_a_search_of_one_generation_is_a_histogram() -> None:
    values = np.random.default_rng(0).normal(size=300).tolist()
    figure = search_by_generation(drawn([(0, v) for v in values]), ANGLE)
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 300
    assert {"architectures", "angle (rad)"} <= set(texts(figure))


def test_searches_are_overlaid_by_the_number_of_architectures() -> None:
    first, second = drawn([(0, 1.0), (0, 3.0), (1, 2.0)]), drawn([(0, 2.0), (1, 1.0), (2, 2.5)])
    figure = search_curves([("one", first), ("two", second)], ANGLE, looks_of(["one", "two"]))
    assert labelled(figure, "one").tolist() == [[1, 1.0], [2, 3.0], [3, 3.0]]
    assert labelled(figure, "two").tolist() == [[1, 2.0], [2, 2.0], [3, 2.5]]


def test_a_histogram_counts_every_value() -> None:
    figure = histogram(np.array([10.0, 11.0, 11.5, 30.0, np.nan]), Quantity("one-shot accuracy", "percent"))
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 4
    assert "one-shot accuracy (percent)" in texts(figure)


# Fitness against cost


def beaten(costs: np.ndarray, fitness: np.ndarray, i: int) -> bool:
    return any(
        (c <= costs[i] and f >= fitness[i]) and (c < costs[i] or f > fitness[i])
        for c, f in zip(costs, fitness, strict=True)
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_pareto_front_holds_those_that_none_beats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    costs, fitness = rng.integers(0, 8, size=(2, 30)).astype(float) if seed % 2 else rng.random((2, 30))
    front = pareto_front(costs, fitness)
    expected = {(costs[i], fitness[i]) for i in range(30) if not beaten(costs, fitness, i)}
    points = [(costs[i], fitness[i]) for i in front]
    assert points == sorted(expected)
    assert all((costs[i], fitness[i]) != (costs[j], fitness[j]) for i in front for j in range(i))  # first of equals


def test_fitness_against_cost_shows_every_architecture_the_front_and_the_best(run: Run) -> None:
    assert run.history is not None
    figure = fitness_against_cost(run.history, ANGLE, run.best[0])
    axes = figure.axes[0]
    costs, fitness = (run.history.columns[name] for name in ("multiply_adds", "fitness"))
    assert axes.collections[0].get_offsets().tolist() == list(map(list, zip(costs, fitness, strict=True)))
    front = [i for i in range(len(costs)) if not beaten(costs, fitness, i)]
    assert labelled(figure, "Pareto front").tolist() == sorted([costs[i], fitness[i]] for i in front)
    best = run.best[0].numbers
    assert labelled(figure, "best").tolist() == [[best["multiply_adds"], best["fitness"]]]
    assert "multiply-adds" in texts(figure)
    assert any(re.fullmatch(r"\d+ M", text) for text in texts(figure))


def test_thousands_of_points_are_an_image_in_the_svg() -> None:
    rng = np.random.default_rng(0)
    many = drawn([(0, v) for v in rng.random(10_000)], multiply_adds=(1e8 * rng.random(10_000)).tolist())
    best = Evaluated((0,), "", {"fitness": 1.0, "multiply_adds": 1e8}, {})
    svg = svg_of(fitness_against_cost(many, ANGLE, best))
    assert svg.count("<image") == 1 and 'href="data:image/png;base64,' in svg
    assert svg.count("<use") < 100


def test_the_front_of_a_search_for_trade_offs_is_drawn_as_it_is_told(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_pareto(tmp_path, objectives=("latency", "num_parameters"))
    run = read_run(tmp_path)
    assert run.history is not None
    figure = fitness_against_cost(run.history, ANGLE, run.best[0], "latency", run.front)
    points = [(1000 * one.numbers["latency"], one.numbers["fitness"]) for one in run.front]
    assert labelled(figure, "Pareto front").tolist() == [list(point) for point in sorted(points)]
    all_points = zip(1000 * run.history.columns["latency"], run.history.columns["fitness"], strict=True)
    assert figure.axes[0].collections[0].get_offsets().tolist() == [list(point) for point in all_points]
    numbers = run.best[0].numbers
    assert labelled(figure, "best").tolist() == [[1000 * numbers["latency"], numbers["fitness"]]]
    assert "latency (ms)" in texts(figure) and "multiply-adds" not in texts(figure)
    assert line_of_front(figure) == "None"  # by latency alone these are no front
    runs.write_pareto(tmp_path, objectives=("latency",))
    alone = fitness_against_cost(run.history, ANGLE, run.best[0], "latency", read_run(tmp_path).front)
    assert line_of_front(alone) == "-"
    assert len(labelled(alone, "Pareto front")) < len(points)


def line_of_front(figure: Figure) -> str:
    (line,) = (line for line in figure.axes[0].lines if line.get_label() == "Pareto front")
    return str(line.get_linestyle())


def test_hypervolumes_have_a_line_for_each_run_from_generation_0_on() -> None:
    curves = [("one", [0.5, 0.75]), ("two", [1.0, 1.25, 1.5]), ("three", [2.0])]
    figure = hypervolume_curves(curves, looks_of(name for name, _ in curves))
    for name, values in curves:
        assert labelled(figure, name).tolist() == [[g, value] for g, value in enumerate(values)]
    assert {"one", "two", "three", "hypervolume (boxes of generation 0)", "generation"} <= set(texts(figure))
    markers = {line.get_label(): line.get_marker() for line in figure.axes[0].lines}
    assert markers["three"] == "." and markers["one"] == ""  # a line of one point is not seen


# Architecture parameters


CHOICES = {
    "nasbench201": None,
    "darts": runs.darts_choices(),
    "cell by cell": runs.darts_choices([f"cell{cell}" for cell in range(6)]),
    "quadruples": runs.quadruple_choices(),
    "160 of two": {f"edge{i}": ("skip_connect", "sep_conv_3x3") for i in range(160)},
    "24 of 21": {f"node {i}": tuple(f"conv_{k}_of_a_name_longer_than_any" for k in range(21)) for i in range(24)},
    "one": {"only": ("skip_connect", "conv")},
}


@pytest.mark.parametrize(("name", "epochs"), [*((name, 3) for name in CHOICES), ("nasbench201", 0)])
def test_a_map_has_every_weight_in_its_place_and_the_derived_candidates_framed(
    tmp_path: Path, name: str, epochs: int
) -> None:
    runs.write_config(tmp_path)
    runs.write_training(tmp_path, 1)
    runs.write_alphas(tmp_path, choices=CHOICES[name], epochs=epochs)
    alphas = read_run(tmp_path).alphas[0]
    figure = weight_map(alphas)
    lists = {
        (name.partition(" ")[0], tuple(names)) for name, names in zip(alphas.choices, alphas.candidates, strict=True)
    }
    assert name in ("nasbench201", "160 of two") or len(figure.axes) == len(lists)
    seen: dict[str, tuple[list[float], list[str], int]] = {}
    for axes in figure.axes:
        opacities = np.asarray(axes.collections[0].get_facecolor())[:, 3]
        most = max(float(np.nanmax(alphas.weights[-1])), 2 / alphas.weights.shape[2])
        shown = opacities.reshape(len(axes.get_yticks()), -1) * most
        frames = [(round(p.get_x() + p.get_width() / 2), round(p.get_y() + p.get_height() / 2)) for p in axes.patches]
        heads = [label.get_text() for label in axes.get_xticklabels()]
        x = axes.get_position().x0 - 1e-9
        kinds = [t for t in figure.texts if t.get_position()[0] <= x and t.get_position()[1] > axes.get_position().y1]
        above = max(kinds, key=lambda t: (t.get_position()[0], -t.get_position()[1])).get_text() if kinds else ""
        for row, label in enumerate(axes.get_yticklabels()):
            (taken,) = [candidate for candidate, at in frames if at == row]
            assert f"{above} {label.get_text()}".strip() not in seen
            seen[f"{above} {label.get_text()}".strip()] = shown[row].tolist(), heads, taken
    assert set(seen) == set(alphas.choices)
    for choice, candidates in enumerate(alphas.candidates):
        weights, heads, taken = seen[alphas.choices[choice]]
        assert weights == pytest.approx(alphas.weights[-1, choice, : len(candidates)])
        assert len(heads) == len(candidates) and taken == alphas.derived[-1].taken[choice]


@pytest.mark.parametrize("name", CHOICES)
def test_nothing_on_a_map_is_cut_off_or_covers_another(tmp_path: Path, name: str) -> None:
    runs.write_config(tmp_path)
    runs.write_alphas(tmp_path, choices=CHOICES[name])
    figure = weight_map(read_run(tmp_path).alphas[0])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    boxes += [text.get_window_extent(renderer) for text in figure.texts]
    whole = figure.bbox
    for box in boxes:
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= whole.x1 + 1 and box.y1 <= whole.y1 + 1
    for one, other in itertools.combinations(boxes, 2):
        apart = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(apart) < 1
    for axes in figure.axes:
        width = axes.get_window_extent(renderer).width / len(axes.get_xticks())
        assert all(text.get_window_extent(renderer).width < width for text in axes.texts)
    assert figure.get_size_inches()[0] <= 11.3


def test_numbers_on_a_map_are_the_weights_or_of_very_many_those_derived(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    for choices, every in ((runs.darts_choices(), True), (runs.darts_choices([f"c{i}" for i in range(15)]), False)):
        runs.write_alphas(tmp_path, choices=choices)
        alphas = read_run(tmp_path).alphas[0]
        numbers = [text.get_text() for axes in weight_map(alphas).axes for text in axes.texts]
        taken = [alphas.weights[-1, choice, k] for choice, k in enumerate(alphas.derived[-1].taken)]
        wanted = alphas.weights[-1].ravel().tolist() if every else taken
        assert sorted(numbers) == sorted(f"{weight:.2f}".lstrip("0") for weight in wanted)


def test_curves_are_drawn_over_the_epochs_with_their_bands_and_named_once() -> None:
    epochs = np.arange(4)
    curves = [
        Curve("a", epochs, np.array([1.0, 2.0, 3.0, 4.0]), (np.zeros(4), np.full(4, 5.0))),
        Curve("b", epochs[:1], np.array([2.0])),
        Curve("a", epochs, np.array([4.0, 3.0, 2.0, 1.0])),
    ]
    figure = curves_by_epoch(curves, "edges", looks_of("ab"), limits=(0, 6))
    lines = figure.axes[0].lines
    assert [line.get_xydata().tolist() for line in lines] == [
        [list(point) for point in zip(curve.epochs, curve.values, strict=True)] for curve in curves
    ]
    assert lines[0].get_color() == lines[2].get_color() != lines[1].get_color()
    assert [line.get_marker() for line in lines] == ["", ".", ""]
    (band,) = figure.axes[0].collections
    assert (band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()) == (0, 5)
    assert [texts(figure).count(word) for word in ("a", "b", "edges", "epoch")] == [1, 1, 1, 1]
    alone = curves_by_epoch(curves[:1], "edges", looks_of("ab"))
    assert "a" not in texts(alone)


@pytest.mark.parametrize("values", [[1e-6, 1e-2, 1.0], [0.021, 0.034, 0.06], [0.0, 0.5, 2.0]])
def test_a_logarithmic_axis_has_numbers_and_no_zero(values: list[float]) -> None:
    curve = Curve("a", np.arange(1, 4), np.array(values))
    figure = curves_by_epoch([curve], "norm", looks_of("a"), logarithmic=True)
    drawn = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(drawn, [value or np.nan for value in values])
    numbers = [text.replace("\N{MINUS SIGN}", "-") for text in texts(figure) if text not in ("norm", "epoch")]
    assert len([n for n in numbers if re.fullmatch(r"\d(\.\d+)?(e[-+]?\d+)?", n)]) >= 4
    assert not any("math" in text or "$" in text for text in texts(figure))


@pytest.mark.parametrize("names", [["skip_connect", *"abcdefgh"], [f"max_pool_3x3_{i}" for i in range(9)], ["a", "b"]])
def test_the_names_under_curves_are_within_the_figure_and_below_the_axes(names: list[str]) -> None:
    curves = [Curve(name, np.arange(3), np.arange(3.0)) for name in names]
    figure = curves_by_epoch(curves, "t", operation_looks(names))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    (legend,) = figure.legends
    words = [text.get_window_extent(renderer) for text in legend.get_texts()]
    assert [text.get_text() for text in legend.get_texts()] == names
    assert all(box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in words)
    below = figure.axes[0].xaxis.label.get_window_extent(renderer).y0
    assert all(box.y1 <= below for box in words)


def test_skip_connect_stands_out_among_operations() -> None:
    names = ["none", "skip_connect", *(f"conv_{i}" for i in range(15))]
    looks = operation_looks(names)
    assert looks["skip_connect"] == (MUTED, "-")
    assert len(set(looks.values())) == len(names)
    assert all(looks[name][0] != MUTED for name in names if name != "skip_connect")


def test_an_operation_has_the_same_colour_in_curves_and_drawings_whatever_else_is_shown() -> None:
    few, many = ["nor_conv_3x3", "own_b"], ["skip_connect", "avg_pool_3x3", "nor_conv_3x3", "own_b", "none"]
    for name in few:
        assert operation_looks(few)[name][0] == operation_looks(many)[name][0]
    for drawing in DRAWINGS:
        colors = colors_of([drawing])
        assert colors == {name: operation_looks(colors)[name][0] for name in colors}


def test_every_colour_of_a_page_follows_the_theme() -> None:
    names = [tone.name for tone in TONES]
    assert len(set(names)) == len(names) == len({tone.light for tone in TONES})
    svg = svg_of(architecture_figure(DRAWINGS[0], colors_of(DRAWINGS)))
    left = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", themed(svg)))
    assert left <= {"#000000"} and "var(--ink)" in themed(svg) and "var(--" not in svg


def test_text_is_readable_in_both_themes() -> None:
    """Contrast by WCAG 2.1: at least 4.5 for text, 3 for lines."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for theme in ("light", "dark"):
        color = {tone.name: luminance(getattr(tone, theme)) for tone in TONES}
        for name, value in color.items():
            low, high = sorted((value, color["paper"]))
            contrast = (high + 0.05) / (low + 0.05)
            if name in ("ink", "muted"):
                assert contrast >= 4.5, (theme, name)
            elif name.startswith(("series", "operation")):
                assert contrast >= 3, (theme, name)


def test_a_value_under_the_pointer_lies_where_its_point_is_drawn() -> None:
    curve = Curve("a <b>", np.arange(3), np.array([1.0, np.nan, 3.0]))
    figure = curves_by_epoch([curve], "edges", looks_of(["a <b>"]))
    svg_of(figure)
    marks = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="4"><title>(.*?)</title>', marks_of(figure))
    assert [html.unescape(text) for _, _, text in marks] == ["a <b>, epoch 0: 1", "a <b>, epoch 2: 3"]
    box = figure.axes[0].get_position()
    width, height = 72 * figure.get_size_inches()
    places = figure.axes[0].transLimits.transform([[0, 1], [2, 3]])
    for (x, y, _), (right, up) in zip(marks, places, strict=True):
        assert float(x) == pytest.approx(width * (box.x0 + box.width * right), abs=0.1)
        assert float(y) == pytest.approx(height * (1 - box.y0 - box.height * up), abs=0.1)


def test_a_figure_has_no_more_values_than_a_page_can_hold() -> None:
    figure = histogram(np.arange(10.0), ANGLE)
    add_values(figure.axes[0], np.arange(5000), np.arange(5000), str)
    marks = marks_of(figure)
    assert marks.count("<circle") == 400 and "<title>0</title>" in marks and "<title>4999</title>" in marks
    assert marks_of(histogram(np.arange(10.0), ANGLE)) == ""


def test_texts_are_made_for_the_values_that_a_figure_keeps_only() -> None:
    made: list[int] = []

    def text(number: int) -> str:
        made.append(number)
        return f"number {number}"

    figure = histogram(np.arange(10.0), ANGLE)
    y = np.arange(5000.0)
    y[::2] = np.nan
    add_values(figure.axes[0], np.arange(5000), y, text)
    shown = re.findall("<title>number (.*?)</title>", marks_of(figure))
    assert [int(number) for number in shown] == made and len(made) == 400
    assert made[0] == 1 and made[-1] == 4999 and all(number % 2 for number in made)


def test_histograms_of_runs_have_the_same_bins_and_mark_the_median() -> None:
    values = {"one": np.array([10.0, 12.0, 50.0, np.nan]), "two": np.array([50.0, 90.0]), "three": np.array([30.0] * 9)}
    figure = histograms(list(values.items()), Quantity("accuracy", "percent", 2), looks_of(values))
    assert len(figure.axes) == 3
    edges = [[bar.get_x() for bar in axes.patches] for axes in figure.axes]
    assert edges[0] == edges[1] == edges[2] and edges[0][0] == 10.0
    for axes, (name, of) in zip(figure.axes, values.items(), strict=True):
        finite = [value for value in of.tolist() if value == value]
        bars = {bar.get_x(): bar.get_height() for bar in axes.patches}
        width = axes.patches[0].get_width()
        for x, height in bars.items():
            top = x + width if x < 90 - 1.5 * width else 91
            assert height == sum(x <= value < top for value in finite)
        assert axes.lines[0].get_xdata()[0] == statistics.median(finite)
        assert axes.get_title(loc="left") == name
        assert axes.get_title(loc="right") == f"median {statistics.median(finite):.2f}"
    assert texts(figure).count("accuracy (percent)") == 1


# Latency


def test_the_predicted_latency_is_drawn_over_the_measured_in_milliseconds(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_profile(tmp_path)
    profile = read_run(tmp_path).profile
    assert profile is not None
    figure = predicted_against_measured(profile)
    assert labelled(figure, "networks") == pytest.approx(np.array([[4, 4.1], [5, 4.5], [8, 8.2]]))
    assert labelled(figure, "the same") == pytest.approx(np.array([[4, 4], [8.2, 8.2]]))
    assert figure.axes[0].get_xlim() == pytest.approx(figure.axes[0].get_ylim())
    assert {"predicted latency (ms)", "measured latency (ms)", "the same"} <= set(texts(figure))


# Rank


def test_true_accuracy_is_drawn_over_fitness_even_in_the_logarithm_of_the_error(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    cells, true = [[k] * 6 for k in range(5)], [10.0, 90.0, 93.0, 94.0, 80.0]
    runs.write_rank(tmp_path, cells=cells, values=[0.1, 0.2, 0.3, 0.4, 0.5], true=true)
    rank = read_run(tmp_path).ranks[0]
    best = Evaluated((2,) * 6, "", {"fitness": 0.3}, {})
    figure = benchmark_accuracy_against_fitness(rank, ANGLE, best)
    axes = figure.axes[0]
    x, y = np.array(axes.collections[0].get_offsets()).T
    assert x.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert 100 - 10**-y == pytest.approx(true)
    ticks = dict(zip((tick.get_text() for tick in axes.get_yticklabels()), axes.get_yticks(), strict=True))
    assert {text: round(100 - 10**-at, 6) for text, at in ticks.items()} == {text: float(text) for text in ticks}
    assert {"10", "90", "94"} <= set(ticks) and "95" not in ticks
    assert labelled(figure, "found: 93.00")[0] == pytest.approx([0.3, -np.log10(7)])
    assert labelled(figure, "best: 94.00")[0] == pytest.approx([0.4, -np.log10(6)])
    elsewhere = benchmark_accuracy_against_fitness(rank, ANGLE, Evaluated((3, 1), "", {"fitness": 1.0}, {}))
    assert not any("found" in text for text in texts(elsewhere))


def test_a_table_without_errors_or_without_a_range_is_drawn_too(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    for true in ([100.0, 99.0], [93.11, 93.12]):
        runs.write_rank(tmp_path, cells=[[0] * 6, [1] * 6], values=[0.1, 0.2], true=true)
        figure = benchmark_accuracy_against_fitness(read_run(tmp_path).ranks[0], ANGLE, None)
        assert np.isfinite(figure.axes[0].collections[0].get_offsets()).all()
        assert any(text.startswith(("99", "93.1")) for text in texts(figure))


def test_tau_by_epoch_has_both_correlations(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    epochs = [{"epoch": 10, "tau": 0.1, "rho": 0.2}, {"epoch": 20, "tau": 0.3, "rho": 0.4}]
    runs.write_rank(tmp_path, epochs=epochs)
    figure = tau_by_epoch(read_run(tmp_path).ranks[0])
    assert labelled(figure, "τ").tolist() == [[10, 0.1], [20, 0.3]]
    assert labelled(figure, "ρ").tolist() == [[10, 0.2], [20, 0.4]]


def test_tau_curves_have_a_line_for_each_fitness_and_the_level_of_the_parameter_count() -> None:
    curves = [
        (name, {"epoch": np.array([1.0, 2.0]), "tau": np.array(taus)})
        for name, taus in (("one: angle", [0.1, 0.2]), ("two: angle", [0.5, 0.4]))
    ]
    looks = looks_of(name for name, _ in curves)
    figure = tau_curves(curves, 0.578, looks)
    assert labelled(figure, "one: angle").tolist() == [[1, 0.1], [2, 0.2]]
    assert labelled(figure, "two: angle").tolist() == [[1, 0.5], [2, 0.4]]
    assert set(labelled(figure, "parameters")[:, 1]) == {0.578}
    unknown = tau_curves(curves, float("nan"), looks).axes[0].get_legend_handles_labels()[1]
    assert unknown == ["one: angle", "two: angle"]


def test_tau_bars_show_value_interval_and_name_of_every_row() -> None:
    rows = [
        ("angle", 0.62, (0.61, 0.64), ACCENT),
        ("parameters", 0.5, (0.4, 0.6), MUTED),
        ("x" * 60, -0.1, (-0.2, 0), MUTED),
    ]
    figure = tau_bars(rows)
    spans = [line.get_xdata() for line in figure.axes[0].lines]
    for name, tau, interval, _ in rows:
        assert any(len(span) == 2 and tuple(span) == interval for span in spans)
        assert any(np.atleast_1d(span).tolist() == [tau] for span in spans)
        assert f"{tau:.3f}".replace("-", "−") in texts(figure)
        assert name in texts(figure) or name == "x" * 60
    assert "x" * 43 + "…" in texts(figure)
    assert [to_hex(bar.get_facecolor()) for bar in figure.axes[0].patches].count(ACCENT) == 1


# Drawings


DRAWINGS = [
    {"cell": [("in", "1", "nor_conv_3x3"), ("in", "out", "avg_pool_3x3"), ("1", "out", "skip_connect")]},
    {"cell": [("in", "out", "avg_pool_3x3"), ("in", "1", "nor_conv_1x1")]},
    {
        "normal": [("in 1", "1", "sep_conv_3x3"), ("in 2", "1", "max_pool_3x3"), ("1", "out", "")],
        "reduction": [("in 1", "out", "dil_conv_5x5")],
        "empty": [],
    },
    {name: [tuple(edge) for edge in runs.darts_cell(np.random.default_rng(i))] for i, name in enumerate("ab")},
    {"chain": [tuple(edge) for edge in runs.mobilenet(np.random.default_rng(0))[1]]},
    {"chain": [(a, b, f"mobile_{i % 3}") for i, (a, b) in enumerate(itertools.pairwise(["in", *"123456789", "out"]))]},
]


def test_a_drawing_shows_every_node_and_operation() -> None:
    colors = colors_of(DRAWINGS)
    first, second, third, *_, chain = ([*texts(architecture_figure(drawing, colors))] for drawing in DRAWINGS)
    assert sorted(first) == sorted(["in", "1", "out", "conv 3×3", "avg pool", "3×3", "skip"])
    assert sorted(second) == sorted(["in", "1", "out", "avg pool", "3×3", "conv 1×1"])
    cells = ["in 1", "in 2", "1", "out", "sep conv", "3×3", "max pool", "3×3", "in 1", "out", "dil conv", "5×5"]
    assert sorted(third) == sorted(["normal", "reduction", *cells])
    assert {"in", "out", "9", "mobile 0"} <= set(chain)


def test_an_operation_has_one_colour_in_all_drawings_and_another_than_the_rest() -> None:
    colors = colors_of(DRAWINGS[:2])
    assert len(set(colors.values())) == len(colors) == 4
    assert colors["skip_connect"] == MUTED
    for drawing in DRAWINGS[:2]:
        lines = [p for p in architecture_figure(drawing, colors).axes[0].patches if type(p) is PathPatch]
        for (source, target, operation), line in zip(drawing["cell"], lines, strict=True):
            dead = target == "1" and ("1", "out", "skip_connect") not in drawing["cell"]
            assert to_hex(line.get_edgecolor()) == (FAINT if dead else colors[operation]), (source, target)
            assert (line.get_linestyle() == "solid" or line.get_linestyle() == "-") is not dead


@pytest.mark.parametrize("drawing", [DRAWINGS[3], DRAWINGS[4]])
def test_what_is_no_operation_is_thinner_and_paler_but_not_dashed(drawing: dict[str, list[Edge]]) -> None:
    figure = architecture_figure(drawing, colors_of(DRAWINGS))
    lines = [patch for patch in figure.axes[0].patches if type(patch) is PathPatch]
    edges = [edge for edges in drawing.values() for edge in edges]
    passing = [operation in ("", "skip") for _, _, operation in edges]
    assert len(lines) == len(edges) and 0 < sum(passing) < len(edges)
    for line, passes in zip(lines, passing, strict=True):
        assert (to_hex(line.get_edgecolor()) == FAINT) == passes
        assert (line.get_linewidth() < 1) == passes
        assert line.get_linestyle() in ("-", "solid")
    assert texts(figure).count("skip") == sum(o in ("skip", "skip_connect") for _, _, o in edges)


def test_the_blocks_of_a_stage_of_four_end_a_row() -> None:
    (chain,) = DRAWINGS[4].values()
    figure = architecture_figure(DRAWINGS[4], colors_of(DRAWINGS))
    assert figure.get_size_inches()[0] == pytest.approx(WIDTH)
    heights = {text.get_text(): round(text.get_position()[1]) for text in figure.axes[0].texts}
    rows = [[node for _, node, _ in chain if heights[node] == y] for y in sorted(set(heights.values()), reverse=True)]
    assert [row for row in rows if row] == [
        [*"123"],
        *([str(i) for i in range(k, k + 4)] for k in (4, 8, 12, 16)),
        ["20", "out"],
    ]


def test_every_text_lies_within_its_box() -> None:
    colors = colors_of(DRAWINGS)
    for drawing in DRAWINGS:
        figure = architecture_figure(drawing, colors)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        renderer = canvas.get_renderer()
        boxes = [p.get_window_extent(renderer) for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
        words = [t for t in figure.axes[0].texts if t.get_text() not in drawing]
        assert len(words) == len(boxes)
        for text in words:
            at = text.get_window_extent(renderer)
            assert any(b.x0 <= at.x0 and b.x1 >= at.x1 and b.y0 <= at.y0 + 1 and b.y1 >= at.y1 - 1 for b in boxes)
        whole = figure.bbox
        assert all(b.x0 >= 0 and b.x1 <= whole.x1 and b.y0 >= 0 and b.y1 <= whole.y1 for b in boxes)


@pytest.mark.parametrize("part", ["training", "history", "drawing", ""])
def test_the_overview_shows_what_there_is(tmp_path: Path, part: str) -> None:
    runs.write_config(tmp_path)
    if part != "training":
        runs.write_training(tmp_path)
    lines = runs.write_search(tmp_path, drawings=part != "drawing")
    if part == "history":
        (tmp_path / "search/history.jsonl").unlink()
    figure = run_overview(read_run(tmp_path), ANGLE)
    assert figure is not None
    said = " ".join(texts(figure))
    best = max(line["fitness"] for line in lines)
    assert ("loss (nats)" in said) == (part != "training")
    assert ("best so far" in said) == (part != "history")
    assert (f"best: angle {best:.4f}\N{NO-BREAK SPACE}rad" in said) == (part != "drawing")
    assert len(figure.axes) == (2 if part else 3)


def test_the_overview_shows_no_histogram_of_what_is_the_best_only(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_search(tmp_path, generations=1)
    for further, axes in (({}, 2), ({"missed": 0.0}, 1)):
        runs.add_to_result(tmp_path, **further)
        figure = run_overview(read_run(tmp_path), ANGLE)
        assert figure is not None and len(figure.axes) == axes


def test_the_overview_shows_no_histogram_of_a_single_architecture(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_search(tmp_path, generations=1, population=1)
    figure = run_overview(read_run(tmp_path), ANGLE)
    assert figure is not None and len(figure.axes) == 1


def test_there_is_no_overview_of_a_rank_alone(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_rank(tmp_path)
    assert run_overview(read_run(tmp_path), ANGLE) is None


# Files


def test_the_same_data_give_the_same_bytes_whatever_matplotlib_is_set_to(run: Run) -> None:
    assert run.history is not None

    def files() -> list[str | bytes]:
        figure = fitness_against_cost(run.history, ANGLE, run.best[0])
        cell = architecture_figure(run.best[0].drawing, colors_of([run.best[0].drawing]))
        return [svg_of(figure), png_of(figure), svg_of(cell), png_of(cell)]

    before = files()
    settings = {"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path", "lines.linewidth": 9}
    with matplotlib.rc_context(settings):
        assert files() == before
        assert all(matplotlib.rcParams[key] == value for key, value in settings.items())
    assert before[1][:4] == b"\x89PNG"
    assert "dc:date" not in before[0]


def test_a_name_is_no_formula_and_may_hold_what_the_font_lacks() -> None:
    names = ["$x_1$", "價格", "<b>&amp;"]
    history = drawn([(0, 1.0), (1, 2.0)])
    figure = search_curves([(name, history) for name in names], ANGLE, looks_of(names))
    assert set(names) <= set(texts(figure))
    assert png_of(figure).startswith(b"\x89PNG")
    cell = {"cell": [("in", "out", "$\\frac{1}$")]}
    assert "$\\frac{1}$" in texts(architecture_figure(cell, colors_of([cell])))
