r"""Jacobian covariance: how differently an untrained network reacts to small changes of different images.

    s(a) = - sum_i ( log(v_i + k) + 1 / (v_i + k) ),    k = 1e-5

v_i are the eigenvalues of the correlation matrix of the rows of J, where row i is the derivative of the summed logits
of image i by its pixels.

Reference: Mellor et al. 2020, "Neural Architecture Search without Training", arXiv 2006.04647v1; the name is that of
Abdelfattah et al. 2021, "Zero-Cost Proxies for Lightweight NAS", ICLR.

Departs from the code: a network whose logits do not depend on the image has no correlations; its eigenvalues count as
zeros, the lowest score that there is, where the code has no number.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raynas.fitness.probe import Probe
from raynas.fitness.row import FitnessRow, ScoreOptions

SHIFT = 1e-5
"""Added to the eigenvalues, k."""


def jacob_cov(probe: Probe, options: ScoreOptions) -> float:
    """Returns the score of the correlations between the images of a batch."""
    images = probe.images.clone().requires_grad_(True)
    logits = probe.logits(images)
    jacobian = torch.zeros_like(images)
    if logits.requires_grad:
        (found,) = torch.autograd.grad(logits.sum(), images, allow_unused=True)
        jacobian = jacobian if found is None else found
    shifted = _eigenvalues(jacobian.flatten(1).double()) + SHIFT
    return -float((shifted.log() + 1.0 / shifted).sum())


def _eigenvalues(jacobian: Tensor) -> Tensor:
    """Returns the eigenvalues of the correlation matrix of the rows, ``(n,)``; zeros without correlations."""
    centred = jacobian - jacobian.mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    if not bool((norms > 0).all()):
        return torch.zeros(len(jacobian), dtype=torch.float64)
    directions = (centred / norms).cpu()
    eigenvalues: Tensor = torch.linalg.eigvalsh(directions @ directions.T)
    return eigenvalues.clamp_min(0.0)


JACOB_COV = FitnessRow(name="jacob_cov", title="Jacobian covariance", digits=2, options=ScoreOptions, score=jacob_cov)
