"""Local search against a plain climb, and its ends against the local optima by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from raynas.errors import InputError
from raynas.search import Limits
from raynas.search_space import AdditiveTable
from tests.search.searchers import make_local_search

EVERY = list(itertools.product(range(3), repeat=4))
WORTH = dict(zip(EVERY, np.random.default_rng(1).permutation(81).astype(float), strict=True))


def neighbours(architecture):
    """Returns the architectures at Hamming distance 1."""
    return {other for other in EVERY if sum(a != b for a, b in zip(other, architecture, strict=True)) == 1}


OPTIMA = {a for a in EVERY if all(WORTH[a] > WORTH[b] for b in neighbours(a))}


def generations_of(searcher):
    generations = []
    while architectures := searcher.ask():
        generations.append(architectures)
        searcher.tell(architectures, np.array([WORTH[architecture] for architecture in architectures]))
    return generations


@pytest.mark.parametrize("samples", [1, 3])
def test_it_climbs_to_local_optima_as_a_plain_climb_does(chain, samples):
    sizes = {"evaluations": 81, "start_samples": samples}
    generations = generations_of(make_local_search(chain(4, ("a", "b", "c")), seed=2, **sizes))
    seen, ends, rest = set(), set(), list(generations)
    while rest:
        start = rest.pop(0)
        assert len(start) == min(samples, 81 - len(seen))
        seen |= set(start)
        current = max(start, key=WORTH.__getitem__)
        while True:
            new = neighbours(current) - seen
            if new:
                assert set(rest.pop(0)) == new
                seen |= new
            best = max(neighbours(current), key=WORTH.__getitem__)
            if WORTH[best] < WORTH[current]:
                break
            current = best
        ends.add(current)
    assert len(seen) == 81
    assert ends <= OPTIMA
    assert 1 < len(ends) <= len(OPTIMA) < 20


def test_the_budget_cuts_a_neighbourhood_short(chain):
    generations = generations_of(make_local_search(chain(4, ("a", "b", "c")), seed=2, evaluations=12))
    assert [len(generation) for generation in generations] == [10, 2]


def test_neighbours_outside_the_limits_are_not_proposed(chain):
    cost = AdditiveTable(("num_parameters",), np.array([0]), np.tile(np.arange(3)[None, :, None], (4, 1, 1)))
    limits = Limits(cost, max_parameters=4)
    searcher = make_local_search(chain(4, ("a", "b", "c")), seed=0, limits=limits, evaluations=81)
    proposed = {architecture for generation in generations_of(searcher) for architecture in generation}
    assert proposed == {a for a in EVERY if sum(a) <= 4}


def test_a_budget_below_the_start_is_refused_by_name(chain):
    with pytest.raises(InputError, match=r"^search.evaluations: expected at least search.start_samples, 10, got 5; "):
        make_local_search(chain(6), seed=0, evaluations=5)
