"""Learning rates over a training.

A schedule is a function of where training is, and of nothing that came before: a resume needs no state. Position and
length are counted in epochs or in steps, whichever the rate is to follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def cosine(position: float, length: float, highest: float, lowest: float) -> float:
    """Returns lowest + (highest - lowest) (1 + cos(pi position / length)) / 2.

    Reference: Loshchilov and Hutter 2017, Eq. 5; the code of RLNAS and NAS-Bench-201 follows it by the epoch.
    """
    return lowest + 0.5 * (highest - lowest) * (1.0 + math.cos(math.pi * position / length))


def linear(position: float, length: float, highest: float, lowest: float) -> float:
    """Returns highest - (highest - lowest) position / length.

    Reference: the code of RLNAS on ImageNet, and of SPOS, which follow it by the step.
    """
    fraction = position / length
    return (1.0 - fraction) * highest + fraction * lowest


def two_slopes(position: float, length: float, highest: float, lowest: float, *, tail: int) -> float:
    """Returns a line that would end `tail` epochs early, and in these epochs a line of a smaller slope.

    With E the length, K the tail, and d the difference of highest and lowest rate, epoch e < E - K has
    lowest + d (E - K - e) / (E - K). Each of the last K epochs has lowest + d (E - e) / (K (E - K)).

    Args:
        position: The epoch.
        length: Number of epochs.
        highest: The first rate.
        lowest: The rate that the last epoch comes close to.
        tail: Number of epochs of the second line.

    Reference: the code of PC-DARTS and of RLNAS, which retrain on ImageNet by it with a tail of 5 epochs.
    """
    first = length - tail
    fraction = (first - position) / first if position < first else (length - position) / (tail * first)
    return lowest + (highest - lowest) * fraction


def polynomial(position: float, length: float, highest: float, lowest: float, *, power: float) -> float:
    """Returns lowest + (highest - lowest) (1 - position / length) ^ power.

    Reference: Chen et al. 2017 (DeepLab), section 4.1, with a power of 0.9.
    """
    left = 1.0 - position / length
    return lowest + (highest - lowest) * math.pow(left, power)


def exponential(position: float, length: float, highest: float, lowest: float, *, gamma: float, epochs: int) -> float:
    """Returns highest gamma ^ e after e epochs, and no less than the lowest rate.

    Args:
        position: Where training is.
        length: Where it ends.
        highest: The first rate.
        lowest: The bound on later ones.
        gamma: The factor of an epoch.
        epochs: Number of epochs.

    Reference: the code of DARTS on ImageNet, and GDAS (Dong and Yang 2019), section 4.2, with a factor of 0.97.
    """
    return max(lowest, highest * math.pow(gamma, position * epochs / length))


SCHEDULES: dict[str, Callable[..., float]] = {
    "cosine": cosine,
    "linear": linear,
    "two_slopes": two_slopes,
    "polynomial": polynomial,
    "exponential": exponential,
}
"""Schedules by the name that recipes use; each takes position, length, highest and lowest rate, and its own numbers."""

WARMUPS = ("before", "scaled")
"""What the first epochs do: a line from 0 stands before the schedule, or the schedule is scaled by a line."""
