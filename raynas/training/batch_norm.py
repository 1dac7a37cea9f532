"""Statistics of batch normalisation, measured anew."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def measure_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Measures all statistics of a network anew, in place: the mean over batches, every batch with the same weight.

    The network is left in evaluation mode; nothing else than normalisations is ever in training mode.

    Args:
        network: The network, on the device of the batches.
        batches: Inputs, ``(batch, channels, height, width)``.
    """
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    for number, images in enumerate(batches, start=1):
        for norm in norms:
            norm.momentum = 1.0 / number
        network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
