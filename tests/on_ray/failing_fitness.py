"""A fitness that fails when it is asked: what no check before the training can find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.errors import InputError
from raynas.fitness import FitnessRow
from raynas.search_space import Architecture


class Failing:
    """Raises an error for every architecture."""

    quantities = ("fitness",)

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        raise InputError("search.fitness: this one fails; take another one")


FAILS = FitnessRow(name="fails", title="failing fitness", make=lambda context, options: Failing())
