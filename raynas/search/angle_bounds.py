r"""Branch and bound for the largest angle in a chain of independent choices.

In a chain of independent choices the three sums under the angle are a constant plus one term for each choice, and so is
what an architecture costs. With D = <w0, wt>, I = |w0|^2 and T = |wt|^2 of an architecture `a`,

    angle(a) = arccos( D(a) / sqrt(I(a) T(a)) ).

It is found by branch and bound. To have a cosine below c is to have f(a) = D - c sqrt(I T) < 0, and sums lie below f:

    c >= 0:  f >= D - c (u I + T / u) / 2           for every u > 0; equal at T / I = u^2
    c <  0:  f >= D - c (s t I + T) / (s + t)       where s^2 <= T / I <= t^2; equal at both ends

The first is the inequality of the means. Below c = 0 the inequality turns, and a chord takes the place of the root; it
is tight where s and t are close, so that the range of T / I is cut into segments. Their ends are constraints of the
form Q(a) <= 0 with Q a constant plus one term for each choice, as the limits are. With multipliers l_j >= 0, the sum

    B(a) = D - p I - q T + sum_j l_j Q_j  <=  f(a)  for every `a` within the constraints,

where p and q are as above. The least B of all completions of a partial architecture is a sum of least terms. Where it
is above 0, no completion is both within the constraints and better than c; where the least Q_j is above 0, none is
within the constraints. All others are gone through, the most promising first, with c the cosine of the last of the
best architectures found so far. Of all u and l_j those are taken that make the least B of the whole space largest: the
least B is concave in (log u, l).
"""

from __future__ import annotations

import math

import numpy as np

from raynas.search.limits import Limits
from raynas.search.searcher import order
from raynas.search_space import AdditiveTable, Architecture, SearchSpace

CHUNK = 4096
"""Partial architectures that are carried on at once. The memory needed is proportional to it."""

SLACK = 1e-11
"""How far above 0 a bound must be to count, in units in which a typical sqrt(I T) is 1: far more than rounding."""

SEGMENTS = 64
"""The most parts that the range of T / I is halved into, where obtuse angles are sought."""

TRIAL = 1_000_000
"""Partial architectures to go through before a segment is halved."""

ROUNDS, CUTS = 5, 40
"""Rounds to the best u and multipliers, and steps of a round for each of them.

They decide how tight the bounds are, not whether they hold.
"""

NEVER = 1e9
"""Terms of candidates that a choice does not have, in units in which others are about 1."""


class Best:
    """The best architectures seen so far, best first.

    Attributes:
        architectures: Up to `top` of them.
        angles: Theirs, in radians.
        cosine: What another one must not exceed to be among them: that of the last, 1 until there are `top`.
    """

    def __init__(self, table: AdditiveTable, limits: Limits | None, top: int) -> None:
        """Starts with none; takes the sums under the angle, the limits, and how many to keep."""
        self._table, self._limits, self._top = table, limits, top
        self.architectures: list[Architecture] = []
        self.angles = np.empty(0)
        self.cosine = 1.0

    def add(self, architectures: np.ndarray) -> None:
        """Takes architectures, ``(n, num_choices)``, into account; others than those within the limits are ignored."""
        if self._limits is not None:
            architectures = architectures[self._limits.admits(architectures)]
        dot, initial, trained = self._table.total(architectures).T
        norm = np.sqrt(initial * trained)
        cosines = np.clip(np.divide(dot, norm, out=np.ones_like(dot), where=norm > 0), -1.0, 1.0)
        if len(self.architectures) == self._top:
            better = cosines <= self.cosine + SLACK
            architectures, cosines = architectures[better], cosines[better]
        known = dict(zip(self.architectures, self.angles.tolist(), strict=True))
        known.update(zip(map(tuple, architectures.tolist()), np.arccos(cosines).tolist(), strict=True))
        every, angles = list(known), np.array(list(known.values()))
        first = order(every, angles)[: self._top]
        self.architectures, self.angles = [every[index] for index in first], angles[first]
        if len(first) == self._top:
            self.cosine = math.cos(self.angles[-1])


