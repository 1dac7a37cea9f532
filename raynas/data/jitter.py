"""Random colours: brightness, contrast and saturation of every image changed by factors, in a random order.

Each factor is uniform in [max(0, 1 - s), 1 + s] with s its strength, new in every epoch. Pixels stay whole numbers
after each change, as in torchvision's ColorJitter.

Reference: Howard 2013, "Some Improvements on Deep Convolutional Neural Network Based Image Classification".
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from raynas.data.hashing import Stream, hash_bits, uniform_integers

ORDERS = np.array(list(itertools.permutations(range(3))))
"""The orders of brightness (0), contrast (1) and saturation (2)."""

GREY = (0.2989, 0.587, 0.114)
"""Shares of red, green and blue in the grey of a pixel."""

_STREAMS = (Stream.BRIGHTNESS, Stream.CONTRAST, Stream.SATURATION)


def draw_colours(strengths: Sequence[float], seed: int, epoch: int, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the factors of an epoch, (n, 3) float32, and which of the three comes first, second, third, (n, 3) int64.

    Args:
        strengths: of brightness, contrast and saturation.
        seed: the run's seed.
        epoch: the epoch.
        index: (n,) the images' positions in their data set.
    """
    factors = []
    for strength, stream in zip(strengths, _STREAMS, strict=True):
        shares = (hash_bits(seed, stream, epoch, index) >> np.uint64(11)) / 2**53
        least = max(0.0, 1.0 - strength)
        factors.append(least + (1.0 + strength - least) * shares)
    orders = ORDERS[uniform_integers(hash_bits(seed, Stream.JITTER_ORDER, epoch, index), len(ORDERS))]
    return np.stack(factors, axis=1).astype(np.float32), orders


def jitter(pixels: Tensor, factors: Tensor, orders: Tensor) -> Tensor:
    """Returns the pixels of a batch with their colours changed, (b, height, width, 3) uint8.

    Args:
        pixels: (b, height, width, 3) uint8.
        factors: (b, 3) as `draw_colours` returns them.
        orders: (b, 3) as `draw_colours` returns them.
    """
    changed = pixels.clone()
    for turn in range(3):
        for number, change in enumerate(_CHANGES):
            chosen = (orders[:, turn] == number).nonzero()[:, 0]
            if len(chosen):
                change_by = factors[chosen, number, None, None, None]
                changed[chosen] = change(changed[chosen].float(), change_by).clamp_(0, 255).to(torch.uint8)
    return changed


def _brighten(pixels: Tensor, factors: Tensor) -> Tensor:
    return pixels * factors


def _contrast(pixels: Tensor, factors: Tensor) -> Tensor:
    """Returns the pixels moved away from the mean grey of their image, or towards it."""
    mean = _grey(pixels).mean(dim=(1, 2, 3), keepdim=True)
    return pixels * factors + mean * (1 - factors)


def _saturate(pixels: Tensor, factors: Tensor) -> Tensor:
    """Returns the pixels moved away from their own grey, or towards it."""
    return pixels * factors + _grey(pixels) * (1 - factors)


def _grey(pixels: Tensor) -> Tensor:
    """Returns the grey of each pixel as a whole number, (b, height, width, 1)."""
    red, green, blue = (pixels[..., colour, None] * share for colour, share in enumerate(GREY))
    return (red + green + blue).floor_()


_CHANGES: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (_brighten, _contrast, _saturate)
