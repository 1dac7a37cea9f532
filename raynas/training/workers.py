"""What several workers that train one supernet share: batches, and sums. The default is one worker alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Batches(Protocol):
    """Training batches that are a pure function of the epoch, split over ranks."""

    steps_per_epoch: int

    def epoch(self, epoch: int, first_step: int = 0, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields this rank's part of every batch: images ``(b, 3, height, width)`` and labels ``(b,)``."""


def alone(tensor: Tensor) -> None:
    """Leaves the tensor: the sum over one worker."""


@dataclass(frozen=True)
class Workers:
    """The workers that train together: how many, which one this is, and how they add up a tensor in place."""

    rank: int = 0
    world: int = 1
    add_up: Callable[[Tensor], None] = alone

    def summed(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Returns the sum over the workers of each tensor, exchanged as one flat tensor."""
        if self.world == 1 or not tensors:
            return list(tensors)
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.add_up(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]


ALONE = Workers()
"""One worker, which shares nothing."""
