"""The architecture parameters of a run: their decisions, and the steps that led there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from raynas.records.alpha_rows import changes_in, last_part, range_in
from raynas.records.columns import Columns
from raynas.records.search_record import AlphaRecord
from raynas.report.alpha_figures import Curve, curves_by_epoch, weight_map
from raynas.report.alpha_values import Alphas
from raynas.report.blocks import Block, FigureBlock, Figures, Paragraph, Section
from raynas.report.gallery import Gallery
from raynas.report.palette import DASHES, SERIES, Look, looks_of, operation_looks
from raynas.report.quantities import ACCURACY, LOSS
from raynas.report.run_values import Run
from raynas.report.wording import capital, counted, listed

ENTROPY, SHARE, DOMINANCE = "entropy of the weights", "share of skip-connect", "largest weight"
DERIVED, RANDOM = "derived architecture", "random architecture"
DECIDED = "Entropy of softmax(α) over that of equal weights: 1 where nothing is decided, 0 where everything is"


def architecture_parameters(run: Run, gallery: Gallery) -> Section:
    """Returns the architecture parameters of the base seed whose derived architecture is the best."""
    if not run.alphas:
        return Section("Architecture parameters", [])
    seed, is_best = _shown_seed(run)
    alphas = run.alphas[seed]
    outcome = _outcome_of(run, seed)
    about = f"{about_alphas(alphas)}{_about_trajectory(alphas, outcome)}"
    if len(run.alphas) > 1:
        which = "the one whose architecture is the best" if is_best else "the first"
        about += f" Shown is base seed {seed} of {listed([str(s) for s in run.alphas])}, {which}."

    caption = (
        f"Weights of the candidates, softmax(α), {_after(alphas)}; framed, what the derived architecture takes. Each "
        "row is a choice."
    )
    picture = weight_map(alphas)
    width = round(96 * float(picture.get_size_inches()[0]))
    wide = Figures([gallery.show("weights", picture, caption, drawing=True)], width)
    shown = [
        *_alpha_curves(alphas, gallery),
        *_benchmark_curve(run, outcome, gallery),
        *_alpha_steps(run.training.get(seed, {}), gallery),
    ]
    blocks: list[Block] = [Paragraph(about), wide]
    if shown:
        blocks.append(Figures(shown))
    return Section("Architecture parameters", blocks)


def _shown_seed(run: Run) -> tuple[int, bool]:
    """Returns the base seed whose derived architecture is the best, else the first; and whether it is the best."""
    best = run.best[0].architecture if run.best else None
    for seed, alphas in run.alphas.items():
        if alphas.derived[-1].architecture == best:
            return seed, True
    return next(iter(run.alphas)), False


def about_alphas(alphas: Alphas) -> str:
    """Returns one sentence: the certainty of the choices, and the weight of skip_connect."""
    share = alphas.share("skip_connect")
    last = alphas.derived[-1]
    decidedness = alphas.decidedness
    sentence = (
        f"{capital(_after(alphas))} the largest weight of a choice is {decidedness.largest[-1]:.2f} on average "
        f"({decidedness.uniform:.2f} if all candidates weigh the same)"
    )
    if share is not None:
        sentence += f" and skip_connect has {100 * share[-1]:.0f} percent of the weight"
    if share is None and "skip_connect" not in last.operations:
        return f"{sentence}."
    if not last.edges:
        return f"{sentence}; the derived architecture has no edge."
    skips = last.operations.get("skip_connect", 0)
    are = "is" if skips == 1 else "are"
    edges = counted(last.edges, "edge")
    return f"{sentence}; {skips:,} of {edges} of the derived architecture {are} skip_connect."


def _outcome_of(run: Run, seed: int) -> AlphaRecord | None:
    """Returns what the search's result says of the parameters of a base seed; None if it says nothing."""
    for outcome in run.result.alphas if run.result else []:
        if outcome.base_seed == seed:
            return outcome
    return None


