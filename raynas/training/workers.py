"""What several workers that train one module share: batches, and sums. The default is one worker alone."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Batches(Protocol):
    """Training batches that are a pure function of the epoch, split over ranks."""

    steps_per_epoch: int

    def epoch(self, epoch: int, first_step: int = 0, rank: int = 0, world: int = 1) -> Iterator[Any]:
        """Yields this rank's part of every batch, such as images ``(b, 3, height, width)`` and labels ``(b,)``."""


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

    def agree(self, content: str, device: torch.device) -> bool:
        """Returns whether all workers hold the same text.

        With h a worker's digest, all h are equal exactly when world * sum h^2 = (sum h)^2 (Cauchy and Schwarz).

        Args:
            content: The text of this worker.
            device: Where workers exchange numbers.
        """
        if self.world == 1:
            return True
        digest = zlib.crc32(content.encode()) % 2**20
        sums = torch.tensor([digest, digest**2], dtype=torch.float64, device=device)
        self.add_up(sums)
        return bool(sums[1] * self.world == sums[0] ** 2)


ALONE = Workers()
"""One worker, which shares nothing."""


def add_up_gradients(parameters: Iterable[nn.Parameter], workers: Workers) -> None:
    """Adds up the gradients over the workers, in place, as one flat tensor.

    Parameters without a gradient are left out of the exchange. So every worker must have gradients of the same
    parameters. Workers of a supernet train the same path: for five candidates per choice they exchange about a fifth of
    the bytes.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if workers.world > 1:
        for gradient, total in zip(gradients, workers.summed(gradients), strict=True):
            gradient.copy_(total)


def average_buffers(module: nn.Module, workers: Workers) -> None:
    """Averages running statistics over the workers, in place."""
    for name, mean in mean_buffers(module, workers).items():
        module.get_buffer(name).copy_(mean)


def mean_buffers(module: nn.Module, workers: Workers) -> dict[str, Tensor]:
    """Returns the mean over the workers of every running statistic, so that a checkpoint is not one worker's view.

    With one worker there is nothing to average, and the result is empty.
    """
    if workers.world == 1:
        return {}
    means = workers.summed([buffer.detach().clone() for buffer in _statistics(module).values()])
    return {name: total / workers.world for name, total in zip(_statistics(module), means, strict=True)}


def gathered_buffers(module: nn.Module, workers: Workers) -> dict[str, Tensor]:
    """Returns every running statistic of each worker, ``(workers, ...)``; empty with one worker.

    Each worker measures its own images. Where training goes on with as many workers, each takes up its own again, so
    that a checkpoint changes nothing of what follows.
    """
    if workers.world == 1:
        return {}
    rows = []
    for buffer in _statistics(module).values():
        row = torch.zeros((workers.world, *buffer.shape), dtype=buffer.dtype, device=buffer.device)
        row[workers.rank] = buffer
        rows.append(row)
    return dict(zip(_statistics(module), workers.summed(rows), strict=True))


def take_up_buffers(module: nn.Module, gathered: Mapping[str, Tensor], workers: Workers) -> None:
    """Gives a worker its own running statistics of what `gathered_buffers` returned, for as many workers."""
    for name, rows in gathered.items():
        if len(rows) == workers.world:
            module.get_buffer(name).copy_(rows[workers.rank])


def _statistics(module: nn.Module) -> dict[str, Tensor]:
    """Returns the running statistics of a module by name."""
    return {name: buffer for name, buffer in module.named_buffers() if buffer.is_floating_point()}
