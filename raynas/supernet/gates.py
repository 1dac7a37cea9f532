"""The route is an argument: how each choice is routed now, as a value made outside the network and passed in.

The three forward modes are three values of one type:

    single path   ``Gate((k,))``                  only candidate k runs
    mixture       ``Gate((0, 1, ..., K - 1), w)``  all run, weighted by softmax(alpha)
    hard sample   ``Gate((k,), w, hard=True)``    only k runs, with a straight-through weight (1 forward)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from raynas.search_space import Architecture


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
    return [
        tuple(Gate((k,), weight, hard=True, idle=idle) for k, weight in zip(of_cell, rows.unbind(), strict=True))
        for of_cell, rows in zip(taken.squeeze(2).tolist(), weights.unbind(), strict=True)
    ]


def two_paths(alphas: Sequence[Tensor], generator: torch.Generator | None = None, *, cells: int = 1) -> list[Gates]:
    """Returns gates that run two candidates per choice, sampled by softmax(alpha) without replacement.

    They are weighted by the softmax over their two alphas, so that one gains what the other loses (ProxylessNAS, Cai et
    al. 2019, section 3.2.1).

    Args:
        alphas: One vector of architecture parameters per choice.
        generator: Source of the draws, on the CPU.
        cells: How many routes to draw, each anew.
    """
    rows = _side_by_side(alphas)
    noise = -torch.empty((cells, *rows.shape), dtype=rows.dtype).exponential_(generator=generator).log()
    taken = (rows.detach() + noise.to(rows.device)).topk(2, dim=2).indices
    weights = torch.softmax(rows.expand(cells, -1, -1).gather(2, taken), dim=2)
    return [
        tuple(
            Gate(tuple(pair[: len(alpha)]), weight[: len(alpha)])  # the only one of a choice of one candidate
            for alpha, pair, weight in zip(alphas, of_cell, pairs.unbind(), strict=True)
        )
        for of_cell, pairs in zip(taken.tolist(), weights.unbind(), strict=True)
    ]


def _side_by_side(alphas: Sequence[Tensor]) -> Tensor:
    """Returns the vectors as rows, ``(num_choices, most candidates)``, shorter ones ended by minus infinity."""
    if len({len(alpha) for alpha in alphas}) == 1:
        return torch.stack(list(alphas))
    return torch.nn.utils.rnn.pad_sequence(list(alphas), batch_first=True, padding_value=-math.inf)


def per_cell(gates: Route, num_cells: int) -> Sequence[Gates]:
    """Returns the gates of each cell, `num_cells` of them: one route for all cells, or a route given for each.

    Raises:
        ValueError: If routes are given for another number of cells.
    """
    if isinstance(gates[0], Gate):
        return [gates] * num_cells  # type: ignore[list-item]
    if len(gates) != num_cells:
        raise ValueError(f"expected gates of one route or of {num_cells} (one per cell), got {len(gates)} routes")
    return gates  # type: ignore[return-value]
