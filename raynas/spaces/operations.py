"""Operations: the candidates that are modules, and the fixed blocks between cells."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.supernet.folding import FoldableSequence

FEW_CHANNELS = 4
"""Channels up to which oneDNN overwrites memory in second derivatives of strided 1 x 1 convolutions (torch 2.15)."""


class SubsampledConv2d(nn.Conv2d):
    """A 1 x 1 convolution with a stride that takes every second pixel first, and then convolves without a stride.

    The values are those of a convolution with the stride. Its second derivatives are safe for few channels.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``(batch, out_channels, height / stride, width / stride)``."""
        rows, columns = self.stride
        return F.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias)


def convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Conv2d:
    """Returns a convolution without a bias, padded so that stride 1 keeps the size."""
    few = kernel_size == 1 and stride > 1 and in_channels <= FEW_CHANNELS
    kind = SubsampledConv2d if few else nn.Conv2d
    return kind(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)


class ReluConvBn(FoldableSequence):
    """ReLU, convolution, batch normalisation, padded so that stride 1 keeps the size."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        """Builds the three layers. The convolution has no bias: the normalisation after it would cancel it."""
        super().__init__()
        self.relu = nn.ReLU()
        self.conv = convolution(in_channels, out_channels, kernel_size, stride)
        self.bn = nn.BatchNorm2d(out_channels, affine=affine, track_running_stats=track_running_stats)


class ReluTwoConvBn(FoldableSequence):
    """ReLU, two convolutions with nothing between them, batch normalisation."""

    def __init__(
        self, first: nn.Conv2d, second: nn.Conv2d, *, affine: bool = True, track_running_stats: bool = True
    ) -> None:
        """Takes the convolutions, which have no bias."""
        super().__init__()
        self.relu = nn.ReLU()
        self.first = first
        self.second = second
        self.bn = nn.BatchNorm2d(second.out_channels, affine=affine, track_running_stats=track_running_stats)


def depthwise_separable(
    channels: int, kernel_size: int, stride: int = 1, dilation: int = 1, **normalisation: bool
) -> ReluTwoConvBn:
    """Returns ReLU, a convolution of each channel by itself, a 1 x 1 convolution, batch normalisation."""
    padding = dilation * (kernel_size // 2)
    return ReluTwoConvBn(
        nn.Conv2d(channels, channels, kernel_size, stride, padding, dilation, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        **normalisation,
    )


def row_then_column(
    channels: int, length: int, stride: int = 1, groups: int = 1, **normalisation: bool
) -> ReluTwoConvBn:
    """Returns ReLU, a convolution of 1 x `length`, one of `length` x 1, batch normalisation."""
    pad = length // 2
    return ReluTwoConvBn(
        nn.Conv2d(channels, channels, (1, length), (1, stride), (0, pad), groups=groups, bias=False),
        nn.Conv2d(channels, channels, (length, 1), (stride, 1), (pad, 0), groups=groups, bias=False),
        **normalisation,
    )


class FactorizedReduce(nn.Module):
    """The skip connection of stride 2: two 1 x 1 convolutions, one of the even pixels and one of the odd ones.

    An odd size is continued with zeros and rounded up, as the other operations of stride 2 do; DARTS' code takes even
    sizes only.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, affine: bool = True, track_running_stats: bool = True
    ) -> None:
        """Builds ReLU, the two convolutions, each of half of the outputs, and batch normalisation."""
        super().__init__()
        half = out_channels // 2
        self.relu = nn.ReLU()
        self.conv_1 = convolution(in_channels, half, 1, 2)
        self.conv_2 = convolution(in_channels, out_channels - half, 1, 2)
        self.bn = nn.BatchNorm2d(out_channels, affine=affine, track_running_stats=track_running_stats)

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``(batch, out_channels, height / 2, width / 2)``."""
        x = self.relu(x)
        odd_height, odd_width = x.shape[2] % 2, x.shape[3] % 2
        even = F.pad(x, (0, odd_width, 0, odd_height)) if odd_height or odd_width else x
        out: Tensor = self.bn(torch.cat([self.conv_1(x), self.conv_2(even[:, :, 1:, 1:])], dim=1))
        return out


class AvgPool3x3(nn.Module):
    """3 x 3 average pooling, padded so that stride 1 keeps the size, with the padding left out of the average."""

    def __init__(self, stride: int = 1) -> None:
        """Takes the stride; a size that it does not divide is rounded up."""
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Returns the pooled input, ``(batch, channels, height / stride, width / stride)``."""
        if x.device.type != "cpu":
            return F.avg_pool2d(x, 3, stride=self.stride, padding=1, count_include_pad=False)
        # On a CPU the pooling kernel is the slowest operation of a cell after the 3 x 3 convolution; the same sums as
        # a depthwise convolution take a third of its time (tests/performance/supernet_step.py).
        rows, columns = (_window_lengths(size, x.dtype)[:: self.stride] for size in x.shape[2:])
        sums = _WindowSums.apply(x) if self.stride == 1 else _window_sums(x, self.stride)
        return sums * (1.0 / (rows[:, None] * columns))


