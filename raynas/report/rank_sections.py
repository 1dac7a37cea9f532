"""The rankings of a run: agreement of each fitness with the benchmark accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from raynas.report.blocks import Block, FigureBlock, Figures, Paragraph, Section, Table
from raynas.report.gallery import Gallery
from raynas.report.palette import ACCENT, MUTED, Look
from raynas.report.quantities import ACCURACY, CORRELATION, COSTS, Quantity, fitness_quantity
from raynas.report.rank_figures import benchmark_accuracy_against_fitness, tau_bars, tau_by_epoch
from raynas.report.rank_values import Rank, RankRow
from raynas.report.run_values import Run
from raynas.report.wording import capital, remarks


def rank_correlation(run: Run, gallery: Gallery) -> Section:
    """Returns the agreement of each ranked fitness with the benchmark accuracy: sentences, tables, figures."""
    content: list[Block] = []
    for number, group in enumerate(rank_groups(("", rank) for rank in run.ranks), start=1):
        ranks = [rank for _, rank in group]
        content.append(Paragraph(about_ranking(ranks[0])))
        for sentence_of in (more_than_size, pairs_in_order):
            content += [Paragraph(sentence) for sentence in map(sentence_of, ranks) if sentence]
        content.append(rank_table(group))
        reasons: dict[str, None] = {}
        for rank in ranks:
            reasons.update(dict.fromkeys(rank.remarks))
        content += remarks(reasons)
        if ranks[0].has_table:
            shown = [tau_figure(gallery, f"tau-{number}" if number > 1 else "tau", group)]
            for rank in ranks:
                shown += _figures_of(rank, run, gallery)
            content.append(Figures(shown))
    return Section("Rank correlation", content)


def _figures_of(rank: Rank, run: Run, gallery: Gallery) -> list[FigureBlock]:
    """Returns the figures of one ranking: benchmark accuracy against fitness, and the correlation by epochs."""
    quantity = rank_quantity(rank)
    name = "".join(c if c.isalnum() and c.isascii() else "-" for c in rank.label)
    shown = []
    if "true" in rank.columns and np.isfinite(rank.columns["true"]).any():
        picture = benchmark_accuracy_against_fitness(rank, quantity, run.best[0] if run.best else None)
        caption = (
            f"Benchmark accuracy of {rank.cells:,} architectures against {quantity.name}; the star is the search's "
            "best, the diamond the best there is. The vertical axis is logarithmic in the error."
        )
        shown.append(gallery.show(f"benchmark-accuracy-{name}", picture, caption))
    if "tau" in rank.epochs and "rho" in rank.epochs:
        caption = f"Rank correlation of {quantity.name} with the benchmark accuracy, by epochs trained."
        shown.append(gallery.show(f"tau-by-epoch-{name}", tau_by_epoch(rank), caption))
    return shown


def rank_groups(ranks: Iterable[tuple[str, Rank]]) -> list[list[tuple[str, Rank]]]:
    """Returns named rankings in comparable groups, which share number of architectures, table and column."""
    groups: dict[tuple[str | None, str | None, int], list[tuple[str, Rank]]] = {}
    for name, rank in ranks:
        groups.setdefault((rank.table, rank.column, rank.cells), []).append((name, rank))
    return list(groups.values())


def about_ranking(rank: Rank) -> str:
    """Returns one line: the number of ranked architectures, the table and the resamples."""
    cells = f"{rank.cells:,} of the space's {rank.space:,} architectures"
    if not rank.has_table:
        return f"{cells}; benchmark accuracies are not known, so the fitness is compared with the sizes only."
    column = f", column {rank.column}" if rank.column else ""
    resamples = f" Intervals hold 95 percent of {rank.bootstrap:,} bootstrap resamples." if rank.bootstrap else ""
    return f"{cells} against their benchmark accuracy in {rank.table or 'a table'}{column}.{resamples}"


def more_than_size(rank: Rank) -> str:
    """Returns one sentence that compares the fitness with the parameter count; empty if unknown."""
    fitness = rank.rows[0]
    size = next((row for row in rank.rows[1:] if row.name == "num_parameters"), None)
    if size is None or not math.isfinite(fitness.tau):
        with_size = fitness.tau_sizes.get("num_parameters")
        return (
            ""
            if with_size is None
            else f"{capital(fitness.name)} has τ = {CORRELATION.write(with_size)} with the parameter count."
        )
    if fitness.tau_interval[0] > size.tau_interval[1]:
        verdict = "ranks better than the parameter count"
    elif fitness.tau_interval[1] < size.tau_interval[0]:
        verdict = "ranks worse than the parameter count"
    else:
        verdict = "cannot be distinguished from the parameter count, as the intervals overlap"
    within = fitness.tau_within
    left = (
        f"; among architectures of equal size τ = {CORRELATION.write(within)} is left" if math.isfinite(within) else ""
    )
    taus = f"τ = {CORRELATION.write(fitness.tau)} against {CORRELATION.write(size.tau)}"
    return f"{capital(fitness.name)} {verdict}: {taus}{left}."


def pairs_in_order(rank: Rank) -> str:
    """Returns one sentence: how often the fitness identifies the better of two architectures; empty if unknown."""
    fitness = rank.rows[0]
    if not math.isfinite(fitness.agreement):
        return ""
    return (
        f"Of two architectures of different benchmark accuracy, {fitness.name} puts the better one first in "
        f"{fitness.agreement:.1f} percent of all pairs; a pair that it ties counts half, and 50 percent is chance."
    )


def rank_quantity(rank: Rank) -> Quantity:
    """Returns the quantity of the ranking's fitness, with its definition."""
    return fitness_quantity(rank.fitness, rank.rows[0].name, rank.quantities)


