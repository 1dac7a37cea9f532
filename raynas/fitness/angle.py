r"""The angle by which training turned an architecture's weights, in closed form.

    angle(a) = arccos( <V(a, W0), V(a, Wt)> / (|V(a, W0)| |V(a, Wt)|) )

V(a, W) concatenates the weights along every live path of `a` (RLNAS, Zhang et al. 2021, Eq. 9). An operation's weights
stand in V once for each path through it, so that V need not be built: with m_e(a) the number of live paths through
choice e, a sum over V is a sum over operations,

    <V(a, W0), V(a, Wt)> = c + sum_e m_e(a) T[e, a_e],    T[e, k] = <w0, wt> of candidate k of choice e, all cells,

and likewise for both squared norms. The table T is made once, and an architecture then costs a few additions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from raynas.search_space import AdditiveTable, Architecture, SearchSpace, WeightTerm, as_array

SUMS = ("dot", "initial", "trained")
"""The quantities of a table: <w0, wt>, |w0|^2 and |wt|^2."""


def angle_table(
    space: SearchSpace, initial: Mapping[str, Tensor], trained: Mapping[str, Tensor], definition: str
) -> AdditiveTable:
    """Returns the three sums (<w0, wt>, |w0|^2, |wt|^2) of every candidate and of what is always there, float64.

    Args:
        space: The space that the weights belong to.
        initial: W0, the supernet's weights by name before training.
        trained: Wt, after.
        definition: Which weights count, as the space's `weight_vector` names it: ``paper`` or ``official``.

    Raises:
        ValueError: If weights are missing or not finite, or have another shape before than after.
    """
    vector = space.weight_vector(definition)
    terms = np.zeros((len(vector.candidates), max(map(len, vector.candidates)), 3))
    for choice, candidates in enumerate(vector.candidates):
        for k, term in enumerate(candidates):
            terms[choice, k] = _sums(term, initial, trained)
    return AdditiveTable(SUMS, _sums(vector.always, initial, trained), terms)


def _sums(term: WeightTerm, initial: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> np.ndarray:
    sums = np.full(3, term.fixed_squared_norm)
    for name in term.parameters:
        if name not in initial or name not in trained:
            raise ValueError(f"the weights hold no {name!r}: they are not of this space's supernet")
        before, after = (weights[name].detach().double().cpu().flatten() for weights in (initial, trained))
        if before.shape != after.shape:
            raise ValueError(f"{name!r} has {before.numel()} weights before training and {after.numel()} after")
        sums += (float(before @ after), float(before @ before), float(after @ after))
        if not np.isfinite(sums).all():
            raise ValueError(f"{name!r} holds weights that are not finite: the training diverged")
    return sums


class Angle:
    """The fitness of RLNAS: the angle between initial and trained weights, in radians in [0, pi].

    An architecture without a live path has angle 0, as in the code of RLNAS.
    """

    quantities: tuple[str, ...] = ("fitness",)

    def __init__(self, space: SearchSpace, table: AdditiveTable) -> None:
        """Takes the space and the table of a supernet, as `angle_table` makes it."""
        self._space = space
        self._table = table

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the angle of each architecture, ``(n, 1)`` float64 radians."""
        return self.angles(as_array(architectures))[:, None]

    def angles(self, architectures: np.ndarray) -> np.ndarray:
        """Returns the angle of each architecture, ``(n,)`` float64 radians.

        Args:
            architectures: ``(n, num_choices)`` int64.
        """
        angles = np.zeros(len(architectures))
        if not len(architectures):
            return angles
        counts = self._space.path_counts(architectures)
        alive = counts.any(axis=1)
        dot, initial, trained = self._table.total(architectures[alive], counts[alive]).T
        norm = np.sqrt(initial * trained)
        cosine = np.divide(dot, norm, out=np.ones_like(dot), where=norm > 0)
        angles[alive] = np.arccos(np.clip(cosine, -1.0, 1.0))
        return angles


class Displacement:
    """How far training moved the weights that an architecture uses: a length, in the units of the weights.

        displacement(a) = sqrt( sum_{e on a live path of a} |wt - w0|^2 of candidate a_e )

    Unlike the angle it is no ratio: an operation that moved adds to it, whatever stands beside it, and counts once, on
    however many paths it lies. Fixed tensors do not move.
    """

    quantities: tuple[str, ...] = ("fitness",)

    def __init__(self, space: SearchSpace, table: AdditiveTable) -> None:
        """Takes the space and the table of a supernet, as `angle_table` makes it."""
        self._space = space
        self._table = table

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the displacement of each architecture, ``(n, 1)`` float64."""
        if not len(architectures):
            return np.empty((0, 1))
        every = as_array(architectures)
        live = (self._space.path_counts(every) > 0).astype(np.int64)
        dot, initial, trained = self._table.total(every, live).T
        squared = np.maximum(initial + trained - 2 * dot, 0.0)  # rounding may leave less than nothing of nothing
        lengths: np.ndarray = np.sqrt(squared)[:, None]
        return lengths
