r"""VKDNW: how evenly an untrained network's predictions depend on its layers, after the number of its layers.

    s(a) = L(a) - sum_k q_k * log q_k,        q_k = d_k / (d_1 + ... + d_9)

L(a) is the number of convolutions and linear layers that the logits depend on. d_1 ... d_9 are the deciles of the
eigenvalues of the Fisher information of the first weight of each of these layers:

    F = mean_i  J_i^T ( diag(p_i) - p_i p_i^T ) J_i

J_i are the derivatives of the logits of image i by these weights, ``(classes, L)``, and p_i its predicted
probabilities. Weights are normal with the variance 2 / (inputs of a unit) (He et al. 2015).

Reference: Tybl and Neumann 2025, "Training-free Neural Architecture Search through Variance of Knowledge of Deep
Network Weights", CVPR, and its code: the weights that represent a layer, their initialisation, and normalisations with
the statistics that they begin with, mean 0 and variance 1.

Departs from the code: p is the softmax alone, where the code mixes in 5 percent of a uniform distribution. Its
covariance is taken as it is, where the code multiplies by a Cholesky factor. Normalisations have no weights of their
own here, and return their input. Images are those of the run. A network without a path has the fewest layers, and a
spectrum of zeros has the entropy 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.fitness.probe import WEIGHTED, Call, Probe
from raynas.fitness.row import FitnessRow, ScoreOptions


def vkdnw(probe: Probe, options: ScoreOptions) -> float:
    """Returns the number of layers plus the entropy of the deciles of their Fisher information."""
    logits, calls = probe.unnormalised().logits_and_calls(WEIGHTED)
    jacobian = _jacobian(logits, calls)
    return jacobian.shape[2] + decile_entropy(fisher_information(jacobian, logits.detach()))


def _jacobian(logits: Tensor, calls: Sequence[Call]) -> Tensor:
    """Returns the derivatives of each image's logits by the first weight of each layer, ``(n, classes, layers)``."""
    outputs = [call.out for call in calls]
    factors = [_derivative(call) for call in calls]
    rows = []
    for of_class in logits.sum(dim=0).unbind():
        gradients = torch.autograd.grad(of_class, outputs, retain_graph=True, allow_unused=True)
        of_layers: dict[int, Tensor] = {}
        for call, gradient, factor in zip(calls, gradients, factors, strict=True):
            if gradient is not None:
                product = (gradient[:, :1].flatten(1) * factor).sum(dim=1)
                of_layers[id(call.layer)] = of_layers.get(id(call.layer), torch.zeros_like(product)) + product
        rows.append(torch.stack(list(of_layers.values()), dim=1))
    return torch.stack(rows, dim=1).detach().double()


@torch.no_grad()
def _derivative(call: Call) -> Tensor:
    """Returns the derivatives of the first channel of a layer's output by its first weight, ``(n, positions)``."""
    if not isinstance(call.layer, nn.Conv2d):
        return call.x[:, :1]
    only = torch.zeros_like(call.layer.weight[:1, :1])
    only[0, 0, 0, 0] = 1.0
    layer = call.layer
    return F.conv2d(call.x[:, :1], only, None, layer.stride, layer.padding, layer.dilation).flatten(1)


def fisher_information(jacobian: Tensor, logits: Tensor) -> Tensor:
    """Returns the Fisher information, ``(weights, weights)`` float64, of derivatives ``(n, classes, weights)``."""
    probabilities = logits.double().softmax(dim=1)
    mean = torch.einsum("nk,nkw->nw", probabilities, jacobian)
    second = torch.einsum("nk,nkv,nkw->vw", probabilities, jacobian, jacobian)
    return (second - mean.T @ mean) / len(jacobian)


def decile_entropy(matrix: Tensor) -> float:
    """Returns the entropy, in nats, of the deciles of the eigenvalues of a symmetric matrix as shares of their sum."""
    eigenvalues = torch.linalg.eigvalsh(matrix.cpu()).clamp_min(0.0)
    deciles = torch.quantile(eigenvalues, torch.arange(1, 10, dtype=torch.float64) / 10)
    if deciles.sum() == 0:
        return 0.0
    shares = deciles / deciles.sum()
    return -float(torch.xlogy(shares, shares).sum())


VKDNW = FitnessRow(name="vkdnw", title="VKDNW", digits=3, options=ScoreOptions, score=vkdnw)
