"""On how many live paths each edge of a cell lies, against enumeration."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.spaces.cell_graph import CellGraph

GRAPHS = {
    "nasbench201": CellGraph(1, ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), (3,)),
    "darts": CellGraph(2, tuple((i, j) for j in range(2, 6) for i in range(j)), (2, 3, 4, 5)),
    "darts, last node only": CellGraph(2, tuple((i, j) for j in range(2, 6) for i in range(j)), (5,)),
    "recurrent": CellGraph(1, tuple((i, j) for j in range(1, 7) for i in range(j)), tuple(range(1, 7))),
    "sparse": CellGraph(2, ((0, 2), (1, 2), (1, 3), (2, 4), (3, 4), (2, 5)), (4, 5)),
}


def walks(graph, passes):
    """Yields every live path as the list of its edges, depth first from every input."""

    def go_on(node, trail):
        if trail and node in graph.ends:
            yield trail
        for edge, (source, target) in enumerate(graph.edges):
            if source == node and passes[edge]:
                yield from go_on(target, [*trail, edge])

    for start in range(graph.num_inputs):
        yield from go_on(start, [])


@pytest.mark.parametrize("ends", ["all", "last"])
def test_paths_may_end_at_all_nodes_behind_the_inputs_or_at_the_last_one(ends):
    for name, nodes in {"nasbench201": (1, 2, 3), "darts": (2, 3, 4, 5), "sparse": (2, 3, 4, 5)}.items():
        graph = GRAPHS[name].ending(ends)
        assert graph.edges == GRAPHS[name].edges
        assert graph.ends == (nodes if ends == "all" else nodes[-1:])


@pytest.mark.parametrize("name", GRAPHS)
def test_path_counts_are_those_of_depth_first_enumeration(name):
    graph = GRAPHS[name]
    rng = np.random.default_rng(1)
    masks = rng.random((120, len(graph.edges))) < rng.uniform(0.3, 1.0, (120, 1))
    masks[0], masks[1] = True, False
    expected = np.zeros(masks.shape, dtype=np.int64)
    for row, mask in zip(expected, masks, strict=True):
        for trail in walks(graph, mask):
            row[trail] += 1
    counts = graph.path_counts(masks)
    assert counts.dtype == np.int64
    np.testing.assert_array_equal(counts, expected)
    assert expected[0].min() > 0 and not expected[1].any()


def test_a_full_darts_cell_has_the_thirty_paths_of_the_code_of_rlnas():
    graph = GRAPHS["darts"]
    everything = np.ones(14, dtype=bool)
    assert len(list(walks(graph, everything))) == 30
    into_nodes = [8, 8, 4, 4, 8, 2, 2, 4, 8, 1, 1, 2, 4, 8]
    assert graph.path_counts(everything[None])[0].tolist() == into_nodes


def test_each_row_is_counted_by_itself():
    graph = GRAPHS["darts"]
    masks = np.random.default_rng(2).random((40, 14)) < 0.7
    one_by_one = np.concatenate([graph.path_counts(mask[None]) for mask in masks])
    np.testing.assert_array_equal(graph.path_counts(masks), one_by_one)
    assert graph.path_counts(masks[:0]).shape == (0, 14)
