"""Figures of rankings, and of predicted against measured latency."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from raynas.records.columns import Columns
from raynas.records.latency_record import ProfileRecord
from raynas.report.drawing_style import opacity, panel, shortened, style, whole_steps
from raynas.report.hover import add_curve, add_values
from raynas.report.palette import ACCENT, FAINT, INK, MUTED, PAPER, SERIES, Look
from raynas.report.quantities import CORRELATION, COSTS, Quantity
from raynas.report.rank_values import Rank
from raynas.report.row_figures import LabelledRow, mark_height, row_panel
from raynas.report.run_values import Evaluated


@style()
def predicted_against_measured(profile: ProfileRecord) -> Figure:
    """Returns the predicted against the measured latency of whole networks; both are equal on the diagonal."""
    figure, axes = panel(height=3.0)
    latency = COSTS["latency"]
    measured, predicted = latency.scale * profile.measured, latency.scale * profile.predicted
    low, high = min(measured.min(), predicted.min()), max(measured.max(), predicted.max())
    axes.plot([low, high], [low, high], color=FAINT, lw=0.8, label="the same")
    axes.plot(measured, predicted, "o", color=SERIES[0], ms=4, mec=PAPER, mew=0.4, ls="", label="networks")
    add_values(axes, measured, predicted, lambda i: f"measured {measured[i]:.3f} ms, predicted {predicted[i]:.3f} ms")
    axes.set(title=f"predicted {latency.title}", xlabel=f"measured {latency.title}")
    axes.annotate("the same", (high, high), (-4, 3), textcoords="offset points", ha="right", size=8, color=MUTED)
    return figure


@style()
def benchmark_accuracy_against_fitness(rank: Rank, quantity: Quantity, best: Evaluated | None) -> Figure:
    """Returns the benchmark accuracy of every ranked architecture against its fitness.

    The vertical axis is linear in the logarithm of the error, which separates the best architectures.

    Args:
        rank: The ranking.
        quantity: Its fitness.
        best: The best architecture of the search, which gets a mark.
    """
    figure, axes = panel(height=3.0)
    fitness, true = rank.columns["fitness"], rank.columns["true"]
    known = np.isfinite(fitness) & np.isfinite(true)
    fitness, true = fitness[known], true[known]
    height = _log_error(true)
    architectures = [rank.architectures[place] for place in np.flatnonzero(known).tolist()]
    add_values(
        axes,
        fitness,
        height,
        lambda i: (
            f"{quantity.write_with_unit(fitness[i])}, benchmark accuracy {true[i]:.2f} percent "
            f"({'-'.join(map(str, architectures[i]))})"
        ),
    )
    axes.scatter(fitness, height, s=5, color=SERIES[0], alpha=opacity(len(true)), lw=0, rasterized=True)
    if best is not None and best.architecture in rank.architectures:
        index = rank.architectures.index(best.architecture)
        found = float(rank.columns["true"][index])
        if math.isfinite(found):
            x, y = float(rank.columns["fitness"][index]), float(_log_error(np.array(found)))
            axes.plot(x, y, "*", color=ACCENT, ms=12, mec=PAPER, mew=0.7, ls="", label=f"found: {found:.2f}")
    top = int(np.argmax(true))
    axes.plot(
        fitness[top], height[top], "D", color=INK, ms=4.5, mec=PAPER, mew=0.6, ls="", label=f"best: {true[top]:.2f}"
    )
    ticks = [t for t in (10, 30, 50, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98, 99) if true.min() <= t <= true.max()]
    if len(ticks) > 1:
        axes.set_yticks(_log_error(np.array(ticks)), [f"{t}" for t in ticks])
    else:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 - 10**-y:.2f}"))
    axes.set(title="benchmark accuracy (percent)", xlabel=shortened(quantity.title, 52))
    axes.legend(loc="lower right", handletextpad=0.2)
    return figure


def _log_error(accuracy: np.ndarray) -> np.ndarray:
    result: np.ndarray = -np.log10(np.maximum(100 - accuracy, 0.01))
    return result


@style()
def tau_by_epoch(rank: Rank) -> Figure:
    """Returns tau and rho of fitness and benchmark accuracy against the epoch."""
    figure, axes = panel()
    epochs = rank.epochs["epoch"]
    marker = "." if len(epochs) <= 50 else ""
    axes.plot(epochs, rank.epochs["rho"], color=MUTED, lw=1.2, marker=marker, ms=4, label="ρ")
    axes.plot(epochs, rank.epochs["tau"], color=ACCENT, lw=1.6, marker=marker, ms=4, label="τ")
    add_curve(axes, "ρ", "epoch", epochs, rank.epochs["rho"])
    add_curve(axes, "τ", "epoch", epochs, rank.epochs["tau"])
    axes.axhline(0, color=FAINT, lw=0.8)
    axes.set(title="rank correlation with the benchmark accuracy", xlabel="epoch")
    whole_steps(axes)
    axes.legend(loc="best")
    return figure


@style()
def tau_curves(curves: Sequence[tuple[str, Columns]], baseline: float, looks: Mapping[str, Look]) -> Figure:
    """Returns tau of several fitnesses against the epoch, with tau of the parameter count.

    Args:
        curves: Names, each with its columns ``epoch`` and ``tau``.
        baseline: Tau of the number of parameters; NaN if unknown.
        looks: Colour and dashes by name.
    """
    figure, axes = panel()
    for name, columns in curves:
        color, dashes = looks[name]
        axes.plot(columns["epoch"], columns["tau"], color=color, ls=dashes, label=shortened(name, 32))
        add_curve(axes, name, "epoch", columns["epoch"], columns["tau"])
    axes.axhline(0, color=FAINT, lw=0.8)
    if math.isfinite(baseline):
        axes.axhline(baseline, color=MUTED, lw=0.8, ls=":", label="parameters")
    axes.set(title="τ with the benchmark accuracy", xlabel="epoch")
    whole_steps(axes)
    axes.legend(loc="best")
    return figure


@style()
def tau_bars(rows: Sequence[tuple[str, float, tuple[float, float], str]]) -> Figure:
    """Returns tau with its interval, one row for each ordering.

    Args:
        rows: Name, tau, its interval, and its colour.
    """
    labels = [LabelledRow(name, CORRELATION.write(tau)) for name, tau, _, _ in rows]
    figure, axes = row_panel(labels, "τ with the benchmark accuracy")
    for place, (_, tau, (low, high), color) in enumerate(rows):
        y = mark_height(place)
        axes.barh(y, tau, height=0.34, color=color, alpha=0.25, lw=0)
        axes.plot([low, high], [y] * 2, color=color, lw=1.6, solid_capstyle="butt")
        axes.plot(tau, y, "o", color=color, ms=4)
        axes.plot([0, 0], [place, place + 0.4], color=FAINT, lw=0.8)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure
