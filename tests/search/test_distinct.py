"""Drawing what is new, within bounds on the draws."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.search import Limits
from raynas.search.distinct import PATIENCE, bring_in, draw_distinct, sample_distinct
from raynas.search_space import AdditiveTable, all_architectures, as_array, sample


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


def drawn(draws, wanted, tries, taken, limits=None, space=None, excluded=()):
    return draw_distinct(space, np.random.default_rng(0), draws, wanted, tries, taken, limits, excluded)


def test_draws_are_returned_once_in_the_order_drawn_and_taken():
    taken = {(1,)}
    assert drawn(Draws([(2,), (1,), (0,), (2,), (3,)]), 3, 100, taken) == [(2,), (0,), (3,)]
    assert taken == {(0,), (1,), (2,), (3,)}


def test_no_more_is_found_or_taken_than_wanted():
    taken = set()
    assert drawn(Draws([(0,), (1,), (2,)]), 2, 100, taken) == [(0,), (1,)] == sorted(taken)


@pytest.mark.parametrize("tries", [1, 31, 32, 33, 500])
def test_draws_in_vain_end_at_the_bound(tries):
    draws = Draws([(0,)])
    assert drawn(draws, 5, tries, {(0,)}) == []
    assert draws.count == tries


def test_nothing_wanted_draws_nothing():
    draws = Draws([(0,)])
    assert drawn(draws, 0, 100, set()) == []
    assert draws.count == 0


def test_what_the_limits_exclude_is_not_taken(chain):
    taken = set()
    limits = Limits(table(1, 5), max_parameters=1)
    found = drawn(Draws([(k,) for k in range(5)]), 5, 50, taken, limits, chain(1))
    assert found == [(0,), (1,)]
    assert taken == {(0,), (1,)}


def test_where_enough_draws_are_within_the_limits_none_is_brought_in(chain):
    limits = Limits(table(6, 5), max_parameters=5)
    architectures = [(4,) * 6, (0,) * 6, (1,) * 6, (1, 0, 1, 0, 1, 0)]
    found = drawn(Draws(architectures), 2, 100, set(), limits, chain(6))
    assert found == [(0,) * 6, (1, 0, 1, 0, 1, 0)]


def test_draws_outside_the_limits_are_brought_in_after_all_tries(chain):
    limits = Limits(table(6, 5), max_parameters=5)
    draws = Draws([(4,) * 6, (0,) * 6, (3,) * 6])
    first, *others = drawn(draws, 3, 64, set(), limits, chain(6))
    assert draws.count == 64
    assert first == (0,) * 6
    assert len({first, *others}) == 3 and limits.admits(as_array(others)).all()


def test_bringing_in_draws_only_what_it_must(chain):
    """A draw that is over the limit by the whole of one choice keeps the others as they were, or lowers them."""
    limits = Limits(table(8, 5), max_parameters=30)
    brought = bring_in(chain(8), [(4,) * 8] * 300, limits, np.random.default_rng(0))
    assert len(brought) == 300 and limits.admits(as_array(brought)).all()
    changed = (as_array(brought) != 4).sum(axis=1)
    assert changed.min() == 1 and changed.max() <= 2  # one choice falls by two, or two by one
    assert ((as_array(brought) != 4).mean(axis=0) > 0.05).all()


def test_what_is_within_the_limits_is_brought_in_as_it_is(chain):
    limits = Limits(table(3, 5), max_parameters=5, min_parameters=3)
    assert bring_in(chain(3), [(1, 1, 1), (0, 4, 1)], limits, np.random.default_rng(0)) == [(1, 1, 1), (0, 4, 1)]


def two_costs(length):
    """Counts indices as parameters, and what is left to the last candidate as multiply-adds."""
    terms = np.tile(np.stack([np.arange(5), 4 - np.arange(5)], axis=1), (length, 1, 1))
    return AdditiveTable(("num_parameters", "multiply_adds"), np.zeros(2, dtype=np.int64), terms)


def test_several_limits_of_either_kind_are_met_together(chain):
    costs = two_costs(10)
    limits = Limits(costs, min_parameters=19, max_parameters=20, min_multiply_adds=20, max_multiply_adds=21)
    rng = np.random.default_rng(1)
    outside = [tuple(a) for a in rng.integers(0, 2, (100, 10)).tolist()]
    brought = bring_in(chain(10), outside, limits, rng)
    assert len(brought) == 100
    assert limits.admits(as_array(brought)).all()


def test_what_cannot_be_brought_in_is_left_out(chain):
    limits = Limits(two_costs(3), max_parameters=5, max_multiply_adds=5)  # they add up to 12
    assert bring_in(chain(3), [(0, 0, 0), (2, 2, 2)], limits, np.random.default_rng(0)) == []
    assert drawn(Draws([(0, 0, 0), (2, 2, 2)]), 2, 40, set(), limits, chain(3)) == []


def test_bringing_in_repairs_and_never_draws_what_is_excluded(chain):
    space = chain(6)
    sorted_space = type("Sorted", (type(space),), {"repair": lambda self, a, rng: tuple(sorted(a))})(6, "abcde")
    limits = Limits(table(6, 5), max_parameters=10)
    brought = bring_in(sorted_space, [(3, 3, 4, 4, 4, 4)] * 50, limits, np.random.default_rng(0), ("a", "c"))
    assert len(brought) == 50
    assert all(list(a) == sorted(a) for a in brought)
    assert not {0, 2} & {k for a in brought for k in a}
    assert limits.admits(as_array(brought)).all()


def test_the_same_random_numbers_bring_in_the_same(chain):
    limits = Limits(table(8, 5), max_parameters=6)
    once, again = (bring_in(chain(8), [(4,) * 8, (3,) * 8], limits, np.random.default_rng(3)) for _ in range(2))
    assert once == again


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


def test_sampling_is_uniform_within_the_limits_where_they_admit_enough(chain):
    space, limits = chain(3), Limits(table(3, 5), max_parameters=3)  # 20 of 125
    admitted = all_architectures(space)[limits.admits(all_architectures(space))].tolist()
    counts = dict.fromkeys(map(tuple, admitted), 0)
    rng = np.random.default_rng(0)
    for _ in range(4000):
        (one,) = sample_distinct(space, rng, 1, set(), limits)
        counts[one] += 1
    assert len(counts) == 20
    assert np.abs(np.array(list(counts.values())) - 200).max() < 4 * np.sqrt(200 * 0.95)


def test_sampling_wastes_no_draws_under_limits_that_admit_one_in_millions(chain, monkeypatch):
    draws = []

    def counted(space, rng):
        draws.append(1)
        return sample(space, rng)

    monkeypatch.setattr("raynas.search.distinct.sample", counted)
    limits = Limits(table(20, 5), max_parameters=8)  # 40 on average, 2.8e-8 of all
    found = sample_distinct(chain(20), np.random.default_rng(0), 50, set(), limits)
    assert len(set(found)) == 50
    assert limits.admits(as_array(found)).all()
    assert len(draws) == PATIENCE
