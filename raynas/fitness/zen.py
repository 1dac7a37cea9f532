r"""Zen-score: how strongly the feature maps of a network with Gaussian weights react to Gaussian noise.

    s(a) = log mean_i sum | f(x_i) - f(x_i + alpha e_i) | + sum_l log sqrt( mean_c v_lc + eps ),    alpha = 0.01

f are the feature maps before the global pooling, with weights, images x and noise e of independent standard normal
numbers. v_lc is the variance over the batch that normalisation l meets in channel c, and eps that of the normalisation.

Reference: Lin, Wang, Sun, Chen, Sun, Qian, Li, Jin 2021, "Zen-NAS: A Zero-Shot NAS for High-Performance Image
Recognition", ICCV, Algorithm 1 and section 3.2, and its code, from which the sum of absolute differences is.

Departs from the paper: skip connections stay, since the cells of a space consist of them. Departs from the code:
variances are those of the batch instead of a running mean that begins at 1, and one batch stands for 32. What does not
react at all has a difference of 1e-300, so that a network without a path has the lowest score.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn

from raynas.errors import InputError
from raynas.fitness.probe import SMALLEST, Call, Probe
from raynas.fitness.row import FitnessRow, ScoreOptions

ALPHA = 0.01
"""Size of the noise."""


@torch.no_grad()
def zen(probe: Probe, options: ScoreOptions) -> float:
    """Returns the Zen-score."""
    probe = probe.gaussian()
    noisy = replace(probe, images=probe.images + ALPHA * probe.copies.noise[1])
    features, norms = _features_and_norms(probe)
    others, _ = _features_and_norms(noisy)
    difference = (features - others).double().abs().sum().item() / len(features)
    total = math.log(max(difference, SMALLEST))
    for norm in norms:
        variance = norm.x.double().var(dim=(0, 2, 3), unbiased=False).mean().item()
        total += 0.5 * math.log(variance + norm.layer.eps)  # type: ignore[operator]
    return total


def _features_and_norms(probe: Probe) -> tuple[Tensor, list[Call]]:
    """Returns the feature maps before the global pooling, and the normalisations that the network runs.

    Raises:
        InputError: If no module of the network returns feature maps.
    """
    _, calls = probe.logits_and_modules()
    maps = [call.out for call in calls if call.out.dim() == 4 and not isinstance(call.layer, nn.AdaptiveAvgPool2d)]
    if not maps:
        raise InputError("search.fitness: zen expects networks with feature maps, got none; give another fitness")
    return maps[-1], [call for call in calls if isinstance(call.layer, nn.BatchNorm2d)]


ZEN = FitnessRow(name="zen", title="Zen-score", digits=3, options=ScoreOptions, score=zen)
