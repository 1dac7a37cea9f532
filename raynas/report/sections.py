"""The parts of a run's page: what was searched and found, and the evidence."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from raynas.config.locations import left_out
from raynas.report import document, figures
from raynas.report.document import Markup, breakable, element, table, together
from raynas.report.quantities import (
    ACCURACY,
    CORRELATION,
    COSTS,
    LOSS,
    Quantity,
    count,
    duration,
    fitness_quantity,
    recorded_quantity,
)
from raynas.report.run_files import Alphas, Columns, History, Judged, Rank, RankRow, Run


class Gallery:
    """The figures of a page, each shown inline and kept to be saved."""

    def __init__(self) -> None:
        """Begins without any."""
        self._figures: dict[str, tuple[Figure, str]] = {}

    def show(self, name: str, figure: Figure, caption: str, *, drawing: bool = False) -> Markup:
        """Returns a figure with its caption; the name, as letters, digits and hyphens, is that of its files."""
        name = re.sub(r"[^A-Za-z0-9-]+", "-", name)[:80]
        while name in self._figures:
            name += "-2"
        svg = figures.svg_of(figure)
        self._figures[name] = (figure, svg)
        return document.figure(name, svg, caption, drawing=drawing)

    def files(self) -> dict[str, bytes]:
        """Returns the content of the files by name."""
        files = {}
        for name, (figure, svg) in self._figures.items():
            files[f"{name}.svg"] = svg.encode("utf-8")
            files[f"{name}.png"] = figures.png_of(figure)
        return files


def section(title: str, *content: str) -> Markup:
    """Returns a section, nothing where it has no content."""
    return element("section", element("h2", title), *content) if content else Markup("")


# What was searched and found


def summary(run: Run) -> Markup:
    """Returns the head of the page: the run's name, and what was searched and found in three lines."""
    lines = [("Searched", searched(run)), ("Judged", judged(run)), ("Found", found(run))]
    return element(
        "header",
        element("h1", run.name),
        element("ul", *(element("li", element("b", f"{head}: "), text) for head, text in lines), class_="lead"),
    )


def searched(run: Run) -> str:
    """Returns space, data, labels and algorithm in a line."""
    space, data = run.config.get("space", {}), run.config.get("data", {})
    further = [f"{key} {plain(value)}" for key, value in space.items() if key != "name" and value is not None]
    sizes = {rank.space for rank in run.ranks}
    further += [f"{size:,} architectures" for size in sizes]
    parts = [f"{space.get('name', 'a space')}{' (' + ', '.join(further) + ')' if further else ''}"]
    if run.training or data.get("name"):
        parts.append(f"on {data.get('name', 'its data')}")
    if data.get("labels"):
        parts.append(f"with {str(data['labels']).replace('_', ' ')} labels")
    parts.append(f"by {run.config.get('algorithm', 'raynas')}")
    return " ".join(parts) + "."


def judged(run: Run) -> str:
    """Returns how many architectures were judged by what, and what that took, in a line."""
    seconds = run.seconds
    trained = f"{len(run.training)} supernet{'s' if len(run.training) != 1 else ''}" if run.training else ""
    after = f", after {duration(seconds['training'])} of training {trained}" if "training" in seconds else ""
    by = f"by {run.quantity.name}"
    if run.result is not None:
        functions = run.result.get("functions")
        evaluations = run.result["evaluations"]
        different = f", {functions:,} different functions," if isinstance(functions, int) and evaluations > 1 else ""
        generations = run.result["generations"]
        return (
            f"{evaluations:,} architecture{'s' if evaluations != 1 else ''}{different} {by} in {generations:,} "
            f"generation{'s' if generations != 1 else ''} ({duration(run.result['seconds'])}){after}."
        )
    if run.history is not None:
        return f"{len(run.history.columns['fitness']):,} architectures so far {by}; the search goes on{after}."
    return f"nothing was searched yet{after}."


def found(run: Run) -> str:
    """Returns the best architecture with its numbers, in a line."""
    if not run.best:
        return "nothing yet."
    best = run.best[0]
    front = f"a front of {len(trade_offs(run)):,}; the fittest is " if run.front else ""
    return together(front, breakable(best.description), " with ", element("b", ", ".join(numbers_of(run, best))), ".")


