"""The space of quadruples: the paper's encoding, its relaxation written out, and what is run and paid for once."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

import raynas.supernet.latency as latency
from raynas.capabilities import weight_vector_of
from raynas.config.explain import check_arguments
from raynas.report.layout import lay_out
from raynas.search_space import as_array, sample
from raynas.spaces.darts import Darts
from raynas.spaces.quadruples import FUNCTIONS, Quadruples
from raynas.supernet.costs import cost_table
from raynas.supernet.gates import Gate, mixture, single_path
from tests.spaces import genotypes
from tests.spaces.test_darts_network import build, calls, images
from tests.spaces.textbook_darts import EDGES, DartsTextbook

EXACT = {"rtol": 1e-9, "atol": 1e-9}
NODES = (2, 3, 4, 5)
SMALL = {"channels": 4, "cells": 3}
THREE = {**SMALL, "operations": ("max_pool_3x3", "skip_connect", "conv_3x1_1x3")}
SPACES = {
    "six operations": Quadruples(**SMALL, affine=False),
    "three operations": Quadruples(**THREE, pool_bn=False),
    "fixed reduction": Quadruples(**THREE, reduction="fixed"),
    "imagenet": Quadruples(**THREE, stem="imagenet"),
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def supernets():
    return {name: build(space) for name, space in SPACES.items()}


def eq_8(r):
    """Returns r1 and r2 of a pair, all of them counted from 1, as the paper defines them."""
    r1 = min(n for n in range(1, r + 1) if sum(range(1, n + 1)) >= r)
    return r1, r - sum(range(1, r1))


def kinds_of(space):
    return ("normal",) if space.reduction == "fixed" else ("normal", "reduction")


def slots_of(space, architecture):
    """Returns what each node adds up, (target, [(source, operation), (source, operation)]), node after node."""
    nodes = []
    for number, target in enumerate(NODES * len(kinds_of(space))):
        first, second, pair = architecture[3 * number : 3 * number + 3]
        r1, r2 = eq_8(pair + 1)
        nodes.append((target, [(first, space.operations[r1 - 1]), (second, space.operations[r2 - 1])]))
    return nodes


def taken_of(space, architecture):
    """Returns (edge of all kinds of cells, operation) of all that runs, each once."""
    return {
        (14 * (number // 4) + EDGES["all"].index((source, target)), operation)
        for number, (target, slots) in enumerate(slots_of(space, architecture))
        for source, operation in slots
    }


# Encoding


def test_a_node_is_two_sources_and_a_pair_of_operations_in_the_order_of_equation_8():
    space = Quadruples()
    assert [choice.name for choice in space.choices] == [
        f"{kind} {node} {part}"
        for kind in ("normal", "reduction")
        for node in NODES
        for part in ("first", "second", "operations")
    ]
    pairs = tuple("+".join(FUNCTIONS[r - 1] for r in eq_8(number)) for number in range(1, 22))
    assert pairs[:3] == ("max_pool_3x3+max_pool_3x3", "avg_pool_3x3+max_pool_3x3", "avg_pool_3x3+avg_pool_3x3")
    for number, node in enumerate(NODES * 2):
        sources = tuple("01234"[:node])
        assert [choice.candidates for choice in space.choices[3 * number : 3 * number + 3]] == [sources, sources, pairs]
    assert len(Quadruples(reduction="fixed").choices) == 12


def test_architectures_are_counted_with_both_inputs_from_one_source_and_the_paper_counts_those_without():
    space = Quadruples()
    with_one, without = 1, 1
    for node in NODES:
        quadruples = itertools.product(range(node), range(node), range(6), range(6))
        functions = {tuple(sorted([(f1, i1), (f2, i2)])) for i1, i2, f1, f2 in quadruples}
        with_one *= len(functions)
        without *= sum(i1 != i2 for (_, i1), (_, i2) in functions)
    assert space.num_architectures == with_one**2
    assert Quadruples(reduction="fixed").num_architectures == with_one
    assert without**2 == (1 * 3 * 6 * 10 * (6**2) ** 4) ** 2 and f"{without**2:.1e}" == "9.1e+16"
    assert space.size == math.prod(n * n * 21 for n in NODES) ** 2


def test_repair_orders_the_inputs_of_equal_operations_alone_and_draws_nothing():
    space = Quadruples()
    for pair in range(21):
        r1, r2 = eq_8(pair + 1)
        given = (*(1, 0, pair), *(2, 1, pair), *(1, 1, pair), *(0, 4, pair)) * 2
        repaired = space.repair(given, rng=None)
        assert repaired == ((*(0, 1, pair), *(1, 2, pair), *given[6:12]) * 2 if r1 == r2 else given)
        assert space.check(repaired) == repaired
        if r1 == r2:
            with pytest.raises(ValueError, match=r"^architecture \(1, 0, .* out of order, expected \(0, 1, "):
                space.check(given)
            with pytest.raises(ValueError, match="^architecture .* out of order"):
                space.check((*repaired[:15], 2, 0, *repaired[17:]))


def test_the_most_probable_candidates_make_an_architecture(rng):
    space = SPACES["three operations"]
    for _ in range(50):
        probabilities = [rng.dirichlet(np.ones(len(choice.candidates))) for choice in space.choices]
        most = tuple(int(p.argmax()) for p in probabilities)
        derived = space.derive(probabilities, "without_none")
        assert space.check(derived) == derived
        assert taken_of(space, derived) == taken_of(space, most)
        assert derived[2::3] == most[2::3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"operations": ["none", "skip_connect"]},
            "space.operations: expected two or more and no none, .*, got none, s",
        ),
        ({"operations": ["skip_connect"]}, "space.operations: expected two or more .*, got skip_connect$"),
        ({"operations": ["skip_connect", "conv"]}, "space.operations: expected names of .*, got 'conv'"),
        ({"operations": ["skip_connect"] * 2}, "space.operations: expected two or more different ones"),
        ({"stem": "mnist"}, "space.stem: expected cifar or imagenet, got 'mnist'"),
        ({"reduction": "none"}, "space.reduction: expected searched or fixed, got 'none'"),
        ({"channels": 1}, "space.channels: expected 2 to 10,000, got 1"),
        ({"cells": 2}, "space.cells: expected 3 to 1,000"),
    ],
)
def test_a_value_that_may_not_be_is_refused_by_its_key(options, message):
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        Quadruples(**options)
    assert "\n" not in str(caught.value)


def test_a_run_file_gives_the_operations_as_a_list():
    space = Quadruples(**check_arguments(Quadruples, {"operations": list(FUNCTIONS[:2]), "cells": 4}, "space"))
    assert space == Quadruples(cells=4, operations=FUNCTIONS[:2]) and hash(space) != hash(Quadruples(cells=4))


# Text and drawing


TWICE = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 0), ('skip_connect', 1), ('skip_connect', 1), "
    "('sep_conv_5x5', 2), ('sep_conv_5x5', 3), ('avg_pool_3x3', 0), ('max_pool_3x3', 4)], normal_concat=range(2, 6), "
    "reduce=None, reduce_concat=range(2, 6))"
)
"""Both inputs of a node from one predecessor, with two operations and with one."""


def test_the_published_cells_are_read_and_mean_what_they_say():
    space = Quadruples()
    architecture = space.parse(genotypes.SETN)
    assert slots_of(space, architecture) == [
        (2, [(1, "sep_conv_5x5"), (0, "skip_connect")]),
        (3, [(0, "sep_conv_5x5"), (1, "sep_conv_3x3")]),
        (4, [(1, "sep_conv_5x5"), (3, "sep_conv_5x5")]),
        (5, [(4, "conv_3x1_1x3"), (1, "max_pool_3x3")]),
        (2, [(1, "sep_conv_5x5"), (0, "sep_conv_3x3")]),
        (3, [(1, "sep_conv_5x5"), (0, "avg_pool_3x3")]),
        (4, [(1, "sep_conv_5x5"), (0, "avg_pool_3x3")]),
        (5, [(1, "skip_connect"), (0, "avg_pool_3x3")]),
    ]
    assert space.describe(architecture).startswith("Genotype(normal=[('sep_conv_5x5', 1), ('skip_connect', 0), (")
    assert space.parse(space.describe(architecture)) == architecture
    gdas = Quadruples(operations=(*FUNCTIONS, "dil_conv_5x5"))
    assert len(taken_of(gdas, gdas.parse(genotypes.GDAS_V1))) == 16
    fixed = Quadruples(reduction="fixed")
    assert len(taken_of(fixed, fixed.parse(genotypes.GDAS_F1))) == 8


def test_a_node_may_take_both_inputs_from_one_predecessor_and_the_order_it_is_told_in_does_not_matter():
    space = Quadruples(reduction="fixed")
    architecture = space.parse(TWICE)
    assert space.describe(architecture) == TWICE
    for one, other in (
        ("('sep_conv_3x3', 0), ('skip_connect', 0)", "('skip_connect', 0), ('sep_conv_3x3', 0)"),
        ("('sep_conv_5x5', 2), ('sep_conv_5x5', 3)", "('sep_conv_5x5', 3), ('sep_conv_5x5', 2)"),
    ):
        assert one in TWICE and space.parse(TWICE.replace(one, other)) == architecture


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "('max_pool_3x3', 4)",
            "('none', 4)",
            r"normal 5: expected one of max_pool_3x3, .* of one of 0 to 4, got \('none', 4\)",
        ),
        ("('avg_pool_3x3', 0)", "('dil_conv_3x3', 0)", "normal 5: expected one of .*, got .'dil_conv_3x3', 0"),
        (
            "('skip_connect', 0)",
            "('skip_connect', 2)",
            "normal 2: expected .* of one of 0 to 1, got .'skip_connect', 2",
        ),
        (
            "('skip_connect', 0)",
            "('skip_connect', -1)",
            "normal 2: expected .* of one of 0 to 1, got .'skip_connect', -1",
        ),
        (", ('max_pool_3x3', 4)", "", "normal: expected 4 nodes with two pairs"),
    ],
)
def test_a_cell_that_is_not_of_the_space_is_refused(old, new, message):
    assert old in TWICE
    with pytest.raises(ValueError, match=f"^{message}"):
        Quadruples(reduction="fixed").parse(TWICE.replace(old, new))
    with pytest.raises(
        ValueError, match="^expected normal of 1 cells, reduce of 1 cells, got normal of 1, reduce of 0"
    ):
        Quadruples().parse(TWICE)


def test_a_drawing_shows_both_inputs_of_every_node_side_by_side_where_they_are_one():
    space = Quadruples(reduction="fixed")
    drawing = space.drawing(space.parse(TWICE))
    assert drawing == {
        "normal": [
            *(("in 1", "2", "sep_conv_3x3"), ("in 1", "2", "skip_connect")),
            *(("in 2", "3", "skip_connect"), ("in 2", "3", "skip_connect")),
            *(("2", "4", "sep_conv_5x5"), ("3", "4", "sep_conv_5x5")),
            *(("in 1", "5", "avg_pool_3x3"), ("4", "5", "max_pool_3x3")),
            *((str(node), "out", "") for node in NODES),
        ]
    }
    edges = drawing["normal"]
    assert list(Quadruples().drawing(Quadruples().parse(genotypes.SETN))) == ["normal", "reduction"]
    layout = lay_out(
        edges,
        [(40.0, 12.0) if o else (0.0, 2.0) for _, _, o in edges],
        dict.fromkeys(sum(([source, target] for source, target, _ in edges), []), 20.0),
        400.0,
    )
    assert len({(label.x, label.y) for label in layout.labels}) == len(edges)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(layout.labels, 2))
    assert layout.routes[0] != layout.routes[1] and layout.routes[2] != layout.routes[3]


# The relaxation


class Node:
    """Gates of a node's choices, and the same as weights of all candidates: 0 for those that are not active."""

    def __init__(self, gates, weights):
        self.gates = gates
        self.active = [gate.active for gate in gates]
        self.weights = weights


def active_only(gates, sizes):
    """Returns a node that is told by its gates."""
    weights = []
    for gate, size in zip(gates, sizes, strict=True):
        of_active = [1.0] * len(gate.active) if gate.weights is None else gate.weights
        given = dict(zip(gate.active, of_active, strict=True))
        weights.append([given.get(k, 0.0) for k in range(size)])
    return Node(gates, weights)


class Written(DartsTextbook):
    """A network whose nodes are Eq. 10 as it stands: a sum over pairs, in it two sums over inputs."""

    idle = False

    def cell(self, before_last, last, index, nodes, reduces, after_halving):
        name = f"cells.{index}"
        first = self.factorized_reduce if after_halving else self.relu_conv_bn
        outputs = [first(before_last, f"{name}.inputs.0"), self.relu_conv_bn(last, f"{name}.inputs.1")]
        if reduces and self.space.reduction == "fixed":
            return self.fixed_reduction(*outputs, name)
        for target, node in zip(NODES, nodes, strict=True):

            def term(operation, source, name=name, target=target):
                stride = 2 if reduces and source < 2 else 1
                edge, operation = EDGES["all"].index((source, target)), self.space.operations[operation - 1]
                return self.operation(operation, outputs[source], f"{name}.edges.{edge}.{operation}", stride)

            (f, g, h), (of_f, of_g, of_h) = node.weights, node.active
            total = 0
            for r in range(1, len(h) + 1):
                for slot, (weights, active) in enumerate(((f, of_f), (g, of_g))):
                    for t in range(target):
                        if r - 1 in of_h and t in active:
                            total = total + h[r - 1] * weights[t] * term(eq_8(r)[slot], t)
                        elif self.idle:
                            total = total + h[r - 1] * weights[t]
            outputs.append(total)
        return torch.cat(outputs[2:], dim=1)


