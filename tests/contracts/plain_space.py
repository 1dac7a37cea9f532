"""A space as a newcomer writes it: a chain of two choices that states no weight vector."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raynas.search_space import Architecture, Choice, SearchSpace
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.gates import Gates, single_path

KERNELS = {"small": 1, "large": 3}
NAMES = tuple(KERNELS)


def candidates() -> dict[str, nn.Module]:
    return {name: nn.Conv2d(3, 3, kernel, padding=kernel // 2) for name, kernel in KERNELS.items()}


class PlainNetwork(nn.Module):
    """Two convolutions in a row, each with a kernel of 1 or 3."""

    num_cells = 1

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ChoiceBlock(candidates()) for _ in range(2))
        self.head = nn.Linear(3, num_classes)

    def forward(self, images: Tensor, gates: Gates) -> Tensor:
        for block, gate in zip(self.blocks, gates, strict=True):
            images = block(images, gate)
        return self.head(images.mean(dim=(2, 3)))


class Routed(nn.Module):
    """The network of one architecture: the supernet on a fixed path."""

    def __init__(self, network: PlainNetwork, architecture: Architecture) -> None:
        super().__init__()
        self.network, self.gates = network, single_path(architecture)

    def forward(self, images: Tensor) -> torch.Tensor:
        return self.network(images, self.gates)


@dataclass(frozen=True)
class PlainSpace(SearchSpace):
    """Four architectures."""

    name = "plain"

    @property
    def choices(self) -> tuple[Choice, ...]:
        return (Choice("first", NAMES), Choice("second", NAMES))

    def build_supernet(self, num_classes: int) -> nn.Module:
        return PlainNetwork(num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> nn.Module:
        return Routed(PlainNetwork(num_classes), architecture)
