"""The directed acyclic graph of a cell, and its live paths. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(frozen=True)
class CellGraph:
    """Nodes joined by edges. Each edge is one choice.

    Attributes:
        num_inputs: Nodes 0 to ``num_inputs - 1`` are the cell's inputs, where paths begin.
        edges: ``(source, target)`` of each edge, sorted by target, source < target.
        ends: The nodes where a path may end.
    """

    num_inputs: int
    edges: tuple[tuple[int, int], ...]
    ends: tuple[int, ...]

    def into(self, of_edges: Sequence[T], node: int) -> list[T]:
        """Returns the entries of the edges into a node, given one entry per edge."""
        return [entry for entry, (_, target) in zip(of_edges, self.edges, strict=True) if target == node]

    def ending(self, ends: str) -> CellGraph:
        """Returns the graph whose paths may end at all nodes behind the inputs (``all``), or at the ``last`` one."""
        targets = sorted({target for _, target in self.edges})
        return replace(self, ends=tuple(targets) if ends == "all" else (targets[-1],))

    def path_counts(self, passes: np.ndarray) -> np.ndarray:
        """Returns the number of live paths through each edge, ``(n, num_edges)`` int64.

        A path runs from an input to an end. It is live when every edge on it passes something. The count of an edge
        (i, j) is forward(i) * backward(j): live paths from the inputs to i times live paths from j to an end.

        Args:
            passes: Whether each edge passes something, ``(n, num_edges)`` bool.
        """
        num_nodes = 1 + max(target for _, target in self.edges)
        live = passes.astype(np.int64)
        forward = np.zeros((len(live), num_nodes), dtype=np.int64)
        forward[:, : self.num_inputs] = 1
        backward = np.zeros((len(live), num_nodes), dtype=np.int64)
        backward[:, list(self.ends)] = 1
        for edge, (source, target) in enumerate(self.edges):
            forward[:, target] += live[:, edge] * forward[:, source]
        for edge, (source, target) in reversed(list(enumerate(self.edges))):
            backward[:, source] += live[:, edge] * backward[:, target]
        sources, targets = (list(nodes) for nodes in zip(*self.edges, strict=True))
        return forward[:, sources] * live * backward[:, targets]