def _about_trajectory(alphas: Alphas, outcome: AlphaRecord | None) -> str:
    """Returns a sentence on what was derived in the last half of the epochs; empty before the first epoch."""
    if not alphas.epochs:
        return ""
    epochs = last_part(alphas.epochs, 2)
    changes = changes_in([derived.architecture for derived in alphas.derived], epochs)
    sentence = f" The derived architecture changed {counted(changes, 'time')} in the last {counted(epochs, 'epoch')}"
    between = range_in(_benchmark_of(outcome), epochs)
    if between is not None:
        sentence += f", between {between[0]:.2f} and {between[1]:.2f} percent benchmark accuracy"
    return f"{sentence}."


def _benchmark_of(outcome: AlphaRecord | None) -> Sequence[float | None]:
    """Returns the benchmark accuracy of the derived architecture by epochs done; empty if none is recorded."""
    return (outcome.benchmark or []) if outcome else []


def _benchmark_curve(run: Run, outcome: AlphaRecord | None, gallery: Gallery) -> list[FigureBlock]:
    """Returns the figure of the benchmark accuracy of the derived architecture over the epochs."""
    accuracies = [math.nan if accuracy is None else accuracy for accuracy in _benchmark_of(outcome)]
    if np.isfinite(accuracies).sum() < 2:
        return []
    epochs = np.arange(len(accuracies))
    curves = [Curve(DERIVED, epochs, np.array(accuracies))]
    caption = "Benchmark accuracy of the architecture derived after each epoch"
    if run.result is not None and run.result.random:
        random = run.result.random[0]
        curves.append(Curve(RANDOM, epochs, np.full(len(epochs), float(random.mean))))
        caption += (
            f"; and that of a random one, {random.mean:.2f} on average with a deviation of {random.deviation:.2f}"
        )
    looks: dict[str, Look] = {DERIVED: (SERIES[0], "-"), RANDOM: (SERIES[1], DASHES[1])}
    figure = curves_by_epoch(curves, "benchmark accuracy (percent)", looks)
    return [gallery.show("derived-benchmark", figure, f"{caption}.")]


def _after(alphas: Alphas) -> str:
    return f"after {counted(alphas.epochs, 'epoch')}" if alphas.epochs else "before the first epoch"


def weight_curves(alphas: Alphas) -> dict[str, np.ndarray]:
    """Returns statistics of the weights after each epoch, as means over the choices."""
    curves = {ENTROPY: alphas.entropies.mean(axis=1), DOMINANCE: alphas.largest}
    share = alphas.share("skip_connect")
    if share is not None:
        curves[SHARE] = share
    return curves


def operation_curve(name: str, operation: str, alphas: Alphas) -> Curve:
    """Returns the number of edges of the derived architecture with an operation, by epochs done."""
    numbers = [derived.operations.get(operation, 0) for derived in alphas.derived]
    return Curve(name, np.arange(alphas.epochs + 1), np.array(numbers))


def _alpha_curves(alphas: Alphas, gallery: Gallery) -> list[FigureBlock]:
    """Returns the figures of the weights and the derived architecture over the epochs."""
    if not alphas.epochs:
        return []
    epochs, summed = np.arange(alphas.epochs + 1), weight_curves(alphas)
    blue, orange, *_ = SERIES
    looks: dict[str, Look] = {ENTROPY: (blue, "-"), DOMINANCE: (blue, "-"), SHARE: (orange, DASHES[1])}
    band = alphas.entropies.min(axis=1), alphas.entropies.max(axis=1)
    entropy = curves_by_epoch([Curve(ENTROPY, epochs, summed[ENTROPY], band)], ENTROPY, looks, limits=(0, 1.03))
    others = [Curve(name, epochs, values) for name, values in summed.items() if name != ENTROPY]
    shares = curves_by_epoch(others, "weight", looks, limits=(0, 1.03))
    caption = "The largest weight of a choice, mean over the choices"
    if SHARE in summed:
        caption += "; the weight of skip_connect, mean over the choices that have it"
    shown = [
        gallery.show("entropy", entropy, f"{DECIDED}; the mean over the choices, and from the least to the largest."),
        gallery.show("weight-shares", shares, f"{caption}."),
    ]

    taken: set[str] = set()
    for derived in alphas.derived:
        taken.update(name for name, number in derived.operations.items() if number)
    counts = [operation_curve(name, name, alphas) for name in sorted(taken)]
    if counts:
        figure = curves_by_epoch(counts, "edges of the derived architecture", operation_looks(sorted(taken)))
        caption = "How many edges of the architecture derived after each epoch take each operation."
        shown.append(gallery.show("operations", figure, caption))
    return shown