def numbers_of(run: Run, architecture: Judged, *, short: bool = False) -> list[str]:
    """Returns the numbers of an architecture as text: fitness, costs and true accuracy, of those that are known."""
    quantity, numbers = run.quantity, architecture.numbers
    texts = [f"{quantity.name} {quantity.write_with_unit(numbers['fitness'])}"]
    for key, cost in COSTS.items():
        if key in numbers and run.fitness != key:
            value = count(numbers[key]) if short and not cost.unit else cost.write_with_unit(numbers[key])
            texts.append(f"{value} {cost.name}")
    true = run.true_accuracy(architecture.architecture)
    if true is not None and run.fitness != "benchmark_table":
        texts.append(f"true accuracy {true:.2f} percent")
    return texts


# The best


def best_architectures(run: Run, gallery: Gallery) -> Markup:
    """Returns the best architectures drawn, and the table of them."""
    if not run.best:
        return Markup("")
    drawn = [
        (together(element("b", f"{place}"), " · ", " · ".join(numbers_of(run, best, short=True))), best)
        for place, best in enumerate(run.best[: _how_many_to_draw(run.best)], start=1)
    ]
    best_by = f"The best {f'{len(run.best)} ' if len(run.best) > 1 else ''}by {run.quantity.name}"
    table_of_best = _table_of(run, run.best, _columns_of_best(run), best_by)
    return section("Best architectures", *drawings(gallery, drawn), table_of_best, *remarks(run.remarks))


def remarks(lines: Iterable[str]) -> list[Markup]:
    """Returns a paragraph for each reason why numbers say little."""
    return [element("p", f"{line[0].upper()}{line[1:]}.") for line in lines if line]


def _how_many_to_draw(best: Sequence[Judged]) -> int:
    """Returns six, or three where they have more operations than a small cell."""
    return 6 if all(sum(map(len, one.drawing.values())) <= 12 for one in best[:6]) else 3


def drawings(gallery: Gallery, architectures: Sequence[tuple[Markup, Judged]]) -> list[Markup]:
    """Returns captioned architectures drawn side by side, those that can be; nothing where none can."""
    drawn = [(caption, best.drawing) for caption, best in architectures if any(best.drawing.values())]
    if not drawn:
        return []
    colors = figures.operation_colors(drawing for _, drawing in drawn)
    pictures = [(caption, figures.architecture(drawing, colors)) for caption, drawing in drawn]
    members = [
        gallery.show(f"best-{place}", picture, caption, drawing=True)
        for place, (caption, picture) in enumerate(pictures, start=1)
    ]
    widest = max(float(picture.get_size_inches()[0]) for _, picture in pictures)
    note = "Operations on the edges; what lies on no path from input to output is pale and dashed."
    if any(not operation for _, drawing in drawn for edges in drawing.values() for _, _, operation in edges):
        note += " What pale lines without an operation bring is concatenated."
    return [
        element("p", note, class_="note"),
        document.figures(*members, width=max(340, round(0.9 * 96 * widest))),
    ]


def _columns_of_best(run: Run) -> list[tuple[str, Quantity]]:
    """Returns what is told of the best: the fitness, its parts, and what else was recorded of any of them."""
    quantity = run.quantity
    parts = (run.fitness or "").split("+")
    recorded = {str(one["name"]): recorded_quantity(one) for one in run.recorded_quantities}
    shown = {one.get("of") for one in run.recorded_quantities} | set(parts)
    measured = [(name, of) for name, of in recorded.items() if name not in ("fitness", *parts)]
    if not recorded:  # of an earlier version
        shown = {{"one_shot_accuracy": "accuracy", "one_shot_loss": "loss"}.get(part, part) for part in parts}
        measured = [
            ("accuracy", dataclasses.replace(ACCURACY, name="one-shot accuracy")),
            ("loss", dataclasses.replace(LOSS, name="one-shot loss")),
        ]
    others = [("spread", Quantity("± over seeds", quantity.unit, quantity.decimals)), *measured, *COSTS.items()]
    columns = [
        ("fitness", quantity),
        *((part, recorded.get(part) or fitness_quantity(part)) for part in parts),
        *((key, of) for key, of in others if key not in shown),
    ]
    return [(key, of) for key, of in columns if any(key in best.numbers for best in run.best)]


