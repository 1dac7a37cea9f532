"""Drawings of architectures as files hold them: graphs of labelled edges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator

from raynas.errors import InputError

Edge: TypeAlias = tuple[str, str, str]
"""Source, target and operation."""


def depths(edges: Sequence[Sequence[str]]) -> dict[str, int]:
    """Returns how many edges the longest path to each node has.

    Raises:
        InputError: If the edges run in a circle.
    """
    depth: dict[str, int] = {}
    for source, target, _ in edges:
        depth[source] = depth[target] = 0
    for _ in range(len(depth) + 1):
        before = dict(depth)
        for source, target, _ in edges:
            depth[target] = max(depth[target], depth[source] + 1)
        if depth == before:
            return depth
    raise InputError(f"the edges run in a circle among the nodes {', '.join(depth)}")


def _is_edge(edge: object) -> bool:
    return isinstance(edge, list) and len(edge) == 3 and all(isinstance(part, str) for part in edge)


def _checked(edges: Any) -> Any:
    """Returns the edges of a graph without a circle, as they are."""
    listed = [list(edge) if isinstance(edge, tuple) else edge for edge in edges]
    if not all(_is_edge(edge) for edge in listed):
        raise InputError("expected edges [source, target, operation]")
    depths(listed)
    return listed


Graph = Annotated[list[Any], AfterValidator(_checked)]
"""A graph without circles: a list of edges, each ``[source, target, operation]``."""
