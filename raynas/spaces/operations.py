"""Operations: the candidates that are modules, and the fixed blocks between cells."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ReluConvBn(nn.Sequential):
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
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, affine=affine, track_running_stats=track_running_stats)

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``(batch, out_channels, height, width)``.

        Where nothing is trained the normalisation is a fixed scale and shift, and the convolution takes both along; the
        two layers are then not called themselves, and hooks on them see nothing.
        """
        bn: nn.BatchNorm2d = self.bn
        if bn.training or bn.running_mean is None or torch.is_grad_enabled():
            out: Tensor = bn(self.conv(torch.relu(x)))
            return out
        assert bn.running_var is not None
        scale = torch.rsqrt(bn.running_var + bn.eps)
        if bn.affine:
            scale = scale * bn.weight
        shift = -bn.running_mean * scale
        if bn.affine:
            shift = shift + bn.bias
        weight = self.conv.weight * scale[:, None, None, None]
        return F.conv2d(torch.relu(x), weight, shift, self.conv.stride, self.conv.padding)


class AvgPool3x3(nn.Module):
    """3 x 3 average pooling of stride 1 that keeps the size and leaves the padding out of the average."""

    def forward(self, x: Tensor) -> Tensor:
        """Returns the pooled input, ``(batch, channels, height, width)``."""
        if x.device.type != "cpu":
            return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        # On a CPU the pooling kernel is the slowest operation of a cell after the 3 x 3 convolution; the same sums as
        # a depthwise convolution take a third of its time (tests/performance/supernet_step.py).
        channels, height, width = x.shape[1:]
        ones = torch.ones((channels, 1, 3, 3), dtype=x.dtype)
        sums = F.conv2d(x, ones, padding=1, groups=channels)
        rows, columns = (_window_lengths(size, x.dtype) for size in (height, width))
        return sums * (1.0 / (rows[:, None] * columns))


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
