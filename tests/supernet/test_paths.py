"""Which paths a step trains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from raynas.search_space import as_array
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.routes import fair_paths, uniform_paths
from tests.supernet.toys import Toy

PATHS = {"uniform": uniform_paths, "fair": fair_paths}
SPACES = {"nasbench201": NasBench201(), "toy": Toy()}


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


@pytest.mark.parametrize("sampling", PATHS)
@pytest.mark.parametrize("cells", [1, 2, 15])
def test_paths_are_a_function_of_seed_and_step_in_any_order_of_calls(space, sampling, cells):
    rule = PATHS[sampling]
    forwards = {step: rule(space, 3, step, cells) for step in range(30)}
    np.random.default_rng(0).random(7)
    backwards = {step: rule(space, 3, step, cells) for step in reversed(range(30))}
    assert forwards == backwards
    assert len({repr(paths) for paths in forwards.values()}) > 12
    others = {step: rule(space, 4, step, cells) for step in range(30)}
    assert sum(others[step] == forwards[step] for step in range(30)) < 6


@pytest.mark.parametrize("sampling", PATHS)
def test_neighbouring_seeds_and_steps_share_no_paths(sampling):
    space = NasBench201()
    paths = [repr(PATHS[sampling](space, seed, step, 15)) for seed in range(12) for step in range(12)]
    assert len(set(paths)) == 144


@pytest.mark.parametrize("sampling", PATHS)
@pytest.mark.parametrize("cells", [1, 2, 15])
def test_a_path_is_one_legal_architecture_per_cell(space, sampling, cells):
    for step in range(10):
        for path in PATHS[sampling](space, 0, step, cells):
            assert len(path) == cells
            assert all(space.check(architecture) == architecture for architecture in path)
            assert all(type(k) is int for architecture in path for k in architecture)


@pytest.mark.parametrize("sampling", PATHS)
def test_cells_draw_paths_of_their_own(sampling):
    space = NasBench201()
    paths = [path for step in range(50) for path in PATHS[sampling](space, 0, step, 4)]
    for one, other in ((0, 1), (1, 2), (0, 3)):
        same = np.mean([path[one][5] == path[other][5] for path in paths])
        assert 0.08 < same < 0.36  # one in five by chance


def test_uniform_is_one_path_a_step(space):
    assert {len(uniform_paths(space, 0, step, 3)) for step in range(20)} == {1}


def test_uniform_paths_take_every_candidate_equally_often():
    counts = Toy.counts
    drawn = as_array([uniform_paths(Toy(), 1, step, 1)[0][0] for step in range(6_000)])
    joint = np.ravel_multi_index(drawn.T, counts)
    assert chisquare(np.bincount(joint, minlength=24)).pvalue > 1e-3


def test_uniform_paths_of_nasbench201_are_uniform_over_those_that_feed_every_node():
    steps, cells = 2_000, 5
    drawn = as_array([a for step in range(steps) for a in uniform_paths(NasBench201(), 7, step, cells)[0]])
    assert len(drawn) == steps * cells
    for edges in ((0,), (1, 2), (3, 4, 5)):
        codes = np.ravel_multi_index(drawn[:, edges].T, (5,) * len(edges))
        counts = np.bincount(codes, minlength=5 ** len(edges))
        assert counts[0] == 0
        assert chisquare(counts[1:]).pvalue > 1e-3


def test_fair_paths_train_every_candidate_of_every_choice_exactly_once_a_step():
    for step in range(40):
        paths = fair_paths(NasBench201(), 2, step, 3)
        assert len(paths) == 5
        for cell in range(3):
            for edge in range(6):
                assert sorted(path[cell][edge] for path in paths) == [0, 1, 2, 3, 4]


def test_fair_paths_of_ragged_choices_start_over_after_each_candidate_was_trained_once():
    for step in range(40):
        paths = fair_paths(Toy(), 2, step, 2)
        assert len(paths) == max(Toy.counts)
        for cell in range(2):
            for choice, count in enumerate(Toy.counts):
                taken = [path[cell][choice] for path in paths]
                assert sorted(taken[:count]) == list(range(count))
                assert taken[count:] == taken[: len(taken) - count]


def test_fair_paths_take_every_order_equally_often():
    orders = [tuple(path[0][1] for path in fair_paths(Toy(), 5, step, 1)[:3]) for step in range(3_000)]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6 and chisquare(counts).pvalue > 1e-3
    first = as_array([fair_paths(Toy(), 5, step, 1)[0][0] for step in range(3_000)])
    joint = np.bincount(np.ravel_multi_index(first.T, Toy.counts), minlength=24)
    assert chisquare(joint).pvalue > 1e-3  # the choices are independent
