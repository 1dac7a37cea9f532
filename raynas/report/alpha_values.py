"""Architecture parameters of a run as the report shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raynas.search_space import Architecture


@dataclass(frozen=True)
class Derived:
    """The architecture that the parameters stand for after some epochs.

    Attributes:
        architecture: Its candidates.
        taken: The candidates that are taken at the choices of `Alphas`, -1 where it chooses otherwise.
        operations: How many of its edges take each operation.
    """

    architecture: Architecture
    taken: Sequence[int]
    operations: Mapping[str, int]

    @property
    def edges(self) -> int:
        """How many edges it keeps: those that are not ``none``."""
        return sum(number for operation, number in self.operations.items() if operation != "none")


@dataclass(frozen=True, eq=False)
class Alphas:
    """The architecture parameters of one base seed, before the first epoch and after each.

    Choices of a single candidate are left out: nothing is chosen there.

    Attributes:
        choices: The names of the choices.
        candidates: The names of each one's candidates.
        values: ``(epochs + 1, num_choices, most candidates)``, not a number past a choice's last candidate.
        derived: What they stand for, ``epochs + 1`` architectures.
    """

    choices: Sequence[str]
    candidates: Sequence[Sequence[str]]
    values: np.ndarray
    derived: Sequence[Derived]

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.values) - 1

    @property
    def weights(self) -> np.ndarray:
        """The softmax over each choice's candidates, of the shape of `values`."""
        exponentials = np.exp(self.values - np.nanmax(self.values, axis=2, keepdims=True))
        weights: np.ndarray = exponentials / np.nansum(exponentials, axis=2, keepdims=True)
        return weights

    @property
    def entropies(self) -> np.ndarray:
        """Entropy of each choice's weights over that of equal ones, ``(epochs + 1, num_choices)``: 0 decided, 1 not."""
        weights = self.weights
        logarithms = np.log(np.where(weights > 0, weights, 1))
        entropies: np.ndarray = -np.nansum(weights * logarithms, axis=2)
        return entropies / np.log([len(names) for names in self.candidates])

    @property
    def largest(self) -> np.ndarray:
        """The largest weight, mean over the choices, ``(epochs + 1,)``: 1 where each has decided for a candidate."""
        largest: np.ndarray = np.nanmax(self.weights, axis=2).mean(axis=1)
        return largest

    def share(self, operation: str) -> np.ndarray | None:
        """Returns the weight of an operation, mean over those choices that have it; None where none has.

        A candidate of two operations, such as ``skip_connect+sep_conv_3x3``, counts half for each.
        """
        parts = np.zeros(self.values.shape[1:])
        for choice, names in enumerate(self.candidates):
            operations = [name.split("+") for name in names]
            parts[choice, : len(names)] = [of.count(operation) / len(of) for of in operations]
        having = parts.any(axis=1)
        if not having.any():
            return None
        share: np.ndarray = np.nansum(self.weights * parts, axis=2)[:, having].mean(axis=1)
        return share
