"""NAS-Bench-201 as a set: text, structure, isomorphism, costs."""

from __future__ import annotations

import functools
import itertools
import pickle
import re

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from raynas.search_space import all_architectures, as_array, sample
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.costs import cost_table
from tests.spaces.textbook import EDGES, PATHS

cost_table = functools.cache(cost_table)

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EVERY = list(itertools.product(range(5), repeat=6))
INTO_NODE = {1: (0,), 2: (1, 2), 3: (3, 4, 5)}


@pytest.fixture
def space():
    return NasBench201()


# Text


def benchmark_string(architecture, names=OPERATIONS):
    op = [names[k] for k in architecture]
    return f"|{op[0]}~0|+|{op[1]}~0|{op[2]}~1|+|{op[3]}~0|{op[4]}~1|{op[5]}~2|"


def test_the_choices_are_the_benchmarks_edges_and_operations(space):
    assert [choice.name for choice in space.choices] == ["1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"]
    assert {choice.candidates for choice in space.choices} == {OPERATIONS}
    assert space.size == 15_625


def test_all_architectures_have_the_benchmarks_string_and_are_read_back_from_it(space):
    for architecture in EVERY:
        assert space.describe(architecture) == benchmark_string(architecture)
        assert space.parse(benchmark_string(architecture)) == architecture
    assert len({space.describe(architecture) for architecture in EVERY}) == 15_625


NNI = ("none", "skip_connect", "conv_1x1", "conv_3x3", "avg_pool_3x3")
NASLIB = ("Zero", "Identity", "ReLUConvBN1x1", "ReLUConvBN3x3", "AvgPool1x1")


def nested_tuples(architecture):
    """Returns the repr of AutoDL's nodes: per node a tuple of (operation, predecessor)."""
    names = iter(OPERATIONS[k] for k in architecture)
    return repr(tuple(tuple((next(names), source) for source in range(node)) for node in (1, 2, 3)))


def permuted(architecture, rng):
    """Returns the benchmark's string with the inputs of every node in another order."""
    nodes = []
    for node, edges in INTO_NODE.items():
        pairs = [f"{OPERATIONS[architecture[edge]]}~{source}" for source, edge in zip(range(node), edges, strict=True)]
        rng.shuffle(pairs)
        nodes.append(f"|{'|'.join(pairs)}|")
    return "+".join(nodes)


