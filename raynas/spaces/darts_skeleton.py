"""The stack of cells that the spaces of DARTS' cells share: their number, kinds, edges and texts. No torch here.

Reference: Liu et al. 2019, "DARTS: Differentiable Architecture Search".
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from raynas.errors import InputError
from raynas.search_space import Choice
from raynas.spaces.cell_graph import CellGraph
from raynas.spaces.genotype import NODES, Cell, read_genotype


def _graph(predecessors: Sequence[Sequence[int]]) -> CellGraph:
    """Returns the graph of a cell, given the predecessors of each node."""
    edges = []
    for target, sources in zip(NODES, predecessors, strict=True):
        edges += [(source, target) for source in sources]
    return CellGraph(2, tuple(edges), tuple(NODES))


GRAPHS = {
    "all": _graph([range(target) for target in NODES]),
    "kept": _graph([range(target) for target in NODES]),
    "fixed": _graph([(0, target - 1) for target in NODES]),
}
"""The edges of a cell: from every earlier node, or, as in Amended-DARTS, from c_{k-2} and the node before."""

WORDS = {"stem": ("cifar", "imagenet"), "edges": ("all", "fixed", "kept"), "reduction": ("searched", "fixed")}
"""The values of the attributes that are words."""


@dataclass(frozen=True)
class Skeleton:
    """A stack of cells. Two of them, a third and two thirds of the way in, halve the size and double the channels.

    Attributes:
        channels: Channels C of the first cells.
        cells: Number of cells.
        stem: One convolution (cifar), or three that leave an eighth of the size (imagenet).
        edges: A key of `GRAPHS`.
        reduction: Whether reduction cells are searched or fixed.
        share_cells: Whether all cells of a kind make the same choices, or each cell its own.
    """

    channels: int
    cells: int
    stem: str
    edges: str
    reduction: str
    share_cells: bool

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            InputError: If one is not accepted.
        """
        for key, values in WORDS.items():
            if getattr(self, key) not in values:
                *most, last = values
                raise InputError(f"space.{key}: expected {', '.join(most)} or {last}, got {getattr(self, key)!r}")
        if not 2 <= self.channels <= 10_000:
            raise InputError(f"space.channels: expected 2 to 10,000, got {self.channels}")
        if self.reduction == "fixed" and self.channels % 4:
            raise InputError(
                "space.channels: expected a multiple of 4, since the fixed reduction cell convolves twice as many in "
                f"8 groups, got {self.channels}"
            )
        if not 3 <= self.cells <= 1_000:
            raise InputError(f"space.cells: expected 3 to 1,000, of which two are reduction cells, got {self.cells}")

    @property
    def graph(self) -> CellGraph:
        """Nodes and edges of a searched cell."""
        return GRAPHS[self.edges]

    @property
    def reductions(self) -> tuple[int, int]:
        """The numbers of the cells that halve the size."""
        return (self.cells // 3, 2 * self.cells // 3)

    def channels_of(self, cell: int) -> int:
        """Returns the channels of a cell's nodes."""
        halvings = sum(cell >= reduction for reduction in self.reductions)
        return self.channels * int(2**halvings)

    def scaled_channels(self, factor: float) -> int:
        """Returns the channels C times a factor, rounded to a number that is accepted, and at least the least."""
        step, least = (4, 4) if self.reduction == "fixed" else (1, 2)
        return max(least, step * int(factor * self.channels / step + 0.5))

    def kind(self, cell: int) -> str | None:
        """Returns the name under which a cell's choices are made; None for a cell without choices."""
        if cell in self.reductions and self.reduction == "fixed":
            return None
        if not self.share_cells:
            return f"cell{cell}"
        return "reduction" if cell in self.reductions else "normal"

    @functools.cached_property
    def kinds(self) -> tuple[str, ...]:
        """The names under which choices are made, in their order."""
        names = (self.kind(cell) for cell in range(self.cells))
        return tuple(dict.fromkeys(name for name in names if name is not None))

    @functools.cached_property
    def edges_into_nodes(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of the edges into each node, kind of cell after kind of cell."""
        edges = self.graph.edges
        into_nodes = []
        for number in range(len(self.kinds)):
            start = number * len(edges)
            for node in NODES:
                into_nodes.append(tuple(start + edge for edge, (_, target) in enumerate(edges) if target == node))
        return tuple(into_nodes)

    def edge_choices(self, operations: Sequence[str]) -> tuple[Choice, ...]:
        """Returns one choice of an operation per edge, kind of cell after kind of cell."""
        choices: list[Choice] = []
        for kind in self.kinds:
            choices += [Choice(f"{kind} {target}<-{source}", tuple(operations)) for source, target in self.graph.edges]
        return tuple(choices)

    def read(self, text: str) -> list[Cell]:
        """Returns the cell of each kind that a ``Genotype`` text states.

        Raises:
            InputError: If it is no such text, or states other kinds of cells.
        """
        cells = read_genotype(text)
        wanted = {"normal": 1, "reduce": len(self.kinds) - 1} if self.share_cells else {"cells": len(self.kinds)}
        found = {name: len(cells.get(name, ())) for name in {**wanted, **cells}}
        if found != wanted:
            raise InputError(
                f"expected {', '.join(f'{name} of {number} cells' for name, number in wanted.items())}, got "
                f"{', '.join(f'{name} of {number}' for name, number in found.items())} in {text!r}"
            )
        of_kinds: list[Cell] = []
        for name in wanted:
            of_kinds += cells[name]
        return of_kinds


def check_operations(operations: Sequence[str], known: Sequence[str], edges: str) -> None:
    """Checks the candidates of the edges.

    Args:
        operations: The candidates.
        known: All operations that there are.
        edges: A key of `GRAPHS`. ``none`` is a candidate where a node keeps two of its edges, and only there.

    Raises:
        InputError: If one is not known or repeated, or ``none`` is missing or given where it should not be.
    """
    given = ", ".join(operations)
    for operation in operations:
        if operation not in known:
            raise InputError(f"space.operations: expected names of {', '.join(known)}, got {operation!r}")
    if len(set(operations)) < max(2, len(operations)):
        raise InputError(f"space.operations: expected two or more different ones, got {given}")
    if ("none" in operations) != (edges == "all"):
        need = "none among them, which drops an edge" if edges == "all" else f"no none where edges are {edges}"
        raise InputError(f"space.operations: expected {need}, got {given}")
