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


class CoastingSGD(torch.optim.SGD):
    """SGD in which a weight that has moved once goes on moving in steps that give it no gradient.

    Momentum carries such a weight on, and weight decay shrinks it, as if its gradient were zero. PyTorch of the time of
    RLNAS did so, since `zero_grad` filled gradients with zeros and left none out. A weight that no step has run yet
    stays as it is. The momentum buffer says which weights have moved, so that a resumed training goes on alike.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Takes a step, with a gradient of zero for idle weights."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None and self.state.get(weight, {}).get(MOMENTUM) is not None:
                    weight.grad = torch.zeros_like(weight)
        return super().step(closure)


def make_optimizer(module: nn.Module, recipe: Recipe, coasts: bool = False) -> torch.optim.SGD:
    """Returns SGD over all weights of a module.

    Args:
        module: The module.
        recipe: Rates, momentum and penalty.
        coasts: Whether weights without a gradient in a step go on moving, see `CoastingSGD`. By default they stay as
            they are, so that a step of a supernet moves only what its path ran, as in today's PyTorch.
    """
    decays = DECAYED[recipe.decay_on]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in module.parameters() if decays(p.dim())], "weight_decay": recipe.weight_decay},
        {"params": [p for p in module.parameters() if not decays(p.dim())], "weight_decay": 0.0},
    ]
    kind = CoastingSGD if coasts else torch.optim.SGD
    return kind(
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
