"""What a step routes by its alphas, or by none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.gates import Gate, mixture, single_path
from raynas.supernet.routes import GATES, PATHS, SAMPLINGS, Routing, actives, as_route
from tests.supernet.toys import Toy

SPACE = NasBench201()


def some_alphas(seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return [(scale * torch.randn(5, generator=generator)).requires_grad_() for _ in SPACE.choices]


def cells_of(route):
    """Returns the gates of each cell of a route, of one for all cells once."""
    return [route] if isinstance(route[0], Gate) else list(route)


def gates_of(routing, step, alphas=()):
    """Returns all gates of both steps' routes."""
    routes = [*routing.of_weights(step, alphas), *([routing.of_alphas(step, alphas)] if alphas else [])]
    return [gate for route in routes for cell in cells_of(route) for gate in cell]


@pytest.mark.parametrize("cells", [1, 4])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("gates", GATES)
def test_routes_are_a_function_of_seed_step_and_alphas_in_any_order_of_calls(sampling, gates, cells):
    routing, alphas = Routing(SPACE, 3, sampling, cells, gates), some_alphas()

    def both(step, routing=routing, alphas=alphas):
        torch.rand(3), np.random.random(3)  # the global generators have no part in it
        return [actives(route) for route in (*routing.of_weights(step, alphas), routing.of_alphas(step, alphas))]

    forwards = {step: both(step) for step in range(20)}
    assert forwards == {step: both(step) for step in reversed(range(20))}
    other = {step: both(step, replace(routing, seed=4)) for step in range(20)}
    constant = sampling == gates == "mixture"
    assert sum(other[step] == forwards[step] for step in range(20)) <= (20 if constant else 3)
    assert len({repr(one) for one in forwards.values()}) >= (1 if constant else 15)


@pytest.mark.parametrize("step", ["of_weights", "of_alphas"])
def test_what_is_sampled_follows_the_alphas(step):
    towards = [torch.zeros(5) for _ in SPACE.choices]
    for number, alpha in enumerate(towards):
        alpha[number % 5] = 60.0
    routing = Routing(SPACE, 0, "gumbel", 3, "gumbel")
    for at in range(5):
        route = getattr(routing, step)(at, towards)
        for cell in cells_of(route[0] if step == "of_weights" else route):
            assert [gate.active for gate in cell] == [(number % 5,) for number in range(6)]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("cells", [1, 3])
def test_no_route_of_the_weights_leads_back_to_the_alphas(sampling, cells):
    for route in Routing(SPACE, 0, sampling, cells, "gumbel", idle=True).of_weights(1, some_alphas()):
        for gate in (gate for cell in cells_of(route) for gate in cell):
            assert (gate.weights is not None) == (sampling == "mixture")
            assert gate.weights is None or not gate.weights.requires_grad
            assert not gate.hard and not gate.idle


@pytest.mark.parametrize("gates", GATES)
@pytest.mark.parametrize("idle", [False, True])
def test_the_route_of_the_alphas_leads_back_to_them_and_is_the_same_whenever_it_is_asked(gates, idle):
    routing, alphas = Routing(SPACE, 0, "uniform", 3, gates, idle), some_alphas()
    routes = [cells_of(routing.of_alphas(9, alphas)) for _ in range(2)]
    assert len(routes[0]) == (1 if gates == "mixture" else 3)
    for cell, again in zip(*routes, strict=True):
        for gate, same in zip(cell, again, strict=True):
            assert gate.weights.requires_grad and torch.equal(gate.weights, same.weights)
            assert gate.active == same.active
            assert (gate.hard, gate.idle) == (gates == "gumbel", gates == "gumbel" and idle)
    total = sum((number + 1.0) * gate.weights[0] for cell in routes[0] for number, gate in enumerate(cell))
    assert all(gradient.abs().max() > 0 for gradient in torch.autograd.grad(total, alphas))


def test_a_mixture_is_the_softmax_of_the_alphas_for_all_cells_alike():
    alphas = some_alphas()
    routing = Routing(SPACE, 0, "mixture", 15, "mixture")
    (of_weights,) = routing.of_weights(4, alphas)
    for gates in (of_weights, routing.of_alphas(4, alphas)):
        assert isinstance(gates, tuple) and [gate.active for gate in gates] == [(0, 1, 2, 3, 4)] * 6
        for gate, wanted in zip(gates, mixture(alphas), strict=True):
            assert torch.equal(gate.weights, wanted.weights)


