"""Conversion of pixels to network inputs: per-channel normalisation in channels-last memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Normalisation:
    """Subtracts each channel's mean and divides by its deviation."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], resolution: int, device: torch.device) -> None:
        """Stores mean and deviation of red, green and blue (black 0, white 1), and the width of the images."""
        # One row of pixels, so that normalisation runs along memory. Multiply and add remain two roundings. A fused
        # operation rounds differently at the end of a vector register, so the last bit would depend on the batch size.
        scale = 1 / (255 * torch.tensor(std))
        shift = -torch.tensor(mean) / torch.tensor(std)
        self._scale = scale.repeat(resolution).to(device)
        self._shift = shift.repeat(resolution).to(device)

    def __call__(self, pixels: Tensor, lights: Tensor | None = None) -> Tensor:
        """Returns (b, 3, height, width) float32 in channels-last memory.

        Args:
            pixels: (b, height, width, 3) uint8.
            lights: (b, 3) offsets of red, green and blue before the normalisation (black 0, white 1).
        """
        rows = pixels.flatten(2).float()
        if lights is not None:
            rows.add_((255 * lights).repeat(1, pixels.shape[2]).unsqueeze(1)).clamp_(0, 255)
        return rows.mul_(self._scale).add_(self._shift).view(pixels.shape).permute(0, 3, 1, 2)
