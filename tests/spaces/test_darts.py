"""The DARTS space: its constructions, its constraint, its weight vectors."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter

import numpy as np
import pytest
import torch

from raynas.config.explain import check_arguments
from raynas.fitness.angle import Angle, angle_table
from raynas.search_space import as_array, sample
from raynas.spaces.darts import Darts
from raynas.spaces.darts_operations import OPERATIONS, PRIMITIVES
from tests.spaces import genotypes
from tests.spaces.textbook_darts import EDGES, PATHS, choices_of_cells

S1 = Darts(edges="fixed", operations=PRIMITIVES[1:])
S2 = Darts(cells=20, edges="fixed", operations=("skip_connect", "sep_conv_3x3"), share_cells=False)
FRC = Darts(reduction="fixed", cells=6)
KEPT = Darts(edges="kept", operations=PRIMITIVES[1:])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# Constructions


def test_the_standard_space_has_fourteen_edges_of_eight_operations_for_each_kind_of_cell():
    space = Darts()
    names = [f"{kind} {target}<-{source}" for kind in ("normal", "reduction") for source, target in EDGES["all"]]
    assert [choice.name for choice in space.choices] == names
    assert {choice.candidates for choice in space.choices} == {PRIMITIVES}
    assert space.size == 8**28
    assert space.num_architectures == (1 * 3 * 6 * 10 * 7**8) ** 2
    assert Darts(reduction="fixed").num_architectures == 1 * 3 * 6 * 10 * 7**8


def test_a_fixed_reduction_cell_contributes_no_choice():
    assert [choice.name for choice in FRC.choices] == [f"normal {t}<-{s}" for s, t in EDGES["all"]]


def test_amended_darts_spaces_have_as_many_architectures_as_the_paper_counts():
    assert [choice.name for choice in S1.choices] == [
        f"{kind} {t}<-{s}" for kind in ("normal", "reduction") for s, t in EDGES["fixed"]
    ]
    assert S1.num_architectures == S1.size == 7**16 and f"{S1.size:.1e}" == "3.3e+13"
    assert [choice.name for choice in S2.choices] == [f"cell{c} {t}<-{s}" for c in range(20) for s, t in EDGES["fixed"]]
    assert S2.size == 2**160 and f"{S2.size:.1e}" == "1.5e+48"


def test_where_all_edges_are_kept_fourteen_edges_take_seven_operations():
    assert [choice.name for choice in KEPT.choices] == [choice.name for choice in Darts().choices]
    assert KEPT.num_architectures == KEPT.size == 7**28


def test_cells_of_their_own_with_a_fixed_reduction_leave_the_reductions_out():
    names = [choice.name for choice in Darts(cells=5, share_cells=False, reduction="fixed").choices]
    assert list(dict.fromkeys(name.split()[0] for name in names)) == ["cell0", "cell2", "cell4"]


@pytest.mark.parametrize(("cells", "reductions"), [(3, (1, 2)), (6, (2, 4)), (8, (2, 5)), (14, (4, 9)), (20, (6, 13))])
def test_reductions_stand_a_third_and_two_thirds_of_the_way_in(cells, reductions):
    assert Darts(cells=cells).skeleton.reductions == reductions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stem": "mnist"}, "space.stem: expected cifar or imagenet, got 'mnist'"),
        ({"edges": "some"}, "space.edges: expected all, fixed or kept, got 'some'"),
        ({"reduction": "none"}, "space.reduction: expected searched or fixed, got 'none'"),
        ({"channels": 1}, "space.channels: expected 2 to 10,000, got 1"),
        ({"channels": 50, "reduction": "fixed"}, "space.channels: expected a multiple of 4, since .*, got 50"),
        ({"cells": 2}, "space.cells: expected 3 to 1,000, of which two are reduction cells, got 2"),
        ({"operations": ["none", "sep_conv"]}, "space.operations: expected names of none, .*, got 'sep_conv'"),
        ({"operations": ["none"]}, "space.operations: expected two or more different ones, got none"),
        ({"operations": ["none", "none"]}, "space.operations: expected two or more different ones, got none, none"),
        ({"operations": []}, "space.operations: expected two or more different ones, got "),
        ({"operations": PRIMITIVES[1:]}, "space.operations: expected none among them, which drops an edge, got max_"),
        ({"edges": "fixed"}, "space.operations: expected no none where edges are fixed, got none, max_pool_3x3"),
        ({"edges": "kept"}, "space.operations: expected no none where edges are kept, got none, max_pool_3x3"),
    ],
)
def test_a_value_that_may_not_be_is_refused_by_its_key(options, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        Darts(**options)
    assert "\n" not in str(caught.value)


def test_a_run_file_gives_the_operations_as_a_list():
    keys = {"operations": list(S2.operations), "edges": "fixed", "share_cells": False, "cells": 20}
    space = Darts(**check_arguments(Darts, keys, "space"))
    assert space == S2 and hash(space) == hash(S2) and space.operations == ("skip_connect", "sep_conv_3x3")
    for key, value in {"operations": "none", "stem": "mnist", "cells": "8", "affine": 1}.items():
        with pytest.raises(ValueError, match=f"^space.{key}: expected"):
            check_arguments(Darts, {key: value}, "space")


# Two inputs a node


def inputs_of_nodes(space, architecture):
    """Yields for each node of each cell the candidates of its edges."""
    edges = EDGES[space.edges]
    for start in range(0, len(architecture), len(edges)):
        for node in (2, 3, 4, 5):
            yield tuple(architecture[start + e] for e, (_, target) in enumerate(edges) if target == node)


@pytest.mark.parametrize("space", [Darts(), FRC, Darts(share_cells=False, cells=5)], ids=["shared", "frc", "own"])
def test_repair_leaves_two_inputs_at_every_node_and_touches_as_little_as_it_can(space, rng):
    for _ in range(200):
        share_of_none = rng.random()
        drawn = tuple(0 if rng.random() < share_of_none else int(rng.integers(len(PRIMITIVES))) for _ in space.choices)
        repaired = space.repair(drawn, rng)
        assert space.check(repaired) == repaired == space.repair(repaired, rng)
        for before, after in zip(inputs_of_nodes(space, drawn), inputs_of_nodes(space, repaired), strict=True):
            live = len(before) - before.count(0)
            assert len(after) - after.count(0) == 2
            assert sum(a != b for a, b in zip(before, after, strict=True)) == abs(live - 2)
            if live > 2:
                assert all(b in (a, 0) for a, b in zip(before, after, strict=True))


def test_repaired_uniform_draws_are_uniform_on_the_space(rng):
    space = Darts(operations=("sep_conv_3x3", "none", "skip_connect", "max_pool_3x3"), reduction="fixed")
    seen = [Counter() for _ in range(4)]
    draws = 20_000
    for _ in range(draws):
        for counter, candidates in zip(seen, inputs_of_nodes(space, sample(space, rng)), strict=True):
            counter[candidates] += 1
    for inputs, counter in zip((2, 3, 4, 5), seen, strict=True):
        number = math.comb(inputs, 2) * 3**2
        assert len(counter) == number
        counts = np.array(list(counter.values()))
        chi_squared = ((counts - draws / number) ** 2).sum() / (draws / number)
        assert abs(chi_squared - (number - 1)) < 5 * math.sqrt(2 * (number - 1))


def test_there_are_as_many_architectures_as_amended_darts_counts_in_darts_space():
    few = Darts(operations=("none", "sep_conv_3x3", "skip_connect"), reduction="fixed")
    legal = []
    for node in range(4):
        combinations = list(itertools.product(range(3), repeat=node + 2))
        others = [(1, 1), (1, 1, 0), (1, 1, 0, 0), (1, 1, 0, 0, 0)]
        number = 0
        for combination in combinations:
            parts = [*others[:node], combination, *others[node + 1 :]]
            try:
                few.check([candidate for part in parts for candidate in part])
            except ValueError as error:
                assert "a node keeps 2" in str(error)
            else:
                number += 1
        legal.append(number)
    assert legal == [1 * 2**2, 3 * 2**2, 6 * 2**2, 10 * 2**2]
    assert f"{(1 * 3 * 6 * 10 * 7**8) ** 2:.1e}" == "1.1e+18"


def test_an_architecture_with_another_number_of_inputs_is_refused_by_its_edges():
    space = Darts()
    legal = list(space.parse(genotypes.DARTS_V2))
    for edge, edges in ((3, "normal 3<-0, normal 3<-1, normal 3<-2"), (14, "reduction 2<-0, reduction 2<-1")):
        wrong = list(legal)
        wrong[edge] = 0 if wrong[edge] else 1
        with pytest.raises(ValueError, match=rf"^architecture gives a node 1 inputs .* keeps 2 \(edges {edges}\)"):
            space.check(wrong)


def test_with_fixed_or_kept_edges_every_combination_stands(rng):
    for space in (S1, S2, KEPT):
        architecture = tuple(rng.integers(len(space.operations), size=len(space.choices)).tolist())
        assert space.repair(architecture, rng) == space.check(architecture) == architecture


# What alphas stand for


def derived_plainly(space, probabilities, rule):
    """Returns the architecture by section 2.4 of DARTS or section 3.2 of GDAS, node by node."""
    taken = []
    edges = EDGES[space.edges]
    for start in range(0, len(space.choices), len(edges)):
        for node in (2, 3, 4, 5):
            into = [start + e for e, (_, target) in enumerate(edges) if target == node]
            strength, strongest = {}, {}
            for edge in into:
                row = {k: p for k, p in enumerate(probabilities[edge]) if space.operations[k] != "none"}
                strongest[edge] = max(row, key=row.get)
                strength[edge] = max(probabilities[edge]) if rule == "with_none" else max(row.values())
            kept = sorted(into, key=lambda edge: -strength[edge])[:2]
            taken += [strongest[edge] if edge in kept else space.operations.index("none") for edge in into]
    return tuple(taken)


@pytest.mark.parametrize("rule", ["with_none", "without_none"])
@pytest.mark.parametrize(
    "space",
    [
        Darts(),
        FRC,
        S1,
        S2,
        Darts(share_cells=False, cells=5),
        Darts(operations=("sep_conv_3x3", "none", "skip_connect"), share_cells=False, reduction="fixed", cells=4),
        Darts(operations=("nor_conv_1x1", "none")),
    ],
    ids=["shared", "frc", "S1", "S2", "own", "own, frc", "two operations"],
)
def test_every_node_keeps_the_two_edges_of_the_strongest_operations(space, rule, rng):
    seen = set()
    for _ in range(60):
        sharpness = rng.choice([0.1, 1.0, 30.0])
        number = len(space.operations)
        probabilities = rng.dirichlet(np.full(number, sharpness), size=len(space.choices))
        derived = space.derive(list(probabilities), rule)
        assert space.check(derived) == derived == derived_plainly(space, probabilities, rule)
        assert all(type(k) is int for k in derived)
        seen.add(derived)
    assert len(seen) > 50


def derived_of_kept(rule, probabilities):
    """Returns the derived architecture as pairs (edge, operation), by the paper's words."""
    edges, taken = EDGES["all"], []
    for start in (0, len(edges)):
        for node in (2, 3, 4, 5):
            into = [start + e for e, (_, target) in enumerate(edges) if target == node]
            kept = into if rule == "all_edges" else sorted(into, key=lambda edge: -max(probabilities[edge]))[:2]
            taken += [(edge, KEPT.operations[int(np.argmax(probabilities[edge]))]) for edge in sorted(kept)]
    return taken


