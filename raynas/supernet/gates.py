"""The route is an argument: how each choice is routed now, as a value made outside the network and passed in.

The three forward modes are three values of one type:

    single path   ``Gate((k,))``                  only candidate k runs
    mixture       ``Gate((0, 1, ..., K - 1), w)``  all run, weighted by softmax(alpha)
    hard sample   ``Gate((k,), w)``               only k runs, with a straight-through weight (1 forward)
"""

from __future__ import annotations

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
    """

    active: tuple[int, ...]
    weights: Tensor | None = None


Gates: TypeAlias = tuple[Gate, ...]
"""One gate per choice of the space."""


def single_path(architecture: Architecture) -> Gates:
    """Returns gates that run exactly the candidates of `architecture` (SPOS, Guo et al. 2019, Eq. 7)."""
    return tuple(Gate((candidate,)) for candidate in architecture)


def mixture(alphas: Sequence[Tensor]) -> Gates:
    """Returns gates that run every candidate, weighted by softmax(alpha) (DARTS, Liu et al. 2019, Eq. 2).

    Args:
        alphas: One vector of architecture parameters per choice, each ``(number of candidates,)``.
    """
    return tuple(Gate(tuple(range(len(alpha))), torch.softmax(alpha, dim=0)) for alpha in alphas)


def hard_sample(alphas: Sequence[Tensor], temperature: float, generator: torch.Generator | None = None) -> Gates:
    """Returns gates that run one Gumbel-sampled candidate per choice (GDAS, Dong and Yang 2019, Eq. 3 to 6).

    The sampled candidate's weight is 1 forward and d softmax((log p + o) / tau) backward, p = softmax(alpha),
    o Gumbel(0, 1) noise, tau the `temperature`.

    Args:
        alphas: One vector of architecture parameters per choice.
        temperature: tau, positive.
        generator: Source of the Gumbel noise.
    """
    gates = []
    for alpha in alphas:
        noise = -torch.empty_like(alpha).exponential_(generator=generator).log()
        soft = torch.softmax((torch.log_softmax(alpha, dim=0) + noise) / temperature, dim=0)
        k = int(soft.argmax())
        gates.append(Gate((k,), 1.0 + (soft[k : k + 1] - soft[k : k + 1].detach())))
    return tuple(gates)


def per_cell(gates: Gates | Sequence[Gates], num_cells: int) -> Sequence[Gates]:
    """Returns the gates of each cell, `num_cells` of them: one route for all cells, or a route given for each.

    Raises:
        ValueError: If routes are given for another number of cells.
    """
    if isinstance(gates[0], Gate):
        return [gates] * num_cells  # type: ignore[list-item]
    if len(gates) != num_cells:
        raise ValueError(f"expected gates of one route or of {num_cells} (one per cell), got {len(gates)} routes")
    return gates  # type: ignore[return-value]
