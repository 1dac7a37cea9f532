"""Cutout: a square of every image is blanked, in another place every epoch.

The centre is uniform over the image, so that a square may stick out over the border and what lies outside is cut off.
Blank is 0 after normalising, where the mean of the data set is.

Reference: DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout".
"""

import numpy as np
import torch
from torch import Tensor

from raynas.data.hashing import Stream, hash_bits, uniform_integers


def draw_holes(side: int, resolution: int, seed: int, epoch: int, index: np.ndarray) -> np.ndarray:
    """Returns where an epoch blanks each image, (n, 4) int64.

    Holes are cut off to different heights and widths, but to no less than half of the side: four squares of half the
    side, each in a corner of the hole, cover all of it. Their top left pixels, counted row after row, are returned.

    Args:
        side: of the square, at most ``resolution``; an even one reaches a pixel further up and left of its centre.
        resolution: height and width of an image.
        seed: the run's seed.
        epoch: the epoch.
        index: (n,) the images' positions in their data set.
    """
    corners = []
    for stream in (Stream.HOLE_ROW, Stream.HOLE_COLUMN):
        begin = uniform_integers(hash_bits(seed, stream, epoch, index), resolution) - side // 2
        end = np.minimum(begin + side, resolution)
        corners.append(np.stack([np.maximum(begin, 0), end - _half(side)], axis=1))
    rows, columns = corners
    holes: np.ndarray = rows[:, :, None] * resolution + columns[:, None, :]
    return holes.reshape(-1, 4)


def cut_out(images: Tensor, holes: Tensor, side: int) -> None:
    """Sets what the holes cover to 0, in place.

    Args:
        images: (b, 3, height, width) in channels-last memory.
        holes: (b, 4) as `draw_holes` returns them.
        side: of the square.
    """
    num_images, channels, height, width = images.shape
    half, pixels = _half(side), height * width
    # Window k is the square whose top left pixel is k: windows overlap, which filling with one value may ignore.
    last = num_images * pixels - (half - 1) * (width + 1)
    strides = (channels * width, channels, 1)
    windows = images.permute(0, 2, 3, 1).as_strided((half, max(last, 0), channels * half), strides)
    first = torch.arange(0, num_images * pixels, pixels, device=holes.device)
    windows.index_fill_(1, (holes + first[:, None]).view(-1), 0.0)


def _half(side: int) -> int:
    return side - side // 2
