"""The auxiliary tower of a supernet of the DARTS space: what it computes, and what knows nothing of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from raynas.config.explain import check_arguments
from raynas.data import FixedImages
from raynas.search_space import sample
from raynas.spaces.darts import Darts
from raynas.spaces.darts_networks import DartsNetwork
from raynas.supernet.costs import cost_table
from raynas.supernet.gates import mixture, single_path
from tests.fitness.one_shot import one_shot

EXACT = {"rtol": 1e-9, "atol": 1e-9}
SMALL = {"channels": 4, "cells": 3, "operations": ("none", "max_pool_3x3", "skip_connect", "dil_conv_3x3")}
SPACES = {
    "rlnas": Darts(**SMALL, auxiliary=True),
    "darts": Darts(**SMALL, affine=False, track_running_stats=False, auxiliary=True),
    "frc": Darts(**SMALL, reduction="fixed", auxiliary=True),
    "imagenet": Darts(**SMALL, stem="imagenet", auxiliary=True),
    "S2": Darts(
        channels=2,
        cells=5,
        edges="fixed",
        operations=("skip_connect", "sep_conv_3x3"),
        share_cells=False,
        auxiliary=True,
    ),
}


def build(space, number=5):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return space.build_supernet(number).double()


def images(size=8, number=4):
    return torch.randn(number, 3, size, size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def size_for(space):
    return 40 if space.stem == "imagenet" else 8


def path_of(space, seed=0):
    return single_path(sample(space, np.random.default_rng(seed)))


def normalise(x, state, name):
    """Returns what batch normalisation makes of a batch in training mode."""
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), unbiased=False, keepdim=True)
    weight, bias = (state[f"{name}.{kind}"][:, None, None] for kind in ("weight", "bias"))
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def plain_tower(x, state, windows):
    """Returns the tower's logits; the windows are those of the average, along either side."""
    x = x.clamp(min=0)
    rows = [[x[:, :, a:b, c:d].mean(dim=(2, 3)) for c, d in windows] for a, b in windows]
    x = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    x = torch.einsum("bchw,oc->bohw", x, state["auxiliary.first.conv.weight"][:, :, 0, 0])
    x = normalise(x, state, "auxiliary.first.bn").clamp(min=0)
    x = torch.einsum("bchw,ochw->bo", x, state["auxiliary.second.0.weight"])[:, :, None, None]
    x = normalise(x, state, "auxiliary.second.1").clamp(min=0)[:, :, 0, 0]
    return x @ state["auxiliary.classifier.weight"].T + state["auxiliary.classifier.bias"]


