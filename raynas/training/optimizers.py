"""The optimiser that a recipe describes, and its state as tensors by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from raynas.training.decay import DECAYED
from raynas.training.recipe import Recipe

MOMENTUM = "momentum_buffer"
"""The state of SGD. It is kept under the name of its parameter alone; other states have their own names behind it."""


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """Returns SGD over all weights of a module; a weight without a gradient in a step stays as it is.

    So a step of a supernet moves only what its path ran. Codes of the time of RLNAS filled such gradients with zeros,
    which let momentum and weight decay move idle candidates too; raynas does not, and neither does today's PyTorch.
    """
    decays = DECAYED[recipe.decay_on]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in module.parameters() if decays(p.dim())], "weight_decay": recipe.weight_decay},
        {"params": [p for p in module.parameters() if not decays(p.dim())], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
    )


def optimizer_state(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Returns what an optimiser remembers of each parameter of a module, by name.

    A momentum has the name of its parameter; any other tensor has the name ``parameter:state``.
    """
    found = {}
    for name, parameter in module.named_parameters():
        for key, tensor in optimizer.state.get(parameter, {}).items():
            if tensor is not None:
                found[name if key == MOMENTUM else f"{name}:{key}"] = tensor
    return found


def restore_optimizer(module: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Puts back what `optimizer_state` returned, where the parameters are."""
    parameters = dict(module.named_parameters())
    for full_name, tensor in state.items():
        name, _, key = full_name.partition(":")
        parameter = parameters.get(name)
        if parameter is None:
            continue
        # A count of steps has no dimension, and stays where optimisers keep it: on the CPU.
        kept = torch.empty_like(parameter).copy_(tensor) if tensor.shape == parameter.shape else tensor.clone()
        optimizer.state[parameter][key or MOMENTUM] = kept
