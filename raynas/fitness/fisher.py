r"""Fisher: how much the loss of an untrained network changes when channels are removed.

    s(a) = sum_l sum_k m_l * 1 / (2 n) * sum_i ( sum_p z_lkp(i) * dL/dz_lkp(i) )^2

z_lkp(i) is the output of layer l in channel k at position p for image i of n. L is the mean cross-entropy of the batch.
m_l is the number of weights of a channel of the layer. Layers are convolutions and linear layers.

Reference: Theis, Korshunova, Tejani, Huszar 2018, "Faster gaze prediction with dense networks and Fisher pruning",
arXiv 1801.05787; Turner, Crowley, O'Boyle, Storkey, Gray 2020, "BlockSwap", ICLR. The form is that of the code of
Abdelfattah et al. 2021, "Zero-Cost Proxies for Lightweight NAS", ICLR: every weight has the value of its channel.

A layer that no path reaches adds nothing, so that a network without a path has the lowest score.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from raynas.fitness.probe import WEIGHTED, Probe
from raynas.fitness.row import FitnessRow, ScoreOptions


def fisher(probe: Probe, options: ScoreOptions) -> float:
    """Returns the sum over all weights of the Fisher information of their channel."""
    logits, calls = probe.logits_and_calls(WEIGHTED)
    loss = F.cross_entropy(logits, probe.labels)
    gradients = torch.autograd.grad(loss, [call.out for call in calls], allow_unused=True)
    total = 0.0
    for call, gradient in zip(calls, gradients, strict=True):
        if gradient is not None:
            weights = call.layer.weight[0].numel()  # type: ignore[index]
            total += weights * _of_channels(call.out.detach(), gradient).sum().item()
    return total


def _of_channels(out: Tensor, gradient: Tensor) -> Tensor:
    """Returns the Fisher information of each channel, ``(channels,)`` float64."""
    products = (out.double() * gradient.double()).flatten(2).sum(dim=2) if out.dim() > 2 else (out * gradient).double()
    return products.square().mean(dim=0) / 2


FISHER = FitnessRow(name="fisher", title="Fisher", digits=3, options=ScoreOptions, score=fisher)
