"""Architecture parameters of a run in the form that the report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raynas.records.alpha_rows import Decidedness, decidedness_of, entropies_of, weights_of
from raynas.search_space import Architecture


@dataclass(frozen=True)
class Derived:
    """The architecture that the parameters give after some epochs.

    Attributes:
        architecture: Its candidates.
        taken: The derived candidates at the choices of `Alphas`, -1 for a choice without a derived candidate.
        operations: Number of its edges for each operation.
    """

    architecture: Architecture
    taken: Sequence[int]
    operations: Mapping[str, int]

    @property
    def edges(self) -> int:
        """Number of its edges with an operation other than ``none``."""
        return sum(number for operation, number in self.operations.items() if operation != "none")


@dataclass(frozen=True, eq=False)
class Alphas:
    """The architecture parameters of one base seed, before the first epoch and after each.

    Choices with a single candidate are left out.

    Attributes:
        choices: The names of the choices.
        candidates: The names of the candidates of each choice.
        values: ``(epochs + 1, num_choices, most candidates)``, NaN after the last candidate of a choice.
        derived: The ``epochs + 1`` architectures that the parameters give.
    """

    choices: Sequence[str]
    candidates: Sequence[Sequence[str]]
    values: np.ndarray
    derived: Sequence[Derived]

    @property
    def epochs(self) -> int:
        """Number of trained epochs."""
        return len(self.values) - 1

    @property
    def weights(self) -> np.ndarray:
        """The softmax over the candidates of each choice, in the shape of `values`."""
        return weights_of(self.values)

    @property
    def decidedness(self) -> Decidedness:
        """How far the parameters have decided, before the first epoch and after each."""
        decidedness = decidedness_of(self.values)
        assert decidedness is not None, "choices with a single candidate are left out"
        return decidedness

    @property
    def entropies(self) -> np.ndarray:
        """Entropy of each choice over that of equal weights, ``(epochs + 1, num_choices)``: 0 is decided."""
        return entropies_of(self.weights) / np.log([len(names) for names in self.candidates])

    @property
    def largest(self) -> np.ndarray:
        """The largest weight, mean over the choices, ``(epochs + 1,)``: 1 if every choice has decided."""
        return self.decidedness.largest

    def share(self, operation: str) -> np.ndarray | None:
        """Returns the weight of an operation as a mean over the choices with it; None if no choice has it.

        A candidate of two operations, such as ``skip_connect+sep_conv_3x3``, counts one half for each operation.
        """
        parts = np.zeros(self.values.shape[1:])
        for choice, names in enumerate(self.candidates):
            operations = [name.split("+") for name in names]
            parts[choice, : len(names)] = [joined.count(operation) / len(joined) for joined in operations]
        having = parts.any(axis=1)
        if not having.any():
            return None
        share: np.ndarray = np.nansum(self.weights * parts, axis=2)[:, having].mean(axis=1)
        return share
