r"""ZiCo: how much the gradients of an untrained network agree between batches.

    s(a) = sum_l log ( sum_w mean_b |g_lw(b)| / std_b g_lw(b) )

g_lw(b) is the derivative of the cross-entropy of batch b by weight w of layer l. Weights whose derivative is the same
for all batches are left out, and so are layers without other weights. With two batches every term of the inner sum is
at least 1.

Reference: Li, Yang, Bhardwaj, Marculescu 2023, "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on Gradients",
ICLR, and its code, from which the treatment of zeros and the deviation without Bessel's correction are.

The batches are the `search.zico_batches` equal parts of the one batch; the paper takes two. A network without a path
has the score 0, the lowest with two batches.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from raynas.errors import InputError
from raynas.fitness.probe import Probe
from raynas.fitness.row import FitnessRow, ScoreOptions


def zico(probe: Probe, options: ScoreOptions) -> float:
    """Returns the sum over the layers of the logarithm of the inverse coefficients of variation."""
    parts = zip(
        probe.images.tensor_split(options.zico_batches), probe.labels.tensor_split(options.zico_batches), strict=True
    )
    gradients = []
    for images, labels in parts:
        part = replace(probe, images=images, labels=labels)
        gradients.append([gradient.double() for _, gradient in part.gradients(part.loss())])
    total = 0.0
    for of_batches in zip(*gradients, strict=True):
        stacked = torch.stack(of_batches)
        deviations = stacked.std(dim=0, unbiased=False)
        differs = deviations > 0
        inner = (stacked.abs().mean(dim=0)[differs] / deviations[differs]).sum().item()
        if inner > 0:
            total += math.log(inner)
    return total


def _check(options: ScoreOptions) -> None:
    """Checks that every part of the batch has an image.

    Raises:
        InputError: If one has none.
    """
    if options.zico_batches > options.score_images:
        raise InputError(
            f"search.zico_batches: expected at most search.score_images ({options.score_images}), got "
            f"{options.zico_batches}; lower it, or give more images"
        )


ZICO = FitnessRow(name="zico", title="ZiCo", digits=3, options=ScoreOptions, score=zico, check=_check)
