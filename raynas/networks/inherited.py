"""Networks with the weights that they inherit from a supernet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from raynas.capabilities import inheriting_network
from raynas.errors import RunError
from raynas.search_space import Architecture, SearchSpace


def inherited_network(
    space: SearchSpace, architecture: Architecture, num_classes: int, weights: Mapping[str, Tensor]
) -> nn.Module:
    """Returns the network of an architecture with the weights of a supernet, loaded strictly, in evaluation mode.

    Where the supernet normalises without weight and bias, those of the network are 1 and 0, which compute the same. The
    statistics of batch normalisation are those of the supernet, a mixture over all paths: measure them anew.

    Args:
        space: The space.
        architecture: The architecture.
        num_classes: Labels that the supernet tells apart.
        weights: Parameters and buffers of the supernet by name.

    Raises:
        RunError: If the supernet lacks a weight that the network needs.
    """
    network = inheriting_network(space, architecture, num_classes)
    state = {}
    for name, tensor in network.state_dict().items():
        if name in weights:
            state[name] = weights[name]
        elif _is_of_normalisation(network, name):
            state[name] = _neutral(name, tensor)
        else:
            raise RunError(f"the supernet of {type(space).__name__} has no {name}, which the network needs")
    network.load_state_dict(state, strict=True)
    return network.eval()


def _is_of_normalisation(network: nn.Module, name: str) -> bool:
    return isinstance(network.get_submodule(name.rpartition(".")[0]), _BatchNorm)


def _neutral(name: str, tensor: Tensor) -> Tensor:
    """Returns the value under which a normalisation computes the same as one without it."""
    return torch.ones_like(tensor) if name.endswith(("weight", "running_var")) else torch.zeros_like(tensor)
