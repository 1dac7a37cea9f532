"""Gates: the three modes as values, and the frequencies of a hard sample."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from raynas.spaces.nasbench201 import GRAPH, OPERATIONS, Cell
from raynas.supernet.choice_block import Zero
from raynas.supernet.gates import Gate, hard_samples, mixture, per_cell, single_path, two_paths


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
    (gates,) = hard_samples([alpha] * number, temperature, torch.Generator().manual_seed(4))
    drawn = np.array([gate.active for gate in gates])
    assert drawn.shape == (number, 1)
    p = np.exp(alpha.numpy()) / np.exp(alpha.numpy()).sum()
    assert chisquare(np.bincount(drawn[:, 0], minlength=5), number * p).pvalue > 1e-3
    pairs = np.bincount(5 * drawn[:-1:2, 0] + drawn[1::2, 0], minlength=25)  # neighbouring choices are independent
    assert chisquare(pairs, number / 2 * np.outer(p, p).ravel()).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_hard_samples_weight_is_one(dtype):
    alpha = torch.randn(5, generator=torch.Generator().manual_seed(0), dtype=dtype)
    (gates,) = hard_samples([alpha] * 500, 0.7, torch.Generator().manual_seed(1))
    assert all(gate.weights.shape == (1,) and gate.weights.dtype == dtype for gate in gates)
    assert max(abs(gate.weights.item() - 1.0) for gate in gates) <= 2 * torch.finfo(dtype).eps


def test_a_hard_samples_weight_is_one_to_the_bit():
    alpha = torch.randn(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    (gates,) = hard_samples([alpha] * 500, 0.7, torch.Generator().manual_seed(1))
    assert {gate.weights.item() for gate in gates} == {1.0}


def test_a_hard_samples_gradient_is_sharper_at_low_temperature_and_sums_to_zero():
    largest = []
    for temperature in (10.0, 1.0):
        alpha = torch.tensor([0.5, -1.0, 0.0], dtype=torch.float64, requires_grad=True)
        ((gate,),) = hard_samples([alpha], temperature, torch.Generator().manual_seed(0))
        gate.weights.backward()
        assert alpha.grad.sum().item() == pytest.approx(0, abs=1e-15)
        assert alpha.grad[gate.active[0]] > 0
        largest.append(alpha.grad.abs().max().item())
    assert largest[1] > 3 * largest[0]


def test_a_hard_sample_is_drawn_by_the_generator_given():
    alphas = [torch.zeros(5)] * 40

    def draw(seed):
        return [gate.active for gate in hard_samples(alphas, 1.0, torch.Generator().manual_seed(seed))[0]]

    assert draw(1) == draw(1) != draw(2)


def test_a_hard_sample_without_a_generator_follows_the_global_seed():
    with torch.random.fork_rng():
        drawn = []
        for _ in range(2):
            torch.manual_seed(9)
            drawn.append([gate.active for gate in hard_samples([torch.zeros(5)] * 40, 1.0)[0]])
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


# Through a cell, as the code of GDAS on NAS-Bench-201 states it


EDGES = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]


def literal_cell(cell, x, alphas, temperature, seed, idle):
    """Returns the cell's output and what it sampled: at every edge the sampled operation's output times its weight.

    Under `idle` the weights of all other operations, which are 0, are added one by one. Edge by edge, node by node,
    operations on nodes that receive nothing and all.
    """
    noise = -torch.empty(6, 5, dtype=torch.float64).exponential_(generator=torch.Generator().manual_seed(seed)).log()
    p = torch.softmax((torch.log_softmax(torch.stack(alphas), dim=1) + noise) / temperature, dim=1)
    index = p.argmax(dim=1)
    hard = torch.zeros_like(p).scatter(1, index[:, None], 1.0) - p.detach() + p
    nodes = [x]
    for node in (1, 2, 3):
        total = torch.zeros_like(x)
        for edge, (source, target) in enumerate(EDGES):
            if target != node:
                continue
            for k in range(5):
                if k == index[edge]:
                    operation = cell.edges[edge].candidate(k)
                    out = 0.0 * nodes[source] if isinstance(operation, Zero) else operation(nodes[source])
                    total = total + hard[edge, k] * out
                elif idle:
                    total = total + hard[edge, k]
        nodes.append(total)
    return nodes[3], index.tolist()


def every_node_is_fed(taken):
    """Returns whether something arrives at every node of a cell."""
    fed = {0}
    for (source, target), k in zip(EDGES, taken, strict=True):
        if OPERATIONS[k] != "none" and source in fed:
            fed.add(target)
    return len(fed) == 4


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("idle", [False, True])
@pytest.mark.parametrize("temperature", [0.3, 3.0])
def test_a_hard_samples_gradients_are_those_of_the_weights_multiplied_out(temperature, idle, affine):
    assert GRAPH.edges == tuple(EDGES)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        cell = Cell(4, [OPERATIONS] * 6, affine=affine, track=True).double()
        x, direction = torch.randn(2, 3, 4, 5, 5, dtype=torch.float64)
    seen = set()
    for seed in range(60):
        draw = torch.Generator().manual_seed(seed + 1000)
        alphas = [torch.randn(5, generator=draw, dtype=torch.float64).requires_grad_() for _ in EDGES]
        inputs = [x.clone().requires_grad_(), *alphas, *cell.parameters()]
        expected, taken = literal_cell(cell, inputs[0], alphas, temperature, seed, idle)
        if (affine or not idle) and not every_node_is_fed(taken):
            continue  # the cell does not run what stands on nothing, and would have a constant in the literal code
        seen.add(tuple(taken))
        (gates,) = hard_samples(alphas, temperature, torch.Generator().manual_seed(seed), idle=idle)
        assert [gate.active for gate in gates] == [(k,) for k in taken]
        out = cell(inputs[0], gates)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
        ours, theirs = (
            torch.autograd.grad((y * direction).sum(), inputs, materialize_grads=True) for y in (out, expected)
        )
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
        assert sum(gradient.abs().max() > 0 for gradient in ours[1:7]) >= 1
    assert len(seen) > 25 and sum(0 in taken for taken in seen) > 10, "with none among the sampled"


def test_idle_weights_move_alphas_whose_sampled_operation_passes_nothing():
    """Of an edge with ``none`` the sampled operation tells nothing; the others' weights do."""
    cell, x = Cell(4, [OPERATIONS] * 6, affine=False, track=False).double(), torch.ones(2, 4, 5, 5).double()
    for idle in (False, True):
        alphas = [torch.zeros(5, dtype=torch.float64, requires_grad=True) for _ in EDGES]
        seed = next(
            s
            for s in range(1000)
            if [g.active[0] for g in hard_samples(alphas, 1.0, torch.Generator().manual_seed(s))[0]][:2] == [1, 0]
        )
        (gates,) = hard_samples(alphas, 1.0, torch.Generator().manual_seed(seed), idle=idle)
        gates = (*gates[:2], Gate((1,)), Gate((0,)), Gate((0,)), Gate((1,)))  # in -> 1 -> 2 -> out
        (gradient,) = torch.autograd.grad(cell(x, gates).sum(), alphas[1], materialize_grads=True)
        assert (gradient.abs().max() > 0) == idle
        if idle:
            assert gradient[0] < 0 < gradient[1:].min(), "their sum is 1 minus the sampled one's"