@pytest.mark.parametrize("rule", ["with_none", "without_none", "all_edges"])
def test_of_kept_edges_all_are_derived_or_the_two_strongest_of_each_node(rule, rng):
    space = KEPT.derived_space(rule)
    assert (space is KEPT) == (rule == "all_edges")
    for _ in range(40):
        probabilities = rng.dirichlet(np.full(7, 0.5), size=28)
        derived = KEPT.derive(list(probabilities), rule)
        assert space.check(derived) == derived
        names = [(edge, space.operations[k]) for edge, k in enumerate(derived)]
        assert [pair for pair in names if pair[1] != "none"] == derived_of_kept(rule, probabilities)
        assert space.parse(space.describe(derived)) == derived


def test_what_is_derived_of_kept_edges_has_the_weights_of_the_supernet():
    small = Darts(channels=2, cells=3, edges="kept", operations=("max_pool_3x3", "skip_connect", "dil_conv_3x3"))
    weights = small.build_supernet(4).state_dict()
    for rule in ("without_none", "all_edges"):
        space = small.derived_space(rule)
        assert set(space.build_supernet(4).state_dict()) == set(weights)
        network = space.build_inheriting_network(small.derive([np.array([0.1, 0.2, 0.7])] * 28, rule), 4)
        names = set(network.state_dict())
        assert names < set(weights)
        edges = {name.split(".edges.")[1].split(".")[0] for name in names if ".edges." in name}
        assert len(edges) == (14 if rule == "all_edges" else 8)


