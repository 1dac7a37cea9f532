"""The training of a run, and the latency of its networks."""

from __future__ import annotations

from raynas.report.blocks import Figures, Paragraph, Section
from raynas.report.gallery import Gallery
from raynas.report.palette import looks_of
from raynas.report.quantities import CORRELATION, Quantity
from raynas.report.rank_figures import predicted_against_measured
from raynas.report.run_values import Run
from raynas.report.training_figures import seed_lines, training_curves
from raynas.report.wording import counted

PERCENT = Quantity("error", "percent", 1, scale=100)


def training_section(run: Run, gallery: Gallery) -> Section:
    """Returns the figures of the training."""
    if not run.training:
        return Section("Training", [])
    lines = seed_lines(run)
    looks = looks_of(name for name, _ in lines)
    captions = {
        "loss": "Cross-entropy of the supernet on its training labels, mean of each epoch.",
        "accuracy": "Accuracy of the supernet on its training labels, mean of each epoch.",
        "learning_rate": "Learning rate at the end of each epoch.",
    }
    shown = []
    for metric, caption in captions.items():
        if all(metric in metrics for metrics in run.training.values()):
            figure = training_curves(lines, metric, looks)
            shown.append(gallery.show(metric.replace("_", "-"), figure, caption))
    return Section("Training", [Figures(shown)])


def latency_section(run: Run, gallery: Gallery) -> Section:
    """Returns the accuracy of latency predictions that sum over the candidates."""
    profile = run.profile
    if profile is None:
        return Section("Latency", [])
    about = (
        f"{len(profile.measured):,} networks on {profile.device}, {counted(profile.threads, 'thread')}, batches of "
        f"{profile.batch_size:,}: the sum over candidates has correlation {CORRELATION.write(profile.correlation)} "
        f"with the latency measured. Its median error is {PERCENT.write_with_unit(profile.median_error)}, its worst "
        f"{'+' if profile.worst_error > 0 else ''}{PERCENT.write_with_unit(profile.worst_error)}."
    )
    caption = "Latency of whole networks, as the sum over their candidates and as measured."
    figure = gallery.show("latency", predicted_against_measured(profile), caption)
    return Section("Latency", [Paragraph(about), Figures([figure])])