class Sums:
    """D, I and T of a space and its limits as constraints, in units in which they are about 1.

    Attributes:
        fixed: D, I, T and one Q for each limit, ``(3 + limits,)``.
        terms: Theirs of every candidate, ``(num_choices, most candidates, 3 + limits)``.
        sizes: Candidates of each choice.
    """

    def __init__(self, space: SearchSpace, table: AdditiveTable, limits: Limits | None) -> None:
        """Takes the space, the sums under the angle, and the limits."""
        self.sizes = [len(choice.candidates) for choice in space.choices]
        self._missing = np.arange(table.terms.shape[1]) >= np.array(self.sizes)[:, None]
        _, initial, trained = table.fixed + self._most(table.terms)
        units = np.array([math.sqrt(initial * trained), initial, trained])
        units[units == 0] = 1.0
        fixed, terms = [table.fixed / units], [table.terms / units]
        for key, (quantity, bound) in ({} if limits is None else limits.stated()).items():
            assert limits is not None
            sign = 1.0 if key.startswith("max") else -1.0
            index = limits.table.quantities.index(quantity)
            cost = sign * limits.table.terms[..., index, None]
            least = np.where(self._missing[..., None], np.inf, cost).min(axis=1, keepdims=True)
            cost = cost - least  # what all candidates of a choice have in common is no part of the unit
            unit = float(self._most(cost)[0]) or 1.0
            fixed.append((sign * (limits.table.fixed[[index]] - bound) + least.sum()) / unit)
            terms.append(cost / unit)
        self.fixed, self.terms = np.concatenate(fixed), np.concatenate(terms, axis=-1)
        self.terms[self._missing] = (NEVER, 0, 0, *(NEVER for _ in self.fixed[3:]))

    def _most(self, terms: np.ndarray) -> np.ndarray:
        """Returns the largest sum of terms, ``(d,)``."""
        largest: np.ndarray = np.where(self._missing[..., None], -np.inf, terms).max(axis=1).sum(axis=0)
        return largest

    def ratios(self) -> tuple[float, float]:
        """Returns bounds on arctan(sqrt(T / I)), which is finite whatever I and T are."""
        _, initial, trained = self.fixed[:3] + self._most(self.terms[..., :3])
        _, least_initial, least_trained = self.fixed[:3] - self._most(-self.terms[..., :3])
        ends = np.arctan2(np.sqrt([least_trained, trained]), np.sqrt([initial, least_initial]))
        return float(ends[0]), float(ends[1])


class Relaxation:
    """The additive lower bounds of D - c sqrt(I T) within the constraints.

    Attributes:
        fixed: D, I, T and the Q, ``(d,)``.
        terms: Theirs of every candidate, ``(num_choices, most candidates, d)``.
        sizes: Candidates of each choice.
        lowest: The cosine down to which the bounds hold: 0 for acute angles, -1 for obtuse ones.
    """

    def __init__(self, sums: Sums, segment: tuple[float, float] | None = None) -> None:
        """Takes the sums and, for obtuse angles, the segment: least and largest arctan(sqrt(T / I))."""
        self.fixed, self.terms, self.sizes = sums.fixed, sums.terms, sums.sizes
        self.lowest = 0.0 if segment is None else -1.0
        self._chord = np.empty(0)
        if segment is not None:
            (sine, other_sine), (cosine, other_cosine) = np.sin(segment), np.cos(segment)
            self._chord = np.array([sine * other_sine, cosine * other_cosine]) / math.sin(sum(segment))
            ends = np.array([[sine**2, -(other_sine**2)], [-(cosine**2), other_cosine**2]])
            self.fixed = np.append(self.fixed, self.fixed[1:3] @ ends)
            self.terms = np.append(self.terms, self.terms[..., 1:3] @ ends, axis=-1)

    def weights(self, cosine: float, unknowns: np.ndarray) -> np.ndarray:
        """Returns the factors in B of D, I, T and the Q, ``(d,)``; the unknowns are log u and the multipliers."""
        u = math.exp(unknowns[0])
        root = self._chord if self._chord.size else np.array([u, 1 / u]) / 2
        return np.concatenate([[1.0], -cosine * root, unknowns[1:]])

    def tightest(self, cosine: float) -> tuple[float, np.ndarray]:
        """Returns the largest that the least B of all architectures can be made, and the unknowns that make it so.

        By the ellipsoid method: of what may hold the maximum, the half that a supergradient excludes is cut off.
        """
        size = max(len(self.fixed) - 2, 2)  # of one unknown there is no ellipsoid
        centre, shape = np.ones(size), np.diag([4.0, *[100.0] * (size - 1)])
        centre[0], most, best = 0.0, -math.inf, centre
        unknowns = len(self.fixed) - 2
        rows = np.arange(len(self.terms))
        for _ in range(CUTS * size):
            if (centre[1:] < 0).any():
                uphill = np.eye(size)[1 + int(np.argmin(centre[1:]))]
            else:
                weights = self.weights(cosine, centre[:unknowns])
                least = (self.terms @ weights).argmin(axis=1)
                sums = self.fixed + self.terms[rows, least].sum(axis=0)
                if (bound := float(weights @ sums)) > most:
                    most, best = bound, centre
                uphill = np.zeros(size)
                uphill[1:unknowns] = sums[3:]
                if not self._chord.size:
                    uphill[0] = weights[1] * sums[1] - weights[2] * sums[2]
            step = shape @ uphill
            if not (width := math.sqrt(max(float(uphill @ step), 0.0))) > 1e-12:
                break
            centre = centre + step / width / (size + 1)
            shape = size**2 / (size**2 - 1) * (shape - 2 / (size + 1) * np.outer(step, step) / width**2)
        return most, best[:unknowns]