def _table_of(
    run: Run, architectures: Sequence[Judged], columns: Sequence[tuple[str, Quantity]], caption: str
) -> Markup:
    """Returns a table of architectures: the columns' numbers, the true accuracy if any is known, and the text."""
    true = [run.true_accuracy(one.architecture) for one in architectures]
    has_true = any(value is not None for value in true) and run.fitness != "benchmark_table"
    head = ["", *(of.title for _, of in columns), *(["true accuracy (percent)"] if has_true else []), "architecture"]
    rows = []
    for place, (one, accuracy) in enumerate(zip(architectures, true, strict=True), start=1):
        row = [f"{place}", *(of.write(one.numbers.get(key, math.nan)) for key, of in columns)]
        row += [ACCURACY.write(math.nan if accuracy is None else accuracy)] if has_true else []
        rows.append([*row, breakable(one.description)])
    return table(head, rows, numbers=range(len(head) - 1), caption=caption, stacked=True)


# Search


def search_results(run: Run, gallery: Gallery) -> Markup:
    """Returns the figures of the search; how exact it was, or the front that it came to."""
    content = []
    if run.missed is not None:
        content.append(element("p", how_exact(run)))
    if run.front:
        content.append(element("p", about_front(run)))
    if run.history is not None and (shown := _search_figures(run, run.history, gallery)):
        content.append(document.figures(*shown))
    if run.front:
        content.append(_table_of_front(run))
    return section("Search", *content)


def how_exact(run: Run) -> str:
    """Returns one sentence: whether the architectures judged are proven to be those of largest angle."""
    assert run.result is not None and run.missed is not None
    limits = (run.config.get("search") or {}).get("limits") or {}
    where = "within the limits" if any(limits.values()) else "of the space"
    judged = run.result["evaluations"]
    if run.missed == 0:
        return f"The {f'{judged:,} largest angles' if judged > 1 else 'largest angle'} {where}, proven."
    return (
        f"At most {run.missed:.2g} rad are missed: by no more does any other angle {where} exceed "
        f"{f'the least of these {judged:,}' if judged > 1 else 'this one'}."
    )


def about_front(run: Run) -> str:
    """Returns what the front is among."""
    names = [COSTS[key].name for key in run.objectives]
    points = len(trade_offs(run))
    equals = f", {points:,} different trade-offs" if points < len(run.front) else ""
    return (
        f"On the front are {len(run.front):,} of the judged architectures{equals}: no other one is as good in "
        f"{listed([run.quantity.name, *names])} and better in one of them."
    )


def trade_offs(run: Run) -> list[Judged]:
    """Returns the front without those that equal one before them in fitness and objectives."""
    different: dict[tuple[float, ...], Judged] = {}
    for one in run.front:
        different.setdefault(tuple(one.numbers[key] for key in ("fitness", *run.objectives)), one)
    return list(different.values())


