"""The parts of a page that compares several runs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from raynas.records.columns import Columns
from raynas.report.alpha_figures import Curve, curves_by_epoch
from raynas.report.alpha_sections import (
    DECIDED,
    DOMINANCE,
    ENTROPY,
    SHARE,
    about_alphas,
    operation_curve,
    weight_curves,
)
from raynas.report.alpha_values import Alphas
from raynas.report.best_sections import ONE_SHOT_ACCURACY, drawings, numbers_of
from raynas.report.blocks import (
    Block,
    FigureBlock,
    Figures,
    Paragraph,
    Piece,
    Section,
    Table,
    Text,
    architecture_text,
    bold,
    pieces,
)
from raynas.report.gallery import Gallery
from raynas.report.groups import Group, fitness_named
from raynas.report.palette import Look, color_property, shape_of
from raynas.report.quantities import COSTS, Quantity, duration
from raynas.report.rank_figures import tau_curves
from raynas.report.rank_sections import about_ranking, rank_groups, rank_table, tau_figure, with_interval
from raynas.report.rank_values import Rank
from raynas.report.regret_figures import regret_figures
from raynas.report.run_values import Evaluated, History, Run
from raynas.report.search_figures import histograms, hypervolume_curves, search_curves
from raynas.report.search_sections import HYPERVOLUME, one_shot_accuracies
from raynas.report.training_figures import training_curves
from raynas.report.wording import flatten, listed, plain


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """Returns the names of the runs, with numbers if two names are equal."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [f"{name} #{i}" for i, name in enumerate(names, start=1)]


Named = Sequence[tuple[str, Run]]


def side_by_side(named: Named, looks: Mapping[str, Look], link: Callable[[Path, str], Text]) -> Section:
    """Returns a table with one column for each run, its head a link to the run's page if there is one.

    Args:
        named: The runs with their names.
        looks: Their looks.
        link: Returns the link to the page of a run, from its folder and its name.
    """
    lines: list[tuple[str, Callable[[Run], Text]]] = [
        ("folder", lambda run: str(run.folder)),
        ("algorithm", lambda run: plain(run.config.get("algorithm", ""))),
        ("space", lambda run: plain(run.section("space").get("name", ""))),
        ("data", lambda run: plain(run.section("data").get("name", ""))),
        ("labels", lambda run: plain(run.section("data").get("labels") or "–")),
        ("fitness", lambda run: run.quantity.title),
        ("base seeds", lambda run: ", ".join(map(str, run.base_seeds)) or "–"),
        ("evaluated architectures", lambda run: f"{run.result.evaluations:,}" if run.result else "–"),
        ("best architecture", lambda run: (architecture_text(run.best[0].description),) if run.best else "–"),
        ("its fitness", lambda run: _of_best(run, "fitness")),
        *((f"its {cost.name}", functools.partial(_of_best, key=key)) for key, cost in COSTS.items()),
        ("its benchmark accuracy", _benchmark_accuracy),
        ("τ-b with benchmark accuracy", _tau),
        *((stage, functools.partial(_seconds, stage=stage)) for stage in ("training", "search", "rank")),
    ]
    head: list[Text] = [""]
    for name, run in named:
        swatch = Piece("swatch", shape_of(looks[name]), color_property(looks[name][0]))
        head.append((swatch, " ", *pieces(link(run.folder, name))))
    rows = []
    for title, value in lines:
        cells = [value(run) for _, run in named]
        if set(cells) != {"–"}:
            rows.append([title, *cells])
    return Section("Side by side", [Table(head, rows, fixed=True)])


def _of_best(run: Run, key: str) -> str:
    if not run.best or key not in run.best[0].numbers:
        return "–"
    quantity = run.quantity if key == "fitness" else COSTS[key]
    return quantity.write_with_unit(run.best[0].numbers[key])


def _benchmark_accuracy(run: Run) -> str:
    value = run.benchmark_accuracy(run.best[0].architecture) if run.best else None
    return "–" if value is None else f"{value:.2f} percent"


