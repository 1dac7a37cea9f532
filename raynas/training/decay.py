"""Which parameters an L2 penalty is on. Imports nothing of torch."""

from __future__ import annotations

from collections.abc import Callable

DECAYED: dict[str, Callable[[int], bool]] = {
    "all": lambda dimensions: True,
    "convolutions": lambda dimensions: dimensions == 4,
    "weights": lambda dimensions: dimensions >= 2,
}
"""Whether the penalty is on a parameter of so many dimensions, by the name that recipes use.

Kernels of convolutions alone, or the matrices of linear layers too; biases and normalisations have a single dimension.
"""
