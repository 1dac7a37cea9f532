"""Networks of the DARTS space under every kind of gate, against the plain network of `textbook_darts`."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.search_space import sample
from raynas.spaces.darts import Darts
from raynas.spaces.darts_operations import OPERATIONS, PRIMITIVES
from raynas.supernet.choice_block import Zero
from raynas.supernet.gates import Gate, hard_samples, mixture, single_path
from tests.spaces.textbook_darts import EDGES, DartsTextbook, choices_of_cells, one_hot

EXACT = {"rtol": 1e-9, "atol": 1e-9}
SMALL = {"channels": 4, "cells": 3}
SETN = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "conv_3x1_1x3")
SPACES = {
    "rlnas": Darts(**SMALL),
    "darts": Darts(**SMALL, affine=False),
    "pools as they are": Darts(**SMALL, pool_bn=False),
    "untracked": Darts(**SMALL, affine=False, track_running_stats=False),
    "frc": Darts(**SMALL, reduction="fixed"),
    "setn": Darts(**SMALL, operations=SETN),
    "every operation": Darts(**SMALL, operations=tuple(OPERATIONS)),
    "imagenet": Darts(channels=4, cells=3, stem="imagenet"),
    "five cells": Darts(channels=2, cells=5),
    "S1": Darts(**SMALL, edges="fixed", operations=PRIMITIVES[1:]),
    "S2": Darts(channels=2, cells=5, edges="fixed", operations=("skip_connect", "sep_conv_3x3"), share_cells=False),
    "S2, fixed reduction": Darts(channels=4, cells=4, share_cells=False, reduction="fixed"),
}


def build(space):
    """Returns a float64 supernet whose every weight and running statistic is random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = space.build_supernet(5).double()
        for module in supernet.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor, mean in ((module.weight, 1), (module.bias, 0), (module.running_mean, 0)):
                    if tensor is not None:
                        nn.init.normal_(tensor, mean, 0.3)
                if module.running_var is not None:
                    nn.init.uniform_(module.running_var, 0.5, 2.0)
    return supernet


@pytest.fixture(scope="module")
def supernets():
    return {name: build(space) for name, space in SPACES.items()}


