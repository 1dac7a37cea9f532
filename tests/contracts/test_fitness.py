"""What every fitness promises: one finite number an architecture, whatever else is asked along with it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from raynas.fitness.angle import Angle, angle_table
from raynas.search_space import as_array, sample
from raynas.spaces.nasbench201 import NasBench201
from tests.fitness.weights import random_weights

SPACE = NasBench201(channels=4, cells=1)


def angle(definition, tables=1):
    weights = [random_weights(SPACE, seed, torch.float32) for seed in range(tables + 1)]
    return Angle(SPACE, [angle_table(SPACE, weights[0], trained, definition) for trained in weights[1:]])


FITNESSES = {
    "angle, paper": lambda: angle("paper"),
    "angle, official": lambda: angle("official"),
    "angle, three supernets": lambda: angle("official", tables=3),
}


@pytest.fixture(scope="module", params=FITNESSES)
def fitness(request):
    return FITNESSES[request.param]()


@pytest.fixture(scope="module")
def architectures():
    rng = np.random.default_rng(0)
    return [(0,) * 6, (1,) * 6, (3,) * 6, *(sample(SPACE, rng) for _ in range(60))]


def test_a_fitness_is_one_finite_float64_an_architecture(fitness, architectures):
    values = fitness(architectures)
    assert isinstance(values, np.ndarray)
    assert values.shape == (63,) and values.dtype == np.float64
    assert np.isfinite(values).all()
    assert len(np.unique(values)) > 20


def test_neither_order_nor_company_changes_a_bit(fitness, architectures):
    whole = fitness(architectures)
    assert np.concatenate([fitness([a]) for a in architectures]).tobytes() == whole.tobytes()
    parts = [fitness(architectures[start : start + 7]) for start in range(0, 63, 7)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    order = np.random.default_rng(1).permutation(63)
    assert fitness([architectures[i] for i in order]).tobytes() == whole[order].tobytes()
    assert fitness(architectures * 2).tobytes() == np.tile(whole, 2).tobytes()


def test_architectures_as_a_json_file_gives_them_back_have_the_same_fitness(fitness, architectures):
    assert fitness([list(a) for a in architectures]).tobytes() == fitness(architectures).tobytes()


def test_evaluating_changes_neither_the_architectures_nor_later_evaluations(fitness, architectures):
    given = list(architectures)
    first = fitness(given)
    kept = first.copy()
    first[:] = -1
    assert given == architectures
    assert fitness(architectures).tobytes() == kept.tobytes()


def test_a_pickled_fitness_gives_the_same_bits(fitness, architectures):
    assert pickle.loads(pickle.dumps(fitness))(architectures).tobytes() == fitness(architectures).tobytes()


def test_the_same_ingredients_make_the_same_fitness(request, fitness, architectures):
    again = FITNESSES[request.node.callspec.params["fitness"]]()
    assert again(architectures).tobytes() == fitness(architectures).tobytes()


def test_no_architectures_have_no_fitness(fitness):
    assert fitness([]).shape == (0,)


def test_the_generator_of_torch_and_numpy_are_left_alone(fitness, architectures):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    fitness(architectures)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    assert as_array(architectures).shape == (63, 6)
