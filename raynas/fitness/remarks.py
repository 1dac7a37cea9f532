"""Remarks on results without evidence: accuracies at chance, differences within sampling error, ties, undecided alphas.

An accuracy p measured on n images has the standard error sqrt(p (1 - p) / n) of a binomial share. A network that
guesses has p = 1 / classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

FEWEST = 10
"""Number of architectures below which a rank correlation is not evidence."""

MANY_TIES = 0.5
"""Fraction of tied pairs above which most of a ranking is arbitrary."""

HALFWAY = 0.5
"""Share of the way from equal weights to one candidate below which alphas are undecided."""

NORMAL_95 = 1.96
"""Standard errors to each side of a number that cover 95 percent of its samples."""


def accuracy_remarks(
    accuracies: Sequence[float], classes: int, images: int | None, name: str = "accuracy"
) -> list[str]:
    """Returns a sentence for each reason why the accuracies of the best architectures are no evidence.

    Args:
        accuracies: In percent, the best architecture's first.
        classes: Number of classes.
        images: Number of images behind each accuracy; None if unknown, which omits the sampling error.
        name: Name of the accuracies in the text.
    """
    if not accuracies:
        return []
    best, chance = accuracies[0], 100 / classes
    remarks = []
    at_chance = _error(chance, images)
    if best <= chance + at_chance:
        of_images = f" ± {at_chance:.1f} points on {images:,} images" if images else ""
        remarks.append(
            f"{name}: {best:.2f} % of the best is what chance gives ({chance:.2f} %{of_images}, {classes:,} classes): "
            "it says nothing about the architecture"
        )
    elif images and len(accuracies) > 1 and (spread := max(accuracies) - min(accuracies)) <= _error(best, images):
        remarks.append(
            f"{name}: the {len(accuracies):,} best lie within {spread:.2f} points, less than the sampling error of "
            f"{_error(best, images):.2f} points on {images:,} images: their order is uncertain"
        )
    return remarks


def ranking_remarks(fitness: np.ndarray, truth: np.ndarray | None = None, name: str = "fitness") -> list[str]:
    """Returns a sentence for each reason why an order of architectures is no evidence.

    Args:
        fitness: Fitness of each architecture, ``(n,)``.
        truth: Benchmark accuracy of each, ``(n,)``; None without a benchmark.
        name: Name of the fitness in the text.
    """
    remarks = []
    if truth is not None and len(truth) < FEWEST:
        remarks.append(
            f"benchmark: only {len(truth):,} architectures are ranked: a correlation and its interval need {FEWEST} or "
            "more to mean anything"
        )
    for label, values in ((name, fitness), ("benchmark accuracy", truth)):
        if values is not None and len(values) > 1 and (share := tied_share(values)) > MANY_TIES:
            remarks.append(
                f"{label}: {100 * share:.0f} % of the pairs of architectures are tied: most of their order is arbitrary"
            )
    return remarks


def decidedness_remarks(largest: float, uniform: float) -> list[str]:
    """Returns a sentence if alphas are undecided: less than halfway from equal weights to one candidate each.

    Args:
        largest: Largest weight of a choice, mean over the choices.
        uniform: The same where all candidates weigh the same.
    """
    if largest >= uniform + HALFWAY * (1 - uniform):
        return []
    return [
        f"alphas: undecided: the largest probability of a choice is {largest:.2f} on average, {uniform:.2f} if all "
        "candidates are equal: a few more steps or another seed can give another architecture"
    ]


def tied_share(values: np.ndarray) -> float:
    """Returns the fraction of pairs whose values are equal."""
    _, counts = np.unique(values, return_counts=True)
    return float((counts * (counts - 1)).sum() / (len(values) * (len(values) - 1)))


def _error(accuracy: float, images: int | None) -> float:
    """Returns half the width, in points, of the 95 percent interval of an accuracy on so many images."""
    share = min(max(accuracy / 100, 0.0), 1.0)
    return 100 * NORMAL_95 * math.sqrt(share * (1 - share) / images) if images else 0.0
