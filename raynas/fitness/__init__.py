"""What an architecture is worth: a batch of architectures in, one number each out, larger is better.

A fitness is called with architectures and returns a float array of the same length. It never returns a stand-in for a
failure: an evaluation that fails is an error with its cause. To add one, write a module here and name it in the row of
an algorithm or in a run file's `search.fitness`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from raynas.search_space import Architecture


class Fitness(Protocol):
    """What an architecture is worth."""

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the fitness of each architecture, ``(n,)`` float64, larger is better."""
