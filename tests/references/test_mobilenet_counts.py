"""Parameters and multiply-adds of the MobileNet-like space: counted on built networks, and as RLNAS prints them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from raynas.networks.published import PUBLISHED as RLNAS
from raynas.search_space import as_array, sample
from raynas.spaces.mobilenet import MobileNet
from raynas.supernet.costs import cost_table

SPACE = MobileNet()

PUBLISHED = RLNAS["RLNAS_MOBILENET"].text
"""The network that RLNAS' code retrains."""


@pytest.fixture(scope="module")
def table():
    return cost_table(SPACE, 224, 1000)


def counted(architecture):
    """Returns parameters and multiply-adds of the network of an architecture, as its layers say when they are called.

    A product with a weight is one, and so is adding the bias of the linear layer.
    """
    multiply_adds = 0

    def count(layer, inputs, out):
        nonlocal multiply_adds
        multiply_adds += out.numel() * layer.weight[0].numel()
        if layer.bias is not None:
            multiply_adds += out.numel()

    with torch.device("meta"):
        network = SPACE.build_network(architecture, 1000)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(count)
        network.eval()(torch.empty(1, 3, 224, 224))
    return sum(parameter.numel() for parameter in network.parameters()), multiply_adds


def test_the_table_is_what_built_networks_count(table):
    rng = np.random.default_rng(0)
    architectures = [SPACE.parse(PUBLISHED), *(sample(SPACE, rng) for _ in range(3))]
    assert [tuple(row) for row in table.total(as_array(architectures)).tolist()] == [counted(a) for a in architectures]


def as_published(costs):
    """Returns parameters and operations of each row in millions, as RLNAS rounds and counts them.

    Its counter takes 2 C - 1 operations for each output of a linear layer of C inputs, C products and C - 1 additions,
    where the table has C products and the addition of the bias.
    """
    parameters, multiply_adds = costs.T
    return [
        (round(p / 1e6, 1), round((m + (1728 - 2) * 1000) / 1e6))
        for p, m in zip(parameters.tolist(), multiply_adds.tolist(), strict=True)
    ]


def test_the_network_of_rlnas_has_the_figures_of_the_paper(table):
    (costs,) = table.total(as_array([SPACE.parse(PUBLISHED)]))
    assert costs.tolist() == [5_255_648, 471_522_184]
    assert as_published(costs[None]) == [(5.3, 473)]  # table 5 of the paper


def test_no_other_order_of_kernels_and_expansions_gives_the_figures_of_the_paper(table):
    """The network uses three of the six integers, so that 120 readings of it differ."""
    codes = np.array(PUBLISHED.split(), dtype=np.int64)
    readings = list(itertools.permutations(range(6), 3))
    architectures = np.full((len(readings), 21), 6)
    for code, column in zip((0, 2, 4), np.array(readings).T, strict=True):
        architectures[:, codes == code] = column[:, None]
    figures = as_published(table.total(architectures))
    assert [reading for reading, found in zip(readings, figures, strict=True) if found == (5.3, 473)] == [(0, 2, 4)]


def test_the_supernet_has_as_many_parameters_as_that_of_rlnas(table):
    with torch.device("meta"):
        supernet = SPACE.build_supernet(1000)
    parameters = sum(parameter.numel() for parameter in supernet.parameters())
    assert parameters == table.fixed[0] + table.terms[:, :, 0].sum() == 27_684_320  # 27.7 M