def written(supernet, space, nodes, x, **options):
    """Returns the logits of the written network, and its weights; `nodes` are those of a normal and reduction cell."""
    state = {name: value.detach().clone().requires_grad_() for name, value in supernet.named_parameters()}
    network = Written(
        state | {name: value.clone() for name, value in supernet.named_buffers()},
        space,
        supernet.training,
        space.pool_bn,
    )
    for key, value in options.items():
        setattr(network, key, value)
    reductions = (space.cells // 3, 2 * space.cells // 3)
    return network(x, [nodes[4:8] if cell in reductions else nodes[:4] for cell in range(space.cells)]), state


def by_node(space, gates):
    sizes = [len(choice.candidates) for choice in space.choices]
    return [active_only(gates[i : i + 3], sizes[i : i + 3]) for i in range(0, len(gates), 3)]


def assert_same(supernet, ours, theirs, state, alphas=((), ())):
    """Asserts that logits and gradients of weights and alphas are the same; returns the gradients of the alphas."""
    torch.testing.assert_close(ours, theirs, **EXACT)
    supernet.zero_grad(set_to_none=True)
    for logits in (ours, theirs):
        F.cross_entropy(logits, torch.arange(len(logits)) % 5).backward()
    for name, parameter in supernet.named_parameters():
        a, b = (0 * w if w.grad is None else w.grad for w in (parameter, state[name]))
        torch.testing.assert_close(a, b, **EXACT, msg=lambda text, name=name: f"{name}: {text}")
    gradients = [(a.grad, b.grad) for a, b in zip(*alphas, strict=True)]
    for a, b in gradients:
        torch.testing.assert_close(a, b, **EXACT)
    return [a for a, _ in gradients]


def random_alphas(space, seed=5):
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(choice.candidates) for choice in space.choices]
    return [torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_() for size in sizes]


