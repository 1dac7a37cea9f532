"""What can be said of the found architecture where no ranking tells the accuracies of the space.

The accuracy of the supernet's weights is a share of images. Another sample of images would give another share: its
interval (Wilson 1927) says how far, and how many of the evaluated architectures the images do not tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raynas.report.intervals import Interval, wilson_interval
from raynas.report.run_values import Run
from raynas.report.text_tables import SETS

ACCURACY_KEY = "accuracy"
"""Key of the accuracy with the supernet's weights, in percent."""


@dataclass(frozen=True)
class Sampled:
    """The accuracy of the found architecture as a share of images.

    Attributes:
        accuracy: The accuracy in percent, with its interval over samples of images.
        images: Number of images.
        chance: Accuracy of a guess in percent; None if the number of labels is unknown.
        evaluated: Number of evaluated architectures.
        within: Number of them whose accuracy is in the interval or above it.
    """

    accuracy: Interval
    images: int
    chance: float | None
    evaluated: int
    within: int


def sampled_of(run: Run) -> Sampled | None:
    """Returns the accuracy of the found architecture as a share of images; None if the run does not record it.

    The accuracy over several supernets is a mean, and no share of images.
    """
    images = run.result.evaluation_images if run.result else None
    if not run.best or run.history is None or not images or len(run.base_seeds) != 1:
        return None
    found, evaluated = run.best[0].numbers.get(ACCURACY_KEY), run.history.columns.get(ACCURACY_KEY)
    if found is None or evaluated is None:
        return None
    categories = run.result.categories if run.result else None
    interval = wilson_interval(found, images)
    return Sampled(
        accuracy=interval,
        images=images,
        chance=100 / categories if categories else None,
        evaluated=len(evaluated),
        within=int(np.count_nonzero(evaluated >= interval.low)),
    )


def about_sampled(sampled: Sampled) -> str:
    """Returns in words what the images say of the found architecture."""
    accuracy = sampled.accuracy
    written = f"{accuracy.mean:.2f} percent [{accuracy.low:.2f}, {accuracy.high:.2f}]"
    text = f"With the supernet's weights it has {written} accuracy on {sampled.images:,} images."
    if sampled.chance is not None and accuracy.low <= sampled.chance:
        return f"{text} Chance gives {sampled.chance:.2f} percent, so this says nothing about the architecture."
    others = sampled.within - 1
    if others < 1:
        return f"{text} Of {sampled.evaluated:,} evaluated architectures it is apart from all others."
    more = "1 other has" if others == 1 else f"{others:,} others have"
    return (
        f"{text} Of {sampled.evaluated:,} evaluated architectures, {more} at least "
        f"{accuracy.low:.2f} percent: the images do not tell them apart."
    )


def against_one_random(run: Run) -> str:
    """Returns how the found architecture compares with a random one in the benchmark's table; empty if unknown.

    The random architecture is of the smallest set that the search can give, such as those within its limits.
    """
    if run.result is None or not run.result.random:
        return ""
    random = run.result.random[-1]
    text = (
        f"One random architecture{SETS.get(random.of, ' ' + random.of)} has {random.mean:.2f} ± "
        f"{random.deviation:.2f} percent (mean and deviation of {random.architectures:,})"
    )
    if random.below is None:
        return f"{text}. "
    return f"{text}, and is better than the found one in {100 - random.below:.0f} percent of all cases. "
