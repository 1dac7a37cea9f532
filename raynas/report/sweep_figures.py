"""Figures of a sweep: a metric against what was varied, each point the mean over seeds with its deviation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from raynas.report.drawing_style import FAINT, INK, MUTED, WIDTH, Look, panel, shortened, style
from raynas.report.quantities import Quantity
from raynas.report.sweep_files import Axis, Number, value_text


@dataclass(frozen=True)
class Series:
    """What a metric is along an axis, all other axes fixed.

    Attributes:
        name: The fixed values.
        values: Values of the axis, in its order.
        numbers: The metric at each; None where no trial has ended.
        published: The paper's figure at each; None where there is none.
        joined: Whether a line through the points means something.
    """

    name: str
    values: Sequence[Any]
    numbers: Sequence[Number | None]
    published: Sequence[Number | None]
    joined: bool = True

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest of what is drawn."""
        shown = [number.mean for number in (*self.numbers, *self.published) if number is not None]
        return min(shown, default=math.nan), max(shown, default=math.nan)


def far_apart(several: Sequence[Series]) -> bool:
    """Returns whether one vertical axis would hide what each series does: they are short, and far from each other."""
    ranges = sorted(one.range for one in several)
    whole = max(high for _, high in ranges) - min(low for low, _ in ranges)
    disjoint = all(before[1] < after[0] for before, after in zip(ranges, ranges[1:], strict=False))
    return len(ranges) > 1 and disjoint and all(high - low < whole / 3 for low, high in ranges)


def is_logarithmic(axis: Axis) -> bool:
    """Returns whether an axis of numbers is drawn by their logarithms: if it was drawn so, or spans decades."""
    positive = [value for value in axis.values if value > 0]
    if not positive or min(axis.values) < 0:
        return False
    return axis.kind == "loguniform" or max(positive) >= 100 * min(positive)


@style()
def along_numbers(
    axis: Axis, several: Sequence[Series], title: str, quantity: Quantity, looks: Mapping[str, Look]
) -> Figure:
    """Returns a metric against an axis of numbers: lines with bands of their deviations, and published figures.

    Where numbers span decades the axis is logarithmic, and 0 has a place of its own, left of all others.

    Args:
        axis: What varies.
        several: A series for each line.
        title: What is fixed in all of them; empty if nothing.
        quantity: The metric.
        looks: Colour and dashes of each series by its name.
    """
    logarithmic = is_logarithmic(axis)
    least = min((value for value in axis.values if value > 0), default=1)

    def place(value: float) -> float:
        if not logarithmic:
            return float(value)
        return math.log10(value) if value > 0 else math.log10(least) - 1

    rows = _legend_rows(several)
    figure, axes = panel(below=0.17 * rows + 0.1 if rows else 0)
    for one in several:
        known = [(place(v), n) for v, n in zip(one.values, one.numbers, strict=True) if n is not None]
        known = sorted(known, key=lambda pair: pair[0])
        color, dashes = looks[one.name]
        x = np.array([at for at, _ in known])
        mean = np.array([number.mean for _, number in known])
        deviation = np.array([number.deviation or 0.0 for _, number in known])
        for at, number in known:
            if len(number.values) > 1:
                axes.plot([at] * len(number.values), number.values, ".", color=color, alpha=0.35, ms=4, mew=0)
        if one.joined and len(known) > 1:
            axes.fill_between(x, mean - deviation, mean + deviation, color=color, alpha=0.15, lw=0)
        else:
            axes.errorbar(x, mean, deviation, color=color, ls="", lw=1.2)
        ls = dashes if one.joined else ""
        axes.plot(x, mean, color=color, ls=ls, marker="o", ms=3, label=shortened(one.name, 28))
        for value, published in zip(one.values, one.published, strict=True):
            if published is not None:
                _mark(axes, place(value), published, color, vertical=True)
    if logarithmic:
        _logarithmic_ticks(axes, axis.values, place)
    elif all(isinstance(value, int) for value in axis.values):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set(title=shortened(f"{quantity.title}{f', {title}' if title else ''}", 52), xlabel=axis.name)
    _plain_numbers(axes.yaxis)
    _legend(figure, axes, several)
    return figure


