"""The report of a sweep: tables as text, Markdown and CSV, and one page with every metric against what was varied."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from raynas.config.locations import inside
from raynas.records.cells import csv_cell, markdown_text
from raynas.report import document, figures, sweep_figures
from raynas.report.document import Markup, element, together
from raynas.report.quantities import LOSS, duration
from raynas.report.sections import Gallery, listed, section
from raynas.report.sweep_figures import Series
from raynas.report.sweep_files import (
    Axis,
    Row,
    Sweep,
    Trial,
    parse_results,
    quantity,
    read_sweep,
    training_losses,
    value_text,
    with_deviation,
)


def write_sweep_report(folder: Path) -> Path:
    """Writes what a sweep came to and returns the page, ``report/index.html`` in the sweep's folder.

    Beside it lie its figures, ``figures/*.svg`` and ``*.png``, and in the folder ``results.csv``, a row a trial, and
    ``results.md``, the tables. All of it is of ``results.json``, and of the metrics of the trials' supernets.

    Args:
        folder: The sweep's folder.

    Raises:
        ValueError: If the folder holds no results, or damaged ones, or a name or link in it leads out of it.
    """
    sweep = read_sweep(folder)
    gallery = Gallery()
    page = document.document(
        f"{sweep.name} · raynas",
        summary(sweep),
        results(sweep),
        by_key(sweep, gallery),
        training(sweep, folder, gallery),
        left_out(sweep),
        all_trials(sweep, folder),
    )
    document.write_at_once(folder / "results.csv", trials_csv(sweep).encode("utf-8"))
    document.write_at_once(folder / "results.md", markdown(sweep).encode("utf-8"))
    return document.write_page(folder / "report", page, gallery.files())


# Tables


@dataclass(frozen=True)
class Table:
    """Cells of text, the same for terminal, Markdown and page.

    Attributes:
        title: What its numbers are, where the columns do not say it.
        head: The columns' heads.
        rows: Their cells.
        labels: How many columns, from the left, name a row.
        best: Which cells, by row and column, hold the best of what settings are compared by.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int
    best: frozenset[tuple[int, int]]


def tables(sweep: Sweep) -> list[Table]:
    """Returns a row for each setting: means with deviations, of how many seeds, and the paper's figures beside them.

    Where the last of several axes takes two to four values, such as data sets, each has columns of its own, and every
    metric a table.
    """
    spread = sweep.spread
    if spread is None:
        return [_table_of_metrics(sweep, _best_first(sweep))]
    return [_table_of_one(sweep, metric, spread) for metric in _known(sweep)]


def _known(sweep: Sweep) -> list[str]:
    """Returns the metrics of which there is a number, or at least that which settings are compared by."""
    known = {metric for row in sweep.rows for metric in (*row.numbers, *row.published)}
    return [metric for metric in sweep.metrics if metric in known] or [sweep.metric]


def _best_first(sweep: Sweep) -> Sequence[Row]:
    """Returns the settings by their means if their values were drawn, else as they stand on the axes."""
    if all(axis.kind in ("grid", "variants") for axis in sweep.axes):
        return sweep.rows
    ordered, left = [], list(sweep.rows)
    while (best := sweep.best(left)) is not None:
        ordered.append(best)
        left.remove(best)
    return [*ordered, *left]


def _table_of_metrics(sweep: Sweep, rows: Sequence[Row]) -> Table:
    best = sweep.best(rows)
    labels = _labels(sweep.varied, rows)
    head, columns, marked = list(labels[0]), [list(cells) for cells in zip(*labels[1], strict=True)], set()
    for metric in _known(sweep):
        if metric == sweep.metric and best is not None:
            marked = {(rows.index(best), len(head))}
        head.append(quantity(metric).title)
        columns.append([row.write(metric) for row in rows])
        if any(metric in row.published for row in rows):
            head.append("published")
            columns.append([_published(row, metric) for row in rows])
    head.append("seeds")
    columns.append([row.counted for row in rows])
    return Table("", head, list(zip(*columns, strict=True)), len(labels[0]), frozenset(marked))


def _table_of_one(sweep: Sweep, metric: str, spread: Axis) -> Table:
    """Returns a metric with a column for each value of an axis, and the published figure beside it."""
    others = [axis for axis in sweep.varied if axis != spread]
    groups: dict[str, dict[str, Row]] = {}
    for row in sweep.rows:
        rest = json.dumps([row.point[axis.name] for axis in others])
        groups.setdefault(rest, {})[value_text(row.point[spread.name])] = row
    head, names = _labels(others, [next(iter(group.values())) for group in groups.values()])
    columns, marked = [list(cells) for cells in zip(*names, strict=True)], set()
    head, labels = list(head), len(head)
    for value in map(value_text, spread.values):
        rows = [group.get(value) for group in groups.values()]
        best = sweep.best([row for row in rows if row is not None])
        if metric == sweep.metric and best is not None:
            marked.add((rows.index(best), len(head)))
        head.append(value)
        columns.append(["–" if row is None else row.write(metric) for row in rows])
        if any(row is not None and metric in row.published for row in rows):
            head.append("published")
            columns.append(["–" if row is None else _published(row, metric) for row in rows])
    head.append("seeds")
    counted = [
        [group[value].counted for value in map(value_text, spread.values) if value in group]
        for group in groups.values()
    ]
    columns.append([counts[0] if len(set(counts)) == 1 else " · ".join(counts) for counts in counted])
    return Table(quantity(metric).title, head, list(zip(*columns, strict=True)), labels, frozenset(marked))


def _labels(axes: Sequence[Axis], rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Returns the names of axes and the rows' values on them; blank is what is the same as in the row above."""
    if not axes:
        return [""], [["all trials"] for _ in rows]
    names = [[value_text(row.point[axis.name]) for axis in axes] for row in rows]
    blanked = [
        [
            "" if number and place < len(axes) - 1 and names[number - 1][: place + 1] == row[: place + 1] else name
            for place, name in enumerate(row)
        ]
        for number, row in enumerate(names)
    ]
    return [axis.name for axis in axes], blanked


def _published(row: Row, metric: str) -> str:
    number = row.published.get(metric)
    return "–" if number is None else with_deviation(quantity(metric), number.mean, number.deviation)


def notes(sweep: Sweep) -> list[str]:
    """Returns what one must know to read the tables: what is fixed, what ± is, what is missing, whose figures."""
    fixed = [f"{axis.name}: {value_text(axis.values[0])}" for axis in sweep.axes if len(axis.values) == 1]
    lines = [f"Throughout, {listed(fixed)}."] if fixed else []
    if any(number.deviation is not None for row in sweep.rows for number in row.numbers.values()):
        lines.append("±: sample deviation over seeds.")
    if missing := [trial for trial in sweep.trials if trial.status != "done"]:
        lines.append(f"{_counted(missing)} of {len(sweep.trials):,} trials; seeds: how many are in the means of a row.")
    if any(row.published for row in sweep.rows):
        small = " at full settings, where this is the quick form" if sweep.quick else ""
        lines.append(f"Published: {sweep.source or 'figures of the paper'}{small}.")
    return lines


def _counted(trials: Sequence[Trial]) -> str:
    """Returns how many trials there are of each status."""
    counts = Counter(trial.status for trial in trials)
    order = ["done", "stopped", "failed", "running", "waiting"]
    return ", ".join(f"{counts[status]:,} {status}" for status in dict.fromkeys([*order, *counts]) if counts[status])


def table_lines(results: Mapping[str, Any]) -> list[str]:
    """Returns the tables of a sweep as aligned lines of text, the best marked by an asterisk.

    Args:
        results: What results.json holds.
    """
    sweep = parse_results(results)
    lines: list[str] = []
    for one in tables(sweep):
        cells = [list(one.head), *(list(row) for row in one.rows[:ROWS])]
        shown = {(row, column) for row, column in one.best if row < ROWS}
        for row, column in shown:
            cells[row + 1][column] += " *"
        for column in {column for _, column in shown}:
            for row, line in enumerate(cells):
                line[column] += "" if (row - 1, column) in shown else "  "
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += [one.title] if one.title else []
        lines += [
            "  ".join(
                f"{cell:<{width}}" if column < one.labels else f"{cell:>{width}}"
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]
        lines += [f"({len(one.rows) - ROWS:,} more rows are in results.md)"] if len(one.rows) > ROWS else []
    marked = "*: the best." if any(one.best for one in tables(sweep)) else ""
    return [*lines, " ".join([*notes(sweep), *([marked] if marked else [])])]


def markdown(sweep: Sweep) -> str:
    """Returns the tables in Markdown, the best in bold."""
    parts = [f"# {markdown_text(sweep.name)}"]
    for one in tables(sweep):
        rows = [
            [_markdown_cell(cell, best=(row, column) in one.best) for column, cell in enumerate(line)]
            for row, line in enumerate(one.rows)
        ]
        rule = ["---" if column < one.labels else "---:" for column in range(len(one.head))]
        lines = [list(map(markdown_text, one.head)), rule, *rows]
        parts += [markdown_text(one.title)] if one.title else []
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    parts += [markdown_text(" ".join(notes(sweep)))] if notes(sweep) else []
    return "\n\n".join(parts) + "\n"


def _markdown_cell(cell: str, best: bool) -> str:
    return f"**{markdown_text(cell)}**" if best else markdown_text(cell)


def trials_csv(sweep: Sweep) -> str:
    """Returns a row for each trial: axes, seed, status, metrics, folder; numbers as they are, texts as `csv_cell`."""
    metrics = list(dict.fromkeys([*sweep.metrics, *(name for trial in sweep.trials for name in trial.metrics)]))
    names = [axis.name for axis in sweep.axes]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    rows: list[list[Any]] = [["trial", *names, "seed", "status", "epochs", "seconds", *metrics, "error", "folder"]]
    for trial in sweep.trials:
        values = [trial.point[name] for name in names]
        rows.append(
            [
                trial.name,
                *(value if isinstance(value, str | int | float) else json.dumps(value) for value in values),
                *(trial.seed, trial.status, trial.epochs, trial.seconds if np.isfinite(trial.seconds) else None),
                *(trial.metrics.get(metric) for metric in metrics),
                *(trial.error, trial.folder),
            ]
        )
    for row in rows:
        writer.writerow([csv_cell(cell) for cell in row])
    return stream.getvalue()


# The page


def summary(sweep: Sweep) -> Markup:
    """Returns the head of the page: what was varied, how the trials ended, and the best setting."""
    seeds = [f"{len(sweep.seeds):,} seed{'s' if len(sweep.seeds) != 1 else ''}"] if sweep.seeds else []
    swept = "; ".join([*map(_about_axis, sweep.axes), *seeds])
    lines = [
        ("Swept", f"{swept}{' (the quick form)' if sweep.quick else ''}."),
        ("Trials", f"{len(sweep.trials):,}: {_counted(sweep.trials)}."),
        ("Best", best_setting(sweep)),
        *([("Published", f"{sweep.source}.")] if sweep.source else []),
    ]
    return element(
        "header",
        element("h1", sweep.name),
        element("ul", *(element("li", element("b", f"{head}: "), text) for head, text in lines), class_="lead"),
    )


def _about_axis(axis: Axis) -> str:
    if axis.kind in ("uniform", "loguniform") and axis.values:
        drawn = f"{len(axis.values):,} values drawn"
        return f"{axis.name}, {drawn} from {value_text(axis.values[0])} to {value_text(axis.values[-1])}"
    if len(axis.values) > 8:
        return f"{axis.name}, {len(axis.values):,} values"
    return f"{axis.name}: {' | '.join(figures.shortened(value_text(value), 60) for value in axis.values)}"


def best_setting(sweep: Sweep) -> str:
    """Returns the best setting, of each value of the axis that has columns of its own, in a line."""
    spread, of = sweep.spread, quantity(sweep.metric)
    parts = []
    for value in spread.values if spread is not None else [None]:
        rows = [row for row in sweep.rows if spread is None or row.point[spread.name] == value]
        best = sweep.best(rows)
        if best is None:
            continue
        names = [f"{axis.name} {value_text(best.point[axis.name])}" for axis in sweep.varied if axis != spread]
        number = best.numbers[sweep.metric]
        written = with_deviation(of, number.mean, number.deviation)
        where = f"{value_text(value)}: " if spread is not None else ""
        seeds = f" ({best.counted} seeds)" if best.counted != "1" else ""
        parts.append(f"{where}{', '.join(names) or 'the one setting'}, {written} {of.unit}".rstrip() + seeds)
    if not parts:
        return "no trial has ended with it yet."
    return f"by {'largest' if sweep.mode == 'max' else 'least'} mean {of.name}, {'; '.join(parts)}."


ROWS = 40
"""The most rows of a table on the page and in the terminal."""


def results(sweep: Sweep) -> Markup:
    """Returns the tables."""
    parts: list[str] = []
    for one in tables(sweep):
        shown = one.rows[:ROWS]
        of = f", the first {ROWS} of {len(one.rows):,} rows; all are in results.md" if len(one.rows) > ROWS else ""
        rows = [
            [element("b", cell) if (row, column) in one.best else cell for column, cell in enumerate(line)]
            for row, line in enumerate(shown)
        ]
        caption = f"{one.title or 'Settings'}{of}"
        parts.append(document.table(one.head, rows, numbers=range(one.labels, len(one.head)), caption=caption))
    bold = ["Bold: the best."] if any(one.best for one in tables(sweep)) else []
    return section("Results", *parts, element("p", " ".join([*notes(sweep), *bold]), class_="note"))


LINES = 7
"""The most series of a figure that are told apart; more are points without lines."""


def by_key(sweep: Sweep, gallery: Gallery) -> Markup:
    """Returns every metric against every axis that takes several values."""
    members = []
    for metric in _known(sweep):
        for place, axis in enumerate(sweep.varied, start=1):
            several = series(sweep, metric, axis)
            if not several:  # no trial has a number yet
                continue
            looks = figures.looks_of(one.name for one in several)
            draw = sweep_figures.along_numbers if axis.is_numeric else sweep_figures.along_names
            apart = sweep_figures.far_apart(several)
            for number, shown in enumerate([[one] for one in several] if apart else [several], start=1):
                title = shown[0].name if apart else ""
                name = f"{metric.replace('_', '-')}-{place}{f'-{number}' if apart else ''}"
                picture = draw(axis, shown, title, quantity(metric), looks)
                members.append(gallery.show(name, picture, _caption(metric, axis, shown, title)))
    return section("By key", document.figures(*members)) if members else Markup("")


def _caption(metric: str, axis: Axis, several: Sequence[Series], title: str) -> str:
    of = quantity(metric).name
    text = f"Against {axis.name}{f', {title}' if title else ''}: {of}, means over seeds"
    numbers = [number for one in several for number in one.numbers if number is not None]
    if any(number.deviation is not None for number in numbers):
        text += " with their deviations; small, the single seeds"
    if not several[0].joined:
        text += "; other keys differ from point to point"
    return f"{text}."


def series(sweep: Sweep, metric: str, axis: Axis) -> list[Series]:
    """Returns a metric along an axis: a series for each value of the others, or one of all points if these are many."""
    others = [other for other in sweep.varied if other != axis]
    groups: dict[str, list[Row]] = {}
    for row in sweep.rows:
        if metric in row.numbers or metric in row.published:
            groups.setdefault(", ".join(value_text(row.point[other.name]) for other in others), []).append(row)
    drawn = any(other.kind not in ("grid", "variants") for other in others)
    if len(groups) > LINES:
        drawn, groups = True, {"settings": [row for rows in groups.values() for row in rows]}
    return [
        Series(
            name=name,
            values=[row.point[axis.name] for row in rows],
            numbers=[row.numbers.get(metric) for row in rows],
            published=[row.published.get(metric) for row in rows],
            joined=not drawn,
        )
        for name, rows in groups.items()
    ]


POINTS = 60
"""The most points of a training curve that are drawn."""


def training(sweep: Sweep, folder: Path, gallery: Gallery) -> Markup:
    """Returns the training loss of every supernet, coloured by the axis of fewest values that trials still share."""
    found: dict[str, tuple[Trial, np.ndarray]] = {}
    for trial in sweep.trials:
        for supernet, losses in training_losses(inside(folder, trial.folder)).items():
            found.setdefault(supernet, (trial, losses))
    if not found:
        return Markup("")
    axes = [axis for axis in sweep.varied if len(axis.values) <= LINES]
    axis = min(axes, key=lambda axis: len(axis.values), default=None)
    curves = []
    for trial, losses in found.values():
        at = np.unique(np.linspace(0, len(losses) - 1, POINTS).round().astype(int))
        name = "supernets" if axis is None else value_text(trial.point[axis.name])
        curves.append(figures.Curve(name, at + 1, losses[at]))
    figure = figures.curves_by_epoch(curves, LOSS.title, figures.looks_of(curve.name for curve in curves))
    by = f", by {axis.name}" if axis is not None else ""
    supernets = f"{len(curves):,} supernet{'s' if len(curves) > 1 else ''}"
    caption = f"Training loss of {supernets}{by}; one that trials share is drawn once."
    return section("Training", document.figures(gallery.show("training-loss", figure, caption)))


def left_out(sweep: Sweep) -> Markup:
    """Returns which trials are not done, and why."""
    missing = [trial for trial in sweep.trials if trial.status != "done"]
    if not missing:
        return Markup("")
    rows = [[trial.name, trial.status, element("code", _why(trial))] for trial in missing]
    return section("Trials that are not done", document.table(["trial", "", "why"], rows, caption="Not done"))


def _why(trial: Trial) -> str:
    if trial.error:
        return trial.error
    after = f" after {trial.epochs:,} epochs" if trial.epochs else ""
    return {"stopped": f"stopped early{after}, as its training was behind"}.get(trial.status, f"not ended{after}")


def all_trials(sweep: Sweep, folder: Path) -> Markup:
    """Returns a table of the trials, each with its own page if it has one."""
    metrics = [metric for metric in sweep.metrics if any(metric in trial.metrics for trial in sweep.trials)]
    head = ["trial", *(axis.name for axis in sweep.axes), "seed", "status"]
    labels = len(head)
    head += [*(quantity(metric).title for metric in metrics), "epochs", "time"]
    best = sweep.best(sweep.rows)
    rows = []
    for trial in sweep.trials:
        page = f"{trial.folder}/report/index.html"
        name = element("a", trial.name, href=quote(f"../{page}")) if inside(folder, page).is_file() else trial.name
        rows.append(
            [
                name,
                *(value_text(trial.point[axis.name]) for axis in sweep.axes),
                *("–" if trial.seed is None else f"{trial.seed}", trial.status),
                *(quantity(metric).write(trial.metrics.get(metric, float("nan"))) for metric in metrics),
                *("–" if trial.epochs is None else f"{trial.epochs:,}",),
                *(duration(trial.seconds) if np.isfinite(trial.seconds) else "–",),
            ]
        )
    marked = [place for place, trial in enumerate(sweep.trials) if best is not None and trial.point == best.point]
    note = together("Of the best setting: ", element("b", "coloured"), ".") if marked and sweep.spread is None else ""
    return section(
        "Trials",
        *([element("p", note, class_="note")] if note else []),
        document.table(
            head,
            rows,
            numbers=range(labels, len(head)),
            marked=marked if sweep.spread is None else (),
            caption=f"{len(rows):,} trials",
        ),
    )