def listed(names: Sequence[str]) -> str:
    """Returns names in a row, an ``and`` before the last."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


FRONT_ROWS = 30
"""The most architectures of a front that its table shows."""


def _table_of_front(run: Run) -> Markup:
    """Returns the trade-offs on the front as a table, many of them at even steps."""
    different = trade_offs(run)
    places = np.unique(np.linspace(0, len(different) - 1, FRONT_ROWS).round().astype(int)).tolist()
    shown = [different[place] for place in places]
    what = f"The front, by {COSTS[run.objectives[0]].name}"
    if len(different) < len(run.front):
        what += "; the first of equals"
    if len(shown) < len(different):
        what += f"; {len(shown):,} of {len(different):,} trade-offs at even steps"
    what += "; all are in search/result.json" if len(shown) < len(run.front) else ""
    return _table_of(run, shown, [("fitness", run.quantity), *((key, COSTS[key]) for key in run.objectives)], what)


HYPERVOLUME = (
    "How far the front has advanced: the volume between all judged so far and the worst of generation 0 (its least "
    "fitness and its largest costs), in units of the box from there to its best (its largest fitness and least costs)."
)


def _search_figures(run: Run, history: History, gallery: Gallery) -> list[Markup]:
    quantity, columns = run.quantity, history.columns
    if len(columns["fitness"]) == 1:
        return []
    generations = len(np.unique(columns["generation"]))
    accuracies = one_shot_accuracies(run)
    caption = (
        "The best so far, the median of each generation, and its middle 80 percent."
        if generations > 1
        else "Fitness of all judged architectures."
    )
    shown = []
    if run.missed is None and not (generations == 1 and run.fitness == "one_shot_accuracy" and accuracies is not None):
        shown.append(gallery.show("search", figures.search_by_generation(history, quantity), caption))
    if run.hypervolumes:
        figure = figures.hypervolume_curves([(run.name, run.hypervolumes)], figures.looks_of([run.name]))
        shown.append(gallery.show("hypervolume", figure, HYPERVOLUME))
    best = run.best[0] if run.best else None
    cost = next(iter(run.objectives), "multiply_adds")
    if best and {cost} <= set(columns) & set(best.numbers) and run.fitness != cost:
        front = "those on the front no other beats in both"
        if run.front and len(run.objectives) > 1:
            front = f"the front is among {listed([COSTS[key].name for key in run.objectives])} together"
        shown.append(
            gallery.show(
                "fitness-against-cost",
                figures.fitness_against_cost(history, quantity, best, cost, run.front),
                f"All judged architectures by fitness and {COSTS[cost].name}; {front}.",
            )
        )
    if accuracies is not None:
        median = ACCURACY.write_with_unit(float(np.median(accuracies)))
        caption = f"Accuracy of all judged architectures with the supernet's weights; the median is {median}."
        shown.append(gallery.show("one-shot-accuracy", figures.histogram(accuracies, ONE_SHOT), caption))
    return shown


ONE_SHOT = dataclasses.replace(ACCURACY, name="one-shot accuracy")


def one_shot_accuracies(run: Run) -> np.ndarray | None:
    """Returns the one-shot accuracies of the judged architectures; None where fewer than 20 are known."""
    accuracies = np.array([]) if run.history is None else run.history.columns.get("accuracy", np.array([]))
    known: np.ndarray = accuracies[np.isfinite(accuracies)]
    return known if len(known) >= 20 else None


# Architecture parameters


def architecture_parameters(run: Run, gallery: Gallery) -> Markup:
    """Returns how one base seed's architecture parameters decided: the seed whose architecture is the best."""
    if not run.alphas:
        return Markup("")
    best = run.best[0].architecture if run.best else None
    seed = next((s for s, a in run.alphas.items() if a.derived[-1].architecture == best), next(iter(run.alphas)))
    alphas = run.alphas[seed]
    about = about_alphas(alphas)
    if len(run.alphas) > 1:
        of = "the one whose architecture is the best" if alphas.derived[-1].architecture == best else "the first"
        about += f" Shown is base seed {seed} of {listed([str(s) for s in run.alphas])}, {of}."
    caption = (
        f"Weights of the candidates, softmax(α), {_after(alphas)}; framed, what the derived architecture takes. Each "
        "row is a choice."
    )
    picture = figures.weight_map(alphas)
    wide = document.figures(
        gallery.show("weights", picture, caption, drawing=True),
        width=round(96 * float(picture.get_size_inches()[0])),
    )
    shown = [*_alpha_curves(alphas, gallery), *_alpha_steps(run.training.get(seed, {}), gallery)]
    curves = [document.figures(*shown)] if shown else []
    return section("Architecture parameters", element("p", about), wide, *curves)


def about_alphas(alphas: Alphas) -> str:
    """Returns one sentence: how far the choices are decided, and how much of all is skip_connect."""
    share = alphas.share("skip_connect")
    last = alphas.derived[-1]
    after = _after(alphas)
    parts = [f"{after[:1].upper()}{after[1:]} the largest weight of a choice is {alphas.largest[-1]:.2f} on average"]
    if share is not None:
        parts[0] += f" and skip_connect has {100 * share[-1]:.0f} percent of the weight"
    if share is not None or "skip_connect" in last.operations:
        edges = f"{last.edges:,} edge{'s' if last.edges != 1 else ''}"
        skips = last.operations.get("skip_connect", 0)
        are = "is" if skips == 1 else "are"
        parts.append(
            f"{skips:,} of {edges} of the derived architecture {are} skip_connect"
            if last.edges
            else "the derived architecture has no edge"
        )
    return "; ".join(parts) + "."


def _after(alphas: Alphas) -> str:
    if not alphas.epochs:
        return "before the first epoch"
    return f"after {alphas.epochs:,} epoch{'s' if alphas.epochs != 1 else ''}"


