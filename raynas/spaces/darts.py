"""The DARTS space: cells of two inputs and four nodes, each the sum of two operations; normal and reduction cells.

One class describes its constructions: DARTS, PC-DARTS and RLNAS; GDAS with a fixed reduction cell; SETN and larger sets
of operations; Amended-DARTS with all edges kept, and its S1 and S2.

Reference: Liu et al. 2019, "DARTS: Differentiable Architecture Search".
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch

from raynas.errors import InputError
from raynas.search_space import Architecture, Choice, SearchSpace, WeightVector, angle_parts
from raynas.spaces.cell_graph import CellGraph
from raynas.spaces.darts_networks import DartsNetwork
from raynas.spaces.darts_operations import OPERATIONS, PRIMITIVES
from raynas.spaces.darts_skeleton import Skeleton, check_operations
from raynas.spaces.darts_weights import weights_of_cells
from raynas.spaces.genotype import NODES, Cell, Pair, write_genotype
from raynas.spaces.quadruples import Quadruples


@dataclass(frozen=True)
class Darts(SearchSpace):
    """The space. An architecture holds the operations of a cell's edges 2<-0, 2<-1, 3<-0 ..., normal cell first.

    Node 0 of a cell is c_{k-2}, the output of the cell before the last. Node 1 is c_{k-1}. The output concatenates the
    nodes 2 to 5. Two cells, a third and two thirds of the way in, halve the size and double the channels.

    Derived networks normalise with weight and bias and not after a pooling, as the authors retrain theirs. The options
    `affine`, `pool_bn` and `track_running_stats` concern the supernet alone. Their defaults are those of RLNAS; DARTS
    and GDAS search with ``affine=False``.

    Departs from the code of GDAS: the batch normalisation and ReLU before the classifier of its supernet are left out.
    So are biases of convolutions that are normalised next.

    Attributes:
        channels: Channels C of the first cells.
        cells: Number of cells.
        operations: Candidates of every edge, names of `OPERATIONS`.
        stem: One convolution (cifar), or three that leave an eighth of the size (imagenet).
        edges: ``all``: a node keeps two of its edges and the others take ``none``. ``kept``: a node keeps all of them,
            and ``none`` is no candidate. ``fixed``: a node has two edges, from c_{k-2} and from the node before, and
            ``none`` is no candidate. The last two are of Amended-DARTS (Bi et al. 2019, sections 4.1.1 and 4.1.2).
        reduction: Whether reduction cells are searched, or fixed (GDAS, Dong and Yang 2019, section 3.3).
        share_cells: Whether all cells of a kind make the same choices, or each cell its own.
        affine: Whether the normalisations inside the supernet's cells have weight and bias.
        pool_bn: Whether the supernet normalises after a pooling.
        track_running_stats: Whether the normalisations inside the supernet's cells keep running statistics.
        auxiliary: Whether the supernet has a second classifier, see `AuxiliaryTower`. Derived networks have none; costs
            and angles leave it out.
        partial_channels: Number K of groups of channels of which the supernet's candidates see the first, so that they
            take 1/K of its memory (PC-DARTS, Xu et al. 2020, section 3.2: 4, on ImageNet 2). The other channels pass.
            It must divide the channels. Derived networks use all channels, and angles compare the weights
            that the supernet has.
    """

    channels: int = 16
    cells: int = 8
    operations: Sequence[str] = PRIMITIVES
    stem: Literal["cifar", "imagenet"] = "cifar"
    edges: Literal["all", "fixed", "kept"] = "all"
    reduction: Literal["searched", "fixed"] = "searched"
    share_cells: bool = True
    affine: bool = True
    pool_bn: bool = True
    track_running_stats: bool = True
    auxiliary: bool = False
    partial_channels: int = 1

    name: ClassVar[str] = "darts"

    def __post_init__(self) -> None:
        """Checks the values and keeps the operations as a tuple.

        Raises:
            InputError: If one is not accepted.
        """
        object.__setattr__(self, "operations", tuple(self.operations))
        _ = self.skeleton  # which checks its own values
        check_operations(self.operations, tuple(OPERATIONS), self.edges)
        if self.partial_channels < 1 or self.channels % self.partial_channels:
            raise InputError(
                f"space.partial_channels: expected a divisor of space.channels, {self.channels}, got "
                f"{self.partial_channels}; take 1 for whole channels"
            )

    # Structure

    @functools.cached_property
    def skeleton(self) -> Skeleton:
        """The stack of cells, without the operations on their edges."""
        return Skeleton(self.channels, self.cells, self.stem, self.edges, self.reduction, self.share_cells)

    @functools.cached_property
    def choices(self) -> tuple[Choice, ...]:
        """One choice per edge, cell after cell or kind of cell after kind of cell."""
        return self.skeleton.edge_choices(self.operations)

    def check(self, architecture: Sequence[int]) -> Architecture:
        """Returns `architecture` as a tuple of ints if it belongs to the space.

        Raises:
            InputError: If the number of choices or a candidate's index is wrong, or a node has not two inputs.
        """
        checked = super().check(architecture)
        if self.edges == "kept":
            return checked
        for edges in self.skeleton.edges_into_nodes:
            live = sum(self._passes(checked[edge]) for edge in edges)
            if live != 2:
                raise InputError(
                    f"architecture gives a node {live} inputs that are not none but a node keeps 2 "
                    f"(edges {', '.join(self.choices[edge].name for edge in edges)})"
                )
        return checked

    def _passes(self, candidate: int) -> bool:
        return self.operations[candidate] != "none"

    def repair(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns the architecture with two inputs at every node, as the code of RLNAS does it.

        Which of too many edges are dropped, which of too few are added, and the operation of an added edge are sampled
        uniformly. Repaired uniform samples are therefore uniform on the space.
        """
        if self.edges != "all":
            return architecture
        none = self.operations.index("none")
        others = [k for k in range(len(self.operations)) if k != none]
        repaired = list(architecture)
        for edges in self.skeleton.edges_into_nodes:
            live = [edge for edge in edges if repaired[edge] != none]
            if len(live) > 2:
                for edge in rng.permutation(live)[2:].tolist():
                    repaired[edge] = none
            elif len(live) < 2:
                dead = [edge for edge in edges if repaired[edge] == none]
                for edge in rng.permutation(dead)[: 2 - len(live)].tolist():
                    repaired[edge] = others[int(rng.integers(len(others)))]
        return tuple(repaired)

    @property
    def num_architectures(self) -> int:
        """The number of architectures: on each edge that a node keeps there is an operation other than ``none``."""
        if self.edges != "all":
            return self.size
        into_nodes = self.skeleton.edges_into_nodes
        pairs = math.prod(math.comb(len(edges), 2) for edges in into_nodes)
        return pairs * int((len(self.operations) - 1) ** (2 * len(into_nodes)))

    def path_counts(self, architectures: np.ndarray) -> np.ndarray:
        """Returns the number of none-free paths from an input to any node through each edge, ``(n, num_choices)``."""
        return self._path_counts(architectures, self.skeleton.graph)

    def path_counts_to(self, architectures: np.ndarray, ends: str) -> np.ndarray:
        """Returns the number of none-free paths that end at ``all`` nodes or the ``last`` one, ``(n, num_choices)``."""
        return self._path_counts(architectures, self.skeleton.graph.ending(ends))

    def _path_counts(self, architectures: np.ndarray, graph: CellGraph) -> np.ndarray:
        passes = np.array([operation != "none" for operation in self.operations])[architectures]
        by_cell = passes.reshape(-1, len(graph.edges))
        return graph.path_counts(by_cell).reshape(architectures.shape)

    # Derivation

    def derive(self, probabilities: Sequence[np.ndarray], rule: str) -> Architecture:
        """Returns the architecture that alphas select: every node keeps the two edges of the strongest operations.

        Under ``without_none`` the strength of an edge is the largest probability of an operation other than ``none``
        (DARTS, Liu et al. 2019, section 2.4). Under ``with_none`` it is the largest of all operations (GDAS, Dong and
        Yang 2019, section 3.2). Under ``pairs`` a node takes the two most probable pairs of an edge and an operation
        other than ``none``, possibly of one edge (the code of GDAS): the architecture belongs to `derived_space`. Of
        equals the first is kept. Under ``all_edges`` every edge is kept with its strongest operation.

        Where the space keeps all edges, ``with_none`` and ``without_none`` still choose two edges of each node, and the
        architecture belongs to `derived_space`.

        Departs from GDAS: where ``none`` is the strongest of an edge that is kept, the operation after it is taken,
        since a node has two inputs in this space.

        Args:
            probabilities: softmax(alpha) of every choice, each ``(number of candidates,)``.
            rule: ``with_none``, ``without_none``, ``pairs`` or ``all_edges``.

        Raises:
            InputError: If there is no such rule, or the space does not have it.
        """
        passes = np.array([operation != "none" for operation in self.operations])
        every = np.stack(list(probabilities))
        others = np.where(passes, every, -1.0)
        if rule == "pairs":
            return self._strongest_pairs(others)
        if rule not in ("with_none", "without_none", "all_edges"):
            raise InputError(f"search.derivation: expected with_none, without_none, pairs or all_edges, got {rule!r}")

        _ = self.derived_space(rule)  # says if the space does not have the rule
        operations = others.argmax(axis=1)
        if self.edges == "fixed" or rule == "all_edges":
            return tuple(operations.tolist())
        if self.edges == "kept":
            none, operations = 0, operations + 1  # their indices in the derived space
        else:
            none = self.operations.index("none")
        strengths = (every if rule == "with_none" else others).max(axis=1)
        taken = np.full_like(operations, none)
        for edges in map(list, self.skeleton.edges_into_nodes):
            kept = np.array(edges)[np.argsort(-strengths[edges], kind="stable")[:2]]
            taken[kept] = operations[kept]
        return tuple(taken.tolist())

    def _strongest_pairs(self, probabilities: np.ndarray) -> Architecture:
        """Returns the two most probable pairs of edge and operation of each node, as an architecture of quadruples."""
        space = self.derived_space("pairs")
        kinds = self.skeleton.kinds
        cells: dict[str, list[Pair]] = {kind: [] for kind in kinds}
        for number, edges in enumerate(self.skeleton.edges_into_nodes):
            kind = kinds[number // len(NODES)]
            of_node = probabilities[list(edges)]
            for pair in np.argsort(-of_node, axis=None, kind="stable")[:2].tolist():
                source, operation = divmod(pair, len(self.operations))
                cells[kind].append((self.operations[operation], source))
        text = write_genotype({"normal": cells["normal"], "reduce": cells.get("reduction")})
        return space.parse(text)

    @functools.cached_property
    def _two_of_edges(self) -> Darts:
        """The space with ``none`` before the operations, in which a node keeps two of its edges."""
        return replace(self, edges="all", operations=("none", *self.operations))

    def derived_space(self, rule: str) -> SearchSpace:
        """Returns the space of what `derive` returns.

        Under ``pairs`` it is the space of nodes as quadruples. Where all edges are kept and two of each node are to be
        chosen, it is the space with ``none`` as a further candidate.

        Raises:
            InputError: If there are pairs that quadruples cannot express, or edges to keep that a space may drop.
        """
        if rule == "all_edges" and self.edges == "all":
            raise InputError("search.derivation: all_edges is for space.edges: kept, without none; take without_none")
        if rule != "pairs":
            return self._two_of_edges if self.edges == "kept" and rule != "all_edges" else self
        if self.edges != "all" or not self.share_cells or self.auxiliary or self.partial_channels > 1:
            raise InputError(
                "search.derivation: pairs is for space.edges: all, share_cells: true, auxiliary: false and "
                "partial_channels: 1; take without_none"
            )
        return Quadruples(
            channels=self.channels,
            cells=self.cells,
            operations=tuple(operation for operation in self.operations if operation != "none"),
            stem=self.stem,
            reduction=self.reduction,
            affine=self.affine,
            pool_bn=self.pool_bn,
            track_running_stats=self.track_running_stats,
        )

    # Text

    def _by_kind(self, architecture: Architecture) -> dict[str, Sequence[int]]:
        """Returns the candidates of the edges of each kind of cell."""
        number = len(self.skeleton.graph.edges)
        starts = range(0, len(architecture), number)
        parts = [architecture[start : start + number] for start in starts]
        return dict(zip(self.skeleton.kinds, parts, strict=True))

    def _pairs(self, candidates: Sequence[int]) -> list[Pair]:
        """Returns the pairs (operation, predecessor) of a cell, in the order of its edges."""
        pairs = []
        for (source, _), k in zip(self.skeleton.graph.edges, candidates, strict=True):
            if self._passes(k):
                pairs.append((self.operations[k], source))
        return pairs

    def describe(self, architecture: Architecture) -> str:
        """Returns the ``Genotype`` text of DARTS' code; see `genotype` for cells that it cannot express.

        That text has two inputs a node. Where all edges are kept, each edge is written with its operation.
        """
        if self.edges == "kept":
            return super().describe(architecture)
        pairs = {kind: self._pairs(candidates) for kind, candidates in self._by_kind(architecture).items()}
        if self.share_cells:
            return write_genotype({"normal": pairs["normal"], "reduce": pairs.get("reduction")})
        return write_genotype({"cells": list(pairs.values())})

    def parse(self, text: str) -> Architecture:
        """Returns the architecture of a ``Genotype`` text in the spellings of `read_genotype`, or of integers.

        Integers are candidates' indices, in one row or one row a cell: with DARTS' operations, as the code of RLNAS
        writes them.

        Raises:
            InputError: If the text has none of these forms or is no architecture of this space.
        """
        if re.fullmatch(r"[\s\[\](),\d]*\d[\s\[\](),\d]*", text):
            return self.check([int(digits) for digits in re.findall(r"\d+", text)])
        if self.edges == "kept":
            return super().parse(text)
        candidates: list[int] = []
        for kind, cell in zip(self.skeleton.kinds, self.skeleton.read(text), strict=True):
            candidates += self._candidates(kind, cell)
        return self.check(candidates)

    def _candidates(self, kind: str, cell: Cell) -> list[int]:
        """Returns the candidate of each edge of a cell given as pairs."""
        edges = self.skeleton.graph.edges
        taken: dict[tuple[int, int], int] = {}
        for target, pairs in zip(NODES, cell, strict=True):
            for operation, source in pairs:
                if operation not in self.operations:
                    known = ", ".join(self.operations)
                    raise InputError(f"{kind} {target}<-{source}: expected one of {known}, got {operation!r}")
                if (source, target) not in edges:
                    sources = ", ".join(str(s) for s, t in edges if t == target)
                    raise InputError(f"{kind}: node {target} has edges from {sources}, got one from {source}")
                if (source, target) in taken:
                    raise InputError(f"{kind}: node {target} takes both inputs from {source}; expected two sources")
                taken[source, target] = self.operations.index(operation)
        return [taken[edge] if edge in taken else self.operations.index("none") for edge in edges]

    def drawing(self, architecture: Architecture) -> dict[str, list[tuple[str, str, str]]]:
        """Returns the cells with their edges other than ``none``; the output concatenates the nodes."""
        names = ("in 1", "in 2", *map(str, NODES))
        graphs: dict[str, list[tuple[str, str, str]]] = {}
        for kind, candidates in self._by_kind(architecture).items():
            drawn = []
            for (source, target), k in zip(self.skeleton.graph.edges, candidates, strict=True):
                if self._passes(k):
                    drawn.append((names[source], names[target], self.operations[k]))
            graphs[kind] = drawn + [(str(node), "out", "") for node in NODES]
        return graphs

    # Weights and networks

    def weight_vector(self, definition: str) -> WeightVector:
        """Returns the weights on the paths of the cells, and those outside the paths where extras count.

        See `weights_of_cells` for what each operation counts as.

        Raises:
            InputError: If there is no such definition.
        """
        parts = angle_parts(definition)
        with torch.device("meta"):
            supernet = replace(self, auxiliary=False).build_supernet(num_classes=2)
        return weights_of_cells(supernet, self.operations, len(self.choices), parts, self.stem)

    def build_supernet(self, num_classes: int) -> DartsNetwork:
        """Returns the weight-sharing network of the space."""
        every = (self.operations,) * len(self.choices)
        options = (self.pool_bn, self.affine, self.track_running_stats, self.auxiliary)
        return DartsNetwork(self.skeleton, every, num_classes, *options, partial_channels=self.partial_channels)

    def build_union(self, num_classes: int) -> DartsNetwork:
        """Returns the network of all candidates as derived networks have them."""
        return DartsNetwork(self.skeleton, (self.operations,) * len(self.choices), num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> DartsNetwork:
        """Returns the network of one architecture."""
        taken = tuple((self.operations[k],) for k in self.check(architecture))
        return DartsNetwork(self.skeleton, taken, num_classes)

    def build_network_with_auxiliary(
        self, architecture: Architecture, num_classes: int, second_norm: bool = True
    ) -> DartsNetwork:
        """Returns the network of one architecture with an `AuxiliaryTower`, which runs in training mode."""
        taken = tuple((self.operations[k],) for k in self.check(architecture))
        return DartsNetwork(self.skeleton, taken, num_classes, auxiliary=True, second_norm=second_norm)

    def widened(self, factor: float) -> Darts:
        """Returns the space with the channels C multiplied and rounded, up to a multiple of the partial channels."""
        channels = self.skeleton.scaled_channels(factor)
        while channels % self.partial_channels or (self.reduction == "fixed" and channels % 4):
            channels += 1
        return replace(self, channels=channels)

    def build_inheriting_network(self, architecture: Architecture, num_classes: int) -> DartsNetwork:
        """Returns the network that computes what the supernet does, poolings and partial channels as there."""
        taken = tuple((self.operations[k],) for k in self.check(architecture))
        return DartsNetwork(self.skeleton, taken, num_classes, self.pool_bn, partial_channels=self.partial_channels)
