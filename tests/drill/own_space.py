"""A space as a user would write it: choices, a supernet, a network. It has no weight vector.

Two branches look at the image side by side, each by a convolution of 1, 3 or 5 pixels, and their outputs are added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from raynas.search_space import Architecture, Choice, SearchSpace
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.gates import Gate, Route, per_cell

KERNELS = {"conv_1x1": 1, "conv_3x3": 3, "conv_5x5": 5}
THE_ONLY_ROUTE = (Gate((0,)), Gate((0,)))


class Branches(nn.Module):
    """Stem, two branches, head."""

    num_cells = 1

    def __init__(self, candidates: Sequence[Sequence[str]], channels: int, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.branches = nn.ModuleList()
        for names in candidates:
            convolutions = {n: nn.Conv2d(channels, channels, KERNELS[n], padding=KERNELS[n] // 2) for n in names}
            self.branches.append(ChoiceBlock(convolutions))
        self.head = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor, gates: Route = THE_ONLY_ROUTE) -> Tensor:
        left, right = per_cell(gates, self.num_cells)[0]
        x = torch.relu(self.stem(images))
        out = torch.tanh(self.branches[0](x, left)) + torch.tanh(self.branches[1](x, right))
        logits: Tensor = self.head(out.mean(dim=(2, 3)))
        return logits


@dataclass(frozen=True)
class TwoBranches(SearchSpace):
    """The space: nine architectures."""

    channels: int = 4
    name: ClassVar[str] = "two_branches"
    choices = (Choice("left", tuple(KERNELS)), Choice("right", tuple(KERNELS)))

    def build_supernet(self, num_classes: int) -> Branches:
        return Branches([tuple(KERNELS)] * 2, self.channels, num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> Branches:
        return Branches([(tuple(KERNELS)[k],) for k in self.check(architecture)], self.channels, num_classes)