ENTROPY, SHARE, DOMINANCE = "entropy of the weights", "share of skip-connect", "largest weight"
DECIDED = "Entropy of softmax(α) over that of equal weights: 1 where nothing is decided, 0 where everything is"


def weight_curves(alphas: Alphas) -> dict[str, np.ndarray]:
    """Returns what sums up the weights after each epoch, means over the choices."""
    share = alphas.share("skip_connect")
    return {
        ENTROPY: alphas.entropies.mean(axis=1),
        DOMINANCE: alphas.largest,
        **({SHARE: share} if share is not None else {}),
    }


def _alpha_curves(alphas: Alphas, gallery: Gallery) -> list[Markup]:
    """Returns the figures of what the weights and the derived architecture were over the epochs."""
    if not alphas.epochs:
        return []
    epochs, summed = np.arange(alphas.epochs + 1), weight_curves(alphas)
    blue, orange, *_ = figures.SERIES
    looks: dict[str, figures.Look] = {ENTROPY: (blue, "-"), DOMINANCE: (blue, "-"), SHARE: (orange, figures.DASHES[1])}
    band = alphas.entropies.min(axis=1), alphas.entropies.max(axis=1)
    entropy = figures.Curve(ENTROPY, epochs, summed[ENTROPY], band)
    others = [figures.Curve(name, epochs, values) for name, values in summed.items() if name != ENTROPY]
    caption = "The largest weight of a choice, mean over the choices"
    if SHARE in summed:
        caption += "; the weight of skip_connect, mean over the choices that have it"
    taken = sorted({name for derived in alphas.derived for name, number in derived.operations.items() if number})
    counts = [
        figures.Curve(name, epochs, np.array([derived.operations.get(name, 0) for derived in alphas.derived]))
        for name in taken
    ]
    shown = [
        gallery.show(
            "entropy",
            figures.curves_by_epoch([entropy], ENTROPY, looks, limits=(0, 1.03)),
            f"{DECIDED}; the mean over the choices, and from the least to the largest.",
        ),
        gallery.show(
            "weight-shares",
            figures.curves_by_epoch(others, "weight", looks, limits=(0, 1.03)),
            f"{caption}.",
        ),
    ]
    if counts:
        shown.append(
            gallery.show(
                "operations",
                figures.curves_by_epoch(counts, "edges of the derived architecture", figures.operation_looks(taken)),
                "How many edges of the architecture derived after each epoch take each operation.",
            )
        )
    return shown


def _alpha_steps(metrics: Columns, gallery: Gallery) -> list[Markup]:
    """Returns the figures of the steps on the architecture parameters: their gradient, loss and accuracy."""
    shown = []
    epochs = metrics.get("epoch", np.array([])) + 1
    if {"first_norm", "correction_norm", "cosine"} <= set(metrics) and np.nansum(metrics["correction_norm"]) > 0:
        names = {"first_norm": "|g1|", "correction_norm": "|g2′|"}
        norms = [figures.Curve(name, epochs, metrics[key]) for key, name in names.items()]
        known = np.where(metrics["correction_norm"] > 0, metrics["cosine"], np.nan)
        cosine = [figures.Curve("cosine", epochs, known)]
        shown = [
            gallery.show(
                "alpha-gradient",
                figures.curves_by_epoch(
                    norms, "norm of the gradient", figures.looks_of(names.values()), logarithmic=True
                ),
                "Gradient of α: g1 is that with the weights held fixed, g2′ what is added for how they would follow; "
                "mean of each epoch.",
            ),
            gallery.show(
                "alpha-cosine",
                figures.curves_by_epoch(
                    cosine, "cosine of g1 and g2′", figures.looks_of(["cosine"]), limits=(-1.05, 1.05)
                ),
                "Whether both parts of the gradient of α point alike (1), across (0) or against each other (−1).",
            ),
        ]
    for metric, quantity in (("loss", LOSS), ("accuracy", ACCURACY)):
        if {metric, f"search_{metric}"} <= set(metrics):
            names = {metric: "training", f"search_{metric}": "search"}
            pair = [figures.Curve(name, epochs, metrics[key]) for key, name in names.items()]
            shown.append(
                gallery.show(
                    f"search-{metric}",
                    figures.curves_by_epoch(pair, quantity.title, figures.looks_of(names.values())),
                    f"{quantity.name.capitalize()} of the supernet in the steps on its weights (training) and in those "
                    "on the architecture parameters (search), mean of each epoch.",
                )
            )
    return shown


