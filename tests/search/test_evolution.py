"""Evolution as in SPOS and RLNAS."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from raynas.search import Limits
from raynas.search_space import AdditiveTable, as_array, crossover, mutate
from tests.search.searchers import make_evolution, make_random


def additive_fitness(num_choices, num_candidates, seed):
    """Returns an easy fitness, one term for each choice, and its maximum."""
    terms = np.random.default_rng(seed).random((num_choices, num_candidates))
    return lambda a: terms[np.arange(num_choices), as_array(a)].sum(axis=1), terms.max(axis=1).sum()


def search(searcher, fitness):
    """Returns the generations as pairs of architectures and fitness."""
    history = []
    while architectures := searcher.ask():
        history.append((architectures, fitness(architectures)))
        searcher.tell(*history[-1])
    return history


def best_of(history):
    return max(fitness.max() for _, fitness in history)


def parents_of(history, select):
    """Returns the best architectures of a history, found by plain sorting."""
    seen = [(-value, a) for architectures, fitness in history for a, value in zip(architectures, fitness, strict=True)]
    return [a for _, a in sorted(seen)[:select]]


def test_evolution_finds_the_optimum_much_more_often_than_random_search(chain):
    space = chain(6)
    hits = {"evolution": 0, "random": 0}
    for seed in range(20):
        fitness, optimum = additive_fitness(6, 5, seed)
        sizes = {"population": 30, "generations": 12}
        evolution = make_evolution(space, seed=seed, select=10, mutations=12, crossovers=12, **sizes)
        hits["evolution"] += bool(np.isclose(best_of(search(evolution, fitness)), optimum))
        hits["random"] += bool(np.isclose(best_of(search(make_random(space, seed=seed, **sizes), fitness)), optimum))
    assert hits["evolution"] >= 16
    assert hits["random"] <= 4


def test_the_defaults_evaluate_twenty_populations_of_a_hundred(chain):
    fitness, optimum = additive_fitness(6, 5, 0)
    history = search(make_evolution(chain(6), seed=0), fitness)
    assert [len(architectures) for architectures, _ in history] == [100] * 20
    assert best_of(history) == optimum


def test_mutated_children_come_from_the_selected_parents(chain):
    """A mutation that can only draw candidate ``a`` shows its parent: the rest of the child is the parent's."""
    fitness, _ = additive_fitness(14, 5, 1)
    options = {"population": 20, "select": 5, "mutations": 20, "crossovers": 0, "generations": 6}
    others = ("none", "b", "c", "d")
    evolution = make_evolution(chain(14), seed=3, mutation_probability=0.5, mutation_excludes=others, **options)
    history = search(evolution, fitness)
    used = set()
    for generation in range(1, 6):
        parents = parents_of(history[:generation], 5)
        for child in history[generation][0]:
            possible = [p for p in parents if all(c in (k, 1) for c, k in zip(child, p, strict=True))]
            assert possible
            used.update(parents.index(p) for p in possible if len(possible) == 1)
    assert used == set(range(5))


def test_crossed_children_come_from_two_selected_parents(chain):
    fitness, _ = additive_fitness(14, 5, 2)
    evolution = make_evolution(chain(14), seed=3, population=20, select=5, mutations=0, crossovers=20, generations=4)
    history = search(evolution, fitness)
    couples = list(itertools.combinations(range(5), 2))
    used = set()
    for generation in range(1, 4):
        parents = parents_of(history[:generation], 5)
        for child in history[generation][0]:
            possible = [
                (i, j)
                for i, j in couples
                if all(c in (k, m) for c, k, m in zip(child, parents[i], parents[j], strict=True))
            ]
            assert possible
            used.update(possible if len(possible) == 1 else [])
    assert used == set(couples)


def test_a_generation_is_mutants_then_crossings_then_random_ones(chain):
    fitness, _ = additive_fitness(14, 5, 4)
    options = {"population": 30, "select": 4, "generations": 2, "mutation_probability": 0.2}
    (first, second) = search(make_evolution(chain(14), seed=0, mutations=10, crossovers=12, **options), fitness)
    parents = as_array(parents_of([first], 4))
    children = as_array(second[0])
    nearest = (children[:, None] != parents).sum(axis=2).min(axis=1)
    inherited = (children[:, None] == parents).any(axis=1).all(axis=1)
    assert nearest[:10].max() < 9
    assert inherited[10:22].all()
    assert not inherited[22:].any()


def test_mutation_never_draws_what_is_excluded(chain):
    fitness, _ = additive_fitness(10, 5, 5)
    options = {"population": 60, "select": 60, "mutations": 60, "crossovers": 0, "generations": 2}
    evolution = make_evolution(chain(10), seed=0, mutation_probability=0.7, mutation_excludes=("none", "d"), **options)
    (first, second) = search(evolution, fitness)
    counts = np.sort((as_array(first[0]) % 4 == 0).sum(axis=1))  # candidates 0 and 4 are the excluded ones
    assert (as_array(second[0]) % 4 == 0).sum(axis=1).mean() < 0.5 * counts.mean()
    parents = as_array(first[0])
    for child in as_array(second[0]):
        excluded = child % 4 == 0
        assert (parents[:, excluded] == child[excluded]).all(axis=1).any()