@style()
def along_names(
    axis: Axis, several: Sequence[Series], title: str, quantity: Quantity, looks: Mapping[str, Look]
) -> Figure:
    """Returns a metric at each named value of an axis: a point with its deviation for each series, under the name.

    Args:
        axis: What varies.
        several: Series, all with the axis' values.
        title: What is fixed in all of them; empty if nothing.
        quantity: The metric.
        looks: Colour and dashes of each series by its name.
    """
    rows = _legend_rows(several)
    step, name_height, bottom, top = 0.17, 0.25, 0.44 + (0.17 * rows + 0.1 if rows else 0), 0.30  # inches
    of_value = name_height + step * len(several)
    drawn = of_value * len(axis.values) + 0.08
    height = bottom + top + drawn
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.12 / WIDTH, bottom / height, 1 - 0.24 / WIDTH, 1 - (bottom + top) / height))
    for row, value in enumerate(axis.values):
        axes.annotate(
            shortened(value_text(value), 58),
            (0, of_value * row + 0.13),
            (2, 0),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            size=8.5,
            color=MUTED,
        )
    rows_of = {value_text(value): row for row, value in enumerate(axis.values)}
    for line, one in enumerate(several):
        color = looks[one.name][0]
        for value, number, published in zip(one.values, one.numbers, one.published, strict=True):
            y = of_value * rows_of[value_text(value)] + name_height + step * (line + 0.3)
            if number is not None:
                if len(number.values) > 1:
                    axes.plot(number.values, [y] * len(number.values), ".", color=color, alpha=0.35, ms=5, mew=0)
                axes.errorbar(number.mean, y, xerr=number.deviation, color=color, lw=1.4)
                axes.plot(number.mean, y, "o", color=color, ms=4.5)
            if published is not None:
                _mark(axes, y + 0.45 * step, published, color, vertical=False)
    for one in several:
        axes.plot([], [], "o", color=looks[one.name][0], ms=4.5, label=shortened(one.name, 28))
    axes.set(
        title=shortened(f"{axis.name}{f', {title}' if title else ''}", 52),
        xlabel=quantity.title,
        ylim=(drawn, 0),
        yticks=[],
    )
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    _plain_numbers(axes.xaxis)
    _legend(figure, axes, several)
    return figure


def _mark(axes: Axes, at: float, number: Number, color: str, *, vertical: bool) -> None:
    """Marks a published figure by an open diamond, its deviation by a thin line."""
    x, y = (at, number.mean) if vertical else (number.mean, at)
    up, along = (number.deviation, None) if vertical else (None, number.deviation)
    axes.errorbar(x, y, up, along, color=color, alpha=0.5, lw=1)
    axes.plot(x, y, "D", ms=5.5, mfc="white", mec=color, mew=1.1)


def _legend_rows(several: Sequence[Series]) -> int:
    entries = (len(several) if len(several) > 1 else 0) + _any_published(several)
    return math.ceil(entries / 2)


def _any_published(several: Sequence[Series]) -> bool:
    published = itertools.chain.from_iterable(one.published for one in several)
    return any(number is not None for number in published)


def _legend(figure: Figure, axes: Axes, several: Sequence[Series]) -> None:
    """Names the series, if there are several, and the mark of published figures, if there are any, under the axes."""
    handles, _ = axes.get_legend_handles_labels()
    handles = handles if len(several) > 1 else []
    if _any_published(several):
        handles += axes.plot([], [], "D", ls="", ms=5.5, mfc="white", mec=INK, mew=1.1, label="published")
    if handles:
        figure.legend(handles=handles, loc="lower left", ncols=2, bbox_to_anchor=(0.02, 0))


def _plain_numbers(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "−")))


def _logarithmic_ticks(axes: Axes, values: Sequence[float], place: Any) -> None:
    """Puts ticks at the values themselves if there are few, else at powers of ten."""
    if len(values) <= 7:
        ticks = list(values)
    else:
        positive = [value for value in values if value > 0]
        powers = range(math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive))) + 1)
        ticks = [*([0] if min(values) == 0 else []), *(10.0**power for power in powers)]
    axes.xaxis.set_major_locator(FixedLocator([place(value) for value in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    labels = {place(value): value_text(value) for value in ticks}
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: labels.get(at, "")))
    if min(values) == 0:
        zero, first = place(0), place(min(value for value in values if value > 0))
        axes.axvline((zero + first) / 2, color=FAINT, lw=0.8, ls=":")