# Training


def training_figures(run: Run, gallery: Gallery) -> Markup:
    """Returns the figures of the training."""
    if not run.training:
        return Markup("")
    lines = figures.seed_lines(run)
    captions = {
        "loss": "Cross-entropy of the supernet on its training labels, mean of each epoch.",
        "accuracy": "Accuracy of the supernet on its training labels, mean of each epoch.",
        "learning_rate": "Learning rate at the end of each epoch.",
    }
    shown = [
        gallery.show(
            metric.replace("_", "-"),
            figures.training_curves(lines, metric, figures.looks_of(name for name, _ in lines)),
            caption,
        )
        for metric, caption in captions.items()
        if all(metric in metrics for metrics in run.training.values())
    ]
    return section("Training", document.figures(*shown))


# Latency


def latency(run: Run, gallery: Gallery) -> Markup:
    """Returns how well the sums over candidates predict the latency of whole networks."""
    profile = run.profile
    if profile is None:
        return Markup("")
    threads = f"{profile.threads:,} thread{'s' if profile.threads != 1 else ''}"
    about = (
        f"{len(profile.measured):,} networks on {profile.device}, {threads}, batches of {profile.batch_size:,}: the "
        f"sum over candidates has correlation {CORRELATION.write(profile.correlation)} with the latency measured. Its "
        f"median error is {PERCENT.write_with_unit(profile.median_error)}, its worst "
        f"{'+' if profile.worst_error > 0 else ''}{PERCENT.write_with_unit(profile.worst_error)}."
    )
    caption = "Latency of whole networks, as the sum over their candidates and as measured."
    figure = gallery.show("latency", figures.predicted_against_measured(profile), caption)
    return section("Latency", element("p", about), document.figures(figure))


PERCENT = Quantity("error", "percent", 1, scale=100)


# Rank


def rank_correlation(run: Run, gallery: Gallery) -> Markup:
    """Returns how well each ranked fitness agrees with the true accuracy: sentences, tables, figures."""
    if not run.ranks:
        return Markup("")
    content: list[str] = []
    for number, group in enumerate(rank_groups(("", rank) for rank in run.ranks), start=1):
        ranks = [rank for _, rank in group]
        content.append(element("p", about_ranking(ranks[0])))
        content += [element("p", told) for rank in ranks if (told := more_than_size(rank))]
        content += [element("p", told) for rank in ranks if (told := pairs_told_apart(rank))]
        content.append(rank_table(group))
        content += remarks(dict.fromkeys(line for rank in ranks for line in rank.remarks))
        if not ranks[0].has_table:
            continue
        shown = [tau_figure(gallery, f"tau-{number}" if number > 1 else "tau", group)]
        for rank in ranks:
            quantity = rank_quantity(rank)
            name = "".join(c if c.isalnum() and c.isascii() else "-" for c in rank.label)
            if "true" in rank.columns and np.isfinite(rank.columns["true"]).any():
                best = run.best[0] if run.best else None
                shown.append(
                    gallery.show(
                        f"true-accuracy-{name}",
                        figures.true_accuracy_against_fitness(rank, quantity, best),
                        f"True accuracy of {rank.cells:,} architectures against {quantity.name}; the star is the "
                        "search's best, the diamond the best there is. The vertical axis is logarithmic in the error.",
                    )
                )
            if "tau" in rank.epochs and "rho" in rank.epochs:
                shown.append(
                    gallery.show(
                        f"tau-by-epoch-{name}",
                        figures.tau_by_epoch(rank),
                        f"Rank correlation of {quantity.name} with the true accuracy, by epochs trained.",
                    )
                )
        content.append(document.figures(*shown))
    return section("Rank correlation", *content)


def rank_groups(ranks: Iterable[tuple[str, Rank]]) -> list[list[tuple[str, Rank]]]:
    """Returns named ranks in groups that can be compared: of as many cells against the same column of a table."""
    groups: dict[tuple[str | None, str | None, int], list[tuple[str, Rank]]] = {}
    for name, rank in ranks:
        groups.setdefault((rank.table, rank.column, rank.cells), []).append((name, rank))
    return list(groups.values())


