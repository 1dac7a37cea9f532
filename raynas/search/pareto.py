"""Evolution towards the best trade-offs between fitness and costs: NSGA-II.

Ranks and hypervolumes are those of moocore, not of pymoo: pymoo brings a loop and a random state of its own and eight
packages, whereas a searcher here must be a pure function of what it was told.

Reference: Deb et al. 2002 (NSGA-II), section III; moocore: Fonseca et al. 2006 for the hypervolume.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import moocore
import numpy as np

from raynas.search.evolution import Evolution
from raynas.search.limits import Limits
from raynas.search_space import AdditiveTable, Architecture, SearchSpace, as_array


class Pareto(Evolution):
    """NSGA-II: evolution of a population towards large fitness and small costs, none of which is put above another.

    Of the parents and their children the `population` best are the parents of the next generation: by the number of
    fronts that come before theirs, then by how lonely they are on it (`crowding`), then by the architecture. A parent
    of a child is the better of two drawn uniformly.

    Departs from the paper: a child comes of a mutation or of a crossover, not of both, a share of each as in
    `Evolution`, and none is proposed twice.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        costs: AdditiveTable,
        objectives: Collection[str] = ("multiply_adds",),
        population: int = 100,
        mutations: int = 50,
        crossovers: int = 50,
        mutation_probability: float = 0.1,
        generations: int = 20,
        mutation_excludes: Collection[str] = (),
        max_tries: int = 10,
        limits: Limits | None = None,
    ) -> None:
        """Sets the search up; nothing is drawn yet.

        Args:
            space: Where to search.
            seed: Seed of all randomness, not negative.
            costs: Where the costs of an architecture are read.
            objectives: Names of the costs that are to be small.
            population: Architectures in a generation, and parents of the next.
            mutations: Children by mutation in a generation.
            crossovers: Children by crossover in a generation.
            mutation_probability: Chance of each choice of a mutated child to be drawn anew, in [0, 1].
            generations: Evaluated populations, the random one included.
            mutation_excludes: Names of candidates that a mutation never draws.
            max_tries: As in `Evolution`.
            limits: Bounds on the costs of an architecture.

        Raises:
            ValueError: If a value is out of range or an objective is no cost in the table.
        """
        super().__init__(
            space,
            seed=seed,
            population=population,
            select=population,
            mutations=mutations,
            crossovers=crossovers,
            mutation_probability=mutation_probability,
            generations=generations,
            mutation_excludes=mutation_excludes,
            max_tries=max_tries,
            limits=limits,
        )
        if not objectives or any(name not in costs.quantities for name in objectives):
            raise ValueError(
                f"search.objectives lists one or more of the costs of an architecture "
                f"({', '.join(costs.quantities) or 'none is known'}), got {objectives!r}"
            )
        self.costs = costs
        self.objectives = tuple(dict.fromkeys(objectives))

    def _selected(self, candidates: list[Architecture], fitness: np.ndarray) -> np.ndarray:
        """Returns the indices of the survivors, by rank, then crowding, then the architecture."""
        every = as_array(candidates)
        costs = self.costs.total(every)[:, [self.costs.quantities.index(name) for name in self.objectives]]
        points = np.column_stack([fitness, costs])
        ranks = moocore.pareto_rank(points, maximise=_maximised(points))
        distances = np.empty(len(points))
        for rank in np.unique(ranks):
            distances[ranks == rank] = crowding(points[ranks == rank])
        best: np.ndarray = np.lexsort((*every.T[::-1], -distances, ranks))[: self.select]
        return best

    def _parent(self, rng: np.random.Generator) -> Architecture:
        """Returns the better of two parents drawn uniformly; they stand in the order of `_selected`."""
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