SPELLINGS = {
    "NNI": lambda a, rng: benchmark_string(a, NNI),
    "NASLib": lambda a, rng: benchmark_string(a, NASLIB),
    "AutoDL": lambda a, rng: nested_tuples(a),
    "AutoDL, as lists": lambda a, rng: nested_tuples(a).replace("(", "[").replace(")", "]").replace(",]", "]"),
    "AutoDL, double quotes": lambda a, rng: nested_tuples(a).replace("'", '"'),
    "permuted predecessors": permuted,
    "spaced": lambda a, rng: f" {benchmark_string(a).replace('+', ' + ').replace('|', ' | ')} ",
    "integers": lambda a, rng: ",".join(map(str, a)),
    "tuple": lambda a, rng: str(a),
    "list": lambda a, rng: str(list(a)),
    "integers without spaces": lambda a, rng: str(list(a)).replace(" ", ""),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_in_use_is_read_as_the_same_architecture(space, spelling):
    rng = np.random.default_rng(0)
    for architecture in EVERY[::97]:
        parsed = space.parse(SPELLINGS[spelling](architecture, rng))
        assert parsed == architecture
        assert all(type(candidate) is int for candidate in parsed)


def test_spellings_may_be_mixed(space):
    text = "|ReLUConvBN3x3~0|+|Zero~0|AvgPool3x3~1|+|conv_1x1~0|Identity~1|nor_conv_3x3~2|"
    assert space.parse(text) == (3, 0, 4, 2, 1, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2| or six integers, got ''"),
        ("resnet18", "expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2| or six integers, got 'resnet18'"),
        ("|none~0|+|none~0|none~1|", "or six integers, got '|none~0|+|none~0|none~1|'"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|none~3|", "or six integers, got"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "node 2 takes inputs [0] in"),
        ("|none~0|+|none~0|none~2|+|none~0|none~1|none~2|", "node 2 takes inputs [0, 2] in"),
        ("|none~1|+|none~0|none~1|+|none~0|none~1|none~2|", "node 1 takes inputs [1] in"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~12|", "or six integers, got"),
        (
            "|none~0|+|none~0|sep_conv_3x3~1|+|none~0|none~1|none~2|",
            "an operation is one of none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3, got 'sep_conv_3x3'",
        ),
        ("1,2,3", "architecture has 3 choices but NasBench201 has 6 (1<-0 ... 3<-2)"),
        ("1,2,3,4,0,1,2", "architecture has 7 choices but NasBench201 has 6"),
        ("0,0,0,5,0,0", "architecture takes candidate 5 at 3<-0 but there are 5, 0 to 4 (none, skip_connect,"),
        ("0,0,0,-1,0,0", "or six integers, got '0,0,0,-1,0,0'"),
        ("0,0,0,1.0,0,0", "or six integers, got"),
        ("0,0,0,10,0,0", "or six integers, got"),
        ("(0,0,0,1,0,0]", "or six integers, got '(0,0,0,1,0,0]'"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2||", "or six integers, got"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+", "or six integers, got"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2", "or six integers, got"),
        ("|none~0|none~0|+|none~1|+|none~0|none~1|none~2|", "or six integers, got"),
        ("none~0 none~0 none~1 none~0 none~1 none~2", "or six integers, got"),
        ("((('none', 0),), (('none', 0), ('none', 1)), (('none', 0), ('none', 1), ('none', 2))", "integers, got"),
    ],
)
def test_wrong_text_is_refused_with_what_is_wrong_about_it(space, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        space.parse(text)


def test_the_repr_of_an_autodl_structure_is_read(space):
    architecture = (3, 0, 4, 2, 1, 3)
    assert space.parse(f"Structure(4 nodes with {benchmark_string(architecture)})") == architecture


@pytest.mark.parametrize(("key", "value"), [("channels", 0), ("channels", -16), ("cells", 0), ("cells", 10**9)])
def test_sizes_that_no_network_has_are_refused_by_key(key, value):
    with pytest.raises(ValueError, match=rf"space.{key}: expected 1 to 10?,000, got {value}"):
        NasBench201(**{key: value})


# Paths


def live_paths(architecture):
    return [path for path in PATHS if all(architecture[EDGES[edge]] != 0 for edge in path)]


def test_path_counts_of_all_architectures_are_those_of_the_four_paths(space):
    expected = np.zeros((len(EVERY), 6), dtype=np.int64)
    for row, architecture in zip(expected, EVERY, strict=True):
        for path in live_paths(architecture):
            for edge in path:
                row[EDGES[edge]] += 1
    np.testing.assert_array_equal(space.path_counts(as_array(EVERY)), expected)
    assert expected[-1].tolist() == [2, 1, 1, 1, 1, 2]  # as the paper's code repeats them
    assert (expected.sum(axis=1) == 0).sum() == 341


def test_a_repaired_path_feeds_every_node_and_changes_no_node_that_was_fed(space):
    rng = np.random.default_rng(0)
    changed = 0
    for path in EVERY[::7] + [(0,) * 6] * 50:
        repaired = space.repair_path(path, rng)
        for edges in INTO_NODE.values():
            before, after = ([p[edge] for edge in edges] for p in (path, repaired))
            assert any(after)
            assert after == before or not any(before)
            changed += after != before
        assert space.check(repaired) == repaired
        assert space.repair_path(repaired, rng) == repaired
    assert changed > 500


def test_a_node_that_is_redrawn_is_uniform_over_what_feeds_it(space):
    rng = np.random.default_rng(5)
    drawn = as_array([space.repair_path((0,) * 6, rng) for _ in range(12_000)])
    for edges in INTO_NODE.values():
        codes = np.ravel_multi_index(drawn[:, edges].T, (5,) * len(edges))
        counts = np.bincount(codes, minlength=5 ** len(edges))
        assert counts[0] == 0
        assert chisquare(counts[1:]).pvalue > 1e-3


def test_a_repaired_sample_is_uniform_over_the_paths_that_feed_every_node(space):
    rng = np.random.default_rng(3)
    drawn = as_array([space.repair_path(sample(space, rng), rng) for _ in range(30_000)])
    for edges in INTO_NODE.values():
        codes = np.ravel_multi_index(drawn[:, edges].T, (5,) * len(edges))
        counts = np.bincount(codes, minlength=5 ** len(edges))
        assert counts[0] == 0
        assert chisquare(counts[1:]).pvalue > 1e-3
    assert abs(np.corrcoef(drawn.T) - np.eye(6))[[0, 0, 0, 1, 2], [1, 3, 5, 3, 4]].max() < 4 / np.sqrt(30_000)


def test_a_search_may_propose_what_training_repairs(space):
    rng = np.random.default_rng(0)
    assert space.repair((0,) * 6, rng) == (0,) * 6


# Isomorphism

PRIME = 2**61 - 1


def generic_value(architecture, polynomials):
    """Returns a cell's output with fixed generic polynomials over a prime field in place of the operations.

    Field arithmetic is exact and a zero node passes zero, so that two cells agree, but for odds of about 1e-15, exactly
    when they are the same function of any operations.
    """
    nodes = [123456789123456789, None, None, None]
    for target in (1, 2, 3):
        for source in range(target):
            operation, x = architecture[EDGES[source, target]], nodes[source]
            if operation == 0 or x is None:
                continue
            if operation > 1:
                a, b, c, d = polynomials[operation]
                x = (((a * x + b) * x + c) * x + d) % PRIME
            nodes[target] = ((nodes[target] or 0) + x) % PRIME
    return nodes[3]


def test_canonical_classes_are_the_classes_of_equal_functions(space):
    draw = np.random.default_rng(1)
    polynomials = {k: [int(c) for c in draw.integers(1, PRIME, 4)] for k in (2, 3, 4)}
    values, classes = {}, {}
    for architecture in EVERY:
        value, canonical = generic_value(architecture, polynomials), space.canonical(architecture)
        assert values.setdefault(canonical, value) == value
        assert classes.setdefault(value, canonical) == canonical
    assert len(values) == len(classes) == 4_930


def test_the_canonical_architecture_is_the_first_of_its_class(space):
    seen = set()
    for architecture in EVERY:
        canonical = space.canonical(architecture)
        assert canonical <= architecture
        assert (canonical in seen) == (canonical != architecture)
        seen.add(canonical)
        assert space.canonical(canonical) == canonical


def benchmark_class(architecture):
    """Returns the string by which NAS-Bench-201 (Dong and Yang 2020, section 2.1) tells cells apart."""
    nodes = ["0"]
    for target in (1, 2, 3):
        terms = []
        for source in range(target):
            operation = OPERATIONS[architecture[EDGES[source, target]]]
            if operation == "none" or nodes[source] == "#":
                terms.append("#")
            else:
                terms.append(nodes[source] if operation == "skip_connect" else f"({nodes[source]})@{operation}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def test_each_of_the_benchmarks_own_classes_lies_within_one_of_ours(space):
    classes = {}
    for architecture in EVERY:
        canonical = space.canonical(architecture)
        assert classes.setdefault(benchmark_class(architecture), canonical) == canonical
    assert len(classes) == 6_466  # the paper's number


# Costs


@pytest.mark.parametrize("architecture", EVERY[::613], ids=str)
def test_multiply_adds_on_cifar10_are_the_closed_figures(space, architecture):
    expected = 7_783_050 + 35_389_440 * architecture.count(3) + 3_932_160 * architecture.count(2)
    total = cost_table(space, 32, 10).total(as_array([architecture]))
    assert total.dtype == np.int64
    assert total[0, 1] == expected


@pytest.mark.parametrize(
    ("text", "multiply_adds", "parameters"),
    [  # rows of the benchmark's table, in millions
        ("|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",)
        + (15.64737, 0.129306),
        ("|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|",)
        + (113.95137, 0.802426),
        ("|avg_pool_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|avg_pool_3x3~0|avg_pool_3x3~1|avg_pool_3x3~2|",)
        + (78.56193, 0.559386),
    ],
)
def test_costs_are_the_benchmarks(space, text, multiply_adds, parameters):
    total = cost_table(space, 32, 10).total(as_array([space.parse(text)]))[0]
    assert total.tolist() == [round(parameters * 1e6), round(multiply_adds * 1e6)]


SIZES = [(16, 5, 10), (4, 1, 10), (3, 2, 7), (8, 3, 120), (1, 1, 2)]


@pytest.mark.parametrize(("channels", "cells", "num_classes"), SIZES)
def test_parameters_are_those_of_the_built_network(channels, cells, num_classes):
    space = NasBench201(channels=channels, cells=cells)
    rng = np.random.default_rng(channels)
    table = cost_table(space, 32, num_classes)
    assert table.quantities == ("num_parameters", "multiply_adds")
    for architecture in [(3,) * 6, (0,) * 6, *(sample(space, rng) for _ in range(4))]:
        network = space.build_network(architecture, num_classes)
        counted = sum(parameter.numel() for parameter in network.parameters())
        assert table.total(as_array([architecture]))[0, 0] == counted


def count_multiply_adds(network, resolution):
    """Returns multiply-adds of all convolutions and linear layers on one image, those of dead edges too.

    Layers that run are counted by their outputs; those of dead edges never run and are then called on what enters
    their cell.
    """
    counts, inputs = {}, {}

    def count(layer, arguments, out):
        # one multiply-add per weight and output position, and the classifier's bias as one each
        counts[layer] = out[0].numel() * layer.weight[0].numel() + (0 if layer.bias is None else layer.bias.numel())

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    hooks += [
        cell.register_forward_pre_hook(lambda cell, args: inputs.update({cell: args[0]})) for cell in network.cells
    ]
    network.eval()(torch.zeros(1, 3, resolution, resolution))  # with gradients, where every layer runs by itself
    for cell, x in inputs.items():
        for layer in cell.modules():
            if isinstance(layer, nn.Conv2d) and layer not in counts:
                layer(x)
    for hook in hooks:
        hook.remove()
    assert set(counts) == set(layers)
    return sum(counts.values())


@pytest.mark.parametrize(
    ("resolution", "channels", "cells", "num_classes"),
    [
        *((4, 4, 1, 10), (8, 3, 2, 7), (12, 4, 1, 10), (16, 2, 3, 120), (28, 4, 1, 2), (32, 16, 1, 10), (36, 4, 1, 3)),
        *((resolution, 4, 1, 10) for resolution in (6, 30, 33)),
    ],
)
def test_multiply_adds_are_those_of_the_built_network(resolution, channels, cells, num_classes):
    space = NasBench201(channels=channels, cells=cells)
    rng = np.random.default_rng(resolution)
    table = cost_table(space, resolution, num_classes)
    for architecture in [(3,) * 6, (2, 0, 0, 3, 3, 2), *(sample(space, rng) for _ in range(3))]:
        counted = count_multiply_adds(space.build_network(architecture, num_classes), resolution)
        assert table.total(as_array([architecture]))[0, 1] == counted


@pytest.mark.parametrize("resolution", [1, 2, 7, 9, 30, 33, 224])
def test_convolutions_are_counted_at_the_size_that_the_strided_ones_leave(resolution):
    x, sizes = torch.zeros(1, 1, resolution, resolution), []
    for _ in range(3):
        sizes.append(x[0].numel())
        x = nn.functional.conv2d(x, torch.zeros(1, 1, 3, 3), stride=2, padding=1)
    costs = cost_table(NasBench201(channels=2, cells=3), resolution, 10).total(as_array([(2, 3, 0, 0, 0, 0), (0,) * 6]))
    of_two_edges = 3 * sum((1 + 9) * channels**2 * size for channels, size in zip((2, 4, 8), sizes, strict=True))
    assert costs[0, 1] - costs[1, 1] == of_two_edges


# The angle's weight vector


@pytest.mark.parametrize("definition", ["ours", "", "Paper"])
def test_an_unknown_definition_of_the_angle_is_refused_by_key(space, definition):
    with pytest.raises(ValueError, match=f"search.angle: expected paper, official, published, got '{definition}'"):
        space.weight_vector(definition)


@pytest.mark.parametrize("change", ["skip", "skip full", "ends output"])
def test_an_unknown_part_of_a_definition_of_the_angle_is_refused(space, change):
    message = f"search.angle: expected parts extras, pool, skip, norms with their values, got '{change}'"
    with pytest.raises(ValueError, match=message):
        space.weight_vector(f"paper, {change}")


def test_the_description_takes_part_in_no_network(space):
    assert pickle.loads(pickle.dumps(space)) == space == NasBench201(16, 5)
    assert space != NasBench201(channels=8)
    assert list(map(tuple, all_architectures(space).tolist())) == EVERY
