"""The parts of a page that sets several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from raynas.report import document, figures
from raynas.report.document import Markup, breakable, element, table, together
from raynas.report.quantities import COSTS, Quantity, duration
from raynas.report.run_files import Alphas, Run
from raynas.report.sections import (
    DECIDED,
    DOMINANCE,
    ENTROPY,
    HYPERVOLUME,
    ONE_SHOT,
    SHARE,
    Gallery,
    about_alphas,
    about_ranking,
    drawings,
    listed,
    numbers_of,
    one_shot_accuracies,
    plain,
    rank_groups,
    rank_table,
    section,
    tau_figure,
    weight_curves,
    with_interval,
)


def distinct_names(runs: Sequence[Run]) -> list[str]:
    """Returns the runs' names, all of them numbered if two are the same."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [f"{name} #{i}" for i, name in enumerate(names, start=1)]


Named = Sequence[tuple[str, Run]]


def side_by_side(named: Named, looks: Mapping[str, figures.Look]) -> Markup:
    """Returns a table with a column for each run."""
    lines: list[tuple[str, Callable[[Run], str]]] = [
        ("folder", lambda run: str(run.folder)),
        ("algorithm", lambda run: plain(run.config.get("algorithm", ""))),
        ("space", lambda run: plain(run.config.get("space", {}).get("name", ""))),
        ("data", lambda run: plain(run.config.get("data", {}).get("name", ""))),
        ("labels", lambda run: plain(run.config.get("data", {}).get("labels") or "–")),
        ("fitness", lambda run: run.quantity.title),
        ("base seeds", lambda run: ", ".join(map(str, run.base_seeds)) or "–"),
        ("architectures judged", lambda run: f"{run.result['evaluations']:,}" if run.result else "–"),
        ("best architecture", lambda run: breakable(run.best[0].description) if run.best else "–"),
        ("its fitness", lambda run: _of_best(run, "fitness")),
        *((f"its {cost.name}", lambda run, key=key: _of_best(run, key)) for key, cost in COSTS.items()),
        ("its true accuracy", _true_accuracy),
        ("τ-b with true accuracy", _tau),
        *((f"{stage}", lambda run, stage=stage: _seconds(run, stage)) for stage in ("training", "search", "rank")),
    ]
    swatches = [element("span", _swatch(looks[name][0]), f" {name}") for name, _ in named]
    rows = [[head, *(value(run) for _, run in named)] for head, value in lines]
    return section("Side by side", table(["", *swatches], [row for row in rows if set(row[1:]) != {"–"}]))


def _swatch(color: str) -> Markup:
    return element("span", "■", style=f"color: {color}")


def _of_best(run: Run, key: str) -> str:
    if not run.best or key not in run.best[0].numbers:
        return "–"
    quantity = run.quantity if key == "fitness" else COSTS[key]
    return quantity.write_with_unit(run.best[0].numbers[key])


def _true_accuracy(run: Run) -> str:
    value = run.true_accuracy(run.best[0].architecture) if run.best else None
    return "–" if value is None else f"{value:.2f} percent"


def _tau(run: Run) -> str:
    """Returns tau of the first of the run's ranks, which is that of its own fitness if that was ranked."""
    if not run.ranks or not run.ranks[0].has_table:
        return "–"
    fitness = run.ranks[0].rows[0]
    return f"{fitness.name}: {with_interval(fitness.tau, fitness.tau_interval)}"


def _seconds(run: Run, stage: str) -> str:
    return duration(run.seconds[stage]) if stage in run.seconds else "–"


def best_architectures(named: Named, gallery: Gallery) -> Markup:
    """Returns the best architecture of each run, drawn."""
    drawn = [
        (together(element("b", name), " · ", " · ".join(numbers_of(run, run.best[0], short=True))), run.best[0])
        for name, run in named
        if run.best
    ]
    return section("Best architectures", *drawings(gallery, drawn))


def search_figures(named: Named, looks: Mapping[str, figures.Look], gallery: Gallery) -> Markup:
    """Returns the searches, those by one fitness in one figure."""
    groups: dict[Quantity, list[tuple[str, Run]]] = {}
    for name, run in named:
        groups.setdefault(run.quantity, []).append((name, run))
    members = []
    for place, (quantity, group) in enumerate(groups.items(), start=1):
        histories = [(name, run.history) for name, run in group if run.history is not None]
        if not histories:
            continue
        of = ", ".join(name for name, _ in histories)
        members.append(
            gallery.show(
                f"search-{place}",
                figures.search_curves(histories, quantity, looks),
                f"The best {quantity.name} so far of {of}.",
            )
        )
    fronts: dict[tuple[Quantity, tuple[str, ...]], list[tuple[str, Sequence[float]]]] = {}
    for name, run in named:
        if run.hypervolumes:
            fronts.setdefault((run.quantity, tuple(run.objectives)), []).append((name, run.hypervolumes))
    for place, ((quantity, objectives), curves) in enumerate(fronts.items(), start=1):
        if len(curves) > 1:
            among = listed([quantity.name, *(COSTS[key].name for key in objectives)])
            caption = f"Hypervolume by {among}. {HYPERVOLUME} Each run has a generation 0, and a box, of its own."
            figure = figures.hypervolume_curves(curves, looks)
            members.append(gallery.show(f"hypervolume-{place}", figure, caption))
    judged = [(name, accuracies) for name, run in named if (accuracies := one_shot_accuracies(run)) is not None]
    if judged:
        caption = "Accuracy of all judged architectures with the supernet's weights, over the same bins."
        members.append(gallery.show("one-shot-accuracy", figures.histograms(judged, ONE_SHOT, looks), caption))
    return section("Search", document.figures(*members)) if members else Markup("")


