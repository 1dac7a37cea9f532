"""Figures of a run, each a function of its data. Small and of one size, so that they stand side by side as multiples.

What a vertical axis shows stands over it, with its unit. Text stays text in an SVG. The same data give the same bytes.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator

from raynas.report.layout import Edge, Layout, lay_out, live_edges
from raynas.report.quantities import ACCURACY, CORRELATION, COSTS, LOSS, Quantity, operation_label
from raynas.report.run_files import Alphas, Columns, History, Judged, Profile, Rank, Run

INK, MUTED, FAINT, GRID = "#1f2933", "#52606d", "#9aa5b1", "#e4e7eb"
ACCENT = "#c2410c"
SERIES = ("#0b5fa5", "#c2410c", "#0f766e", "#7c3aed", "#a16207", "#be185d", "#4b5563")
"""Colours of lines and operations: told apart in grey and by colour-blind eyes too, as labels stand beside them."""

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
    "figure.facecolor": "white",
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draws in the report's style, whatever the user's own matplotlib is set to."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")  # a browser has more fonts
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def svg_of(figure: Figure) -> str:
    """Returns a figure as SVG text."""
    return _saved(figure, "svg", metadata={"Date": None}).decode("utf-8")


def png_of(figure: Figure) -> bytes:
    """Returns a figure as PNG, 200 pixels to an inch."""
    return _saved(figure, "png", metadata={"Software": None})


@style()
def _saved(figure: Figure, format: str, metadata: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format=format, dpi=200, metadata=metadata)
    return stream.getvalue()


def panel(height: float = HEIGHT, below: float = 0.0) -> tuple[Figure, Axes]:
    """Returns a figure of the common size, its axes at the common place, with so many inches more below them."""
    height += below
    figure = Figure(figsize=(WIDTH, height))
    left, right, bottom, top = 0.50, 0.12, 0.44 + below, 0.30  # inches
    axes = figure.add_axes((left / WIDTH, bottom / height, 1 - (left + right) / WIDTH, 1 - (bottom + top) / height))
    return figure, axes


def _whole_steps(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))


Look: TypeAlias = tuple[str, str | tuple[int, tuple[int, ...]]]
"""Colour and dashes of a line."""

DASHES = ("-", (0, (5, 2)), (0, (1, 1)))


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """Returns a look for each name: the colours in turn, then the colours with dashes."""
    looks: Sequence[Look] = [(color, dashes) for dashes in DASHES for color in SERIES]
    return dict(zip(dict.fromkeys(names), _cycle(looks), strict=False))


def _legend(axes: Axes, entries: int, **place: Any) -> None:
    if 1 < entries <= len(SERIES):
        axes.legend(**{"loc": "best", **place})


# Training


TRAINING = {"loss": LOSS, "accuracy": ACCURACY, "learning_rate": Quantity("learning rate")}
"""What is drawn of the training, by its name in the metrics."""


@style()
def training_curves(lines: Sequence[tuple[str, Columns]], metric: str, looks: Mapping[str, Look]) -> Figure:
    """Returns one of the metrics by epoch.

    Args:
        lines: Names, such as base seeds, and the metrics of each; a name may have several lines.
        metric: Which one, a key of `TRAINING`.
        looks: Colour and dashes of each name.
    """
    figure, axes = panel()
    _training(axes, lines, metric, looks)
    return figure


def _training(axes: Axes, lines: Sequence[tuple[str, Columns]], metric: str, looks: Mapping[str, Look]) -> None:
    named: set[str] = set()
    for name, metrics in lines:
        epochs = metrics["epoch"] + 1
        marker = "." if len(epochs) == 1 else ""
        color, dashes = looks[name]
        label = None if name in named else shortened(name, 24)
        axes.plot(epochs, metrics[metric], color=color, ls=dashes, lw=1.2, marker=marker, label=label)
        named.add(name)
    axes.set(title=TRAINING[metric].title, xlabel="epoch")
    if metric == "learning_rate":
        axes.set_ylim(bottom=0)
    _whole_steps(axes)
    _legend(axes, len(named))


# Search


@style()
def search_by_generation(history: History, quantity: Quantity) -> Figure:
    """Returns best so far, median and spread of the fitness in each generation; of a single one, its histogram."""
    figure, axes = panel()
    _search(axes, history, quantity)
    return figure


def _search(axes: Axes, history: History, quantity: Quantity) -> None:
    generation, fitness = history.columns["generation"], history.columns["fitness"]
    generations = np.unique(generation)
    if len(generations) == 1:
        _histogram(axes, fitness, quantity)
        return
    groups = [_finite(fitness[generation == g]) for g in generations]
    low, middle, high = np.array(
        [np.percentile(group, (10, 50, 90)) if len(group) else (math.nan,) * 3 for group in groups]
    ).T
    so_far = history.best_so_far
    best = [so_far[generation == g][-1] for g in generations]
    axes.fill_between(generations, low, high, color="#dce1e6", lw=0)
    axes.plot(generations, middle, color=MUTED, lw=1.2, label="median")
    axes.plot(generations, best, color=ACCENT, lw=1.6, label="best so far")
    at_end: dict[str, Any] = {"textcoords": "offset points", "ha": "right", "size": 8}
    axes.annotate("best so far", (generations[-1], best[-1]), (0, 3), va="bottom", color=ACCENT, **at_end)
    axes.annotate("median", (generations[-1], middle[-1]), (0, -4), va="top", color=INK, **at_end)
    axes.margins(y=0.1)
    axes.set(title=quantity.title, xlabel="generation (shaded: 10 to 90 percent)")
    _whole_steps(axes)


@style()
def search_curves(histories: Sequence[tuple[str, History]], quantity: Quantity, looks: Mapping[str, Look]) -> Figure:
    """Returns the best fitness so far against the architectures judged.

    Args:
        histories: Names and what each has judged, all by the same fitness.
        quantity: The fitness.
        looks: Colour and dashes of each name.
    """
    figure, axes = panel()
    for name, history in histories:
        best, (color, dashes) = history.best_so_far, looks[name]
        judged = np.arange(1, len(best) + 1)
        axes.step(judged, best, where="post", color=color, ls=dashes, label=shortened(name, 24))
    axes.set(title=f"best so far: {quantity.title}", xlabel="architectures judged")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    _whole_steps(axes)
    _legend(axes, len(histories), loc="lower right")
    return figure


@style()
def histogram(values: np.ndarray, quantity: Quantity) -> Figure:
    """Returns how often each value came."""
    figure, axes = panel()
    _histogram(axes, values, quantity)
    return figure


def _histogram(axes: Axes, values: np.ndarray, quantity: Quantity) -> None:
    values = _finite(values)
    bins = min(40, max(8, round(math.sqrt(len(values)))))
    axes.hist(values, bins=bins, color=SERIES[0], alpha=0.75, ec="white", lw=0.4)
    axes.set(title="architectures", xlabel=quantity.title)
    axes.grid(False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))


@style()
def histograms(values: Sequence[tuple[str, np.ndarray]], quantity: Quantity, looks: Mapping[str, Look]) -> Figure:
    """Returns how often each value came in each of several runs, one under the other over the same bins.

    Args:
        values: Names, and the values of each, some of them finite; the median is marked.
        quantity: What they are.
        looks: Colour and dashes of each name.
    """
    finite = [(name, _finite(of)) for name, of in values]
    together = np.concatenate([of for _, of in finite])
    edges = np.histogram_bin_edges(together, bins=min(40, max(8, round(math.sqrt(max(len(of) for _, of in finite))))))
    left, right, bottom, above, part = 0.50, 0.12, 0.44, 0.30, 0.85  # inches
    height = bottom + (part + above) * len(finite)
    figure = Figure(figsize=(WIDTH, height))
    for place, (name, of) in enumerate(finite, start=1):
        at = bottom + (part + above) * (len(finite) - place)
        axes = figure.add_axes((left / WIDTH, at / height, 1 - (left + right) / WIDTH, part / height))
        axes.hist(of, bins=edges.tolist(), color=looks[name][0], alpha=0.75, ec="white", lw=0.4)
        median = float(np.median(of))
        axes.axvline(median, color=INK, lw=1.2)
        axes.set_title(shortened(name, 24), pad=4)
        axes.set_title(f"median {quantity.write(median)}", loc="right", pad=4, size=8, color=MUTED)
        axes.grid(False, axis="x")
        axes.set_xlim(edges[0], edges[-1])
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        axes.tick_params(labelbottom=place == len(finite))
    axes.set_xlabel(quantity.title)
    return figure


def pareto_front(costs: np.ndarray, fitness: np.ndarray) -> np.ndarray:
    """Returns the indices of those that none beats: cheaper and as fit, or fitter and as cheap; cheapest first.

    Of equals, the first stands for all.
    """
    front, best = [], -math.inf
    for index in np.lexsort((np.arange(len(costs)), -fitness, costs)).tolist():
        if fitness[index] > best:
            best = float(fitness[index])
            front.append(index)
    return np.array(front, dtype=np.int64)


@style()
def fitness_against_cost(
    history: History, quantity: Quantity, best: Judged, cost: str = "multiply_adds", front: Sequence[Judged] = ()
) -> Figure:
    """Returns the fitness of all judged architectures against one of their costs, and their Pareto front.

    Args:
        history: What was judged, with the cost.
        quantity: The fitness.
        best: The architecture to mark.
        cost: Which cost, a key of `COSTS`.
        front: The front of a search for trade-offs, which may be among further costs and is then no line here; without
            one, the front is that of fitness and cost.
    """
    figure, axes = panel()
    fitness, unit = history.columns["fitness"], COSTS[cost].scale
    known = np.isfinite(fitness)
    costs, fitness = unit * history.columns[cost][known], fitness[known]
    if front:
        on_front = np.array(sorted((unit * one.numbers[cost], one.numbers["fitness"]) for one in front)).T
    else:
        indices = pareto_front(costs, fitness)
        on_front = np.array([costs[indices], fitness[indices]])
    line = "-" if (np.diff(on_front[1]) >= 0).all() else ""
    axes.scatter(costs, fitness, s=7, color=FAINT, alpha=_alpha(len(costs)), lw=0, rasterized=True)
    axes.plot(*on_front, "o", ls=line, color=SERIES[0], ms=3, lw=1, label="Pareto front")
    place = unit * best.numbers[cost], best.numbers["fitness"]
    axes.plot(*place, "*", color=ACCENT, ms=11, mec="white", mew=0.6, ls="", label="best")
    axes.set(title=quantity.title, xlabel=COSTS[cost].title)
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
        curves: Names and their hypervolumes from generation 0 on.
        looks: Colour and dashes of each name.
    """
    figure, axes = panel()
    for name, values in curves:
        color, dashes = looks[name]
        marker = "." if len(values) == 1 else ""
        axes.plot(range(len(values)), values, color=color, ls=dashes, marker=marker, label=shortened(name, 24))
    axes.set(title="hypervolume (boxes of generation 0)", xlabel="generation")
    _whole_steps(axes)
    _legend(axes, len(curves), loc="lower right")
    return figure


