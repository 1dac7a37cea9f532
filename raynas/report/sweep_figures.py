"""Figures of a sweep: a metric against a varied key; each point is a mean over seeds with its deviation."""

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

from raynas.report.drawing_style import WIDTH, panel, shortened, style
from raynas.report.hover import add_values
from raynas.report.palette import FAINT, INK, MUTED, PAPER, Look
from raynas.report.quantities import Quantity
from raynas.report.sweep_files import Axis, Number, value_text, with_deviation


@dataclass(frozen=True)
class Series:
    """A metric along an axis, with all other axes fixed.

    Attributes:
        name: The fixed values.
        values: Values of the axis, in its order.
        numbers: The metric at each value; None if no trial has ended.
        published: The paper's number at each value; None without one.
        joined: Whether a line may connect the points.
    """

    name: str
    values: Sequence[Any]
    numbers: Sequence[Number | None]
    published: Sequence[Number | None]
    joined: bool = True

    @property
    def range(self) -> tuple[float, float]:
        """The least and the largest number in the figure."""
        shown = [number.mean for number in (*self.numbers, *self.published) if number is not None]
        return min(shown, default=math.nan), max(shown, default=math.nan)


def far_apart(several: Sequence[Series]) -> bool:
    """Returns whether one vertical axis would hide the series: their ranges are short and far from each other."""
    ranges = sorted(line.range for line in several)
    whole = max(high for _, high in ranges) - min(low for low, _ in ranges)
    disjoint = all(before[1] < after[0] for before, after in zip(ranges, ranges[1:], strict=False))
    return len(ranges) > 1 and disjoint and all(high - low < whole / 3 for low, high in ranges)


@style()
def along_numbers(
    axis: Axis, several: Sequence[Series], title: str, quantity: Quantity, looks: Mapping[str, Look]
) -> Figure:
    """Returns a metric against an axis of numbers: lines with bands for the deviations, and published numbers.

    An axis that spans decades is logarithmic, with a separate place for 0 at its left end.

    Args:
        axis: The varied key.
        several: A series for each line.
        title: The fixed values of all series; empty without any.
        quantity: The metric.
        looks: Colour and dashes by the name of the series.
    """
    logarithmic = axis.is_logarithmic
    least = min((value for value in axis.values if value > 0), default=1)

    def place(value: float) -> float:
        if not logarithmic:
            return float(value)
        return math.log10(value) if value > 0 else math.log10(least) - 1

    rows = _legend_rows(several)
    figure, axes = panel(below=0.17 * rows + 0.1 if rows else 0)
    for line in several:
        known = [(place(v), n) for v, n in zip(line.values, line.numbers, strict=True) if n is not None]
        known = sorted(known, key=lambda pair: pair[0])
        color, dashes = looks[line.name]
        x = np.array([position for position, _ in known])
        mean = np.array([number.mean for _, number in known])
        deviation = np.array([number.deviation or 0.0 for _, number in known])
        for position, number in known:
            if len(number.values) > 1:
                axes.plot([position] * len(number.values), number.values, ".", color=color, alpha=0.35, ms=4, mew=0)
        if line.joined and len(known) > 1:
            axes.fill_between(x, mean - deviation, mean + deviation, color=color, alpha=0.15, lw=0)
        else:
            axes.errorbar(x, mean, deviation, color=color, ls="", lw=1.2)
        ls = dashes if line.joined else ""
        axes.plot(x, mean, color=color, ls=ls, marker="o", ms=3, label=shortened(line.name, 28))
        _add_means(axes, quantity, line, x, mean, [number for _, number in known])
        for value, published in zip(line.values, line.published, strict=True):
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
    """Returns a metric at each named value of an axis: one point with its deviation for each series.

    Args:
        axis: The varied key.
        several: Series, all with the values of the axis.
        title: The fixed values of all series; empty without any.
        quantity: The metric.
        looks: Colour and dashes by the name of the series.
    """
    rows = _legend_rows(several)
    step, name_height, bottom, top = 0.17, 0.25, 0.44 + (0.17 * rows + 0.1 if rows else 0), 0.30  # inches
    of_value = name_height + step * len(several)
    inner_height = of_value * len(axis.values) + 0.08
    height = bottom + top + inner_height
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
    for index, line in enumerate(several):
        color = looks[line.name][0]
        for value, number, published in zip(line.values, line.numbers, line.published, strict=True):
            y = of_value * rows_of[value_text(value)] + name_height + step * (index + 0.3)
            if number is not None:
                if len(number.values) > 1:
                    axes.plot(number.values, [y] * len(number.values), ".", color=color, alpha=0.35, ms=5, mew=0)
                axes.errorbar(number.mean, y, xerr=number.deviation, color=color, lw=1.4)
                axes.plot(number.mean, y, "o", color=color, ms=4.5)
                _add_means(axes, quantity, line, [number.mean], [y], [number])
            if published is not None:
                _mark(axes, y + 0.45 * step, published, color, vertical=False)
    for line in several:
        axes.plot([], [], "o", color=looks[line.name][0], ms=4.5, label=shortened(line.name, 28))
    axes.set(
        title=shortened(f"{axis.name}{f', {title}' if title else ''}", 52),
        xlabel=quantity.title,
        ylim=(inner_height, 0),
        yticks=[],
    )
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    _plain_numbers(axes.xaxis)
    _legend(figure, axes, several)
    return figure