def input_of(space):
    return images(32 if space.stem == "imagenet" else 8)


@pytest.mark.parametrize("name", SPACES)
def test_a_mixture_is_equation_10_written_out_and_so_are_its_gradients(supernets, name):
    space, supernet = SPACES[name], supernets[name].train()
    ours, theirs, x = random_alphas(space), random_alphas(space), input_of(SPACES[name])
    expected = [Gate(tuple(range(len(alpha))), alpha.exp() / alpha.exp().sum()) for alpha in theirs]
    logits, state = written(supernet, space, by_node(space, expected), x)
    gradients = assert_same(supernet, supernet(x, mixture(ours)), logits, state, (ours, theirs))
    assert min(gradient.abs().max().item() for gradient in gradients) > 1e-8


def test_any_candidates_may_be_active_in_any_order_with_weights_or_without(supernets, rng):
    space, supernet = SPACES["three operations"], supernets["three operations"].eval()
    for _ in range(6):
        gates, copies, leaves = [], [], ([], [])
        for choice in space.choices:
            active = tuple(rng.permutation(len(choice.candidates))[: rng.integers(1, 4)].tolist())
            values = torch.from_numpy(rng.standard_normal(len(active)))
            weights = [values.clone().requires_grad_() for _ in range(2)] if rng.random() < 0.6 else (None, None)
            gates.append(Gate(active, weights[0]))
            copies.append(Gate(active, weights[1]))
            if weights[0] is not None:
                leaves[0].append(weights[0])
                leaves[1].append(weights[1])
        logits, state = written(supernet, space, by_node(space, copies), images())
        assert_same(supernet, supernet(images(), tuple(gates)), logits, state, leaves)


