"""Language models of one recurrent cell: embedding, cell, and a decoder that shares the embedding's weights.

A cell has nodes 0 to n. With x the token's embedding and h the state before it, node 0 is

    c, g = split([x, h] W_0),    s_0 = h + sigmoid(c) (tanh(g) - h)

and an edge from node j into node i with the operation a gives the highway

    c, g = split(s_j W_i),       s_j + sigmoid(c) (a(g) - s_j)

A node is the sum of its edges, see `recurrent_highway`, and the new state is the mean of the nodes 1 to n.

Reference: Liu et al. 2019 (DARTS), section 3.2, and its code; Pham et al. 2018 (ENAS); Merity et al. 2018 (AWD-LSTM).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.spaces.recurrent_highway import (
    Matrices,
    NodePlan,
    highway,
    highways_of_candidates,
    masked,
    node_plan,
    toward,
)
from raynas.spaces.recurrent_norm import NodeNorm
from raynas.supernet.choice_block import with_idle
from raynas.supernet.gates import Gates, Route, per_cell
from raynas.training.window import Window, WindowOutput

INITIAL_RANGE = 0.04
"""First weights of the cell are uniform within this range, as in DARTS' code; those of the embedding within 0.1."""

EMBEDDING_RANGE = 0.1


@dataclass(frozen=True, kw_only=True)
class Regularisation:
    """What keeps a language model from learning its text by heart; the names are those of AWD-LSTM's and DARTS' codes.

    Attributes:
        dropout: Share of the cell's outputs that is dropped before the decoder.
        dropouth: Share of a node's state that is dropped before its matrix product.
        dropoutx: Share of the input that is dropped before the cell's first matrix product.
        dropouti: Share of the embedding that is dropped.
        dropoute: Share of the words whose embedding is dropped.
        weight_drop: Share of the weights of the nodes' matrices that is dropped (Merity et al. 2018, section 2).
        activation: Weight of the mean square of the outputs that remain.
        temporal: Weight of the mean square of the change of the outputs from a token to the next.
    """

    dropout: float = 0.0
    dropouth: float = 0.0
    dropoutx: float = 0.0
    dropouti: float = 0.0
    dropoute: float = 0.0
    weight_drop: float = 0.0
    activation: float = 0.0
    temporal: float = 0.0

    @property
    def drops(self) -> bool:
        """Whether anything is dropped at random."""
        shares = (self.dropout, self.dropouth, self.dropoutx, self.dropouti, self.dropoute, self.weight_drop)
        return any(shares)


def locked(like: Tensor, share: float) -> Tensor | None:
    """Returns a mask for all tokens of a window, ``(streams, width)``, that keeps the mean; None where nothing drops.

    Args:
        like: A tensor of the mask's shape, dtype and device.
        share: Share that is dropped.
    """
    return F.dropout(torch.ones_like(like), share) if share else None


class NodeWeights(nn.Module):
    """The matrix of a node, ``(width, 2 width)``, which all edges into it share."""

    def __init__(self, rows: int, width: int) -> None:
        """Samples the first weights."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, 2 * width).uniform_(-INITIAL_RANGE, INITIAL_RANGE))

    def forward(self, x: Tensor) -> Tensor:
        """Returns ``x W``."""
        return x @ self.weight


@dataclass(frozen=True)
class CellForm:
    """The form of a cell and of its network.

    Attributes:
        nodes: Number of nodes behind node 0.
        embedding: Width of the embedding.
        hidden: Width of the state.
        weights: ``node``: a node has one matrix. ``candidate``: each candidate of each edge has its own.
        outputs: ``all``: the state is the mean of all nodes behind node 0. ``leaves``: of those that run into no other.
        normalise: Whether nodes are normalised.
        regularisation: What is dropped and penalised in training mode.
    """

    nodes: int
    embedding: int
    hidden: int
    weights: str
    outputs: str
    normalise: bool
    regularisation: Regularisation

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Source and target of each edge, sorted by target."""
        return tuple((source, target) for target in range(1, self.nodes + 1) for source in range(target))

    def into(self, node: int) -> range:
        """Returns the numbers of the edges into a node, in the order of their sources."""
        first = node * (node - 1) // 2
        return range(first, first + node)