def _window_sums(x: Tensor, stride: int = 1) -> Tensor:
    """Returns the sum over the 3 x 3 pixels around each, channel by channel."""
    channels = x.shape[1]
    ones = torch.ones((channels, 1, 3, 3), dtype=x.dtype)
    return F.conv2d(x, ones, stride=stride, padding=1, groups=channels)


class _WindowSums(torch.autograd.Function):
    """The same at stride 1: a symmetric linear map, so that it is its own derivative, of any order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _window_sums(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _WindowSums.apply(gradient)  # type: ignore[no-any-return]


def _window_lengths(size: int, dtype: torch.dtype) -> Tensor:
    """Returns how many pixels a window of three holds at each position of a line, ``(size,)``."""
    position = torch.arange(size)
    return ((position + 1).clamp(max=size - 1) - (position - 1).clamp(min=0) + 1).to(dtype)


class ResNetReduction(nn.Module):
    """The fixed residual block between the stages of NAS-Bench-201: twice the channels, half the size.

    Reference: Dong and Yang 2020 (NAS-Bench-201), section 2.1.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        """Builds two ReLU-conv-BN layers and the pooled 1 x 1 shortcut."""
        super().__init__()
        self.conv_a = ReluConvBn(in_channels, out_channels, 3, stride=2)
        self.conv_b = ReluConvBn(out_channels, out_channels, 3)
        pool = nn.AvgPool2d(2, stride=2, ceil_mode=True)  # an odd size is rounded up, as the convolutions do
        self.downsample = nn.Sequential(pool, nn.Conv2d(in_channels, out_channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``(batch, out_channels, height / 2, width / 2)``."""
        out: Tensor = self.downsample(x) + self.conv_b(self.conv_a(x))
        return out


class ConvBn(FoldableSequence):
    """Convolution and batch normalisation, padded so that stride 1 keeps the size."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        """Builds both layers. The convolution has no bias: the normalisation after it would cancel it."""
        super().__init__()
        padding = kernel_size // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)


class ConvBnRelu6(ConvBn):
    """Convolution, batch normalisation, and ReLU6: min(max(x, 0), 6)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        """Builds the three layers."""
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, groups=groups)
        self.relu = nn.ReLU6(inplace=True)


class MBConv(nn.Module):
    """The block of MobileNetV2: widened by a factor, convolved depthwise, narrowed again, added to its input.

    The last convolution has no activation after it. Where the block changes the shape its input is not added.

    Reference: Sandler et al. 2018 (MobileNetV2), section 3.3.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, expansion: int, stride: int = 1) -> None:
        """Builds three convolutions, or, where the expansion is 1, the last two."""
        super().__init__()
        hidden = in_channels * expansion
        self.expand = ConvBnRelu6(in_channels, hidden, 1) if expansion > 1 else None
        self.depthwise = ConvBnRelu6(hidden, hidden, kernel_size, stride=stride, groups=hidden)
        self.project = ConvBn(hidden, out_channels, 1)
        self._residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``(batch, out_channels, height / stride, width / stride)``."""
        out: Tensor = x if self.expand is None else self.expand(x)
        out = self.project(self.depthwise(out))
        return x + out if self._residual else out