# Architecture parameters


@dataclass(frozen=True)
class Curve:
    """A line over epochs.

    Attributes:
        name: Which look it has; curves of one name are named once.
        epochs: Where its values are.
        values: Its values.
        band: Least and largest of what the values are the mean of; None for none.
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
    """Returns curves over epochs, their names under them if there are several.

    Args:
        curves: At least one; where there is nothing to draw on a logarithmic axis, a line has a gap.
        title: What the vertical axis shows.
        looks: Colour and dashes of each name.
        limits: Ends of the vertical axis; None for those of the data.
        logarithmic: Whether it is logarithmic.
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
        marker = "." if len(_finite(values)) == 1 else ""
        width = 2.2 if curve.name == "skip_connect" else 1.4
        (handles[curve.name],) = axes.plot(
            curve.epochs, values, color=color, ls=dashes, lw=width, marker=marker, label=labels[curve.name]
        )
    axes.set(title=title, xlabel="epoch")
    if logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_PlainLogFormatter())
        axes.yaxis.set_minor_formatter(_PlainLogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
        axes.tick_params(axis="y", which="minor", size=0, labelsize=8)
    if limits is not None:
        axes.set_ylim(limits)
    _whole_steps(axes)
    if rows:
        figure.legend(handles=list(handles.values()), loc="lower left", ncols=columns, bbox_to_anchor=(0.02, 0))
    return figure


class _PlainLogFormatter(LogFormatter):
    """Writes the numbers that matplotlib would write on a logarithmic axis, without exponents where they are short."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def operation_looks(operations: Sequence[str]) -> dict[str, Look]:
    """Returns a look for each operation; that of ``skip_connect``, to which a search may collapse, stands out."""
    colors = [color for color in SERIES if color != ACCENT]
    dashes: Sequence[Look] = [(color, dash) for dash in DASHES for color in colors]
    others = [operation for operation in operations if operation != "skip_connect"]
    return {"skip_connect": (ACCENT, "-"), **dict(zip(others, _cycle(dashes), strict=False))}


CELL = 0.27, 0.165
"""Width and height of a candidate in a map of weights, inches."""

MAP_WIDTH, MAP_ROWS, MAP_NUMBERS = 10.8, 40, 1000
"""Inches of the widest map but for one that is wider by itself; rows and, of all, candidates with numbers at most."""


@dataclass(frozen=True)
class _Block:
    """A part of a map: choices of one kind that share their candidates.

    Attributes:
        kind: What their names begin with.
        rows: Which choices.
        labels: The rest of their names.
        heads: Their candidates.
        left, above: Inches that the labels and the heads take.
    """

    kind: str
    rows: Sequence[int]
    labels: Sequence[str]
    heads: Sequence[str]
    left: float
    above: float

    @property
    def width(self) -> float:
        return max(self.left + CELL[0] * len(self.heads), _text_width(self.kind) / 72) + 0.22

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
            left, above = (max(map(_text_width, words)) / 72 + 0.1 for words in (labels, heads))
            blocks.append(_Block(kind, rows, labels, heads, left, above + (0.2 if kind else 0)))
    return blocks


@style()
def weight_map(alphas: Alphas) -> Figure:
    """Returns the weights of the candidates at each choice after the last epoch, the derived candidates framed.

    Choices that share their candidates stand under each other, kind by kind of cell as their names begin; where they
    are many, beside each other too.
    """
    weights, taken = alphas.weights[-1], alphas.derived[-1].taken
    most = max(float(np.nanmax(weights)), 2 / weights.shape[1])
    lines: list[list[_Block]] = [[]]
    for block in _blocks(alphas):
        if lines[-1] and sum(one.width for one in lines[-1]) + block.width > MAP_WIDTH:
            lines.append([])
        lines[-1].append(block)
    width = max(WIDTH, *(sum(block.width for block in line) for line in lines))
    heights = [max(block.above for block in line) + max(block.height for block in line) + 0.2 for line in lines]
    height = sum(heights)
    figure = Figure(figsize=(width, height))
    numbered = np.isfinite(weights).sum() <= MAP_NUMBERS
    shades = LinearSegmentedColormap.from_list("weights", ["white", SERIES[0]])
    top = height
    for line, taller in zip(lines, heights, strict=True):
        above, x = max(block.above for block in line), 0.0
        for block in line:
            size = CELL[0] * len(block.heads) / width, block.height / height
            axes = figure.add_axes(((x + block.left) / width, (top - above - block.height) / height, *size))
            values = weights[block.rows][:, : len(block.heads)]
            axes.imshow(values, cmap=shades, vmin=0, vmax=most, aspect="auto", interpolation="nearest")
            _frame_map(axes, block, values, [taken[row] for row in block.rows], most, numbered)
            if block.kind:
                higher = top - above + block.above - 0.06
                figure.text(x / width, higher / height, block.kind, size=8, color=INK, va="top")
            x += block.width
        top -= taller
    return figure


def _frame_map(
    axes: Axes, block: _Block, values: np.ndarray, taken: Sequence[int], most: float, numbered: bool
) -> None:
    """Adds labels, numbers and the frames of the candidates that are taken."""
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
            color = "white" if value > 0.55 * most else INK
            axes.text(candidate, row, text, size=6.5, color=color, ha="center", va="center_baseline")


# Latency


@style()
def predicted_against_measured(profile: Profile) -> Figure:
    """Returns the predicted latency of whole networks against the measured; on the diagonal they are the same."""
    figure, axes = panel(height=3.0)
    latency = COSTS["latency"]
    measured, predicted = latency.scale * profile.measured, latency.scale * profile.predicted
    low, high = min(measured.min(), predicted.min()), max(measured.max(), predicted.max())
    axes.plot([low, high], [low, high], color=FAINT, lw=0.8, label="the same")
    axes.plot(measured, predicted, "o", color=SERIES[0], ms=4, mec="white", mew=0.4, ls="", label="networks")
    axes.set(title=f"predicted {latency.title}", xlabel=f"measured {latency.title}")
    axes.annotate("the same", (high, high), (-4, 3), textcoords="offset points", ha="right", size=8, color=MUTED)
    return figure


# Rank


@style()
def true_accuracy_against_fitness(rank: Rank, quantity: Quantity, best: Judged | None) -> Figure:
    """Returns the true accuracy of every ranked architecture against its fitness.

    The vertical axis is even in the logarithm of the error, so that the good ones, which lie close, can be told apart.

    Args:
        rank: What is ranked.
        quantity: Its fitness.
        best: The architecture that the search put first, to be marked.
    """
    figure, axes = panel(height=3.0)
    fitness, true = rank.columns["fitness"], rank.columns["true"]
    known = np.isfinite(fitness) & np.isfinite(true)
    fitness, true = fitness[known], true[known]
    height = _log_error(true)
    axes.scatter(fitness, height, s=5, color=SERIES[0], alpha=_alpha(len(true)), lw=0, rasterized=True)
    if best is not None and best.architecture in rank.architectures:
        index = rank.architectures.index(best.architecture)
        found = float(rank.columns["true"][index])
        if math.isfinite(found):
            x, y = float(rank.columns["fitness"][index]), float(_log_error(np.array(found)))
            axes.plot(x, y, "*", color=ACCENT, ms=12, mec="white", mew=0.7, ls="", label=f"found: {found:.2f}")
    top = int(np.argmax(true))
    axes.plot(
        fitness[top], height[top], "D", color=INK, ms=4.5, mec="white", mew=0.6, ls="", label=f"best: {true[top]:.2f}"
    )
    ticks = [t for t in (10, 30, 50, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98, 99) if true.min() <= t <= true.max()]
    if len(ticks) > 1:
        axes.set_yticks(_log_error(np.array(ticks)), [f"{t}" for t in ticks])
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 - 10**-y:.2f}"))
    axes.set(title="true accuracy (percent)", xlabel=quantity.title)
    axes.legend(loc="lower right", handletextpad=0.2)
    return figure


def _log_error(accuracy: np.ndarray) -> np.ndarray:
    result: np.ndarray = -np.log10(np.maximum(100 - accuracy, 0.01))
    return result


@style()
def tau_by_epoch(rank: Rank) -> Figure:
    """Returns tau and rho between fitness and true accuracy as the training went on."""
    figure, axes = panel()
    epochs = rank.epochs["epoch"]
    marker = "." if len(epochs) <= 50 else ""
    axes.plot(epochs, rank.epochs["rho"], color=MUTED, lw=1.2, marker=marker, ms=4, label="ρ")
    axes.plot(epochs, rank.epochs["tau"], color=ACCENT, lw=1.6, marker=marker, ms=4, label="τ")
    axes.axhline(0, color=FAINT, lw=0.8)
    axes.set(title="rank correlation with the true accuracy", xlabel="epoch")
    _whole_steps(axes)
    axes.legend(loc="best")
    return figure


@style()
def tau_curves(curves: Sequence[tuple[str, Columns]], baseline: float) -> Figure:
    """Returns tau of several fitnesses as their trainings went on, against that of the parameter count.

    Args:
        curves: Names, and their columns ``epoch`` and ``tau``.
        baseline: Tau of the number of parameters; not a number where it is unknown.
    """
    figure, axes = panel()
    looks = looks_of(name for name, _ in curves)
    for name, columns in curves:
        color, dashes = looks[name]
        axes.plot(columns["epoch"], columns["tau"], color=color, ls=dashes, label=shortened(name, 32))
    axes.axhline(0, color=FAINT, lw=0.8)
    if math.isfinite(baseline):
        axes.axhline(baseline, color=MUTED, lw=0.8, ls=":", label="parameters")
    axes.set(title="τ with the true accuracy", xlabel="epoch")
    _whole_steps(axes)
    axes.legend(loc="best")
    return figure


@style()
def tau_bars(rows: Sequence[tuple[str, float, tuple[float, float], bool]]) -> Figure:
    """Returns tau with its interval, a row each.

    Args:
        rows: Name, tau, its interval, and whether it is a fitness and no baseline.
    """
    height = 0.66 + 0.36 * len(rows)
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.12 / WIDTH, 0.34 / height, 1 - 0.68 / WIDTH, 1 - 0.64 / height))
    for y, (name, tau, (low, high), is_fitness) in enumerate(rows):
        color = ACCENT if is_fitness else MUTED
        axes.barh(y + 0.2, tau, height=0.34, color=color, alpha=0.25, lw=0)
        axes.plot([low, high], [y + 0.2] * 2, color=color, lw=1.6, solid_capstyle="butt")
        axes.plot(tau, y + 0.2, "o", color=color, ms=4)
        axes.plot([0, 0], [y, y + 0.4], color=FAINT, lw=0.8)
        _beside(axes, shortened(name, 44), (0, y - 0.2), 2, color=MUTED)
        _beside(axes, CORRELATION.write(tau), (1, y + 0.2), 6, color=INK)
    axes.set(title="τ with the true accuracy", ylim=(len(rows) - 0.45, -0.5), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def _beside(axes: Axes, text: str, place: tuple[float, float], points: float, color: str) -> None:
    """Writes a text to the right of a place: x from 0 to 1 across the axes, y in data."""
    across = axes.get_yaxis_transform()
    axes.annotate(
        text, place, (points, 0), xycoords=across, textcoords="offset points", va="center", size=8.5, color=color
    )


def shortened(text: str, length: int) -> str:
    """Returns a text cut to so many characters, an ellipsis at its end if there was more."""
    return text if len(text) <= length else text[: length - 1] + "…"


# Drawings


PALE = ("", "skip")
"""What is no operation: concatenation into the output, and a block that is left out."""


def operation_colors(drawings: Iterable[Mapping[str, Sequence[Edge]]]) -> dict[str, str]:
    """Returns a colour for each operation of the drawings; what passes on unchanged is grey, `PALE` paler."""
    names = sorted({operation for drawing in drawings for edges in drawing.values() for _, _, operation in edges})
    plain = {name: FAINT if name in PALE else MUTED for name in names if name in (*PALE, "skip_connect", "identity")}
    others = [name for name in names if name not in plain]
    return {**plain, **dict(zip(others, _cycle(SERIES[:-1]), strict=False))}


@style()
def architecture(drawing: Mapping[str, Sequence[Edge]], colors: Mapping[str, str]) -> Figure:
    """Returns an architecture's graphs, one under the other, as large as they need.

    Args:
        drawing: Labelled edges by the graph's name; those without edges are left out, but one has some.
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
        _draw(axes, drawing[name], layout, colors, ((width - layout.width) / 2, top))
        top -= gap
    return figure


LABEL_SIZE = 7.5


def _laid_out(edges: Sequence[Edge], width: float) -> Layout:
    """Returns the layout of a graph whose texts have the size of `LABEL_SIZE`."""
    labels = [_label_lines(operation) for _, _, operation in edges]
    sizes = [(max(map(_text_width, lines)) + 8, 9.5 * len(lines) + 4.5) if lines else (0.0, 2.0) for lines in labels]
    nodes = {node for source, target, _ in edges for node in (source, target)}
    return lay_out(edges, sizes, {node: max(15.0, _text_width(node) + 9) for node in nodes}, width)


def _wrapped(edges: Sequence[Edge], width: float) -> Iterator[Layout]:
    """Yields layouts whose chains are broken at growing widths."""
    for factor in (1.0, 1.5, 2.0, 3.0):
        yield _laid_out(edges, factor * width)


def _label_lines(operation: str) -> list[str]:
    """Returns an operation's label, a long one in two lines that are as even as can be."""
    label = operation_label(operation)
    words = label.split(" ")
    if len(label) <= 9 or len(words) == 1:
        return [label] if label else []
    cuts = [(" ".join(words[:i]), " ".join(words[i:])) for i in range(1, len(words))]
    return list(min(reversed(cuts), key=lambda cut: max(map(len, cut))))


def _text_width(text: str) -> float:
    """Returns the width of a text of `LABEL_SIZE` in points."""
    if not text.strip():
        return 0.0
    return float(TextPath((0, 0), text, size=LABEL_SIZE, usetex=False).get_extents().width)


def _draw(
    axes: Axes,
    edges: Sequence[Edge],
    layout: Layout,
    colors: Mapping[str, str],
    origin: tuple[float, float],
    scale: float = 1.0,
) -> None:
    """Draws a laid out graph into axes whose unit is a point; dead edges are pale and dashed."""
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
            _pill(axes, middle, (label.width, label.height), scale, fc="white", ec=color, lw=0.75 * thick)
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
            color="white",
            ha="center",
            va="center_baseline",
            zorder=4,
        )


