"""The tables of a sweep, shared by terminal, Markdown and page; and every trial as a line of CSV."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raynas.records.cells import csv_cell, markdown_text
from raynas.report.intervals import mean_interval, stands_apart
from raynas.report.quantities import Quantity
from raynas.report.sweep_files import Axis, Row, Sweep, Trial, parse_results, value_text, with_deviation
from raynas.report.wording import listed

ROWS = 40
"""Largest number of rows of a table on the page and in the terminal."""


@dataclass(frozen=True)
class SweepTable:
    """Cells of text, shared by terminal, Markdown and page.

    Attributes:
        title: The quantity of its numbers, if the columns do not state it.
        head: The heads of the columns.
        rows: Their cells.
        labels: Number of columns, from the left, that name a row.
        best: Row and column of the cells with the best mean.
        clear: Those of them that are better than all others beyond the 95 percent intervals over seeds.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int
    best: frozenset[tuple[int, int]]
    clear: frozenset[tuple[int, int]]


def tables(sweep: Sweep) -> list[SweepTable]:
    """Returns one row for each setting: means with deviations, the number of seeds, and the published numbers.

    If the last of several axes has two to four values, such as data sets, each value has its own columns. Every metric
    then has its own table.
    """
    spread = sweep.spread
    if spread is None:
        return [_table_of_metrics(sweep, _best_first(sweep))]
    return [_table_of_one(sweep, metric, spread) for metric in known_metrics(sweep)]


def known_metrics(sweep: Sweep) -> list[str]:
    """Returns the metrics with a number, or at least the metric that compares settings."""
    known: set[str] = set()
    for row in sweep.rows:
        known.update(row.numbers, row.published)
    return [metric for metric in sweep.metrics if metric in known] or [sweep.metric]


def _best_first(sweep: Sweep) -> Sequence[Row]:
    """Returns the settings in the order of their means if values were sampled, else in the order of the axes."""
    if all(axis.kind in ("grid", "variants") for axis in sweep.axes):
        return sweep.rows
    ordered, left = [], list(sweep.rows)
    while (best := sweep.best(left)) is not None:
        ordered.append(best)
        left.remove(best)
    return [*ordered, *left]


def _table_of_metrics(sweep: Sweep, rows: Sequence[Row]) -> SweepTable:
    best = sweep.best(rows)
    labels = _labels(sweep.varied, rows)
    head, columns, marked = list(labels[0]), [list(cells) for cells in zip(*labels[1], strict=True)], set()
    is_clear = best is not None and stands_out(sweep, best, rows)
    for metric in known_metrics(sweep):
        if metric == sweep.metric and best is not None:
            marked = {(rows.index(best), len(head))}
        head.append(sweep.quantity(metric).title)
        columns.append([row.write(metric, sweep.quantity(metric)) for row in rows])
        if any(metric in row.published for row in rows):
            head.append("published")
            columns.append([_published(row, metric, sweep.quantity(metric)) for row in rows])
    head.append("seeds")
    columns.append([row.counted for row in rows])
    return SweepTable(
        "",
        head,
        list(zip(*columns, strict=True)),
        len(labels[0]),
        frozenset(marked),
        frozenset(marked if is_clear else ()),
    )


def _table_of_one(sweep: Sweep, metric: str, spread: Axis) -> SweepTable:
    """Returns a metric with one column for each value of an axis, followed by the published numbers."""
    others = [axis for axis in sweep.varied if axis != spread]
    groups: dict[str, dict[str, Row]] = {}
    for row in sweep.rows:
        rest = json.dumps([row.point[axis.name] for axis in others])
        groups.setdefault(rest, {})[value_text(row.point[spread.name])] = row
    head, names = _labels(others, [next(iter(group.values())) for group in groups.values()])
    columns, marked, clear = [list(cells) for cells in zip(*names, strict=True)], set(), set()
    head, labels = list(head), len(head)
    for value in map(value_text, spread.values):
        rows = [group.get(value) for group in groups.values()]
        best = sweep.best([row for row in rows if row is not None])
        if metric == sweep.metric and best is not None:
            marked.add((rows.index(best), len(head)))
            if stands_out(sweep, best, [row for row in rows if row is not None]):
                clear.add((rows.index(best), len(head)))
        head.append(value)
        columns.append(["–" if row is None else row.write(metric, sweep.quantity(metric)) for row in rows])
        if any(row is not None and metric in row.published for row in rows):
            head.append("published")
            columns.append(["–" if row is None else _published(row, metric, sweep.quantity(metric)) for row in rows])
    head.append("seeds")
    columns.append([_seeds_of(group, spread) for group in groups.values()])
    return SweepTable(
        sweep.quantity(metric).title,
        head,
        list(zip(*columns, strict=True)),
        labels,
        frozenset(marked),
        frozenset(clear),
    )


def stands_out(sweep: Sweep, best: Row, rows: Sequence[Row]) -> bool:
    """Returns whether a setting is better than all others beyond the 95 percent intervals over seeds."""
    known = [row for row in rows if sweep.metric in row.numbers]
    intervals = [mean_interval(row.numbers[sweep.metric].values) for row in known if row is not best]
    return stands_apart(mean_interval(best.numbers[sweep.metric].values), intervals)


OVERLAP = "its 95 percent interval over seeds overlaps with that of another setting, or is unknown."


def about_marks(several: Sequence[SweepTable], mark: str) -> str:
    """Returns what a mark at the best means; empty without a best."""
    best = [cell for table in several for cell in table.best]
    clear = [cell for table in several for cell in table.clear]
    if not best:
        return ""
    return f"{mark}: the best." if len(clear) == len(best) else f"{mark}: the best mean; {OVERLAP}"


