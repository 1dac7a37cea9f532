"""Figures of the rows of ``alphas.npy``: weights of candidates, their entropies, and how far choices have decided.

The weights of a choice with K candidates are softmax(alpha). A choice that has decided nothing has weights 1 / K, whose
entropy is log K. A choice that has decided has a largest weight of 1 and an entropy of 0. Choices with one candidate
have nothing to decide, and are left out of the means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Decidedness:
    """How far architecture parameters have decided, before the first epoch and after each.

    Attributes:
        largest: Largest weight of a choice, mean over the choices, ``(epochs + 1,)``.
        uniform: The same where all candidates weigh the same.
        entropy: Entropy of the weights in nats, mean over the choices, ``(epochs + 1,)``.
        most_entropy: The same where all candidates weigh the same.
    """

    largest: np.ndarray
    uniform: float
    entropy: np.ndarray
    most_entropy: float

    @property
    def share(self) -> np.ndarray:
        """How far `largest` is on the way from equal weights, 0, to one candidate of weight 1, ``(epochs + 1,)``."""
        share: np.ndarray = (self.largest - self.uniform) / (1.0 - self.uniform)
        return share


def weights_of(values: np.ndarray) -> np.ndarray:
    """Returns the softmax over the candidates of each choice, in the shape of the values; NaN stays NaN.

    Args:
        values: Alphas, ``(epochs + 1, choices, most candidates)``, NaN after the last candidate of a choice.
    """
    exponentials = np.exp(values - np.nanmax(values, axis=2, keepdims=True))
    weights: np.ndarray = exponentials / np.nansum(exponentials, axis=2, keepdims=True)
    return weights


def entropies_of(weights: np.ndarray) -> np.ndarray:
    """Returns the entropy of the weights of each choice in nats, ``(epochs + 1, choices)``."""
    logarithms = np.log(np.where(weights > 0, weights, 1))
    entropies: np.ndarray = -np.nansum(weights * logarithms, axis=2)
    return entropies


def largest_of(weights: np.ndarray) -> np.ndarray:
    """Returns the largest weight of a choice, mean over the choices, ``(epochs + 1,)``."""
    largest: np.ndarray = np.nanmax(weights, axis=2).mean(axis=1)
    return largest


def decidedness_of(values: np.ndarray) -> Decidedness | None:
    """Returns how far alphas have decided; None if every choice has a single candidate.

    Args:
        values: Alphas, ``(epochs + 1, choices, most candidates)``, NaN after the last candidate of a choice.
    """
    counts = np.isfinite(values[0]).sum(axis=1)
    has_choice = counts > 1
    if not has_choice.any():
        return None
    weights = weights_of(values[:, has_choice])
    return Decidedness(
        largest=largest_of(weights),
        uniform=float(np.mean(1 / counts[has_choice])),
        entropy=entropies_of(weights).mean(axis=1),
        most_entropy=float(np.mean(np.log(counts[has_choice]))),
    )


def last_part(epochs: int, parts: int) -> int:
    """Returns the number of epochs in the last of so many equal parts of a training, rounded up."""
    return math.ceil(epochs / parts)


def range_in(accuracies: Sequence[float | None], epochs: int) -> tuple[float, float] | None:
    """Returns the smallest and the largest accuracy after the last epochs; None if none is known.

    Args:
        accuracies: Accuracy of the derived architecture before the first epoch and after each, None where unknown.
        epochs: Number of epochs to look back.
    """
    known = [accuracy for accuracy in accuracies[-epochs:] if accuracy is not None]
    return (min(known), max(known)) if known else None


def changes_in(architectures: Sequence[Sequence[int]], epochs: int) -> int:
    """Returns how often the derived architecture changed in the last epochs.

    Args:
        architectures: The derived architectures before the first epoch and after each.
        epochs: Number of epochs to look back.
    """
    last = [tuple(architecture) for architecture in architectures[-(epochs + 1) :]]
    return sum(before != after for before, after in zip(last, last[1:], strict=False))
