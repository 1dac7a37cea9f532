"""The frame of figures that have one row for each value: its name above its mark, and its number at the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raynas.report.drawing_style import WIDTH, shortened
from raynas.report.palette import INK, MUTED

NAME_LENGTH = 44
"""Largest number of characters of a name."""


@dataclass(frozen=True)
class LabelledRow:
    """The texts of a row.

    Attributes:
        name: What the row is of.
        number: Its value as text.
        color: Colour of the number.
    """

    name: str
    number: str
    color: str = INK


def row_panel(rows: Sequence[LabelledRow], title: str) -> tuple[Figure, Axes]:
    """Returns a figure with the texts of its rows; the mark of row `i` belongs at the height ``mark_height(i)``."""
    height = 0.66 + 0.36 * len(rows)
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.12 / WIDTH, 0.34 / height, 1 - 0.68 / WIDTH, 1 - 0.64 / height))
    for place, row in enumerate(rows):
        _write(axes, shortened(row.name, NAME_LENGTH), (0, place - 0.2), 2, MUTED)
        _write(axes, row.number, (1, mark_height(place)), 6, row.color)
    axes.set(title=title, ylim=(len(rows) - 0.45, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    return figure, axes


def mark_height(place: int) -> float:
    """Returns the vertical place of the mark of a row, below its name."""
    return place + 0.2


def _write(axes: Axes, text: str, place: tuple[float, float], points: float, color: str) -> None:
    """Writes a text to the right of a place: x from 0 to 1 across the axes, y in data."""
    across = axes.get_yaxis_transform()
    axes.annotate(
        text, place, (points, 0), xycoords=across, textcoords="offset points", va="center", size=8.5, color=color
    )
