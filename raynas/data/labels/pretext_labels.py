"""Labels of pretext tasks, which say what was done to an image: the rivals of random labels without any labelling.

Of the tasks of UnNAS, rotation and jigsaw puzzles are here. Colourisation predicts a colour for every pixel, so it is
no classification of images.

Departs from the code of UnNAS: an image is seen in one of its forms at each visit, sampled uniformly, not in all of
them in one batch. The pieces of a puzzle are cut without gaps between them.

Reference: Liu et al. 2020 (UnNAS), "Are Labels Necessary for Neural Architecture Search?", section 3.2; Zhang et al.
2021 (RLNAS), Tables 4 and 12.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from raynas.data.hashing import Stream, hash_bits, uniform_integers
from raynas.data.labels import LabelMethod, LabelRequest

if TYPE_CHECKING:
    from torch import Tensor

QUARTERS = 4
"""Rotations: by 0, 90, 180 and 270 degrees."""

SIDE = 3
"""Pieces of a puzzle along each side."""

PUZZLES = 64
"""Permutations of the pieces of a puzzle."""


def sampled_form(request: LabelRequest) -> np.ndarray:
    """Returns which of its forms each image is seen in, (n,) int64, uniform and sampled anew every epoch."""
    bits = hash_bits(request.seed, Stream.PRETEXT, request.epoch, request.index)
    return uniform_integers(bits, request.num_categories)


def rotated(pixels: Tensor, labels: Tensor) -> Tensor:
    """Returns each image rotated anticlockwise by 90 degrees times its label, (b, side, side, 3)."""
    import torch

    changed = pixels.clone()
    for quarter in range(1, QUARTERS):
        chosen = (labels == quarter).nonzero()[:, 0]
        if len(chosen):
            changed[chosen] = torch.rot90(pixels[chosen], quarter, dims=(1, 2))
    return changed


@functools.cache
def permutations() -> np.ndarray:
    """Returns the order of the pieces of every puzzle, ``(PUZZLES, 9)``: the identity, and others far from each other.

    Each is the one, out of a thousand random ones, whose least Hamming distance to those before it is largest (Noroozi
    and Favaro 2016, "Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles", Algorithm 1).
    """
    rng = np.random.default_rng(0)
    number = SIDE * SIDE
    candidates = np.array([rng.permutation(number) for _ in range(1_000)])
    chosen = [np.arange(number)]
    least = np.full(len(candidates), number)
    while len(chosen) < PUZZLES:
        least = np.minimum(least, (candidates != chosen[-1]).sum(axis=1))
        chosen.append(candidates[int(least.argmax())])
    return np.stack(chosen)


def puzzled(pixels: Tensor, labels: Tensor) -> Tensor:
    """Returns each image with its 3 x 3 pieces in the order of its label, (b, height, width, 3).

    Rows and columns that are left over at the lower and right edge stay where they are.
    """
    import torch

    side = pixels.shape[1] // SIDE
    whole = side * SIDE
    pieces = pixels[:, :whole, :whole].reshape(len(pixels), SIDE, side, SIDE, side, 3).transpose(2, 3)
    pieces = pieces.reshape(len(pixels), SIDE * SIDE, side, side, 3)
    orders = torch.from_numpy(permutations()).to(labels.device)[labels]
    moved = pieces[torch.arange(len(pixels), device=labels.device)[:, None], orders]
    changed = pixels.clone()
    square = moved.reshape(len(pixels), SIDE, SIDE, side, side, 3).transpose(2, 3)
    changed[:, :whole, :whole] = square.reshape(len(pixels), whole, whole, 3)
    return changed


ROTATION = LabelMethod(
    "rotation",
    "by which of four angles an image is rotated",
    sampled_form,
    free_categories=True,
    each_epoch=True,
    categories=QUARTERS,
    change=rotated,
)
JIGSAW = LabelMethod(
    "jigsaw",
    "in which of 64 orders the 3 x 3 pieces of an image stand",
    sampled_form,
    free_categories=True,
    each_epoch=True,
    categories=PUZZLES,
    change=puzzled,
)