def architecture_parameters(named: Named, looks: Mapping[str, figures.Look], gallery: Gallery) -> Markup:
    """Returns how the architecture parameters of all runs decided, in the same figures."""
    lines = [(name, alphas) for name, run in named for alphas in run.alphas.values()]
    content: list[str] = [element("p", element("b", name), f": {about_alphas(alphas)}") for name, alphas in lines]
    lines = [(name, alphas) for name, alphas in lines if alphas.epochs]
    epochs = [np.arange(alphas.epochs + 1) for _, alphas in lines]
    captions = {
        ENTROPY: f"{DECIDED}; mean over the choices.",
        SHARE: "Weight of skip_connect, mean over the choices that have it.",
        DOMINANCE: "The largest weight of a choice, mean over the choices.",
    }
    members = []
    for what, caption in captions.items():
        curves = [
            figures.Curve(name, steps, summed[what])
            for (name, alphas), steps in zip(lines, epochs, strict=True)
            if what in (summed := weight_curves(alphas))
        ]
        if curves:
            figure = figures.curves_by_epoch(curves, what, looks, limits=(0, 1.03))
            members.append(gallery.show(what.replace(" ", "-"), figure, caption))
    for place, operation in enumerate(_operations_to_compare([alphas for _, alphas in lines]), start=1):
        curves = [
            figures.Curve(name, steps, np.array([derived.operations.get(operation, 0) for derived in alphas.derived]))
            for (name, alphas), steps in zip(lines, epochs, strict=True)
        ]
        figure = figures.curves_by_epoch(curves, f"edges that take {operation}", looks)
        caption = f"How many edges of the architecture derived after each epoch take {operation}."
        members.append(gallery.show(f"operation-{place}", figure, caption))
    content += [document.figures(*members)] if members else []
    return section("Architecture parameters", *content)


def _operations_to_compare(several: Sequence[Alphas]) -> list[str]:
    """Returns skip_connect, if any derived architecture has it, and what each run's last one takes most often."""
    skips = any(derived.operations.get("skip_connect") for alphas in several for derived in alphas.derived)
    last = [{n: k for n, k in alphas.derived[-1].operations.items() if n != "none"} for alphas in several]
    most = [max(operations.items(), key=lambda item: item[1])[0] for operations in last if operations]
    return list(dict.fromkeys([*(["skip_connect"] if skips else []), *most]))


def training_figures(named: Named, looks: Mapping[str, figures.Look], gallery: Gallery) -> Markup:
    """Returns the training of all runs in the same figures."""
    lines = [(name, metrics) for name, run in named for metrics in run.training.values()]
    captions = {"loss": "Cross-entropy", "accuracy": "Accuracy", "learning_rate": "Learning rate"}
    members = []
    for metric, what in captions.items():
        having = [(name, metrics) for name, metrics in lines if metric in metrics]
        if having:
            figure = figures.training_curves(having, metric, looks)
            caption = f"{what} of the supernets in training, a line for each base seed."
            members.append(gallery.show(metric.replace("_", "-"), figure, caption))
    return section("Training", document.figures(*members)) if members else Markup("")


def rank_correlation(named: Named, gallery: Gallery) -> Markup:
    """Returns the correlations of all runs, those against one table in one table and figure."""
    content: list[str] = []
    for place, group in enumerate(rank_groups((name, rank) for name, run in named for rank in run.ranks), start=1):
        content += [element("p", about_ranking(group[0][1])), rank_table(group)]
        if group[0][1].has_table:
            members = [tau_figure(gallery, f"tau-{place}", group)]
            curves = [(f"{name}: {rank.rows[0].name}", rank.epochs) for name, rank in group if "tau" in rank.epochs]
            if curves:
                sizes = [row.tau for row in group[0][1].rows if row.name == "num_parameters"]
                figure = figures.tau_curves(curves, sizes[0] if sizes else math.nan)
                caption = "Kendall's τ-b with the true accuracy, by epochs; dotted, that of the parameter count."
                members.append(gallery.show(f"tau-by-epoch-{place}", figure, caption))
            content.append(document.figures(*members))
    return section("Rank correlation", *content)


def different_keys(named: Named) -> Markup:
    """Returns the keys of the configurations that are not the same in all runs."""
    flat = [document.flatten(run.config) for _, run in named]
    keys = [key for key in dict.fromkeys(key for values in flat for key in values)]
    rows = [
        [key, *cells]
        for key in keys
        if len(set(cells := [plain(values[key]) if key in values else "–" for values in flat])) > 1
    ]
    if not rows:
        return section("Configuration", element("p", "The configurations are the same."))
    return section("Configuration", table(["key that differs", *(name for name, _ in named)], rows))
