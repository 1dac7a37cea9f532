"""Importance of the keys of a sweep, and all settings at once, against numbers that are known."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raynas.report.importance import about_importance, importance_of
from raynas.report.importance_figures import parallel_coordinates
from raynas.report.sweep_files import Sweep, parse_results
from raynas.report.sweep_page import write_sweep_report
from tests.report import sweeps
from tests.report.pages import Page


def swept(
    measure: Callable[[float, float, float], float], sizes: Sequence[int] = (3, 4, 2), **options: Any
) -> tuple[Sweep, np.ndarray]:
    """Returns a sweep over three keys of a grid, and its means as an array."""
    axes = {name: ("grid", list(range(size))) for name, size in zip("abc", sizes, strict=True)}

    def metrics(point: sweeps.Point, seed: int) -> dict[str, float]:
        return {"true_accuracy": measure(point["a"], point["b"], point["c"]) + 0.1 * (seed - 1)}

    grid = np.array([measure(*point) for point in itertools.product(*map(range, sizes))]).reshape(tuple(sizes))
    return parse_results(sweeps.results(axes, metrics, **options)), grid


def test_additive_effects_are_the_variances_of_their_parts() -> None:
    sweep, grid = swept(lambda a, b, c: 90 + 2.0 * a - 0.5 * b)
    importance = importance_of(sweep)
    assert importance is not None and importance.is_decomposition
    total = np.var(grid)
    assert importance.shares["a"] == pytest.approx(4 * np.var(range(3)) / total)
    assert importance.shares["b"] == pytest.approx(0.25 * np.var(range(4)) / total)
    others = [share for name, share in importance.shares.items() if name not in ("a", "b")]
    assert others == pytest.approx([0] * 4, abs=1e-9)
    assert list(importance.shares)[0] == "a" and sum(importance.shares.values()) == pytest.approx(1)
    assert importance.by_seeds == pytest.approx(0.01 / 3 / np.var(grid, ddof=1))


def test_an_interaction_belongs_to_its_pair_only() -> None:
    sweep, _ = swept(lambda a, b, c: 90 + (-1) ** (a + c), sizes=(2, 4, 2))
    importance = importance_of(sweep)
    assert importance is not None
    assert importance.shares["a × c"] == pytest.approx(1)
    assert sum(importance.shares.values()) == pytest.approx(1)


def test_shares_are_those_of_a_projection_on_indicator_functions() -> None:
    """The main effect is what a least-squares fit on the indicators of one key explains."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, 4, 2))
    sweep, grid = swept(lambda a, b, c: float(noise[a, b, c]))  # type: ignore[index]
    importance = importance_of(sweep)
    assert importance is not None
    points = list(itertools.product(range(3), range(4), range(2)))
    for place, name in enumerate("abc"):
        labels = [point[place] for point in points]
        design = np.array([[float(label == value) for value in set(labels)] for label in labels])
        fitted = design @ np.linalg.lstsq(design, grid.ravel(), rcond=None)[0]
        assert importance.shares[name] == pytest.approx(fitted.var() / grid.var())


def test_a_sweep_with_holes_says_what_each_key_explains_alone() -> None:
    sweep, _ = swept(lambda a, b, c: 90 + 3.0 * a, missing={f"point-0_seed-{s}": ("failed", "x") for s in range(3)})
    importance = importance_of(sweep)
    assert importance is not None and not importance.is_decomposition
    assert importance.shares["a"] == pytest.approx(1) and importance.shares["c"] < 0.1
    assert set(importance.shares) == {"a", "b", "c"}
    assert "Shares need not sum to 100." in about_importance(importance)


@pytest.mark.parametrize("decades", [4, 1])
def test_a_number_that_was_sampled_log_uniformly_is_explained_by_a_parabola_in_its_logarithm(decades: int) -> None:
    rng = np.random.default_rng(0)
    points = [{"rate": float(10 ** rng.uniform(-decades, 0)), "other": float(rng.uniform())} for _ in range(60)]
    axes = {"rate": ("loguniform", [10.0**-decades, 1.0]), "other": ("uniform", [0, 1])}
    content = sweeps.results(
        axes, lambda p, _: {"true_accuracy": 90 - (np.log10(p["rate"]) + 2) ** 2}, points=points, seeds=1
    )
    importance = importance_of(parse_results(content))
    assert importance is not None and not importance.is_decomposition
    assert importance.shares["rate"] == pytest.approx(1, abs=1e-9) and importance.shares["other"] < 0.2
    assert np.isnan(importance.by_seeds) and "seeds" not in about_importance(importance)


@pytest.mark.parametrize("sizes", [(3, 1, 1), (1, 1, 1)])
def test_one_key_or_equal_numbers_have_no_importance(sizes: tuple[int, int, int]) -> None:
    assert importance_of(swept(lambda a, b, c: a, sizes=sizes)[0]) is None
    assert importance_of(swept(lambda a, b, c: 1.0)[0]) is None


@pytest.mark.parametrize("mode", ["max", "min"])
def test_parallel_coordinates_have_a_line_for_each_setting_from_its_values_to_its_mean(mode: str) -> None:
    sweep, grid = swept(lambda a, b, c: 10.0 * a + b + 0.1 * c, mode=mode)
    figure = parallel_coordinates(sweep)
    assert figure is not None
    drawn = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_xdata()) == 4]  # type: ignore[arg-type]
    scaled = (grid - grid.min()) / (grid.max() - grid.min())
    wanted = [[a / 2, b / 3, float(c), scaled[a, b, c]] for a, b, c in np.ndindex(*grid.shape)]
    assert sorted(np.round(line, 9).tolist() for line in drawn) == sorted(np.round(wanted, 9).tolist())
    thickest = max((line for line in figure.axes[0].lines), key=lambda line: line.get_linewidth())
    assert np.asarray(thickest.get_ydata())[-1] == (1.0 if mode == "max" else 0.0)


@pytest.mark.slow
def test_the_page_shows_all_keys_with_the_method(tmp_path: Path) -> None:
    axes = {"a": ("grid", [1, 2]), "b": ("grid", ["x", "y", "z", "u", "v"])}
    content = sweeps.results(axes, lambda p, s: {"true_accuracy": 90.0 + p["a"] + 0.1 * s})
    page = Page(write_sweep_report(sweeps.write(tmp_path / "s", content)))
    section = page.section("All keys")
    assert "a functional analysis of variance of the full grid" in section and "a × b" in section
    assert any(text.startswith("a 2, b x: 92.10 ± 0.10") for text in page.values)
