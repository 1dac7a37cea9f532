r"""The four scores of AZ-NAS: expressivity, progressivity, trainability and complexity.

With f_1 ... f_L the feature maps behind the parts of the network (stem, cells and reductions; blocks of a chain), and
p_l the eigenvalues of the covariance of the channels of f_l over images and positions, divided by their sum:

    h_l = - sum_c p_lc * log(p_lc + 1e-8)                                                        (Eq. 3)
    az_expressivity(a)  = sum_l h_l                                                              (Eq. 4)
    az_progressivity(a) = min_l ( h_l - h_{l-1} )                                                (Eq. 5)
    az_trainability(a)  = mean_l ( 2 - s_l - 1 / (s_l + 1e-6) )                                  (Eq. 11)
    az_complexity(a)    = multiply-adds

s_l is the spectral norm of g_{l-1}^T g_l / positions: g_l are random signs in the shape of f_l, and g_{l-1} is what
backpropagation through part l makes of them. Where part l lowers the resolution, the pixels of g_{l-1} that belong to
one of g_l become channels. The paper adds the logarithms of the four ranks (Eq. 12): `search.combine: log_ranks`.

Reference: Lee and Ham 2024, "AZ-NAS: Assembling Zero-Cost Proxies for Network Architecture Search", CVPR, and its code,
from which the constants are.

Departs from the code: images are those of the run, where the code takes noise by default. Weights begin as the run
says. Feature maps that are constant have h_l = 0. A part that returns its input, or through which nothing flows, counts
as s_l = 0, where the code has minus infinity: the lowest that there is. A block that a chain skips is no part.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raynas.errors import InputError
from raynas.fitness.baselines import Cost
from raynas.fitness.probe import Probe, generator_of
from raynas.fitness.row import FitnessRow, ScoreOptions

LOG_SHIFT, NORM_SHIFT = 1e-8, 1e-6
"""Added where a logarithm or an inverse is taken."""


@torch.no_grad()
def expressivity(probe: Probe, options: ScoreOptions) -> float:
    """Returns the sum over the parts of the entropy of the principal components."""
    return float(sum(_entropies(probe)))


@torch.no_grad()
def progressivity(probe: Probe, options: ScoreOptions) -> float:
    """Returns the smallest increase of the entropy from one part to the next."""
    return float(np.diff(_entropies(probe)).min())


def trainability(probe: Probe, options: ScoreOptions) -> float:
    """Returns the mean over the parts of how near the spectral norm of their Jacobian is to 1, at most 0."""
    generator = generator_of(probe.supernet)
    maps = _feature_maps(probe)
    scores = []
    for before, behind in zip(maps[:-1], maps[1:], strict=True):
        signs = torch.randint(0, 2, behind.shape, generator=generator).to(behind) * 2 - 1
        norm = _spectral_norm(_pulled_back(before, behind, signs), signs)
        scores.append(2 - norm - 1 / (norm + NORM_SHIFT))
    return float(np.mean(scores))


def _feature_maps(probe: Probe) -> list[Tensor]:
    """Returns the feature maps behind the parts of a network, two or more.

    Raises:
        InputError: If there are fewer.
    """
    maps = probe.parts()
    if len(maps) < 2:
        raise InputError(
            f"search.fitness: the scores of AZ-NAS expect 2 or more parts of a network, got {len(maps)}; give another "
            "fitness, or build the network of modules"
        )
    return maps


def _entropies(probe: Probe) -> list[float]:
    """Returns the entropy of the principal components of each part's feature maps."""
    return [entropy(maps.transpose(0, 1).flatten(1).double()) for maps in _feature_maps(probe)]


def entropy(rows: Tensor) -> float:
    """Returns the entropy of the normalised eigenvalues of the covariance of rows, ``(channels, positions)``."""
    centred = rows - rows.mean(dim=1, keepdim=True)
    eigenvalues = torch.linalg.eigvalsh((centred @ centred.T).cpu()).clamp_min(0.0)
    total = eigenvalues.sum()
    if total == 0:
        return 0.0
    shares = eigenvalues / total
    return -float((shares * (shares + LOG_SHIFT).log()).sum())


def _pulled_back(before: Tensor, behind: Tensor, signs: Tensor) -> Tensor | None:
    """Returns the derivative of (behind * signs) by the feature maps before a part; None if nothing flows."""
    if behind is before or not before.requires_grad or not behind.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(behind, before, signs, retain_graph=True, allow_unused=True)
    return None if gradient is None or torch.equal(gradient, signs) else gradient


def _spectral_norm(gradient: Tensor | None, signs: Tensor) -> float:
    """Returns the largest singular value of gradient^T signs / positions; 0 without a gradient."""
    if gradient is None:
        return 0.0
    if gradient.shape[2:] != signs.shape[2:]:
        gradient = _unshuffled(gradient, signs.shape[2])
    rows = gradient.transpose(0, 1).flatten(1).double()
    columns = signs.transpose(0, 1).flatten(1).double()
    return float(torch.linalg.matrix_norm((rows @ columns.T).cpu() / columns.shape[1], ord=2))


def _unshuffled(gradient: Tensor, height: int) -> Tensor:
    """Returns a gradient with the pixels of each window as channels, for an output of a height; padded with zeros."""
    factor = -(-gradient.shape[2] // height)
    missing = [-size % factor for size in gradient.shape[2:]]
    return F.pixel_unshuffle(F.pad(gradient, (0, missing[1], 0, missing[0])), factor)


EXPRESSIVITY = FitnessRow(
    name="az_expressivity", title="AZ-NAS expressivity", digits=3, options=ScoreOptions, score=expressivity
)
PROGRESSIVITY = FitnessRow(
    name="az_progressivity", title="AZ-NAS progressivity", digits=3, options=ScoreOptions, score=progressivity
)
TRAINABILITY = FitnessRow(
    name="az_trainability", title="AZ-NAS trainability", digits=3, options=ScoreOptions, score=trainability
)
COMPLEXITY = FitnessRow(
    name="az_complexity",
    title="AZ-NAS complexity",
    digits=0,
    make=lambda context, options: Cost(context.costs, "multiply_adds"),
)
