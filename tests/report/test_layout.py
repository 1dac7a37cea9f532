"""Where drawn graphs lie, against paths enumerated one by one and lines walked point by point."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from raynas.records.graph import depths
from raynas.report.layout import GAP, Box, lay_out, live_edges
from tests.report.runs import EDGES, darts_cell

LABEL = (44.0, 14.0)


def random_graph(seed, num_nodes=7, density=0.5):
    """Returns a graph without circles; its nodes are ``in 1``, ``in 2``, numbers and ``out``, its edges shuffled."""
    rng = np.random.default_rng(seed)
    names = ["in 1", "in 2", *(str(i) for i in range(1, num_nodes - 2)), "out"]
    pairs = [pair for pair in itertools.combinations(names, 2) if rng.random() < density]
    pairs = [pairs[i] for i in rng.permutation(len(pairs))]
    return [(source, target, f"operation_{rng.integers(4)}") for source, target in pairs]


def paths(edges):
    """Returns every path of one edge or more, as lists of edges' indices."""
    found, longer = [], [[i] for i in range(len(edges))]
    while longer:
        found += longer
        longer = [
            [*path, i] for path in longer for i, (source, _, _) in enumerate(edges) if source == edges[path[-1]][1]
        ]
    return found


def chain(length):
    names = ["in", *(str(i) for i in range(1, length)), "out"]
    return [(a, b, "conv") for a, b in zip(names, names[1:], strict=False)]


def laid_out(edges, width=1e9, sizes=None):
    nodes = {node for source, target, _ in edges for node in (source, target)}
    return lay_out(edges, sizes or [LABEL] * len(edges), {node: 15.0 + 6 * (len(node) - 1) for node in nodes}, width)


