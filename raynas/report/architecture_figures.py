"""Drawings of architectures as graphs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path

from raynas.records.graph import Edge
from raynas.report.drawing_style import DRAWING_WIDTH, LABEL_SIZE, style, text_width
from raynas.report.layout import Layout, lay_out, live_edges
from raynas.report.palette import FAINT, INK, MUTED, PALE, PAPER, operation_colors
from raynas.report.quantities import operation_label


def colors_of(drawings: Iterable[Mapping[str, Sequence[Edge]]]) -> dict[str, str]:
    """Returns the colour of each operation of the drawings."""
    names: set[str] = set()
    for drawing in drawings:
        for edges in drawing.values():
            names.update(operation for _, _, operation in edges)
    return operation_colors(names)


@style()
def architecture_figure(drawing: Mapping[str, Sequence[Edge]], colors: Mapping[str, str]) -> Figure:
    """Returns the graphs of an architecture, one below the other, in their natural size.

    Args:
        drawing: Labelled edges by the name of the graph. At least one graph has edges; the others are left out.
        colors: The colour of each operation.
    """
    layouts = {name: _laid_out(edges, DRAWING_WIDTH - 4) for name, edges in drawing.items() if edges}
    title = 16.0 if len(layouts) > 1 else 0.0
    gap, margin = 12.0, 2.0
    width = max([DRAWING_WIDTH, *(layout.width + 2 * margin for layout in layouts.values())])
    height = 2 * margin + sum(layout.height + title for layout in layouts.values()) + gap * (len(layouts) - 1)
    figure = Figure(figsize=(width / 72, height / 72))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    top = height - margin
    for name, layout in layouts.items():
        if title:
            axes.text(margin, top, name, size=8, color=MUTED, va="top")
        top -= title + layout.height
        draw_graph(axes, drawing[name], layout, colors, ((width - layout.width) / 2, top))
        top -= gap
    return figure


def _laid_out(edges: Sequence[Edge], width: float) -> Layout:
    """Returns the layout of a graph with labels of size `LABEL_SIZE`."""
    labels = [_label_lines(operation) for _, _, operation in edges]
    sizes = [(max(map(text_width, lines)) + 8, 9.5 * len(lines) + 4.5) if lines else (0.0, 2.0) for lines in labels]
    widths = {}
    for source, target, _ in edges:
        for node in (source, target):
            widths[node] = max(15.0, text_width(node) + 9)
    return lay_out(edges, sizes, widths, width)


def wrapped_layouts(edges: Sequence[Edge], width: float) -> Iterator[Layout]:
    """Yields layouts with chains broken at increasing widths."""
    for factor in (1.0, 1.5, 2.0, 3.0):
        yield _laid_out(edges, factor * width)


def _label_lines(operation: str) -> list[str]:
    """Returns the label of an operation; a long label has two lines of similar length."""
    label = operation_label(operation)
    words = label.split(" ")
    if len(label) <= 9 or len(words) == 1:
        return [label] if label else []
    cuts = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
    return list(min(reversed(cuts), key=lambda cut: max(map(len, cut))))


def draw_graph(
    axes: Axes,
    edges: Sequence[Edge],
    layout: Layout,
    colors: Mapping[str, str],
    origin: tuple[float, float],
    scale: float = 1.0,
) -> None:
    """Draws a graph with its layout into axes in points; dead edges are pale and dashed."""
    shift = np.array(origin)
    for (_, _, operation), label, route, live in zip(
        edges, layout.labels, layout.routes, live_edges(edges), strict=True
    ):
        color = colors[operation] if live else FAINT
        points = np.array(route) * scale + shift
        codes = [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1)
        dashes = "-" if live else (0, (3, 2))
        thick = scale * (0.8 if operation in PALE else 1.2)
        axes.add_patch(PathPatch(Path(points, codes), fc="none", ec=color, lw=thick, ls=dashes, zorder=1))
        ahead = (points[-1] - points[-2]) / np.linalg.norm(points[-1] - points[-2])
        aside = np.array([-ahead[1], ahead[0]])
        head = [points[-1], *(points[-1] + scale * (side * 2.4 * aside - 5.5 * ahead) for side in (1, -1))]
        axes.add_patch(Polygon(head, closed=True, fc=color, ec="none", zorder=2))
        if lines := _label_lines(operation):
            middle = np.array((label.x, label.y)) * scale + shift
            _pill(axes, middle, (label.width, label.height), scale, fc=PAPER, ec=color, lw=0.75 * thick)
            axes.text(
                middle[0],
                middle[1],
                "\n".join(lines),
                size=LABEL_SIZE * scale,
                color=INK if live and operation not in PALE else MUTED,
                ha="center",
                va="center_baseline",
                linespacing=1.1,
                zorder=4,
            )
    for name, box in layout.nodes.items():
        middle = np.array((box.x, box.y)) * scale + shift
        _pill(axes, middle, (box.width, box.height), scale, fc=INK, ec="none", lw=0)
        axes.text(
            middle[0],
            middle[1],
            name,
            size=LABEL_SIZE * scale,
            color=PAPER,
            ha="center",
            va="center_baseline",
            zorder=4,
        )


def _pill(axes: Axes, middle: np.ndarray, size: tuple[float, float], scale: float, **look: Any) -> None:
    width, height = size[0] * scale, size[1] * scale
    style = f"round,pad=0,rounding_size={min(height / 2, 7.5 * scale)}"
    corner = middle - np.array((width, height)) / 2
    axes.add_patch(FancyBboxPatch(tuple(corner), width, height, boxstyle=style, zorder=3, **look))