def test_a_space_whose_nodes_drop_edges_has_no_derivation_that_keeps_all():
    with pytest.raises(ValueError, match=r"^search\.derivation: all_edges is for space\.edges: kept, without none"):
        Darts().derive([np.full(8, 1 / 8)] * 28, "all_edges")
    with pytest.raises(ValueError, match=r"^search\.derivation: pairs is for space\.edges: all"):
        KEPT.derive([np.full(7, 1 / 7)] * 28, "pairs")


def test_none_tells_gdas_which_edges_to_keep_and_darts_nothing():
    """Of three edges into node 3 the first is nearly surely dropped, the others are of little conviction."""
    space = Darts(operations=("none", "skip_connect", "sep_conv_3x3", "max_pool_3x3"), reduction="fixed")
    probabilities = [np.array([0.1, 0.3, 0.3, 0.3]) for _ in space.choices]
    probabilities[2:5] = [np.array(p) for p in ([0.9, 0.01, 0.07, 0.02], [0.1, 0.4, 0.3, 0.2], [0.0, 0.2, 0.3, 0.5])]
    assert space.derive(probabilities, "without_none")[2:5] == (0, 1, 3)
    assert space.derive(probabilities, "with_none")[2:5] == (2, 0, 3), "of a kept edge none is no operation"