def _seeds_of(group: Mapping[str, Row], spread: Axis) -> str:
    """Returns the number of seeds of the rows of a group: one number if it is equal in all rows."""
    counts = [group[value].counted for value in map(value_text, spread.values) if value in group]
    return counts[0] if len(set(counts)) == 1 else " · ".join(counts)


def _labels(axes: Sequence[Axis], rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Returns the names of axes and the values of the rows; a value equal to the one above is blank."""
    if not axes:
        return [""], [["all trials"] for _ in rows]
    blanked = []
    before: list[str] = []
    for row in rows:
        names = [value_text(row.point[axis.name]) for axis in axes]
        same = 0
        while same < len(axes) - 1 and names[: same + 1] == before[: same + 1]:
            same += 1
        blanked.append([""] * same + names[same:])
        before = names
    return [axis.name for axis in axes], blanked


def _published(row: Row, metric: str, quantity: Quantity) -> str:
    number = row.published.get(metric)
    return "–" if number is None else with_deviation(quantity, number.mean, number.deviation)


def notes(sweep: Sweep) -> list[str]:
    """Returns the notes on the tables: fixed values, the meaning of ±, missing trials, the source of numbers."""
    fixed = [f"{axis.name}: {value_text(axis.values[0])}" for axis in sweep.axes if len(axis.values) == 1]
    lines = [f"Throughout, {listed(fixed)}."] if fixed else []
    numbers = itertools.chain.from_iterable(row.numbers.values() for row in sweep.rows)
    if any(number.deviation is not None for number in numbers):
        lines.append("±: sample deviation over seeds.")
    if missing := [trial for trial in sweep.trials if trial.status != "done"]:
        lines.append(
            f"{trial_counts(missing)} of {len(sweep.trials):,} trials; seeds: how many are in the means of a row."
        )
    if any(row.published for row in sweep.rows):
        small = " at full settings, where this is the quick form" if sweep.quick else ""
        lines.append(f"Published: {sweep.source or 'figures of the paper'}{small}.")
    return lines


def trial_counts(trials: Sequence[Trial]) -> str:
    """Returns the number of trials of each status."""
    counts = Counter(trial.status for trial in trials)
    order = ["done", "stopped", "failed", "running", "waiting"]
    return ", ".join(f"{counts[status]:,} {status}" for status in dict.fromkeys([*order, *counts]) if counts[status])


def table_lines(results: Mapping[str, Any]) -> list[str]:
    """Returns the tables of a sweep as aligned lines of text, with an asterisk at the best.

    Args:
        results: Content of results.json.
    """
    sweep = parse_results(results)
    several = tables(sweep)
    lines: list[str] = []
    for table in several:
        if table.title:
            lines.append(table.title)
        lines += _aligned(table)
        if len(table.rows) > ROWS:
            lines.append(f"({len(table.rows) - ROWS:,} more rows are in results.md)")
    return [*lines, " ".join([*notes(sweep), *filter(None, [about_marks(several, "*")])])]


def _aligned(table: SweepTable) -> list[str]:
    """Returns the first rows of a table as lines, with labels left-aligned and numbers right-aligned."""
    cells = [list(table.head), *(list(row) for row in table.rows[:ROWS])]
    shown = {(row + 1, column) for row, column in table.best if row < ROWS}
    for column in {column for _, column in shown}:
        for row, line in enumerate(cells):
            line[column] += " *" if (row, column) in shown else "  "
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row_cells in cells:
        line_text = ""
        for column, (cell, width) in enumerate(zip(row_cells, widths, strict=True)):
            line_text += "  " if column else ""
            line_text += cell.ljust(width) if column < table.labels else cell.rjust(width)
        lines.append(line_text.rstrip())
    return lines


def markdown(sweep: Sweep) -> str:
    """Returns the tables in Markdown, with the best in bold."""
    parts = [f"# {markdown_text(sweep.name)}"]
    for table in tables(sweep):
        if table.title:
            parts.append(markdown_text(table.title))
        lines = [_markdown_line([markdown_text(text) for text in table.head])]
        lines.append(_markdown_line(["---" if column < table.labels else "---:" for column in range(len(table.head))]))
        for row, cells in enumerate(table.rows):
            written = [_markdown_cell(cell, (row, column) in table.clear) for column, cell in enumerate(cells)]
            lines.append(_markdown_line(written))
        parts.append("\n".join(lines))
    if notes(sweep):
        parts.append(markdown_text(" ".join(notes(sweep))))
    return "\n\n".join(parts) + "\n"


def _markdown_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: str, best: bool) -> str:
    return f"**{markdown_text(cell)}**" if best else markdown_text(cell)


def trials_csv(sweep: Sweep) -> str:
    """Returns one row per trial: axes, seed, status, metrics, folder; numbers unchanged, texts through `csv_cell`."""
    metrics = dict.fromkeys(sweep.metrics)
    for trial in sweep.trials:
        metrics.update(dict.fromkeys(trial.metrics))
    names = [axis.name for axis in sweep.axes]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    rows: list[list[Any]] = [["trial", *names, "seed", "status", "epochs", "seconds", *metrics, "error", "folder"]]
    for trial in sweep.trials:
        row: list[Any] = [trial.name]
        for name in names:
            value = trial.point[name]
            row.append(value if isinstance(value, str | int | float) else json.dumps(value))
        row += [trial.seed, trial.status, trial.epochs, trial.seconds if np.isfinite(trial.seconds) else None]
        row += [trial.metrics.get(metric) for metric in metrics]
        rows.append([*row, trial.error, trial.folder])
    for row in rows:
        writer.writerow([csv_cell(cell) for cell in row])
    return stream.getvalue()
