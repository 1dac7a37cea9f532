r"""MeCo: how little the feature maps of an untrained network repeat each other.

    s(a) = sum_l lambda_min( P_l )

P_l is the matrix of Pearson correlations between the channels of the output of layer l for one image, over the
positions. A constant channel has no correlations, not even with itself. Correlations have an eigenvalue 0 where there
are no more positions than channels.

Reference: Jiang, Wang, Bie 2023, "MeCo: Zero-Shot NAS with One Data and Single Forward Pass via Minimum Eigenvalue of
Correlation", NeurIPS, and its code, which takes the first image of the batch.

Departs from the code: layers are modules without others inside, so that no output counts a second time as that of a
container, and eigenvalues below 0, which come of rounding, count as 0. A network without a path has the lowest score,
that of its stem.
"""

from __future__ import annotations

import torch
from torch import Tensor

from raynas.fitness.probe import Probe
from raynas.fitness.row import FitnessRow, ScoreOptions


@torch.no_grad()
def meco(probe: Probe, options: ScoreOptions) -> float:
    """Returns the sum over the layers of the smallest eigenvalue of the correlations of channels."""
    _, calls = probe.logits_and_layers()
    total = 0.0
    for call in calls:
        if call.out.dim() == 4:
            total += smallest_eigenvalue(call.out[0].flatten(1).double())
    return total


def smallest_eigenvalue(rows: Tensor) -> float:
    """Returns the smallest eigenvalue of the correlations of rows, ``(channels, positions)``; 0 for a constant row."""
    channels, positions = rows.shape
    if channels >= positions:
        return 0.0  # the centred rows lie in a space of positions - 1 dimensions
    centred = rows - rows.mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    if not bool((norms > 0).all()):
        return 0.0
    directions = centred / norms
    eigenvalues: Tensor = torch.linalg.eigvalsh((directions @ directions.T).cpu())
    return float(eigenvalues[0].clamp_min(0.0))


MECO = FitnessRow(name="meco", title="MeCo", digits=4, options=ScoreOptions, score=meco)