def hard(alphas, taken, idle):
    """Returns straight-through gates of the taken candidates, and all their weights."""
    soft = [torch.softmax(alpha, dim=0) for alpha in alphas]
    gates = [
        Gate((k,), 1 + p[k : k + 1] - p[k : k + 1].detach(), hard=True, idle=idle)
        for p, k in zip(soft, taken, strict=True)
    ]
    every = [F.one_hot(torch.tensor(k), len(p)) + p - p.detach() for p, k in zip(soft, taken, strict=True)]
    return tuple(gates), every


@pytest.mark.parametrize("idle", [False, True])
def test_a_hard_sample_gives_the_logits_of_its_path_and_gradients_to_all_alphas(supernets, rng, idle):
    space, supernet = SPACES["three operations"], supernets["three operations"].train()
    taken = list(sample(space, rng))
    taken[:6] = (1, 1, 5, 0, 0, 4)  # one operation twice of one input, and two
    ours, theirs = random_alphas(space), random_alphas(space)
    gates, _ = hard(ours, taken, idle)
    copies, every = hard(theirs, taken, idle)
    nodes = [Node(copies[i : i + 3], every[i : i + 3]) for i in range(0, len(taken), 3)]
    logits, state = written(supernet, space, nodes, images(), idle=idle)
    out = supernet(images(), gates)
    torch.testing.assert_close(out, supernet(images(), single_path(tuple(taken))), **EXACT)
    gradients = assert_same(supernet, out, logits, state, (ours, theirs))
    assert min(gradient.abs().max().item() for gradient in gradients) > 1e-8


# What runs, and how often


@pytest.mark.parametrize("name", ["six operations", "fixed reduction"])
def test_a_mixture_runs_every_operation_on_every_edge_once(supernets, name):
    space, supernet = SPACES[name], supernets[name].eval()
    with calls(supernet) as called:
        supernet(images(), mixture(random_alphas(space)))
    searched = [0] if space.reduction == "fixed" else [0, 1, 2]
    assert sorted(called) == sorted(itertools.product(searched, range(14), space.operations))


