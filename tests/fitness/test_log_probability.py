"""How probable the alphas hold an architecture to be, in closed form."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.special import softmax

from raynas.fitness.baselines import Cost
from raynas.fitness.log_probability import log_probabilities
from raynas.search_space import as_array

ALPHAS = [np.array([0.3, -2.0]), np.array([1.0, 0.0, 5.0]), np.array([0.0, 0.1, -0.1, 30.0])]
EVERY = list(itertools.product(range(2), range(3), range(4)))


def fitness(alphas):
    return Cost(log_probabilities([softmax(alpha) for alpha in alphas]), "log_probability")


def test_it_is_the_sum_of_the_logarithms_of_the_softmax():
    values = fitness(ALPHAS)(EVERY)
    assert values.shape == (24, 1) and values.dtype == np.float64
    for architecture, (value,) in zip(EVERY, values, strict=True):
        expected = sum(a[k] - math.log(np.exp(a).sum()) for a, k in zip(ALPHAS, architecture, strict=True))
        assert value == pytest.approx(expected, rel=1e-12)


def test_all_architectures_together_have_the_probability_of_one():
    table = log_probabilities([softmax(alpha) for alpha in ALPHAS])
    assert np.exp(table.total(as_array(EVERY))).sum() == pytest.approx(1, abs=1e-12)
    assert table.quantities == ("log_probability",)


def test_the_most_probable_is_the_largest_of_every_choice():
    best = EVERY[int(fitness(ALPHAS)(EVERY)[:, 0].argmax())]
    assert best == tuple(int(alpha.argmax()) for alpha in ALPHAS)


def test_what_is_impossible_in_double_precision_is_a_finite_number_below_all_others():
    values = fitness([np.array([0.0, 2000.0]), np.array([0.0, 1.0])])([(0, 0), (1, 0), (1, 1)])[:, 0]
    assert np.isfinite(values).all() and values[0] < -700 < values[1] < values[2]
