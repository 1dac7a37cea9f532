"""Kernels drawn anew: of which distribution, and what is left as it is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from raynas.config.reading import load_config
from raynas.spaces.darts import Darts
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.spaces.operations import MBConv
from raynas.training.initial_weights import draw_kernels
from tests.stages.runs import ROOT


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


def squared_norms(block: MBConv) -> list[float]:
    layers = (block.expand, block.depthwise, block.project)
    return [layer.conv.weight.detach().double().square().sum().item() for layer in layers]


@pytest.mark.parametrize("algorithm", ["rlnas", "spos"])
def test_the_mobilenet_jobs_have_first_kernels_of_the_squared_norms_of_the_code_of_rlnas(algorithm):
    """Block 10, k3_e6, of that code: 225 expanding, 1.9 depthwise, 1349 projecting."""
    train = load_config(ROOT / f"jobs/{algorithm}_mobilenet_imagenet.yaml").train
    torch.manual_seed(0)
    before, after, stride = MobileNet().shapes[10]
    block = MBConv(before, after, 3, 6, stride)
    draw_kernels(block, train.initialisation, train.linear_initialisation)
    hidden = 6 * 112
    assert (before, after) == (112, 112)
    # Weights times 2 / (k k out), the variance that the code gives all convolutions.
    expected = [112 * hidden * 2 / hidden, 9 * hidden * 2 / (9 * hidden), hidden * 112 * 2 / 112]
    assert expected == [224, 2, 1344]
    assert squared_norms(block) == pytest.approx(expected, rel=0.06)
    assert squared_norms(block) == pytest.approx([225, 1.9, 1349], rel=0.06)


@pytest.mark.parametrize("algorithm", ["rlnas", "spos"])
def test_the_mobilenet_jobs_have_first_weights_of_the_code_of_rlnas_in_every_kind_of_layer(algorithm):
    """That code: variance 2 / (k k out) of every kernel, deviation 0.01 of the classifier, no bias."""
    train = load_config(ROOT / f"jobs/{algorithm}_mobilenet_imagenet.yaml").train
    torch.manual_seed(0)
    supernet = MobileNet(width=0.25).build_supernet(200)
    draw_kernels(supernet, train.initialisation, train.linear_initialisation)
    shares: dict[str, list[torch.Tensor]] = {}
    for name, module in supernet.named_modules():
        if isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            kind = next((kind for kind in ("expand", "depthwise", "project") if kind in name), "outside the blocks")
            scaled = module.weight.detach().double().flatten() / math.sqrt(2 / (height * width * module.out_channels))
            shares.setdefault(kind, []).append(scaled)
    assert set(shares) == {"expand", "depthwise", "project", "outside the blocks"}
    for kind, of_kind in shares.items():
        standard = torch.cat(of_kind)
        assert len(standard) > 5_000, kind
        assert standard.square().mean().item() == pytest.approx(1, rel=0.03), kind
        assert (standard**4).mean().item() == pytest.approx(3, rel=0.1), kind
    (classifier,) = (module for module in supernet.modules() if isinstance(module, nn.Linear))
    assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not classifier.bias.any()


@pytest.mark.parametrize("algorithm", ["rlnas", "spos"])
def test_the_darts_jobs_on_imagenet_have_first_kernels_by_their_inputs_in_every_cell_as_the_code_of_rlnas(algorithm):
    """That code samples the 11 inserted cells by their outputs, and then every kernel anew by its inputs."""
    train = load_config(ROOT / f"jobs/{algorithm}_darts_imagenet.yaml").train
    torch.manual_seed(0)
    supernet = Darts(channels=8, cells=14, stem="imagenet").build_supernet(100)
    draw_kernels(supernet, train.initialisation, train.linear_initialisation)
    norms: dict[str, list[float]] = {"dense": [], "depthwise": []}
    for module in supernet.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        weight = module.weight.detach().double()
        inputs = weight[0].numel()
        assert weight.abs().max() <= math.sqrt(6 / inputs)  # kaiming_uniform_ with a = 0
        kind = "dense" if module.groups == 1 else "depthwise"
        norms[kind].append(weight.square().sum().item() / weight.numel() * inputs / 2)
    assert len(norms["dense"]) > 500 and len(norms["depthwise"]) > 500
    for of_kind in norms.values():
        assert sum(of_kind) / len(of_kind) == pytest.approx(1, rel=0.02)
    assert supernet.classifier.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not supernet.classifier.bias.any()


def test_linear_layers_alone_are_drawn_small_and_convolutions_keep_what_they_have():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(400, 100))
    kernel = network[0].weight.clone()
    draw_kernels(network, None, "small")
    assert torch.equal(network[0].weight, kernel)
    assert network[1].weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not network[1].bias.any()
