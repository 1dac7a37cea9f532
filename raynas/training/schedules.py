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


SCHEDULES: dict[str, Callable[[float, float, float, float], float]] = {"cosine": cosine, "linear": linear}
"""Schedules by the name that recipes use; each takes position, length, highest and lowest rate."""
