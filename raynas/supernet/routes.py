"""What a step routes: random paths, the mixture of all candidates, or paths sampled from the alphas.

A route is a pure function of seed, step and alphas: the same on every rank, after every resume and at every number of
workers. Each way to route is a `RouteRule` beside its mathematics, here or in `gates`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from torch import Tensor

from raynas.capabilities import path_to_train
from raynas.errors import InputError
from raynas.members import Family
from raynas.search_space import Architecture, SearchSpace, sample
from raynas.supernet.gates import MIXTURE, Gate, Gates, Route, RoutedStep, RouteRule, Turn, as_route, single_path

Path: TypeAlias = tuple[Architecture, ...]
"""One architecture per cell of the supernet, or a single one for all cells."""


def uniform_paths(space: SearchSpace, seed: int, step: int, cells: int) -> list[Path]:
    """Returns the one path of a step, every candidate sampled uniformly (SPOS, Guo et al. 2019, section 3.2).

    Args:
        space: The space; it may replace a path that would train nothing.
        seed: Seed of the run.
        step: Step of the training, from 0.
        cells: 1 for one architecture in all cells (the papers), the number of cells for one in each (RLNAS' code).
    """
    rng = np.random.default_rng([seed, step])
    return [tuple(path_to_train(space, sample(space, rng), rng) for _ in range(cells))]


def fair_paths(space: SearchSpace, seed: int, step: int, cells: int) -> list[Path]:
    """Returns the K paths of a step in which each of a choice's K candidates is trained exactly once.

    Gradients of the K paths add up to one update (strict fairness; FairNAS, Chu et al. 2021, Algorithm 1). Where
    choices have different numbers of candidates, the shorter ones start over. Arguments as in `uniform_paths`.
    """
    rng = np.random.default_rng([seed, step])
    counts = [len(choice.candidates) for choice in space.choices]
    orders = [_orders(counts, rng) for _ in range(cells)]  # of each cell
    return [_turn(orders, k) for k in range(max(counts))]


def _orders(counts: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Returns a random order of the candidates of each choice."""
    return [rng.permutation(count) for count in counts]


def _turn(orders: Sequence[Sequence[np.ndarray]], turn: int) -> Path:
    """Returns the path of the candidates whose turn it is; shorter orders start over."""
    path = []
    for cell in orders:
        path.append(tuple(int(order[turn % len(order)]) for order in cell))
    return tuple(path)


def path_route(path: Path) -> Route:
    """Returns the route of a path: gates for all cells alike, or for each."""
    return as_route([single_path(architecture) for architecture in path])


def _uniform_routes(step: RoutedStep, alphas: Sequence[Tensor]) -> list[Route]:
    return [path_route(path) for path in uniform_paths(step.space, step.seed, step.number, step.cells)]


def _fair_routes(step: RoutedStep, alphas: Sequence[Tensor]) -> list[Route]:
    return [path_route(path) for path in fair_paths(step.space, step.seed, step.number, step.cells)]


UNIFORM = RouteRule("uniform", "one random path", _uniform_routes, serves=(Turn.WEIGHTS,), needs=())
FAIR = RouteRule("fair", "as many paths as candidates, each once", _fair_routes, serves=(Turn.WEIGHTS,), needs=())


SAMPLINGS = Family("train.sampling", RouteRule, "raynas.supernet", lambda rule: Turn.WEIGHTS in rule.serves)
"""What a step of the weights runs."""

GATES = Family("alphas.gates", RouteRule, "raynas.supernet", lambda rule: Turn.ALPHAS in rule.serves)
"""What a step of the alphas runs."""


@dataclass(frozen=True)
class Routing:
    """The routes of a training.

    Attributes:
        space: The space.
        seed: Seed of the run.
        sampling: What the weights are trained on, a row of `SAMPLINGS`.
        cells: 1 for one sample for all cells, the number of cells for one in each; a mixture is one for all.
        gates: What the alphas are trained on, a row of `GATES`.
        idle: Whether gates of the alphas' step add the weights of idle candidates (`Gate.idle`).
        temperature: Temperature of samples, a function of the step.
    """

    space: SearchSpace
    seed: int
    sampling: RouteRule = UNIFORM
    cells: int = 1
    gates: RouteRule = MIXTURE
    idle: bool = False
    temperature: Callable[[int], float] = lambda step: 1.0

    @property
    def gates_temperature(self) -> Callable[[int], float] | None:
        """The temperature of the alphas' step as a function of the step; None if its gates have none."""
        return self.temperature if self.gates.has_temperature else None

    def of_weights(self, step: int, alphas: Sequence[Tensor] = ()) -> list[Route]:
        """Returns the routes whose losses a step of the weights adds up; none leads back to the alphas."""
        detached = [alpha.detach() for alpha in alphas]
        routes = self.sampling.routes(self._step(self.sampling, step, Turn.WEIGHTS), detached)
        return [_each(route, _for_weights) for route in routes]

    def of_alphas(self, step: int, alphas: Sequence[Tensor], draw: int = 0) -> Route:
        """Returns the route of a step of the alphas, which its gradient follows; the same whenever it is asked.

        Args:
            step: Step of the training, from 0.
            alphas: One vector of architecture parameters per choice.
            draw: Number of the sample, where a step averages several.

        Raises:
            InputError: If the gates have more than one route, or none.
        """
        routes = self.gates.routes(self._step(self.gates, step, Turn.ALPHAS, draw), alphas)
        if len(routes) != 1:
            raise InputError(
                f"alphas.gates: expected one route in a step of the alphas, got {len(routes)} from {self.gates.name}; "
                "return a list of one route"
            )
        return routes[0]

    def _step(self, rule: RouteRule, number: int, turn: Turn, draw: int = 0) -> RoutedStep:
        """Returns what a rule may depend on."""
        temperature = self.temperature(number) if rule.has_temperature else 1.0
        idle = self.idle and rule.has_idle and turn is Turn.ALPHAS
        return RoutedStep(self.space, self.seed, number, turn, self.cells, temperature, idle, draw)


def _for_weights(gates: Gates) -> Gates:
    """Returns the gates without the weights of hard ones, which are 1 and only give the alphas their gradient."""
    return tuple(Gate(gate.active) if gate.hard else gate for gate in gates)


def _each(route: Route, change: Callable[[Gates], Gates]) -> Route:
    """Returns the route with the gates of every cell changed."""
    if isinstance(route, tuple):
        return change(route)
    return [change(gates) for gates in route]


def actives(route: Route) -> list[tuple[int, ...]] | list[list[tuple[int, ...]]]:
    """Returns which candidates a route runs: what workers must agree on."""
    if isinstance(route, tuple):
        return _active(route)
    return [_active(gates) for gates in route]


def _active(gates: Gates) -> list[tuple[int, ...]]:
    return [gate.active for gate in gates]
