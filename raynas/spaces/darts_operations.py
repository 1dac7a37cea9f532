"""The operations on the edges of DARTS' cells, by their names."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from raynas.spaces.operations import AvgPool3x3, FactorizedReduce, ReluConvBn, depthwise_separable, row_then_column
from raynas.supernet.choice_block import Zero

PRIMITIVES = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The candidates of every edge, in DARTS' order. The code of RLNAS writes them as 0 to 7."""

POOLS = ("max_pool_3x3", "avg_pool_3x3")

DILATED = ("dil_conv_3x3", "dil_conv_5x5")

OPERATIONS: dict[str, Callable[..., nn.Module]] = {
    "none": lambda c, stride, **bn: Zero(),
    "max_pool_3x3": lambda c, stride, **bn: nn.MaxPool2d(3, stride, padding=1),
    "avg_pool_3x3": lambda c, stride, **bn: AvgPool3x3(stride),
    "skip_connect": lambda c, stride, **bn: nn.Identity() if stride == 1 else FactorizedReduce(c, c, **bn),
    "sep_conv_3x3": lambda c, stride, **bn: _twice_separable(c, 3, stride, **bn),
    "sep_conv_5x5": lambda c, stride, **bn: _twice_separable(c, 5, stride, **bn),
    "sep_conv_7x7": lambda c, stride, **bn: _twice_separable(c, 7, stride, **bn),
    "dil_conv_3x3": lambda c, stride, **bn: depthwise_separable(c, 3, stride, dilation=2, **bn),
    "dil_conv_5x5": lambda c, stride, **bn: depthwise_separable(c, 5, stride, dilation=2, **bn),
    "conv_3x1_1x3": lambda c, stride, **bn: row_then_column(c, 3, stride, **bn),
    "conv_7x1_1x7": lambda c, stride, **bn: row_then_column(c, 7, stride, **bn),
    "nor_conv_1x1": lambda c, stride, **bn: ReluConvBn(c, c, 1, stride, **bn),
    "nor_conv_3x3": lambda c, stride, **bn: ReluConvBn(c, c, 3, stride, **bn),
    "nor_conv_7x7": lambda c, stride, **bn: ReluConvBn(c, c, 7, stride, **bn),
}
"""The operations that a space may name: builders of (channels, stride) and the options of batch normalisation."""


def _twice_separable(channels: int, kernel_size: int, stride: int, **normalisation: bool) -> nn.Sequential:
    return nn.Sequential(
        depthwise_separable(channels, kernel_size, stride, **normalisation),
        depthwise_separable(channels, kernel_size, **normalisation),
    )
