"""Parameters and multiply-adds of published cells: as counted over their authors' networks, and as papers print."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from raynas.search_space import as_array, sample
from raynas.spaces.darts import Darts
from raynas.spaces.darts_operations import OPERATIONS
from raynas.supernet.costs import cost_table
from tests.spaces import genotypes

IMAGENET = {"stem": "imagenet", "cells": 14}


@dataclass(frozen=True)
class Published:
    """A cell, the network that was made of it, and its millions of parameters and of multiply-adds."""

    text: str
    space: Darts
    num_parameters: float
    multiply_adds: float | None

    @property
    def resolution(self):
        return 224 if self.space.stem == "imagenet" else 32

    @property
    def num_classes(self):
        return 1000 if self.space.stem == "imagenet" else 10

    @property
    def architecture(self):
        return self.space.parse(self.text)


CIFAR_36 = Darts(channels=36, cells=20)
FRC = {"reduction": "fixed"}
COUNTED = {
    "DARTS_V2, CIFAR": Published(genotypes.DARTS_V2, CIFAR_36, 3.349, 528.4),
    "DARTS_V2, ImageNet": Published(genotypes.DARTS_V2, Darts(channels=48, **IMAGENET), 4.719, 529.9),
    "RLNAS, ImageNet": Published(genotypes.RLNAS_CIFAR, Darts(channels=48, **IMAGENET), 5.675, 628.4),
    "RLNAS, ImageNet, C=46": Published(genotypes.RLNAS_CIFAR, Darts(channels=46, **IMAGENET), 5.258, 579.8),
    "GDAS_V1, CIFAR": Published(genotypes.GDAS_V1, CIFAR_36, 3.369, 519.4),
    "GDAS_V1, ImageNet": Published(genotypes.GDAS_V1, Darts(channels=50, **IMAGENET), 5.345, 581.0),
    "GDAS_F1, CIFAR": Published(genotypes.GDAS_F1, Darts(channels=36, cells=20, **FRC), 2.543, 402.8),
    "GDAS_F1, ImageNet": Published(genotypes.GDAS_F1, Darts(channels=52, **IMAGENET, **FRC), 4.430, 496.7),
}


def setn(channels, repeats):
    cells = 3 * repeats + 2
    return Darts(channels=channels, cells=cells, stem="imagenet", operations=genotypes.SETN_OPERATIONS)


PRINTED = {
    "PC-DARTS, CIFAR": Published(genotypes.PC_DARTS_CIFAR, CIFAR_36, 3.6, None),
    "PC-DARTS, ImageNet": Published(genotypes.PC_DARTS_CIFAR, Darts(channels=48, **IMAGENET), 5.3, None),
    "RLNAS, searched on ImageNet": Published(genotypes.RLNAS_IMAGENET, Darts(channels=48, **IMAGENET), 6.6, 724),
    "the same, C=42": Published(genotypes.RLNAS_IMAGENET, Darts(channels=42, **IMAGENET), 5.2, 561),
    "RLNAS, 600 M": Published(genotypes.RLNAS_IMAGENET_600M, Darts(channels=48, **IMAGENET), 5.5, 597),
    "SETN, CIFAR": Published(
        genotypes.SETN, Darts(channels=36, cells=20, operations=genotypes.SETN_OPERATIONS), 4.6, None
    ),
    "SETN, N=1": Published(genotypes.SETN, setn(73, 1), 5.2, 597),
    "SETN, N=2": Published(genotypes.SETN, setn(58, 2), 5.3, 600),
    "SETN, N=3": Published(genotypes.SETN, setn(49, 3), 5.3, 584),
    "SETN, N=4": Published(genotypes.SETN, setn(44, 4), 5.4, 599),
}


def counts(space, architecture, resolution, num_classes):
    """Returns the parameters of a built network, and multiply-adds from the sizes of its layers' outputs."""
    with torch.device("meta"):
        network = space.build_network(architecture, num_classes).train()
        images = torch.empty(2, 3, resolution, resolution)
    spent = []

    def note(layer, _, output):
        if isinstance(layer, nn.Conv2d):
            height, width = output.shape[2:]
            in_one_group = layer.in_channels // layer.groups
            spent.append(
                height * width * layer.out_channels * in_one_group * layer.kernel_size[0] * layer.kernel_size[1]
            )
        elif isinstance(layer, nn.Linear):
            spent.append((layer.in_features + 1) * layer.out_features)

    for layer in network.modules():
        layer.register_forward_hook(note)
    network(images)
    return sum(parameter.numel() for parameter in network.parameters()), sum(spent)


