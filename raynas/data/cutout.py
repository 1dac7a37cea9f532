"""Cutout: a blank square in every image, at another place in every epoch.

The centre is uniform over the image, so a square can extend over the border, where it is cut off. Blank pixels are 0
after normalisation, which is the mean of the data set.

Reference: DeVries and Taylor 2017, "Improved Regularization of Convolutional Neural Networks with Cutout".
"""

import numpy as np
import torch
from torch import Tensor

from raynas.data.hashing import Stream, hash_bits, uniform_integers


def draw_holes(side: int, resolution: int, seed: int, epoch: int, index: np.ndarray) -> np.ndarray:
    """Returns the places of the blank squares of an epoch, (n, 4) int64.

    Holes at a border have different heights and widths, but at least half of the side. Four squares of half the side,
    one in each corner, therefore cover the hole. The result has their top left pixels, counted row by row.

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
    """Sets the pixels of the holes to 0, in place.

    Args:
        images: (b, 3, height, width) in channels-last memory.
        holes: (b, 4) as `draw_holes` returns them.
        side: of the square.
    """
    num_images, channels, height, width = images.shape
    half, pixels = _half(side), height * width
    # Window k is the square with the top left pixel k. Windows overlap, which is harmless for a constant value.
    last = num_images * pixels - (half - 1) * (width + 1)
    strides = (channels * width, channels, 1)
    windows = images.permute(0, 2, 3, 1).as_strided((half, max(last, 0), channels * half), strides)
    first = torch.arange(0, num_images * pixels, pixels, device=holes.device)
    windows.index_fill_(1, (holes + first[:, None]).view(-1), 0.0)


def _half(side: int) -> int:
    return side - side // 2
