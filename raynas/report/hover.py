"""Values of a figure that a reader sees while pointing at them, as transparent circles with a title in the SVG.

A browser shows the title of the circle under the pointer; the script of the page shows that of the nearest one.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

POINTS = 400
"""Largest number of points with values in a figure."""

CURVE_POINTS = 60
"""Largest number of points with values on a curve."""


class Values(Artist):
    """Points of an axes with a text each; nothing is drawn.

    Attributes:
        points: Their places in data, ``(n, 2)``.
        text: Returns the text of a point by its place among them.
    """

    def __init__(self, points: np.ndarray, text: Callable[[int], str]) -> None:
        """Takes the points and what makes their texts."""
        super().__init__()
        self.points, self.text = points, text

    def draw(self, renderer: Any) -> None:
        """Draws nothing."""


def add_values(axes: Axes, x: Any, y: Any, text: Callable[[int], str]) -> None:
    """Adds values to points of an axes; points that are not finite have none.

    Args:
        axes: The axes.
        x: Horizontal places in data.
        y: Vertical places in data.
        text: Returns the text of a point by its number; called for the points that the figure keeps.
    """
    points = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
    finite = np.flatnonzero(np.isfinite(points).all(axis=1)).tolist()
    axes.add_artist(Values(points[finite], lambda place: text(finite[place])))


def add_curve(axes: Axes, name: str, unit: str, x: np.ndarray, y: np.ndarray, drawn: np.ndarray | None = None) -> None:
    """Adds the values of a curve, such as ``seed 0, epoch 3: 2.31``; of a long curve those at even steps.

    Args:
        axes: The axes.
        name: The name of the curve.
        unit: What its horizontal axis counts.
        x: Horizontal places.
        y: The values.
        drawn: Vertical places, if they are not the values.
    """
    steps = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).round().astype(int)) if len(x) else np.array([], int)
    places = (y if drawn is None else drawn)[steps]
    x, y = x[steps], y[steps]
    add_values(axes, x, places, lambda i: f"{name}, {unit} {x[i]:,g}: {y[i]:,.5g}")


def marks_of(figure: Figure) -> str:
    """Returns the circles of a figure that was drawn, as markup for the end of its SVG; empty without values."""
    marks: list[tuple[float, float, Values, int]] = []
    for axes in figure.axes:
        for artist in axes.artists:
            if isinstance(artist, Values) and len(artist.points):
                places = axes.transData.transform(artist.points) * 72 / figure.dpi
                marks += [(x, y, artist, place) for place, (x, y) in enumerate(places.tolist())]
    if not marks:
        return ""
    shown = np.unique(np.linspace(0, len(marks) - 1, POINTS).round().astype(int)).tolist()
    height = 72 * figure.get_size_inches()[1]
    lines = ['<g class="values">']
    for number in shown:
        x, y, values, place = marks[number]
        title = html.escape(values.text(place), quote=False)
        lines.append(f'<circle cx="{x:.1f}" cy="{height - y:.1f}" r="4"><title>{title}</title></circle>')
    return "\n".join([*lines, "</g>"])
