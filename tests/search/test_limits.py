"""Limits on the costs of an architecture, and how they explain themselves."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.search import Limits
from raynas.search_space import AdditiveTable

TABLE = AdditiveTable(
    quantities=("num_parameters", "multiply_adds"),
    fixed=np.array([100, 7_000_000]),
    terms=np.array([[[0, 0], [10, 800_000], [20, 1_600_000]], [[0, 800_000], [5, 2_000_000], [0, 0]]]),
)
ALL = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]])
PARAMETERS = [100, 105, 110, 115, 120, 125]


@pytest.mark.parametrize(
    ("bounds", "admitted"),
    [
        ({}, [1, 1, 1, 1, 1, 1]),
        ({"max_parameters": 110}, [1, 1, 1, 0, 0, 0]),
        ({"min_parameters": 110}, [0, 0, 1, 1, 1, 1]),
        ({"max_multiply_adds": 8.6e6}, [1, 0, 1, 0, 0, 0]),
        ({"min_multiply_adds": 9e6}, [0, 1, 0, 1, 1, 1]),
        ({"min_parameters": 101, "max_multiply_adds": 8.6e6}, [0, 0, 1, 0, 0, 0]),
        ({"min_parameters": 110, "max_parameters": 110}, [0, 0, 1, 0, 0, 0]),
    ],
)
def test_limits_admit_what_lies_within_both_ends_included(bounds, admitted):
    assert Limits(TABLE, **bounds).admits(ALL).tolist() == [bool(x) for x in admitted]


def test_limits_admit_nothing_of_nothing():
    assert Limits(TABLE, max_parameters=1).admits(np.empty((0, 2), dtype=np.int64)).shape == (0,)


def test_an_upper_limit_names_itself_the_smallest_cost_and_the_remedy():
    assert Limits(TABLE, max_multiply_adds=1e6).explain(np.repeat(ALL, 1000, axis=0)) == (
        "search.limits.max_multiply_adds: 1.0e6 admits none of 6,000 sampled architectures (smallest seen: 7.8e6); "
        "raise the limit"
    )


def test_a_lower_limit_names_the_largest_cost():
    assert Limits(TABLE, min_parameters=1000).explain(ALL) == (
        "search.limits.min_parameters: 1.0e3 admits none of 6 sampled architectures (largest seen: 1.25e2); "
        "lower the limit"
    )


def test_the_limit_that_excludes_most_is_named():
    message = Limits(TABLE, max_parameters=120, min_parameters=115, max_multiply_adds=1e6).explain(ALL)
    assert message.startswith("search.limits.max_multiply_adds")


def test_limits_that_only_together_admit_nothing_say_so():
    assert Limits(TABLE, max_parameters=100, min_multiply_adds=9e6).explain(ALL) == (
        "search.limits.max_parameters: 1.0e2 admits 1 of 6 sampled architectures (smallest seen: 1.0e2) and the other "
        "limits none of these; raise the limit"
    )


@pytest.mark.parametrize("bound", ["600e6", float("nan"), float("inf"), -1, True, [1]])
def test_a_bound_that_is_no_cost_is_refused(bound):
    with pytest.raises(ValueError, match="search.limits.max_multiply_adds is a number of at least 0, got"):
        Limits(TABLE, max_multiply_adds=bound)


def test_a_minimum_above_its_maximum_is_refused():
    with pytest.raises(ValueError, match=r"min_parameters: 2.0e1 exceeds search.limits.max_parameters: 1.0e1"):
        Limits(TABLE, min_parameters=20, max_parameters=10)


def test_a_quantity_the_space_does_not_state_is_refused():
    table = AdditiveTable(("num_parameters",), TABLE.fixed[:1], TABLE.terms[..., :1])
    with pytest.raises(ValueError, match="max_multiply_adds bounds multiply_adds, but the space states only num_param"):
        Limits(table, max_multiply_adds=1)
    assert Limits(table, max_parameters=110).admits(ALL).sum() == 3


SECONDS = AdditiveTable(
    quantities=("num_parameters", "latency"),
    fixed=np.array([100, 2e-3]),
    terms=np.array([[[0, 0], [10, 1e-3]], [[0, 0], [5, 4e-3]]]),
)
PAIRS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


@pytest.mark.parametrize(
    ("bounds", "admitted"),
    [
        ({"max_latency": 3e-3}, [1, 0, 1, 0]),
        ({"min_latency": 3e-3}, [0, 1, 1, 1]),
        ({"min_latency": 2.5e-3, "max_latency": 6e-3, "max_parameters": 105}, [0, 1, 0, 0]),
    ],
)
def test_latency_is_limited_in_seconds(bounds, admitted):
    assert Limits(SECONDS, **bounds).admits(PAIRS).tolist() == [bool(x) for x in admitted]


def test_a_limit_on_latency_names_itself_in_seconds():
    assert Limits(SECONDS, max_latency=1.5e-3).explain(PAIRS) == (
        "search.limits.max_latency: 1.5e-3 admits none of 4 sampled architectures (smallest seen: 2.0e-3); "
        "raise the limit"
    )
    with pytest.raises(ValueError, match="min_latency: 2.0e-3 exceeds search.limits.max_latency: 1.0e-3"):
        Limits(SECONDS, min_latency=2e-3, max_latency=1e-3)


def test_a_limit_on_latency_needs_a_table_that_holds_it():
    with pytest.raises(ValueError, match="max_latency bounds latency, but the space states only num_parameters, multi"):
        Limits(TABLE, max_latency=1e-3)


def test_the_excess_is_the_share_by_which_the_limits_are_missed():
    limits = Limits(TABLE, max_parameters=100, min_multiply_adds=9e6)
    multiply_adds = [7.8e6, 9e6, 8.6e6, 9.8e6, 9.4e6, 10.6e6]
    expected = [(p - 100) / 100 + max(0, 9e6 - m) / 9e6 for p, m in zip(PARAMETERS, multiply_adds, strict=True)]
    assert np.allclose(limits.excess(ALL), expected, rtol=1e-12)
    assert Limits(TABLE, max_parameters=0).excess(ALL).tolist() == PARAMETERS


def test_the_excess_is_zero_just_where_the_limits_admit():
    limits = Limits(TABLE, min_parameters=105, max_multiply_adds=9.4e6)
    assert ((limits.excess(ALL) == 0) == limits.admits(ALL)).all()


def test_what_is_kept_is_told_limit_by_limit():
    limits = Limits(TABLE, max_parameters=110, min_parameters=105)
    assert limits.kept(ALL).tolist() == [[p <= 110 for p in PARAMETERS], [p >= 105 for p in PARAMETERS]]
    assert list(limits.stated()) == ["max_parameters", "min_parameters"]


def test_architectures_may_be_described_otherwise():
    message = Limits(TABLE, max_multiply_adds=1e6).explain(ALL, "the 6 architectures")
    assert "admits none of the 6 architectures (smallest seen: 7.8e6)" in message