def walked(route, steps=24):
    """Returns points along a route of cubic curves."""
    route = np.array(route)
    t = np.linspace(0, 1, steps)[:, None]
    pieces = [
        (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
        for a, b, c, d in zip(route[:-1:3], route[1::3], route[2::3], route[3::3], strict=True)
    ]
    return np.concatenate(pieces)


def holds(box, points):
    return (2 * abs(points[:, 0] - box.x) < box.width - 1e-6) & (2 * abs(points[:, 1] - box.y) < box.height - 1e-6)


def crossings(layout):
    """Returns how many pairs of routes cross, by the sign of every pair of their straight bits."""
    lines = [walked(route) for route in layout.routes]

    def side(a, b, p):
        return (b[0] - a[0]) * (p[:, 1] - a[1]) - (b[1] - a[1]) * (p[:, 0] - a[0])

    total = 0
    for first, second in itertools.combinations(lines, 2):
        for a, b in zip(first, first[1:], strict=False):
            d = side(a, b, second)
            for k in np.flatnonzero(d[:-1] * d[1:] < -1e-9):
                ends = side(second[k], second[k + 1], np.array([a, b]))
                total += ends[0] * ends[1] < -1e-9
    return total


GRAPHS = {
    **{f"random {seed}": random_graph(seed) for seed in range(12)},
    "dense": random_graph(0, density=1.0),
    "cell": [(*edge, "conv") for edge in EDGES],
    "chain": chain(21),
    "one edge": chain(1),
    "twice": [("in", "out", "a"), ("in", "out", "b"), ("in", "out", "a")],
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_nodes_depth_is_its_longest_path(name):
    edges = GRAPHS[name]
    longest = {node: 0 for source, target, _ in edges for node in (source, target)}
    if name == "chain":
        longest = {edge[1]: i + 1 for i, edge in enumerate(edges)} | {"in": 0}
    else:
        for path in paths(edges):
            end = edges[path[-1]][1]
            longest[end] = max(longest[end], len(path))
    assert depths(edges) == longest


def test_no_edges_have_no_depths():
    assert depths([]) == {}


@pytest.mark.parametrize("edges", [[("a", "a", "x")], [("in", "a", "x"), ("a", "b", "x"), ("b", "a", "x")]])
def test_a_circle_is_refused(edges):
    with pytest.raises(ValueError, match="the edges run in a circle among the nodes (a|in, a, b)"):
        depths(edges)


def test_an_edge_is_live_if_it_lies_on_a_path_from_an_input_to_the_output():
    kinds = set()
    for seed in range(12):
        edges = random_graph(seed, density=0.35)
        live = {
            edge
            for path in paths(edges)
            if edges[path[0]][0] in ("in 1", "in 2") and edges[path[-1]][1] == "out"
            for edge in path
        }
        assert live_edges(edges) == [i in live for i in range(len(edges))]
        kinds |= {i in live for i in range(len(edges))}
    assert kinds == {True, False}


@pytest.mark.parametrize("width", [1e9, 250.0])
@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_lies_on_anything_else(name, width):
    edges = GRAPHS[name]
    layout = laid_out(edges, width, sizes=[(30.0 + 4 * (i % 5), 14.0 + 9 * (i % 2)) for i in range(len(edges))])
    boxes = [*layout.nodes.values(), *layout.labels]
    assert len(boxes) == len(layout.nodes) + len(edges)
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second), (first, second)
        if abs(first.x - second.x) < 1e-9:  # one above the other
            assert abs(first.y - second.y) >= (first.height + second.height) / 2 + GAP - 1e-6
    for edge, route in enumerate(layout.routes):
        points, own = walked(route), layout.labels[edge]
        assert holds(own, points).any()
        for box in boxes:
            if box is not own:
                assert not holds(box, points)[2:-2].any() or _is_end(box, edges[edge], layout), (edges[edge], box)


def _is_end(box, edge, layout):
    """A line touches the round ends of its own nodes."""
    return box in (layout.nodes[edge[0]], layout.nodes[edge[1]])


@pytest.mark.parametrize("width", [1e9, 250.0])
@pytest.mark.parametrize("name", GRAPHS)
def test_everything_lies_within_the_size_that_is_named(name, width):
    layout = laid_out(GRAPHS[name], width)
    corners = [
        (box.x + a * box.width / 2, box.y + b * box.height / 2)
        for box in (*layout.nodes.values(), *layout.labels)
        for a in (-1, 1)
        for b in (-1, 1)
    ]
    points = np.concatenate([np.array(corners), *(walked(route) for route in layout.routes)])
    assert (points >= -1e-6).all()
    assert (points <= np.array([layout.width, layout.height]) + 1e-6).all()
    assert np.isclose(points.max(axis=0), (layout.width, layout.height), atol=1).all()  # lines are a point wide


@pytest.mark.parametrize("width", [1e9, 250.0])
@pytest.mark.parametrize("name", GRAPHS)
def test_a_line_runs_from_the_rim_of_its_source_to_the_rim_of_its_target(name, width):
    edges = GRAPHS[name]
    layout = laid_out(edges, width)
    for (source, target, _), route in zip(edges, layout.routes, strict=True):
        for node, (x, y) in ((layout.nodes[source], route[0]), (layout.nodes[target], route[-1])):
            inner = node.width / 2 - node.height / 2  # from a stadium's middle to the centre of its round end
            beyond = np.hypot(max(abs(x - node.x) - inner, 0), y - node.y)
            assert np.isclose(beyond, node.height / 2)
        assert len(route) % 3 == 1
        steps = np.linalg.norm(np.diff(np.array(route), axis=0), axis=1)
        assert steps[-1] > 0  # the arrow's head has a direction


@pytest.mark.parametrize("name", [name for name in GRAPHS if name != "chain"])
def test_nodes_stand_in_the_order_of_their_depth_and_the_output_stands_last(name):
    edges = GRAPHS[name]
    layout, depth = laid_out(edges), depths(edges)
    depth["out"] = max(depth.values())
    xs = {d: {round(layout.nodes[node].x, 6) for node in depth if depth[node] == d} for d in set(depth.values())}
    assert all(len(places) == 1 for places in xs.values())
    assert [xs[d] for d in sorted(xs)] == sorted(xs.values(), key=min)


def test_no_lines_of_a_small_cell_cross():
    """NAS-Bench-201's cell can be drawn in the plane, whichever of its edges are there, if all its nodes are fed."""
    drawn = 0
    for kept in itertools.product((False, True), repeat=6):
        edges = [(*edge, "conv") for edge, keep in zip(EDGES, kept, strict=True) if keep]
        if {source for source, _, _ in edges} - {"in"} <= {target for _, target, _ in edges} and edges:
            assert crossings(laid_out(edges)) == 0, edges
            drawn += 1
    assert drawn > 30
    dense = laid_out(random_graph(0, density=1.0))
    assert crossings(dense) > 0  # seven nodes that are all joined cannot


@pytest.mark.parametrize("seed", range(10))
def test_lines_without_a_label_keep_clear_of_nodes_and_labels(seed):
    edges = [tuple(edge) for edge in darts_cell(np.random.default_rng(seed))]
    layout = laid_out(edges, sizes=[LABEL if operation else (0.0, 2.0) for _, _, operation in edges])
    labels = [label for label, (_, _, operation) in zip(layout.labels, edges, strict=True) if operation]
    for (source, target, operation), route in zip(edges, layout.routes, strict=True):
        if not operation:
            points = walked(route)
            assert not any(holds(label, points).any() for label in labels)
            others = [box for node, box in layout.nodes.items() if node not in (source, target)]
            assert not any(holds(box, points).any() for box in others)


def test_a_line_that_rises_far_has_room_to_bend_and_bends_once_where_nothing_stands():
    fan = [(source, str(target), "conv") for target in range(2, 6) for source in ("in 1", "in 2")]
    edges = [*fan, *((str(target), "out", "") for target in range(2, 6))]
    layout = laid_out(edges, sizes=[(44.0, 30.0) if operation else (0.0, 2.0) for _, _, operation in edges])
    highest = 0.0
    for (_, target, _), route in zip(edges, layout.routes, strict=True):
        steps = np.abs(np.array(route)[3::3] - np.array(route)[:-1:3])
        for run, rise in steps:
            assert run >= (rise - 10) / 4  # 10 points are what lines that meet at a node lie apart
        assert target != "out" or np.count_nonzero(steps[:, 1] > 1e-9) <= 1
        highest = max(highest, steps[:, 1].max())
    assert highest > 80


def test_labels_are_spread_over_the_columns_between_nodes():
    layout = laid_out([(*edge, "conv") for edge in EDGES])
    columns = [round(label.x, 6) for label in layout.labels]
    assert sorted(columns.count(x) for x in set(columns)) == [2, 2, 2]


def test_a_long_chain_is_broken_into_rows_that_run_to_and_fro():
    layout = laid_out(chain(21), width=250)
    assert layout.width <= 250
    nodes = list(layout.nodes.values())
    rows = sorted({node.y for node in nodes}, reverse=True)
    assert [rows.index(node.y) for node in nodes] == sorted(rows.index(node.y) for node in nodes)
    row_of = [rows.index(node.y) for node in nodes]
    per_row = [row_of.count(row) for row in range(len(rows))]
    assert len(rows) > 3 and len(set(per_row[:-1])) == 1 and per_row[-1] <= per_row[0]
    for a, b, row in zip(nodes, nodes[1:], row_of, strict=False):
        if a.y == b.y:
            assert (b.x - a.x) * (-1) ** row > 0
        else:
            assert a.x == b.x and b.y < a.y


def test_a_chain_that_fits_stays_in_one_row():
    assert len({node.y for node in laid_out(chain(3), width=400).nodes.values()}) == 1
    assert len({node.y for node in laid_out(chain(3), width=100).nodes.values()}) > 1


def test_a_graph_that_is_no_chain_is_not_broken():
    edges = [*chain(12), ("3", "5", "conv")]
    assert laid_out(edges, width=100).width > 500


def test_edges_in_any_order_make_the_same_chain():
    edges = chain(15)
    backwards = laid_out(edges[::-1], width=250)
    assert dict(backwards.nodes) == dict(laid_out(edges, width=250).nodes)
    assert backwards.labels == laid_out(edges, width=250).labels[::-1]


def test_boxes_overlap_when_they_share_area():
    box = Box(0, 0, 10, 4)
    assert box.overlaps(Box(9, 3, 10, 4))
    assert not box.overlaps(Box(10, 0, 10, 4))
    assert not box.overlaps(Box(0, 4, 10, 4))
