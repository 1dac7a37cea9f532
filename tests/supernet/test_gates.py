"""Gates: the three modes as values, and the frequencies of a hard sample."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from raynas.supernet.gates import Gate, hard_sample, mixture, per_cell, single_path


def test_a_single_path_runs_each_choices_candidate_without_weights():
    gates = single_path((3, 0, 12))
    assert [gate.active for gate in gates] == [(3,), (0,), (12,)]
    assert all(gate.weights is None for gate in gates)
    assert single_path((3, 0, 12)) == gates and pickle.loads(pickle.dumps(gates)) == gates


def test_a_mixture_weighs_all_candidates_by_the_softmax_of_alpha():
    alphas = [torch.tensor(values, dtype=torch.float64) for values in ([0.0, math.log(3.0)], [1.0, 1.0, 1.0, 1.0])]
    two, four = mixture(alphas)
    assert (two.active, four.active) == ((0, 1), (0, 1, 2, 3))
    torch.testing.assert_close(two.weights, torch.tensor([0.25, 0.75], dtype=torch.float64))
    torch.testing.assert_close(four.weights, torch.full((4,), 0.25, dtype=torch.float64))


def test_a_mixtures_weights_have_the_jacobian_of_the_softmax():
    alpha = torch.tensor([0.3, -1.0, 0.8], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda a: mixture([a])[0].weights, alpha)
    p = alpha.exp() / alpha.exp().sum()
    torch.testing.assert_close(jacobian, torch.diag(p) - torch.outer(p, p))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_a_hard_sample_follows_the_softmax_of_alpha_at_any_temperature(temperature):
    alpha = torch.tensor([0.5, -1.0, 0.0, 1.2, -0.3], dtype=torch.float64)
    number = 6_000
    gates = hard_sample([alpha] * number, temperature, torch.Generator().manual_seed(4))
    drawn = np.array([gate.active for gate in gates])
    assert drawn.shape == (number, 1)
    p = np.exp(alpha.numpy()) / np.exp(alpha.numpy()).sum()
    assert chisquare(np.bincount(drawn[:, 0], minlength=5), number * p).pvalue > 1e-3
    pairs = np.bincount(5 * drawn[:-1:2, 0] + drawn[1::2, 0], minlength=25)  # neighbouring choices are independent
    assert chisquare(pairs, number / 2 * np.outer(p, p).ravel()).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_hard_samples_weight_is_one(dtype):
    alpha = torch.randn(5, generator=torch.Generator().manual_seed(0), dtype=dtype)
    gates = hard_sample([alpha] * 500, 0.7, torch.Generator().manual_seed(1))
    assert all(gate.weights.shape == (1,) and gate.weights.dtype == dtype for gate in gates)
    assert max(abs(gate.weights.item() - 1.0) for gate in gates) <= 2 * torch.finfo(dtype).eps


def test_a_hard_samples_weight_is_one_to_the_bit():
    alpha = torch.randn(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gates = hard_sample([alpha] * 500, 0.7, torch.Generator().manual_seed(1))
    assert {gate.weights.item() for gate in gates} == {1.0}


def test_a_hard_samples_gradient_is_sharper_at_low_temperature_and_sums_to_zero():
    largest = []
    for temperature in (10.0, 1.0):
        alpha = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64, requires_grad=True)
        (gate,) = hard_sample([alpha], temperature, torch.Generator().manual_seed(0))
        gate.weights.backward()
        assert alpha.grad.sum().item() == pytest.approx(0, abs=1e-15)
        assert alpha.grad[gate.active[0]] > 0
        largest.append(alpha.grad.abs().max().item())
    assert largest[1] > 3 * largest[0]


def test_a_hard_sample_is_drawn_by_the_generator_given():
    alphas = [torch.zeros(5)] * 40

    def draw(seed):
        return [gate.active for gate in hard_sample(alphas, 1.0, torch.Generator().manual_seed(seed))]

    assert draw(1) == draw(1) != draw(2)


def test_a_hard_sample_without_a_generator_follows_the_global_seed():
    with torch.random.fork_rng():
        drawn = []
        for _ in range(2):
            torch.manual_seed(9)
            drawn.append([gate.active for gate in hard_sample([torch.zeros(5)] * 40, 1.0)])
    assert drawn[0] == drawn[1]


def test_one_route_is_repeated_for_every_cell():
    route = single_path((1, 2))
    assert list(per_cell(route, 3)) == [route, route, route]
    assert list(per_cell(list(route), 2)) == [list(route)] * 2


def test_routes_for_every_cell_are_left_as_they_are():
    routes = [single_path((1, 2)), single_path((0, 0))]
    assert list(per_cell(routes, 2)) == routes
    assert list(per_cell(tuple(routes), 2)) == routes


@pytest.mark.parametrize("number", [1, 3])
def test_routes_for_another_number_of_cells_are_refused(number):
    with pytest.raises(ValueError, match=rf"gates of one route or of 2 \(one per cell\), got {number} routes"):
        per_cell([single_path((1, 2))] * number, 2)


def test_a_gate_is_a_value():
    gate = Gate((1,))
    assert gate == Gate((1,)) != Gate((2,)) and hash(gate) == hash(Gate((1,)))
    with pytest.raises(AttributeError):
        gate.active = (2,)
