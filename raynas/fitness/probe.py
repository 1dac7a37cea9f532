"""Networks with the weights that they begin with, on one batch: what scores at initialisation are taken from.

No image is seen twice and nothing is trained, but for `short_training`, which trains a copy. Batch normalisation
normalises by the statistics of the batch. The weights are those of an untrained supernet, so that all architectures
share them: the score of an architecture is a function of the seed, of the batch and of the architecture alone.
"""

from __future__ import annotations

import copy
import functools
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.data import FixedImages
from raynas.errors import RunError
from raynas.fitness.row import FITNESS, FitnessRow
from raynas.search_space import Architecture
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.gates import single_path

RELUS = (nn.ReLU, nn.ReLU6)
"""The layers whose inputs `Probe.logits_and_activations` returns."""

WEIGHTED = (nn.Conv2d, nn.Linear)
"""The layers whose weights `Probe.gradients` returns."""

SMALLEST = 1e-300
"""What a logarithm is taken of instead of zero."""


@dataclass(frozen=True)
class Call:
    """A layer that a forward pass ran.

    Attributes:
        layer: The layer.
        x: Its input.
        out: Its output.
    """

    layer: nn.Module
    x: Tensor
    out: Tensor


class Copies:
    """What some scores need besides a supernet, made once for all architectures."""

    def __init__(self, supernet: nn.Module, images: Tensor) -> None:
        """Takes the supernet, and a batch whose shape noise has."""
        self._supernet, self._shape = supernet, images.shape

    @functools.cached_property
    def linear(self) -> nn.Module:
        """The supernet of `linear_supernet`."""
        return linear_supernet(self._supernet)

    @functools.cached_property
    def gaussian(self) -> nn.Module:
        """The supernet of `gaussian_supernet`."""
        return gaussian_supernet(self._supernet)

    @functools.cached_property
    def unnormalised(self) -> nn.Module:
        """The Gaussian supernet with a variance of 2 / (inputs of a unit), whose normalisations return their input."""
        copied = gaussian_supernet(self._supernet)
        for layer in copied.modules():
            if isinstance(layer, WEIGHTED):
                layer.weight.data *= math.sqrt(2 / layer.weight[0].numel())
            elif isinstance(layer, nn.BatchNorm2d):
                vars(layer)["forward"] = _unchanged
        return copied

    @functools.cached_property
    def noise(self) -> Tensor:
        """Two batches of standard normal images, ``(2, batch, 3, height, width)``."""
        noise = torch.randn(2, *self._shape, generator=generator_of(self._supernet))
        return noise.to(_weights(self._supernet)[0].device)