def about_ranking(rank: Rank) -> str:
    """Returns what was ranked against what."""
    cells = f"{rank.cells:,} of the space's {rank.space:,} architectures"
    if not rank.has_table:
        return f"{cells}; true accuracies are not known, so the fitness is held against the sizes only."
    column = f", column {rank.column}" if rank.column else ""
    resamples = f" Intervals hold 95 percent of {rank.bootstrap:,} bootstrap resamples." if rank.bootstrap else ""
    return f"{cells} against their true accuracy in {rank.table or 'a table'}{column}.{resamples}"


def more_than_size(rank: Rank) -> str:
    """Returns one sentence: whether the fitness tells more than the parameter count; nothing where no file says."""
    fitness = rank.rows[0]
    size = next((row for row in rank.rows[1:] if row.name == "num_parameters"), None)
    if size is None or not math.isfinite(fitness.tau):
        with_size = fitness.tau_sizes.get("num_parameters")
        return (
            ""
            if with_size is None
            else f"{_capital(fitness.name)} has τ = {CORRELATION.write(with_size)} with the parameter count."
        )
    if fitness.tau_interval[0] > size.tau_interval[1]:
        verdict = "ranks better than the parameter count"
    elif fitness.tau_interval[1] < size.tau_interval[0]:
        verdict = "ranks worse than the parameter count"
    else:
        verdict = "cannot be told from the parameter count, as the intervals overlap"
    within = fitness.tau_within
    left = (
        f"; among architectures of equal size τ = {CORRELATION.write(within)} is left" if math.isfinite(within) else ""
    )
    taus = f"τ = {CORRELATION.write(fitness.tau)} against {CORRELATION.write(size.tau)}"
    return f"{_capital(fitness.name)} {verdict}: {taus}{left}."