def _tau(run: Run) -> str:
    """Returns tau of the run's first ranking, which is the one by its own fitness if it exists."""
    if not run.ranks or not run.ranks[0].has_table:
        return "–"
    fitness = run.ranks[0].rows[0]
    return f"{fitness.name}: {with_interval(fitness.tau, fitness.tau_interval)}"


def _seconds(run: Run, stage: str) -> str:
    return duration(run.seconds[stage]) if stage in run.seconds else "–"


def best_architectures(named: Named, gallery: Gallery) -> Section:
    """Returns drawings of the best architecture of each run."""
    captioned: list[tuple[Text, Evaluated]] = []
    for name, run in named:
        if run.best:
            numbers = " · ".join(numbers_of(run, run.best[0], short=True))
            captioned.append(((bold(name), " · ", numbers), run.best[0]))
    return Section("Best architectures", drawings(gallery, captioned))


def _section_of(title: str, members: Sequence[FigureBlock]) -> Section:
    return Section(title, [Figures(members)] if members else [])


def search_figures(named: Named, several: Sequence[Group], looks: Mapping[str, Look], gallery: Gallery) -> Section:
    """Returns the figures of the searches: one for each fitness, and the regret by groups of seeds."""
    groups: dict[Quantity, list[tuple[str, History]]] = {}
    for name, run in named:
        if run.history is not None:
            groups.setdefault(run.quantity, []).append((name, run.history))
        else:
            groups.setdefault(run.quantity, [])
    members = []
    for place, (quantity, histories) in enumerate(groups.items(), start=1):
        if histories:
            names = ", ".join(name for name, _ in histories)
            figure = search_curves(histories, quantity, looks)
            members.append(gallery.show(f"search-{place}", figure, f"The best {quantity.name} so far of {names}."))
    members += _hypervolumes(named, looks, gallery)

    members += regret_figures(several, looks, gallery)
    samples = []
    for name, run in named:
        accuracies = one_shot_accuracies(run)
        if accuracies is not None:
            samples.append((name, accuracies))
    if samples:
        caption = "Accuracy of all evaluated architectures with the supernet's weights, over the same bins."
        members.append(gallery.show("one-shot-accuracy", histograms(samples, ONE_SHOT_ACCURACY, looks), caption))
    return _section_of("Search", members)


def _hypervolumes(named: Named, looks: Mapping[str, Look], gallery: Gallery) -> list[FigureBlock]:
    """Returns the hypervolumes, one figure for each combination of fitness and costs."""
    fronts: dict[tuple[Quantity, tuple[str, ...]], list[tuple[str, Sequence[float]]]] = {}
    for name, run in named:
        if run.hypervolumes:
            fronts.setdefault((run.quantity, tuple(run.objectives)), []).append((name, run.hypervolumes))
    members = []
    for place, ((quantity, objectives), curves) in enumerate(fronts.items(), start=1):
        if len(curves) > 1:
            among = listed([quantity.name, *(COSTS[key].name for key in objectives)])
            caption = f"Hypervolume by {among}. {HYPERVOLUME} Each run has a generation 0, and a box, of its own."
            members.append(gallery.show(f"hypervolume-{place}", hypervolume_curves(curves, looks), caption))
    return members


def architecture_parameters(named: Named, looks: Mapping[str, Look], gallery: Gallery) -> Section:
    """Returns the figures of the architecture parameters, each with all runs."""
    lines: list[tuple[str, Alphas]] = []
    for name, run in named:
        lines += [(name, alphas) for alphas in run.alphas.values()]
    content: list[Block] = [Paragraph((bold(name), f": {about_alphas(alphas)}")) for name, alphas in lines]
    trained = [(name, alphas) for name, alphas in lines if alphas.epochs]
    captions = {
        ENTROPY: f"{DECIDED}; mean over the choices.",
        SHARE: "Weight of skip_connect, mean over the choices that have it.",
        DOMINANCE: "The largest weight of a choice, mean over the choices.",
    }
    curves: dict[str, list[Curve]] = {title: [] for title in captions}
    for name, alphas in trained:
        for title, values in weight_curves(alphas).items():
            curves[title].append(Curve(name, np.arange(alphas.epochs + 1), values))
    members = []
    for title, caption in captions.items():
        if curves[title]:
            figure = curves_by_epoch(curves[title], title, looks, limits=(0, 1.03))
            members.append(gallery.show(title.replace(" ", "-"), figure, caption))
    for place, operation in enumerate(_operations_to_compare([alphas for _, alphas in trained]), start=1):
        numbers = [operation_curve(name, operation, alphas) for name, alphas in trained]
        figure = curves_by_epoch(numbers, f"edges that take {operation}", looks)
        caption = f"How many edges of the architecture derived after each epoch take {operation}."
        members.append(gallery.show(f"operation-{place}", figure, caption))
    return Section("Architecture parameters", [*content, *([Figures(members)] if members else [])])


