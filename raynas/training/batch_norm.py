"""Statistics of batch normalisation measured anew: the mean over batches, every batch with the same weight.

With momentum 1 / i at batch i, the running statistics after n batches are the mean of the statistics of all n.

Reference: the code of SPOS (Guo et al. 2020), which measures them over an epoch after training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from raynas.training.workers import ALONE, Workers, average_buffers

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""The modules that have such statistics."""


def measure_statistics(norms: Sequence[nn.Module], run: Callable[[Tensor], object], batches: Iterable[Tensor]) -> None:
    """Measures the statistics of normalisations that a run touches, and leaves them in evaluation mode.

    Args:
        norms: Batch normalisations. Their former statistics have no weight, but must be finite.
        run: Runs the network on a batch.
        batches: The batches.
    """
    for norm in norms:
        norm.train()
    for number, images in enumerate(batches, start=1):
        for norm in norms:
            norm.momentum = 1.0 / number  # type: ignore[assignment]
        run(images)
    for norm in norms:
        norm.eval()


@torch.no_grad()
def estimate_batch_norm(network: nn.Module, batches: Iterable[Tensor], workers: Workers = ALONE) -> None:
    """Measures the statistics of a trained network anew, and leaves it in evaluation mode.

    Everything else is in evaluation mode meanwhile: nothing is dropped. Each worker runs its share of every batch, and
    the statistics are averaged over the workers.

    Args:
        network: The network.
        batches: Batches of images, such as one epoch.
        workers: Who measures together.
    """
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, BATCH_NORMS) and module.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
    measure_statistics(norms, network, batches)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    average_buffers(network, workers)