def _add_means(axes: Axes, quantity: Quantity, line: Series, x: Any, y: Any, numbers: Sequence[Number]) -> None:
    """Adds the mean of every point with its deviation, to be seen while pointing at it."""
    name = f"{line.name}: " if line.name else ""

    def text(point: int) -> str:
        written = with_deviation(quantity, numbers[point].mean, numbers[point].deviation)
        return f"{name}{quantity.name} {written} {quantity.unit}".rstrip()

    add_values(axes, x, y, text)


def _mark(axes: Axes, position: float, number: Number, color: str, *, vertical: bool) -> None:
    """Marks a published number by an open diamond, and its deviation by a thin line."""
    x, y = (position, number.mean) if vertical else (number.mean, position)
    up, along = (number.deviation, None) if vertical else (None, number.deviation)
    axes.errorbar(x, y, up, along, color=color, alpha=0.5, lw=1)
    axes.plot(x, y, "D", ms=5.5, mfc=PAPER, mec=color, mew=1.1)


def _legend_rows(several: Sequence[Series]) -> int:
    entries = (len(several) if len(several) > 1 else 0) + _any_published(several)
    return math.ceil(entries / 2)


def _any_published(several: Sequence[Series]) -> bool:
    published = itertools.chain.from_iterable(line.published for line in several)
    return any(number is not None for number in published)


def _legend(figure: Figure, axes: Axes, several: Sequence[Series]) -> None:
    """Adds a legend below the axes, for several series and for published numbers."""
    handles, _ = axes.get_legend_handles_labels()
    handles = handles if len(several) > 1 else []
    if _any_published(several):
        handles += axes.plot([], [], "D", ls="", ms=5.5, mfc=PAPER, mec=INK, mew=1.1, label="published")
    if handles:
        figure.legend(handles=handles, loc="lower left", ncols=2, bbox_to_anchor=(0.02, 0))


def _plain_numbers(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "−")))


def _logarithmic_ticks(axes: Axes, values: Sequence[float], place: Any) -> None:
    """Places ticks at the values if they are few, otherwise at powers of ten."""
    if len(values) <= 7:
        ticks = list(values)
    else:
        positive = [value for value in values if value > 0]
        powers = range(math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive))) + 1)
        ticks = [*([0] if min(values) == 0 else []), *(10.0**power for power in powers)]
    axes.xaxis.set_major_locator(FixedLocator([place(value) for value in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    labels = {place(value): value_text(value) for value in ticks}
    axes.xaxis.set_major_formatter(FuncFormatter(lambda position, _: labels.get(position, "")))
    if min(values) == 0:
        zero, first = place(0), place(min(value for value in values if value > 0))
        axes.axvline((zero + first) / 2, color=FAINT, lw=0.8, ls=":")
