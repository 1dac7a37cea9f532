"""Layout of the nodes, edges and labels of a graph, as geometry in points without any drawing.

A graph is a list of labelled edges. Its nodes stand in ranks from left to right, by the longest path that leads to
them. A rank of labels lies between two ranks of nodes. Every node, every label and every edge that passes a rank has
its own place, so no label covers a node, another label or another edge (Sugiyama et al. 1981).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from raynas.records.graph import Edge, depths

Size: TypeAlias = tuple[float, float]
Point: TypeAlias = tuple[float, float]

NODE_HEIGHT = 15.0
BEFORE_LABEL, AFTER_LABEL = 12.0, 15.0  # room for the bends of lines, and for the arrow's head
STEEP = 0.25  # room for the bends of a line, as a share of its rise
GAP = 6.0  # between neighbours of a rank
PORT = 4.5  # between lines that meet at a node


@dataclass(frozen=True)
class Box:
    """A rectangle by its centre and size."""

    x: float
    y: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        """Returns whether two rectangles overlap."""
        return (
            2 * abs(self.x - other.x) < self.width + other.width - 1e-9
            and 2 * abs(self.y - other.y) < self.height + other.height - 1e-9
        )


@dataclass(frozen=True)
class Layout:
    """A graph with its layout: x grows to the right, y grows upwards, and everything lies within the size.

    Attributes:
        width: Total width.
        height: Total height.
        nodes: Rectangle of each node.
        labels: Rectangle of each edge's label, in the order of the edges.
        routes: Line of each edge, from source to target: one point, then three for each cubic Bézier curve.
    """

    width: float
    height: float
    nodes: Mapping[str, Box]
    labels: Sequence[Box]
    routes: Sequence[Sequence[Point]]


def live_edges(edges: Sequence[Edge]) -> list[bool]:
    """Returns which edges lie on a path from an input (``in``, ``in 1``) to the output ``out``."""
    onward, back = defaultdict(set), defaultdict(set)
    for source, target, _ in edges:
        onward[source].add(target)
        back[target].add(source)
    fed = _reached({node for node in onward if node.split(" ")[0] == "in"}, onward)
    used = _reached({"out"}, back)
    return [source in fed and target in used for source, target, _ in edges]


def _reached(nodes: set[str], neighbours: Mapping[str, set[str]]) -> set[str]:
    seen, new = set(nodes), set(nodes)
    while new:
        new = set().union(*(neighbours.get(node, set()) for node in new)) - seen
        seen |= new
    return seen


def lay_out(
    edges: Sequence[Edge], label_sizes: Sequence[Size], node_widths: Mapping[str, float], width: float
) -> Layout:
    """Returns the layout of a graph: rows for a chain that exceeds the width, otherwise ranks.

    Args:
        edges: The graph; not empty.
        label_sizes: Width and height of each edge's label; zeros for an edge without one.
        node_widths: Width of each node.
        width: Largest width of a chain; other graphs get the width that they need.

    Raises:
        InputError: If the edges contain a cycle.
    """
    ranked = _in_ranks(edges, label_sizes, node_widths)
    chain = _as_chain(edges)
    if chain is None or ranked.width <= width:
        return ranked
    return _in_rows(chain, edges, label_sizes, node_widths, width)


# Chains


def _as_chain(edges: Sequence[Edge]) -> list[int] | None:
    """Returns the edges of a chain in their order; None if the graph is not a chain."""
    leaving = {source: index for index, (source, _, _) in enumerate(edges)}
    entered = {target for _, target, _ in edges}
    starts = [source for source in leaving if source not in entered]
    if len(leaving) < len(edges) or len(entered) < len(edges) or len(starts) != 1:
        return None
    order, node = [], starts[0]
    while node in leaving:
        order.append(leaving[node])
        node = edges[leaving[node]][1]
    return order if len(order) == len(edges) else None


def _in_rows(
    chain: Sequence[int],
    edges: Sequence[Edge],
    label_sizes: Sequence[Size],
    node_widths: Mapping[str, float],
    width: float,
) -> Layout:
    """Returns a chain in rows of alternating direction, with a vertical edge between two rows."""
    names = [edges[chain[0]][0], *(edges[index][1] for index in chain)]
    label_width = max(wide for wide, _ in label_sizes)
    label_height = max(high for _, high in label_sizes)
    node_width = max(node_widths[name] for name in names)
    column = node_width + BEFORE_LABEL + label_width + AFTER_LABEL
    margin = max(node_width, label_width) / 2
    columns = max(2, int((width - 2 * margin) / column) + 1)
    row_height = NODE_HEIGHT + BEFORE_LABEL + label_height + AFTER_LABEL
    top = (-(-len(names) // columns) - 1) * row_height + NODE_HEIGHT / 2
    nodes = {}
    for name, (row, place) in _to_and_fro(names, columns).items():
        nodes[name] = Box(margin + place * column, top - row * row_height, node_widths[name], NODE_HEIGHT)
    labels, routes = [], []
    for (source, target, _), size in zip(edges, label_sizes, strict=True):
        label, route = _arrow(nodes[source], nodes[target], size)
        labels.append(label)
        routes.append(route)
    return Layout(2 * margin + (columns - 1) * column, top + NODE_HEIGHT / 2, nodes, labels, routes)


def _to_and_fro(names: Sequence[str], columns: int) -> dict[str, tuple[int, int]]:
    """Returns row and column of each name; every second row runs from right to left."""
    places = {}
    for position, name in enumerate(names):
        row, place = divmod(position, columns)
        places[name] = row, place if row % 2 == 0 else columns - 1 - place
    return places


def _arrow(source: Box, target: Box, size: Size) -> tuple[Box, list[Point]]:
    """Returns label and line of an edge to the next node of the row, or down to the next row."""
    ahead = (target.x > source.x) - (target.x < source.x)  # 0 where the line runs down
    start = (source.x + ahead * source.width / 2, source.y - (not ahead) * source.height / 2)
    end = (target.x - ahead * target.width / 2, target.y + (not ahead) * target.height / 2)
    shift = (AFTER_LABEL - BEFORE_LABEL) / 2  # the arrow's head needs the larger room
    middle = ((start[0] + end[0]) / 2 - ahead * shift, (start[1] + end[1]) / 2 + (not ahead) * shift)
    return Box(*middle, *size), _straight(start, end)


def _straight(start: Point, end: Point) -> list[Point]:
    return [start, *(tuple(np.add(start, np.subtract(end, start) * part).tolist()) for part in (1 / 3, 2 / 3)), end]


# Graphs in ranks


@dataclass
class _Item:
    """An item of a rank: a node, a label, or a passing edge."""

    rank: int
    size: Size
    neighbours: list[tuple[int, float]]
    y: float = 0.0


def _in_ranks(edges: Sequence[Edge], label_sizes: Sequence[Size], node_widths: Mapping[str, float]) -> Layout:
    depth = depths(edges)
    if "out" in depth and all(source != "out" for source, _, _ in edges):
        depth["out"] = max(depth.values())
    items = [_Item(2 * depth[node], (node_widths[node], NODE_HEIGHT), []) for node in depth]
    of_node = dict(zip(depth, range(len(depth)), strict=True))
    ways, label_items = _ways(edges, label_sizes, depth, items, of_node)
    ranks: list[list[int]] = [[] for _ in range(2 * max(depth.values()) + 1)]
    for index, item in enumerate(items):
        ranks[item.rank].append(index)
    ranks = _ordered(ranks, items)
    _place(ranks, items)
    placed = _Placed(ranks, items)
    nodes = {node: placed.box(index) for node, index in of_node.items()}
    routes = _routes(edges, ways, placed)
    return Layout(placed.width, placed.height, nodes, [placed.box(index) for index in label_items], routes)


class _Placed:
    """Items with their places, in ranks from left to right."""

    def __init__(self, ranks: Sequence[Sequence[int]], items: Sequence[_Item]) -> None:
        """Places the ranks side by side; the heights of the items are known."""
        self.items = items
        self.lefts: list[float] = []
        self.widths: list[float] = []
        x = 0.0
        for rank, members in enumerate(ranks):
            self.widths.append(max(items[index].size[0] for index in members))
            self.lefts.append(x)
            rises = []
            for index in members:
                rises += [abs(items[after].y - items[index].y) for after in _onward(index, items)]
            x += self.widths[-1] + max(AFTER_LABEL if rank % 2 else BEFORE_LABEL, STEEP * max(rises, default=0.0))
        self.width = self.lefts[-1] + self.widths[-1]
        self.bottom = min(item.y - item.size[1] / 2 for item in items)
        self.height = max(item.y + item.size[1] / 2 for item in items) - self.bottom

    def box(self, index: int) -> Box:
        """Returns the rectangle of an item."""
        item = self.items[index]
        return Box(self.lefts[item.rank] + self.widths[item.rank] / 2, item.y - self.bottom, *item.size)


def _routes(edges: Sequence[Edge], ways: Sequence[Sequence[int]], placed: _Placed) -> list[list[Point]]:
    """Returns the line of each edge through its items."""
    items, lefts, widths = placed.items, placed.lefts, placed.widths
    starts, ends = _ports(edges, ways, items), _ports(edges, [way[::-1] for way in ways], items)
    routes = []
    for edge, way in enumerate(ways):
        source, target = placed.box(way[0]), placed.box(way[-1])
        start = (source.x + _half_chord(source, starts[edge]), source.y + starts[edge])
        rank = items[way[0]].rank
        route = _level([start], lefts[rank] + widths[rank])
        for index in way[1:-1]:
            rank = items[index].rank
            if widths[rank]:  # where nothing stands, a line need not be level
                route = _bend(route, (lefts[rank], items[index].y - placed.bottom))
                route = _level(route, lefts[rank] + widths[rank])
        route = _bend(route, (lefts[items[way[-1]].rank], target.y + ends[edge]))
        routes.append(_level(route, target.x - _half_chord(target, ends[edge])))
    return routes


def _ways(
    edges: Sequence[Edge],
    label_sizes: Sequence[Size],
    depth: Mapping[str, int],
    items: list[_Item],
    of_node: Mapping[str, int],
) -> tuple[list[list[int]], list[int]]:
    """Adds the items along each edge, and returns them with the label of each edge.

    A label gets the rank between the ends of its edge that has the fewest labels so far. Short edges come first.
    """
    labelled: dict[int, int] = defaultdict(int)
    ways: list[list[int]] = [[] for _ in edges]
    labels = [0] * len(edges)
    for edge in sorted(range(len(edges)), key=lambda e: depth[edges[e][1]] - depth[edges[e][0]]):
        source, target, _ = edges[edge]
        first, last = 2 * depth[source], 2 * depth[target]
        labels_rank = min(
            range(first + 1, last, 2), key=lambda rank: (labelled[rank], abs(2 * rank - first - last), rank)
        )
        labelled[labels_rank] += 1
        way = [of_node[source]]
        for rank in range(first + 1, last):
            if rank == labels_rank:
                labels[edge] = len(items)
            way.append(len(items))
            items.append(_Item(rank, label_sizes[edge] if rank == labels_rank else (0.0, 2.0), []))
        way.append(of_node[target])
        for a, b in zip(way, way[1:], strict=False):
            inner = (a != way[0]) + (b != way[-1])  # straight where it passes, bent near its ends
            items[a].neighbours.append((b, 1.0 + 4 * inner))
            items[b].neighbours.append((a, 1.0 + 4 * inner))
        ways[edge] = way
    return ways, labels


def _ordered(ranks: list[list[int]], items: Sequence[_Item]) -> list[list[int]]:
    """Returns the ranks in an order with few crossings, the best of several starts."""
    rng = np.random.default_rng(0)
    best, fewest = ranks, _crossings(ranks, items)
    for _ in range(30):
        ranks = [list(rank) for rank in ranks]
        for sweep in range(6):
            _order_by_neighbours(ranks, items, onward=sweep % 2 == 0)
            crossings = _crossings(ranks, items)
            if crossings < fewest:
                best, fewest = [list(rank) for rank in ranks], crossings
        if fewest == 0:
            break
        for rank in ranks:
            rng.shuffle(rank)
    return best


def _order_by_neighbours(ranks: list[list[int]], items: Sequence[_Item], onward: bool) -> None:
    """Orders each rank by the mean place of its items' neighbours in the rank before it, or in the one after."""
    way = ranks if onward else ranks[::-1]
    for behind, rank in zip(way, way[1:], strict=False):
        place = {index: position for position, index in enumerate(behind)}
        means = {}
        for position, index in enumerate(rank):
            places = [place[neighbour] for neighbour, _ in items[index].neighbours if neighbour in place]
            means[index] = sum(places) / len(places) if places else float(position)
        rank.sort(key=means.__getitem__)