@pytest.mark.parametrize("name", ["six operations", "fixed reduction"])
def test_a_path_runs_what_its_nodes_take_and_that_once_and_the_rest_gets_no_gradient(supernets, rng, name):
    space, supernet = SPACES[name], supernets[name].train()
    for _ in range(3):
        architectures = [sample(space, rng) for _ in range(supernet.num_cells)]
        expected = set()
        for cell, architecture in enumerate(architectures):
            kind = int(cell in (1, 2))
            taken = taken_of(space, architecture)
            expected |= {(cell, edge - 14 * kind, o) for edge, o in taken if edge // 14 == kind}
        supernet.zero_grad(set_to_none=True)
        with calls(supernet) as called:
            supernet(images(), [single_path(architecture) for architecture in architectures]).sum().backward()
        assert len(called) == len(expected) and set(called) == expected
        prefixes = tuple(f"cells.{c}.edges.{e}.{operation}." for c, e, operation in expected)
        trained = [n for n, p in supernet.named_parameters() if ".edges." in n and p.grad is not None]
        assert trained and all(parameter.startswith(prefixes) for parameter in trained)


def test_weights_stand_only_where_an_operation_is_taken_twice():
    space = SPACES["three operations"]
    path = (*(1, 1, 5), *(0, 0, 4), *(1, 3, 0), *(4, 2, 1)) * 2
    gates = space.edge_gates(single_path(path))
    assert len(gates) == 28
    for kind in (0, 14):
        expected = {1: (2,), 2: (1, 2), 6: (0,), 8: (0,), 11: (0,), 13: (1,)}
        assert [gate.active for gate in gates[kind : kind + 14]] == [expected.get(edge, ()) for edge in range(14)]
        assert gates[kind + 1].weights.tolist() == [2.0]
        assert all(gate.weights is None for edge, gate in enumerate(gates) if edge % 14 != 1)


@pytest.mark.parametrize("training", [True, False])
def test_an_operation_taken_twice_of_one_input_is_doubled_in_supernet_and_derived_network(supernets, training):
    space, supernet = SPACES["three operations"], supernets["three operations"].train(training)
    architecture = (*(1, 1, 5), *(0, 0, 4), *(2, 2, 0), *(4, 4, 2)) * 2
    network = space.build_network(architecture, 5).double().train(training)
    network.load_state_dict({k: v for k, v in supernet.state_dict().items() if k in network.state_dict()})
    theirs, state = written(supernet, space, by_node(space, single_path(architecture)), images())
    assert_same(supernet, supernet(images(), single_path(architecture)), theirs, state)
    with calls(network) as called:
        torch.testing.assert_close(network(images()), theirs.detach(), **EXACT)
    assert len(called) == len(set(called)) == 3 * (1 + 2 + 1 + 1)
    assert {name for c in network.cells for name, _ in c.edges[2].named_children()} == {"conv_3x1_1x3", "skip_connect"}
    assert not list(network.cells[0].edges[0].children())


def test_weights_have_the_names_they_have_in_the_space_of_edges_and_compute_the_same():
    space = Quadruples(**SMALL)
    edges = Darts(**SMALL, operations=genotypes.SETN_OPERATIONS)
    supernet, other = build(space).eval(), build(edges).eval()
    shapes = [{name: value.shape for name, value in net.state_dict().items()} for net in (supernet, other)]
    assert shapes[0] == shapes[1]
    other.load_state_dict(supernet.state_dict())
    ours, theirs = (single_path(s.parse(genotypes.SETN)) for s in (space, edges))
    torch.testing.assert_close(supernet(images(), ours), other(images(), theirs), **EXACT)


# Costs


def counted(space, architecture, resolution, num_classes):
    """Returns parameters and multiply-adds of an architecture's own network, a linear layer's bias among the latter."""
    with torch.device("meta"):
        network = space.build_network(architecture, num_classes).eval()
        x = torch.empty(1, 3, resolution, resolution)
    with FlopCounterMode(display=False) as counter:
        network(x)
    return [sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2 + num_classes]


COSTED = {**SPACES, "every operation, odd": Quadruples(channels=5, cells=5, operations=FUNCTIONS[::-1])}


@pytest.mark.parametrize("name", COSTED)
def test_costs_are_those_of_the_built_network_and_what_runs_once_costs_once(name, rng):
    space = COSTED[name]
    architectures = [sample(space, rng) for _ in range(3)]
    pairs = len(space.choices[2].candidates)
    architectures.append(
        (*(0, 0, pairs - 1), *(2, 2, pairs - 2), *(1, 1, 0), *(4, 4, pairs - 1)) * len(kinds_of(space))
    )
    totals = cost_table(space, 18, 7).total(as_array(architectures))
    assert totals.tolist() == [counted(space, architecture, 18, 7) for architecture in architectures]
    assert len(np.unique(totals, axis=0)) > 1


@pytest.mark.parametrize(
    ("sizes", "parameters"),
    [
        (SMALL, None),
        pytest.param({"channels": 36, "cells": 20}, 4.6, marks=pytest.mark.long),  # as the paper prints
    ],
)
def test_published_cells_cost_what_they_cost_in_the_space_of_edges(sizes, parameters):
    spaces = (Quadruples(**sizes), Darts(**sizes, operations=genotypes.SETN_OPERATIONS))
    ours, theirs = (cost_table(s, 32, 10).total(as_array([s.parse(genotypes.SETN)]))[0].tolist() for s in spaces)
    assert ours == theirs
    assert parameters is None or round(ours[0] / 1e6, 1) == parameters


def test_latency_adds_up_what_is_run(monkeypatch, rng):
    monkeypatch.setattr(latency, "median_seconds", lambda runs, device, report: [1.0] * len(runs))
    space = Quadruples(**THREE)
    table = latency.latency_table(space, 8, 5, device=torch.device("cpu"))
    architectures = [sample(space, rng) for _ in range(20)]
    runs = [sum(1 if edge < 14 else 2 for edge, _ in taken_of(space, a)) for a in architectures]  # one and two cells
    assert (table.total(as_array(architectures))[:, 0] - table.fixed[0]).tolist() == runs
    both = cost_table(space, 8, 5).beside(table)
    assert both.total(as_array(architectures))[:, 2].tolist() == table.total(as_array(architectures))[:, 0].tolist()


def test_no_weight_vector_is_stated():
    with pytest.raises(ValueError, match="^Quadruples states no weight vector"):
        weight_vector_of(Quadruples(), "paper")