def _operations_to_compare(several: Sequence[Alphas]) -> list[str]:
    """Returns skip_connect, if any derived architecture has it, and the most frequent operation of each last one."""
    skips, most = [], []
    for alphas in several:
        if any(derived.operations.get("skip_connect") for derived in alphas.derived):
            skips = ["skip_connect"]
        last = {name: number for name, number in alphas.derived[-1].operations.items() if name != "none"}
        if last:
            most.append(max(last, key=lambda name: last[name]))
    return list(dict.fromkeys([*skips, *most]))


def training_section(named: Named, looks: Mapping[str, Look], gallery: Gallery) -> Section:
    """Returns the figures of the trainings, each with all runs."""
    lines: list[tuple[str, Columns]] = []
    for name, run in named:
        lines += [(name, metrics) for metrics in run.training.values()]
    captions = {"loss": "Cross-entropy", "accuracy": "Accuracy", "learning_rate": "Learning rate"}
    members = []
    for metric, title in captions.items():
        having = [(name, metrics) for name, metrics in lines if metric in metrics]
        if having:
            caption = f"{title} of the supernets in training, a line for each base seed."
            members.append(gallery.show(metric.replace("_", "-"), training_curves(having, metric, looks), caption))
    return _section_of("Training", members)


def rank_correlation(named: Named, looks: Mapping[str, Look], gallery: Gallery) -> Section:
    """Returns the correlations of all runs, one table and figure for each benchmark table."""
    content: list[Block] = []
    ranks: list[tuple[str, Rank]] = []
    for name, run in named:
        ranks += [(name, rank) for rank in run.ranks]
    for place, group in enumerate(rank_groups(ranks), start=1):
        _, first = group[0]
        content += [Paragraph(about_ranking(first)), rank_table(group)]
        if not first.has_table:
            continue
        members = [tau_figure(gallery, f"tau-{place}", group, looks)]
        by_epoch = [(name, f"{name}: {rank.rows[0].name}", rank) for name, rank in group if "tau" in rank.epochs]
        curves = [(curve, rank.epochs) for _, curve, rank in by_epoch]
        if curves:
            sizes = [row.tau for row in first.rows if row.name == "num_parameters"]
            of_curves = fitness_named(looks, [(name, curve) for name, curve, _ in by_epoch])
            figure = tau_curves(curves, sizes[0] if sizes else math.nan, of_curves)
            caption = "Kendall's τ-b with the benchmark accuracy, by epochs; dotted, that of the parameter count."
            members.append(gallery.show(f"tau-by-epoch-{place}", figure, caption))
        content.append(Figures(members))
    return Section("Rank correlation", content)


def different_keys(named: Named) -> Section:
    """Returns the keys whose values differ between the configurations."""
    configurations = [flatten(run.config) for _, run in named]
    keys: dict[str, None] = {}
    for values in configurations:
        keys.update(dict.fromkeys(values))
    rows = []
    for key in keys:
        cells = [plain(values[key]) if key in values else "–" for values in configurations]
        if len(set(cells)) > 1:
            rows.append([key, *cells])
    if not rows:
        return Section("Configuration", [Paragraph("The configurations are the same.")])
    return Section("Configuration", [Table(["key that differs", *(name for name, _ in named)], rows)])