def test_of_equals_the_earlier_edge_and_the_earlier_operation_is_kept():
    space = Darts()
    even = [np.full(8, 1 / 8)] * 28
    expected = tuple(1 if e < 2 else 0 for n in (2, 3, 4, 5) for e in range(n)) * 2
    assert space.derive(even, "with_none") == space.derive(even, "without_none") == expected
    assert S1.derive([np.full(7, 1 / 7)] * 16, "with_none") == (0,) * 16


# Text and drawing


@pytest.mark.parametrize(
    "space",
    [S1, S2, FRC, Darts(operations=tuple(OPERATIONS)), Darts(share_cells=False, reduction="fixed")],
    ids=["S1", "S2", "frc", "every operation", "own cells, frc"],
)
def test_every_construction_has_a_text_that_comes_back(space, rng):
    architectures = [sample(space, rng) for _ in range(20)]
    texts = [space.describe(architecture) for architecture in architectures]
    assert [space.parse(text) for text in texts] == architectures
    assert len(set(texts)) == len(set(architectures)) == 20
    assert all(text.startswith("Genotype(") and "none" not in text for text in texts)


def test_the_text_is_darts_own():
    assert Darts().describe(Darts().parse(genotypes.DARTS_V2)) == (
        "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
        "('skip_connect', 0), ('sep_conv_3x3', 1), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
        "normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('max_pool_3x3', 1), "
        "('skip_connect', 2), ('max_pool_3x3', 0), ('skip_connect', 2), ('max_pool_3x3', 1), ('skip_connect', 2)], "
        "reduce_concat=range(2, 6))"
    )
    assert FRC.describe(FRC.parse(genotypes.GDAS_F1)).endswith("reduce=None, reduce_concat=range(2, 6))")
    assert S2.describe((1, 0) * 80).startswith("Genotype(cells=[[('sep_conv_3x3', 0), ('skip_connect', 1), ")


def test_a_drawing_shows_two_inputs_the_edges_that_pass_something_and_the_concatenation():
    space = Darts()
    drawing = space.drawing(space.parse(genotypes.GDAS_V1))
    assert list(drawing) == ["normal", "reduction"]
    assert drawing["normal"] == [
        *(("in 1", "2", "skip_connect"), ("in 2", "2", "skip_connect")),
        *(("in 1", "3", "skip_connect"), ("2", "3", "sep_conv_5x5")),
        *(("in 1", "4", "skip_connect"), ("3", "4", "sep_conv_3x3")),
        *(("3", "5", "sep_conv_3x3"), ("4", "5", "sep_conv_5x5")),
        *(("2", "out", ""), ("3", "out", ""), ("4", "out", ""), ("5", "out", "")),
    ]
    assert ("in 2", "5", "sep_conv_5x5") in drawing["reduction"]
    assert list(FRC.drawing(FRC.parse(genotypes.GDAS_F1))) == ["normal"]
    own = S2.drawing((0,) * 159 + (1,))
    assert len(own) == 20 and own["cell19"][7] == ("4", "5", "sep_conv_3x3")


# Weights on paths


def test_on_how_many_paths_an_edge_lies_is_what_the_code_of_rlnas_lists():
    everything = np.full((1, 28), PRIMITIVES.index("sep_conv_3x3"))
    into_nodes = [8, 8, 4, 4, 8, 2, 2, 4, 8, 1, 1, 2, 4, 8]
    assert Darts().path_counts(everything)[0].tolist() == into_nodes * 2
    assert S2.path_counts(np.zeros((1, 160), int))[0].tolist() == [4, 4, 3, 6, 2, 6, 1, 4] * 20


