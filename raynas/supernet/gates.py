"""The route is an argument: how each choice is routed now, as a value made outside the network and passed in.

The three forward modes are three values of one type:

    single path   ``Gate((k,))``                  only candidate k runs
    mixture       ``Gate((0, 1, ..., K - 1), w)``  all run, weighted by softmax(alpha)
    hard sample   ``Gate((k,), w, hard=True)``    only k runs, with a straight-through weight (1 forward)
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from raynas.errors import InputError
from raynas.members import Need
from raynas.search_space import Architecture, SearchSpace


@dataclass(frozen=True)
class Gate:
    """How one choice is routed: which candidates run, and with what weights.

    Attributes:
        active: Indices of the candidates that run.
        weights: One weight per active candidate, ``(len(active),)``; None for a plain sum, which costs nothing.
        hard: Whether the weights are all 1 and there for their gradients alone, so that nothing is multiplied by them.
        idle: Whether the weights of the candidates that do not run, 0 all of them, are added to the output for the sake
            of their gradients. Weights that add up to 1 together with the only active one's need no tensor of their
            own: their sum has minus its gradient.
    """

    active: tuple[int, ...]
    weights: Tensor | None = None
    hard: bool = False
    idle: bool = False


Gates: TypeAlias = tuple[Gate, ...]
"""One gate per choice of the space."""

Route: TypeAlias = Gates | Sequence[Gates]
"""Gates for all cells alike, or such gates for each cell."""


class Turn(enum.IntEnum):
    """Which step is routed. Steps of the weights and of the alphas sample from different random numbers."""

    WEIGHTS = 0
    ALPHAS = 1


@dataclass(frozen=True)
class RoutedStep:
    """The step that a rule routes. A route is a pure function of this step and of the alphas.

    Attributes:
        space: The space that is trained.
        seed: Seed of the run.
        number: Number of the step in the training, from 0.
        turn: Whether the weights or the alphas are trained.
        cells: 1 for one sample in all cells, the number of cells for one in each.
        temperature: Temperature of the samples, positive.
        idle: Whether candidates that do not run add their weights, see `Gate.idle`.
        draw: Number of the sample among those that a step of the alphas averages, from 0.
    """

    space: SearchSpace
    seed: int
    number: int
    turn: Turn
    cells: int = 1
    temperature: float = 1.0
    idle: bool = False
    draw: int = 0

    def generator(self) -> torch.Generator:
        """Returns a new random generator on the CPU, a function of seed, number, turn and draw alone."""
        further = [self.draw] if self.draw else []
        entropy = np.random.SeedSequence([self.seed, self.number, int(self.turn), *further])
        return torch.Generator().manual_seed(int(entropy.generate_state(1, np.uint64)[0]))


@dataclass(frozen=True)
class RouteRule:
    """A way to route a step: a row of `train.sampling`, of `alphas.gates`, or of both.

    Attributes:
        name: The name in run files.
        title: What a step runs, in a few words.
        routes: Returns the routes of a step, whose losses are added up; a step of the alphas has exactly one. In a step
            of the weights the alphas are detached, and there are none in a training without alphas.
        serves: The steps that the rule can route.
        needs: What the rule needs, `Need.ALPHAS` if it looks at the alphas.
        has_temperature: Whether its samples have a temperature, `alphas.temperature`.
        has_idle: Whether it leaves candidates idle and can add their weights, `alphas.idle`.
        samples: Whether its routes are sampled, so that a step of the alphas can average several, `alphas.draws`.
    """

    name: str
    title: str
    routes: Callable[[RoutedStep, Sequence[Tensor]], list[Route]]
    serves: tuple[Turn, ...] = (Turn.WEIGHTS, Turn.ALPHAS)
    needs: tuple[Need, ...] = (Need.ALPHAS,)
    has_temperature: bool = False
    has_idle: bool = False
    samples: bool = False


def as_route(cells: Sequence[Gates]) -> Route:
    """Returns the route of gates for each cell; gates of a single cell are those of all cells."""
    return cells if len(cells) > 1 else cells[0]


def single_path(architecture: Architecture) -> Gates:
    """Returns gates that run exactly the candidates of `architecture` (SPOS, Guo et al. 2019, Eq. 7)."""
    return tuple(Gate((candidate,)) for candidate in architecture)


def mixture(alphas: Sequence[Tensor]) -> Gates:
    """Returns gates that run every candidate, weighted by softmax(alpha) (DARTS, Liu et al. 2019, Eq. 2).

    Args:
        alphas: One vector of architecture parameters per choice, each ``(number of candidates,)``.
    """
    rows = torch.softmax(_side_by_side(alphas), dim=1).unbind()
    return tuple(Gate(tuple(range(len(a))), row[: len(a)]) for a, row in zip(alphas, rows, strict=True))


MIXTURE = RouteRule("mixture", "all candidates, weighted by the alphas", lambda step, alphas: [mixture(alphas)])


def hard_samples(
    alphas: Sequence[Tensor],
    temperature: float,
    generator: torch.Generator | None = None,
    *,
    cells: int = 1,
    idle: bool = False,
) -> list[Gates]:
    """Returns gates that run one Gumbel-sampled candidate per choice (GDAS, Dong and Yang 2019, Eq. 3 to 7).

    The sampled candidate's weight is 1 forward and d softmax((log p + o) / tau) backward, p = softmax(alpha),
    o Gumbel(0, 1) noise, tau the `temperature`.

    Args:
        alphas: One vector of architecture parameters per choice.
        temperature: tau, positive.
        generator: Source of the Gumbel noise, on the CPU.
        cells: How many routes to draw, each anew.
        idle: Whether the candidates that were not sampled add their weights, see `Gate.idle`.
    """
    logits = torch.log_softmax(_side_by_side(alphas), dim=1)
    noise = -torch.empty((cells, *logits.shape), dtype=logits.dtype).exponential_(generator=generator).log()
    soft = torch.softmax((logits + noise.to(logits.device)) / temperature, dim=2)
    taken = soft.detach().argmax(dim=2, keepdim=True)
    weights = soft.gather(2, taken)
    weights = 1.0 + (weights - weights.detach())
    candidates = taken.squeeze(2).tolist()
    return [_hard(of_cell, rows, idle) for of_cell, rows in zip(candidates, weights.unbind(), strict=True)]


def _hard(candidates: Sequence[int], weights: Tensor, idle: bool) -> Gates:
    """Returns the gates of one cell, each with its candidate and weight."""
    pairs = zip(candidates, weights.unbind(), strict=True)
    return tuple(Gate((k,), weight, hard=True, idle=idle) for k, weight in pairs)


def _gumbel_routes(step: RoutedStep, alphas: Sequence[Tensor]) -> list[Route]:
    samples = hard_samples(alphas, step.temperature, step.generator(), cells=step.cells, idle=step.idle)
    return [as_route(samples)]


GUMBEL = RouteRule(
    *("gumbel", "one candidate, sampled by the alphas", _gumbel_routes),
    has_temperature=True,
    has_idle=True,
    samples=True,
)


def two_paths(alphas: Sequence[Tensor], generator: torch.Generator | None = None, *, cells: int = 1) -> list[Gates]:
    """Returns gates that run two candidates per choice, sampled by softmax(alpha) without replacement.

    They are weighted by the softmax over their two alphas, so that one gains what the other loses (ProxylessNAS, Cai et
    al. 2019, section 3.2.1).

    Args:
        alphas: One vector of architecture parameters per choice.
        generator: Source of the random numbers, on the CPU.
        cells: How many routes to draw, each anew.
    """
    rows = _side_by_side(alphas)
    noise = -torch.empty((cells, *rows.shape), dtype=rows.dtype).exponential_(generator=generator).log()
    taken = (rows.detach() + noise.to(rows.device)).topk(2, dim=2).indices
    weights = torch.softmax(rows.expand(cells, -1, -1).gather(2, taken), dim=2)
    return [_pair(alphas, *cell) for cell in zip(taken.tolist(), weights.unbind(), strict=True)]


def _pair(alphas: Sequence[Tensor], taken: Sequence[Sequence[int]], weights: Tensor) -> Gates:
    """Returns the gates of one cell, each with its two candidates; a choice of one candidate has that one."""
    gates = []
    for alpha, pair, weight in zip(alphas, taken, weights.unbind(), strict=True):
        gates.append(Gate(tuple(pair[: len(alpha)]), weight[: len(alpha)]))
    return tuple(gates)


def _two_path_routes(step: RoutedStep, alphas: Sequence[Tensor]) -> list[Route]:
    return [as_route(two_paths(alphas, step.generator(), cells=step.cells))]


TWO_PATHS = RouteRule(
    "two_paths", "two candidates, sampled by the alphas", _two_path_routes, serves=(Turn.ALPHAS,), samples=True
)


def _side_by_side(alphas: Sequence[Tensor]) -> Tensor:
    """Returns the vectors as rows, ``(num_choices, most candidates)``, shorter ones ended by minus infinity."""
    if len({len(alpha) for alpha in alphas}) == 1:
        return torch.stack(list(alphas))
    return torch.nn.utils.rnn.pad_sequence(list(alphas), batch_first=True, padding_value=-math.inf)


def per_cell(gates: Route, num_cells: int) -> Sequence[Gates]:
    """Returns the gates of each cell, `num_cells` of them: one route for all cells, or a route given for each.

    Raises:
        InputError: If routes are given for another number of cells.
    """
    if isinstance(gates[0], Gate):
        return [gates] * num_cells  # type: ignore[list-item]
    if len(gates) != num_cells:
        raise InputError(f"expected gates of one route or of {num_cells} (one per cell), got {len(gates)} routes")
    return gates  # type: ignore[return-value]
