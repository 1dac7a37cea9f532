"""Kernels drawn anew: of which distribution, and what is left as it is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from raynas.spaces.nasbench201 import NasBench201
from raynas.training.initial_weights import draw_kernels


@pytest.mark.parametrize(
    ("distribution", "kurtosis", "largest"), [("normal", 3.0, math.inf), ("uniform", 1.8, math.sqrt(3))]
)
def test_kernels_have_variance_two_over_inputs_and_the_shape_of_their_distribution(distribution, kurtosis, largest):
    torch.manual_seed(0)
    for layer, inputs in ((nn.Conv2d(64, 128, 3, groups=4), 16 * 9), (nn.Linear(500, 200), 500)):
        draw_kernels(nn.Sequential(layer), distribution)
        standard = layer.weight.detach().double() / math.sqrt(2 / inputs)
        assert standard.mean().item() == pytest.approx(0, abs=0.02)
        assert standard.var().item() == pytest.approx(1, rel=0.02)
        assert (standard**4).mean().item() == pytest.approx(kurtosis, rel=0.05)
        assert standard.abs().max().item() <= largest + 1e-6


def test_a_supernets_convolutions_and_head_are_drawn_and_nothing_else():
    supernet = NasBench201(4, 1).build_supernet(10)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    draw_kernels(supernet, "normal")
    changed = {name for name, value in supernet.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name, value in before.items() if value.ndim >= 2}
    assert {"stem.conv.weight", "classifier.weight", "cells.0.edges.0.nor_conv_3x3.conv.weight"} <= changed


@pytest.mark.parametrize(("distribution", "kurtosis"), [("normal_fan_out", 3.0), ("uniform_fan_out", 1.8)])
def test_by_the_outputs_convolutions_have_variance_two_over_outputs(distribution, kurtosis):
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 128, 3)
    draw_kernels(nn.Sequential(layer), distribution)
    standard = layer.weight.detach().double() / math.sqrt(2 / (128 * 9))
    assert standard.var().item() == pytest.approx(1, rel=0.02)
    assert (standard**4).mean().item() == pytest.approx(kurtosis, rel=0.05)


def test_by_the_outputs_the_first_classifier_is_small_and_has_no_bias():
    torch.manual_seed(0)
    layer = nn.Linear(500, 200)
    draw_kernels(nn.Sequential(layer), "normal_fan_out")
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not layer.bias.any()
