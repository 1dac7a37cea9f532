"""Exhaustive search."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.search import Limits
from raynas.search_space import AdditiveTable, all_architectures, as_array
from tests.search.searchers import make_exhaustive


def asked(searcher):
    while architectures := searcher.ask():
        yield architectures
        searcher.tell(architectures, np.zeros(len(architectures)))


@pytest.mark.parametrize("population", [7, 255, 256, 257, 3125, 4096])
def test_every_architecture_is_asked_in_lexicographic_order(chain, population):
    space = chain(5)
    generations = list(asked(make_exhaustive(space, population=population)))
    assert {len(a) for a in generations[:-1]} <= {population}
    assert np.array_equal(as_array([a for generation in generations for a in generation]), all_architectures(space))


@pytest.mark.parametrize("population", [1, 10, 100])
def test_generations_are_full_whatever_the_limits_exclude(chain, population):
    space = chain(5)
    table = AdditiveTable(("num_parameters",), np.zeros(1, dtype=np.int64), np.tile(np.arange(5)[:, None], (5, 1, 1)))
    generations = list(asked(make_exhaustive(space, population=population, limits=Limits(table, min_parameters=17))))
    expected = [a for a in map(tuple, all_architectures(space).tolist()) if sum(a) >= 17]
    assert [a for generation in generations for a in generation] == expected
    assert {len(a) for a in generations[:-1]} <= {population}


def test_combinations_that_repair_would_change_are_skipped(chain):
    space = chain(2, ("none", "a", "b"))
    kind = type("Repaired", (type(space),), {"repair": lambda self, a, rng: (max(a), min(a))})
    generations = list(asked(make_exhaustive(kind(2, ("none", "a", "b")))))
    assert generations == [[(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]]


def test_a_space_that_is_too_large_is_refused(chain):
    with pytest.raises(ValueError, match=r"search.name: exhaustive goes through at most 1,000,000 .* has 1,953,125; "):
        make_exhaustive(chain(9))
    with pytest.raises(ValueError, match="at most 24 architectures"):
        make_exhaustive(chain(2), max_size=24)
    make_exhaustive(chain(2), max_size=25)
