"""Weights as plain arrays that many processes map without copies, and supernets on these arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from raynas.search_space import SearchSpace


def as_arrays(weights: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Returns weights as contiguous arrays; two-dimensional convolutions are channels last, ``(out, h, w, in)``.

    A convolution on a CPU reads this layout, so no later step rearranges and copies the weights.
    """
    return {
        name: (tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor).detach().cpu().contiguous().numpy()
        for name, tensor in weights.items()
    }


def supernet_on(
    space: SearchSpace, num_classes: int, arrays: Mapping[str, np.ndarray], device: torch.device
) -> nn.Module:
    """Returns a supernet in evaluation mode whose parameters are the given arrays without copies.

    The buffers are copies, since an evaluation writes batch statistics into them. torch would write even into read-only
    arrays that other processes read. On another device than the CPU the parameters are copies too.

    Args:
        space: The space of the supernet.
        num_classes: Classes of its classifier.
        arrays: Weights by name, as `as_arrays` makes them.
        device: The device of the supernet.

    Raises:
        RunError: If the arrays do not fit the supernet of the space.
    """
    with torch.random.fork_rng(devices=[]):  # the initial weights are not used
        supernet = space.build_supernet(num_classes)
    parameters = {name for name, _ in supernet.named_parameters(remove_duplicate=False)}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    tensors = {name: tensor.permute(0, 3, 1, 2) if tensor.dim() == 4 else tensor for name, tensor in tensors.items()}
    tensors = {name: tensor if name in parameters else tensor.clone() for name, tensor in tensors.items()}
    supernet.load_state_dict(tensors, assign=True)
    return supernet.requires_grad_(False).eval().to(device)
