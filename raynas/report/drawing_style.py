"""The look of all figures: colours, sizes and style.

The title of a vertical axis stands above it, with its unit. Text stays text in an SVG. The same data give the same
bytes.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogFormatter, MaxNLocator

from raynas.report.palette import FAINT, GRID, INK, MUTED, PAPER, SERIES

WIDTH, HEIGHT = 3.6, 2.5  # inches of a figure
DRAWING_WIDTH = 72 * WIDTH  # points

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "raynas",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.titlecolor": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "ytick.major.size": 0,
    "lines.linewidth": 1.4,
    "legend.edgecolor": "none",
    "legend.borderpad": 0.2,
    "legend.fontsize": 8,
    "legend.handlelength": 1.4,
    "text.color": INK,
    "figure.facecolor": PAPER,
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Applies the style of the report, independently of the user's matplotlib settings."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")  # a browser has more fonts
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def svg_of(figure: Figure) -> str:
    """Returns a figure as SVG text."""
    return _saved(figure, "svg", metadata={"Date": None}).decode("utf-8")


def png_of(figure: Figure) -> bytes:
    """Returns a figure as PNG with 200 pixels per inch."""
    return _saved(figure, "png", metadata={"Software": None})


@style()
def _saved(figure: Figure, format: str, metadata: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=format, dpi=200, metadata=metadata)
    return stream.getvalue()


def panel(height: float = HEIGHT, below: float = 0.0) -> tuple[Figure, Axes]:
    """Returns a figure with the common size and place of the axes, and `below` more inches under them."""
    height += below
    figure = Figure(figsize=(WIDTH, height))
    left, right, bottom, top = 0.50, 0.12, 0.44 + below, 0.30  # inches
    axes = figure.add_axes((left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (bottom + top) / height))
    return figure, axes


def whole_steps(axes: Axes) -> None:
    """Places the ticks of the horizontal axis at whole numbers."""
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))


def legend(axes: Axes, entries: int, **place: Any) -> None:
    """Adds a legend if there are several entries, but not more than the looks distinguish."""
    if 1 < entries <= len(SERIES):
        axes.legend(**{"loc": "best", **place})


LABEL_SIZE = 7.5


def shortened(text: str, length: int) -> str:
    """Returns a text of limited length, with an ellipsis at the end if it was longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def text_width(text: str) -> float:
    """Returns the width of a text of `LABEL_SIZE` in points."""
    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text, size=LABEL_SIZE, usetex=False).get_extents().width)


def finite_values(values: np.ndarray) -> np.ndarray:
    """Returns the finite values."""
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def opacity(points: int) -> float:
    """Returns the opacity of points, which decreases with their number to show their density."""
    return float(np.clip(300 / max(1, points), 0.08, 0.6))


class _PlainLogFormatter(LogFormatter):
    """Labels the ticks of a logarithmic axis as matplotlib does, but short numbers without exponents."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def logarithmic_heights(axes: Axes) -> None:
    """Makes the vertical axis logarithmic, its ticks in plain numbers: an SVG does not show matplotlib's powers."""
    axes.set_yscale("log")
    plain_ticks(axes.yaxis)
    axes.tick_params(axis="y", which="minor", size=0, labelsize=8)


def plain_ticks(axis: Axis) -> None:
    """Labels the ticks of a logarithmic axis in plain numbers."""
    axis.set_major_formatter(_PlainLogFormatter())
    axis.set_minor_formatter(_PlainLogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
