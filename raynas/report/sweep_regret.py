"""The regret of a sweep's searches: one curve for each setting, with a band over its seeds."""

from __future__ import annotations

from pathlib import Path

from raynas.config.locations import inside
from raynas.report.blocks import Block, Figures, Paragraph, Section
from raynas.report.gallery import Gallery
from raynas.report.groups import Group, looks_of_groups
from raynas.report.regret_figures import regret_figures
from raynas.report.run_files import read_run
from raynas.report.run_values import Run
from raynas.report.sweep_files import Row, Sweep, Trial, value_text

SETTINGS = 6
"""Largest number of settings with a curve; of more, those of best means are shown."""


def regret_of_settings(sweep: Sweep, folder: Path, gallery: Gallery) -> Section:
    """Returns the regret of the searches by settings; empty where no trial has a ranking with benchmark accuracies.

    Args:
        sweep: The results of the sweep.
        folder: The sweep's folder, whose trials are read.
        gallery: Keeps the figures.
    """
    sign = -1 if sweep.mode == "max" else 1
    known = sorted(sweep.known(sweep.rows), key=lambda row: sign * row.numbers[sweep.metric].mean)
    shown = known[:SETTINGS]
    groups = []
    for row in sweep.rows:  # in the order of the axes, as everywhere on the page
        if row in shown and (members := _searches(row, folder)):
            groups.append(Group(_name(sweep, row), members))
    figures = regret_figures(groups, looks_of_groups(groups), gallery)
    blocks: list[Block] = []
    if figures and len(known) > len(shown):
        about = f"Shown are the {len(shown)} settings of best mean, of {len(known):,} with a result."
        blocks.append(Paragraph(about, note=True))
    return Section("Regret", [*blocks, Figures(figures)] if figures else [])


def _searches(row: Row, folder: Path) -> list[tuple[str, Run]]:
    """Returns the runs of the trials of a setting that are done and whose searches are there, with their names."""
    return [(trial.name, read_run(place)) for trial in row.trials if (place := _place(trial, folder)) is not None]


def _place(trial: Trial, folder: Path) -> Path | None:
    """Returns the folder of a trial that is done; None if it is not, or holds no search."""
    place = inside(folder, trial.folder)
    is_there = (place / "config.json").is_file() and (place / "search" / "history.jsonl").is_file()
    return place if trial.status == "done" and is_there else None


def _name(sweep: Sweep, row: Row) -> str:
    """Returns the values of the varied keys of a setting."""
    values = [f"{axis.name} {value_text(row.point[axis.name])}" for axis in sweep.varied]
    return ", ".join(values) or "the one setting"