def rank_rows(group: Sequence[tuple[str, Rank]]) -> list[tuple[str, RankRow, bool]]:
    """Returns name, row and whether it is a fitness: the fitnesses of comparable rankings, then each baseline once."""
    fitnesses = [
        (f"{name}: {rank.rows[0].name}" if name else rank.rows[0].name, rank.rows[0], True) for name, rank in group
    ]
    baselines: dict[str, RankRow] = {}
    for _, rank in reversed(group):
        baselines.update((row.name, row) for row in rank.rows[1:])
    return [*fitnesses, *((COSTS[n].name if n in COSTS else n, row, False) for n, row in baselines.items())]


def rank_table(group: Sequence[tuple[str, Rank]]) -> Table:
    """Returns the table of correlations of comparable rankings."""
    rows = rank_rows(group)
    marked = [index for index, (_, _, is_fitness) in enumerate(rows) if is_fitness]
    if group[0][1].has_table:
        functions = {rank.functions for _, rank in group if rank.has_copies}
        return _table_of_correlations(rows, marked, next(iter(functions)) if len(functions) == 1 else None)
    sizes = ("num_parameters", "multiply_adds")
    head = ["ordered by", *(f"τ with {COSTS[key].name}" for key in sizes)]
    cells = []
    for name, row, _ in rows:
        cells.append([name, *(CORRELATION.write(row.tau_sizes.get(key, math.nan)) for key in sizes)])
    return Table(head, cells, numbers=(1, 2), marked=marked)


def _table_of_correlations(
    rows: Sequence[tuple[str, RankRow, bool]], marked: Sequence[int], functions: int | None
) -> Table:
    """Returns one column for each correlation with the benchmark accuracy, and the accuracy of the first k.

    Args:
        rows: Name, row, and whether it is a fitness.
        marked: The rows to mark.
        functions: Number of distinct functions; None where none are told apart, or their number is not one.
    """
    has_pairs = any(math.isfinite(row.agreement) for _, row, _ in rows)
    firsts: set[int] = set()
    for _, row, _ in rows:
        firsts.update(row.top)
    tops = sorted(firsts)
    has_order = any(math.isfinite(row.tau_in_order) for _, row, _ in rows)
    head = ["ordered by", "τ-b", *(["τ, ties in order"] if has_order else []), "ρ"]
    head += ["pairs (percent)"] if has_pairs else []
    head += [f"top {k}" + (": mean, best" if k > 1 else "") for k in tops]
    has_live = any(math.isfinite(row.tau_within_live) for _, row, _ in rows)
    head += ["equal parameters", *(["equal live"] if has_live else [])]
    head += [] if functions is None else ["distinct functions"]
    further: dict[str, None] = {}
    for _, row, _ in rows:
        further.update(dict.fromkeys(row.tau_columns))
    head += [f"τ, {column}" for column in further]
    cells = []
    for name, row, _ in rows:
        line = [name, with_interval(row.tau, row.tau_interval)]
        if has_order:
            line.append(CORRELATION.write(row.tau_in_order))
        line.append(with_interval(row.rho, row.rho_interval))
        if has_pairs:
            line.append(PAIRS.write(row.agreement))
        line += [_top(k, row.top.get(k)) for k in tops]
        line.append(CORRELATION.write(row.tau_within))
        if has_live:
            line.append(CORRELATION.write(row.tau_within_live))
        if functions is not None:
            line.append(CORRELATION.write(row.tau_distinct))
        line += [CORRELATION.write(row.tau_columns.get(column, math.nan)) for column in further]
        cells.append(line)
    caption = (
        "Rank correlation with the benchmark accuracy, its interval in brackets;"
        f"{IN_ORDER if has_order else ''}{PAIRED if has_pairs else ''} "
        "benchmark accuracy (percent) of the first k"
    )
    strata = next((row.strata for _, row, _ in rows if row.strata is not None), None)
    if strata is not None:
        caption += f"; what is left of τ within {strata:,} strata of equal parameters"
    if has_live:
        caption += ", and within strata of equal multiply-adds on live paths"
    if functions is not None:
        caption += f"; τ over the {functions:,} distinct functions, each counted once"
    return Table(head, cells, numbers=range(1, len(head)), marked=marked, caption=caption)


PAIRS = Quantity("pairs", "percent", 1)
IN_ORDER = " τ with ties broken by the order of the architectures, as the published figures of RLNAS are;"
PAIRED = " share of the pairs of architectures that are ordered as the benchmark accuracy orders them;"


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """Returns a correlation, with its interval in brackets if it has one."""
    within = (
        f" [{CORRELATION.write(interval[0])}, {CORRELATION.write(interval[1])}]"
        if all(map(math.isfinite, interval))
        else ""
    )
    return f"{CORRELATION.write(value)}{within}"


def _top(k: int, top: tuple[float, float] | None) -> str:
    mean, best = top or (math.nan, math.nan)
    return ACCURACY.write(best) if k == 1 else f"{ACCURACY.write(mean)}, {ACCURACY.write(best)}"


def tau_figure(
    gallery: Gallery, name: str, group: Sequence[tuple[str, Rank]], looks: Mapping[str, Look] | None = None
) -> FigureBlock:
    """Returns a bar chart of tau for comparable rankings, each in the colour of its run if looks are given."""
    colors = [ACCENT if looks is None else looks[run][0] for run, _ in group]
    rows = []
    for place, (row_name, row, _) in enumerate(rank_rows(group)):
        rows.append((row_name, row.tau, row.tau_interval, colors[place] if place < len(colors) else MUTED))
    caption = (
        "Kendall's τ-b with the benchmark accuracy, with its interval: the fitness, and what costs nothing to know."
    )
    return gallery.show(name, tau_bars(rows), caption)
