"""DARTS+: alphas are taken as they were before skip connections took over."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.search.alphas import before_skips
from raynas.spaces.darts import Darts
from raynas.spaces.nasbench201 import OPERATIONS, NasBench201

SKIP, CONV = OPERATIONS.index("skip_connect"), OPERATIONS.index("nor_conv_3x3")


def after(skips):
    """Returns the alphas of an epoch whose cell has so many skip connections, all other edges convolutions."""
    rows = [np.full(5, 0.1) for _ in range(6)]
    for edge, row in enumerate(rows):
        row[SKIP if edge < skips else CONV] = 0.6
    return rows


@pytest.mark.parametrize(
    ("counts", "most", "taken"),
    [
        ([0, 1, 0, 2, 6, 0], 2, 2),  # the epoch before the first with two, though there are none at the end
        ([0, 1, 1, 1], 2, 3),  # never too many
        ([3, 0, 1], 2, 2),  # what the alphas happen to begin with is no result
        ([3, 4, 5], 2, 0),  # always too many
        ([0, 1, 3], 4, 2),
    ],
)
def test_alphas_are_those_of_the_last_epoch_before_too_many_skip_connections(counts, most, taken):
    epochs = [after(count) for count in counts]
    assert before_skips(NasBench201(), epochs, "with_none", most) is epochs[taken]


def test_of_normal_and_reduction_cell_the_normal_one_counts():
    space = Darts(channels=4, cells=3, operations=("skip_connect", "dil_conv_3x3"), edges="fixed")
    skip, conv = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    reduction = [conv] * 8 + [skip] * 8
    normal = [skip] * 8 + [conv] * 8
    epochs = [[conv] * 16, reduction, normal]
    assert before_skips(space, epochs, "without_none", 2) is epochs[1]