def pairs_told_apart(rank: Rank) -> str:
    """Returns one sentence: how often the fitness tells the better one of two; nothing where no file says."""
    fitness = rank.rows[0]
    if not math.isfinite(fitness.agreement):
        return ""
    return (
        f"Of two architectures of different true accuracy, {fitness.name} puts the better one first in "
        f"{fitness.agreement:.1f} percent of all pairs; a pair that it ties counts half, and 50 percent is chance."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def rank_quantity(rank: Rank) -> Quantity:
    """Returns what the rank's fitness measures, as it is defined there."""
    return fitness_quantity(rank.fitness, rank.rows[0].name, rank.quantities)


def rank_rows(group: Sequence[tuple[str, Rank]]) -> list[tuple[str, RankRow, bool]]:
    """Returns the fitnesses of comparable ranks, then their baselines once each: name, row, and whether a fitness."""
    fitnesses = [
        (f"{name}: {rank.rows[0].name}" if name else rank.rows[0].name, rank.rows[0], True) for name, rank in group
    ]
    baselines = {row.name: row for _, rank in reversed(group) for row in rank.rows[1:]}
    return [*fitnesses, *((COSTS[n].name if n in COSTS else n, row, False) for n, row in baselines.items())]


def rank_table(group: Sequence[tuple[str, Rank]]) -> Markup:
    """Returns the table of the correlations of comparable ranks."""
    rows = rank_rows(group)
    marked = [index for index, (_, _, is_fitness) in enumerate(rows) if is_fitness]
    if not group[0][1].has_table:
        sizes = ("num_parameters", "multiply_adds")
        head = ["ordered by", *(f"τ with {COSTS[key].name}" for key in sizes)]
        cells = [
            [name, *(CORRELATION.write(row.tau_sizes.get(key, math.nan)) for key in sizes)] for name, row, _ in rows
        ]
        return table(head, cells, numbers=(1, 2), marked=marked)
    told = any(math.isfinite(row.agreement) for _, row, _ in rows)
    tops = sorted({k for _, row, _ in rows for k in row.top})
    strata = next((row.strata for _, row, _ in rows if row.strata is not None), None)
    head = [
        "ordered by",
        "τ-b",
        "ρ",
        *(["pairs (percent)"] if told else []),
        *(f"top {k}" + (": mean, best" if k > 1 else "") for k in tops),
        "τ-b within strata",
    ]
    cells = [
        [
            name,
            with_interval(row.tau, row.tau_interval),
            with_interval(row.rho, row.rho_interval),
            *([PAIRS.write(row.agreement)] if told else []),
            *(_top(k, row.top.get(k)) for k in tops),
            CORRELATION.write(row.tau_within),
        ]
        for name, row, _ in rows
    ]
    caption = (
        f"Rank correlation with the true accuracy, its interval in brackets;{PAIRED if told else ''} true accuracy "
        "(percent) of the first k"
    )
    if strata is not None:
        caption += f"; what is left of τ within {strata:,} strata of equal parameters"
    return table(head, cells, numbers=range(1, len(head)), marked=marked, caption=caption)


PAIRS = Quantity("pairs", "percent", 1)
PAIRED = " share of the pairs of architectures that are ordered as the true accuracy orders them;"


def with_interval(value: float, interval: tuple[float, float]) -> str:
    """Returns a correlation with its interval in brackets, where it has one."""
    within = (
        f" [{CORRELATION.write(interval[0])}, {CORRELATION.write(interval[1])}]"
        if all(map(math.isfinite, interval))
        else ""
    )
    return f"{CORRELATION.write(value)}{within}"


def _top(k: int, top: tuple[float, float] | None) -> str:
    mean, best = top or (math.nan, math.nan)
    return ACCURACY.write(best) if k == 1 else f"{ACCURACY.write(mean)}, {ACCURACY.write(best)}"


def tau_figure(gallery: Gallery, name: str, group: Sequence[tuple[str, Rank]]) -> Markup:
    """Returns the bars of tau of comparable ranks."""
    rows = [(row_name, row.tau, row.tau_interval, is_fitness) for row_name, row, is_fitness in rank_rows(group)]
    caption = "Kendall's τ-b with the true accuracy, with its interval: the fitness, and what costs nothing to know."
    return gallery.show(name, figures.tau_bars(rows), caption)


# How it was made


def configuration(run: Run) -> Markup:
    """Returns every key of the configuration."""
    sections: dict[str, dict[str, object]] = {"run": {}}
    for key, value in run.config.items():
        if isinstance(value, Mapping):
            sections[key] = document.flatten(value)
        else:
            sections["run"][key] = value
    tables = [
        table(["", ""], [[key, plain(value)] for key, value in values.items()], caption=name)
        for name, values in sections.items()
        if values
    ]
    return section("Configuration", element("div", *tables, class_="columns"))


def plain(value: object) -> str:
    """Returns a value as a run file has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def provenance(run: Run) -> Markup:
    """Returns times, seeds and versions."""
    seconds = run.seconds
    stages = [[stage, duration(value)] for stage, value in seconds.items()]
    if len(stages) > 1:
        stages.append(["together", duration(sum(seconds.values()))])
    seeds = [["seed", plain(run.config.get("seed"))], ["base seeds", ", ".join(map(str, run.base_seeds))]]
    versions = [[name, str(version)] for name, version in run.versions.items()]
    tables = [
        table(["", ""], stages, caption="Time"),
        table(["", ""], seeds, caption="Seeds"),
        table(["", ""], versions, caption="Versions"),
    ]
    if run.data:
        tables.append(table(["", ""], _rows_of_images(run.data), caption="Images"))
    footer = f"Begun {run.created}. " if run.created else ""
    footer += f"Left out: {left_out(run.left_out)}. " if run.left_out else ""
    footer += (
        "Made from the files of the run's folder: config.json, data.json, supernet/, search/, rank/, profile.json."
    )
    return section("Time, seeds, versions", element("div", *tables, class_="columns"), element("footer", footer))


def _rows_of_images(data: Mapping[str, Any]) -> list[list[str]]:
    """Returns counts and normalisation of a run's images, with how many files were left out."""
    counts = [[f"{split} images", f"{count:,}"] for split, count in data["images"].items()]
    return [
        *counts,
        ["classes", f"{data['num_classes']:,}"],
        ["pixels", f"{data['resolution']} x {data['resolution']}"],
        ["mean", ", ".join(f"{value:.4f}" for value in data["mean"])],
        ["deviation", ", ".join(f"{value:.4f}" for value in data["std"])],
        *([["files skipped", f"{len(data['skipped']):,}"]] if data.get("skipped") else []),
    ]