def _alpha_steps(metrics: Columns, gallery: Gallery) -> list[FigureBlock]:
    """Returns the figures of the steps on the architecture parameters: their gradient, loss and accuracy."""
    shown = []
    if {"first_norm", "correction_norm", "cosine"} <= set(metrics) and np.nansum(metrics["correction_norm"]) > 0:
        shown = _gradient_figures(metrics, gallery)
    for metric, quantity in (("loss", LOSS), ("accuracy", ACCURACY)):
        if metric in metrics and f"search_{metric}" in metrics:
            names = {metric: "training", f"search_{metric}": "search"}
            pair = [Curve(name, metrics["epoch"] + 1, metrics[key]) for key, name in names.items()]
            figure = curves_by_epoch(pair, quantity.title, looks_of(names.values()))
            caption = (
                f"{quantity.name.capitalize()} of the supernet in the steps on its weights (training) and in those "
                "on the architecture parameters (search), mean of each epoch."
            )
            shown.append(gallery.show(f"search-{metric}", figure, caption))
    return shown


def _gradient_figures(metrics: Columns, gallery: Gallery) -> list[FigureBlock]:
    """Returns the figures of both parts of the gradient of the architecture parameters."""
    epochs = metrics["epoch"] + 1
    names = {"first_norm": "|g1|", "correction_norm": "|g2′|"}
    of_means = {"first_mean_norm": "|mean of g1|", "correction_mean_norm": "|mean of g2′|"}
    names.update((key, name) for key, name in of_means.items() if key in metrics)
    norms = [Curve(name, epochs, metrics[key]) for key, name in names.items()]
    lengths = curves_by_epoch(norms, "norm of the gradient", looks_of(names.values()), logarithmic=True)
    known = np.where(metrics["correction_norm"] > 0, metrics["cosine"], np.nan)
    cosines = [Curve("each batch", epochs, known)]
    if "cosine_of_means" in metrics:
        cosines.append(Curve("means", epochs, metrics["cosine_of_means"]))
    cosine = curves_by_epoch(
        cosines, "cosine of g1 and g2′", looks_of([curve.name for curve in cosines]), limits=(-1.05, 1.05)
    )
    return [
        gallery.show(
            "alpha-gradient",
            lengths,
            "Gradient of α: g1 is that with the weights held fixed, g2′ what is added for how they would follow. "
            "Mean length over the batches of each epoch, and length of the mean over these batches.",
        ),
        gallery.show(
            "alpha-cosine",
            cosine,
            "Whether both parts of the gradient of α point alike (1), across (0) or against each other (−1): "
            "on each batch, mean of each epoch, and of the means over its batches.",
        ),
        *_agreement(metrics, gallery),
    ]


def _agreement(metrics: Columns, gallery: Gallery) -> list[FigureBlock]:
    """Returns the figure of whether batches agree on the gradient; none for runs of earlier versions."""
    names = {"first_agreement": "g1", "correction_agreement": "g2′"}
    if not set(names) <= set(metrics):
        return []
    curves = [Curve(name, metrics["epoch"] + 1, metrics[key]) for key, name in names.items()]
    figure = curves_by_epoch(curves, "agreement between batches", looks_of(names.values()))
    caption = (
        "Whether the batches of an epoch agree on a part of the gradient of α: the inner product of two batches' "
        "vectors over their mean squared length, mean over all pairs. 1: all are equal; 0: noise."
    )
    return [gallery.show("alpha-agreement", figure, caption)]
