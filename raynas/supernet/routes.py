"""What a step routes: random paths, the mixture of all candidates, or paths sampled from the alphas.

A route is a pure function of seed, step and alphas: the same on every rank, after every resume and at every number of
workers. Steps of the weights and of the alphas take their routes by the same names, and from different draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from raynas.search_space import Architecture, SearchSpace, sample
from raynas.supernet.gates import Gates, Route, hard_samples, mixture, single_path, two_paths

Path: TypeAlias = tuple[Architecture, ...]
"""One architecture per cell of the supernet, or a single one for all cells."""


def uniform_paths(space: SearchSpace, seed: int, step: int, cells: int) -> list[Path]:
    """Returns the one path of a step, every candidate drawn uniformly (SPOS, Guo et al. 2019, section 3.2).

    Args:
        space: The space; its `repair_path` has the last word on what is worth training.
        seed: Seed of the run.
        step: Step of the training, from 0.
        cells: 1 for one architecture in all cells (the papers), the number of cells for one in each (RLNAS' code).
    """
    rng = np.random.default_rng([seed, step])
    return [tuple(space.repair_path(sample(space, rng), rng) for _ in range(cells))]


def fair_paths(space: SearchSpace, seed: int, step: int, cells: int) -> list[Path]:
    """Returns the K paths of a step in which each of a choice's K candidates is trained exactly once.

    Gradients of the K paths add up to one update (strict fairness; FairNAS, Chu et al. 2021, Algorithm 1). Where
    choices have different numbers of candidates, the shorter ones start over. Arguments as in `uniform_paths`.
    """
    rng = np.random.default_rng([seed, step])
    counts = [len(choice.candidates) for choice in space.choices]
    orders = [[rng.permutation(count) for count in counts] for _ in range(cells)]
    return [tuple(tuple(int(order[k % len(order)]) for order in cell) for cell in orders) for k in range(max(counts))]


PATHS: dict[str, Callable[[SearchSpace, int, int, int], list[Path]]] = {"uniform": uniform_paths, "fair": fair_paths}
"""Rules for paths that no alpha has a part in."""

SAMPLINGS = (*PATHS, "mixture", "gumbel")
"""What the weights are trained on, by the name `train.sampling` uses."""


GATES = ("mixture", "gumbel", "two_paths")
"""What the alphas are trained on, by the name `alphas.gates` uses."""


def as_route(path: Path) -> Route:
    """Returns the route of a path: gates for all cells alike, or for each."""
    gates = [single_path(architecture) for architecture in path]
    return gates if len(gates) > 1 else gates[0]


@dataclass(frozen=True)
class Routing:
    """The routes of a training.

    Attributes:
        space: The space.
        seed: Seed of the run.
        sampling: What the weights are trained on, one of `SAMPLINGS`.
        cells: 1 for one draw for all cells, the number of cells for one in each; a mixture is one for all.
        gates: What the alphas are trained on, one of `GATES`.
        idle: Whether gates sampled for the alphas' step add the weights of idle candidates (`Gate.idle`).
        temperature: Of Gumbel samples, a function of the step.
    """

    space: SearchSpace
    seed: int
    sampling: str = "uniform"
    cells: int = 1
    gates: str = "mixture"
    idle: bool = False
    temperature: Callable[[int], float] = lambda step: 1.0

    def of_weights(self, step: int, alphas: Sequence[Tensor] = ()) -> list[Route]:
        """Returns the routes whose losses a step of the weights adds up; none leads back to the alphas."""
        if self.sampling in PATHS:
            return [as_route(path) for path in PATHS[self.sampling](self.space, self.seed, step, self.cells)]
        held = [alpha.detach() for alpha in alphas]
        if self.sampling == "mixture":
            return [mixture(held)]
        drawn = self._gumbel(held, step, turn=0, idle=False)
        return [_each(drawn, lambda gates: tuple(replace(gate, weights=None, hard=False) for gate in gates))]

    def of_alphas(self, step: int, alphas: Sequence[Tensor]) -> Route:
        """Returns the route of a step of the alphas, which its gradient follows; the same whenever it is asked."""
        if self.gates == "mixture":
            return mixture(alphas)
        if self.gates == "two_paths":
            return self._route(two_paths(alphas, self._generator(step, turn=1), cells=self.cells))
        return self._gumbel(alphas, step, turn=1, idle=self.idle)

    def _gumbel(self, alphas: Sequence[Tensor], step: int, *, turn: int, idle: bool) -> Route:
        temperature, generator = self.temperature(step), self._generator(step, turn)
        return self._route(hard_samples(alphas, temperature, generator, cells=self.cells, idle=idle))

    def _generator(self, step: int, turn: int) -> torch.Generator:
        seed = int(np.random.SeedSequence([self.seed, step, turn]).generate_state(1, np.uint64)[0])
        return torch.Generator().manual_seed(seed)

    def _route(self, drawn: list[Gates]) -> Route:
        return drawn if self.cells > 1 else drawn[0]


def _each(route: Route, change: Callable[[Gates], Gates]) -> Route:
    """Returns the route with the gates of every cell changed."""
    if isinstance(route, tuple):
        return change(route)
    return [change(gates) for gates in route]


def actives(route: Route) -> list[tuple[int, ...]] | list[list[tuple[int, ...]]]:
    """Returns which candidates a route runs: what workers must agree on."""
    if isinstance(route, tuple):
        return [gate.active for gate in route]
    return [[gate.active for gate in gates] for gates in route]
