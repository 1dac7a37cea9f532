"""The search of a run: its figures, its exactness and its front."""

from __future__ import annotations

import numpy as np

from raynas.report.best_sections import ONE_SHOT_ACCURACY, architectures_table, trade_offs
from raynas.report.blocks import Block, FigureBlock, Figures, Paragraph, Section, Table
from raynas.report.gallery import Gallery
from raynas.report.groups import groups_of, looks_of_groups
from raynas.report.palette import looks_of
from raynas.report.quantities import ACCURACY, COSTS
from raynas.report.regret_figures import regret_figures
from raynas.report.run_values import Evaluated, History, Run
from raynas.report.search_figures import fitness_against_cost, histogram, hypervolume_curves, search_by_generation
from raynas.report.wording import listed


def search_results(run: Run, gallery: Gallery) -> Section:
    """Returns the figures of the search, with its exactness or its front."""
    content: list[Block] = []
    if run.missed is not None:
        content.append(Paragraph(how_exact(run)))
    if run.front:
        content.append(Paragraph(about_front(run)))
    shown = _search_figures(run, run.history, gallery) if run.history is not None else []
    if shown:
        content.append(Figures(shown))
    if run.front:
        content.append(_table_of_front(run))
    return Section("Search", content)


def how_exact(run: Run) -> str:
    """Returns one sentence: whether the evaluated architectures are proven to have the largest angles."""
    assert run.result is not None and run.missed is not None
    limits = run.section("search").get("limits") or {}
    where = "within the limits" if any(limits.values()) else "of the space"
    evaluations = run.result.evaluations
    if run.missed == 0:
        return f"The {f'{evaluations:,} largest angles' if evaluations > 1 else 'largest angle'} {where}, proven."
    return (
        f"At most {run.missed:.2g} rad are missed: by no more does any other angle {where} exceed "
        f"{f'the least of these {evaluations:,}' if evaluations > 1 else 'this one'}."
    )


def about_front(run: Run) -> str:
    """Returns one sentence: the size of the front and its objectives."""
    names = [COSTS[key].name for key in run.objectives]
    points = len(trade_offs(run))
    equals = f", {points:,} different trade-offs" if points < len(run.front) else ""
    return (
        f"The front has {len(run.front):,} of the evaluated architectures{equals}: no other one is as good in "
        f"{listed([run.quantity.name, *names])} and better in one of them."
    )


FRONT_ROWS = 30
"""Largest number of architectures in the table of a front."""


def _table_of_front(run: Run) -> Table:
    """Returns the trade-offs on the front as a table; a long front is sampled at even steps."""
    different = trade_offs(run)
    places = np.unique(np.linspace(0, len(different) - 1, FRONT_ROWS).round().astype(int)).tolist()
    shown = [different[place] for place in places]
    caption = f"The front, by {COSTS[run.objectives[0]].name}"
    if len(different) < len(run.front):
        caption += "; the first of equals"
    if len(shown) < len(different):
        caption += f"; {len(shown):,} of {len(different):,} trade-offs at even steps"
    caption += "; all are in search/result.json" if len(shown) < len(run.front) else ""
    columns = [("fitness", run.quantity), *((key, COSTS[key]) for key in run.objectives)]
    return architectures_table(run, shown, columns, caption)


HYPERVOLUME = (
    "How far the front has advanced: the volume between all evaluated so far and the worst of generation 0 (its least "
    "fitness and its largest costs), in units of the box from there to its best (its largest fitness and least costs)."
)


def _search_figures(run: Run, history: History, gallery: Gallery) -> list[FigureBlock]:
    quantity, columns = run.quantity, history.columns
    if len(columns["fitness"]) == 1:
        return []
    generations = len(np.unique(columns["generation"]))
    accuracies = one_shot_accuracies(run)
    caption = "Fitness of all evaluated architectures."
    if generations > 1:
        caption = "The best so far, the median of each generation, and its middle 80 percent."

    shown = []
    # The histogram of accuracies below then equals the histogram of the fitness.
    is_repeated_below = generations == 1 and run.is_by_accuracy and accuracies is not None
    if run.missed is None and not is_repeated_below:
        shown.append(gallery.show("search", search_by_generation(history, quantity), caption))
    if run.hypervolumes:
        figure = hypervolume_curves([(run.name, run.hypervolumes)], looks_of([run.name]))
        shown.append(gallery.show("hypervolume", figure, HYPERVOLUME))
    if run.best:
        shown += _figure_of_costs(run, history, run.best[0], gallery)
    group = groups_of([(run.name, run)])
    shown += regret_figures(group, looks_of_groups(group), gallery)
    if accuracies is not None:
        median = ACCURACY.write_with_unit(float(np.median(accuracies)))
        caption = f"Accuracy of all evaluated architectures with the supernet's weights; the median is {median}."
        shown.append(gallery.show("one-shot-accuracy", histogram(accuracies, ONE_SHOT_ACCURACY), caption))
    return shown


def _figure_of_costs(run: Run, history: History, best: Evaluated, gallery: Gallery) -> list[FigureBlock]:
    """Returns fitness against the first objective, or the multiply-adds; nothing if they are not recorded."""
    cost = next(iter(run.objectives), "multiply_adds")
    if cost not in history.columns or cost not in best.numbers or run.fitness == cost:
        return []
    front = "those on the front no other beats in both"
    if run.front and len(run.objectives) > 1:
        front = f"the front is among {listed([COSTS[key].name for key in run.objectives])} together"
    figure = fitness_against_cost(history, run.quantity, best, cost, run.front)
    caption = f"All evaluated architectures by fitness and {COSTS[cost].name}; {front}."
    return [gallery.show("fitness-against-cost", figure, caption)]


def one_shot_accuracies(run: Run) -> np.ndarray | None:
    """Returns the one-shot accuracies of the evaluated architectures; None if fewer than 20 are known."""
    accuracies = np.array([]) if run.history is None else run.history.columns.get("accuracy", np.array([]))
    known: np.ndarray = accuracies[np.isfinite(accuracies)]
    return known if len(known) >= 20 else None
