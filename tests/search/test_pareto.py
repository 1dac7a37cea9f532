"""Trade-offs between fitness and costs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from raynas.search import Limits
from raynas.search.pareto import crowding, front, hypervolumes
from raynas.search_space import AdditiveTable, all_architectures, as_array
from tests.search.searchers import make_pareto, make_random


def dominates(one, other):
    """Whether a point of one fitness and some costs is nowhere worse and somewhere better."""
    better = [one[0] > other[0], *(a < b for a, b in zip(one[1:], other[1:], strict=True))]
    worse = [one[0] < other[0], *(a > b for a, b in zip(one[1:], other[1:], strict=True))]
    return any(better) and not any(worse)


def grid(seed, number, costs, values=6):
    """Points on a coarse grid, so that many are equal or equal in something."""
    return np.random.default_rng(seed).integers(0, values, (number, 1 + costs)).astype(float)


@pytest.mark.parametrize("costs", [1, 2, 3])
def test_the_front_is_what_nothing_dominates(costs):
    for seed in range(20):
        points = grid(seed, 40, costs)
        expected = [not any(dominates(other, one) for other in points) for one in points]
        assert front(points).tolist() == expected


def test_there_is_no_front_of_nothing():
    assert front(np.empty((0, 2))).shape == (0,)


def volume(points, worst):
    """Returns the volume dominated, by inclusion and exclusion over all sets of points."""
    edges = np.maximum(np.column_stack([points[:, 0] - worst[0], worst[1:] - points[:, 1:]]), 0)
    total = 0.0
    for size in range(1, len(edges) + 1):
        for some in itertools.combinations(range(len(edges)), size):
            total -= (-1) ** size * edges[list(some)].min(axis=0).prod()
    return total


@pytest.mark.parametrize("costs", [1, 2])
def test_the_hypervolume_is_that_of_inclusion_and_exclusion(costs):
    for seed in range(5):
        points = np.random.default_rng(seed).normal(size=(10, 1 + costs)) * ([1.0, 1e8, 3e6][: 1 + costs])
        generations = [0, 0, 0, 1, 1, 1, 1, 3, 3, 3]
        first = points[:3]
        worst = np.array([first[:, 0].min(), *first[:, 1:].max(axis=0)])
        box = np.ptp(first, axis=0).prod()
        expected = [volume(points[:n], worst) / box for n in (3, 7, 7, 10)]
        assert np.allclose(hypervolumes(points, generations), expected, rtol=1e-9, atol=1e-12)


def test_the_hypervolume_is_one_if_one_point_is_best_in_everything():
    points = np.array([[0.1, 5.0], [0.5, 9.0], [0.5, 5.0]])
    assert hypervolumes(points, [0, 0, 0]) == pytest.approx([1.0])


def test_a_hypervolume_never_falls_and_does_not_heed_the_order():
    rng = np.random.default_rng(0)
    points, generations = rng.random((60, 3)), np.repeat(np.arange(6), 10)
    volumes = hypervolumes(points, generations)
    assert volumes == sorted(volumes) and volumes[0] < volumes[-1]
    shuffled = rng.permutation(60)
    assert np.allclose(hypervolumes(points[shuffled], generations[shuffled].tolist()), volumes, rtol=1e-12)


def test_what_is_worse_than_the_first_generation_in_one_thing_has_no_volume():
    points = np.array([[0.0, 1.0], [1.0, 2.0], [5.0, 2.5], [-1.0, 0.0]])
    assert hypervolumes(points, [0, 0, 1, 1]) == [0.0, 0.0]


def test_objectives_in_which_the_first_generation_is_all_alike_are_measured_as_they_are():
    points = np.array([[0.25, 7.0], [0.25, 9.0], [0.75, 8.0]])
    assert hypervolumes(points, [0, 0, 1]) == [0.0, 0.25]  # half a unit of fitness, half the range of the cost


def test_crowding_is_the_distance_between_neighbours():
    points = np.array([[0.0, 0.0], [1.0, 1.0], [3.0, 2.0], [4.0, 10.0]])
    assert crowding(points).tolist() == [np.inf, 3 / 4 + 2 / 10, 3 / 4 + 9 / 10, np.inf]
    assert crowding(points[[2, 0, 3, 1]]).tolist() == [3 / 4 + 9 / 10, np.inf, np.inf, 3 / 4 + 2 / 10]


def test_points_alike_in_an_objective_are_crowded_in_it():
    assert crowding(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 4.0], [1.0, 5.0]])).tolist()[1:3] == [4 / 5, 4 / 5]
    assert np.isinf(crowding(np.zeros((1, 2)))).all()


def costs_of(length, seed=0):
    """Two costs, each a sum of terms."""
    terms = np.random.default_rng(seed).integers(1, 1000, (length, 5, 2))
    return AdditiveTable(("num_parameters", "multiply_adds"), np.zeros(2, dtype=np.int64), terms)


def fitness_of(table, architectures):
    """A fitness that grows with the costs, less and less, and heeds neighbours."""
    every = as_array(architectures)
    total = table.total(every).astype(float)
    return np.sqrt(total).sum(axis=1) + 5.0 * (every[:, :-1] == every[:, 1:]).sum(axis=1)


def points_of(table, architectures, objectives):
    costs = table.total(as_array(architectures))[:, [table.quantities.index(name) for name in objectives]]
    return np.column_stack([fitness_of(table, architectures), costs])


def search(searcher, table):
    """Returns the architectures, and the generation of each."""
    asked, generations = [], []
    while architectures := searcher.ask():
        generations += [max(generations, default=-1) + 1] * len(architectures)
        asked += architectures
        searcher.tell(architectures, fitness_of(table, architectures))
    return asked, generations


@pytest.mark.parametrize("objectives", [("multiply_adds",), ("num_parameters", "multiply_adds")])
def test_the_search_closes_in_on_the_true_front(chain, objectives):
    space, table = chain(6), costs_of(6)
    every = [tuple(a) for a in all_architectures(space).tolist()]
    asked, generations = search(make_pareto(space, seed=0, costs=table, objectives=objectives, generations=30), table)
    assert len(asked) == 3000 < len(every) / 5
    points = points_of(table, asked + every, objectives)
    *_, found, true = hypervolumes(points, generations + [30] * len(every))
    assert found > 0.97 * true  # as many random architectures: 0.94 and 0.87
    on_front = {architecture for architecture, kept in zip(every, front(points[3000:]), strict=True) if kept}
    assert len(on_front & set(asked)) > 0.7 * len(on_front)  # as many random architectures: 0.2


@pytest.mark.parametrize("objectives", [("multiply_adds",), ("num_parameters", "multiply_adds")])
def test_the_search_dominates_more_than_as_many_random_architectures(chain, objectives):
    space, table = chain(12), costs_of(12)
    for seed in range(3):
        sizes = {"population": 40, "generations": 10}
        some = {"costs": table, "objectives": objectives, "mutations": 20, "crossovers": 20}
        volumes = [
            hypervolumes(points_of(table, asked, objectives), generations)[-1]
            for asked, generations in (
                search(make_pareto(space, seed=seed, **some, **sizes), table),
                search(make_random(space, seed=seed, **sizes), table),
            )
        ]
        assert volumes[0] > 1.1 * volumes[1]  # generation 0, and with it the unit, is the same


def survivors(points, architectures, number):
    """The survivors of NSGA-II by its text: whole fronts, then the loneliest of the last."""
    left, chosen = list(range(len(points))), []
    while left and len(chosen) < number:
        layer = [i for i in left if not any(dominates(points[j], points[i]) for j in left)]
        lonely = {i: 0.0 for i in layer}
        for objective in points.T:
            ranked = sorted(layer, key=lambda i: objective[i])
            span = objective[ranked[-1]] - objective[ranked[0]]
            for before, i, after in zip([None, *ranked], ranked, [*ranked[1:], None], strict=False):
                ends = before is None or after is None
                lonely[i] += np.inf if ends else (objective[after] - objective[before]) / span
        chosen += sorted(layer, key=lambda i: (-lonely[i], architectures[i]))
        left = [i for i in left if i not in layer]
    return {architectures[i] for i in chosen[:number]}


def test_parents_are_whole_fronts_and_the_loneliest_of_the_last(chain, monkeypatch):
    """Children by a crossover of a parent with itself would be parents: what is crossed shows who the parents are."""
    crossed = set()

    def spy(space, first, second, rng):
        crossed.update((first, second))
        return space.repair(tuple(rng.integers(0, 5, len(first)).tolist()), rng)

    monkeypatch.setattr("raynas.search.evolution.crossover", spy)
    space, table, objectives = chain(9), costs_of(9), ("multiply_adds", "num_parameters")
    options = {"population": 30, "mutations": 0, "crossovers": 30, "generations": 4, "costs": table}
    searcher = make_pareto(space, seed=0, objectives=objectives, **options)
    parents, seen = set(), 0
    while architectures := searcher.ask():
        assert crossed <= parents
        seen += len(crossed)
        crossed.clear()
        every = [*parents, *architectures]
        searcher.tell(architectures, fitness_of(table, architectures))
        parents = survivors(points_of(table, every, objectives), every, 30)
    assert seen > 3 * 20


def test_a_parent_is_the_better_of_two(chain, monkeypatch):
    first_parents = []

    def spy(space, parent, *others):
        first_parents.append(parent)
        return parent

    monkeypatch.setattr("raynas.search.evolution.mutate", spy)
    space, table = chain(9), costs_of(9)
    options = {"population": 40, "mutations": 40, "crossovers": 0, "generations": 2, "max_tries": 50}
    searcher = make_pareto(space, seed=0, costs=table, **options)
    architectures = searcher.ask()
    fitness = -table.total(as_array(architectures))[:, 1].astype(float)  # the costs the other way: one order of all
    searcher.tell(architectures, fitness)
    searcher.ask()
    best_first = [architectures[i] for i in np.argsort(-fitness)]
    drawn = np.bincount([best_first.index(parent) for parent in first_parents], minlength=40) / len(first_parents)
    expected = (2 * (40 - np.arange(40)) - 1) / 40**2
    assert len(first_parents) == 2000
    assert np.abs(drawn - expected).max() < 4.5 * np.sqrt(expected.max() / 2000)
    assert drawn[:10].sum() > 0.38 and drawn[-10:].sum() < 0.11


def test_what_is_excluded_is_never_drawn_by_a_mutation(chain):
    space, table = chain(8), costs_of(8)
    options = {"population": 50, "mutations": 50, "crossovers": 0, "mutation_probability": 1.0, "generations": 2}
    asked, _ = search(make_pareto(space, seed=0, costs=table, mutation_excludes=("none", "d"), **options), table)
    assert (as_array(asked[50:]) % 4 != 0).all()  # candidates 0 and 4 are the excluded ones
    assert (as_array(asked[:50]) % 4 == 0).any()


def test_limits_and_objectives_go_together(chain):
    space, table = chain(8), costs_of(8)
    limits = Limits(table, max_parameters=3000)
    asked, _ = search(make_pareto(space, seed=0, costs=table, limits=limits, generations=4), table)
    assert len(asked) == 400
    assert limits.admits(as_array(asked)).all()


@pytest.mark.parametrize("objectives", [(), ("latency",), ("multiply_adds", "latency"), "multiply_adds"])
def test_an_objective_that_is_no_cost_is_refused(chain, objectives):
    message = "search.objectives lists one or more of the costs of an architecture|\nobjectives\n.* (at least 1|list)"
    with pytest.raises(ValueError, match=message):
        make_pareto(chain(3), seed=0, costs=costs_of(3), objectives=objectives)
