"""Networks with the weights that they begin with, on one batch: what scores at initialisation are taken from.

No image is seen twice and nothing is trained. Batch normalisation normalises by the statistics of the batch. The
weights are those of an untrained supernet, so that all architectures share them: the score of an architecture is a
function of the seed, of the batch and of the architecture alone.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.data import FixedImages
from raynas.errors import RunError
from raynas.fitness.row import FITNESS, FitnessRow
from raynas.search_space import Architecture
from raynas.supernet.gates import single_path

RELUS = (nn.ReLU, nn.ReLU6)
"""The layers whose inputs `Probe.logits_and_activations` returns."""


@dataclass(frozen=True)
class Probe:
    """A network with initial weights, and a batch.

    Attributes:
        supernet: The supernet that it is a path of, in training mode.
        architecture: Its architecture.
        images: ``(batch, 3, height, width)``.
        labels: ``(batch,)``.
        linear_supernet: Returns the supernet of `linear_supernet`, made once for all architectures.
    """

    supernet: nn.Module
    architecture: Architecture
    images: Tensor
    labels: Tensor
    linear_supernet: Callable[[], nn.Module]

    def linear(self) -> Probe:
        """Returns the network with the absolute values of its weights and without normalisation, on an image of ones.

        Its batch is that one image, in float64, with the first label.
        """
        ones = torch.ones_like(self.images[:1], dtype=torch.float64)
        return Probe(self.linear_supernet(), self.architecture, ones, self.labels[:1], self.linear_supernet)

    def logits(self, images: Tensor | None = None) -> Tensor:
        """Returns the logits of some images, ``(batch, classes)``; by default of the batch."""
        logits: Tensor = self.supernet(self.images if images is None else images, single_path(self.architecture))
        return logits

    def logits_and_activations(self) -> tuple[Tensor, list[Tensor]]:
        """Returns the logits of the batch, and the input of every ReLU on the path, in the order of the calls."""
        inputs: list[Tensor] = []

        def keep(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            inputs.append(arguments[0].clone() if getattr(layer, "inplace", False) else arguments[0])

        relus = [module for module in self.supernet.modules() if isinstance(module, RELUS)]
        handles = [relu.register_forward_pre_hook(keep) for relu in relus]
        try:
            return self.logits(), inputs
        finally:
            for handle in handles:
                handle.remove()

    def loss(self) -> Tensor:
        """Returns the mean cross-entropy of the batch in nats, ``()``."""
        return F.cross_entropy(self.logits(), self.labels)

    def gradients(self, value: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Returns each weight on the path with the derivative of a value by it.

        Weights are those of convolutions and linear layers, without biases and without those of normalisations, as the
        published code of such scores counts (Abdelfattah et al. 2021).
        """
        weights = _weights(self.supernet)
        gradients = torch.autograd.grad(value, weights, allow_unused=True)
        return [(w.detach(), g) for w, g in zip(weights, gradients, strict=True) if g is not None]


def _weights(supernet: nn.Module) -> list[Tensor]:
    layers = (nn.Conv2d, nn.Linear)
    return [module.weight for module in supernet.modules() if isinstance(module, layers)]


def linear_supernet(supernet: nn.Module) -> nn.Module:
    """Returns a copy in float64 whose weights are their absolute values and whose normalisations return their input.

    A ReLU6 becomes a ReLU: without normalisation nearly all inputs are beyond its bound, where nothing flows.
    """
    copied = copy.deepcopy(supernet).double()
    for weight in _weights(copied):
        weight.data.abs_()
    for module in copied.modules():
        if isinstance(module, nn.BatchNorm2d):
            vars(module)["forward"] = _unchanged
        elif isinstance(module, nn.ReLU6):
            vars(module)["forward"] = F.relu
    return copied


def _unchanged(x: Tensor) -> Tensor:
    return x


class WithInitialWeights:
    """A score at initialisation as a fitness, with the weights of one supernet."""

    quantities: tuple[str, ...] = (FITNESS,)

    def __init__(self, supernet: nn.Module, images: FixedImages, row: FitnessRow, options: Any = None) -> None:
        """Takes over the supernet.

        Args:
            supernet: Initial weights, on the device to compute on.
            images: The batch.
            row: What is taken from each network.
            options: Those of the row.
        """
        assert row.score is not None
        self._supernet = supernet.train().requires_grad_(True)
        device = next(supernet.parameters()).device
        ((self._images, self._labels),) = images.batches(len(images), device)
        self._score, self._title, self._options = row.score, row.title, options

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the score of each architecture, ``(n, 1)`` float64.

        Raises:
            RunError: If a score is no finite number.
        """
        scores = [self._of(architecture) for architecture in architectures]
        return np.array(scores, dtype=np.float64).reshape(-1, 1)

    @functools.cached_property
    def _linear(self) -> nn.Module:
        return linear_supernet(self._supernet)

    def _of(self, architecture: Architecture) -> float:
        probe = Probe(self._supernet, architecture, self._images, self._labels, lambda: self._linear)
        score = self._score(probe, self._options)
        if not math.isfinite(score):
            raise RunError(
                f"the {self._title} of {tuple(architecture)} is {score}; give another fitness or other images"
            )
        return score
