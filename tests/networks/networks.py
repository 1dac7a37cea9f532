"""Small derived networks of every space, with weights and statistics that tell them apart."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import nn

from raynas.networks.building import network_record
from raynas.networks.found_network import FoundNetwork
from raynas.networks.preprocessing import stated_preprocessing
from raynas.search_space import SearchSpace, sample
from raynas.spaces.darts import Darts
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.spaces.quadruples import Quadruples

SPACES: dict[str, tuple[SearchSpace, int]] = {
    "nasbench201": (NasBench201(channels=4, cells=2), 16),
    "darts": (Darts(channels=4, cells=4), 16),
    "darts_imagenet": (Darts(channels=4, cells=3, stem="imagenet"), 64),
    "quadruples": (Quadruples(channels=4, cells=4, reduction="fixed"), 16),
    "mobilenet": (MobileNet(width=0.2, depth=2), 64),
}
"""Spaces by a name, each with the resolution of its images."""


def network_of(space: SearchSpace, num_classes: int = 10, seed: int = 0) -> tuple[tuple[int, ...], nn.Module]:
    """Returns a random architecture and its network, whose normalisations have statistics of their own."""
    architecture = sample(space, np.random.default_rng(seed))
    generator = torch.Generator().manual_seed(seed)
    network = space.build_network(architecture, num_classes)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
        elif tensor.is_floating_point():
            fan_in = tensor[0].numel() if tensor.dim() > 1 else 25
            tensor.normal_(0.0, fan_in**-0.5, generator=generator)
    return architecture, network.eval()


def found(name: str = "nasbench201", num_classes: int = 3, seed: int = 0, **further: Any) -> FoundNetwork:
    """Returns a small network of a space with its record."""
    space, resolution = SPACES[name]
    architecture, module = network_of(space, num_classes, seed)
    arguments = {field.name: getattr(space, field.name) for field in dataclasses.fields(space) if field.init}  # type: ignore[arg-type]
    stated = {key: list(value) if isinstance(value, tuple) else value for key, value in arguments.items()}
    preprocessing = stated_preprocessing(resolution, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25), reads_files=False)
    values: dict[str, Any] = {"classes": ["cat", "dog", "emu"][:num_classes], "weights": "retrained", **further}
    record = network_record({"name": space.name, **stated}, architecture, num_classes, preprocessing, **values)
    return FoundNetwork(module, record)