@pytest.mark.parametrize(
    ("size", "windows"),
    [
        (32, [(0, 5), (3, 8)]),  # maps of 8x8
        (28, [(0, 5), (2, 7)]),  # 7x7
        (16, [(0, 2), (2, 4)]),
        (40, [(0, 5), (5, 10)]),
        (20, [(0, 3), (2, 5)]),
        (4, [(0, 1), (0, 1)]),
    ],
)
@pytest.mark.parametrize("name", ["rlnas", "frc", "S2"])
def test_the_tower_sees_the_second_reduction_cell_and_is_what_the_code_of_darts_has(name, size, windows):
    space = SPACES[name]
    supernet = build(space).train()
    for parameter in supernet.auxiliary.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    seen = []
    supernet.cells[2 * space.cells // 3].register_forward_hook(lambda module, inputs, output: seen.append(output))
    logits, auxiliary = supernet(images(size), path_of(space))
    (maps,) = seen
    assert maps.shape[1] == 4 * 4 * space.channels
    assert logits.shape == auxiliary.shape == (4, 5)
    expected = plain_tower(maps, dict(supernet.named_parameters()), windows)
    torch.testing.assert_close(auxiliary, expected, **EXACT)
    assert expected.std() > 0.01


def test_the_tower_has_as_many_parameters_as_counted_by_hand():
    counts = {}
    for auxiliary in (False, True):
        space = Darts(channels=36, cells=3, operations=("none", "skip_connect"), auxiliary=auxiliary)
        with torch.device("meta"):
            counts[auxiliary] = sum(parameter.numel() for parameter in space.build_supernet(10).parameters())
    first = 576 * 128 + 2 * 128  # 4 * 4 * 36 channels
    second = 128 * 768 * 2 * 2 + 2 * 768
    assert counts[True] - counts[False] == first + second + 768 * 10 + 10 == 476_426


@pytest.mark.parametrize("name", SPACES)
def test_the_rest_of_the_supernet_has_the_weights_and_gives_the_logits_of_one_without_a_tower(name):
    space = SPACES[name]
    with_tower, without = build(space), build(replace(space, auxiliary=False))
    state = with_tower.state_dict()
    kept = {key: value for key, value in state.items() if not key.startswith("auxiliary.")}
    assert len(kept) == len(state) - 14
    assert list(kept) == list(without.state_dict())
    assert all(torch.equal(value, kept[key]) for key, value in without.state_dict().items())
    x = images(size_for(space))
    mixed = mixture([torch.zeros(len(choice.candidates), dtype=torch.float64) for choice in space.choices])
    for route in (path_of(space), mixed, [path_of(space, seed) for seed in range(space.cells)]):
        logits, auxiliary = with_tower.train()(x, route)
        assert torch.equal(logits, without.train()(x, route))
        assert auxiliary.shape == logits.shape and not torch.equal(auxiliary, logits)
        assert torch.equal(with_tower.eval()(x, route), without.eval()(x, route))


@pytest.mark.parametrize("name", ["rlnas", "imagenet"])
def test_a_checkpoint_takes_the_tower_along(name):
    space = SPACES[name]
    one, other = build(space), space.build_supernet(5).double()
    other.load_state_dict(one.state_dict())
    x = images(size_for(space))
    for ours, theirs in zip(one.train()(x, path_of(space)), other.train()(x, path_of(space)), strict=True):
        assert torch.equal(ours, theirs)


def test_the_loss_of_the_tower_reaches_the_cells_before_it_and_nothing_behind():
    space = SPACES["S2"]
    supernet = build(space).train()
    _, auxiliary = supernet(images(), path_of(space))
    F.cross_entropy(auxiliary, torch.arange(4)).backward()
    moved = {
        name.split(".edges")[0].split(".inputs")[0] for name, p in supernet.named_parameters() if p.grad is not None
    }
    assert {name for name in moved if name.startswith("cells")} == {f"cells.{cell}" for cell in range(4)}
    assert not any(name.startswith("classifier") for name in moved)
    assert any(name.startswith("auxiliary") for name in moved) and any(name.startswith("stem0") for name in moved)


def test_the_tower_changes_nothing_that_the_cells_after_it_see():
    space = Darts(channels=2, cells=5, auxiliary=True)
    supernet = build(space).train()
    kept = []
    supernet.cells[3].register_forward_hook(lambda module, inputs, output: kept.extend((output, output.clone())))
    supernet(images(), path_of(space))
    ours, before = kept
    assert (before < 0).any() and torch.equal(ours, before)


def test_one_shot_accuracy_is_that_of_a_supernet_without_a_tower():
    space = SPACES["rlnas"]
    rng = np.random.default_rng(0)

    def fixed(number):
        pixels = rng.integers(0, 256, (number, 8, 8, 3), dtype=np.uint8)
        return FixedImages(pixels, rng.integers(0, 5, number), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))

    sets = fixed(16), fixed(24)
    architectures = [sample(space, rng) for _ in range(3)]
    rows = [
        one_shot(build(one).float(), *sets, batch_size=8)(architectures)
        for one in (space, replace(space, auxiliary=False))
    ]
    np.testing.assert_array_equal(*rows)


@pytest.mark.parametrize("name", SPACES)
def test_neither_angles_nor_costs_nor_derived_networks_know_of_the_tower(name):
    space = SPACES[name]
    without = replace(space, auxiliary=False)
    for definition in ("paper", "official"):
        vector = space.weight_vector(definition)
        assert vector == without.weight_vector(definition)
        names = {key for term in (vector.always, *sum(vector.candidates, ())) for key in term.parameters}
        assert names <= set(space.build_supernet(2).state_dict())
    ours, theirs = (cost_table(one, size_for(space), 5) for one in (space, without))
    np.testing.assert_array_equal(ours.terms, theirs.terms)
    np.testing.assert_array_equal(ours.fixed, theirs.fixed)
    architecture = sample(space, np.random.default_rng(0))
    for network in (space.build_union(5), space.build_network(architecture, 5)):
        assert not [key for key in network.state_dict() if key.startswith("auxiliary")]
    assert isinstance(space.build_network(architecture, 5).train()(images(size_for(space)).float()), torch.Tensor)


def test_a_derived_network_takes_over_its_part_of_the_weights():
    space = SPACES["rlnas"]
    architecture = sample(space, np.random.default_rng(0))
    network, state = space.build_network(architecture, 5).double(), build(space).state_dict()
    network.load_state_dict({key: state[key] for key in network.state_dict()})


def test_there_is_no_tower_by_default_and_its_key_is_checked():
    assert build(Darts(**SMALL)).auxiliary is None
    assert isinstance(build(Darts(**SMALL)).train()(images(), path_of(Darts(**SMALL))), torch.Tensor)
    space = Darts(**SMALL)
    every = (space.operations,) * len(space.choices)
    assert not [key for key in DartsNetwork(space.skeleton, every, 5).state_dict() if key.startswith("auxiliary")]
    with pytest.raises(ValueError, match=r"^space\.auxiliary: expected a valid boolean, got 'maybe'$"):
        check_arguments(Darts, {"auxiliary": "maybe"}, "space")
