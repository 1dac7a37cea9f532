"""The auxiliary tower of derived networks, with and without its second normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from raynas.network_capabilities import network_with_auxiliary_of
from raynas.search_space import sample
from raynas.spaces.darts import Darts
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.quadruples import Quadruples
from tests.spaces.test_auxiliary import EXACT, images, normalise

SMALL = {"channels": 4, "cells": 3}
SPACES = {
    "darts": Darts(**SMALL),
    "frc": Darts(**SMALL, reduction="fixed"),
    "imagenet": Darts(**SMALL, stem="imagenet"),
    "quadruples": Quadruples(**SMALL),
}


def architecture_of(space):
    return sample(space, np.random.default_rng(3))


def build(space, **tower):
    torch.manual_seed(0)
    if tower:
        return space.build_network_with_auxiliary(architecture_of(space), 5, **tower).double()
    return space.build_network(architecture_of(space), 5).double()


def written_out(maps, state, second_norm):
    """Returns the tower's logits of maps of 8x8 (stride 3) or 7x7 (stride 2), averaged over windows of 5x5."""
    x, stride = maps.clamp(min=0), {8: 3, 7: 2}[maps.shape[-1]]
    x = x.unfold(2, 5, stride).unfold(3, 5, stride).mean(dim=(4, 5))
    x = torch.einsum("bchw,oc->bohw", x, state["auxiliary.first.conv.weight"][:, :, 0, 0])
    x = normalise(x, state, "auxiliary.first.bn").clamp(min=0)
    x = torch.einsum("bchw,ochw->bo", x, state["auxiliary.second.0.weight"])[:, :, None, None]
    if second_norm:
        x = normalise(x, state, "auxiliary.second.1")
    return x.clamp(min=0)[:, :, 0, 0] @ state["auxiliary.classifier.weight"].T + state["auxiliary.classifier.bias"]


@pytest.mark.parametrize("second_norm", [True, False])
@pytest.mark.parametrize(("name", "size"), [("darts", 32), ("frc", 28), ("quadruples", 32), ("imagenet", 224)])
def test_the_tower_is_what_its_layers_say_on_maps_of_cifar_and_of_imagenet(name, size, second_norm):
    network = build(SPACES[name], second_norm=second_norm).train()
    seen = []
    network.cells[2].register_forward_hook(lambda module, inputs, output: seen.append(output))
    logits, auxiliary = network(images(size, 2))
    (maps,) = seen
    assert maps.shape[1:] == (64, *[8 if size == 32 else 7] * 2)
    assert logits.shape == auxiliary.shape == (2, 5)
    expected = written_out(maps, dict(network.named_parameters()), second_norm)
    torch.testing.assert_close(auxiliary, expected, **EXACT)
    assert expected.std() > 1e-4


@pytest.mark.parametrize("name", SPACES)
def test_the_rest_of_the_network_is_the_network_without_a_tower(name):
    space = SPACES[name]
    with_tower, without = build(space, second_norm=False), build(space)
    kept = {key: value for key, value in with_tower.state_dict().items() if not key.startswith("auxiliary.")}
    assert list(kept) == list(without.state_dict())
    assert all(torch.equal(value, kept[key]) for key, value in without.state_dict().items())
    x = images(64 if name == "imagenet" else 16)
    logits, _ = with_tower.train()(x)
    assert torch.equal(logits, without.train()(x))
    assert torch.equal(with_tower.eval()(x), without.eval()(x))


def test_the_second_normalisation_is_all_that_the_towers_differ_in():
    sizes = {norm: sum(p.numel() for p in build(SPACES["darts"], second_norm=norm).parameters()) for norm in (0, 1)}
    assert sizes[1] - sizes[0] == 2 * 768


def test_a_space_without_a_tower_is_refused_by_the_key_that_asks_for_one():
    space = MobileNet()
    with pytest.raises(ValueError, match=r"^retrain\.auxiliary: networks of MobileNet have no auxiliary tower; set"):
        network_with_auxiliary_of(space, (0,) * 21, 10, True)
