"""The module that combines candidates, and drops their outputs at random."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.supernet.gates import Gate


class Zero(nn.Module):
    """The candidate without output. It is never called, since a block without another active candidate is not live."""


class ChoiceBlock(nn.Module):
    """The sum over the active candidates of weight x output.

    Candidates are stored under their names. The parameter names of a block with one candidate are therefore a subset of
    the names in the full block, and a derived network loads the weights of a supernet by name.

    Attributes:
        drop_path: Probability that the output of a candidate is dropped, sampled for each image and active candidate
            (drop-path: Larsson et al. 2017, "FractalNet", in the form of NASNet and DARTS). The other outputs are
            divided by the probability of keeping them. Drop-path applies in training mode only, and never to an
            ``nn.Identity``, so that a skip connection always passes. The random numbers come from torch's default
            generator of the device.
    """

    drop_path: float = 0.0

    def __init__(self, candidates: Mapping[str, nn.Module]) -> None:
        """Stores the candidates by name, in the order of their indices."""
        super().__init__()
        for name, module in candidates.items():
            self.add_module(name, module)
        self._names = tuple(candidates)

    @property
    def num_candidates(self) -> int:
        """Number of candidates of the block: all candidates in a supernet, one in a derived network."""
        return len(self._names)

    def candidate(self, k: int) -> nn.Module:
        """Returns candidate `k`."""
        return self._modules[self._names[k]]  # type: ignore[return-value]

    def is_live(self, gate: Gate) -> bool:
        """Returns whether the block has an output under `gate`."""
        return any(not isinstance(self.candidate(k), Zero) for k in gate.active)

    def forward(self, x: Tensor, gate: Gate) -> Tensor:
        """Returns sum_k gate.weights[k] * candidate_k(x) over the active candidates.

        Args:
            x: Input, ``(batch, channels, height, width)`` or another shape that the candidates accept.
            gate: The route; `is_live` must hold for it.
        """
        total: Tensor | None = None
        for position, k in enumerate(gate.active):
            module = self.candidate(k)
            if isinstance(module, Zero):
                continue
            out = module(x)
            if self.drop_path and self.training and not isinstance(module, nn.Identity):
                out = out * F.dropout(out.new_ones(len(out), *(1,) * (out.dim() - 1)), self.drop_path)
            if gate.weights is not None:
                weight = gate.weights[position]
                out = _straight_through(out, weight) if gate.hard else out * weight
            total = out if total is None else total + out
        assert total is not None, "a block that is not live was called"
        return total


def set_drop_path(supernet: nn.Module, probability: float) -> None:
    """Sets the probability of drop-path in training mode, in all choice blocks of a network."""
    assert 0 <= probability < 1
    for block in supernet.modules():
        if isinstance(block, ChoiceBlock):
            block.drop_path = probability


class EpochDropPath:
    """Sets the drop-path of a network to that of an epoch, where it changes."""

    def __init__(self, network: nn.Module, probability_at: Callable[[int], float]) -> None:
        """Takes the network and the probability of each epoch, and sets that of the first."""
        self._network, self._probability_at = network, probability_at
        self._probability: float | None = None
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Sets the probability of an epoch."""
        probability = self._probability_at(epoch)
        if probability != self._probability:
            set_drop_path(self._network, probability)
            self._probability = probability


def with_idle(node: Tensor, gates: Iterable[Gate]) -> Tensor:
    """Returns the node plus the weights of the idle candidates on its incoming edges, if the gates request it.

    The weights are all 0, so the sum changes only their gradients. All edges share one sum over the gradient of the
    node. The code of GDAS (Dong and Yang 2019) adds the weights one by one.

    Args:
        node: The sum of its edges.
        gates: The gates of its edges, including gates without output.
    """
    weights = [gate.weights for gate in gates if gate.idle and gate.weights is not None]
    return _AddZero.apply(node, torch.cat(weights)) if weights else node


def _straight_through(x: Tensor, weight: Tensor) -> Tensor:
    """Returns `x` times a weight of 1, without a multiplication."""
    return _TimesOne.apply(x, weight)  # type: ignore[no-any-return]


class _TimesOne(torch.autograd.Function):
    """x w for w = 1: the forward pass returns x, and the backward pass computes the gradient of w."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_weight = (gradient * x).sum().view_as(weight) if ctx.needs_input_grad[1] else None
        return gradient * weight if torch.is_grad_enabled() else gradient, of_weight


class _AddZero(torch.autograd.Function):
    """x + sum(1 - w) for w = 1: the forward pass returns x, and the backward pass needs one sum for all w."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor) -> Tensor:
        ctx.count = len(weights)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        return gradient, -gradient.sum().expand(ctx.count) if ctx.needs_input_grad[1] else None
