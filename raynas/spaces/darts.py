"""The DARTS space: cells of two inputs and four nodes, each the sum of two operations; normal and reduction cells.

One class describes its constructions: that of DARTS, PC-DARTS and RLNAS, GDAS' with a fixed reduction cell, SETN's and
larger sets of operations, and the two of Amended-DARTS, S1 and S2.

Reference: Liu et al. 2019, "DARTS: Differentiable Architecture Search".
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.search_space import Architecture, Choice, SearchSpace, WeightTerm, WeightVector
from raynas.spaces.cell_graph import CellGraph
from raynas.spaces.genotype import NODES, Cell, Pair, read_genotype, write_genotype
from raynas.spaces.operations import (
    AvgPool3x3,
    ConvBn,
    FactorizedReduce,
    ReluConvBn,
    depthwise_separable,
    row_then_column,
)
from raynas.supernet.choice_block import ChoiceBlock, Zero, with_idle
from raynas.supernet.gates import Gate, Gates, per_cell

PRIMITIVES = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The candidates of every edge, in DARTS' order; RLNAS' code writes them as 0 to 7."""

POOLS = ("max_pool_3x3", "avg_pool_3x3")

OPERATIONS: dict[str, Callable[..., nn.Module]] = {
    "none": lambda c, stride, **bn: Zero(),
    "max_pool_3x3": lambda c, stride, **bn: nn.MaxPool2d(3, stride, padding=1),
    "avg_pool_3x3": lambda c, stride, **bn: AvgPool3x3(stride),
    "skip_connect": lambda c, stride, **bn: nn.Identity() if stride == 1 else FactorizedReduce(c, c, **bn),
    "sep_conv_3x3": lambda c, stride, **bn: _twice_separable(c, 3, stride, **bn),
    "sep_conv_5x5": lambda c, stride, **bn: _twice_separable(c, 5, stride, **bn),
    "sep_conv_7x7": lambda c, stride, **bn: _twice_separable(c, 7, stride, **bn),
    "dil_conv_3x3": lambda c, stride, **bn: depthwise_separable(c, 3, stride, dilation=2, **bn),
    "dil_conv_5x5": lambda c, stride, **bn: depthwise_separable(c, 5, stride, dilation=2, **bn),
    "conv_3x1_1x3": lambda c, stride, **bn: row_then_column(c, 3, stride, **bn),
    "conv_7x1_1x7": lambda c, stride, **bn: row_then_column(c, 7, stride, **bn),
    "nor_conv_1x1": lambda c, stride, **bn: ReluConvBn(c, c, 1, stride, **bn),
    "nor_conv_3x3": lambda c, stride, **bn: ReluConvBn(c, c, 3, stride, **bn),
    "nor_conv_7x7": lambda c, stride, **bn: ReluConvBn(c, c, 7, stride, **bn),
}
"""What `Darts.operations` may name: builders of (channels, stride) and the options of batch normalisation."""

GRAPHS = {
    "all": CellGraph(2, tuple((source, target) for target in NODES for source in range(target)), tuple(NODES)),
    "fixed": CellGraph(2, tuple((source, target) for target in NODES for source in (0, target - 1)), tuple(NODES)),
}
"""The edges of a cell: from every earlier node, or, as in Amended-DARTS, from c_{k-2} and the node before."""