@pytest.mark.parametrize("sampling", PATHS)
@pytest.mark.parametrize("cells", [1, 2])
def test_random_paths_are_routes_without_alphas(sampling, cells):
    routing = Routing(Toy(), 7, sampling, cells)
    for step in range(5):
        paths = PATHS[sampling](Toy(), 7, step, cells)
        assert routing.of_weights(step) == [as_route(path) for path in paths]
        for path, route in zip(paths, routing.of_weights(step), strict=True):
            assert cells_of(route) == [single_path(architecture) for architecture in path]


def test_both_steps_draw_for_themselves():
    routing = Routing(SPACE, 0, "gumbel", 1, "gumbel")
    flat = [torch.zeros(5)] * 6
    drawn = [(actives(routing.of_weights(s, flat)[0]), actives(routing.of_alphas(s, flat))) for s in range(500)]
    pairs = np.array([[5 * a + b for (a,), (b,) in zip(*both, strict=True)] for both in drawn])
    assert chisquare(np.bincount(pairs.ravel(), minlength=25)).pvalue > 1e-3


def test_neighbouring_seeds_and_steps_share_no_draws():
    flat = [torch.zeros(5)] * 6
    routings = [Routing(SPACE, seed, "gumbel", 15, "gumbel") for seed in range(8)]
    drawn = [repr(actives(r.of_weights(step, flat)[0])) for r in routings for step in range(8)]
    drawn += [repr(actives(r.of_alphas(step, flat))) for r in routings for step in range(8)]
    assert len(set(drawn)) == 128


@pytest.mark.parametrize("turn", ["of_weights", "of_alphas"])
def test_every_cell_draws_for_itself_by_the_softmax_of_the_alphas(turn):
    alphas = [torch.tensor([0.3, -1.0, 0.9, 0.0, -0.4]), *some_alphas()[1:]]
    routing = Routing(SPACE, 3, "gumbel", 4, "gumbel", temperature=lambda step: 0.1 + step)
    taken = []
    for step in range(2500):
        route = getattr(routing, turn)(step, alphas)
        cells = cells_of(route[0] if turn == "of_weights" else route)
        assert len(cells) == 4
        taken.append([cell[0].active[0] for cell in cells])
    taken = np.array(taken)
    p = torch.softmax(alphas[0].double(), 0).numpy()
    for cell in taken.T:
        assert chisquare(np.bincount(cell, minlength=5), 2500 * p).pvalue > 1e-3
    for one, other in ((0, 1), (1, 2), (0, 3)):
        pairs = np.bincount(5 * taken[:, one] + taken[:, other], minlength=25)
        assert chisquare(pairs, 2500 * np.outer(p, p).ravel()).pvalue > 1e-3


def test_the_temperature_of_the_step_is_in_the_gradient_of_a_sample():
    """The derivative by the sampled alpha is s (1 - s) / tau, s = softmax((log p + o) / tau)."""
    slopes = {}
    for temperature in (1.0, 100.0):
        alphas = [alpha.detach().double().requires_grad_() for alpha in some_alphas()]
        asked = []
        routing = Routing(
            SPACE, 1, gates="gumbel", temperature=lambda step, t=temperature, seen=asked: seen.append(step) or t
        )
        gate = routing.of_alphas(17, alphas)[0]
        assert asked == [17]
        (gradient,) = torch.autograd.grad(gate.weights.sum(), alphas[0])
        slopes[temperature] = gradient[gate.active[0]].item()
    assert slopes[100.0] == pytest.approx(0.2 * 0.8 / 100, rel=0.1), "nearly even"
    assert slopes[1.0] > 5 * slopes[100.0]


def test_what_workers_must_agree_on_is_what_runs():
    gates = (Gate((1,)), Gate((0, 2), torch.ones(2)))
    assert actives(gates) == [(1,), (0, 2)]
    assert actives([gates, single_path((3, 4))]) == [[(1,), (0, 2)], [(3,), (4,)]]


def test_the_samplings_are_those_of_paths_and_of_alphas():
    assert SAMPLINGS == ("uniform", "fair", "mixture", "gumbel")
