"""The order of architectures and the counts a user writes."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.search import order
from raynas.search.searcher import Turns, check_whole


def test_order_is_best_first():
    assert order([(0,), (1,), (2,)], np.array([0.1, 0.3, 0.2])).tolist() == [1, 2, 0]


def test_ties_go_to_the_lexicographically_smaller_architecture():
    architectures = [(1, 0, 0), (0, 9, 9), (0, 10, 0), (0, 9, 8)]
    assert order(architectures, np.zeros(4)).tolist() == [3, 1, 2, 0]


def test_order_equals_sorting_by_fitness_then_architecture():
    rng = np.random.default_rng(0)
    architectures = [tuple(a) for a in rng.integers(0, 3, (500, 5)).tolist()]
    fitness = rng.integers(-2, 3, 500) / 4
    expected = sorted(range(500), key=lambda i: (-fitness[i], architectures[i]))
    ranked = order(architectures, fitness)
    assert [(fitness[i], architectures[i]) for i in ranked] == [(fitness[i], architectures[i]) for i in expected]


def test_order_does_not_depend_on_the_order_given():
    architectures = [(i // 4, i % 4) for i in range(16)]
    fitness = np.array([i % 3 for i in range(16)], dtype=float)
    shuffled = np.random.default_rng(1).permutation(16)
    ranked = shuffled[order([architectures[i] for i in shuffled], fitness[shuffled])]
    assert ranked.tolist() == order(architectures, fitness).tolist()


def test_minus_zero_ties_with_zero():
    assert order([(1,), (0,)], np.array([0.0, -0.0])).tolist() == [1, 0]


def test_nothing_is_in_order():
    assert order([], np.empty(0)).tolist() == []


@pytest.mark.parametrize("value", [1, 3.0, "3", None, True])
def test_what_is_no_whole_number_or_too_small_is_refused(value):
    with pytest.raises(ValueError, match="search.select is a whole number of at least 2, got"):
        check_whole("search.select", value, 2)


def test_a_whole_number_of_numpy_becomes_an_int():
    assert type(check_whole("search.select", np.int64(2), 2)) is int


def test_an_empty_generation_ends_no_turn():
    turns = Turns()
    turns.start()
    assert turns.asked([]) == []
    assert turns.start() == 0
    with pytest.raises(RuntimeError, match="before ask"):
        turns.told([], np.empty(0))
