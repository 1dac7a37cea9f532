"""The space of recurrent cells of ENAS, DARTS and GDAS, for language modelling.

Reference: Liu et al. 2019 (DARTS), section 3.2; Dong and Yang 2019 (GDAS), section 4.3; Pham et al. 2018 (ENAS).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from raynas.errors import InputError
from raynas.search_space import Architecture, Choice, SearchSpace, WeightTerm, WeightVector, angle_parts
from raynas.spaces.cell_graph import CellGraph
from raynas.spaces.recurrent_genotype import leaves_of, read_recurrent, write_recurrent
from raynas.spaces.recurrent_highway import ACTIVATIONS
from raynas.spaces.recurrent_networks import CellForm, LanguageModel, RecurrentCell, Regularisation
from raynas.spaces.recurrent_union import UnionCell
from raynas.supernet.gates import Gate

PRIMITIVES = ("none", *ACTIVATIONS)
"""The operations in the order of the codes of DARTS and GDAS."""


@dataclass(frozen=True)
class Recurrent(SearchSpace, Regularisation):
    """Cells of nodes 1 to n, each the highway from one earlier node with one activation; the state is their mean.

    An architecture holds the operations of the edges 1<-0, 2<-0, 2<-1, 3<-0 and so on. One edge into each node has an
    operation, and the others have ``none``. Node 0 is made of token and state, see `recurrent_networks`. GDAS' paper
    counts node 0, so that its B = 9 are 8 nodes here, as in the codes of GDAS and DARTS.

    Derived networks are not normalised, as the authors retrain theirs. Networks that inherit the supernet's weights
    are.

    Attributes:
        nodes: Number of nodes behind node 0.
        operations: Candidates of every edge: ``none`` and some of tanh, relu, sigmoid and identity.
        embedding: Width of the embedding of a word.
        hidden: Width of the state. Where it is that of the embedding, decoder and embedding share their weights.
        weights: Whether a node has one matrix for all its edges (node), as in the codes of DARTS and GDAS, or each
            candidate of each edge its own (candidate), so that weights tell operations apart.
        outputs: Nodes whose mean is the state: all behind node 0 (all), as in DARTS and GDAS, or those that are no
            other node's predecessor (leaves), as in ENAS.
        normalise: Whether the nodes of the supernet are batch-normalised, without weight and bias.
    """

    nodes: int = 8
    operations: Sequence[str] = PRIMITIVES
    embedding: int = 300
    hidden: int = 300
    weights: Literal["node", "candidate"] = "node"
    outputs: Literal["all", "leaves"] = "all"
    normalise: bool = True

    name: ClassVar[str] = "recurrent"
    takes: ClassVar[str] = "tokens"

    def __post_init__(self) -> None:
        """Checks the values and keeps the operations as a tuple.

        Raises:
            InputError: If one is not accepted.
        """
        object.__setattr__(self, "operations", tuple(self.operations))
        for key, most in (("nodes", 100), ("embedding", 100_000), ("hidden", 100_000)):
            if not 1 <= getattr(self, key) <= most:
                raise InputError(f"space.{key}: expected 1 to {most:,}, got {getattr(self, key)}")
        operations = self.operations
        if (
            len(set(operations)) < len(operations)
            or not set(operations) <= set(PRIMITIVES)
            or "none" not in operations
            or len(operations) < 3
        ):
            raise InputError(
                f"space.operations: expected none and two or more of {', '.join(ACTIVATIONS)}, each once, got "
                f"{', '.join(operations)}"
            )
        for key in ("dropout", "dropouth", "dropoutx", "dropouti", "dropoute", "weight_drop"):
            if not 0 <= getattr(self, key) < 1:
                raise InputError(f"space.{key}: expected a share from 0 to less than 1, got {getattr(self, key)}")
        for key in ("activation", "temporal"):
            if not 0 <= getattr(self, key) < math.inf:
                raise InputError(f"space.{key}: expected 0 or more, got {getattr(self, key)}")

    # Structure

    @functools.cached_property
    def form(self) -> CellForm:
        """The form of the supernet."""
        shares = {key: getattr(self, key) for key in Regularisation.__dataclass_fields__}
        sizes = self.nodes, self.embedding, self.hidden
        return CellForm(*sizes, self.weights, self.outputs, self.normalise, Regularisation(**shares))

    @functools.cached_property
    def graph(self) -> CellGraph:
        """The graph of the cell, whose paths may end at every node but node 0."""
        return CellGraph(num_inputs=1, edges=self.form.edges, ends=tuple(range(1, self.nodes + 1)))

    @functools.cached_property
    def choices(self) -> tuple[Choice, ...]:
        """One choice per edge."""
        return tuple(Choice(f"{target}<-{source}", tuple(self.operations)) for source, target in self.graph.edges)

    @property
    def _none(self) -> int:
        return list(self.operations).index("none")

    def _live(self, architecture: Sequence[int], node: int) -> list[int]:
        """Returns the edges into a node that have an operation."""
        return [edge for edge in self.form.into(node) if architecture[edge] != self._none]

    def check(self, architecture: Sequence[int]) -> Architecture:
        """Returns `architecture` as a tuple of ints if it belongs to the space.

        Raises:
            InputError: If the number of choices or a candidate's index is wrong, or a node has not one input.
        """
        checked = super().check(architecture)
        for node in range(1, self.nodes + 1):
            live = len(self._live(checked, node))
            if live != 1:
                edges = ", ".join(self.choices[edge].name for edge in self.form.into(node))
                raise InputError(
                    f"architecture gives node {node} {live} inputs that are not none but a node keeps 1 (edges {edges})"
                )
        return checked

    def repair(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns the architecture with one input at every node.

        Which of several edges stays, and which edge and operation are added where there are none, is sampled uniformly.
        Repaired uniform samples are therefore uniform on the space.
        """
        repaired = list(architecture)
        others = [k for k in range(len(self.operations)) if k != self._none]
        for node in range(1, self.nodes + 1):
            live = self._live(repaired, node)
            if len(live) > 1:
                kept = live[int(rng.integers(len(live)))]
                for edge in live:
                    repaired[edge] = repaired[edge] if edge == kept else self._none
            elif not live:
                edges = self.form.into(node)
                repaired[edges[int(rng.integers(node))]] = others[int(rng.integers(len(others)))]
        return tuple(repaired)

    @property
    def num_architectures(self) -> int:
        """The number of architectures: node i has i predecessors and the operations other than ``none``."""
        return math.factorial(self.nodes) * int((len(self.operations) - 1) ** self.nodes)

    def path_counts(self, architectures: np.ndarray) -> np.ndarray:
        """Returns the number of paths from node 0 to any node through each edge, ``(n, num_choices)`` int64."""
        return self.graph.path_counts(architectures != self._none)

    def path_counts_to(self, architectures: np.ndarray, ends: str) -> np.ndarray:
        """Returns the number of paths that end at ``all`` nodes or the ``last`` one, ``(n, num_choices)`` int64."""
        return self.graph.ending(ends).path_counts(architectures != self._none)

    def derive(self, probabilities: Sequence[np.ndarray], rule: str) -> Architecture:
        """Returns the architecture that alphas select: every node keeps the edge of the strongest operation, T = 1.

        Under ``without_none`` the strength of an edge is the largest probability of an operation other than ``none``,
        as in the code of DARTS. Under ``with_none`` it is the largest of all (GDAS, Dong and Yang 2019, section 3.2).
        Of equals the first is kept.

        Departs from GDAS: where ``none`` is the strongest of the edge that is kept, the operation after it is taken.

        Raises:
            InputError: If there is no such rule.
        """
        if rule not in ("with_none", "without_none"):
            raise InputError(f"search.derivation: expected with_none or without_none, got {rule!r}; take one of them")
        every = np.stack(list(probabilities))
        others = np.where(np.arange(len(self.operations)) == self._none, -1.0, every)
        strengths = (every if rule == "with_none" else others).max(axis=1)
        taken = np.full(len(every), self._none)
        for node in range(1, self.nodes + 1):
            edges = np.array(self.form.into(node))
            kept = edges[np.argmax(strengths[edges])]
            taken[kept] = others[kept].argmax()
        return tuple(taken.tolist())

    # Text

    def _pairs(self, architecture: Sequence[int]) -> list[tuple[str, int]]:
        """Returns the operation and the predecessor of each node."""
        pairs = []
        for node in range(1, self.nodes + 1):
            (edge,) = self._live(architecture, node)
            pairs.append((self.operations[architecture[edge]], self.graph.edges[edge][0]))
        return pairs

    def describe(self, architecture: Architecture) -> str:
        """Returns the text of the codes of DARTS and GDAS, ``Genotype(recurrent=[...], concat=range(1, 9))``."""
        pairs = self._pairs(architecture)
        return write_recurrent(pairs, self._outputs(pairs))

    def _outputs(self, pairs: Sequence[tuple[str, int]]) -> list[int]:
        """Returns the nodes whose mean is the state."""
        return leaves_of(pairs) if self.outputs == "leaves" else list(range(1, len(pairs) + 1))

    def parse(self, text: str) -> Architecture:
        """Returns the architecture of such a text.

        Raises:
            InputError: If the text has another form or is no architecture of this space.
        """
        pairs, outputs = read_recurrent(text)
        if len(pairs) != self.nodes:
            raise InputError(f"expected a cell of {self.nodes} nodes (space.nodes), got {len(pairs)} in {text!r}")
        if outputs != self._outputs(pairs):
            raise InputError(
                f"concat: expected {self._outputs(pairs)} (space.outputs is {self.outputs}), got {outputs} in {text!r}"
            )
        architecture = [self._none] * len(self.choices)
        for node, (operation, source) in enumerate(pairs, start=1):
            if operation not in self.operations or operation == "none" or source not in range(node):
                known = ", ".join(name for name in self.operations if name != "none")
                raise InputError(
                    f"node {node}: expected one of {known} from one of 0 to {node - 1}, got {(operation, source)}"
                )
            architecture[self.form.into(node)[source]] = list(self.operations).index(operation)
        return tuple(architecture)

    def drawing(self, architecture: Architecture) -> dict[str, list[tuple[str, str, str]]]:
        """Returns the cell; its output is the mean of nodes."""
        pairs, edges = self._pairs(architecture), []
        for node, (operation, source) in enumerate(pairs, start=1):
            edges.append(("in" if source == 0 else str(source), str(node), operation))
        return {"cell": edges + [(str(node), "out", "") for node in self._outputs(pairs)]}

    # Weights

    def weight_vector(self, definition: str) -> WeightVector:
        """Returns the matrices on the paths of the cell, and those around the cell where extras count.

        An edge counts with the matrix of its operation, as often as paths run through it. An activation has no weights,
        so that where a node has one matrix for all candidates the angle tells predecessors apart and operations not.
        The extras are the embedding, the matrix of node 0, and the decoder.

        Raises:
            InputError: If there is no such definition.
        """
        parts = angle_parts(definition, skip="empty", norms="none")
        candidates = []
        for edge, (_, target) in enumerate(self.graph.edges):
            terms = []
            for name in self.operations:
                names = (f"cell.edges.{edge}.{name}.weight",)
                if self.weights == "node":
                    names = (f"cell.nodes.{target - 1}.weight",)
                terms.append(WeightTerm() if name == "none" else WeightTerm(names))
            candidates.append(tuple(terms))
        always: tuple[str, ...] = ()
        if parts.extras == "counted":
            decoder = () if self.embedding == self.hidden else ("decoder.weight",)
            always = ("embedding.weight", "cell.first.weight", *decoder, "decoder_bias")
        return WeightVector(WeightTerm(always), tuple(candidates))

    # Networks

    def example_inputs(self, number: int, size: int, device: torch.device) -> Tensor:
        """Returns tokens for trying a network, ``(number, size)``."""
        return torch.zeros(number, size, dtype=torch.int64, device=device)

    def build_supernet(self, num_classes: int) -> LanguageModel:
        """Returns the weight-sharing network of the space."""
        every = (tuple(self.operations),) * len(self.choices)
        return LanguageModel(self.form, RecurrentCell(self.form, every), num_classes)

    def build_union(self, num_classes: int) -> LanguageModel:
        """Returns the network that costs are read from: all candidates, and one matrix product for a node."""
        return LanguageModel(self.form, UnionCell(self.form, self.operations), num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> LanguageModel:
        """Returns the network of one architecture, without normalisation."""
        return self._network(architecture, num_classes, normalise=False)

    def build_inheriting_network(self, architecture: Architecture, num_classes: int) -> LanguageModel:
        """Returns the network that computes what the supernet does, normalised where that is."""
        return self._network(architecture, num_classes, self.normalise)

    def _network(self, architecture: Architecture, num_classes: int, normalise: bool) -> LanguageModel:
        """Returns the network of one architecture."""
        checked = self.check(architecture)
        taken = [(self.operations[k],) for k in checked]
        form = replace(self.form, normalise=normalise)
        return LanguageModel(form, RecurrentCell(form, taken), num_classes, tuple(Gate((0,)) for _ in taken))
