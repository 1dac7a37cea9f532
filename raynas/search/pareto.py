"""Evolution towards the best trade-offs between fitness and costs: NSGA-II.

Ranks and hypervolumes are those of moocore, not of pymoo: pymoo brings a loop and a random state of its own and eight
packages, whereas a searcher here must be a pure function of what it was told.

Reference: Deb et al. 2002 (NSGA-II), section III; moocore: Fonseca et al. 2006 for the hypervolume.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import moocore
import numpy as np
from pydantic import Field

from raynas.errors import InputError
from raynas.search.evolution import Breeding, BreedingOptions, check_breeding
from raynas.search.limits import Limits
from raynas.search.row import Line, SearcherRow
from raynas.search_space import AdditiveTable, Architecture, SearchSpace, as_array


class ParetoOptions(BreedingOptions):
    """Options of the search for trade-offs.

    Attributes:
        objectives: Costs that the search minimises, while it maximises the fitness.
    """

    objectives: Annotated[list[str], Field(min_length=1)] = ["multiply_adds"]


class Pareto(Breeding):
    """NSGA-II: evolution of a population towards large fitness and small costs, none of which is put above another.

    Of the parents and their children the `population` best are the parents of the next generation: by the number of
    fronts that come before theirs, then by how lonely they are on it (`crowding`), then by the architecture. A parent
    of a child is the better of two sampled uniformly.

    Departs from the paper: a child comes of a mutation or of a crossover, not of both, a share of each as in
    `Evolution`, and none is proposed twice.
    """

    def __init__(
        self,
        space: SearchSpace,
        options: ParetoOptions,
        *,
        seed: int,
        costs: AdditiveTable,
        limits: Limits | None = None,
    ) -> None:
        """Sets the search up; nothing is sampled yet.

        Args:
            space: Where to search.
            options: How the children of a generation are made, and which costs are to be small.
            seed: Seed of all randomness, not negative.
            costs: Where the costs of an architecture are read.
            limits: Bounds on the costs of an architecture.

        Raises:
            InputError: If the options do not go together or an objective is no cost in the table.
        """
        super().__init__(space, options, seed=seed, limits=limits)
        if any(name not in costs.quantities for name in options.objectives):
            raise InputError(
                f"search.objectives lists one or more of the costs of an architecture "
                f"({', '.join(costs.quantities) or 'none is known'}), got {options.objectives!r}"
            )
        self.costs = costs
        self.objectives = tuple(dict.fromkeys(options.objectives))

    def _selected(self, candidates: list[Architecture], fitness: np.ndarray) -> np.ndarray:
        """Returns the indices of the survivors, by rank, then crowding, then the architecture."""
        every = as_array(candidates)
        costs = self.costs.total(every)[:, [self.costs.quantities.index(name) for name in self.objectives]]
        points = np.column_stack([fitness, costs])
        ranks = moocore.pareto_rank(points, maximise=_maximised(points))
        distances = np.empty(len(points))
        for rank in np.unique(ranks):
            distances[ranks == rank] = crowding(points[ranks == rank])
        best: np.ndarray = np.lexsort((*every.T[::-1], -distances, ranks))[: self.options.population]
        return best

    def _parent(self, rng: np.random.Generator) -> Architecture:
        """Returns the better of two parents sampled uniformly; they stand in the order of `_selected`."""
        return self._parents[int(rng.integers(len(self._parents), size=2).min())]


def crowding(points: np.ndarray) -> np.ndarray:
    """Returns how far the neighbours of each point of one front are apart, ``(n,)``; infinite at the ends.

    It is the sum over the objectives of the distance between the next smaller and the next larger point, as a share of
    the range of the front.

    Reference: Deb et al. 2002, section III-B.

    Args:
        points: ``(n, objectives)``.
    """
    distances = np.zeros(len(points))
    for values in points.T:
        sequence = np.argsort(values, kind="stable")
        ordered = values[sequence]
        distances[sequence[[0, -1]]] = np.inf
        if (span := ordered[-1] - ordered[0]) > 0:
            distances[sequence[1:-1]] += (ordered[2:] - ordered[:-2]) / span
    return distances


def front(points: np.ndarray) -> np.ndarray:
    """Returns which points no other one dominates, ``(n,)`` bool; of equal ones all or none.

    A point dominates another if it is worse in nothing and better in something.

    Args:
        points: Fitness, larger is better, then costs, smaller is better, ``(n, 1 + costs)``.
    """
    if not len(points):
        return np.zeros(0, dtype=bool)
    kept: np.ndarray = moocore.is_nondominated(points, maximise=_maximised(points), keep_weakly=True)
    return kept


def hypervolumes(points: np.ndarray, generations: Sequence[int]) -> list[float]:
    """Returns the hypervolume of all points up to each generation, which never falls.

    It is the volume of what lies between the points and the worst of generation 0 in every objective, in units of the
    box from there to the best of generation 0 in every objective.

    Args:
        points: Fitness, larger is better, then costs, smaller is better, ``(n, 1 + costs)``.
        generations: The generation of each point, from 0.
    """
    smaller = points * np.where(_maximised(points), -1.0, 1.0)
    which = np.asarray(generations)
    first = smaller[which == 0]
    span = first.max(axis=0) - first.min(axis=0)
    shares = (smaller - first.max(axis=0)) / np.where(span > 0, span, 1.0)
    return [float(moocore.hypervolume(shares[which <= g], ref=0.0)) for g in range(which.max() + 1)]


def _maximised(points: np.ndarray) -> np.ndarray:
    """Returns which objectives are to be large: the first, the fitness."""
    maximised: np.ndarray = np.arange(points.shape[1]) == 0
    return maximised


def trade_offs(searcher: Pareto, lines: Sequence[Line]) -> dict[str, Any]:
    """Returns the objectives, how far the front had advanced after each generation, and the lines on the front."""
    names = ("fitness", *searcher.objectives)
    rows = []
    for line in lines:
        rows.append([line[name] for name in names])
    points = np.array(rows)
    on_front = np.flatnonzero(front(points)).tolist()
    on_front.sort(key=lambda number: (*points[number, 1:], -points[number, 0]))
    return {
        "objectives": list(searcher.objectives),
        "hypervolumes": hypervolumes(points, [line["generation"] for line in lines]),
        "front": [lines[number] for number in on_front],
    }


PARETO = SearcherRow(
    name="pareto",
    title="the best trade-offs between fitness and costs (NSGA-II)",
    make=lambda space, seed, limits, context, options: Pareto(
        space, options, seed=seed, costs=context.costs, limits=limits
    ),
    options=ParetoOptions,
    check=check_breeding,
    objectives=lambda options: options.objectives,
    findings=trade_offs,
)
