"""The union of all derived recurrent cells, from which costs are read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from raynas.spaces.recurrent_highway import ACTIVATIONS
from raynas.spaces.recurrent_networks import CellForm, NodeWeights
from raynas.supernet.choice_block import ChoiceBlock, Zero
from raynas.supernet.gates import Gates


class _Activation(nn.Module):
    """A candidate whose matrix product is its node's: it costs nothing of its own."""

    def __init__(self, operation: str) -> None:
        super().__init__()
        self._operation = operation

    def forward(self, x: Tensor) -> Tensor:
        """Returns the activations of the second half."""
        return ACTIVATIONS[self._operation](x[:, x.shape[1] // 2 :])


class _OwnMatrix(nn.Module):
    """A candidate with a matrix of its own."""

    def __init__(self, operation: str, width: int) -> None:
        super().__init__()
        self.matrix, self.activation = NodeWeights(width, width), _Activation(operation)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the activations of the product."""
        out: Tensor = self.activation(self.matrix(x))
        return out


class UnionCell(nn.Module):
    """All candidates of all edges, each once, with the matrix products that one architecture has.

    It computes nothing of use. Where a node has one matrix, its product is taken once for the node, whichever edge it
    keeps; otherwise each candidate has its own.
    """

    def __init__(self, form: CellForm, operations: Sequence[str]) -> None:
        """Builds a choice block of the operations on every edge."""
        super().__init__()
        self._form = form
        width, shares = form.hidden, form.weights == "node"
        self.first = NodeWeights(form.embedding + width, width)
        self.nodes = nn.ModuleList(NodeWeights(width, width) for _ in range(form.nodes if shares else 0))
        self.blocks = nn.ModuleList()
        for _ in form.edges:
            candidates: dict[str, nn.Module] = {}
            for name in operations:
                own = _Activation(name) if shares else _OwnMatrix(name, width)
                candidates[name] = Zero() if name == "none" else own
            self.blocks.append(ChoiceBlock(candidates))

    def forward(self, x: Tensor, state: Tensor, gates: Gates) -> tuple[Tensor, Tensor]:
        """Returns an output at each token, ``(length, streams, width)``, and a state."""
        outputs = []
        for token in x.unbind():
            out = self.first(torch.cat([token, state], dim=1))[:, : state.shape[1]]
            for node in range(1, self._form.nodes + 1):
                out = self._node(out, node, gates)
            outputs.append(out)
            state = out
        return torch.stack(outputs), state

    def _node(self, x: Tensor, node: int, gates: Gates) -> Tensor:
        given = self.nodes[node - 1](x) if len(self.nodes) else x
        edges = self._form.into(node)
        return torch.stack([self.blocks[edge](given, gates[edge]) for edge in edges]).sum(dim=0)
