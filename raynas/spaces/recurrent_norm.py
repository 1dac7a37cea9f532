"""Batch normalisation of the nodes of a recurrent cell."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5
"""What is added to a variance, as in `torch.nn.BatchNorm1d`."""


class NodeNorm(nn.Module):
    """Normalises a node at every token by the statistics of the streams, without weight and bias, in both modes.

    Departs from the codes of DARTS and GDAS, which evaluate with running statistics. These do not bound a state that
    grows from token to token: cells of ``identity`` and ``relu`` with inherited weights overflowed within 50 tokens.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Returns the normalised node, ``(streams, width)``."""
        return F.batch_norm(x, None, None, training=True, eps=EPSILON)