def _pill(axes: Axes, middle: np.ndarray, size: tuple[float, float], scale: float, **look: Any) -> None:
    width, height = size[0] * scale, size[1] * scale
    style = f"round,pad=0,rounding_size={min(height / 2, 7.5 * scale)}"
    corner = middle - np.array((width, height)) / 2
    axes.add_patch(FancyBboxPatch(tuple(corner), width, height, boxstyle=style, zorder=3, **look))


# Overview


@style()
def overview(run: Run, quantity: Quantity) -> Figure | None:
    """Returns training, search and the best architecture in one row, of those that there are; None if none are."""
    panels: list[Callable[[Axes], None]] = []
    if run.training:
        lines = seed_lines(run)
        panels.append(lambda axes: _training(axes, lines, "loss", looks_of(name for name, _ in lines)))
    if run.history is not None and run.missed is None and len(run.history.columns["fitness"]) > 1:
        history = run.history
        panels.append(lambda axes: _search(axes, history, quantity))
    drawn = run.best[0].drawing if run.best and any(run.best[0].drawing.values()) else None
    if not panels and drawn is None:
        return None
    wide = 3.9 if drawn else 0.0
    width, height = 2.9 * len(panels) + wide, 2.5
    figure = Figure(figsize=(width, height))
    for index, draw in enumerate(panels):
        draw(figure.add_axes(((2.9 * index + 0.55) / width, 0.44 / height, 2.1 / width, 1 - 0.80 / height)))
    if drawn is not None:
        _draw_best(figure, drawn, run.best[0], quantity, 1 - wide / width)
    return figure


