"""The best architectures of a run as drawings and as a table; the trade-offs on its front."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from raynas.report.architecture_figures import architecture_figure, colors_of
from raynas.report.blocks import Block, FigureBlock, Figures, Paragraph, Section, Table, Text, architecture_text, bold
from raynas.report.gallery import Gallery
from raynas.report.quantities import ACCURACY, COSTS, LOSS, Quantity, count, fitness_quantity, recorded_quantity
from raynas.report.run_values import Evaluated, Run
from raynas.report.wording import remarks


def numbers_of(run: Run, architecture: Evaluated, *, short: bool = False) -> list[str]:
    """Returns the known numbers of an architecture as text: fitness, costs and benchmark accuracy."""
    quantity, numbers = run.quantity, architecture.numbers
    texts = [f"{quantity.name} {quantity.write_with_unit(numbers['fitness'])}"]
    for key, cost in COSTS.items():
        if key in numbers and run.fitness != key:
            value = count(numbers[key]) if short and not cost.unit else cost.write_with_unit(numbers[key])
            texts.append(f"{value} {cost.name}")
    true = run.benchmark_accuracy(architecture.architecture)
    if true is not None and not run.is_by_benchmark:
        texts.append(f"benchmark accuracy {true:.2f} percent")
    return texts


def trade_offs(run: Run) -> list[Evaluated]:
    """Returns the front without repetitions of the same fitness and objectives."""
    different: dict[tuple[float, ...], Evaluated] = {}
    for evaluated in run.front:
        different.setdefault(tuple(evaluated.numbers[key] for key in ("fitness", *run.objectives)), evaluated)
    return list(different.values())


def best_architectures(run: Run, gallery: Gallery) -> Section:
    """Returns drawings and a table of the best architectures."""
    if not run.best:
        return Section("Best architectures", [])
    captioned: list[tuple[Text, Evaluated]] = []
    for place, best in enumerate(run.best[: _how_many_to_draw(run.best)], start=1):
        captioned.append(((bold(f"{place}"), " · ", " · ".join(numbers_of(run, best, short=True))), best))
    best_by = f"The best {f'{len(run.best)} ' if len(run.best) > 1 else ''}by {run.quantity.name}"
    table = architectures_table(run, run.best, _columns_of_best(run), best_by)
    return Section("Best architectures", [*drawings(gallery, captioned), table, *remarks(run.remarks)])


def _how_many_to_draw(best: Sequence[Evaluated]) -> int:
    """Returns 6, or 3 if an architecture has more operations than a small cell."""
    operations = [sum(map(len, architecture.drawing.values())) for architecture in best[:6]]
    return 6 if max(operations) <= 12 else 3


def drawings(gallery: Gallery, architectures: Sequence[tuple[Text, Evaluated]]) -> list[Block]:
    """Returns captioned drawings side by side, of the architectures with a recorded graph."""
    graphs = [(caption, best.drawing) for caption, best in architectures if any(best.drawing.values())]
    if not graphs:
        return []
    colors = colors_of(drawing for _, drawing in graphs)
    members: list[FigureBlock] = []
    widest, without_operation = 0.0, False
    for place, (caption, drawing) in enumerate(graphs, start=1):
        picture = architecture_figure(drawing, colors)
        widest = max(widest, float(picture.get_size_inches()[0]))
        members.append(gallery.show(f"best-{place}", picture, caption, drawing=True))
        for edges in drawing.values():
            without_operation |= any(not operation for _, _, operation in edges)
    note = "Operations on the edges; what lies on no path from input to output is pale and dashed."
    if without_operation:
        note += " What pale lines without an operation bring is concatenated; in a recurrent cell the mean is taken."
    return [Paragraph(note, note=True), Figures(members, width=max(340, round(0.9 * 96 * widest)))]


RECORDED_AS = {"one_shot_accuracy": "accuracy", "one_shot_loss": "loss"}
"""Recorded keys of fitnesses in results of earlier versions, which do not state their quantities."""

ONE_SHOT_ACCURACY = dataclasses.replace(ACCURACY, name="one-shot accuracy")
ONE_SHOT_LOSS = dataclasses.replace(LOSS, name="one-shot loss")


def _columns_of_best(run: Run) -> list[tuple[str, Quantity]]:
    """Returns the columns of the best architectures: the fitness, its parts, and the other recorded numbers."""
    quantity = run.quantity
    recorded = {record.name: recorded_quantity(record) for record in run.recorded_quantities}
    parts = (run.fitness or "").split("+")
    columns = [("fitness", quantity)]
    columns += [(part, recorded.get(part) or fitness_quantity(part)) for part in parts]

    others = [("spread", Quantity("± over seeds", quantity.unit, quantity.decimals))]
    if recorded:
        shown = {record.of for record in run.recorded_quantities} | set(parts)
        others += [(name, column) for name, column in recorded.items() if name not in ("fitness", *parts)]
    else:
        shown = {RECORDED_AS.get(part, part) for part in parts}
        others += [("accuracy", ONE_SHOT_ACCURACY), ("loss", ONE_SHOT_LOSS)]
    others += COSTS.items()
    columns += [(key, column) for key, column in others if key not in shown]

    stated: set[str] = set()
    for best in run.best:
        stated.update(best.numbers)
    return [(key, column) for key, column in columns if key in stated]


def architectures_table(
    run: Run, architectures: Sequence[Evaluated], columns: Sequence[tuple[str, Quantity]], caption: str
) -> Table:
    """Returns a table of architectures: numbers of the columns, benchmark accuracy if known, description."""
    accuracies = [run.benchmark_accuracy(architecture.architecture) for architecture in architectures]
    has_accuracies = any(value is not None for value in accuracies) and not run.is_by_benchmark
    head = [
        "",
        *(quantity.title for _, quantity in columns),
        *(["benchmark accuracy (percent)"] if has_accuracies else []),
        "architecture",
    ]
    rows: list[list[Text]] = []
    for place, (architecture, accuracy) in enumerate(zip(architectures, accuracies, strict=True), start=1):
        row: list[Text] = [
            f"{place}",
            *(quantity.write(architecture.numbers.get(key, math.nan)) for key, quantity in columns),
        ]
        if has_accuracies:
            row.append(ACCURACY.write(math.nan if accuracy is None else accuracy))
        rows.append([*row, (architecture_text(architecture.description),)])
    return Table(head, rows, numbers=range(len(head) - 1), caption=caption, stacked=True)
