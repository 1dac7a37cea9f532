"""Partial channels against a loop over channels in plain torch, as the paper of PC-DARTS states them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from raynas.errors import InputError
from raynas.networks.inherited import inherited_network
from raynas.spaces.darts import Darts
from raynas.spaces.partial_channels import PartialChoiceBlock
from raynas.supernet.choice_block import Zero
from raynas.supernet.gates import Gate, mixture, single_path

SMALL = {"channels": 8, "cells": 3, "operations": ("none", "max_pool_3x3", "skip_connect", "dil_conv_3x3")}
SPACE = Darts(**SMALL, partial_channels=4)


def some_architecture(seed):
    rng = np.random.default_rng(seed)
    return SPACE.derive([rng.dirichlet(np.ones(4)) for _ in SPACE.choices], "without_none")


@pytest.mark.parametrize(("stride", "size"), [(1, 6), (2, 6), (2, 7)])
@pytest.mark.parametrize("groups", [2, 4])
def test_candidates_see_the_first_channels_the_others_pass_and_all_are_shuffled(stride, size, groups):
    torch.manual_seed(0)
    channels, number = 8, 8 // groups
    convolution = torch.nn.Conv2d(number, number, 3, stride, padding=1).double()
    candidates = {"none": Zero(), "pool": torch.nn.MaxPool2d(3, stride, padding=1), "conv": convolution}
    block = PartialChoiceBlock(candidates, groups, stride)
    x = torch.randn(2, channels, size, size, dtype=torch.float64, requires_grad=True)
    alpha = torch.randn(3, dtype=torch.float64, requires_grad=True)
    out = block(x, Gate((0, 1, 2), torch.softmax(alpha, 0)))

    weights = alpha.exp() / alpha.exp().sum()
    first = x[:, :number]
    parts = list((weights[1] * F.max_pool2d(first, 3, stride, 1) + weights[2] * convolution(first)).unbind(1))
    for channel in range(number, channels):
        kept = x[:, channel]
        if stride == 2:  # each window of 2 x 2 pixels, the last ones cut off by the border
            rows = []
            for row in range(0, size, 2):
                pixels = [kept[:, row : row + 2, at : at + 2].amax(dim=(1, 2)) for at in range(0, size, 2)]
                rows.append(torch.stack(pixels, dim=1))
            kept = torch.stack(rows, dim=1)
        parts.append(kept)
    order = [group * number + channel for channel in range(number) for group in range(groups)]
    plain = torch.stack([parts[channel] for channel in order], dim=1)
    torch.testing.assert_close(out, plain, rtol=0, atol=1e-12)

    direction = torch.randn_like(plain)
    gradients = [torch.autograd.grad((y * direction).sum(), (x, alpha)) for y in (out, plain)]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


def test_a_supernet_holds_a_square_of_the_share_of_the_weights_and_derived_networks_have_all_channels():
    partial, whole = SPACE.build_supernet(3).state_dict(), Darts(**SMALL).build_supernet(3).state_dict()
    assert partial.keys() == whole.keys()
    name = next(key for key in whole if key.endswith("dil_conv_3x3.second.weight"))
    assert whole[name].numel() == 4**2 * partial[name].numel()
    architecture = some_architecture(0)
    derived, of_whole = (space.build_network(architecture, 3).state_dict() for space in (SPACE, Darts(**SMALL)))
    assert {key: value.shape for key, value in derived.items()} == {k: v.shape for k, v in of_whole.items()}


def test_a_network_with_the_supernets_weights_computes_what_the_supernet_does():
    torch.manual_seed(1)
    supernet = SPACE.build_supernet(3).eval()
    architecture = some_architecture(1)
    network = inherited_network(SPACE, architecture, 3, supernet.state_dict())
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(network(images), supernet(images, single_path(architecture)), rtol=1e-5, atol=1e-6)


def test_a_mixture_reaches_every_weight():
    supernet = SPACE.build_supernet(3).train()
    gates = mixture([torch.zeros(len(choice.candidates)) for choice in SPACE.choices])
    supernet(torch.randn(2, 3, 16, 16), gates).sum().backward()
    assert all(weight.grad is not None for weight in supernet.parameters())


@pytest.mark.parametrize("partial", [0, 3, 16])
def test_groups_divide_the_channels(partial):
    with pytest.raises(
        InputError, match=f"^space.partial_channels: expected a divisor of space.channels, 8, got {partial}"
    ):
        Darts(**SMALL, partial_channels=partial)


def test_no_pairs_of_partial_channels_and_wider_networks_keep_a_multiple():
    with pytest.raises(InputError, match="partial_channels: 1; take without_none"):
        SPACE.derived_space("pairs")
    assert SPACE.widened(1.0) == SPACE
    assert [SPACE.widened(factor).channels for factor in (0.01, 1.3, 2.0)] == [4, 12, 16]