def explore(relaxation: Relaxation, best: Best, size: int) -> tuple[int, float]:
    """Goes through all architectures that may be among the best, and adds them.

    Args:
        relaxation: Bounds on what completions of a partial architecture are worth.
        best: The best so far.
        size: The most partial architectures to go through.

    Returns:
        What is left of `size`, and the least cosine that an architecture not gone through may have, 1 if there is none.
    """
    most, unknowns = relaxation.tightest(best.cosine)
    if most > SLACK:
        return size, 1.0
    exploration = _Exploration(relaxation, best, unknowns)
    promised = exploration.tighten()
    left = exploration.go_through(size, promised)
    if best.cosine < relaxation.lowest or exploration.excludes(best.cosine):
        return left, 1.0
    return left, exploration.least_cosine() if exploration.excludes(relaxation.lowest) else -1.0


class _Exploration:
    """Partial architectures that wait to be completed, and the bounds on all of their completions."""

    def __init__(self, relaxation: Relaxation, best: Best, unknowns: np.ndarray) -> None:
        """Starts with the empty architecture; the unknowns are those of `Relaxation.weights`."""
        self._relaxation, self._best, self._unknowns = relaxation, best, unknowns
        self._terms = relaxation.terms
        self._waiting = [(0, relaxation.fixed[None], np.empty((1, 0), dtype=np.int16))]

    def bounds(self, depth: int, sums: np.ndarray, cosine: float) -> np.ndarray:
        """Returns the least B of all completions of partial architectures that hold the first `depth` choices."""
        weights = self._relaxation.weights(cosine, self._unknowns)
        bound: np.ndarray = sums @ weights + (self._terms[depth:] @ weights).min(axis=1).sum()
        return bound

    def excludes(self, cosine: float) -> bool:
        """Returns whether no completion of those waiting has a smaller cosine."""
        return all((self.bounds(depth, sums, cosine) > SLACK).all() for depth, sums, _ in self._waiting)

    def least_cosine(self) -> float:
        """Returns the smallest cosine, from the lowest to the best, that is not excluded."""
        low, high = self._relaxation.lowest, self._best.cosine
        while high - low > SLACK:
            middle = (low + high) / 2
            low, high = (middle, high) if self.excludes(middle) else (low, middle)
        return low

    def tighten(self) -> float:
        """Takes the unknowns that make the bounds tightest at the least cosine, which it returns."""
        for _ in range(ROUNDS):
            promised = self.least_cosine()
            _, self._unknowns = self._relaxation.tightest(promised)
        return promised

    def go_through(self, size: int, promised: float) -> int:
        """Completes what waits, the most promising first, until nothing waits or `size` is used up.

        Returns:
            What is left of `size`.
        """
        relaxation, best, waiting = self._relaxation, self._best, self._waiting
        spread = self._terms @ relaxation.weights(promised, self._unknowns)
        choices = np.argsort(-(np.where(spread < NEVER / 2, spread, -np.inf).max(axis=1) - spread.min(axis=1)))
        self._terms = terms = self._terms[choices]
        own_order = np.argsort(choices)
        # What the choices after each one add at least to the constraints.
        none = np.zeros((1, terms.shape[2] - 3))
        least = np.concatenate([np.cumsum(terms[::-1, :, 3:].min(axis=1), axis=0)[::-1], none])

        while waiting and best.cosine >= relaxation.lowest:
            depth, sums, taken = waiting.pop()
            count = relaxation.sizes[choices[depth]]
            still = self.bounds(depth, sums, best.cosine) <= SLACK
            sums, taken = sums[still], taken[still]
            if len(sums) * count > size:
                waiting.append((depth, sums, taken))
                break
            size -= len(sums) * count
            sums = (sums[:, None] + terms[depth, :count]).reshape(-1, terms.shape[2])
            depth += 1
            within = (sums[:, 3:] + least[depth] <= SLACK).all(axis=1)
            going = np.flatnonzero(within & (self.bounds(depth, sums, best.cosine) <= SLACK))
            going = going[np.argsort(self.bounds(depth, sums[going], promised), kind="stable")]
            taken = np.concatenate([taken[going // count], (going % count).astype(np.int16)[:, None]], axis=1)
            if depth == len(terms):
                best.add(taken[:, own_order].astype(np.int64))
                continue
            for start in reversed(range(0, len(going), CHUNK)):
                part = slice(start, start + CHUNK)
                waiting.append((depth, sums[going[part]], taken[part]))
        return size


def explore_obtuse(sums: Sums, best: Best, size: int) -> float:
    """Goes through all architectures of obtuse angle that may be among the best, and adds them.

    Args:
        sums: D, I, T and the limits.
        best: The best so far.
        size: The most partial architectures to go through.

    Returns:
        The least cosine that an architecture not gone through may have, 1 if there is none.
    """
    start, end = sums.ratios()
    segments, unseen = [(start, end)], 1.0
    while segments:
        least, largest = segments.pop()
        last = size <= TRIAL or (largest - least) * SEGMENTS <= end - start
        tried = size if last else TRIAL
        left, cosine = explore(Relaxation(sums, (least, largest)), best, tried)
        size -= tried - left
        if last or cosine == 1:
            unseen = min(unseen, cosine)
        else:
            middle = (least + largest) / 2
            segments += [(least, middle), (middle, largest)]
    return unseen
