"""How far alphas have decided, and how often what they derive changed, against the definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from raynas.records.alpha_rows import changes_in, decidedness_of

NAN = math.nan


def test_largest_weight_and_entropy_are_means_over_the_choices_with_several_candidates() -> None:
    # Three choices of 3, 1 and 2 candidates, before the first epoch and after it.
    values = np.array(
        [[[0.0, 0.0, 0.0], [5.0, NAN, NAN], [0.0, 0.0, NAN]], [[2, -1, 0.5], [9, NAN, NAN], [1, -2, NAN]]]
    )
    decidedness = decidedness_of(values)
    assert decidedness is not None
    first, second = softmax([2, -1, 0.5]), softmax([1, -2])
    assert decidedness.largest == pytest.approx([(1 / 3 + 1 / 2) / 2, (first.max() + second.max()) / 2])
    assert decidedness.entropy == pytest.approx([np.log([3, 2]).mean(), (entropy(first) + entropy(second)) / 2])
    assert decidedness.uniform == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert decidedness.most_entropy == pytest.approx(np.log([3, 2]).mean())


def test_equal_candidates_are_0_decided_and_one_candidate_each_is_1() -> None:
    values = np.array([np.zeros((6, 5)), 200.0 * np.eye(6, 5)])
    values[1, 5, 2] = 200.0
    decidedness = decidedness_of(values)
    assert decidedness is not None
    assert decidedness.share == pytest.approx([0.0, 1.0])
    assert decidedness.entropy == pytest.approx([math.log(5), 0.0])


def test_choices_of_one_candidate_have_nothing_to_decide() -> None:
    assert decidedness_of(np.zeros((3, 4, 1))) is None


@pytest.mark.parametrize(("epochs", "changes"), [(1, 1), (2, 1), (3, 2), (5, 3), (99, 3)])
def test_changes_of_the_derived_architecture_are_counted_over_the_last_epochs(epochs: int, changes: int) -> None:
    derived = [(0, 1), (0, 1), (0, 2), (1, 2), (1, 2), (0, 1)]
    assert changes_in(derived, epochs) == changes
