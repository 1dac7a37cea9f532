"""What a step routes by its alphas, or by none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from raynas.members import Need
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.gates import GUMBEL, MIXTURE, TWO_PATHS, Gate, RouteRule, mixture, single_path
from raynas.supernet.routes import GATES, SAMPLINGS, Routing, actives, fair_paths, path_route, uniform_paths
from tests.supernet.toys import Toy

SPACE = NasBench201()
PATHS = {"uniform": uniform_paths, "fair": fair_paths}
SAMPLING = pytest.mark.parametrize("sampling", SAMPLINGS.rows().values(), ids=SAMPLINGS.names())
GATING = pytest.mark.parametrize("gates", GATES.rows().values(), ids=GATES.names())


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
@SAMPLING
@GATING
def test_routes_are_a_function_of_seed_step_and_alphas_in_any_order_of_calls(sampling, gates, cells):
    routing, alphas = Routing(SPACE, 3, sampling, cells, gates), some_alphas()

    def both(step, routing=routing, alphas=alphas):
        torch.rand(3), np.random.random(3)  # the global generators have no part in it
        return [actives(route) for route in (*routing.of_weights(step, alphas), routing.of_alphas(step, alphas))]

    forwards = {step: both(step) for step in range(20)}
    assert forwards == {step: both(step) for step in reversed(range(20))}
    other = {step: both(step, replace(routing, seed=4)) for step in range(20)}
    constant = sampling is gates is MIXTURE
    assert sum(other[step] == forwards[step] for step in range(20)) <= (20 if constant else 3)
    assert len({repr(one) for one in forwards.values()}) >= (1 if constant else 15)


@pytest.mark.parametrize("step", ["of_weights", "of_alphas"])
def test_what_is_sampled_follows_the_alphas(step):
    towards = [torch.zeros(5) for _ in SPACE.choices]
    for number, alpha in enumerate(towards):
        alpha[number % 5] = 60.0
    routing = Routing(SPACE, 0, GUMBEL, 3, GUMBEL)
    for at in range(5):
        route = getattr(routing, step)(at, towards)
        for cell in cells_of(route[0] if step == "of_weights" else route):
            assert [gate.active for gate in cell] == [(number % 5,) for number in range(6)]


@SAMPLING
@pytest.mark.parametrize("cells", [1, 3])
def test_no_route_of_the_weights_leads_back_to_the_alphas(sampling, cells):
    for route in Routing(SPACE, 0, sampling, cells, GUMBEL, idle=True).of_weights(1, some_alphas()):
        for gate in (gate for cell in cells_of(route) for gate in cell):
            assert (gate.weights is not None) == (sampling is MIXTURE)
            assert gate.weights is None or not gate.weights.requires_grad
            assert not gate.hard and not gate.idle


@GATING
@pytest.mark.parametrize("idle", [False, True])
def test_the_route_of_the_alphas_leads_back_to_them_and_is_the_same_whenever_it_is_asked(gates, idle):
    routing, alphas = Routing(SPACE, 0, cells=3, gates=gates, idle=idle), some_alphas()
    routes = [cells_of(routing.of_alphas(9, alphas)) for _ in range(2)]
    assert len(routes[0]) == (1 if gates is MIXTURE else 3)
    for cell, again in zip(*routes, strict=True):
        for gate, same in zip(cell, again, strict=True):
            assert gate.weights.requires_grad and torch.equal(gate.weights, same.weights)
            assert gate.active == same.active
            assert (gate.hard, gate.idle) == (gates is GUMBEL, gates is GUMBEL and idle)
    total = sum((number + 1.0) * gate.weights[0] for cell in routes[0] for number, gate in enumerate(cell))
    assert all(gradient.abs().max() > 0 for gradient in torch.autograd.grad(total, alphas))


def test_a_mixture_is_the_softmax_of_the_alphas_for_all_cells_alike():
    alphas = some_alphas()
    routing = Routing(SPACE, 0, MIXTURE, 15, MIXTURE)
    (of_weights,) = routing.of_weights(4, alphas)
    for gates in (of_weights, routing.of_alphas(4, alphas)):
        assert isinstance(gates, tuple) and [gate.active for gate in gates] == [(0, 1, 2, 3, 4)] * 6
        for gate, wanted in zip(gates, mixture(alphas), strict=True):
            assert torch.equal(gate.weights, wanted.weights)


@pytest.mark.parametrize("sampling", PATHS)
@pytest.mark.parametrize("cells", [1, 2])
def test_random_paths_are_routes_without_alphas(sampling, cells):
    routing = Routing(Toy(), 7, SAMPLINGS.row(sampling), cells)
    for step in range(5):
        paths = PATHS[sampling](Toy(), 7, step, cells)
        assert routing.of_weights(step) == [path_route(path) for path in paths]
        for path, route in zip(paths, routing.of_weights(step), strict=True):
            assert cells_of(route) == [single_path(architecture) for architecture in path]


def test_both_steps_draw_for_themselves():
    routing = Routing(SPACE, 0, GUMBEL, 1, GUMBEL)
    flat = [torch.zeros(5)] * 6
    drawn = [(actives(routing.of_weights(s, flat)[0]), actives(routing.of_alphas(s, flat))) for s in range(500)]
    pairs = np.array([[5 * a + b for (a,), (b,) in zip(*both, strict=True)] for both in drawn])
    assert chisquare(np.bincount(pairs.ravel(), minlength=25)).pvalue > 1e-3


def test_neighbouring_seeds_and_steps_share_no_draws():
    flat = [torch.zeros(5)] * 6
    routings = [Routing(SPACE, seed, GUMBEL, 15, GUMBEL) for seed in range(8)]
    drawn = [repr(actives(r.of_weights(step, flat)[0])) for r in routings for step in range(8)]
    drawn += [repr(actives(r.of_alphas(step, flat))) for r in routings for step in range(8)]
    assert len(set(drawn)) == 128


@pytest.mark.parametrize("turn", ["of_weights", "of_alphas"])
def test_every_cell_draws_for_itself_by_the_softmax_of_the_alphas(turn):
    alphas = [torch.tensor([0.3, -1.0, 0.9, 0.0, -0.4]), *some_alphas()[1:]]
    routing = Routing(SPACE, 3, GUMBEL, 4, GUMBEL, temperature=lambda step: 0.1 + step)
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
            SPACE, 1, gates=GUMBEL, temperature=lambda step, t=temperature, seen=asked: seen.append(step) or t
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
    assert SAMPLINGS.names() == ("fair", "gumbel", "mixture", "uniform")
    assert GATES.names() == ("gumbel", "mixture", "two_paths")


def test_rules_say_what_they_need_and_whether_they_have_a_temperature():
    rules = {**SAMPLINGS.rows(), **GATES.rows()}
    assert {name for name, rule in rules.items() if Need.ALPHAS in rule.needs} == {"mixture", "gumbel", "two_paths"}
    assert {name for name, rule in rules.items() if rule.has_temperature} == {"gumbel"}
    assert {name for name, rule in rules.items() if rule.has_idle} == {"gumbel"}
    for gates in (GUMBEL, MIXTURE, TWO_PATHS):
        routing = Routing(SPACE, 0, gates=gates, temperature=lambda step: 3.0 + step)
        temperature = routing.gates_temperature
        assert (None if temperature is None else temperature(1)) == (4.0 if gates is GUMBEL else None)


def test_gates_with_more_than_one_route_are_refused():
    twice = RouteRule("twice", "two routes", lambda step, alphas: [mixture(alphas)] * 2)
    with pytest.raises(
        ValueError, match=r"^alphas.gates: expected one route in a step of the alphas, got 2 from twice"
    ):
        Routing(SPACE, 0, gates=twice).of_alphas(0, some_alphas())