def test_two_paths_are_drawn_without_replacement_by_the_softmax_of_alpha():
    alpha = torch.tensor([0.5, -1.0, 0.0, 1.2], dtype=torch.float64)
    number = 6_000
    (gates,) = two_paths([alpha] * number, torch.Generator().manual_seed(3))
    drawn = np.array([gate.active for gate in gates])
    p = np.exp(alpha.numpy()) / np.exp(alpha.numpy()).sum()
    first_then_second = p[:, None] * p / (1 - p[:, None]) * (1 - np.eye(4))
    counts = np.zeros((4, 4))
    np.add.at(counts, (drawn[:, 0], drawn[:, 1]), 1)
    off = ~np.eye(4, dtype=bool)
    assert (counts[~off] == 0).all()
    assert chisquare(counts[off], number * first_then_second[off]).pvalue > 1e-3


def test_two_paths_are_weighted_by_the_softmax_over_their_two_alphas_alone():
    alphas = [torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64, requires_grad=True) for _ in range(2)]
    for cell in two_paths(alphas, torch.Generator().manual_seed(0), cells=3):
        for alpha, gate in zip(alphas, cell, strict=True):
            i, j = gate.active
            p = 1 / (1 + math.exp(alpha[j].item() - alpha[i].item()))
            torch.testing.assert_close(gate.weights, torch.tensor([p, 1 - p], dtype=torch.float64))
            (gradient,) = torch.autograd.grad(gate.weights[0], alpha, retain_graph=True)
            expected = torch.zeros(3, dtype=torch.float64)
            expected[i], expected[j] = p * (1 - p), -p * (1 - p)
            torch.testing.assert_close(gradient, expected)


def test_two_paths_of_choices_of_different_numbers_of_candidates_stay_among_them():
    alphas = [torch.zeros(2), torch.zeros(5)]
    routes = two_paths(alphas, torch.Generator().manual_seed(0), cells=50)
    assert {gates[0].active for gates in routes} == {(0, 1), (1, 0)}
    assert {k for gates in routes for k in gates[1].active} == set(range(5))


def test_of_a_single_candidate_two_paths_run_the_one():
    for cell in two_paths([torch.zeros(1), torch.zeros(3)], torch.Generator().manual_seed(0), cells=10):
        assert cell[0].active == (0,) and cell[0].weights.tolist() == [1.0]