@dataclass(frozen=True)
class Darts(SearchSpace):
    """The space. An architecture holds the operations of a cell's edges 2<-0, 2<-1, 3<-0 ..., normal cell first.

    Node 0 of a cell is c_{k-2}, the output of the cell before the last, node 1 is c_{k-1}; the output concatenates the
    nodes 2 to 5. Two cells, a third and two thirds of the way in, halve the size and double the channels.

    Derived networks normalise with weight and bias and not after a pooling, as the authors retrain theirs; `affine`,
    `pool_bn` and `track_running_stats` are about the supernet alone. Their defaults are RLNAS'; DARTS and GDAS search
    with ``affine=False``.

    Departs from GDAS' code: the batch normalisation and ReLU that it has before the classifier while it searches are
    left out, and so are biases of convolutions that are normalised next.

    Attributes:
        channels: Channels C of the first cells.
        cells: Number of cells.
        operations: Candidates of every edge, names of `OPERATIONS`.
        stem: One convolution (cifar), or three that leave an eighth of the size (imagenet).
        edges: ``all``: a node keeps two of its edges and the others take ``none``. ``fixed``: there are but two, from
            c_{k-2} and from the node before (Amended-DARTS, Bi et al. 2019), and ``none`` is no candidate.
        reduction: Whether reduction cells are searched, or fixed (GDAS, Dong and Yang 2019, section 3.3).
        share_cells: Whether all cells of a kind make the same choices, or each cell its own.
        affine: Whether the normalisations inside the supernet's cells have weight and bias.
        pool_bn: Whether the supernet normalises after a pooling.
        track_running_stats: Whether the normalisations inside the supernet's cells keep running statistics.
        auxiliary: Whether the supernet has a second classifier, see `AuxiliaryTower`. Derived networks have none, and
            neither costs nor angles know of it.
    """

    channels: int = 16
    cells: int = 8
    operations: Sequence[str] = PRIMITIVES
    stem: Literal["cifar", "imagenet"] = "cifar"
    edges: Literal["all", "fixed"] = "all"
    reduction: Literal["searched", "fixed"] = "searched"
    share_cells: bool = True
    affine: bool = True
    pool_bn: bool = True
    track_running_stats: bool = True
    auxiliary: bool = False

    name: ClassVar[str] = "darts"

    def __post_init__(self) -> None:
        """Checks the values and keeps the operations as a tuple.

        Raises:
            ValueError: If one is not what it may be.
        """
        object.__setattr__(self, "operations", tuple(self.operations))
        words = {"stem": ("cifar", "imagenet"), "edges": ("all", "fixed"), "reduction": ("searched", "fixed")}
        for key, values in words.items():
            if getattr(self, key) not in values:
                raise ValueError(f"space.{key}: expected {' or '.join(values)}, got {getattr(self, key)!r}")
        if not 2 <= self.channels <= 10_000:
            raise ValueError(f"space.channels: expected 2 to 10,000, got {self.channels}")
        if self.reduction == "fixed" and self.channels % 4:
            raise ValueError(
                "space.channels: expected a multiple of 4, since the fixed reduction cell convolves twice as many in "
                f"8 groups, got {self.channels}"
            )
        if not 3 <= self.cells <= 1_000:
            raise ValueError(f"space.cells: expected 3 to 1,000, of which two are reduction cells, got {self.cells}")
        for operation in self.operations:
            if operation not in OPERATIONS:
                raise ValueError(f"space.operations: expected names of {', '.join(OPERATIONS)}, got {operation!r}")
        if len(set(self.operations)) < max(2, len(self.operations)):
            raise ValueError(f"space.operations: expected two or more different ones, got {', '.join(self.operations)}")
        if ("none" in self.operations) != (self.edges == "all"):
            need = "none among them, which drops an edge" if self.edges == "all" else "no none where edges are fixed"
            raise ValueError(f"space.operations: expected {need}, got {', '.join(self.operations)}")

    # Structure

    @property
    def choices(self) -> tuple[Choice, ...]:
        """One choice per edge, cell after cell or kind of cell after kind of cell."""
        return _choices(self)

    @property
    def graph(self) -> CellGraph:
        """Nodes and edges of a searched cell."""
        return GRAPHS[self.edges]

    @property
    def reductions(self) -> tuple[int, int]:
        """Which cells halve the size."""
        return (self.cells // 3, 2 * self.cells // 3)

    def kind(self, cell: int) -> str | None:
        """Returns the name under which a cell's choices are made; None where it makes none."""
        if cell in self.reductions and self.reduction == "fixed":
            return None
        if not self.share_cells:
            return f"cell{cell}"
        return "reduction" if cell in self.reductions else "normal"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names under which choices are made, in their order."""
        names = (self.kind(cell) for cell in range(self.cells))
        return tuple(dict.fromkeys(name for name in names if name is not None))

    def check(self, architecture: Sequence[int]) -> Architecture:
        """Returns `architecture` as a tuple of ints if it belongs to the space.

        Raises:
            ValueError: If the number of choices or a candidate's index is wrong, or a node has not two inputs.
        """
        checked = super().check(architecture)
        for edges in _edges_into_nodes(self):
            live = sum(self._passes(checked[edge]) for edge in edges)
            if live != 2:
                raise ValueError(
                    f"architecture gives a node {live} inputs that are not none but a node keeps 2 "
                    f"(edges {', '.join(self.choices[edge].name for edge in edges)})"
                )
        return checked

    def _passes(self, candidate: int) -> bool:
        return self.operations[candidate] != "none"

    def repair(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns the architecture with two inputs at every node, as the code of RLNAS does it.

        Which of too many edges are dropped, which of too few are added, and what an added edge takes, is drawn
        uniformly, so that repaired uniform draws are uniform on the space.
        """
        if self.edges == "fixed":
            return architecture
        none = self.operations.index("none")
        others = [k for k in range(len(self.operations)) if k != none]
        repaired = list(architecture)
        for edges in _edges_into_nodes(self):
            live = [edge for edge in edges if repaired[edge] != none]
            if len(live) > 2:
                for edge in rng.permutation(live)[2:].tolist():
                    repaired[edge] = none
            elif len(live) < 2:
                dead = [edge for edge in edges if repaired[edge] == none]
                for edge in rng.permutation(dead)[: 2 - len(live)].tolist():
                    repaired[edge] = others[int(rng.integers(len(others)))]
        return tuple(repaired)

    def derive(self, probabilities: Sequence[np.ndarray], rule: str) -> Architecture:
        """Returns the architecture that alphas stand for: every node keeps the two edges of the strongest operations.

        Under ``without_none`` the strength of an edge is the largest probability of an operation other than ``none``
        (DARTS, Liu et al. 2019, section 2.4), under ``with_none`` that of any (GDAS, Dong and Yang 2019, section 3.2).
        Under ``pairs`` a node takes the two most probable pairs of an edge and an operation other than ``none``, both
        of one edge maybe (the code of GDAS): the architecture is one of `derived_space`. Of equals the first is kept.

        Departs from GDAS: where ``none`` is the strongest of an edge that is kept, the operation after it is taken,
        since a node has two inputs in this space.

        Args:
            probabilities: softmax(alpha) of every choice, each ``(number of candidates,)``.
            rule: ``with_none``, ``without_none`` or ``pairs``.

        Raises:
            ValueError: If there is no such rule, or the space has no words for pairs.
        """
        passes = np.array([operation != "none" for operation in self.operations])
        every = np.stack(list(probabilities))
        others = np.where(passes, every, -1.0)
        if rule == "pairs":
            return self._strongest_pairs(others)
        if rule not in ("with_none", "without_none"):
            raise ValueError(f"search.derivation: expected with_none, without_none or pairs, got {rule!r}")
        operations = others.argmax(axis=1)
        if self.edges == "fixed":
            return tuple(operations.tolist())
        strengths = (every if rule == "with_none" else others).max(axis=1)
        taken = np.full_like(operations, self.operations.index("none"))
        for edges in map(list, _edges_into_nodes(self)):
            kept = np.array(edges)[np.argsort(-strengths[edges], kind="stable")[:2]]
            taken[kept] = operations[kept]
        return tuple(taken.tolist())

    def _strongest_pairs(self, probabilities: np.ndarray) -> Architecture:
        """Returns for each node its two most probable pairs of edge and operation, in the words of `derived_space`."""
        space = self.derived_space("pairs")
        cells: dict[str, list[Pair]] = {kind: [] for kind in self.kinds}
        for kind, edges in zip(np.repeat(self.kinds, len(NODES)).tolist(), _edges_into_nodes(self), strict=True):
            of_node = probabilities[list(edges)]
            for pair in np.argsort(-of_node, axis=None, kind="stable")[:2].tolist():
                source, operation = divmod(pair, len(self.operations))
                cells[kind].append((self.operations[operation], source))
        text = write_genotype({"normal": cells["normal"], "reduce": cells.get("reduction")})
        return space.parse(text)

    def derived_space(self, rule: str) -> SearchSpace:
        """Returns the space of what `derive` returns: under ``pairs`` that of nodes as quadruples.

        Raises:
            ValueError: If there are pairs of which that space knows nothing.
        """
        if rule != "pairs":
            return self
        if self.edges == "fixed" or not self.share_cells or self.auxiliary:
            raise ValueError(
                "search.derivation: pairs is for space.edges: all, share_cells: true and auxiliary: false; take "
                "without_none"
            )
        from raynas.spaces.quadruples import Quadruples

        operations = tuple(operation for operation in self.operations if operation != "none")
        return Quadruples(
            self.channels,
            self.cells,
            operations,
            self.stem,
            self.reduction,
            self.affine,
            self.pool_bn,
            self.track_running_stats,
        )

    @property
    def num_architectures(self) -> int:
        """The number of architectures: two edges of every node, with an operation other than ``none`` on each."""
        if self.edges == "fixed":
            return self.size
        pairs = math.prod(math.comb(len(edges), 2) for edges in _edges_into_nodes(self))
        return pairs * int((len(self.operations) - 1) ** (2 * len(_edges_into_nodes(self))))

    def path_counts(self, architectures: np.ndarray) -> np.ndarray:
        """Returns on how many none-free paths from an input to any node each edge lies, ``(n, num_choices)`` int64."""
        passes = np.array([operation != "none" for operation in self.operations])[architectures]
        by_cell = passes.reshape(-1, len(self.graph.edges))
        return self.graph.path_counts(by_cell).reshape(architectures.shape)

    # Text

    def _pairs(self, architecture: Architecture) -> dict[str, list[tuple[str, int]]]:
        """Returns the pairs (operation, predecessor) of each kind of cell, in the order of the edges."""
        pairs: dict[str, list[tuple[str, int]]] = {kind: [] for kind in self.kinds}
        places = ((kind, source) for kind in self.kinds for source, _ in self.graph.edges)
        for (kind, source), k in zip(places, architecture, strict=True):
            if self._passes(k):
                pairs[kind].append((self.operations[k], source))
        return pairs

    def describe(self, architecture: Architecture) -> str:
        """Returns the ``Genotype`` text of DARTS' code; see `genotype` for cells that it has no words for."""
        pairs = self._pairs(architecture)
        if self.share_cells:
            return write_genotype({"normal": pairs["normal"], "reduce": pairs.get("reduction")})
        return write_genotype({"cells": list(pairs.values())})

    def parse(self, text: str) -> Architecture:
        """Returns the architecture of a ``Genotype`` text in the spellings of `read_genotype`, or of integers.

        Integers are candidates' indices, in one row or one row a cell: with DARTS' operations what RLNAS' code writes.

        Raises:
            ValueError: If the text has none of these forms or is no architecture of this space.
        """
        if re.fullmatch(r"[\s\[\](),\d]*\d[\s\[\](),\d]*", text):
            return self.check([int(digits) for digits in re.findall(r"\d+", text)])
        candidates: list[int] = []
        for kind, cell in zip(self.kinds, self.read(text), strict=True):
            candidates += self._candidates(kind, cell)
        return self.check(candidates)

    def read(self, text: str) -> list[Cell]:
        """Returns the cell of each kind that a ``Genotype`` text tells.

        Raises:
            ValueError: If it is none, or one of other kinds of cells.
        """
        cells = read_genotype(text)
        wanted = {"normal": 1, "reduce": len(self.kinds) - 1} if self.share_cells else {"cells": len(self.kinds)}
        found = {name: len(cells.get(name, ())) for name in {**wanted, **cells}}
        if found != wanted:
            raise ValueError(
                f"expected {', '.join(f'{name} of {number} cells' for name, number in wanted.items())}, got "
                f"{', '.join(f'{name} of {number}' for name, number in found.items())} in {text!r}"
            )
        return [cell for name in wanted for cell in cells[name]]

    def _candidates(self, kind: str, cell: Cell) -> list[int]:
        """Returns the candidate of each edge of a cell given as pairs."""
        taken: dict[tuple[int, int], int] = {}
        for target, pairs in zip(NODES, cell, strict=True):
            for operation, source in pairs:
                if operation not in self.operations:
                    known = ", ".join(self.operations)
                    raise ValueError(f"{kind} {target}<-{source}: expected one of {known}, got {operation!r}")
                if (source, target) not in self.graph.edges:
                    sources = ", ".join(str(s) for s, t in self.graph.edges if t == target)
                    raise ValueError(f"{kind}: node {target} has edges from {sources}, got one from {source}")
                if (source, target) in taken:
                    raise ValueError(f"{kind}: node {target} takes both inputs from {source}; expected two sources")
                taken[source, target] = self.operations.index(operation)
        return [taken[edge] if edge in taken else self.operations.index("none") for edge in self.graph.edges]

    def drawing(self, architecture: Architecture) -> dict[str, list[tuple[str, str, str]]]:
        """Returns the cells, their edges but for those that are ``none``; the output concatenates the nodes."""
        nodes = ("in 1", "in 2", *map(str, NODES))
        graphs: dict[str, list[tuple[str, str, str]]] = {}
        edges = self.graph.edges
        for kind, start in zip(self.kinds, range(0, len(architecture), len(edges)), strict=True):
            taken = zip(edges, architecture[start : start + len(edges)], strict=True)
            graphs[kind] = [(nodes[s], nodes[t], self.operations[k]) for (s, t), k in taken if self._passes(k)]
            graphs[kind] += [(str(node), "out", "") for node in NODES]
        return graphs

    # Weights

    def weight_vector(self, definition: str) -> WeightVector:
        """Returns the weights on the paths of the cells, and under ``official`` those outside the paths too.

        A convolution counts with its kernel, a skip connection of stride 1 with an identity matrix, of stride 2 with
        its two kernels. A pooling counts as a fixed kernel of 1/9, of shape (C, C, 3, 3) in the paper (RLNAS, Zhang et
        al. 2021, section 3.2.2) and (C, 3, 3) in its code.

        ``official`` adds to an operation the weights and biases of its normalisations and, once, the stem, the
        convolutions before the cells' nodes, fixed reduction cells and the classifier, whose bias RLNAS' code for
        ImageNet has and that for CIFAR-10 has not.

        Departs from the code: it takes the normalisation of a dilated convolution by its weight twice, a slip for
        weight and bias. It knows neither fixed reduction cells nor other operations than DARTS'.

        Raises:
            ValueError: If the definition is neither ``paper`` nor ``official``.
        """
        if definition not in ("paper", "official"):
            raise ValueError(f"search.angle: expected paper or official, got {definition!r}")
        official = definition == "official"
        with torch.device("meta"):
            supernet = replace(self, auxiliary=False).build_supernet(num_classes=2)
        terms = [[WeightTerm() for _ in choice.candidates] for choice in self.choices]
        for cell, part in enumerate(supernet.parts):
            channels = supernet.channels[cell]
            for edge, choice in enumerate(range(part.start, part.stop)):
                for k, name in enumerate(self.operations):
                    candidate = supernet.candidate(cell, edge, k)
                    weights = tuple(
                        f"cells.{cell}.edges.{edge}.{name}.{layer}{parameter}"
                        for layer, module in _layers(candidate)
                        if official or not isinstance(module, nn.BatchNorm2d)
                        for parameter, _ in module.named_parameters(recurse=False)
                    )
                    fixed = terms[choice][k].fixed_squared_norm
                    if isinstance(candidate, nn.Identity):
                        fixed += channels
                    elif name in POOLS:
                        fixed += (channels if official else channels**2) / 9
                    terms[choice][k] = WeightTerm(terms[choice][k].parameters + weights, fixed)
        left_out = "classifier.bias" if self.stem == "cifar" else ""
        always = (n for n, _ in supernet.named_parameters() if ".edges." not in n and n != left_out)
        return WeightVector(WeightTerm(tuple(always) if official else ()), tuple(map(tuple, terms)))

    # Networks

    def build_supernet(self, num_classes: int) -> DartsNetwork:
        """Returns the weight-sharing network of the space."""
        every = (self.operations,) * len(self.choices)
        options = (self.pool_bn, self.affine, self.track_running_stats, self.auxiliary)
        return DartsNetwork(self, every, num_classes, *options)

    def build_union(self, num_classes: int) -> DartsNetwork:
        """Returns the network of all candidates as derived networks have them."""
        return DartsNetwork(self, (self.operations,) * len(self.choices), num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> DartsNetwork:
        """Returns the network of one architecture."""
        taken = tuple((self.operations[k],) for k in self.check(architecture))
        return DartsNetwork(self, taken, num_classes)


@functools.cache
def _choices(space: Darts) -> tuple[Choice, ...]:
    candidates = tuple(space.operations)
    return tuple(Choice(f"{kind} {t}<-{s}", candidates) for kind in space.kinds for s, t in space.graph.edges)


@functools.cache
def _edges_into_nodes(space: Darts) -> tuple[tuple[int, ...], ...]:
    """Returns the choices of the edges into each node, kind of cell after kind of cell."""
    edges = space.graph.edges
    return tuple(
        tuple(start + edge for edge, (_, target) in enumerate(edges) if target == node)
        for start in range(0, len(space.choices), len(edges))
        for node in NODES
    )


def _layers(module: nn.Module) -> Iterable[tuple[str, nn.Module]]:
    """Returns a module and all modules in it, each with its name and a dot, the module itself with no name."""
    return ((f"{name}." if name else "", part) for name, part in module.named_modules())


def _twice_separable(channels: int, kernel_size: int, stride: int, **normalisation: bool) -> nn.Sequential:
    return nn.Sequential(
        depthwise_separable(channels, kernel_size, stride, **normalisation),
        depthwise_separable(channels, kernel_size, **normalisation),
    )


class SearchedCell(nn.Module):
    """Two inputs brought to the cell's channels, four nodes, each the sum of its edges, concatenated.

    A node that receives nothing is zeros, and an operation on it is not run: training paths have none, mixtures none,
    other routes may.
    """

    def __init__(
        self,
        inputs: nn.ModuleList,
        channels: int,
        stride: int,
        graph: CellGraph,
        candidates: Sequence[Sequence[str]],
        pool_bn: bool,
        **normalisation: bool,
    ) -> None:
        """Builds a choice block of the named candidates on every edge; those from the inputs have the stride."""
        super().__init__()

        def build(name: str, stride: int) -> nn.Module:
            operation = OPERATIONS[name](channels, stride, **normalisation)
            if name in POOLS and pool_bn:
                return nn.Sequential(operation, nn.BatchNorm2d(channels, **normalisation))
            return operation

        self.inputs = inputs
        self.edges = nn.ModuleList(
            ChoiceBlock({name: build(name, stride if source < 2 else 1) for name in names})
            for (source, _), names in zip(graph.edges, candidates, strict=True)
        )
        self._graph = graph
        self._stride = stride

    def forward(self, before_last: Tensor, last: Tensor, gates: Gates) -> Tensor:
        """Returns the concatenated nodes, ``(batch, 4 * channels, height / stride, width / stride)``."""
        blocks: Sequence[ChoiceBlock] = list(self.edges)  # type: ignore[arg-type]
        nodes: list[Tensor | None] = [self.inputs[0](before_last), self.inputs[1](last), None, None, None, None]
        for (source, target), block, gate in zip(self._graph.edges, blocks, gates, strict=True):
            x, total = nodes[source], nodes[target]
            if x is not None and block.is_live(gate):
                out = block(x, gate)
                nodes[target] = with_idle(out, self._graph.into(gates, target)) if total is None else total + out
        return torch.cat([self._zeros(nodes[0]) if node is None else node for node in nodes[2:]], dim=1)

    def _zeros(self, x: Tensor | None) -> Tensor:
        assert x is not None
        return torch.zeros_like(x[:, :, :: self._stride, :: self._stride])


class FixedReduction(nn.Module):
    """GDAS' reduction cell: each input by convolutions and by max pooling, concatenated.

    Reference: Dong and Yang 2019 (GDAS), section 3.3 and Figure 3.
    """

    def __init__(self, inputs: nn.ModuleList, channels: int, **normalisation: bool) -> None:
        """Builds the two kinds of branches, one of each for either input."""
        super().__init__()
        self.inputs = inputs
        self.convolutions = nn.ModuleList(
            nn.Sequential(
                row_then_column(channels, 3, stride=2, groups=8, **normalisation),
                ReluConvBn(channels, channels, 1, **normalisation),
            )
            for _ in range(2)
        )
        self.pools = nn.ModuleList(
            nn.Sequential(nn.MaxPool2d(3, stride=2, padding=1), nn.BatchNorm2d(channels, **normalisation))
            for _ in range(2)
        )

    def forward(self, before_last: Tensor, last: Tensor, gates: Gates) -> Tensor:
        """Returns the branches, ``(batch, 4 * channels, height / 2, width / 2)``; there is nothing to route."""
        nodes = [self.inputs[0](before_last), self.inputs[1](last)]
        branches = (*self.convolutions, *self.pools)
        return torch.cat([branch(x) for branch, x in zip(branches, nodes * 2, strict=True)], dim=1)


class AuxiliaryTower(nn.Module):
    """The second classifier of DARTS' code, on the output of the second reduction cell; run in training mode alone.

    Maps are averaged to 2x2 over windows of 5x5, with a stride of 3 where they are 8x8 (CIFAR) and of 2 where they are
    7x7 (ImageNet), as in that code; maps of other sizes, which it does not take, adaptively.

    Departs from the code, which on ImageNet leaves out the second normalisation, by its own words an oversight.
    """

    def __init__(self, channels: int, num_classes: int) -> None:
        """Builds the tower on maps of `channels`."""
        super().__init__()
        self.first = ConvBn(channels, 128, 1)
        self.second = nn.Sequential(nn.Conv2d(128, 768, 2, bias=False), nn.BatchNorm2d(768))
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits, ``(batch, num_classes)``, of maps ``(batch, channels, height, width)``."""
        x, size = F.relu(x), x.shape[-1]
        x = F.avg_pool2d(x, 5, stride=size - 5) if size in (7, 8) else F.adaptive_avg_pool2d(x, 2)
        x = F.relu(self.second(F.relu(self.first(x))))
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


class DartsNetwork(nn.Module):
    """Stem, cells and classifier: a supernet, or, with one candidate left at every choice, a derived network.

    Attributes:
        num_cells: Number of cells.
        channels: Channels of each cell's nodes.
        parts: Which of the choices each cell makes.
    """

    def __init__(
        self,
        space: Darts,
        candidates: Sequence[Sequence[str]],
        num_classes: int,
        pool_bn: bool = False,
        affine: bool = True,
        track_running_stats: bool = True,
        auxiliary: bool = False,
    ) -> None:
        """Builds the network with the named candidates at each choice; the options are those of derived networks."""
        super().__init__()
        normalisation = {"affine": affine, "track_running_stats": track_running_stats}
        c, edges = space.channels, len(space.graph.edges)
        self.num_cells = space.cells
        self.channels = [c * 2 ** sum(cell >= first for first in space.reductions) for cell in range(space.cells)]
        starts = {kind: number * edges for number, kind in enumerate(space.kinds)}
        kinds = [space.kind(cell) for cell in range(space.cells)]
        self.parts = [slice(0, 0) if kind is None else slice(starts[kind], starts[kind] + edges) for kind in kinds]
        halved = space.stem == "imagenet"
        self.stem0: nn.Module
        self.stem1: nn.Module
        if halved:
            self.stem0 = nn.Sequential(ConvBn(3, c // 2, 3, stride=2), ReluConvBn(c // 2, c, 3, stride=2))
            self.stem1 = ReluConvBn(c, c, 3, stride=2)
            before_last = last = c
        else:
            self.stem0, self.stem1 = ConvBn(3, 3 * c, 3), nn.Identity()
            before_last = last = 3 * c
        self.cells = nn.ModuleList()
        for cell, (channels, part) in enumerate(zip(self.channels, self.parts, strict=True)):
            first = FactorizedReduce if halved else functools.partial(ReluConvBn, kernel_size=1)
            inputs = nn.ModuleList(
                [
                    first(before_last, channels, **normalisation),
                    ReluConvBn(last, channels, 1, **normalisation),
                ]
            )
            halved = cell in space.reductions
            stride = 2 if halved else 1
            self.cells.append(
                FixedReduction(inputs, channels, **normalisation)
                if kinds[cell] is None
                else SearchedCell(inputs, channels, stride, space.graph, candidates[part], pool_bn, **normalisation)
            )
            before_last, last = last, 4 * channels
        self.classifier = nn.Linear(last, num_classes)
        self.auxiliary = AuxiliaryTower(4 * self.channels[space.reductions[1]], num_classes) if auxiliary else None
        self._auxiliary_cell = space.reductions[1]
        self._only_route = None if any(len(n) > 1 for n in candidates) else tuple(Gate((0,)) for _ in candidates)

    def candidate(self, cell: int, edge: int, k: int) -> nn.Module:
        """Returns candidate `k` of an edge of a cell."""
        block: ChoiceBlock = self.cells[cell].edges[edge]  # type: ignore[index, assignment]
        return block.candidate(k)

    def forward(self, images: Tensor, gates: Gates | Sequence[Gates] | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Returns logits, ``(batch, num_classes)``; in training mode those of the auxiliary tower too, if it has one.

        Args:
            images: ``(batch, 3, height, width)``.
            gates: One gate per choice for all cells, or such gates for each cell; not needed by a derived network.
        """
        route = gates if gates is not None else self._only_route
        assert route is not None, "a supernet needs gates"
        before_last = self.stem0(images)
        last = self.stem1(before_last)
        auxiliary_logits: Tensor | None = None
        cells = zip(self.cells, self.parts, per_cell(route, self.num_cells), strict=True)
        for number, (cell, part, cell_gates) in enumerate(cells):
            before_last, last = last, cell(before_last, last, cell_gates[part])
            if self.auxiliary is not None and self.training and number == self._auxiliary_cell:
                auxiliary_logits = self.auxiliary(last)
        logits: Tensor = self.classifier(last.mean(dim=(2, 3)))
        return logits if auxiliary_logits is None else (logits, auxiliary_logits)
