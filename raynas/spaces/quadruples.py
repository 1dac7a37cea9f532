"""The space of SETN: the cells of DARTS, every node a quadruple (I1, I2, f1, f2) of two inputs and two operations.

A node is f1(I1) + f2(I2). It has three choices: I1, I2, and the pair of operations, since f1 and f2 in the other order
are the same pair. Weights belong to an operation on an edge; f1 and f2 share them.

Reference: Dong and Yang 2019, "One-Shot Neural Architecture Search via Self-Evaluated Template Network", section 4.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from raynas.errors import InputError
from raynas.search_space import Architecture, Choice, SearchSpace
from raynas.spaces.darts_networks import DartsNetwork
from raynas.spaces.darts_operations import OPERATIONS
from raynas.spaces.darts_skeleton import Skeleton, check_operations
from raynas.spaces.genotype import NODES, Cell, Pair, write_genotype
from raynas.supernet.gates import Gate, Gates, Route, single_path

FUNCTIONS = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "conv_3x1_1x3")
"""The operations of the paper, in its order."""

T = TypeVar("T")


@dataclass(frozen=True)
class Quadruples(SearchSpace):
    """The space. An architecture holds I1, I2 and the pair of operations of every node, normal cell first.

    Both inputs may be the same (Eq. 2). An operation taken twice of one input is run once and doubled. Cells, supernets
    and derived networks are otherwise as in `raynas.spaces.darts.Darts`.

    Departs from the paper where it contradicts itself. Pairs are those of Eq. 8, in which f1 comes no earlier in the
    list than f2; in Eq. 3 it comes no later. The weights of inputs in Eq. 10 are read as those of t and u, not of r1
    and r2. The paper counts 9.1e16 architectures, those in which all nodes have two different inputs. Its sampling does
    not require different inputs; this space does not either, and counts all.

    Attributes:
        channels: Channels C of the first cells.
        cells: Number of cells.
        operations: Candidates of f1 and f2, names of `raynas.spaces.darts_operations.OPERATIONS` without ``none``.
        stem: One convolution (cifar), or three that leave an eighth of the size (imagenet).
        reduction: Whether reduction cells are searched, or fixed (GDAS, Dong and Yang 2019, section 3.3).
        affine: Whether the normalisations inside the supernet's cells have weight and bias.
        pool_bn: Whether the supernet normalises after a pooling.
        track_running_stats: Whether the normalisations inside the supernet's cells keep running statistics.
    """

    channels: int = 16
    cells: int = 8
    operations: Sequence[str] = FUNCTIONS
    stem: Literal["cifar", "imagenet"] = "cifar"
    reduction: Literal["searched", "fixed"] = "searched"
    affine: bool = True
    pool_bn: bool = True
    track_running_stats: bool = True

    name: ClassVar[str] = "quadruples"
    sized_as: ClassVar[str] = "darts"

    def __post_init__(self) -> None:
        """Checks the values and keeps the operations as a tuple.

        Raises:
            InputError: If one is not accepted.
        """
        object.__setattr__(self, "operations", tuple(self.operations))
        if "none" in self.operations or len(self.operations) < 2:
            raise InputError(
                "space.operations: expected two or more and no none, since a node has two inputs, got "
                f"{', '.join(self.operations)}"
            )
        _ = self.skeleton  # which checks its own values
        check_operations(("none", *self.operations), tuple(OPERATIONS), "all")

    # Structure

    @functools.cached_property
    def skeleton(self) -> Skeleton:
        """The stack of cells, the same as in a space that chooses an operation at every edge."""
        return Skeleton(self.channels, self.cells, self.stem, "all", self.reduction, share_cells=True)

    @functools.cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The indices of f1 and f2 of every pair, in the order of Eq. 8: (0, 0), (1, 0), (1, 1), (2, 0), ..."""
        pairs = []
        for f1 in range(len(self.operations)):
            pairs += [(f1, f2) for f2 in range(f1 + 1)]
        return tuple(pairs)

    @functools.cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Three choices per node: the source of I1, that of I2, and the operations."""
        operations = tuple(f"{self.operations[f1]}+{self.operations[f2]}" for f1, f2 in self.pairs)
        choices: list[Choice] = []
        for kind, node in itertools.product(self.skeleton.kinds, NODES):
            sources = tuple(map(str, range(node)))
            candidates = {"first": sources, "second": sources, "operations": operations}
            choices += (Choice(f"{kind} {node} {part}", names) for part, names in candidates.items())
        return tuple(choices)

    def check(self, architecture: Sequence[int]) -> Architecture:
        """Returns `architecture` as a tuple of ints if it belongs to the space.

        Raises:
            InputError: If the number of choices or a candidate's index is wrong, or inputs are not in order.
        """
        checked = super().check(architecture)
        ordered = self._ordered(checked)
        if checked != ordered:
            raise InputError(f"architecture {checked} has inputs of equal operations out of order, expected {ordered}")
        return checked

    def repair(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns the architecture with the inputs of equal operations in order, since exchanging them changes nothing.

        Nothing is random here. Nodes of uniform samples have their probabilities under Eq. 2 and 3.
        """
        return self._ordered(architecture)

    def _ordered(self, architecture: Architecture) -> Architecture:
        ordered: list[int] = []
        for first, second, pair in _by_node(architecture):
            f1, f2 = self.pairs[pair]
            ordered += (min(first, second), max(first, second), pair) if f1 == f2 else (first, second, pair)
        return tuple(ordered)

    @property
    def num_architectures(self) -> int:
        """The number of architectures: every node adds up two operations on edges, possibly the same one twice."""
        nodes = (math.comb(len(self.operations) * sources + 1, 2) for sources in NODES)
        return int(math.prod(nodes) ** len(self.skeleton.kinds))

    # Text

    def _cells(self, architecture: Architecture) -> dict[str, list[list[Pair]]]:
        """Returns the two pairs (operation, predecessor) of each node of each kind of cell."""
        nodes = []
        for first, second, pair in _by_node(architecture):
            f1, f2 = self.pairs[pair]
            nodes.append([(self.operations[f1], first), (self.operations[f2], second)])
        return {kind: nodes[start : start + 4] for kind, start in zip(self.skeleton.kinds, (0, 4), strict=False)}

    def describe(self, architecture: Architecture) -> str:
        """Returns the ``Genotype`` text of DARTS' code; a node may have both inputs from one predecessor."""
        rows = {kind: list(itertools.chain(*nodes)) for kind, nodes in self._cells(architecture).items()}
        return write_genotype({"normal": rows["normal"], "reduce": rows.get("reduction")})

    def parse(self, text: str) -> Architecture:
        """Returns the architecture of a ``Genotype`` text in the spellings of `read_genotype`.

        Raises:
            InputError: If the text has none of these forms or is no architecture of this space.
        """
        candidates: list[int] = []
        for kind, cell in zip(self.skeleton.kinds, self.skeleton.read(text), strict=True):
            candidates += self._candidates(kind, cell)
        return self.check(candidates)

    def _candidates(self, kind: str, cell: Cell) -> Iterator[int]:
        """Yields the candidates of a cell given as pairs: three for each node."""
        for node, slots in zip(NODES, cell, strict=True):
            for pair in slots:
                if pair[0] not in self.operations or pair[1] not in range(node):
                    known = ", ".join(self.operations)
                    raise InputError(f"{kind} {node}: expected one of {known} of one of 0 to {node - 1}, got {pair}")
            (f1, first), (f2, second) = sorted((-self.operations.index(name), source) for name, source in slots)
            yield from (first, second, self.pairs.index((-f1, -f2)))

    def drawing(self, architecture: Architecture) -> dict[str, list[tuple[str, str, str]]]:
        """Returns the cells, two edges into each node, of one source or of two; the output concatenates the nodes."""
        names = ("in 1", "in 2", *map(str, NODES))
        graphs: dict[str, list[tuple[str, str, str]]] = {}
        for kind, nodes in self._cells(architecture).items():
            drawn = []
            for node, slots in zip(NODES, nodes, strict=True):
                drawn += [(names[source], str(node), operation) for operation, source in slots]
            graphs[kind] = drawn + [(str(node), "out", "") for node in NODES]
        return graphs

    # What an architecture costs

    @functools.cached_property
    def cost_choices(self) -> tuple[Choice, ...]:
        """The operation of each edge; ``none`` costs nothing."""
        return self.skeleton.edge_choices(("none", *self.operations))

    def cost_terms(self, architectures: np.ndarray) -> Iterator[tuple[int | np.ndarray, np.ndarray]]:
        """Yields for each node f1 on the edge from I1, f2 on the edge from I2, and ``none`` for their pair.

        Where both are one operation on one edge, the second costs ``none`` as well.
        """
        edges, functions = self.skeleton.graph.edges, np.array(self.pairs).T
        for number, (first, second, pair) in enumerate(_by_node(list(architectures.T))):
            kind, node = divmod(number, len(NODES))
            before = kind * len(edges) + edges.index((0, NODES[node]))
            f1, f2 = functions[:, pair]
            yield before + first, 1 + f1
            yield before + second, np.where((f1 == f2) & (first == second), 0, 1 + f2)
            yield before, np.zeros_like(pair)

    # Networks

    def build_supernet(self, num_classes: int) -> QuadruplesNetwork:
        """Returns the weight-sharing network of the space."""
        every = (self.operations,) * len(self.cost_choices)
        return QuadruplesNetwork(self, every, num_classes, None, self.pool_bn, self.affine, self.track_running_stats)

    def build_union(self, num_classes: int) -> DartsNetwork:
        """Returns the network of all operations on all edges as derived networks have them."""
        every = (("none", *self.operations),) * len(self.cost_choices)
        return DartsNetwork(self.skeleton, every, num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> QuadruplesNetwork:
        """Returns the network of one architecture."""
        return self._network(architecture, num_classes)

    def build_network_with_auxiliary(
        self, architecture: Architecture, num_classes: int, second_norm: bool = True
    ) -> QuadruplesNetwork:
        """Returns the network of one architecture with DARTS' auxiliary tower, which runs in training mode."""
        return self._network(architecture, num_classes, auxiliary=True, second_norm=second_norm)

    def widened(self, factor: float) -> Quadruples:
        """Returns the space with the channels C multiplied and rounded."""
        return replace(self, channels=self.skeleton.scaled_channels(factor))

    def build_inheriting_network(self, architecture: Architecture, num_classes: int) -> QuadruplesNetwork:
        """Returns the network that computes what the supernet does: it normalises after a pooling where that does."""
        return self._network(architecture, num_classes, pool_bn=self.pool_bn)

    def _network(self, architecture: Architecture, num_classes: int, **options: bool) -> QuadruplesNetwork:
        """Returns the network of one architecture with further options of `DartsNetwork`."""
        taken, route = [], []
        for gate in self.edge_gates(single_path(self.check(architecture))):
            taken.append([self.operations[k] for k in gate.active])
            route.append(Gate(tuple(range(len(gate.active))), gate.weights))
        return QuadruplesNetwork(self, taken, num_classes, tuple(route), **options)

    def edge_gates(self, gates: Gates) -> Gates:
        """Returns the gates of all edges, kind of cell after kind of cell, given those of the choices.

        With f, g and h the weights of I1, I2 and the pair, a node is (Eq. 10)

            sum_r h[r] (sum_t f[t] O_r1(I_t) + sum_u g[u] O_r2(I_u))

        so that operation o on the edge from s runs once, with the weight

            f[s] (sum of h[r] with r1 = o) + g[s] (sum of h[r] with r2 = o)
        """
        of_edges: list[Gate] = []
        for number, node in enumerate(_by_node(gates)):
            of_edges += self._node_gates(NODES[number % len(NODES)], *node)
        return tuple(of_edges)

    def _node_gates(self, sources: int, first: Gate, second: Gate, pair: Gate) -> Iterator[Gate]:
        """Yields the gates of the edges into a node."""
        runs = _runs(self, sources, first.active, second.active, pair.active)
        weights = [gate.weights for gate in (first, second, pair) if gate.weights is not None]
        if not weights:
            for operations, times in runs:
                yield Gate(operations, None if set(times) <= {1} else torch.tensor(times, dtype=torch.float32))
            return
        f, g = _spread(first, sources, weights[0]), _spread(second, sources, weights[0])
        h = _spread(pair, len(self.pairs), weights[0])
        by_r1 = torch.split(h, [r1 + 1 for r1 in range(len(self.operations))])
        square = pad_sequence(list(by_r1), batch_first=True)  # r1 down and r2 across
        rows = f[:, None] * square.sum(dim=1) + g[:, None] * square.sum(dim=0)
        idle = first.idle and second.idle and pair.idle
        for (operations, _), row in zip(runs, rows.unbind(), strict=True):
            yield Gate(operations, row if len(operations) == len(row) else row[list(operations)], idle=idle)


def _by_node(of_choices: Sequence[T]) -> Iterable[tuple[T, T, T]]:
    """Returns the entries of the three choices of each node, given one entry per choice."""
    return zip(of_choices[0::3], of_choices[1::3], of_choices[2::3], strict=True)


@functools.lru_cache(maxsize=10_000)
def _runs(
    space: Quadruples, sources: int, first: Sequence[int], second: Sequence[int], pair: Sequence[int]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Returns the operations that the active candidates of a node take on the edge from each source, and how often."""
    taken: list[Counter[int]] = [Counter() for _ in range(sources)]
    for number, inputs in enumerate((first, second)):
        operations = [space.pairs[r][number] for r in pair]
        for source in inputs:
            taken[source].update(operations)

    runs = []
    for times in taken:
        active = tuple(sorted(times))
        runs.append((active, tuple(times[operation] for operation in active)))
    return runs


def _spread(gate: Gate, size: int, like: Tensor) -> Tensor:
    """Returns the weights of all candidates, ``(size,)``: 1 where a gate has no weights, 0 where it is not active."""
    weights = like.new_ones(len(gate.active)) if gate.weights is None else gate.weights
    return weights.new_zeros(size).index_add(0, torch.tensor(gate.active, device=weights.device), weights)


class QuadruplesNetwork(DartsNetwork):
    """A network of DARTS' cells that is routed by the choices of quadruples, or a derived network."""

    def __init__(
        self,
        space: Quadruples,
        candidates: Sequence[Sequence[str]],
        num_classes: int,
        route: Gates | None,
        *options: bool,
        **named_options: bool,
    ) -> None:
        """Builds the network with the named candidates on each edge. A derived network takes a `route` of edges."""
        super().__init__(space.skeleton, candidates, num_classes, *options, **named_options)
        self._edge_gates = space.edge_gates
        self._only_route = route

    def forward(self, images: Tensor, gates: Route | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Returns logits, as `DartsNetwork` does, under gates of the choices for all cells or for each cell."""
        if gates is None:
            return super().forward(images)
        if isinstance(gates[0], Gate):
            return super().forward(images, self._edge_gates(gates))  # type: ignore[arg-type]
        return super().forward(images, [self._edge_gates(of_cell) for of_cell in gates])  # type: ignore[arg-type]