def listed_paths(space, architecture, positions):
    """Returns a cell's paths of edges that are there and pass something, as positions in the architecture."""
    position_of = dict(zip(EDGES[space.edges], positions, strict=False))
    paths = ([position_of.get(edge) for edge in itertools.pairwise(nodes)] for nodes in PATHS)
    return [path for path in paths if all(p is not None and space.operations[architecture[p]] != "none" for p in path)]


SMALL = {"channels": 4, "cells": 3}
FEW = ("none", "avg_pool_3x3", "sep_conv_7x7", "skip_connect")
CONSTRUCTIONS = {
    "rlnas": Darts(**SMALL),
    "imagenet": Darts(**SMALL, operations=FEW, stem="imagenet"),
    "darts": Darts(**SMALL, operations=FEW, affine=False),
    "no pool bn": Darts(**SMALL, operations=FEW, pool_bn=False),
    "other operations": Darts(**SMALL, operations=(*tuple(OPERATIONS)[8:], "none")),
    "frc": Darts(**SMALL, reduction="fixed", operations=FEW),
    "four cells": Darts(channels=2, cells=4, operations=FEW),
    "S1": Darts(**SMALL, edges="fixed", operations=PRIMITIVES[1:]),
    "S2": Darts(**SMALL, edges="fixed", operations=("skip_connect", "sep_conv_3x3"), share_cells=False),
    "kept": Darts(**SMALL, edges="kept", operations=("skip_connect", "avg_pool_3x3", "dil_conv_3x3")),
}


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_path_counts_are_those_of_the_listed_paths(name, rng):
    space = CONSTRUCTIONS[name]
    architectures = [sample(space, rng) for _ in range(20)]
    expected = np.zeros((20, len(space.choices)), dtype=np.int64)
    for row, architecture in zip(expected, architectures, strict=True):
        for positions in {tuple(positions) for positions in choices_of_cells(space)}:
            for path in listed_paths(space, architecture, positions):
                row[path] += 1
    np.testing.assert_array_equal(space.path_counts(as_array(architectures)), expected)
    np.testing.assert_array_equal(space.path_counts_to(as_array(architectures), "all"), expected)


@pytest.mark.parametrize("name", ["rlnas", "S1", "kept"])
def test_paths_that_end_at_the_last_node_are_those_of_the_listed_ones_that_reach_it(name, rng):
    space = CONSTRUCTIONS[name]
    architectures = [sample(space, rng) for _ in range(20)]
    expected = np.zeros((20, len(space.choices)), dtype=np.int64)
    into_last = {edge for edge in EDGES[space.edges] if edge[1] == 5}
    for row, architecture in zip(expected, architectures, strict=True):
        for positions in {tuple(positions) for positions in choices_of_cells(space)}:
            edge_of = dict(zip(positions, EDGES[space.edges], strict=False))
            for path in listed_paths(space, architecture, positions):
                if edge_of[path[-1]] in into_last:
                    row[path] += 1
    np.testing.assert_array_equal(space.path_counts_to(as_array(architectures), "last"), expected)
    assert (expected.sum() > 0) and (expected.sum() < space.path_counts(as_array(architectures)).sum())


