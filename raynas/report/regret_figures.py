"""Figures of regret: how far the chosen architecture is below the best one, by evaluations and by seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from raynas.report.blocks import FigureBlock
from raynas.report.drawing_style import logarithmic_heights, panel, plain_ticks, shortened, style
from raynas.report.gallery import Gallery
from raynas.report.groups import Group
from raynas.report.hover import add_curve
from raynas.report.palette import MUTED, Look, marker_of
from raynas.report.rank_values import Rank
from raynas.report.regret import RegretCurve, known_accuracies, mean_curve, random_search, regret_of

Reference = tuple[str, np.ndarray, np.ndarray]
"""A curve to compare with: its name, evaluations and regret."""


LEAST = 0.05
"""The lower end of the axis; a smaller regret is drawn there."""


@style()
def regret_curves(
    curves: Sequence[RegretCurve], over: str, looks: Mapping[str, Look], references: Sequence[Reference] = ()
) -> Figure:
    """Returns the regret of groups of searches, the band from the least to the largest of a group.

    Args:
        curves: The groups.
        over: Title of the horizontal axis, which is logarithmic over a wide range.
        looks: Colour and dashes by the name of the group.
        references: Dotted curves without a band.
    """
    rows = len(curves) + len(references)
    figure, axes = panel(below=0.17 * rows + 0.1)
    handles = []
    for curve in curves:
        color, dashes = looks[curve.name]
        low, mean, high = (np.maximum(values, LEAST) for values in (curve.low, curve.mean, curve.high))
        if (high > low).any():
            axes.fill_between(curve.x, low, high, color=color, alpha=0.18, lw=0, step="post")
        mark: dict[str, Any] = {"marker": marker_of(looks[curve.name]), "markevery": [-1], "ms": 4}
        (line,) = axes.step(curve.x, mean, where="post", color=color, ls=dashes, lw=1.6, **mark)
        line.set_label(shortened(curve.name, 44))
        handles.append(line)
        add_curve(axes, curve.name, over, curve.x, curve.mean, mean)
    for number, (name, x, values) in enumerate(references):
        drawn = np.maximum(values, LEAST)
        (line,) = axes.plot(x, drawn, color=MUTED, ls=(":", "-.")[number % 2], lw=1.2, label=shortened(name, 44))
        handles.append(line)
        add_curve(axes, name, over, x, values, drawn)
    if max(curve.x[-1] for curve in curves) > 20 * min(curve.x[0] for curve in curves):
        axes.set_xscale("log")
        plain_ticks(axes.xaxis)
    logarithmic_heights(axes)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set(title="regret (points of benchmark accuracy)", xlabel=over)
    axes.set_ylim(bottom=LEAST)
    figure.legend(handles=handles, loc="lower left", ncols=1, bbox_to_anchor=(0.02, 0))
    return figure


CAPTION = (
    "Largest benchmark accuracy of the {ranked} ranked architectures minus that of the fittest architecture so far. A "
    "search follows its fitness, so its regret may grow. The axis ends at 0.05."
)


def regret_figures(groups: Sequence[Group], looks: Mapping[str, Look], gallery: Gallery) -> list[FigureBlock]:
    """Returns regret over evaluations and over seconds, for each space and column of a benchmark; none without one."""
    runs = [run for group in groups for _, run in group.members]
    members = []
    for place, ((space, _), rank) in enumerate(known_accuracies(runs).items(), start=1):
        inside = [group for group in groups if str(group.members[0][1].section("space").get("name")) == space]
        members += _figures_of(inside, rank, looks, gallery, place)
    return members


def _figures_of(
    groups: Sequence[Group], rank: Rank, looks: Mapping[str, Look], gallery: Gallery, place: int
) -> list[FigureBlock]:
    """Returns the figures of the searches in one space."""
    regrets_of = {}
    reuses = any(run.reuses for group in groups for _, run in group.members)
    for group in groups:
        regrets_of[group.title] = [found for _, run in group.members if (found := regret_of(run, rank)) is not None]
    members = []
    has_bands = False
    for over in ("evaluations", "seconds"):
        curves = []
        for title, regrets in regrets_of.items():
            curve = mean_curve(title, regrets, over) if regrets else None
            if curve is not None and len(curve.x) > 1:
                curves.append(curve)
                has_bands |= len(regrets) > 1
        if not curves:
            continue
        references: list[Reference] = []
        axis = "seconds, training included"
        caption = CAPTION.format(ranked=f"{rank.cells:,}")
        if over == "evaluations":
            most = int(max(curve.x[-1] for curve in curves))
            fitness = f"random search by {rank.rows[0].name}, expected"
            references.append((fitness, *random_search(rank, most, by_benchmark=False)))
            references.append(("best of random by benchmark, expected", *random_search(rank, most, by_benchmark=True)))
            axis = "evaluated architectures"
        elif reuses:
            caption += " Reused supernets count no time."
        if has_bands:
            caption += " Lines are means over seeds, bands reach from the least to the largest."
        figure = regret_curves(curves, axis, looks, references)
        members.append(gallery.show(f"regret-{over}-{place}", figure, caption))
    return members
