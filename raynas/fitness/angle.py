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
    return AdditiveTable(("dot", "initial", "trained"), _sums(vector.always, initial, trained), terms)


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

    An architecture without a live path has angle 0, as in the code of RLNAS. With several tables, of supernets trained
    from several base seeds, the fitness is the mean of their angles.
    """

    def __init__(self, space: SearchSpace, tables: Sequence[AdditiveTable]) -> None:
        """Takes the space and the tables of one or more supernets, as `angle_table` makes them."""
        self._space = space
        self._tables = tuple(tables)

    def angles(self, architectures: np.ndarray) -> np.ndarray:
        """Returns the angle under each table, ``(number of tables, n)`` float64 radians.

        Args:
            architectures: ``(n, num_choices)`` int64.
        """
        angles = np.zeros((len(self._tables), len(architectures)))
        if not len(architectures):
            return angles
        counts = self._space.path_counts(architectures)
        alive = counts.any(axis=1)
        for row, table in zip(angles, self._tables, strict=True):
            dot, initial, trained = table.total(architectures[alive], counts[alive]).T
            norm = np.sqrt(initial * trained)
            cosine = np.divide(dot, norm, out=np.ones_like(dot), where=norm > 0)
            row[alive] = np.arccos(np.clip(cosine, -1.0, 1.0))
        return angles

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the mean angle of each architecture, ``(n,)`` float64 radians."""
        mean: np.ndarray = self.angles(as_array(architectures)).mean(axis=0)
        return mean

    def spread(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the sample standard deviation over the tables, ``(n,)`` float64 radians; zero for one table."""
        if len(self._tables) == 1:
            return np.zeros(len(architectures))
        deviation: np.ndarray = self.angles(as_array(architectures)).std(axis=0, ddof=1)
        return deviation
