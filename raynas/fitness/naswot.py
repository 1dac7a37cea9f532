r"""NASWOT: how differently the ReLUs of an untrained network split the images of a batch.

    s(a) = log |det K|,    K_ij = number of ReLUs that are on for both images i and j, or off for both

summed over all ReLUs and all positions of their inputs. Images that an untrained network cannot tell apart have equal
rows in K.

Reference: Mellor, Turner, Storkey, Crowley 2021, "Neural Architecture Search without Training", ICML, Eq. 2, and its
code, which adds up K over the ReLUs.

Departs from the code: a matrix without a determinant, of images that no ReLU tells apart, has the score of the smallest
positive number (1e-300) per missing dimension instead of minus infinity.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raynas.fitness.probe import SMALLEST, Probe
from raynas.fitness.row import FitnessRow, ScoreOptions


@torch.no_grad()
def naswot(probe: Probe, options: ScoreOptions) -> float:
    """Returns the logarithm of the determinant of the kernel of a batch."""
    _, inputs = probe.logits_and_activations()
    kernel = torch.zeros(len(probe.images), len(probe.images), dtype=torch.float64)
    for features in inputs:
        kernel += equal_signs(features).cpu()
    eigenvalues = torch.linalg.eigvalsh(kernel)
    return float(eigenvalues.clamp_min(SMALLEST).log().sum())


def equal_signs(features: Tensor) -> Tensor:
    """Returns for each pair of images at how many positions both are positive or both are not, ``(n, n)`` float64."""
    is_on = (features.flatten(1) > 0).double()
    is_off = 1.0 - is_on
    return is_on @ is_on.T + is_off @ is_off.T


NASWOT = FitnessRow(name="naswot", title="NASWOT", digits=2, options=ScoreOptions, score=naswot)