def _crossings(ranks: Sequence[Sequence[int]], items: Sequence[_Item]) -> int:
    place: dict[int, int] = {}
    for rank in ranks:
        place.update(zip(rank, range(len(rank)), strict=True))
    total = 0
    for rank in ranks:
        lines = []
        for index in rank:
            lines += [(place[index], place[after]) for after in _onward(index, items)]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(lines, 2))
    return total


def _onward(index: int, items: Sequence[_Item]) -> list[int]:
    """Returns the neighbours of an item in later ranks."""
    return [after for after, _ in items[index].neighbours if items[after].rank > items[index].rank]


def _place(ranks: Sequence[Sequence[int]], items: Sequence[_Item]) -> None:
    """Sets y of every item near its neighbours, in the order of its rank and without overlaps."""
    offsets = []
    for rank in ranks:
        heights = [items[index].size[1] for index in rank]
        steps = [(a + b) / 2 + GAP for a, b in zip(heights, heights[1:], strict=False)]
        offsets.append(np.concatenate([[0.0], np.cumsum(steps)]))
        for index, down in zip(rank, offsets[-1] - offsets[-1][-1] / 2, strict=True):
            items[index].y = -float(down)
    for sweep in range(40):
        for rank, offset in list(zip(ranks, offsets, strict=True))[:: 1 if sweep % 2 == 0 else -1]:
            wanted = []
            for index in rank:
                places, weights = zip(*((items[n].y, weight) for n, weight in items[index].neighbours), strict=True)
                wanted.append(float(np.average(places, weights=weights)))
            for index, down in zip(rank, _non_decreasing(-np.array(wanted) - offset) + offset, strict=True):
                items[index].y = -float(down)


