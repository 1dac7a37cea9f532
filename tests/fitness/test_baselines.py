"""The baselines: what an architecture costs, and chance."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare, kstest, spearmanr

import raynas
from raynas.fitness.baselines import Chance, Cost, LiveMultiplyAdds, baselines_of
from raynas.search_space import AdditiveTable, as_array, sample
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.costs import cost_table
from tests.stages.chain_space import ChainSpace

EVERY = list(itertools.product(range(5), repeat=6))
INDICATORS = np.concatenate([as_array(EVERY) == k for k in range(5)], axis=1).T.astype(float)


# Cost


def test_the_fitness_is_the_number_of_parameters_of_the_derived_network():
    space = NasBench201(channels=3, cells=1)
    cost = Cost(cost_table(space, 8, 7), "num_parameters")
    architectures = EVERY[::1500]
    expected = [[sum(p.numel() for p in space.build_network(a, 7).parameters())] for a in architectures]
    values = cost(architectures)
    assert values.tolist() == expected
    assert values.dtype == np.float64 and cost.quantities == ("fitness",)


def test_the_fitness_is_the_number_of_multiply_adds():
    space = ChainSpace(channels=4, blocks=3)
    cost = Cost(cost_table(space, 8, 10), "multiply_adds")
    always = 3 * 4 * 9 * 64 + 4 * 10 + 10  # the stem, and the classifier with its bias
    assert (cost([(0, 0, 0), (1, 0, 0), (1, 1, 1)]) - always).tolist() == [[3 * 1024], [11 * 1024], [27 * 1024]]


def test_what_costs_more_is_fitter():
    space = NasBench201()
    for quantity in ("num_parameters", "multiply_adds"):
        pool, one, three = Cost(cost_table(space, 32, 10), quantity)([(4,) * 6, (2,) * 6, (3,) * 6])[:, 0]
        assert pool < one < three


def test_counts_of_billions_are_exact():
    terms = np.array([[[2**50 + 1], [3]]])
    assert Cost(AdditiveTable(("multiply_adds",), np.array([2**51]), terms), "multiply_adds")([(0,)])[0, 0] == (
        3 * 2**50 + 1
    )


# Chance


def test_chance_is_uniform_and_tells_all_architectures_apart():
    values = Chance(0)(EVERY)[:, 0]
    assert values.dtype == np.float64 and 0 <= values.min() and values.max() < 1
    assert len(np.unique(values)) == len(EVERY)
    assert kstest(values, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("seed", [0, 1, 2, 10])
def test_chance_knows_of_no_operation(seed):
    ranks = Chance(seed)(EVERY)[:, 0].argsort().argsort()
    correlations = [np.corrcoef(ranks, indicator)[0, 1] for indicator in INDICATORS]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(len(EVERY))
    best = INDICATORS[:, ranks >= len(EVERY) - 1000].reshape(5, 6, -1).sum(axis=-1)
    assert chisquare(best).pvalue.min() > 1e-4


def test_chances_of_different_seeds_have_nothing_in_common():
    values = [Chance(seed)(EVERY)[:, 0] for seed in (0, 1, 2, 7, 10, 11, 123)]
    for one, other in itertools.combinations(values, 2):
        assert abs(spearmanr(one, other).statistic) < 4.5 / np.sqrt(len(EVERY))


def test_chance_is_the_same_in_any_company_process_and_integer_type():
    chance = Chance(3)
    whole = chance(EVERY[:30])
    assert np.concatenate([chance([a]) for a in EVERY[:30]]).tobytes() == whole.tobytes()
    assert chance(list(as_array(EVERY[:30]))).tobytes() == whole.tobytes()
    assert chance([[0, 0, 0, 0, 0, 4]]).tobytes() == whole[4].tobytes()
    code = "from raynas.fitness.baselines import Chance; print(Chance(3)([(0, 0, 0, 0, 0, 4)])[0, 0])"
    environment = {**os.environ, "PYTHONPATH": str(Path(raynas.__file__).parents[1]), "PYTHONHASHSEED": "17"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert float(done.stdout) == whole[4, 0]


def test_chance_keeps_long_architectures_and_many_candidates_apart():
    others = [(1, 11), (11, 1), (1, 1, 1), (111,), (1, 1), (0,) * 60, (0,) * 61]
    assert len(np.unique(Chance(0)(others))) == len(others)
    assert Chance(1)([(1, 2)]) != Chance(11)([(2,)])


def paths_of(cell, operations):
    """Returns the edges on every path without `none` from input to output of a NAS-Bench-201 cell."""
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    nodes = [0], [0, 1], [0, 2], [0, 1, 2]
    found = []
    for middle in nodes:
        path = [edges.index(pair) for pair in itertools.pairwise([*middle, 3])]
        if all(operations[cell[edge]] != "none" for edge in path):
            found.append(path)
    return found


def test_live_multiply_adds_are_those_of_the_candidates_on_a_path_from_the_input_to_the_output():
    space = NasBench201(channels=4, cells=2)
    table = cost_table(space, 8, 10)
    column = table.quantities.index("multiply_adds")
    operations = space.choices[0].candidates
    cells = [sample(space, np.random.default_rng(seed)) for seed in range(200)]
    expected = []
    for cell in cells:
        live = set(itertools.chain.from_iterable(paths_of(cell, operations)))
        terms = [table.terms[edge, cell[edge], column] for edge in live]
        expected.append(table.fixed[column] + sum(terms))
    found = LiveMultiplyAdds(space, table)(cells)[:, 0]
    assert found.tolist() == expected
    assert (found < Cost(table, "multiply_adds")(cells)[:, 0]).any()


def test_in_a_chain_every_candidate_is_live_and_the_baseline_is_left_out():
    names = [row.name for row in baselines_of(MobileNet())]
    assert names == ["num_parameters", "multiply_adds", "random"]
    assert "live_multiply_adds" in [row.name for row in baselines_of(NasBench201())]
