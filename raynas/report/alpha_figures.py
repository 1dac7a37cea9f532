"""Figures of the architecture parameters: curves over epochs, and the weights of every candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from raynas.report.alpha_values import Alphas
from raynas.report.drawing_style import (
    LABEL_SIZE,
    WIDTH,
    finite_values,
    logarithmic_heights,
    panel,
    shortened,
    style,
    text_width,
    whole_steps,
)
from raynas.report.hover import add_curve
from raynas.report.palette import ACCENT, GRID, INK, PAPER, SERIES, Look
from raynas.report.quantities import operation_label


@dataclass(frozen=True)
class Curve:
    """A line over epochs.

    Attributes:
        name: Key of its look; curves of the same name share an entry of the legend.
        epochs: The epochs of its values.
        values: Its values.
        band: Least and largest of the averaged values; None without a band.
    """

    name: str
    epochs: np.ndarray
    values: np.ndarray
    band: tuple[np.ndarray, np.ndarray] | None = None


@style()
def curves_by_epoch(
    curves: Sequence[Curve],
    title: str,
    looks: Mapping[str, Look],
    *,
    limits: tuple[float, float] | None = None,
    logarithmic: bool = False,
) -> Figure:
    """Returns curves over epochs, with a legend below if there are several names.

    Args:
        curves: At least one curve; a line has a gap at values that a logarithmic axis cannot show.
        title: Title of the vertical axis.
        looks: Colour and dashes by name.
        limits: Ends of the vertical axis; None for the range of the data.
        logarithmic: Whether the vertical axis is logarithmic.
    """
    names = list(dict.fromkeys(curve.name for curve in curves))
    labels = {name: shortened(name, 24) for name in names}
    columns = 2 if len(names) == 4 or max(map(len, labels.values())) > 10 else 3
    rows = math.ceil(len(names) / columns) if len(names) > 1 else 0
    figure, axes = panel(below=0.17 * rows + 0.1 if rows else 0)
    handles = {}
    for curve in curves:
        color, dashes = looks[curve.name]
        if curve.band is not None:
            axes.fill_between(curve.epochs, *curve.band, color=color, alpha=0.15, lw=0)
        values = np.where(curve.values > 0, curve.values, np.nan) if logarithmic else curve.values
        marker = "." if len(finite_values(values)) == 1 else ""
        width = 2.2 if curve.name == "skip_connect" else 1.4
        (handles[curve.name],) = axes.plot(
            curve.epochs, values, color=color, ls=dashes, lw=width, marker=marker, label=labels[curve.name]
        )
        add_curve(axes, curve.name, "epoch", curve.epochs, values)
    axes.set(title=title, xlabel="epoch")
    if logarithmic:
        logarithmic_heights(axes)
    if limits is not None:
        axes.set_ylim(limits)
    whole_steps(axes)
    if rows:
        figure.legend(handles=list(handles.values()), loc="lower left", ncols=columns, bbox_to_anchor=(0.02, 0))
    return figure


CELL = 0.27, 0.165
"""Width and height of a candidate in a map of weights, inches."""

MAP_WIDTH, MAP_ROWS, MAP_NUMBERS = 10.8, 40, 1000
"""Largest width of a line of blocks in inches, largest number of rows, and of candidates with numbers."""


@dataclass(frozen=True)
class _Block:
    """A part of a map: choices of one kind that share their candidates.

    Attributes:
        kind: The beginning of their names.
        rows: Indices of the choices.
        labels: Their names without the kind.
        heads: Their candidates.
        left, above: Size of the labels and the heads, in inches.
    """

    kind: str
    rows: Sequence[int]
    labels: Sequence[str]
    heads: Sequence[str]
    left: float
    above: float

    @property
    def width(self) -> float:
        return max(self.left + CELL[0] * len(self.heads), text_width(self.kind) / 72) + 0.22

    @property
    def height(self) -> float:
        return CELL[1] * len(self.rows)


def _blocks(alphas: Alphas) -> list[_Block]:
    groups: dict[tuple[tuple[str, ...], str], list[int]] = {}
    for number, (name, candidates) in enumerate(zip(alphas.choices, alphas.candidates, strict=True)):
        kind = name.partition(" ")[0] if " " in name else ""
        groups.setdefault((tuple(candidates), kind), []).append(number)
    blocks = []
    for (candidates, kind), members in groups.items():
        parts = math.ceil(len(members) / MAP_ROWS)
        heads = [shortened(operation_label(name), 32) for name in candidates]
        for part in np.array_split(members, parts):
            rows = part.tolist()
            labels = [shortened(alphas.choices[row].removeprefix(f"{kind} "), 24) for row in rows]
            left, above = (max(map(text_width, words)) / 72 + 0.1 for words in (labels, heads))
            blocks.append(_Block(kind, rows, labels, heads, left, above + (0.2 if kind else 0)))
    return blocks


def _lines_of_blocks(alphas: Alphas) -> list[list[_Block]]:
    """Returns the parts of a map in lines of at most `MAP_WIDTH`."""
    lines: list[list[_Block]] = [[]]
    for block in _blocks(alphas):
        if lines[-1] and sum(other.width for other in lines[-1]) + block.width > MAP_WIDTH:
            lines.append([])
        lines[-1].append(block)
    return lines


@style()
def weight_map(alphas: Alphas) -> Figure:
    """Returns the weights of the candidates at each choice after the last epoch, with frames on the derived candidates.

    Choices with the same candidates are rows of one block, and each kind of cell has its own block. Many rows are split
    into blocks side by side.
    """
    weights, taken = alphas.weights[-1], alphas.derived[-1].taken
    most = max(float(np.nanmax(weights)), 2 / weights.shape[1])
    lines = _lines_of_blocks(alphas)
    width, heights = WIDTH, []
    for line in lines:
        width = max(width, sum(block.width for block in line))
        heights.append(max(block.above for block in line) + max(block.height for block in line) + 0.2)
    height = sum(heights)
    figure = Figure(figsize=(width, height))
    numbered = np.isfinite(weights).sum() <= MAP_NUMBERS
    top = height
    for line, taller in zip(lines, heights, strict=True):
        above, x = max(block.above for block in line), 0.0
        for block in line:
            size = CELL[0] * len(block.heads) / width, block.height / height
            axes = figure.add_axes(((x + block.left) / width, (top - above - block.height) / height, *size))
            values = weights[block.rows][:, : len(block.heads)]
            _draw_cells(axes, values / most)
            _frame_map(axes, block, values, [taken[row] for row in block.rows], most, numbered)
            if block.kind:
                figure.text(
                    x / width, (top - above + block.above - 0.06) / height, block.kind, size=8, color=INK, va="top"
                )
            x += block.width
        top -= taller
    return figure


def _draw_cells(axes: Axes, shares: np.ndarray) -> None:
    """Fills a cell for each weight, the more opaque the larger; an opacity suits light and dark pages."""
    opacities = np.nan_to_num(shares).clip(0, 1).ravel()
    colors = [to_rgba(SERIES[0], opacity) for opacity in opacities.tolist()]
    cells = [Rectangle((column - 0.5, row - 0.5), 1, 1) for row, column in np.ndindex(*shares.shape)]
    axes.add_collection(PatchCollection(cells, facecolors=colors, edgecolors="none", linewidths=0))
    rows, columns = shares.shape
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))


def _frame_map(
    axes: Axes, block: _Block, values: np.ndarray, taken: Sequence[int], most: float, numbered: bool
) -> None:
    """Adds labels, numbers and the frames of the derived candidates."""
    axes.set_xticks(range(len(block.heads)), block.heads, rotation=90, size=LABEL_SIZE)
    axes.set_yticks(range(len(block.rows)), block.labels, size=LABEL_SIZE)
    axes.tick_params(length=0, pad=3, top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.grid(False)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(GRID)
    for row, candidate in enumerate(taken):
        if candidate >= 0:
            place = (candidate - 0.46, row - 0.43)
            axes.add_patch(Rectangle(place, 0.92, 0.86, fc="none", ec=ACCENT, lw=1.1, clip_on=False))
    for (row, candidate), value in np.ndenumerate(values):
        if numbered or taken[row] == candidate:
            text = "1" if value > 0.995 else f"{value:.2f}".removeprefix("0")
            color = PAPER if value > 0.55 * most else INK
            axes.text(candidate, row, text, size=6.5, color=color, ha="center", va="center_baseline")