def _draw_best(
    figure: Figure, drawing: Mapping[str, Sequence[Edge]], best: Judged, quantity: Quantity, left: float
) -> None:
    """Draws the first graph of an architecture into the right of a figure, as large as fits."""
    width, height = 72 * figure.get_size_inches()
    axes = figure.add_axes((left, 0, 1 - left, 1))
    room = (width * (1 - left) - 8, height - 40)
    axes.set(xlim=(0, width * (1 - left)), ylim=(0, height))
    axes.axis("off")
    edges = next(edges for edges in drawing.values() if edges)
    scale, layout = max(
        ((min(1.15, room[0] / layout.width, room[1] / layout.height), layout) for layout in _wrapped(edges, room[0])),
        key=lambda pair: pair[0],
    )
    corner = ((room[0] - layout.width * scale) / 2, (room[1] - layout.height * scale) / 2 + 6)
    _draw(axes, edges, layout, operation_colors([drawing]), corner, scale)
    # Level with the other panels' titles.
    axes.text(
        4,
        height - 0.36 * 72 + 9,
        f"best: {quantity.name} {quantity.write_with_unit(best.numbers['fitness'])}",
        size=9,
    )


def seed_lines(run: Run) -> list[tuple[str, Columns]]:
    """Returns the training of each base seed under its name."""
    return [(f"seed {seed}", metrics) for seed, metrics in run.training.items()]


def _finite(values: np.ndarray) -> np.ndarray:
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def _alpha(points: int) -> float:
    """Returns how opaque points are drawn, so that many leave their density to be seen."""
    return float(np.clip(300 / max(1, points), 0.08, 0.6))


def _cycle(looks: Sequence[Any]) -> Iterator[Any]:
    while True:
        yield from looks
