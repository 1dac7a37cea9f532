"""Drawing what is new, within bounds on the draws."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.search import Limits
from raynas.search.distinct import PATIENCE, draw_distinct, sample_distinct
from raynas.search_space import AdditiveTable


class Draws:
    """Draws architectures from a list, over and over, and counts."""

    def __init__(self, architectures):
        self.architectures = architectures
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.architectures[(self.count - 1) % len(self.architectures)]


def table(num_choices, num_candidates):
    """Counts the candidates' indices as parameters."""
    terms = np.tile(np.arange(num_candidates)[None, :, None], (num_choices, 1, 1))
    return AdditiveTable(("num_parameters",), np.zeros(1, dtype=np.int64), terms)


def test_draws_are_returned_once_in_the_order_drawn_and_taken():
    taken = {(1,)}
    found = draw_distinct(Draws([(2,), (1,), (0,), (2,), (3,)]), 3, 100, taken, None)
    assert found == [(2,), (0,), (3,)]
    assert taken == {(0,), (1,), (2,), (3,)}


def test_no_more_is_found_or_taken_than_wanted():
    taken = set()
    assert draw_distinct(Draws([(0,), (1,), (2,)]), 2, 100, taken, None) == [(0,), (1,)] == sorted(taken)


@pytest.mark.parametrize("tries", [1, 31, 32, 33, 500])
def test_draws_in_vain_end_at_the_bound(tries):
    draws = Draws([(0,)])
    assert draw_distinct(draws, 5, tries, {(0,)}, None) == []
    assert draws.count == tries


def test_nothing_wanted_draws_nothing():
    draws = Draws([(0,)])
    assert draw_distinct(draws, 0, 100, set(), None) == []
    assert draws.count == 0


def test_what_the_limits_exclude_is_not_taken():
    taken = set()
    limits = Limits(table(1, 5), max_parameters=1)
    assert draw_distinct(Draws([(k,) for k in range(5)]), 5, 50, taken, limits) == [(0,), (1,)]
    assert taken == {(0,), (1,)}


def test_sampling_finds_every_architecture_of_a_small_space(chain):
    space = chain(3)
    assert len(sample_distinct(space, np.random.default_rng(0), 1000, set(), None)) == space.size


def test_sampling_finds_rare_architectures(chain):
    limits = Limits(table(6, 5), max_parameters=1)  # 7 of 15,625
    assert len(sample_distinct(chain(6), np.random.default_rng(0), 4, set(), limits)) == 4


def test_sampling_an_exhausted_space_gives_nothing(chain):
    space = chain(1)
    assert sample_distinct(space, np.random.default_rng(0), 5, {(k,) for k in range(5)}, None) == []


def test_sampling_explains_limits_that_admit_nothing(chain):
    limits = Limits(table(2, 5), min_parameters=9)
    message = rf"min_parameters: 9.0e0 admits none of {PATIENCE:,} sampled architectures \(largest seen: 8.0e0\)"
    with pytest.raises(ValueError, match=message):
        sample_distinct(chain(2), np.random.default_rng(0), 5, set(), limits)
