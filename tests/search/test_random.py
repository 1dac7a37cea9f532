"""Random search."""

from __future__ import annotations

import numpy as np
import pytest

from tests.search.searchers import make_random


def asked(searcher):
    while architectures := searcher.ask():
        yield architectures
        searcher.tell(architectures, np.zeros(len(architectures)))


def test_random_search_asks_so_many_generations_of_so_many(chain):
    assert [len(a) for a in asked(make_random(chain(6), seed=0, population=30, generations=4))] == [30] * 4


def test_random_search_of_a_small_space_ends_when_it_is_exhausted(chain):
    generations = list(asked(make_random(chain(2), seed=0, population=10, generations=9)))
    assert [len(a) for a in generations] == [10, 10, 5]


def test_random_search_takes_every_candidate_equally_often(chain):
    (architectures,) = asked(make_random(chain(8), seed=0, population=4000, generations=1))
    shares = np.stack([np.bincount(column, minlength=5) / 4000 for column in np.array(architectures).T])
    assert np.abs(shares - 0.2).max() < 4.5 * np.sqrt(0.2 * 0.8 / 4000)


def test_random_search_does_not_heed_the_fitness(chain):
    searchers = [make_random(chain(6), seed=0, population=10, generations=2) for _ in range(2)]
    for searcher, sign in zip(searchers, (1, -1), strict=True):
        searcher.tell(searcher.ask(), sign * np.arange(10.0))
    assert searchers[0].ask() == searchers[1].ask()


def test_every_generation_has_random_numbers_of_its_own(chain):
    two = [a for generation in asked(make_random(chain(6), seed=0, population=10, generations=2)) for a in generation]
    (one,) = asked(make_random(chain(6), seed=0, population=20, generations=1))
    assert two[:10] == one[:10]
    assert not set(two[10:]) & set(one[10:])


def test_random_search_names_the_key_that_is_wrong(chain):
    with pytest.raises(ValueError, match="\ngenerations\n.* greater than or equal to 1"):
        make_random(chain(2), seed=0, population=1, generations=0)