def random_weights(space, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = space.build_supernet(10).state_dict()
        return {n: v.double() + torch.randn(v.shape, dtype=torch.float64) / 3 for n, v in state.items()}


COUNTED = {
    "paper": "full identity",
    "official": "extras identity norms",
    "published": "extras identity norms slip",
    "paper, skip empty": "full",
    "paper, pool per_channel": "identity",
    "paper, norms counted": "full identity norms",
    "official, extras none": "identity norms",
    "official, norms none": "extras identity",
    "official, pool full, skip empty, norms published": "extras full norms slip",
}
"""Definitions of the angle: what is in the vector beside kernels, in words of this file.

Full: poolings as (C, C, 3, 3). Slip: the normalisation of a dilated convolution by its weight twice.
"""


def operation_weights(weights, operation, name, channels, strided, counted, pool_bn):
    """Returns what one operation adds to the vector, as RLNAS' paper or code has it."""
    kernels = {
        **dict.fromkeys(
            ("sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7"), ("0.first", "0.second", "1.first", "1.second")
        ),
        **dict.fromkeys(("dil_conv_3x3", "dil_conv_5x5", "conv_3x1_1x3", "conv_7x1_1x7"), ("first", "second")),
        **dict.fromkeys(("nor_conv_1x1", "nor_conv_3x3", "nor_conv_7x7"), ("conv",)),
        "skip_connect": ("conv_1", "conv_2") if strided else (),
    }.get(operation, ())
    normalisations = ("0.bn", "1.bn") if operation.startswith("sep") else ("bn",) if kernels else ()
    vector = [weights[f"{name}.{kernel}.weight"] for kernel in kernels]
    if operation.endswith("pool_3x3"):
        shape = (channels, channels, 3, 3) if "full" in counted else (channels, 3, 3)
        vector.append(torch.full(shape, 1 / 9, dtype=torch.float64))
        normalisations = ("1",) if pool_bn else ()
    if operation == "skip_connect" and not strided and "identity" in counted:
        vector.append(torch.eye(channels, dtype=torch.float64))
    if "norms" in counted:
        of_norm = ("weight", "weight") if "slip" in counted and operation.startswith("dil") else ("weight", "bias")
        parts = (f"{name}.{bn}.{part}" for bn in normalisations for part in of_norm)
        vector += [weights[part] for part in parts if part in weights]
    return vector


def concatenated(weights, space, architecture, definition):
    """Returns V(a, W) built in full, path by path, cell by cell."""
    vector, counted = [], COUNTED[definition].split()
    if "extras" in counted:
        outside = ("stem", "inputs", "convolutions", "pools", "classifier.weight")
        outside += ("classifier.bias",) if space.stem == "imagenet" else ()
        parts = ("weight", "bias")
        vector += [value for n, value in weights.items() if n.endswith(parts) and any(word in n for word in outside)]
    for cell, positions in enumerate(choices_of_cells(space)):
        reductions = [space.cells // 3, 2 * space.cells // 3]
        channels = space.channels * 2 ** sum(cell >= r for r in reductions)
        if not positions:
            continue
        for path in listed_paths(space, architecture, positions):
            for position in path:
                edge = position - positions[0]
                operation = space.operations[architecture[position]]
                strided = cell in reductions and EDGES[space.edges][edge][0] < 2
                name = f"cells.{cell}.edges.{edge}.{operation}"
                vector += operation_weights(weights, operation, name, channels, strided, counted, space.pool_bn)
    return torch.cat([part.flatten() for part in vector])


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_the_angle_is_that_of_the_vectors_written_out(name, rng):
    space = CONSTRUCTIONS[name]
    initial, trained = random_weights(space, 0), random_weights(space, 1)
    architectures = [sample(space, rng) for _ in range(4)]
    for definition in COUNTED:
        angle = Angle(space, angle_table(space, initial, trained, definition))
        angles = angle.angles(as_array(architectures))
        assert np.ptp(angles) > 1e-3
        for ours, architecture in zip(angles, architectures, strict=True):
            vectors = [concatenated(weights, space, architecture, definition) for weights in (initial, trained)]
            u, v = (vector / vector.square().sum().sqrt() for vector in vectors)
            theirs = 2 * math.atan2((u - v).square().sum().sqrt().item(), (u + v).square().sum().sqrt().item())
            assert ours == pytest.approx(theirs, abs=1e-9)


def test_the_published_angle_takes_a_dilated_convolutions_weight_in_the_place_of_its_bias(rng):
    space = Darts(**SMALL)
    initial, trained = random_weights(space, 0), random_weights(space, 1)
    dilated = [k for k, name in enumerate(space.operations) if name.startswith("dil")]
    assert len(dilated) == 2
    official, published = (
        Angle(space, angle_table(space, initial, trained, definition)) for definition in ("official", "published")
    )
    architectures = as_array([sample(space, rng) for _ in range(3000)])
    differ = np.abs(official.angles(architectures) - published.angles(architectures)) > 1e-12
    np.testing.assert_array_equal(differ, np.isin(architectures, dilated).any(axis=1))
    assert differ.any() and not differ.all()


def test_a_hundred_thousand_angles_take_well_under_a_second(rng):
    space = Darts()
    few = Darts(channels=2, cells=3)
    table = angle_table(few, random_weights(few, 0), random_weights(few, 1), "paper")
    architectures = np.tile(as_array([sample(space, rng) for _ in range(500)]), (200, 1))
    angle = Angle(space, table)
    seconds = []
    for _ in range(3):
        began = time.process_time()
        assert np.unique(angle.angles(architectures)).size == 500
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.6
