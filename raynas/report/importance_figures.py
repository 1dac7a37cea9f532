"""Figures of all varied keys of a sweep at once: their importance, and parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raynas.report.drawing_style import WIDTH, shortened, style
from raynas.report.hover import add_values
from raynas.report.palette import ACCENT, FAINT, INK, MUTED, SERIES
from raynas.report.quantities import Quantity
from raynas.report.row_figures import LabelledRow, mark_height, row_panel
from raynas.report.sweep_files import Axis, Row, Sweep, value_text

SHARES = 10
"""Largest number of keys and pairs in the figure of importance."""


@style()
def importance_bars(shares: Mapping[str, float]) -> Figure:
    """Returns the share of each key as a bar, in percent."""
    shown = [(name, share) for name, share in shares.items() if math.isfinite(share)][:SHARES]
    labels = [LabelledRow(name, f"{100 * share:.0f}") for name, share in shown]
    figure, axes = row_panel(labels, "explained variance (percent)")
    heights = [mark_height(place) for place in range(len(shown))]
    percent = [100 * share for _, share in shown]
    axes.barh(heights, percent, height=0.34, color=SERIES[0], alpha=0.7, lw=0)
    add_values(axes, percent, heights, lambda i: f"{shown[i][0]}: {percent[i]:.1f} percent")
    axes.set_xlim(0, 100)
    return figure


LINES = 300
"""Largest number of settings in parallel coordinates; of more, those of best means are shown."""


@style()
def parallel_coordinates(sweep: Sweep) -> Figure | None:
    """Returns a line for each setting across all varied keys, to its metric at the right; None without numbers.

    The third of best means is blue, the best one orange, the others are grey.
    """
    rows = sweep.known(sweep.rows)
    if len(rows) < 2 or len(sweep.varied) < 2:
        return None
    sign = -1 if sweep.mode == "max" else 1
    rows = sorted(rows, key=lambda row: sign * row.numbers[sweep.metric].mean)[:LINES]
    quantity, count = sweep.quantity(sweep.metric), len(sweep.varied) + 1
    width = max(2 * WIDTH, 1.5 * count)
    figure = Figure(figsize=(width, 2.7))
    axes = figure.add_axes((0.7 / width, 0.04, 1 - 1.6 / width, 0.82))
    means = np.array([row.numbers[sweep.metric].mean for row in rows])
    low, high = float(means.min()), float(means.max())
    columns = []
    for axis in sweep.varied:
        columns.append([_height(axis, row.point[axis.name]) for row in rows])
    ends = (means - low) / (high - low) if high > low else np.full(len(rows), 0.5)
    lines = np.column_stack([*columns, ends])
    for place in reversed(range(len(rows))):
        color, alpha, thick = (FAINT, 0.45, 0.8) if place >= max(2, len(rows) / 3) else (SERIES[0], 0.8, 1.1)
        if place == 0:
            color, alpha, thick = ACCENT, 1.0, 2.0
        axes.plot(range(count), lines[place], color=color, alpha=alpha, lw=thick)
    _frame(axes, sweep, quantity, (low, high))
    _add_settings(axes, sweep, rows, ends, quantity)
    return figure


def _height(axis: Axis, value: object) -> float:
    """Returns the place of a value on its axis, from 0 to 1."""
    if axis.is_numeric and len(axis.values) > 1:
        numbers = np.array([*axis.values, value], float)
        if axis.is_logarithmic and numbers.min() > 0:
            numbers = np.log10(numbers)
        low, high = numbers[:-1].min(), numbers[:-1].max()
        return float((numbers[-1] - low) / (high - low))
    texts = [value_text(one) for one in axis.values]
    return texts.index(value_text(value)) / max(1, len(texts) - 1)


def _frame(axes: Axes, sweep: Sweep, quantity: Quantity, ends: tuple[float, float]) -> None:
    """Draws the vertical axes with their names and some of their values."""
    last = len(sweep.varied)
    for place, axis in enumerate(sweep.varied):
        axes.axvline(place, color=FAINT, lw=0.8)
        values = list(axis.values)
        if len(values) > 6:
            values = [values[number] for number in np.linspace(0, len(values) - 1, 4).round().astype(int).tolist()]
        for value in values:
            label = shortened(value_text(value), 14)
            axes.annotate(
                label, (place, _height(axis, value)), (3, 3), textcoords="offset points", size=7.5, color=MUTED
            )
        _head(axes, place, shortened(axis.name, 22))
    axes.axvline(last, color=FAINT, lw=0.8)
    for height, value in zip((0, 1), ends, strict=True):
        axes.annotate(
            quantity.write(value),
            (last, height),
            (4, 0),
            textcoords="offset points",
            va="center",
            size=7.5,
            color=MUTED,
        )
    _head(axes, last, shortened(quantity.title, 26))
    axes.set(ylim=(-0.04, 1.04))
    axes.axis("off")


def _head(axes: Axes, place: int, name: str) -> None:
    """Writes the name of a vertical axis above it."""
    axes.annotate(name, (place, 1.1), ha="center", size=8.5, color=INK, annotation_clip=False)


def _add_settings(axes: Axes, sweep: Sweep, rows: list[Row], ends: np.ndarray, quantity: Quantity) -> None:
    """Adds the setting of each line at its right end, to be seen while pointing at it."""

    def text(number: int) -> str:
        point = ", ".join(f"{axis.name} {value_text(rows[number].point[axis.name])}" for axis in sweep.varied)
        return f"{point}: {rows[number].write(sweep.metric, quantity)} {quantity.unit}".rstrip()

    add_values(axes, np.full(len(rows), len(sweep.varied)), ends, text)
