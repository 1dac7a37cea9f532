"""What runs into a node of a recurrent cell under a route, and the sum of its edges.

An edge from node s with the matrix W and the operation a gives the highway

    c, g = split(s W),    s + sigmoid(c) (a(g) - s)

Where a node has one matrix for all its edges, one product and one gate serve all operations: with weights w the sum is

    sum_s [ (sum_a w_sa) (1 - sigmoid(c_s)) s + sigmoid(c_s) sum_a w_sa a(g_s) ]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from raynas.supernet.gates import Gate

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
"""The operations but ``none``, which passes nothing."""


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Returns `x` times a mask; `x` as it is without one."""
    return x if mask is None else x * mask


Matrices: TypeAlias = Mapping[tuple[int, str], Tensor]
"""The matrix of an edge and an operation."""


@dataclass(frozen=True)
class NodePlan:
    """What runs into one node under a route, worked out once for all tokens of a window.

    Attributes:
        sources: The nodes that its live edges come from.
        edges: The number of each live edge among the edges of the cell.
        operations: The operations that run, each with its weight on every live edge, ``(edges,)``, 0 where it does not
            run; None for a single edge with a weight of 1.
        total: The sum of these weights on every live edge; None for a weight of 1.
        idle: The gates of all edges, where idle candidates add their weights; empty elsewhere.
    """

    sources: tuple[int, ...]
    edges: tuple[int, ...]
    operations: tuple[tuple[str, Tensor | None], ...]
    total: Tensor | None
    idle: tuple[Gate, ...] = ()


def node_plan(
    edges: Sequence[int], sources: Sequence[int], names: Sequence[Sequence[str]], gates: Sequence[Gate], like: Tensor
) -> NodePlan:
    """Returns what runs into a node.

    Args:
        edges: The numbers of the edges into it.
        sources: The nodes that they come from.
        names: The candidates of each edge.
        gates: The gate of each edge.
        like: A tensor of the dtype and device of the weights.
    """
    live: list[int] = []
    rows: list[dict[str, Tensor]] = []
    plain = True
    for place, (candidates, gate) in enumerate(zip(names, gates, strict=True)):
        row: dict[str, Tensor] = {}
        for position, k in enumerate(gate.active):
            if candidates[k] != "none":
                weight = like.new_ones(()) if gate.weights is None else gate.weights.to(like)[position]
                plain &= gate.weights is None
                row[candidates[k]] = weight
        if row:
            live.append(place)
            rows.append(row)
    idle = tuple(gates) if any(gate.idle for gate in gates) else ()
    places = tuple(sources[place] for place in live), tuple(edges[place] for place in live)
    operations: list[str] = []
    for row in rows:
        operations += [name for name in row if name not in operations]
    if plain and len(rows) == 1 and len(operations) == 1:
        return NodePlan(*places, ((operations[0], None),), None, idle)
    zero = like.new_zeros(())
    weights = []
    for name in operations:
        weights.append(torch.stack([row.get(name, zero) for row in rows]))
    total = torch.stack(weights).sum(dim=0) if weights else None
    return NodePlan(*places, tuple(zip(operations, weights, strict=True)), total, idle)


def highway(previous: Tensor, product: Tensor, plan: NodePlan) -> Tensor:
    """Returns the sum of the edges into a node, ``(streams, width)``.

    Args:
        previous: The nodes that the live edges come from, ``(edges, streams, width)``.
        product: Their matrix products, ``(edges, streams, 2 width)``.
        plan: What runs.
    """
    gate, inner = product.chunk(2, dim=-1)
    gate = torch.sigmoid(gate)
    if plan.total is None:
        ((operation, _),) = plan.operations
        out: Tensor = previous + gate * (ACTIVATIONS[operation](inner) - previous)
        return out.squeeze(0)
    candidate = torch.zeros_like(inner)
    for operation, weight in plan.operations:
        assert weight is not None
        candidate = candidate + weight[:, None, None] * ACTIVATIONS[operation](inner)
    every = plan.total[:, None, None] * (1 - gate) * previous + gate * candidate
    return every.sum(dim=0)


def highways_of_candidates(states: Sequence[Tensor], mask: Tensor | None, plan: NodePlan, matrices: Matrices) -> Tensor:
    """Returns the same sum where each candidate of each edge has a matrix of its own.

    Args:
        states: The nodes so far.
        mask: What is dropped of a node's state before its product.
        plan: What runs.
        matrices: The matrix of each edge and operation that runs.
    """
    total: Tensor | None = None
    for place, (source, edge) in enumerate(zip(plan.sources, plan.edges, strict=True)):
        previous = states[source]
        for operation, weights in plan.operations:
            matrix = matrices.get((edge, operation))
            if matrix is None:
                continue
            gate, inner = (masked(previous, mask) @ matrix).chunk(2, dim=-1)
            out = previous + torch.sigmoid(gate) * (ACTIVATIONS[operation](inner) - previous)
            if weights is not None:
                out = out * weights[place]
            total = out if total is None else total + out
    assert total is not None, "a node without a live edge was asked for"
    return total
