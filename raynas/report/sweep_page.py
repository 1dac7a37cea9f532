"""The page of a sweep: the varied keys, the tables, and every metric against the varied keys."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raynas.config.locations import inside
from raynas.report import sweep_figures
from raynas.report.alpha_figures import Curve, curves_by_epoch
from raynas.report.blocks import (
    Block,
    FigureBlock,
    Figures,
    Head,
    Paragraph,
    Section,
    Table,
    Text,
    bold,
    verbatim,
)
from raynas.report.document import document, write_at_once, write_page
from raynas.report.drawing_style import shortened
from raynas.report.gallery import Gallery
from raynas.report.importance import about_importance, importance_of
from raynas.report.importance_figures import importance_bars, parallel_coordinates
from raynas.report.links import HasPage, has_page, home_link, link_to
from raynas.report.palette import looks_of
from raynas.report.quantities import LOSS, Quantity, duration
from raynas.report.sweep_figures import Series
from raynas.report.sweep_files import (
    Axis,
    Row,
    Sweep,
    Trial,
    read_sweep,
    training_losses,
    value_text,
    with_deviation,
)
from raynas.report.sweep_regret import regret_of_settings
from raynas.report.sweep_tables import (
    ROWS,
    SweepTable,
    known_metrics,
    markdown,
    notes,
    tables,
    trial_counts,
    trials_csv,
)
from raynas.report.wording import counted


def write_sweep_report(folder: Path) -> Path:
    """Writes the report of a sweep and returns its page, ``report/index.html`` in the sweep's folder.

    The figures are written to ``report/figures/*.svg`` and ``*.png``, and the tables to ``results.csv`` (one row for
    each trial) and ``results.md``. The source is ``results.json``, with the metrics of the trials' supernets.

    Args:
        folder: The sweep's folder.

    Raises:
        InputError: If the results are missing or damaged, or a name or link in the folder leads out of it.
    """
    sweep = read_sweep(folder)
    page, gallery = _sweep_page(sweep, folder, has_page)
    write_at_once(folder / "results.csv", trials_csv(sweep).encode("utf-8"))
    write_at_once(folder / "results.md", markdown(sweep).encode("utf-8"))
    return write_page(folder / "report", page, gallery.files())


def live_sweep_page(folder: Path, exists: HasPage, home: str) -> str:
    """Returns the page of a sweep for a server, without writing anything.

    Args:
        folder: The sweep's folder.
        exists: Returns whether the server has a page of a folder.
        home: The address of the list of runs.

    Raises:
        InputError: As `write_sweep_report` raises it.
    """
    return _sweep_page(read_sweep(folder), folder, exists, home)[0]


def _sweep_page(sweep: Sweep, folder: Path, exists: HasPage, home: str | None = None) -> tuple[str, Gallery]:
    """Returns the page of a sweep with its figures; it is live where it has a home."""
    gallery = Gallery()
    sections = [
        results(sweep),
        all_keys(sweep, gallery),
        by_key(sweep, gallery),
        regret_of_settings(sweep, folder, gallery),
        training(sweep, folder, gallery),
        trials_left(sweep),
        all_trials(sweep, folder, exists),
    ]
    head = summary(sweep)
    head = Head(head.title, [*head.lines, *home_link(home)])
    return document(f"{sweep.name} · raynas", head, sections, live=home is not None), gallery


def summary(sweep: Sweep) -> Head:
    """Returns the head of the page: the varied keys, the states of the trials, and the best setting."""
    seeds = [counted(len(sweep.seeds), "seed")] if sweep.seeds else []
    swept = "; ".join([*map(_about_axis, sweep.axes), *seeds])
    lines: list[tuple[str, Text]] = [
        ("Swept", f"{swept}{' (the quick form)' if sweep.quick else ''}."),
        ("Trials", f"{len(sweep.trials):,}: {trial_counts(sweep.trials)}."),
        ("Best", best_setting(sweep)),
    ]
    if sweep.source:
        lines.append(("Published", f"{sweep.source}."))
    return Head(sweep.name, lines)


def _about_axis(axis: Axis) -> str:
    if axis.kind in ("uniform", "loguniform") and axis.values:
        values = f"{len(axis.values):,} values sampled"
        return f"{axis.name}, {values} from {value_text(axis.values[0])} to {value_text(axis.values[-1])}"
    if len(axis.values) > 8:
        return f"{axis.name}, {len(axis.values):,} values"
    return f"{axis.name}: {' | '.join(shortened(value_text(value), 60) for value in axis.values)}"


def best_setting(sweep: Sweep) -> str:
    """Returns one line with the best setting, for each value of the axis with its own columns."""
    spread, quantity = sweep.spread, sweep.quantity(sweep.metric)
    parts = []
    for value in spread.values if spread is not None else [None]:
        rows = [row for row in sweep.rows if spread is None or row.point[spread.name] == value]
        best = sweep.best(rows)
        if best is None:
            continue
        names = [f"{axis.name} {value_text(best.point[axis.name])}" for axis in sweep.varied if axis != spread]
        number = best.numbers[sweep.metric]
        written = with_deviation(quantity, number.mean, number.deviation)
        where = f"{value_text(value)}: " if spread is not None else ""
        seeds = f" ({best.counted} seeds)" if best.counted != "1" else ""
        parts.append(f"{where}{', '.join(names) or 'the one setting'}, {written} {quantity.unit}".rstrip() + seeds)
    if not parts:
        return "no trial has ended with it yet."
    return f"by {'largest' if sweep.mode == 'max' else 'least'} mean {quantity.name}, {'; '.join(parts)}."


def results(sweep: Sweep) -> Section:
    """Returns the tables."""
    parts: list[Block] = []
    several = tables(sweep)
    for table in several:
        rows = [_cells(table, number) for number in range(min(ROWS, len(table.rows)))]
        caption = table.title or "Settings"
        if len(table.rows) > ROWS:
            caption += f", the first {ROWS} of {len(table.rows):,} rows; all are in results.md"
        parts.append(Table(table.head, rows, numbers=range(table.labels, len(table.head)), caption=caption))
    return Section("Results", [*parts, Paragraph(" ".join([*notes(sweep), *_about_bold(several)]), note=True)])


def _about_bold(several: Sequence[SweepTable]) -> list[str]:
    """Returns what bold means, or why nothing is bold."""
    if any(table.clear for table in several):
        return ["Bold: better than all others beyond the 95 percent intervals over seeds."]
    if any(table.best for table in several):
        return ["Nothing is bold, as no setting is better than all others beyond the 95 percent intervals over seeds."]
    return []


def _cells(table: SweepTable, row: int) -> list[Text]:
    """Returns the cells of a row, in bold where it is clearly the best."""
    cells: list[Text] = []
    for column, cell in enumerate(table.rows[row]):
        cells.append((bold(cell),) if (row, column) in table.clear else cell)
    return cells


def all_keys(sweep: Sweep, gallery: Gallery) -> Section:
    """Returns all varied keys at once: parallel coordinates, and how much of the variance each explains."""
    blocks: list[Block] = []
    coordinates = parallel_coordinates(sweep)
    if coordinates is not None:
        caption = (
            "A line for each setting, through its values to its mean at the right. Orange: the best mean; blue: the "
            "best third."
        )
        shown = gallery.show("parallel-coordinates", coordinates, caption, drawing=True)
        blocks.append(Figures([shown], round(96 * float(coordinates.get_size_inches()[0]))))
    importance = importance_of(sweep)
    if importance is not None:
        picture = importance_bars(importance.shares)
        blocks.append(Figures([gallery.show("importance", picture, about_importance(importance))]))
    return Section("All keys", blocks)


LINES = 7
"""Largest number of series with lines in a figure; more series become points without lines."""


def by_key(sweep: Sweep, gallery: Gallery) -> Section:
    """Returns every metric against every axis with several values."""
    members = []
    for metric in known_metrics(sweep):
        for place, axis in enumerate(sweep.varied, start=1):
            name = f"{metric.replace('_', '-')}-{place}"
            members += _figures_along(sweep.quantity(metric), axis, series(sweep, metric, axis), name, gallery)
    return Section("By key", [Figures(members)] if members else [])


def _figures_along(
    quantity: Quantity, axis: Axis, several: Sequence[Series], name: str, gallery: Gallery
) -> list[FigureBlock]:
    """Returns a metric against an axis: one figure for all series, or one for each if they are far apart."""
    if not several:  # no trial has a number yet
        return []
    looks = looks_of(line.name for line in several)
    draw = sweep_figures.along_numbers if axis.is_numeric else sweep_figures.along_names
    if not sweep_figures.far_apart(several):
        picture = draw(axis, several, "", quantity, looks)
        return [gallery.show(name, picture, _caption(quantity, axis, several, ""))]
    members = []
    for number, line in enumerate(several, start=1):
        picture = draw(axis, [line], line.name, quantity, looks)
        members.append(gallery.show(f"{name}-{number}", picture, _caption(quantity, axis, [line], line.name)))
    return members


def _caption(quantity: Quantity, axis: Axis, several: Sequence[Series], title: str) -> str:
    text = f"Against {axis.name}{f', {title}' if title else ''}: {quantity.name}, means over seeds"
    numbers = itertools.chain.from_iterable(line.numbers for line in several)
    if any(number is not None and number.deviation is not None for number in numbers):
        text += " with their deviations; small, the single seeds"
    if not several[0].joined:
        text += "; other keys differ from point to point"
    return f"{text}."


def series(sweep: Sweep, metric: str, axis: Axis) -> list[Series]:
    """Returns a metric along an axis: one series for each value of the other axes, or one for all if they are many."""
    others = [other for other in sweep.varied if other != axis]
    known = [row for row in sweep.rows if metric in row.numbers or metric in row.published]
    groups: dict[str, list[Row]] = {}
    for row in known:
        groups.setdefault(", ".join(value_text(row.point[other.name]) for other in others), []).append(row)
    is_sampled = any(other.kind not in ("grid", "variants") for other in others)
    if len(groups) > LINES:
        ordered: list[Row] = []
        for rows in groups.values():
            ordered += rows
        is_sampled, groups = True, {"settings": ordered}
    several = []
    for name, rows in groups.items():
        values = [row.point[axis.name] for row in rows]
        numbers = [row.numbers.get(metric) for row in rows]
        published = [row.published.get(metric) for row in rows]
        several.append(Series(name, values, numbers, published, joined=not is_sampled))
    return several


POINTS = 60
"""Largest number of points of a training curve in the figure."""


def training(sweep: Sweep, folder: Path, gallery: Gallery) -> Section:
    """Returns the training loss of every supernet, coloured by the axis with the fewest values."""
    found: dict[str, tuple[Trial, np.ndarray]] = {}
    for trial in sweep.trials:
        for supernet, losses in training_losses(inside(folder, trial.folder)).items():
            found.setdefault(supernet, (trial, losses))
    if not found:
        return Section("Training", [])
    axes = [axis for axis in sweep.varied if len(axis.values) <= LINES]
    axis = min(axes, key=lambda axis: len(axis.values), default=None)
    curves = []
    for trial, losses in found.values():
        steps = np.unique(np.linspace(0, len(losses) - 1, POINTS).round().astype(int))
        name = "supernets" if axis is None else value_text(trial.point[axis.name])
        curves.append(Curve(name, steps + 1, losses[steps]))
    picture = curves_by_epoch(curves, LOSS.title, looks_of(curve.name for curve in curves))
    coloured_by = f", by {axis.name}" if axis is not None else ""
    caption = (
        f"Training loss of {counted(len(curves), 'supernet')}{coloured_by}; a supernet that trials share has one curve."
    )
    return Section("Training", [Figures([gallery.show("training-loss", picture, caption)])])


def trials_left(sweep: Sweep) -> Section:
    """Returns the trials that are not done, with the reason."""
    missing = [trial for trial in sweep.trials if trial.status != "done"]
    rows: list[list[Text]] = [[trial.name, trial.status, verbatim(_why(trial))] for trial in missing]
    table = Table(["trial", "", "why"], rows, caption="Not done")
    return Section("Trials that are not done", [table] if missing else [])


def _why(trial: Trial) -> str:
    if trial.error:
        return trial.error
    after = f" after {trial.epochs:,} epochs" if trial.epochs else ""
    return {"stopped": f"stopped early{after}, as its training was behind"}.get(trial.status, f"not ended{after}")


def all_trials(sweep: Sweep, folder: Path, exists: HasPage) -> Section:
    """Returns a table of the trials, with links to their pages."""
    metrics = []
    for metric in sweep.metrics:
        if any(metric in trial.metrics for trial in sweep.trials):
            metrics.append(metric)
    names = ["trial", *(axis.name for axis in sweep.axes), "seed", "status"]
    head = [*names, *(sweep.quantity(metric).title for metric in metrics), "epochs", "time"]
    rows = [_row_of(trial, sweep, metrics, folder, exists) for trial in sweep.trials]

    best = sweep.best(sweep.rows) if sweep.spread is None else None
    marked = []
    for place, trial in enumerate(sweep.trials):
        if best is not None and trial.point == best.point:
            marked.append(place)
    blocks: list[Block] = []
    if marked:
        blocks.append(Paragraph("Shaded: the trials of the setting with the best mean.", note=True))
    numbers = range(len(names), len(head))
    blocks.append(Table(head, rows, numbers=numbers, marked=marked, caption=f"{len(rows):,} trials"))
    return Section("Trials", blocks)


def _row_of(trial: Trial, sweep: Sweep, metrics: Sequence[str], folder: Path, exists: HasPage) -> list[Text]:
    """Returns the row of a trial: its point, its numbers, and a link to its page."""
    row: list[Text] = [link_to(inside(folder, trial.folder), trial.name, folder / "report", exists)]
    row += [value_text(trial.point[axis.name]) for axis in sweep.axes]
    row += ["–" if trial.seed is None else f"{trial.seed}", trial.status]
    row += [sweep.quantity(metric).write(trial.metrics.get(metric, math.nan)) for metric in metrics]
    row.append("–" if trial.epochs is None else f"{trial.epochs:,}")
    row.append(duration(trial.seconds) if math.isfinite(trial.seconds) else "–")
    return row
