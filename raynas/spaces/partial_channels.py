"""Partial channel connections: a choice on some of the channels, around which the others pass.

Reference: Xu et al. 2020, "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", ICLR,
section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.gates import Gate


class PartialChoiceBlock(ChoiceBlock):
    """A choice block whose candidates see the first of K equal groups of channels.

    The other groups pass as they are, or by 2 x 2 max pooling where the block halves the size. The channels are then
    shuffled, so that the candidates of the next edge see other ones. As in the code of PC-DARTS the groups are fixed.

        f(x) = shuffle([sum_k w_k o_k(x_1), x_2, ..., x_K])
    """

    def __init__(self, candidates: Mapping[str, nn.Module], groups: int, stride: int) -> None:
        """Stores the candidates, which take and return 1 / `groups` of the channels, and their stride."""
        super().__init__(candidates)
        self._groups = groups
        self._stride = stride

    def forward(self, x: Tensor, gate: Gate) -> Tensor:
        """Returns all channels, ``(batch, channels, height / stride, width / stride)``.

        Args:
            x: Input, ``(batch, channels, height, width)``; `groups` divides the channels.
            gate: The route; `is_live` must hold for it.
        """
        number = x.shape[1] // self._groups
        chosen = super().forward(x[:, :number], gate)
        others = x[:, number:]
        if self._stride > 1:
            others = F.max_pool2d(others, self._stride, ceil_mode=True)  # odd sizes are rounded up, as by candidates
        return shuffled(torch.cat([chosen, others], dim=1), self._groups)


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Returns the channels of ``(batch, channels, height, width)`` in turn from each of equal groups."""
    batch, channels, height, width = x.shape
    grouped = x.reshape(batch, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).flatten(1, 2)