def images(size=8, number=4):
    return torch.randn(number, 3, size, size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def size_for(space):
    return 32 if space.stem == "imagenet" else 8


def state_of(supernet):
    """Returns weights as leaves with gradient, and copies of the running statistics, by name."""
    weights = {name: value.detach().clone().requires_grad_() for name, value in supernet.named_parameters()}
    return weights | {name: value.clone() for name, value in supernet.named_buffers()}


def assert_same_logits_and_gradients(supernet, ours, state, theirs):
    torch.testing.assert_close(ours, theirs, **EXACT)
    supernet.zero_grad(set_to_none=True)
    for logits in (ours, theirs):
        F.cross_entropy(logits, torch.arange(len(logits)) % 5).backward()
    for name, parameter in supernet.named_parameters():
        ours, theirs = (0 * w if w.grad is None else w.grad for w in (parameter, state[name]))
        torch.testing.assert_close(ours, theirs, **EXACT, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("name", SPACES)
def test_a_path_gives_logits_and_gradients_of_the_plain_network(supernets, name):
    space, rng = SPACES[name], np.random.default_rng(1)
    for training in (True, False):
        supernet = supernets[name].train(training)
        architecture = sample(space, rng)
        state = state_of(supernet)
        plain = DartsTextbook(state, space, training, space.pool_bn)
        x = images(size_for(space))
        ours, theirs = supernet(x, single_path(architecture)), plain(x, one_hot(space, architecture))
        assert_same_logits_and_gradients(supernet, ours, state, theirs)


@pytest.mark.parametrize("name", ["rlnas", "frc", "S2"])
def test_paths_of_each_cell_give_what_the_plain_network_gives(supernets, name):
    space, supernet = SPACES[name], supernets[name].eval()
    rng = np.random.default_rng(2)
    path = [sample(space, rng) for _ in range(supernet.num_cells)]
    weights = [one_hot(space, architecture)[cell] for cell, architecture in enumerate(path)]
    plain = DartsTextbook(state_of(supernet), space, False, space.pool_bn)
    ours = supernet(images(), [single_path(architecture) for architecture in path])
    torch.testing.assert_close(ours, plain(images(), weights), **EXACT)
    once = supernet(images(), single_path(path[0]))
    assert torch.equal(once, supernet(images(), [single_path(path[0])] * supernet.num_cells))


def random_alphas(space, seed=5):
    generator = torch.Generator().manual_seed(seed)
    shape = len(space.operations)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for _ in space.choices]


@pytest.mark.parametrize("name", ["darts", "every operation", "imagenet", "frc", "S1", "S2"])
def test_a_mixture_is_the_weighted_sum_of_all_operations_and_so_are_its_gradients(supernets, name):
    space, supernet = SPACES[name], supernets[name].train()
    ours, theirs = random_alphas(space), random_alphas(space)
    weights = [alpha.exp() / alpha.exp().sum() for alpha in theirs]
    of_cells = [[weights[position] for position in positions] for positions in choices_of_cells(space)]
    state = state_of(supernet)
    x = images(size_for(space))
    plain = DartsTextbook(state, space, True, space.pool_bn)(x, of_cells)
    assert_same_logits_and_gradients(supernet, supernet(x, mixture(ours)), state, plain)
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad.abs().max() > 1e-7
        torch.testing.assert_close(a.grad, b.grad, **EXACT)


@contextmanager
def calls(supernet):
    """Yields a list that fills with (cell, edge, name) of every candidate called, in order."""
    called, hooks = [], []
    for c, cell in enumerate(supernet.cells):
        for e, block in enumerate(getattr(cell, "edges", ())):
            for name, module in block.named_children():
                hooks.append(module.register_forward_hook(lambda *_, key=(c, e, name): called.append(key)))
    yield called
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("name", ["rlnas", "frc", "S2"])
def test_only_what_the_path_takes_runs_and_each_once_and_the_rest_gets_no_gradient(supernets, name):
    space, supernet = SPACES[name], supernets[name].train()
    rng = np.random.default_rng(3)
    for _ in range(4):
        architecture = sample(space, rng)
        edges = [(c, e, p) for c, positions in enumerate(choices_of_cells(space)) for e, p in enumerate(positions)]
        taken = [(c, e, space.operations[architecture[p]]) for c, e, p in edges]
        taken = [key for key in taken if key[2] != "none"]
        supernet.zero_grad(set_to_none=True)
        with calls(supernet) as called:
            supernet(images(), single_path(architecture)).sum().backward()
        assert sorted(called) == sorted(taken)
        prefixes = tuple(f"cells.{c}.edges.{e}.{operation}." for c, e, operation in taken)
        for parameter_name, parameter in supernet.named_parameters():
            outside = ".edges." not in parameter_name
            assert (parameter.grad is not None) == (outside or parameter_name.startswith(prefixes)), parameter_name


def test_a_hard_sample_gives_what_its_path_gives_and_a_gradient_to_the_alphas(supernets):
    space, supernet = SPACES["frc"], supernets["frc"].eval()
    alphas = random_alphas(space)
    (gates,) = hard_samples(alphas, 1.0, torch.Generator().manual_seed(1))
    logits = supernet(images(), gates)
    torch.testing.assert_close(logits, supernet(images(), single_path(tuple(g.active[0] for g in gates))), **EXACT)
    logits.square().sum().backward()
    assert sum(alpha.grad is not None and bool(alpha.grad.any()) for alpha in alphas) > 5


@pytest.mark.parametrize("size", [8, 9])
def test_a_node_that_receives_nothing_is_zeros_and_nothing_runs_on_it(supernets, size):
    supernet = supernets["rlnas"].train()
    none, sep = PRIMITIVES.index("none"), PRIMITIVES.index("sep_conv_3x3")
    path = single_path(tuple(none if target == 2 else sep for _, target in EDGES["all"]))
    with calls(supernet) as called:
        logits = supernet(images(size), path * 2)
    assert {edge for _, edge, _ in called} == {e for e, ends in enumerate(EDGES["all"]) if 2 not in ends}
    logits.sum().backward()
    assert logits.isfinite().all()
    for cell, stride in zip(list(supernet.cells)[:2], (1, 2), strict=True):
        inputs = [torch.randn(2, layer.conv.in_channels, size, size, dtype=torch.float64) for layer in cell.inputs]
        out = cell(*inputs, path)
        first, *others = out.chunk(4, dim=1)
        assert out.shape[2:] == (-(-size // stride),) * 2
        assert not first.any() and all(node.any() for node in others)
        nothing = cell(*inputs, single_path((none,) * 14))
        assert nothing.shape == out.shape and not nothing.any()


@pytest.mark.parametrize(("name", "size"), [("rlnas", 7), ("rlnas", 10), ("frc", 9), ("imagenet", 37), ("S2", 5)])
def test_odd_sizes_are_rounded_up_by_all_operations_alike(supernets, name, size):
    space, supernet = SPACES[name], supernets[name].train()
    plain = DartsTextbook(state_of(supernet), space, True, space.pool_bn)
    gates = tuple(Gate(tuple(range(len(choice.candidates)))) for choice in space.choices)
    ones = [[[1.0] * len(space.operations) for _ in positions] for positions in choices_of_cells(space)]
    torch.testing.assert_close(supernet(images(size), gates), plain(images(size), ones), **EXACT)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("track", [False, True])
@pytest.mark.parametrize("pool_bn", [False, True])
def test_the_options_decide_on_the_normalisations_inside_cells_and_on_no_other(affine, track, pool_bn):
    space = Darts(channels=4, cells=3, affine=affine, track_running_stats=track, pool_bn=pool_bn)
    expected = (["weight", "bias"] if affine else []) + (
        ["running_mean", "running_var", "num_batches_tracked"] if track else []
    )
    normalisations = {n: m for n, m in space.build_supernet(5).named_modules() if isinstance(m, nn.BatchNorm2d)}
    per_edge = 2 * 2 + 2 * 1 + 2 * pool_bn  # two in each of the separable, one in each of the dilated convolutions
    factorized = 2 * 8  # skip connections of stride 2 in two reduction cells
    assert sum(name.startswith("cells") for name in normalisations) == 3 * (14 * per_edge + 2) + factorized
    for name, module in normalisations.items():
        assert list(module.state_dict()) == (
            expected if name.startswith("cells") else list(nn.BatchNorm2d(1).state_dict())
        )


@pytest.mark.parametrize("name", ["darts", "frc", "S2"])
def test_a_derived_network_is_the_plain_network_with_nothing_behind_its_pools(name):
    space = SPACES[name]
    rng = np.random.default_rng(4)
    for _ in range(3):
        architecture = sample(space, rng)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = space.build_network(architecture, 5).double()
        plain = DartsTextbook(state_of(network), space, True, pool_bn=False)
        torch.testing.assert_close(network(images()), plain(images(), one_hot(space, architecture)), **EXACT)
        assert all(m.affine and m.track_running_stats for m in network.modules() if isinstance(m, nn.BatchNorm2d))
        for cell, positions in enumerate(choices_of_cells(space)):
            for edge, position in enumerate(positions):
                (held,) = network.cells[cell].edges[edge].named_children()
                assert held[0] == space.operations[architecture[position]]
                assert isinstance(held[1], Zero) == (held[0] == "none")


def test_names_of_weights_are_those_of_checkpoints_already_written():
    names = set(SPACES["rlnas"].build_supernet(5).state_dict())
    for name in (
        *(
            "stem0.conv.weight",
            "stem0.bn.running_var",
            "classifier.bias",
            "cells.1.edges.13.dil_conv_5x5.second.weight",
        ),
        *("cells.0.inputs.0.conv.weight", "cells.2.inputs.0.conv_2.weight", "cells.2.inputs.1.bn.bias"),
        *("cells.0.edges.0.sep_conv_3x3.0.first.weight", "cells.0.edges.0.sep_conv_5x5.1.bn.bias"),
        *("cells.1.edges.0.skip_connect.conv_1.weight", "cells.0.edges.4.max_pool_3x3.1.weight"),
    ):
        assert name in names


@pytest.mark.parametrize("number", [1, 2, 4])
def test_routes_for_another_number_of_cells_are_refused(supernets, number):
    space = SPACES["rlnas"]
    path = single_path(sample(space, np.random.default_rng(0)))
    with pytest.raises(ValueError, match=rf"routes? .*of 3 \(one per cell\), got {number} routes"):
        supernets["rlnas"](images(), [path] * number)
