"""Training, search and the best architecture of a run in one figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raynas.records.graph import Edge
from raynas.report.architecture_figures import colors_of, draw_graph, wrapped_layouts
from raynas.report.drawing_style import style
from raynas.report.palette import looks_of
from raynas.report.quantities import Quantity
from raynas.report.run_values import Evaluated, Run
from raynas.report.search_figures import draw_search
from raynas.report.training_figures import draw_training, seed_lines


@style()
def run_overview(run: Run, quantity: Quantity) -> Figure | None:
    """Returns training, search and the best architecture in one row, as far as they exist; None without any."""
    panels: list[Callable[[Axes], None]] = []
    if run.training:
        lines = seed_lines(run)
        panels.append(lambda axes: draw_training(axes, lines, "loss", looks_of(name for name, _ in lines)))
    if run.history is not None and run.missed is None and len(run.history.columns["fitness"]) > 1:
        history = run.history
        panels.append(lambda axes: draw_search(axes, history, quantity))
    drawing = run.best[0].drawing if run.best and any(run.best[0].drawing.values()) else None
    if not panels and drawing is None:
        return None
    wide = 3.9 if drawing else 0.0
    width, height = 2.9 * len(panels) + wide, 2.5
    figure = Figure(figsize=(width, height))
    for index, draw in enumerate(panels):
        draw(figure.add_axes(((2.9 * index + 0.55) / width, 0.44 / height, 2.1 / width, 1 - 0.80 / height)))
    if drawing is not None:
        _draw_best(figure, drawing, run.best[0], quantity, 1 - wide / width)
    return figure


def _draw_best(
    figure: Figure, drawing: Mapping[str, Sequence[Edge]], best: Evaluated, quantity: Quantity, left: float
) -> None:
    """Draws the first graph of an architecture at the right of a figure, in the largest size that fits."""
    width, height = 72 * figure.get_size_inches()
    axes = figure.add_axes((left, 0, 1 - left, 1))
    room = (width * (1 - left) - 8, height - 40)
    axes.set(xlim=(0, width * (1 - left)), ylim=(0, height))
    axes.axis("off")
    edges = next(edges for edges in drawing.values() if edges)
    scale, layout = max(
        (
            (min(1.15, room[0] / layout.width, room[1] / layout.height), layout)
            for layout in wrapped_layouts(edges, room[0])
        ),
        key=lambda pair: pair[0],
    )
    corner = ((room[0] - layout.width * scale) / 2, (room[1] - layout.height * scale) / 2 + 6)
    draw_graph(axes, edges, layout, colors_of([drawing]), corner, scale)
    # Level with the other panels' titles.
    axes.text(
        4,
        height - 0.36 * 72 + 9,
        f"best: {quantity.name} {quantity.write_with_unit(best.numbers['fitness'])}",
        size=9,
    )
