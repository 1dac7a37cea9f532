"""Learning rates over a training."""

from __future__ import annotations

import math


def cosine(epoch: int, epochs: int, highest: float, lowest: float) -> float:
    """Returns lowest + (highest - lowest) (1 + cos(pi epoch / epochs)) / 2, the learning rate of one epoch.

    Reference: Loshchilov and Hutter 2017, Eq. 5, stepped once per epoch as in the code of RLNAS and NAS-Bench-201.
    """
    return lowest + 0.5 * (highest - lowest) * (1.0 + math.cos(math.pi * epoch / epochs))