def test_evolution_without_children_is_random_search(chain):
    fitness, _ = additive_fitness(6, 5, 7)
    evolution = make_evolution(chain(6), seed=4, population=50, mutations=0, crossovers=0, generations=4)
    random = make_random(chain(6), seed=4, population=50, generations=4)
    assert [a for a, _ in search(evolution, fitness)] == [a for a, _ in search(random, fitness)]


def test_children_that_cannot_be_new_are_replaced_by_random_ones(chain):
    fitness, _ = additive_fitness(6, 5, 6)
    evolution = make_evolution(chain(6), seed=0, mutation_probability=0.0, select=1, generations=3)
    assert [len(architectures) for architectures, _ in search(evolution, fitness)] == [100] * 3


def test_the_tries_for_children_are_bounded(chain, monkeypatch):
    calls = []

    def count(verb):
        def counted(*arguments):
            calls.append(verb)
            return verb(*arguments)

        return counted

    monkeypatch.setattr("raynas.search.evolution.mutate", count(mutate))
    monkeypatch.setattr("raynas.search.evolution.crossover", count(crossover))
    options = {"population": 20, "mutations": 8, "crossovers": 6, "generations": 2, "max_tries": 3}
    evolution = make_evolution(chain(6), seed=0, select=1, mutation_probability=0.0, **options)
    search(evolution, lambda a: np.zeros(len(a)))
    assert calls == [mutate] * 24 + [crossover] * 18


def test_a_small_space_is_searched_to_its_end_and_the_search_is_over(chain):
    sizes = [len(a) for a, _ in search(make_evolution(chain(3), seed=0, generations=20), lambda a: np.zeros(len(a)))]
    assert sizes == [100, 25]


def test_limits_that_leave_little_make_smaller_generations(chain):
    terms = np.tile(np.arange(5)[:, None], (6, 1, 1))
    limits = Limits(AdditiveTable(("num_parameters",), np.zeros(1, dtype=np.int64), terms), min_parameters=22)
    sizes = [len(a) for a, _ in search(make_evolution(chain(6), seed=0, limits=limits), lambda a: np.zeros(len(a)))]
    assert sum(sizes) <= 28  # the six choices fall short of 24 by at most 2
    assert sum(sizes) >= 20


def test_children_outside_the_limits_are_brought_in(chain):
    """Parents next to a limit have few children within it; still no random architectures stand in for them."""
    space, costs = (
        chain(12),
        AdditiveTable(("num_parameters",), np.zeros(1, int), np.tile(np.arange(5)[:, None], (12, 1, 1))),
    )
    limits = Limits(costs, min_parameters=36, max_parameters=36)
    options = {"population": 40, "select": 5, "mutations": 20, "crossovers": 20, "mutation_excludes": ("none",)}
    evolution = make_evolution(space, seed=0, limits=limits, generations=3, max_tries=1, **options)
    history = search(evolution, lambda architectures: as_array(architectures)[:, 0].astype(float))
    for number, (architectures, _) in enumerate(history):
        assert len(architectures) == 40
        assert limits.admits(as_array(architectures)).all()
        if number:
            children, parents = as_array(architectures), as_array(parents_of(history[:number], 5))
            assert (children[:, None] != parents).sum(axis=2).min(axis=1).mean() < 6.5  # of a random one it is 8
            new = (children[:20, None] != parents).all(axis=1)
            assert (children[:20][new] != 0).all()


def test_the_fitness_steers_only_through_the_parents(chain):
    """Two tellings that select the same parents give the same next generation."""
    following = []
    for scale in (1.0, 100.0):
        evolution = make_evolution(chain(6), seed=0)
        architectures = evolution.ask()
        evolution.tell(architectures, scale * np.arange(100.0))
        following.append(evolution.ask())
    assert following[0] == following[1]


def test_a_search_of_two_thousand_takes_well_under_a_second(chain):
    fitness, _ = additive_fitness(6, 5, 0)
    seconds = []
    for seed in range(3):
        start = time.process_time()
        search(make_evolution(chain(6), seed=seed), fitness)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.6  # 0.12 on one core of a server


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 99}, "search.mutations: 50 and search.crossovers: 50 make 100 children, more than search.pop"),
        ({"select": 101}, "search.select: expected at most search.population, 100, got 101; lower it or raise the pop"),
        ({"select": 0}, "\nselect\n.* greater than or equal to 1"),
        ({"mutations": -1}, "\nmutations\n.* greater than or equal to 0"),
        ({"crossovers": 2.5}, "\ncrossovers\n.* a valid integer"),
        ({"generations": 0}, "\ngenerations\n.* greater than or equal to 1"),
        ({"max_tries": 0}, "\nmax_tries\n.* greater than or equal to 1"),
        ({"mutation_probability": 1.1}, "\nmutation_probability\n.* less than or equal to 1"),
        ({"mutation_probability": float("nan")}, "\nmutation_probability\n.* a finite number"),
        ({"mutation_probability": "0.1"}, "\nmutation_probability\n.* a valid number"),
        ({"mutation_excludes": ("nil",)}, r"search.mutation_excludes lists candidates of Chain \(none, a, .*got 'nil'"),
        ({"mutation_excludes": "none"}, "\nmutation_excludes\n.* a valid list"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(chain, options, message):
    with pytest.raises(ValueError, match=message):
        make_evolution(chain(6), seed=0, **options)