def _non_decreasing(values: np.ndarray) -> np.ndarray:
    """Returns the nondecreasing numbers with the least squared distance to `values`, by pooling violators."""
    blocks: list[tuple[float, int]] = []
    for value in values.tolist():
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    return np.concatenate([np.full(n, value) for value, n in blocks])


def _ports(edges: Sequence[Edge], ways: Sequence[Sequence[int]], items: Sequence[_Item]) -> list[float]:
    """Returns the height of each edge's start above the centre of its node, so that lines stay apart."""
    leaving = defaultdict(list)
    for edge, way in enumerate(ways):
        leaving[way[0]].append(edge)
    above = [0.0] * len(edges)
    for bundle in leaving.values():
        bundle.sort(key=lambda edge: items[ways[edge][1]].y)
        step = min(PORT, (NODE_HEIGHT - 5) / max(1, len(bundle) - 1))
        for position, edge in enumerate(bundle):
            above[edge] = (position - (len(bundle) - 1) / 2) * step
    return above


def _half_chord(node: Box, above: float) -> float:
    """Returns half the width of a node with round ends, at a height above its centre."""
    radius = node.height / 2
    return float(node.width / 2 - radius + np.sqrt(radius**2 - above**2))


def _level(route: list[Point], x: float) -> list[Point]:
    """Returns a route extended straight to the right."""
    return route + _straight(route[-1], (x, route[-1][1]))[1:] if x > route[-1][0] else route


def _bend(route: list[Point], end: Point) -> list[Point]:
    """Returns a route extended to a point, horizontal at both ends."""
    x, y = route[-1]
    middle = (x + end[0]) / 2
    return [*route, (middle, y), (middle, end[1]), end]