class RecurrentCell(nn.Module):
    """The nodes of a cell with their weights."""

    def __init__(self, form: CellForm, candidates: Sequence[Sequence[str]]) -> None:
        """Builds the matrices.

        Args:
            form: The form of the cell.
            candidates: Names of the candidates of each edge; no names for an edge that is not there.
        """
        super().__init__()
        self._form, self._names = form, [tuple(names) for names in candidates]
        width = form.hidden
        self.first = NodeWeights(form.embedding + width, width)
        if form.weights == "node":
            self.nodes = nn.ModuleList(NodeWeights(width, width) for _ in range(form.nodes))
        else:
            self.edges = nn.ModuleList(_matrices(names, width) for names in self._names)
        self.norm = NodeNorm() if form.normalise else nn.Identity()

    def plans(self, gates: Gates, like: Tensor) -> list[NodePlan]:
        """Returns what runs into each node under a route."""
        form, plans = self._form, []
        for node in range(1, form.nodes + 1):
            edges = form.into(node)
            names, of_node = [self._names[edge] for edge in edges], [gates[edge] for edge in edges]
            plans.append(node_plan(edges, range(node), names, of_node, like))
        return plans

    def forward(self, x: Tensor, state: Tensor, gates: Gates) -> tuple[Tensor, Tensor]:
        """Returns the output at each token, ``(length, streams, width)``, and the state, the output at the last token.

        Args:
            x: Embeddings, ``(length, streams, embedding)``.
            state: The state before the first token, ``(streams, width)``.
            gates: One gate per edge.
        """
        plans = self.plans(gates, state)
        drops = self._form.regularisation if self.training else Regularisation()
        x_mask, h_mask = locked(x[0], drops.dropoutx), locked(state, drops.dropouth)
        matrices = self._matrices(plans, drops.weight_drop)
        first = self.first.weight
        of_input, of_state = first[: x.shape[2]], first[x.shape[2] :]
        of_state = F.dropout(of_state, drops.weight_drop) if drops.weight_drop else of_state
        inputs = masked(x, x_mask) @ of_input  # of all tokens in one product
        ends = self._ends(plans)
        outputs = []
        for token in inputs.unbind():
            gate, inner = (token + masked(state, h_mask) @ of_state).chunk(2, dim=-1)
            states = [self.norm(toward(state, torch.tanh(inner), torch.sigmoid(gate)))]
            for node, plan in enumerate(plans, start=1):
                out = self._node(states, h_mask, plan, matrices, node)
                states.append(self.norm(with_idle(out, plan.idle)))
            state = torch.stack([states[node] for node in ends]).mean(dim=0)
            outputs.append(state)
        return torch.stack(outputs), state

    def _ends(self, plans: Sequence[NodePlan]) -> list[int]:
        """Returns the nodes whose mean is the state."""
        used: set[int] = set()
        if self._form.outputs == "leaves":
            used.update(*(plan.sources for plan in plans))
        return [node for node in range(1, self._form.nodes + 1) if node not in used]

    def _matrices(self, plans: Sequence[NodePlan], weight_drop: float) -> dict[tuple[int, str], Tensor]:
        """Returns the matrices that run, by node, or by edge and operation; the same for all tokens of a window."""
        found: dict[tuple[int, str], Tensor] = {}
        for node, plan in enumerate(plans, start=1):
            if self._form.weights == "node":
                found[(node, "")] = self.nodes[node - 1].weight  # type: ignore[assignment]
                continue
            for edge in plan.edges:
                for operation, _ in plan.operations:
                    if operation in self._names[edge]:
                        found[(edge, operation)] = self.edges[edge].get_submodule(operation).weight  # type: ignore[assignment]
        if not weight_drop:
            return found
        return {key: F.dropout(matrix, weight_drop) for key, matrix in found.items()}

    def _node(
        self, states: Sequence[Tensor], mask: Tensor | None, plan: NodePlan, matrices: Matrices, node: int
    ) -> Tensor:
        """Returns the sum of the live edges into a node, ``(streams, width)``; zeros where none is live."""
        if not plan.sources:
            return torch.zeros_like(states[0])
        if self._form.weights != "node":
            return highways_of_candidates(states, mask, plan, matrices)
        sources = [states[source] for source in plan.sources]
        previous = sources[0].unsqueeze(0) if len(sources) == 1 else torch.stack(sources)
        return highway(previous, masked(previous, mask) @ matrices[(node, "")], plan)


