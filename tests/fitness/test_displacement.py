"""The displacement against the weights themselves, gathered operation by operation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raynas.fitness.angle import Displacement, angle_table
from raynas.search_space import as_array, sample
from raynas.spaces.nasbench201 import NasBench201
from tests.fitness.weights import random_weights
from tests.spaces.textbook import EDGES, PATHS

SPACE = NasBench201(channels=3, cells=2)


@pytest.fixture(scope="module")
def weights():
    return random_weights(SPACE, 1), random_weights(SPACE, 2)


def moved(before, after, architecture):
    """Returns the length of all that moved on live paths, each edge once, cell by cell."""
    live = {edge for path in PATHS if all(architecture[EDGES[e]] for e in path) for edge in path}
    names = {2: "nor_conv_1x1", 3: "nor_conv_3x3"}
    parts = [torch.zeros(1, dtype=torch.float64)]
    for cell in range(6):
        for edge in live:
            if (k := architecture[EDGES[edge]]) in names:
                name = f"cells.{cell}.edges.{EDGES[edge]}.{names[k]}.conv.weight"
                parts.append((after[name] - before[name]).flatten())
    return torch.cat(parts).norm().item()


@pytest.mark.parametrize("definition", ["paper"])
def test_it_is_the_length_of_what_moved_on_live_paths_each_operation_once(weights, definition):
    displacement = Displacement(SPACE, angle_table(SPACE, *weights, definition))
    rng = np.random.default_rng(0)
    architectures = [(0,) * 6, (3,) * 6, (4,) * 6, (1,) * 6, *(sample(SPACE, rng) for _ in range(60))]
    expected = [moved(*weights, architecture) for architecture in architectures]
    values = displacement(architectures)
    assert values.shape == (64, 1)
    assert values[:, 0] == pytest.approx(expected, abs=1e-6)
    assert len(set(np.round(expected, 6))) > 30


def test_dead_operations_and_those_without_weights_add_nothing(weights):
    displacement = Displacement(SPACE, angle_table(SPACE, *weights, "paper"))
    alone = displacement([(0, 0, 0, 3, 0, 0)])[0, 0]
    assert alone > 1
    same = displacement([(3, 0, 0, 3, 0, 0), (0, 0, 3, 3, 0, 3), (1, 0, 0, 3, 1, 0), (4, 4, 4, 3, 4, 4)])
    assert same[:, 0] == pytest.approx(alone, abs=1e-7)


def test_nothing_moves_where_nothing_was_trained(weights):
    before, _ = weights
    values = Displacement(SPACE, angle_table(SPACE, before, before, "paper"))([(3,) * 6, (2, 3, 4, 2, 3, 4)])
    assert (values < 1e-5).all()
    assert Displacement(SPACE, angle_table(SPACE, before, before, "paper"))([]).shape == (0, 1)
    assert as_array([]).shape == (0, 0)
