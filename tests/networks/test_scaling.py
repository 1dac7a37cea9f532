"""The widest network within a limit, against every width counted."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.networks.scaling import fitted
from raynas.search_space import as_array, sample
from raynas.spaces.darts import Darts
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.spaces.quadruples import Quadruples
from raynas.supernet.costs import cost_table
from tests.contracts.plain_space import PlainSpace
from tests.spaces import genotypes

FEW = {"cells": 3, "operations": ("none", "skip_connect", "sep_conv_3x3")}
BY_CHANNELS = {
    "darts": lambda channels: Darts(channels=channels, **FEW),
    "quadruples": lambda channels: Quadruples(channels=channels, cells=3, operations=("skip_connect", "sep_conv_3x3")),
    "nasbench201": lambda channels: NasBench201(channels=channels, cells=1),
}


def counted(space, architecture):
    return int(cost_table(space, 16, 10).total(as_array([architecture]))[0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_CHANNELS)
def test_one_channel_more_would_be_beyond_the_limit(name):
    spaces = BY_CHANNELS[name]
    architecture = sample(spaces(8), np.random.default_rng(1))
    costs = {channels: counted(spaces(channels), architecture) for channels in (6, 7, 13)}
    assert fitted(spaces(8), architecture, 10, 16, costs[7]) == spaces(7)
    assert fitted(spaces(8), architecture, 10, 16, costs[7] - 1) == spaces(6)
    assert fitted(spaces(8), architecture, 10, 16, costs[13]) == spaces(13)


def test_a_fixed_reduction_cell_keeps_to_multiples_of_four():
    space = Darts(channels=8, **FEW, reduction="fixed")
    architecture = sample(space, np.random.default_rng(1))
    widest = fitted(
        space, architecture, 10, 16, counted(Darts(channels=24, **FEW, reduction="fixed"), architecture) - 1
    )
    assert widest.channels == 20


def test_a_mobilenet_is_as_wide_as_multiples_of_eight_channels_allow():
    space = MobileNet(depth=1)
    architecture = (0,) * len(space.choices)
    limit = counted(MobileNet(width=0.5, depth=1), architecture)
    widest = fitted(space, architecture, 10, 16, limit)
    assert counted(widest, architecture) == limit
    assert counted(MobileNet(width=round(widest.width + 0.01, 2), depth=1), architecture) > limit


def test_a_limit_below_the_narrowest_network_names_what_that_needs():
    space = NasBench201(cells=1)
    least = counted(NasBench201(channels=1, cells=1), (3,) * 6)
    with pytest.raises(ValueError, match=rf"^retrain\.max_multiply_adds: 1,000 admits no .* has {least:,}; raise it$"):
        fitted(space, (3,) * 6, 10, 16, 1_000)


def test_a_space_without_a_width_is_refused():
    space = PlainSpace()
    with pytest.raises(ValueError, match="PlainSpace has no width: add `widened`"):
        fitted(space, sample(space, np.random.default_rng(0)), 10, 8, 10**9)


@pytest.mark.long
def test_the_cell_that_rlnas_found_on_cifar10_has_46_channels_under_600_million():
    space = Darts(channels=48, cells=14, stem="imagenet")
    assert fitted(space, space.parse(genotypes.RLNAS_CIFAR), 1000, 224, 600_000_000).channels == 46
