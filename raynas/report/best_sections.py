"""The best architectures of a run, drawn and in a table; the trade-offs on its front."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from raynas.report.architecture_figures import architecture_figure, operation_colors
from raynas.report.blocks import Block, FigureBlock, Figures, Paragraph, Section, Table, Text, architecture_text, bold
from raynas.report.gallery import Gallery
from raynas.report.quantities import ACCURACY, COSTS, LOSS, Quantity, count, fitness_quantity, recorded_quantity
from raynas.report.run_values import Judged, Run
from raynas.report.wording import remarks


def numbers_of(run: Run, architecture: Judged, *, short: bool = False) -> list[str]:
    """Returns the numbers of an architecture as text: fitness, costs and true accuracy, of those that are known."""
    quantity, numbers = run.quantity, architecture.numbers
    texts = [f"{quantity.name} {quantity.write_with_unit(numbers['fitness'])}"]
    for key, cost in COSTS.items():
        if key in numbers and run.fitness != key:
            value = count(numbers[key]) if short and not cost.unit else cost.write_with_unit(numbers[key])
            texts.append(f"{value} {cost.name}")
    true = run.true_accuracy(architecture.architecture)
    if true is not None and not run.is_by_benchmark:
        texts.append(f"true accuracy {true:.2f} percent")
    return texts


def trade_offs(run: Run) -> list[Judged]:
    """Returns the front without those that equal one before them in fitness and objectives."""
    different: dict[tuple[float, ...], Judged] = {}
    for one in run.front:
        different.setdefault(tuple(one.numbers[key] for key in ("fitness", *run.objectives)), one)
    return list(different.values())


def best_architectures(run: Run, gallery: Gallery) -> Section:
    """Returns the best architectures drawn, and the table of them."""
    if not run.best:
        return Section("Best architectures", [])
    drawn: list[tuple[Text, Judged]] = []
    for place, best in enumerate(run.best[: _how_many_to_draw(run.best)], start=1):
        drawn.append(((bold(f"{place}"), " · ", " · ".join(numbers_of(run, best, short=True))), best))
    best_by = f"The best {f'{len(run.best)} ' if len(run.best) > 1 else ''}by {run.quantity.name}"
    table = architectures_table(run, run.best, _columns_of_best(run), best_by)
    return Section("Best architectures", [*drawings(gallery, drawn), table, *remarks(run.remarks)])


def _how_many_to_draw(best: Sequence[Judged]) -> int:
    """Returns six, or three where they have more operations than a small cell."""
    operations = [sum(map(len, one.drawing.values())) for one in best[:6]]
    return 6 if max(operations) <= 12 else 3


def drawings(gallery: Gallery, architectures: Sequence[tuple[Text, Judged]]) -> list[Block]:
    """Returns captioned architectures drawn side by side, those that can be; nothing where none can."""
    drawn = [(caption, best.drawing) for caption, best in architectures if any(best.drawing.values())]
    if not drawn:
        return []
    colors = operation_colors(drawing for _, drawing in drawn)
    members: list[FigureBlock] = []
    widest, without_operation = 0.0, False
    for place, (caption, drawing) in enumerate(drawn, start=1):
        picture = architecture_figure(drawing, colors)
        widest = max(widest, float(picture.get_size_inches()[0]))
        members.append(gallery.show(f"best-{place}", picture, caption, drawing=True))
        for edges in drawing.values():
            without_operation |= any(not operation for _, _, operation in edges)
    note = "Operations on the edges; what lies on no path from input to output is pale and dashed."
    if without_operation:
        note += " What pale lines without an operation bring is concatenated."
    return [Paragraph(note, note=True), Figures(members, width=max(340, round(0.9 * 96 * widest)))]


RECORDED_AS = {"one_shot_accuracy": "accuracy", "one_shot_loss": "loss"}
"""Keys of fitnesses in results of earlier versions, which do not state their quantities."""

ONE_SHOT_ACCURACY = dataclasses.replace(ACCURACY, name="one-shot accuracy")
ONE_SHOT_LOSS = dataclasses.replace(LOSS, name="one-shot loss")


def _columns_of_best(run: Run) -> list[tuple[str, Quantity]]:
    """Returns the columns of the best: the fitness, its parts, and what else was recorded of any of them."""
    quantity = run.quantity
    recorded = {one.name: recorded_quantity(one) for one in run.recorded_quantities}
    parts = (run.fitness or "").split("+")
    columns = [("fitness", quantity)]
    columns += [(part, recorded.get(part) or fitness_quantity(part)) for part in parts]

    others = [("spread", Quantity("± over seeds", quantity.unit, quantity.decimals))]
    if recorded:
        shown = {one.of for one in run.recorded_quantities} | set(parts)
        others += [(name, of) for name, of in recorded.items() if name not in ("fitness", *parts)]
    else:
        shown = {RECORDED_AS.get(part, part) for part in parts}
        others += [("accuracy", ONE_SHOT_ACCURACY), ("loss", ONE_SHOT_LOSS)]
    others += COSTS.items()
    columns += [(key, of) for key, of in others if key not in shown]

    stated: set[str] = set()
    for best in run.best:
        stated.update(best.numbers)
    return [(key, of) for key, of in columns if key in stated]


def architectures_table(
    run: Run, architectures: Sequence[Judged], columns: Sequence[tuple[str, Quantity]], caption: str
) -> Table:
    """Returns a table of architectures: the columns' numbers, the true accuracy if any is known, and the text."""
    true = [run.true_accuracy(one.architecture) for one in architectures]
    has_true = any(value is not None for value in true) and not run.is_by_benchmark
    head = ["", *(of.title for _, of in columns), *(["true accuracy (percent)"] if has_true else []), "architecture"]
    rows: list[list[Text]] = []
    for place, (one, accuracy) in enumerate(zip(architectures, true, strict=True), start=1):
        row: list[Text] = [f"{place}", *(of.write(one.numbers.get(key, math.nan)) for key, of in columns)]
        if has_true:
            row.append(ACCURACY.write(math.nan if accuracy is None else accuracy))
        rows.append([*row, (architecture_text(one.description),)])
    return Table(head, rows, numbers=range(len(head) - 1), caption=caption, stacked=True)
