"""First derivatives of a loss by weights and alphas, and products of its second derivatives with a vector.

None of the weights, alphas, buffers or ``.grad`` of the caller is written to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn

Weights: TypeAlias = Mapping[str, Tensor]
"""Weights, or a gradient with respect to them, by name. A gradient lacks the weights that its loss does not touch."""

Loss: TypeAlias = Callable[[Weights, Sequence[Tensor]], Tensor]
"""A loss as a function of weights and alphas, ``()``. Called again with the same values it gives the same value."""


Summed: TypeAlias = Callable[[Sequence[Tensor]], list[Tensor]]
"""Adds up tensors over the workers, each of which has a share of the batch and the loss of that share."""


# Derivatives of the training loss


class Curvature(Protocol):
    """The first derivative of a loss by the weights, and products of its second derivatives with a vector."""

    def gradient(self) -> Weights:
        """Returns dL/dw."""

    def hessian(self, vector: Weights) -> Weights:
        """Returns d2L/dw2 times the vector."""

    def mixed(self, vector: Weights) -> list[Tensor]:
        """Returns d2L/(dalpha dw) times the vector; what was kept for the products is given up."""


def curvature_of(
    loss: Loss, weights: Weights, alphas: Sequence[Tensor], radius: float | None, summed: Summed
) -> Curvature:
    """Returns the derivatives of the loss, added up over the workers, exact where the radius is None."""
    if radius is None:
        return _Exact(loss, weights, alphas, summed)
    return _FiniteDifferences(loss, weights, alphas, radius, summed)


class _Exact:
    """By differentiating the backward pass; one forward and one backward pass serve all products."""

    def __init__(self, loss: Loss, weights: Weights, alphas: Sequence[Tensor], summed: Summed) -> None:
        """Runs both passes."""
        self._summed = summed
        self._weights, self._alphas = _leaves(weights), [_leaf(alpha) for alpha in alphas]
        self._gradient = _gradient_of_weights(loss(self._weights, self._alphas), self._weights, create_graph=True)

    def gradient(self) -> Weights:
        return _summed(self._summed, {name: g.detach() for name, g in self._gradient.items()})

    def hessian(self, vector: Weights) -> Weights:
        outputs, cotangents = self._paired(vector)
        products = torch.autograd.grad(
            outputs, list(self._weights.values()), cotangents, retain_graph=True, allow_unused=True
        )
        return _summed(self._summed, _present(self._weights, products))

    def mixed(self, vector: Weights) -> list[Tensor]:
        outputs, cotangents = self._paired(vector)
        return self._summed(torch.autograd.grad(outputs, self._alphas, cotangents, materialize_grads=True))

    def _paired(self, vector: Weights) -> tuple[list[Tensor], list[Tensor]]:
        """Returns dL/dw and the vector, where both have an entry and dL/dw is not constant."""
        names = [name for name, g in self._gradient.items() if name in vector and g.requires_grad]
        return [self._gradient[name] for name in names], [vector[name] for name in names]


class _FiniteDifferences:
    """By central differences of first derivatives between two points at the radius around the weights."""

    def __init__(self, loss: Loss, weights: Weights, alphas: Sequence[Tensor], radius: float, summed: Summed) -> None:
        """Takes the radius: the distance of the points from the weights."""
        self._loss, self._weights, self._radius, self._summed = loss, weights, radius, summed
        self._alphas = [alpha.detach() for alpha in alphas]

    def gradient(self) -> Weights:
        return _summed(self._summed, self._gradient_at(self._weights))

    def hessian(self, vector: Weights) -> Weights:
        epsilon = self._epsilon(vector)
        ahead = self._gradient_at(self._moved(vector, epsilon))
        behind = self._gradient_at(self._moved(vector, -epsilon))
        return _summed(self._summed, {name: (ahead[name] - behind[name]) / (2 * epsilon) for name in ahead})

    def mixed(self, vector: Weights) -> list[Tensor]:
        epsilon = self._epsilon(vector)
        ahead = gradient_of_alphas(self._loss, self._moved(vector, epsilon), self._alphas)
        behind = gradient_of_alphas(self._loss, self._moved(vector, -epsilon), self._alphas)
        return self._summed([(a - b) / (2 * epsilon) for a, b in zip(ahead, behind, strict=True)])

    def _gradient_at(self, weights: Weights) -> dict[str, Tensor]:
        leaves = _leaves(weights)
        return _gradient_of_weights(self._loss(leaves, self._alphas), leaves)

    def _epsilon(self, vector: Weights) -> Tensor:
        """Returns radius / |vector|; for a vector of zeros a number all the same, and the products are zeros."""
        norm = _norm(list(vector.values()))
        return self._radius / norm.clamp_min(torch.finfo(norm.dtype).tiny)

    def _moved(self, vector: Weights, epsilon: Tensor) -> dict[str, Tensor]:
        """Returns the weights + epsilon * vector."""
        return {
            name: torch.addcmul(weight.detach(), vector[name], epsilon) if name in vector else weight
            for name, weight in self._weights.items()
        }


# First derivatives


def gradient_of_alphas(loss: Loss, weights: Weights, alphas: Sequence[Tensor]) -> list[Tensor]:
    """Returns dL/dalpha; nothing is differentiated by the weights."""
    leaves = [_leaf(alpha) for alpha in alphas]
    value = loss({name: weight.detach() for name, weight in weights.items()}, leaves)
    if not value.requires_grad:  # a sampled route may reach no candidate with a weight
        return [torch.zeros_like(alpha) for alpha in alphas]
    return list(torch.autograd.grad(value, leaves, materialize_grads=True))


def _gradient_of_weights(value: Tensor, weights: Weights, create_graph: bool = False) -> dict[str, Tensor]:
    """Returns the derivative of the value by those weights that it depends on."""
    return _present(
        weights, torch.autograd.grad(value, list(weights.values()), create_graph=create_graph, allow_unused=True)
    )


def gradients_of(
    loss: Loss, weights: Weights, alphas: Sequence[Tensor], summed: Summed
) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Returns dL/dalpha and dL/dw, added up over the workers, from one backward pass."""
    by_name, by_choice = _leaves(weights), [_leaf(alpha) for alpha in alphas]
    found = torch.autograd.grad(loss(by_name, by_choice), [*by_choice, *by_name.values()], allow_unused=True)
    first = [torch.zeros_like(a) if g is None else g for a, g in zip(alphas, found, strict=False)]
    return summed(first), _summed(summed, _present(by_name, found[len(alphas) :]))


def _summed(summed: Summed, by_name: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return dict(zip(by_name, summed(list(by_name.values())), strict=True))


def _leaf(tensor: Tensor) -> Tensor:
    """Returns a view of the tensor that is differentiated by."""
    return tensor.detach().requires_grad_()


def _leaves(weights: Weights) -> dict[str, Tensor]:
    return {name: _leaf(weight) for name, weight in weights.items()}


def _present(weights: Weights, gradients: Sequence[Tensor | None]) -> dict[str, Tensor]:
    """Returns the gradients by name, without those that are None."""
    return {name: g for name, g in zip(weights, gradients, strict=True) if g is not None}


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """Returns the Euclidean norm over all entries of all tensors, ``()``."""
    return nn.utils.get_total_norm(tensors)
