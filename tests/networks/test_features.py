"""Feature maps: of every space, the last map at each resolution, as the network itself computes it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raynas.errors import InputError
from raynas.networks.features import FeatureMaps
from tests.networks.networks import SPACES, network_of

EXPECTED = {
    "nasbench201": (["cells.1", "cells.3", "last_relu"], [4, 8, 16], [1, 2, 4]),
    "darts": (["cells.0", "cells.1", "cells.3"], [16, 32, 64], [1, 2, 4]),
    "darts_imagenet": (["stem0.0", "stem0", "cells.0", "cells.1", "cells.2"], [2, 4, 16, 32, 64], [2, 4, 8, 16, 32]),
    "quadruples": (["cells.0", "cells.1", "cells.3"], [16, 32, 64], [1, 2, 4]),
    "mobilenet": (["begin", "blocks.1", "blocks.3", "blocks.7", "blocks.10"], [8, 8, 8, 24, 88], [2, 4, 8, 16, 32]),
}
"""Module, channels and stride of each map, by space."""


@pytest.mark.parametrize("name", SPACES)
def test_every_space_has_its_maps(name: str) -> None:
    space, resolution = SPACES[name]
    network = network_of(space)[1]
    backbone = FeatureMaps(network, resolution)
    info = backbone.feature_info
    assert (info.module_name(), info.channels(), info.reduction()) == EXPECTED[name]
    for size in (resolution, 2 * resolution):
        images = torch.randn(2, 3, size, size)
        with torch.no_grad():
            maps = backbone(images)
        shapes = [
            (2, channels, size // stride, size // stride) for channels, stride in zip(*EXPECTED[name][1:], strict=True)
        ]
        assert [tuple(found.shape) for found in maps] == shapes
    assert len(backbone.state_dict()) == len(network.state_dict())


def test_the_last_map_leads_to_the_logits() -> None:
    space, resolution = SPACES["darts"]
    network = network_of(space)[1]
    images = torch.randn(3, 3, resolution, resolution)
    with torch.no_grad():
        last = FeatureMaps(network, resolution)(images)[-1]
        logits = network.classifier(last.mean(dim=(2, 3)))  # type: ignore[operator]
        assert torch.equal(logits, network(images))


def test_maps_carry_gradients_and_leave_no_hooks() -> None:
    space, resolution = SPACES["nasbench201"]
    network = network_of(space)[1]
    backbone = FeatureMaps(network, resolution).train()
    sum(found.mean() for found in backbone(torch.randn(2, 3, resolution, resolution))).backward()
    assert network.stem.conv.weight.grad.abs().sum() > 0  # type: ignore[union-attr, operator]
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())


def test_finding_maps_changes_neither_mode_nor_statistics() -> None:
    space, resolution = SPACES["quadruples"]
    network = network_of(space)[1].train()
    network.classifier.eval()  # type: ignore[union-attr]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    FeatureMaps(network, resolution)
    assert network.training and not network.classifier.training  # type: ignore[union-attr]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_indices_select_maps_as_in_timm() -> None:
    space, resolution = SPACES["nasbench201"]
    backbone = FeatureMaps(network_of(space)[1], resolution, out_indices=(0, -1))
    assert backbone.out_indices == (0, 2)
    assert (backbone.feature_info.channels(), backbone.feature_info.reduction()) == ([4, 16], [1, 4])
    assert len(backbone.feature_info) == 2
    assert [found.shape[1] for found in backbone(torch.zeros(1, 3, resolution, resolution))] == [4, 16]


def test_a_pooling_before_the_classifier_is_no_map() -> None:
    layers = [nn.Conv2d(3, 5, 3, padding=1), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2)]
    info = FeatureMaps(nn.Sequential(*layers), 8).feature_info
    assert (info.module_name(), info.channels(), info.reduction()) == (["0", "1"], [5, 5], [1, 2])


def test_what_has_no_such_maps_is_refused() -> None:
    space, resolution = SPACES["nasbench201"]
    network = network_of(space)[1]
    with pytest.raises(InputError, match="out_indices: expected -3 to 2, got 3"):
        FeatureMaps(network, resolution, out_indices=(3,))
    with pytest.raises(InputError, match="no feature maps for images of 4 x 4"):
        FeatureMaps(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), 4)
    with pytest.raises(InputError, match="cannot run on an image of 5 x 5"):
        FeatureMaps(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), 5)