@pytest.mark.parametrize("name", COUNTED)
def test_published_cells_have_the_parameters_and_multiply_adds_of_their_authors_networks(name):
    cell = COUNTED[name]
    num_parameters, multiply_adds = counts(cell.space, cell.architecture, cell.resolution, cell.num_classes)
    assert round(num_parameters / 1e6, 3) == cell.num_parameters
    assert round(multiply_adds / 1e6, 1) == cell.multiply_adds


@pytest.mark.slow
@pytest.mark.parametrize("name", PRINTED)
def test_published_cells_are_as_large_as_their_papers_print(name):
    cell = PRINTED[name]
    num_parameters, multiply_adds = counts(cell.space, cell.architecture, cell.resolution, cell.num_classes)
    assert round(num_parameters / 1e6, 1) == cell.num_parameters
    if cell.multiply_adds is not None:  # papers count by rules of their own, a little higher
        assert cell.multiply_adds * 0.997 < multiply_adds / 1e6 < cell.multiply_adds + 0.5


full_cost_table = functools.cache(cost_table)


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTED)
def test_the_cost_table_has_the_counts_of_published_cells_exactly(name):
    cell = (COUNTED | PRINTED)[name]
    table = full_cost_table(cell.space, cell.resolution, cell.num_classes)
    expected = counts(cell.space, cell.architecture, cell.resolution, cell.num_classes)
    assert table.total(as_array([cell.architecture]))[0].tolist() == list(expected)


FEW = {"channels": 4, "cells": 3, "operations": ("none", "max_pool_3x3", "skip_connect", "dil_conv_5x5")}
SKIP_OR_SEP = {"channels": 4, "cells": 4, "edges": "fixed", "operations": ("skip_connect", "sep_conv_3x3")}
CONSTRUCTIONS = {
    "every operation, odd": Darts(channels=5, cells=3, operations=tuple(OPERATIONS)),
    "not affine": Darts(**FEW, affine=False, track_running_stats=False),
    "imagenet": Darts(**FEW, stem="imagenet"),
    "frc": Darts(**FEW, reduction="fixed"),
    "S1": Darts(**SKIP_OR_SEP),
    "S2": Darts(**SKIP_OR_SEP, share_cells=False),
    "own cells, frc": Darts(**SKIP_OR_SEP, share_cells=False, reduction="fixed"),
}


@pytest.mark.parametrize("name", CONSTRUCTIONS)
def test_the_cost_table_has_the_counts_of_random_architectures_exactly(name):
    space = CONSTRUCTIONS[name]
    rng = np.random.default_rng(0)
    architectures = [sample(space, rng) for _ in range(3)]
    totals = cost_table(space, 18, 7).total(as_array(architectures))
    for ours, architecture in zip(totals.tolist(), architectures, strict=True):
        assert ours == list(counts(space, architecture, 18, 7))


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTED | PRINTED)
def test_published_networks_run_forward_and_backward_on_images_of_their_size(name):
    cell = (COUNTED | PRINTED)[name]
    torch.manual_seed(0)
    network = cell.space.build_network(cell.architecture, cell.num_classes)
    logits = network(torch.randn(2, 3, cell.resolution, cell.resolution))
    assert logits.shape == (2, cell.num_classes)
    logits.square().sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name