@dataclass(frozen=True)
class Probe:
    """A network with initial weights, and a batch.

    Attributes:
        supernet: The supernet that it is a path of, in training mode.
        architecture: Its architecture.
        images: ``(batch, 3, height, width)``.
        labels: ``(batch,)``.
        copies: Further weights and images.
    """

    supernet: nn.Module
    architecture: Architecture
    images: Tensor
    labels: Tensor
    copies: Copies

    def linear(self) -> Probe:
        """Returns the network with the absolute values of its weights and without normalisation, on an image of ones.

        Its batch is that one image, in float64, with the first label.
        """
        ones = torch.ones_like(self.images[:1], dtype=torch.float64)
        return replace(self, supernet=self.copies.linear, images=ones, labels=self.labels[:1])

    def gaussian(self) -> Probe:
        """Returns the network with standard normal weights, on a batch of standard normal images."""
        return replace(self, supernet=self.copies.gaussian, images=self.copies.noise[0])

    def unnormalised(self) -> Probe:
        """Returns the network with normal weights of a variance of 2 / (inputs of a unit), without normalisation."""
        return replace(self, supernet=self.copies.unnormalised)

    def logits(self, images: Tensor | None = None) -> Tensor:
        """Returns the logits of some images, ``(batch, classes)``; by default of the batch."""
        logits: Tensor = self.supernet(self.images if images is None else images, single_path(self.architecture))
        return logits

    def logits_and_activations(self) -> tuple[Tensor, list[Tensor]]:
        """Returns the logits of the batch, and the input of every ReLU on the path, in the order of the calls."""
        logits, calls = self.logits_and_calls(RELUS)
        return logits, [call.x for call in calls]

    def logits_and_calls(self, kinds: tuple[type[nn.Module], ...]) -> tuple[Tensor, list[Call]]:
        """Returns the logits of the batch, and the layers of some kinds on the path, in the order of the calls."""
        return self._listening([module for module in self.supernet.modules() if isinstance(module, kinds)])

    def logits_and_layers(self) -> tuple[Tensor, list[Call]]:
        """Returns the logits of the batch, and all modules on the path that have none inside, in the order of calls."""
        return self._listening([module for module in self.supernet.modules() if _is_layer(module)])

    def logits_and_modules(self) -> tuple[Tensor, list[Call]]:
        """Returns the logits of the batch, and all modules in the network, in the order in which they end."""
        return self._listening([module for module in self.supernet.modules() if module is not self.supernet])

    def parts(self) -> list[Tensor]:
        """Returns the feature maps behind the parts of the network, ``(batch, channels, height, width)`` each.

        A part is a module of the network, or of a list in it, that has modules inside and returns feature maps: stem,
        cells, reductions, blocks. A block that a chain skips is no part.
        """
        modules: list[nn.Module] = []
        for child in self.supernet.children():
            modules += child if isinstance(child, nn.ModuleList) else [child]
        _, calls = self._listening([module for module in modules if not _is_layer(module)])
        is_chain = isinstance(self.supernet, ChainNetwork)
        return [call.out for call in calls if call.out.dim() == 4 and not (is_chain and call.out is call.x)]

    def _listening(self, modules: Sequence[nn.Module]) -> tuple[Tensor, list[Call]]:
        """Returns the logits of the batch, and the calls of some modules."""
        calls: list[Call] = []
        inputs: list[Tensor] = []

        def before(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
            inputs.append(arguments[0].clone() if getattr(layer, "inplace", False) else arguments[0])

        def after(layer: nn.Module, arguments: tuple[Any, ...], out: Tensor) -> None:
            calls.append(Call(layer, inputs.pop(), out))

        handles = [module.register_forward_pre_hook(before) for module in modules]
        handles += [module.register_forward_hook(after) for module in modules]
        try:
            return self.logits(), calls
        finally:
            for handle in handles:
                handle.remove()

    def loss(self) -> Tensor:
        """Returns the mean cross-entropy of the batch in nats, ``()``."""
        return F.cross_entropy(self.logits(), self.labels)

    def gradients(self, value: Tensor, create_graph: bool = False) -> list[tuple[Tensor, Tensor]]:
        """Returns each weight on the path with the derivative of a value by it.

        Weights are those of convolutions and linear layers, without biases and without those of normalisations, as the
        published code of such scores counts (Abdelfattah et al. 2021). With `create_graph` derivatives of the
        derivatives can be taken.
        """
        weights = _weights(self.supernet)
        gradients = torch.autograd.grad(value, weights, allow_unused=True, create_graph=create_graph)
        return [(w.detach(), g) for w, g in zip(weights, gradients, strict=True) if g is not None]


def _weights(supernet: nn.Module) -> list[Tensor]:
    return [module.weight for module in supernet.modules() if isinstance(module, WEIGHTED)]


def _is_layer(module: nn.Module) -> bool:
    """Returns whether a module has none inside."""
    return next(module.children(), None) is None


def generator_of(supernet: nn.Module) -> torch.Generator:
    """Returns a generator of random numbers on the CPU, whose seed is a checksum of the first weights."""
    weights = _weights(supernet)[0].detach().cpu().numpy()
    return torch.Generator().manual_seed(zlib.crc32(weights.tobytes()))


def gaussian_supernet(supernet: nn.Module) -> nn.Module:
    """Returns a copy whose weights are independent standard normal numbers, and whose biases are zeros."""
    copied = copy.deepcopy(supernet)
    generator = generator_of(supernet)
    for layer in copied.modules():
        if isinstance(layer, WEIGHTED):
            layer.weight.data.copy_(torch.randn(layer.weight.shape, generator=generator))
            if layer.bias is not None:
                layer.bias.data.zero_()
    return copied


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
        self._copies = Copies(supernet, self._images)
        self._score, self._title, self._options = row.score, row.title, options

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the score of each architecture, ``(n, 1)`` float64.

        Raises:
            RunError: If a score is no finite number.
        """
        scores = [self._of(architecture) for architecture in architectures]
        return np.array(scores, dtype=np.float64).reshape(-1, 1)

    def _of(self, architecture: Architecture) -> float:
        probe = Probe(self._supernet, architecture, self._images, self._labels, self._copies)
        score = self._score(probe, self._options)
        if not math.isfinite(score):
            raise RunError(
                f"the {self._title} of {tuple(architecture)} is {score}; give another fitness or other images"
            )
        return score
