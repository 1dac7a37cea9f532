"""Aging evolution against a plain loop, one child at a time."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.errors import InputError
from tests.search.searchers import make_aging_evolution

LENGTH, CANDIDATES, POPULATION, TOURNAMENT = 4, 3, 6, 3


def worth(architecture):
    """Returns a fitness with ties."""
    return float(np.sin(np.dot(architecture, (1, 2, 3, 5))).round(1))


def sequential(seed, first, evaluations):
    """Returns what Algorithm 1 of Real et al. evaluates, in order, of which repeated children cost nothing."""
    queue, history = list(first), list(first)
    turn = 1
    while len(history) < evaluations:
        rng = np.random.default_rng([seed, turn])
        child = history[0]
        while child in history:
            rivals = [queue[int(index)] for index in rng.integers(len(queue), size=TOURNAMENT)]
            scores = [worth(rival) for rival in rivals]
            parent = rivals[scores.index(max(scores))]
            position = int(rng.integers(LENGTH))
            others = [candidate for candidate in range(CANDIDATES) if candidate != parent[position]]
            child = (*parent[:position], others[int(rng.integers(len(others)))], *parent[position + 1 :])
            if child in history:
                queue = [*queue, child][-POPULATION:]
        history.append(child)
        queue = [*queue, child][-POPULATION:]
        turn += 1
    return history


def evaluated(searcher):
    """Returns the generations that a searcher has evaluated."""
    generations = []
    while architectures := searcher.ask():
        generations.append(architectures)
        searcher.tell(architectures, np.array([worth(architecture) for architecture in architectures]))
    return generations


@pytest.mark.parametrize("seed", range(5))
def test_one_child_at_a_time_is_the_sequential_loop(chain, seed):
    sizes = {"population": POPULATION, "tournament": TOURNAMENT, "evaluations": 50, "proposals": 1}
    generations = evaluated(make_aging_evolution(chain(LENGTH, ("a", "b", "c")), seed=seed, **sizes))
    assert [len(generation) for generation in generations] == [POPULATION] + [1] * 44
    flat = [architecture for generation in generations for architecture in generation]
    assert flat == sequential(seed, generations[0], 50)
    assert len(set(flat)) == 50  # of 81: many children came again


def test_children_come_together_and_the_budget_is_kept(chain):
    sizes = {"population": POPULATION, "tournament": TOURNAMENT, "evaluations": 50, "proposals": 8}
    generations = evaluated(make_aging_evolution(chain(LENGTH, ("a", "b", "c")), seed=0, **sizes))
    assert [len(generation) for generation in generations] == [6, 8, 8, 8, 8, 8, 4]
    everything = make_aging_evolution(chain(LENGTH, ("a", "b", "c")), seed=0, **{**sizes, "evaluations": 100})
    assert sum(map(len, evaluated(everything))) == 81


def test_a_budget_below_the_population_is_refused_by_name(chain):
    with pytest.raises(InputError, match=r"^search.evaluations: expected at least search.population, 100, got 50; "):
        make_aging_evolution(chain(6), seed=0, evaluations=50)
