"""What the gradients of an epoch say together: how long both parts are, and whether the batches agree on them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from raynas.supernet.architecture_gradients import ArchitectureGradient


@dataclass(frozen=True)
class GradientFigures:
    """Both parts of the gradient of the alphas over the steps of an epoch, g1 and g2'.

    The mean of a norm says how long a part is on one batch, the norm of a mean what remains of it over many. The
    agreement is the inner product of the same part on two batches, mean over all pairs, over its mean squared norm: 1
    where every batch gives the same vector, 0 for noise. The alphas move during the epoch.

    Attributes:
        first_norm: Mean of |g1|.
        correction_norm: Mean of |g2'|; 0 in first order.
        cosine: Mean cosine of the angle between both, 0 where one is zero.
        first_mean_norm: Norm of the mean of g1; this and what follows is None without two steps.
        correction_mean_norm: Norm of the mean of g2'.
        cosine_of_means: Cosine of the angle between both means, 0 where one is zero.
        first_agreement: Agreement of g1; None where it is always zero.
        correction_agreement: Agreement of g2'; None where it is always zero.
    """

    first_norm: float
    correction_norm: float
    cosine: float
    first_mean_norm: float | None = None
    correction_mean_norm: float | None = None
    cosine_of_means: float | None = None
    first_agreement: float | None = None
    correction_agreement: float | None = None


class GradientSums:
    """Sums over gradients that give the figures of an epoch; equal on all workers, as the gradients are."""

    def __init__(self, length: int) -> None:
        """Begins with nothing, for gradients of so many alphas."""
        self._figures = torch.zeros(4, dtype=torch.float64)
        # Separate from the other sums: those of a checkpoint of an earlier version end with the figures.
        self._squares = torch.zeros(3, dtype=torch.float64)
        self._vectors = torch.zeros(2, length, dtype=torch.float64)

    def to(self, device: torch.device) -> None:
        """Moves the sums to a device."""
        self._figures, self._squares = self._figures.to(device), self._squares.to(device)
        self._vectors = self._vectors.to(device)

    def add(self, gradient: ArchitectureGradient) -> None:
        """Adds the gradient of a step; nothing waits for the device."""
        one = self._figures.new_ones(1)
        parts = torch.stack([torch.cat(gradient.first), torch.cat(gradient.correction)]).double()
        self._figures += torch.cat([gradient.figures.double(), one])
        self._squares += torch.cat([parts.square().sum(dim=1), one])
        self._vectors += parts

    def state(self) -> Tensor:
        """Returns the sums, for `restore`: ``(7 + 2 x alphas,)`` float64."""
        return torch.cat([self._figures, self._squares, self._vectors.flatten()])

    def restore(self, state: Tensor) -> None:
        """Goes on from what `state` returned; that of an earlier version has the first four numbers alone."""
        self._figures = state[:4].clone()
        if len(state) > 4:
            self._squares = state[4:7].clone()
            self._vectors = state[7:].clone().view(2, -1)

    def take(self) -> GradientFigures | None:
        """Returns the figures of the gradients since the last call; None if there were none."""
        first, correction, cosine, steps = self._figures.tolist()
        *squares, number = self._squares.tolist()
        means = self._vectors / max(number, 1.0)
        for sums in (self._figures, self._squares, self._vectors):
            sums.zero_()
        if not steps:
            return None
        if number < 2:
            return GradientFigures(first / steps, correction / steps, cosine / steps)
        first_mean, correction_mean = torch.linalg.vector_norm(means, dim=1).tolist()
        between_means = F.cosine_similarity(means[0], means[1], dim=0, eps=torch.finfo(torch.float64).tiny)
        return GradientFigures(
            first / steps,
            correction / steps,
            cosine / steps,
            first_mean,
            correction_mean,
            between_means.item(),
            _agreement(first_mean, squares[0], number),
            _agreement(correction_mean, squares[1], number),
        )


def _agreement(norm: float, square: float, number: float) -> float | None:
    """Returns the mean inner product of two different vectors over their mean squared norm.

    Args:
        norm: Norm of the mean of the vectors.
        square: Sum of their squared norms.
        number: Number of vectors.
    """
    total = number * norm
    pairs = total * total - square
    return pairs / (number - 1) / square if square and math.isfinite(pairs) else None
