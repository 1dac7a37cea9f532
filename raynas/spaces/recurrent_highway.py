"""What runs into a node of a recurrent cell under a route, and the sum of its edges.

An edge from node s with the matrix W and the operation a gives the highway

    c, g = split(s W),    s + sigmoid(c) (a(g) - s)

Where a node has one matrix for all its edges, one product and one gate serve all operations: with weights w the sum is

    sum_s [ (sum_a w_sa) (1 - sigmoid(c_s)) s + sigmoid(c_s) sum_a w_sa a(g_s) ]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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


def toward(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Returns start + share (end - start) in the dtype of the start: under autocast products have another."""
    return torch.lerp(start, end.to(start), share.to(start))


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
            run; None where everything that runs has a weight of 1.
        groups: Where every live edge runs one operation: the operations in turn, each with the first of its edges and
            the one after its last. None where an edge runs several.
        total: The sum of the weights of each live edge; None where all are 1.
        idle: The gates of all edges, where idle candidates add their weights; empty elsewhere.
    """

    sources: tuple[int, ...]
    edges: tuple[int, ...]
    operations: tuple[tuple[str, Tensor | None], ...]
    groups: tuple[tuple[str, int, int], ...] | None
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
    live: list[tuple[int, dict[str, Tensor | None]]] = []
    for place, (candidates, gate) in enumerate(zip(names, gates, strict=True)):
        row: dict[str, Tensor | None] = {}
        for position, k in enumerate(gate.active):
            if candidates[k] != "none":
                row[candidates[k]] = None if gate.weights is None else gate.weights.to(like)[position]
        if row:
            live.append((place, row))
    is_single = all(len(row) == 1 for _, row in live)
    if is_single:
        live.sort(key=lambda entry: next(iter(entry[1])))  # edges of one operation stand together
    rows = [row for _, row in live]
    groups = tuple(_groups([next(iter(row)) for row in rows])) if is_single else None
    places = tuple(sources[place] for place, _ in live), tuple(edges[place] for place, _ in live)
    idle = tuple(gates) if any(gate.idle for gate in gates) else ()
    operations = _weights_by_operation(rows, like)
    weights = [weight for _, weight in operations if weight is not None]
    return NodePlan(*places, operations, groups, torch.stack(weights).sum(dim=0) if weights else None, idle)


def _groups(operations: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Yields each operation of a sorted list with its first place and the place after its last."""
    for operation in dict.fromkeys(operations):
        first = operations.index(operation)
        yield operation, first, first + operations.count(operation)


def _weights_by_operation(
    rows: Sequence[Mapping[str, Tensor | None]], like: Tensor
) -> tuple[tuple[str, Tensor | None], ...]:
    """Returns the operations that run, each with its weight on every edge; no weights where none is given."""
    operations: list[str] = []
    for row in rows:
        operations += [name for name in row if name not in operations]
    is_plain = all(weight is None for row in rows for weight in row.values())
    if is_plain and all(len(row) == 1 for row in rows):
        return tuple((name, None) for name in operations)
    zero, one = like.new_zeros(()), like.new_ones(())
    found: list[tuple[str, Tensor | None]] = []
    for name in operations:
        weights = []
        for row in rows:
            weight = row.get(name, zero)
            weights.append(one if weight is None else weight)
        found.append((name, torch.stack(weights)))
    return tuple(found)


def highway(previous: Tensor, product: Tensor, plan: NodePlan) -> Tensor:
    """Returns the sum of the edges into a node, ``(streams, width)``.

    Args:
        previous: The nodes that the live edges come from, ``(edges, streams, width)``.
        product: Their matrix products, ``(edges, streams, 2 width)``.
        plan: What runs.
    """
    gate, inner = product.chunk(2, dim=-1)
    gate = torch.sigmoid(gate)
    if plan.groups is not None:
        parts = [ACTIVATIONS[operation](inner[first:last]) for operation, first, last in plan.groups]
        out = toward(previous, parts[0] if len(parts) == 1 else torch.cat(parts), gate)
        if plan.total is not None:
            out = out * plan.total[:, None, None]
        return out.squeeze(0) if len(out) == 1 else out.sum(dim=0)

    assert plan.total is not None, "an edge that runs several operations has weights, if only of 1"
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
            out = toward(previous, ACTIVATIONS[operation](inner), torch.sigmoid(gate))
            if weights is not None:
                out = out * weights[place]
            total = out if total is None else total + out
    assert total is not None, "a node without a live edge was asked for"
    return total
