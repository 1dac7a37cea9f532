"""Networks that a run trained from scratch: their test accuracies beside those of the controls."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from raynas.records.retrain_record import Estimate, RetrainRecord
from raynas.report.blocks import Block, Figures, Paragraph, Section, Table, Text, architecture_text
from raynas.report.drawing_style import logarithmic_heights, panel, style
from raynas.report.gallery import Gallery
from raynas.report.intervals import wilson_interval
from raynas.report.palette import ACCENT, MUTED, SERIES
from raynas.report.quantities import count, duration
from raynas.report.run_values import Run
from raynas.report.wording import counted

REASONS = {
    "found": "found by the search",
    "given": "given by the run file",
    "random": "a random architecture of equal multiply-adds",
    "parameters": "the architecture with the most parameters",
    "lstm": "an LSTM of no more parameters",
}
"""What a network is, by the reason for which it was trained."""

INTERVAL_OF_SEEDS = "Intervals hold the mean over seeds with 95 percent confidence."
INTERVAL_OF_IMAGES = (
    "Intervals are those of the sampling of test images, 95 percent; how far another seed would differ is not known "
    "from one."
)


def retrained_networks(run: Run, gallery: Gallery) -> Section:
    """Returns accuracies, curves and comparisons of every retraining of a run."""
    blocks: list[Block] = []
    for number, (name, result) in enumerate(run.retrained.items(), start=1):
        blocks += _retraining(run, name, result, gallery, number)
    return Section("Trained from scratch", blocks)


def _retraining(run: Run, name: str, result: RetrainRecord, gallery: Gallery, number: int) -> list[Block]:
    """Returns the blocks of one retraining."""
    recipe = f"recipe {result.recipe}" if result.recipe else "the keys of the section retrain"
    seeds = len(result.networks[0].seeds)
    seconds = sum(float(one.seconds) for network in result.networks for one in network.seeds)
    text = (
        f"{name}: {counted(len(result.networks), 'network')} by {recipe}, {result.epochs:,} epochs on "
        f"{result.train_images:,} {result.samples}, {counted(seeds, 'seed')} each, {duration(seconds)} in all. "
    )
    text += _tested(result)
    if seeds > 1:
        text += INTERVAL_OF_SEEDS
    elif not result.is_of_text:
        text += INTERVAL_OF_IMAGES
    caption = f"{result.tested.capitalize()} of each seed, mean and interval."
    figures = [gallery.show(f"retrained-{number}", accuracies(result), caption)]
    curves = run.network_curves.get(name, {})
    if curves:
        caption = "Training accuracy on augmented images by epoch, mean over the seeds."
        if result.is_of_text:
            caption = "Training perplexity by epoch, mean over the seeds."
        figures.append(gallery.show(f"retraining-{number}", learning_curves(curves, result.is_of_text), caption))
    verdicts = [Paragraph(f"{one.verdict[:1].upper()}{one.verdict[1:]}.") for one in result.comparisons]
    return [Paragraph(text), _table(result), *verdicts, Figures(figures)]


def _tested(result: RetrainRecord) -> str:
    """Returns what networks were tested on, in a sentence with a space behind it."""
    if result.is_of_text:
        return (
            f"Perplexity of {result.test_images:,} test tokens, measured once at the end; chance is "
            f"{result.num_classes:,}. "
        )
    return (
        f"Accuracy on {result.test_images:,} test images, measured once at the end; chance is "
        f"{100 / result.num_classes:.2f} percent. "
    )


def _table(result: RetrainRecord) -> Table:
    """Returns the accuracies and costs of networks."""
    networks = result.networks
    has_top5 = not result.is_of_text and any(one.test_top5_accuracy is not None for one in networks[0].seeds)
    has_validation = any(network.validated is not None for network in networks)
    unit = "" if result.is_of_text else " (percent)"
    head: list[Text] = ["network", f"{result.tested}{unit}"]
    head += ["top-5 (percent)"] if has_top5 else []
    head += [f"validation{unit}"] if has_validation else []
    head += ["parameters", "multiply-adds", "what it is", "architecture"]
    rows: list[list[Text]] = []
    for network in networks:
        images = None if result.is_of_text else result.test_images
        row: list[Text] = [network.name, with_interval(network.tested, images)]
        if has_top5:
            row.append(f"{np.mean([one.test_top5_accuracy or 0.0 for one in network.seeds]):.2f}")
        if has_validation:
            row.append(with_interval(network.validated) if network.validated else "")
        row += [
            count(network.num_parameters),
            count(network.multiply_adds),
            REASONS.get(network.reason, network.reason),
        ]
        rows.append([*row, (architecture_text(network.description),)])
    return Table(head, rows, numbers=range(1, len(head) - 2), stacked=True)


def with_interval(estimate: Estimate, images: int | None = None) -> str:
    """Returns a mean with the half-width of its interval; of one seed, an accuracy with that over samples of images.

    Args:
        estimate: The mean over seeds.
        images: Number of images behind the accuracy; None if it is unknown.
    """
    if estimate.high is None and images:
        interval = wilson_interval(float(estimate.mean), images)
        return f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
    if estimate.high is None:
        return f"{estimate.mean:.2f}"
    return f"{estimate.mean:.2f} ± {estimate.high - estimate.mean:.2f}"


@style()
def accuracies(result: RetrainRecord) -> Figure:
    """Returns a figure of the test accuracies of networks: seeds as dots, means with intervals."""
    figure, axes = panel()
    names = [network.name for network in result.networks]
    for place, network in enumerate(result.networks):
        seeds, tested = [one.tested for one in network.seeds], network.tested
        color = ACCENT if network.reason in ("found", "given") else MUTED
        axes.plot(seeds, np.full(len(seeds), place), "o", color=color, ms=4, alpha=0.5, mew=0)
        if tested.low is not None and tested.high is not None:
            axes.plot([tested.low, tested.high], [place, place], color=color, lw=1.4)
        axes.plot([tested.mean], [place], "|", color=color, ms=12, mew=2)
    axes.set_yticks(range(len(names)), names)
    axes.set(title="test accuracy (percent)", ylim=(len(names) - 0.5, -0.5))
    axes.margins(x=0.08)
    axes.set_xlim(max(axes.get_xlim()[0], 0.0), axes.get_xlim()[1])
    if result.is_of_text:
        axes.set(title="test perplexity")
    else:
        axes.set_xlim(right=min(axes.get_xlim()[1], 100.5))
    return figure


@style()
def learning_curves(curves: Mapping[str, np.ndarray], of_text: bool = False) -> Figure:
    """Returns a figure of the training accuracy of networks by epoch, or of their training perplexity."""
    figure, axes = panel()
    for number, (name, accuracy) in enumerate(curves.items()):
        epochs = np.arange(1, len(accuracy) + 1)
        mark = "o" if len(epochs) == 1 else ""  # a line of one point is not seen
        axes.plot(epochs, accuracy, color=SERIES[number % len(SERIES)], label=name, marker=mark, ms=4)
    axes.set(title="training perplexity" if of_text else "training accuracy (percent)", xlabel="epoch")
    if of_text:
        logarithmic_heights(axes)
    if len(curves) <= len(SERIES):
        axes.legend(loc="upper right" if of_text else "lower right")
    return figure
