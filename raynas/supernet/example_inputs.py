"""Inputs for trying the networks of a space: for costs, latency, and checks before training."""

from __future__ import annotations

import torch
from torch import Tensor

from raynas.capabilities import own_inputs_of
from raynas.search_space import SearchSpace


def example_inputs(space: SearchSpace, number: int, size: int, device: torch.device) -> Tensor:
    """Returns inputs for trying a network: by default, images of any content, ``(number, 3, size, size)``.

    Args:
        space: The space.
        number: Number of samples.
        size: Height and width of an image; tokens of a text.
        device: Where they are.
    """
    own = own_inputs_of(space)
    return torch.empty(number, 3, size, size, device=device) if own is None else own(number, size, device)
