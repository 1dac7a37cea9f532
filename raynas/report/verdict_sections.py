"""The verdict of a run's page: the found architecture beside what costs less, or what cannot be said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from raynas.report.blocks import Beside, Block, Figures, Paragraph, Piece, Section, Table, Text, with_code
from raynas.report.drawing_style import style
from raynas.report.gallery import Gallery
from raynas.report.groups import Group
from raynas.report.hover import add_values
from raynas.report.intervals import Interval, mean_interval, stands_apart
from raynas.report.palette import ACCENT, MUTED, Look, color_property, shape_of
from raynas.report.row_figures import LabelledRow, mark_height, row_panel
from raynas.report.run_values import Run
from raynas.report.unranked import about_sampled, against_one_random, sampled_of
from raynas.report.verdict import Verdict, against_parameters, against_random_search, verdict_of


def verdict_line(run: Run, verdict: Verdict | None) -> Text:
    """Returns the verdict in a few sentences, or why there is none; empty if nothing was found yet."""
    if not run.best:
        return ""
    if verdict is None:
        return with_code(_unknown(run))
    parts = [against_parameters(verdict), against_random_search(verdict)]
    return " ".join([f"{verdict.found:.2f} percent benchmark accuracy.", *(part for part in parts if part)])


def _unknown(run: Run) -> str:
    """Returns what cannot be said, and which command would change that."""
    found = run.benchmark_accuracy(run.best[0].architecture)
    if found is not None:
        return (
            f"{found:.2f} percent benchmark accuracy. {against_one_random(run)}The folder has no ranking of more "
            "architectures than the search evaluated, so what random search would find is unknown; `raynas rank` adds "
            "one."
        )
    sampled = sampled_of(run)
    about = f"{about_sampled(sampled)} " if sampled else ""
    if run.retrained:
        return f"{about}No benchmark accuracy is known; networks trained from scratch are compared below."
    return (
        f"{about}No benchmark accuracy is known, so it is open whether this architecture is better than a random one. "
        "`raynas retrain` trains it from scratch beside a random one of equal cost."
    )


def found_beside_others(verdict: Verdict | None, gallery: Gallery) -> Section:
    """Returns the table and the figure of the verdict."""
    if verdict is None:
        return Section("Verdict", [])
    lines = _lines(verdict)
    rows: list[list[Text]] = [[name, f"{value.mean:.2f}", written_range(value), cost] for name, value, cost in lines]
    within = "ranked architectures" if verdict.is_sample else "architectures of the space"
    admitted = " within the limits" if verdict.is_limited else ""
    caption = f"Benchmark accuracy, over {verdict.admitted:,} {within}{admitted}"
    table = Table(["", "percent", "range", "cost"], rows, numbers=(1, 2), marked=(0,), caption=caption, fixed=True)
    note = (
        "Ranges hold 95 percent of all random searches, in closed form. One search gives one accuracy without an "
        "interval; `raynas compare` shows the interval over the runs of several seeds."
    )
    colored = [(name, value, MUTED if place else ACCENT) for place, (name, value, _) in enumerate(lines)]
    figure = gallery.show("verdict", accuracies_in_rows(colored, framed=3), "The same accuracies with their ranges.")
    blocks: list[Block] = [Beside([table, Figures([figure])]), Paragraph(with_code(note), note=True)]
    return Section("Verdict", blocks)


def _lines(verdict: Verdict) -> list[tuple[str, Interval, str]]:
    """Returns name, accuracy and cost of everything that the found architecture is compared with."""
    count = f"{verdict.evaluations:,}"
    lines = [("found by the search", mean_interval([verdict.found]), f"{count} evaluations")]
    lines.append(("most parameters", mean_interval([verdict.parameters]), "none"))
    if verdict.same_fitness is not None:
        name = "random search by the same fitness"
        lines.append((name, verdict.same_fitness.interval, f"{count} evaluations"))
    lines += [
        ("one random architecture", verdict.one_random.interval, "none"),
        ("best of random by benchmark", verdict.by_benchmark.interval, f"{count} trainings from scratch"),
        ("best of all", mean_interval([verdict.best]), f"{verdict.admitted:,} trainings from scratch"),
    ]
    return [line for line in lines if not math.isnan(line[1].mean)]


def written_range(value: Interval) -> str:
    """Returns the ends of an interval, or a dash."""
    return f"{value.low:.2f} to {value.high:.2f}" if value.is_known else "–"


@style()
def accuracies_in_rows(lines: Sequence[tuple[str, Interval, str]], framed: int) -> Figure:
    """Returns accuracies with their ranges, one row for each.

    Args:
        lines: Name, accuracy with its range, and colour.
        framed: The first rows that are shown whole; ranges of further ones may reach beyond the left end.
    """
    labels = [LabelledRow(name, f"{value.mean:.2f}", color) for name, value, color in lines]
    figure, axes = row_panel(labels, "benchmark accuracy (percent)")
    heights = [mark_height(place) for place in range(len(lines))]
    for height, (_, value, color) in zip(heights, lines, strict=True):
        if value.is_known:
            axes.plot([value.low, value.high], [height] * 2, color=color, lw=1.6, solid_capstyle="butt")
        axes.plot(value.mean, height, "o", color=color, ms=5)
    add_values(
        axes,
        [value.mean for _, value, _ in lines],
        heights,
        lambda i: f"{lines[i][0]}: {lines[i][1].mean:.2f} percent, {written_range(lines[i][1])}",
    )
    lowest = min(value.low if value.is_known else value.mean for _, value, _ in lines[:framed])
    highest = max(value.high if value.is_known else value.mean for _, value, _ in lines)
    axes.set_xlim(lowest - 0.3 * (highest - lowest) - 0.1, highest + 0.1)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def found_by_groups(groups: Sequence[Group], looks: Mapping[str, Look], gallery: Gallery) -> Section:
    """Returns the accuracies of the found architectures by groups of seeds, beside what costs less to find.

    Only groups with benchmark accuracies are shown.
    """
    runs = [run for group in groups for _, run in group.members]
    rows: list[list[Text]] = []
    shown: list[tuple[str, Interval, str]] = []
    intervals: list[Interval] = []
    for group in groups:
        found = [value for _, run in group.members if (value := _accuracy_found(run)) is not None]
        if not found:
            continue
        verdicts = [made for _, run in group.members if (made := verdict_of(run, runs)) is not None]
        verdict = max(verdicts, key=lambda made: made.same_fitness is not None, default=None)
        interval = mean_interval(found)
        intervals.append(interval)
        shown.append((group.title, interval, looks[group.title][0]))
        swatch = Piece("swatch", shape_of(looks[group.title]), color_property(looks[group.title][0]))
        row: list[Text] = [(swatch, f" {group.title}"), f"{interval.mean:.2f}", written_range(interval)]
        rows.append([*row, *_beside(verdict)])
    if not rows:
        return Section("Verdict", [])
    best = max(range(len(rows)), key=lambda place: intervals[place].mean)
    others = [interval for place, interval in enumerate(intervals) if place != best]
    head = ["", "found (percent)", "95 percent interval", "most parameters", "random search by the same fitness"]
    caption = "Benchmark accuracy of the found architectures, mean over the runs of a group"
    table = Table(head, rows, numbers=range(1, len(head)), caption=caption, fixed=True)
    note = _about_best(shown[best][0], intervals[best], others)
    figure = gallery.show("verdict", accuracies_in_rows(shown, len(shown)), "Means with their 95 percent intervals.")
    return Section("Verdict", [Paragraph(note), Beside([table, Figures([figure])])])


def _accuracy_found(run: Run) -> float | None:
    return run.benchmark_accuracy(run.best[0].architecture) if run.best else None


def _beside(verdict: Verdict | None) -> list[Text]:
    """Returns the cells of the largest architecture and of random search."""
    if verdict is None:
        return ["–", "–"]
    parameters = f"{verdict.parameters:.2f}" if math.isfinite(verdict.parameters) else "–"
    if verdict.same_fitness is None:
        return [parameters, "–"]
    interval = verdict.same_fitness.interval
    return [parameters, f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]"]


def _about_best(name: str, best: Interval, others: Sequence[Interval]) -> str:
    """Returns one sentence: whether the largest mean is apart from the others."""
    if not others:
        return "There is nothing to compare it with."
    if stands_apart(best, others):
        return f"{name} is better than all others: its interval overlaps with none of theirs."
    if not best.is_known or not all(other.is_known for other in others):
        return "No difference can be claimed: one run gives no interval; compare runs of several seeds."
    return "No difference to the largest mean can be claimed, as intervals overlap."
