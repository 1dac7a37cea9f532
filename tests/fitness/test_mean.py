"""Means over supernets, and how far they differ, in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from raynas.fitness import Mean, mean_of
from raynas.fitness.angle import Angle, angle_table
from raynas.search_space import sample
from raynas.spaces.nasbench201 import NasBench201
from tests.fitness.weights import plain_angle, random_weights

rng = np.random.default_rng(0)
ARCHITECTURES = [tuple(row) for row in rng.integers(0, 5, (40, 6)).tolist()]


class Part:
    """One supernet's numbers: a fitness of a hundred or so, and others beside it."""

    def __init__(self, number, quantities=("fitness", "accuracy", "loss")):
        self.number = number
        self.quantities = quantities

    def __call__(self, architectures):
        rows = [np.random.default_rng([self.number, *a]).normal(100, 5, len(self.quantities)) for a in architectures]
        return np.array(rows).reshape(-1, len(self.quantities))


def exactly(values):
    """Returns mean and sample deviation of floats, each rounded once or twice."""
    values = [Fraction(value) for value in values]
    mean = sum(values) / len(values)
    return float(mean), math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


@pytest.mark.parametrize("number", [2, 3, 8, 20])
@pytest.mark.parametrize("quantities", [("fitness",), ("fitness", "accuracy", "loss")])
def test_every_quantity_is_the_mean_and_the_spread_is_the_sample_deviation_of_the_fitness(number, quantities):
    parts = [Part(i, quantities) for i in range(number)]
    mean = Mean(parts)
    values = mean(ARCHITECTURES)
    assert mean.quantities == (*quantities, "spread")
    assert values.shape == (40, len(mean.quantities)) and values.dtype == np.float64
    for row, architecture in zip(values, ARCHITECTURES, strict=True):
        each = np.concatenate([part([architecture]) for part in parts])
        means, deviations = zip(*(exactly(column) for column in each.T.tolist()), strict=True)
        np.testing.assert_allclose(row[:-1], means, rtol=1e-15)
        assert row[-1] == pytest.approx(deviations[0], rel=1e-12)


@pytest.mark.parametrize("number", [2, 7, 8, 9, 20])
@pytest.mark.parametrize("quantities", [("fitness",), ("fitness", "accuracy", "loss")])
def test_neither_order_nor_company_changes_a_bit_however_many_supernets(number, quantities):
    mean = Mean([Part(i, quantities) for i in range(number)])
    whole = mean(ARCHITECTURES)
    for size in (1, 2, 7, 39):
        parts = [mean(ARCHITECTURES[start : start + size]) for start in range(0, 40, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert mean(ARCHITECTURES[::-1])[::-1].tobytes() == whole.tobytes()


def test_supernets_that_agree_have_no_spread():
    values = Mean([Part(1), Part(1), Part(1)])(ARCHITECTURES)
    np.testing.assert_allclose(values[:, :3], Part(1)(ARCHITECTURES), rtol=1e-15)
    np.testing.assert_allclose(values[:, 3], 0, atol=1e-13)


def test_no_architectures_have_no_means():
    assert Mean([Part(0), Part(1)])([]).shape == (0, 4)


def test_the_mean_of_one_supernet_is_that_fitness_itself():
    part = Part(0)
    assert mean_of([part]) is part
    assert mean_of([part, Part(1)]).quantities == ("fitness", "accuracy", "loss", "spread")


def test_the_mean_of_angles_is_that_of_vectors_built_in_full():
    space = NasBench201(channels=4, cells=1)
    weights = [random_weights(space, seed) for seed in range(4)]
    pairs = [(weights[0], trained) for trained in weights[1:]]
    generator = np.random.default_rng(0)
    architectures = [(0,) * 6, *(sample(space, generator) for _ in range(12))]
    values = mean_of([Angle(space, angle_table(space, *pair, "official")) for pair in pairs])(architectures)
    each = [[plain_angle(*pair, a, 4, 1, "official") for pair in pairs] for a in architectures]
    np.testing.assert_allclose(values, [exactly(angles) for angles in each], rtol=0, atol=1e-9)
    assert values[0].tolist() == [0.0, 0.0] and values[1:, 1].max() > 0.005
