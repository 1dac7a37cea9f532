"""Algorithms that give the same bits every time, where a GPU offers faster ones that do not.

Data, order, augmentation, paths and initial weights are functions of the seed on every device. On the CPU the same
seed gives the same bits. On a GPU some kernels add up in an order that changes from call to call, so that the same
seed gives the same numbers up to rounding only, unless such kernels are ruled out. The same bits are then promised for
the same kind of GPU and the same versions of torch, CUDA and cuDNN. This is not measured on a GPU yet.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def use_deterministic_algorithms() -> None:
    """Rules out algorithms whose bits change from call to call, for as long as this process lives.

    cuBLAS reads its setting when a process first uses it: call this before anything is computed on a GPU.
    """
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False


@contextlib.contextmanager
def deterministic_algorithms(wanted: bool) -> Iterator[None]:
    """Rules out algorithms whose bits change from call to call for the time of the block.

    Args:
        wanted: Whether to; the block changes nothing otherwise.
    """
    if not wanted:
        yield
        return
    cudnn = torch.backends.cudnn
    enabled, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    of_cudnn, workspace = (cudnn.deterministic, cudnn.benchmark), os.environ.get(_WORKSPACE)
    use_deterministic_algorithms()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        cudnn.deterministic, cudnn.benchmark = of_cudnn
        if workspace is None:
            del os.environ[_WORKSPACE]