def _matrices(names: Iterable[str], width: int) -> nn.ModuleDict:
    """Returns the matrices of the candidates of an edge by their names."""
    return nn.ModuleDict({name: NodeWeights(width, width) for name in names if name != "none"})


class LanguageModel(nn.Module):
    """Embedding, recurrent cell and decoder.

    The decoder multiplies by the embedding's weights where both have the same width, and has a bias of its own. Where
    they differ it has weights of its own.

    Attributes:
        num_cells: One.
        state_width: Width of the state, which is remembered from a window to the next.
        drops: Whether anything is dropped at random in training mode.
    """

    num_cells = 1

    def __init__(
        self, form: CellForm, cell: nn.Module, words: int, route: Gates | None = None, state_width: int | None = None
    ) -> None:
        """Builds the network around a cell.

        Args:
            form: Widths and regularisation.
            cell: Returns the output at each token and the last state, given embeddings, a state, and gates.
            words: Number of words.
            route: The route of a derived network.
            state_width: Width of the state; by default that of the outputs.
        """
        super().__init__()
        self.state_width, self.drops = state_width or form.hidden, form.regularisation.drops
        self._regularisation, self._route = form.regularisation, route
        self.embedding = NodeEmbedding(words, form.embedding)
        self.cell = cell
        if form.embedding != form.hidden:
            self.decoder = NodeEmbedding(words, form.hidden)
        self.decoder_bias = nn.Parameter(torch.zeros(words))

    def forward(self, inputs: Tensor | Window, gates: Route | None = None) -> Tensor | WindowOutput:
        """Returns logits, ``(streams * length, words)``, of tokens, ``(streams, length)``; a window's whole output.

        Args:
            inputs: Tokens, before which the state is zero, or a window.
            gates: One gate per edge; a derived network needs none.
        """
        route = gates if gates is not None else self._route
        assert route is not None, "a supernet needs gates"
        tokens, state = inputs if isinstance(inputs, Window) else (inputs, self._zeros(len(inputs)))
        drops = self._regularisation if self.training else Regularisation()
        x = self._embed(tokens, drops)
        outputs, state = self.cell(x.transpose(0, 1), state.to(x), per_cell(route, 1)[0])
        kept = masked(outputs, locked(outputs[0], drops.dropout))
        decoder = self.embedding.weight if not hasattr(self, "decoder") else self.decoder.weight
        logits = F.linear(kept.transpose(0, 1).flatten(0, 1), decoder, self.decoder_bias)
        if not isinstance(inputs, Window):
            return logits
        return WindowOutput(logits, state, _penalty(outputs, kept, drops))

    def _zeros(self, streams: int) -> Tensor:
        return self.decoder_bias.new_zeros(streams, self.state_width)

    def _embed(self, tokens: Tensor, drops: Regularisation) -> Tensor:
        """Returns the embeddings, ``(streams, length, embedding)``, less whole words and entries that are dropped."""
        table = self.embedding.weight
        x = F.embedding(tokens, table)
        if drops.dropoute:
            kept = F.dropout(table.new_ones(len(table)), drops.dropoute)
            x = x * kept[tokens].unsqueeze(-1)
        mask = locked(x[:, 0], drops.dropouti)
        return x if mask is None else x * mask.unsqueeze(1)


class NodeEmbedding(nn.Module):
    """A vector for each word."""

    def __init__(self, words: int, width: int) -> None:
        """Samples the first vectors."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(words, width).uniform_(-EMBEDDING_RANGE, EMBEDDING_RANGE))


def _penalty(outputs: Tensor, kept: Tensor, drops: Regularisation) -> Tensor:
    """Returns the activation regularisation, summed over the streams (Merity et al. 2018, section 4.6).

    Args:
        outputs: ``(length, streams, width)``.
        kept: Those that remain where some are dropped.
        drops: The weights of both terms.
    """
    streams = outputs.shape[1]
    penalty = outputs.new_zeros(())
    if drops.activation:
        penalty = penalty + drops.activation * streams * kept.square().mean()
    if drops.temporal and len(outputs) > 1:
        penalty = penalty + drops.temporal * streams * (outputs[1:] - outputs[:-1]).square().mean()
    return penalty
