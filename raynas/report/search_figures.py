"""Figures of a search: fitness by generation, histograms, trade-offs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from raynas.report.drawing_style import WIDTH, finite_values, legend, opacity, panel, shortened, style, whole_steps
from raynas.report.hover import add_curve, add_values
from raynas.report.palette import ACCENT, BAND, FAINT, INK, MUTED, PAPER, SERIES, Look, marker_of
from raynas.report.quantities import COSTS, Quantity
from raynas.report.run_values import Evaluated, History


@style()
def search_by_generation(history: History, quantity: Quantity) -> Figure:
    """Returns best so far, median and spread of the fitness by generation; for one generation a histogram."""
    figure, axes = panel()
    draw_search(axes, history, quantity)
    return figure


def draw_search(axes: Axes, history: History, quantity: Quantity) -> None:
    """Draws best so far, median and spread of the fitness by generation; for one generation a histogram."""
    generation, fitness = history.columns["generation"], history.columns["fitness"]
    generations = np.unique(generation)
    if len(generations) == 1:
        draw_histogram(axes, fitness, quantity)
        return
    groups = [finite_values(fitness[generation == g]) for g in generations]
    low, middle, high = np.array(
        [np.percentile(group, (10, 50, 90)) if len(group) else (math.nan,) * 3 for group in groups]
    ).T
    so_far = history.best_so_far
    best = [so_far[generation == g][-1] for g in generations]
    axes.fill_between(generations, low, high, color=BAND, lw=0)
    axes.plot(generations, middle, color=MUTED, lw=1.2, label="median")
    axes.plot(generations, best, color=ACCENT, lw=1.6, label="best so far")
    add_curve(axes, "best so far", "generation", generations, np.array(best))
    add_curve(axes, "median", "generation", generations, middle)
    at_end: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "size": 8}
    axes.annotate("best so far", (generations[-1], best[-1]), (0, 3), va="bottom", color=ACCENT, **at_end)
    axes.annotate("median", (generations[-1], middle[-1]), (0, -4), va="top", color=INK, **at_end)
    axes.margins(y=0.1)
    axes.set(title=shortened(quantity.title, 52), xlabel="generation (shaded: 10 to 90 percent)")
    whole_steps(axes)


@style()
def search_curves(histories: Sequence[tuple[str, History]], quantity: Quantity, looks: Mapping[str, Look]) -> Figure:
    """Returns the best fitness so far against the number of evaluated architectures.

    Args:
        histories: Names with their evaluated architectures, all by the same fitness.
        quantity: The fitness.
        looks: Colour and dashes of each name.
    """
    figure, axes = panel()
    for name, history in histories:
        best, (color, dashes) = history.best_so_far, looks[name]
        counts = np.arange(1, len(best) + 1)
        mark: dict[str, Any] = {"marker": marker_of(looks[name]), "markevery": [-1], "ms": 4}
        axes.step(counts, best, where="post", color=color, ls=dashes, label=shortened(name, 24), **mark)
        add_curve(axes, name, "architecture", counts, best)
    axes.set(title=shortened(f"best so far: {quantity.title}", 52), xlabel="evaluated architectures")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    whole_steps(axes)
    legend(axes, len(histories), loc="lower right")
    return figure


@style()
def histogram(values: np.ndarray, quantity: Quantity) -> Figure:
    """Returns a histogram of the values."""
    figure, axes = panel()
    draw_histogram(axes, values, quantity)
    return figure


def draw_histogram(axes: Axes, values: np.ndarray, quantity: Quantity) -> None:
    """Draws a histogram of the values."""
    values = finite_values(values)
    bins = min(40, max(8, round(math.sqrt(len(values)))))
    axes.hist(values, bins=bins, color=SERIES[0], alpha=0.75, ec=PAPER, lw=0.4)
    axes.set(title="architectures", xlabel=shortened(quantity.title, 52))
    axes.grid(False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))


@style()
def histograms(values: Sequence[tuple[str, np.ndarray]], quantity: Quantity, looks: Mapping[str, Look]) -> Figure:
    """Returns one histogram for each of several runs, one below the other, with the same bins.

    Args:
        values: Names with their values, some of them finite; a line marks the median.
        quantity: Quantity of the values.
        looks: Colour and dashes of each name.
    """
    finite = [(name, finite_values(sample)) for name, sample in values]
    together = np.concatenate([sample for _, sample in finite])
    edges = np.histogram_bin_edges(
        together, bins=min(40, max(8, round(math.sqrt(max(len(sample) for _, sample in finite)))))
    )
    left, right, bottom, above, part = 0.50, 0.12, 0.44, 0.30, 0.85  # inches
    height = bottom + (part + above) * len(finite)
    figure = Figure(figsize=(WIDTH, height))
    for row, (name, sample) in enumerate(finite, start=1):
        lower = bottom + (part + above) * (len(finite) - row)
        axes = figure.add_axes((left / WIDTH, lower / height, 1 - (left + right) / WIDTH, part / height))
        axes.hist(sample, bins=edges.tolist(), color=looks[name][0], alpha=0.75, ec=PAPER, lw=0.4)
        median = float(np.median(sample))
        axes.axvline(median, color=INK, lw=1.2)
        axes.set_title(shortened(name, 24), pad=4)
        axes.set_title(f"median {quantity.write(median)}", loc="right", pad=4, size=8, color=MUTED)
        axes.grid(False, axis="x")
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.tick_params(labelbottom=row == len(finite))
    axes.set_xlabel(shortened(quantity.title, 52))
    return figure


def pareto_front(costs: np.ndarray, fitness: np.ndarray) -> np.ndarray:
    """Returns the indices of the nondominated architectures, the cheapest first.

    An architecture dominates another if it is cheaper and as fit, or fitter and as cheap. Of equals only the first
    index is returned.
    """
    front, best = [], -math.inf
    for index in np.lexsort((np.arange(len(costs)), -fitness, costs)).tolist():
        if fitness[index] > best:
            best = float(fitness[index])
            front.append(index)
    return np.array(front, dtype=np.int64)


@style()
def fitness_against_cost(
    history: History, quantity: Quantity, best: Evaluated, cost: str = "multiply_adds", front: Sequence[Evaluated] = ()
) -> Figure:
    """Returns the fitness of all evaluated architectures against one of their costs, and their Pareto front.

    Args:
        history: The evaluated architectures, with the cost.
        quantity: The fitness.
        best: The architecture that gets a mark.
        cost: The cost, a key of `COSTS`.
        front: The front of a search for trade-offs. With further costs it is shown as points without a line. By default
            the figure shows the front of fitness and cost.
    """
    figure, axes = panel()
    fitness, unit = history.columns["fitness"], COSTS[cost].scale
    known = np.isfinite(fitness)
    costs, fitness = unit * history.columns[cost][known], fitness[known]
    if front:
        on_front = np.array(
            sorted((unit * architecture.numbers[cost], architecture.numbers["fitness"]) for architecture in front)
        ).T
    else:
        indices = pareto_front(costs, fitness)
        on_front = np.array([costs[indices], fitness[indices]])
    line = "-" if (np.diff(on_front[1]) >= 0).all() else ""
    cost_title, numbers = COSTS[cost], np.flatnonzero(known).tolist()
    add_values(
        axes,
        costs,
        fitness,
        lambda i: (
            f"{quantity.write_with_unit(fitness[i])}, {cost_title.write_with_unit(costs[i] / unit)} "
            f"{cost_title.name} (evaluated as number {numbers[i] + 1:,})"
        ),
    )
    axes.scatter(costs, fitness, s=7, color=FAINT, alpha=opacity(len(costs)), lw=0, rasterized=True)
    axes.plot(*on_front, "o", ls=line, color=SERIES[0], ms=3, lw=1, label="Pareto front")
    place = unit * best.numbers[cost], best.numbers["fitness"]
    axes.plot(*place, "*", color=ACCENT, ms=11, mec=PAPER, mew=0.6, ls="", label="best")
    axes.set(title=shortened(quantity.title, 52), xlabel=COSTS[cost].title)
    if costs.min() > 0 and costs.max() > 30 * costs.min():
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1e6:g} M" if x >= 1e5 else f"{x:g}"))
    axes.legend(loc="best")
    return figure


@style()
def hypervolume_curves(curves: Sequence[tuple[str, Sequence[float]]], looks: Mapping[str, Look]) -> Figure:
    """Returns the hypervolume at the end of each generation.

    Args:
        curves: Names with their hypervolumes from generation 0.
        looks: Colour and dashes of each name.
    """
    figure, axes = panel()
    for name, values in curves:
        color, dashes = looks[name]
        marker = "." if len(values) == 1 else ""
        axes.plot(range(len(values)), values, color=color, ls=dashes, marker=marker, label=shortened(name, 24))
        add_curve(axes, name, "generation", np.arange(len(values)), np.array(values))
    axes.set(title="hypervolume (boxes of generation 0)", xlabel="generation")
    whole_steps(axes)
    legend(axes, len(curves), loc="lower right")
    return figure
