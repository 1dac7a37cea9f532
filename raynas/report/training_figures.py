"""Figures of a training: loss, accuracy and learning rate by epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raynas.records.columns import Columns
from raynas.report.drawing_style import legend, panel, shortened, style, whole_steps
from raynas.report.hover import add_curve
from raynas.report.palette import Look
from raynas.report.quantities import ACCURACY, LOSS, Quantity
from raynas.report.run_values import Run

TRAINING = {"loss": LOSS, "accuracy": ACCURACY, "learning_rate": Quantity("learning rate")}
"""Quantities in the figures of a training, by their name in the metrics."""


@style()
def training_curves(lines: Sequence[tuple[str, Columns]], metric: str, looks: Mapping[str, Look]) -> Figure:
    """Returns one of the metrics by epoch.

    Args:
        lines: Names, such as base seeds, with their metrics; a name may have several lines.
        metric: The metric, a key of `TRAINING`.
        looks: Colour and dashes of each name.
    """
    figure, axes = panel()
    draw_training(axes, lines, metric, looks)
    return figure


def draw_training(axes: Axes, lines: Sequence[tuple[str, Columns]], metric: str, looks: Mapping[str, Look]) -> None:
    """Draws one of the metrics by epoch."""
    named: set[str] = set()
    for name, metrics in lines:
        epochs = metrics["epoch"] + 1
        marker = "." if len(epochs) == 1 else ""
        color, dashes = looks[name]
        label = None if name in named else shortened(name, 24)
        axes.plot(epochs, metrics[metric], color=color, ls=dashes, lw=1.2, marker=marker, label=label)
        add_curve(axes, name, "epoch", epochs, metrics[metric])
        named.add(name)
    axes.set(title=TRAINING[metric].title, xlabel="epoch")
    if metric == "learning_rate":
        axes.set_ylim(bottom=0)
    whole_steps(axes)
    legend(axes, len(named))


def seed_lines(run: Run) -> list[tuple[str, Columns]]:
    """Returns the training of each base seed under its name."""
    return [(f"seed {seed}", metrics) for seed, metrics in run.training.items()]
