"""A space from outside the package, named by its dotted path: a chain of blocks without batch normalisation.

Without it the update of a global batch is the same at any number of workers up to rounding, which tests compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from raynas.search_space import AdditiveTable, Architecture, Choice, SearchSpace, WeightTerm, WeightVector
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.gates import Gates

KERNELS: Mapping[str, int] = {"conv_1x1": 1, "conv_3x3": 3}


class Chain(nn.Module):
    def __init__(self, channels: int, candidates: Sequence[Sequence[str]], num_classes: int) -> None:
        super().__init__()
        self.num_cells = 1
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            ChoiceBlock({n: nn.Conv2d(channels, channels, KERNELS[n], padding=KERNELS[n] // 2) for n in names})
            for names in candidates
        )
        self.head = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor, gates: Gates) -> Tensor:
        x = self.stem(images)
        for block, gate in zip(self.blocks, gates, strict=True):
            x = x + torch.tanh(block(x, gate))
        return self.head(x.mean(dim=(2, 3)))


@dataclass(frozen=True)
class ChainSpace(SearchSpace):
    channels: int = 4
    blocks: int = 3
    name: ClassVar[str] = "chain"

    @property
    def choices(self) -> tuple[Choice, ...]:
        return tuple(Choice(f"block{i}", tuple(KERNELS)) for i in range(self.blocks))

    def build_supernet(self, num_classes: int) -> Chain:
        return Chain(self.channels, [tuple(KERNELS)] * self.blocks, num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> Chain:
        return Chain(self.channels, [(list(KERNELS)[k],) for k in architecture], num_classes)

    def costs(self, resolution: int, num_classes: int) -> AdditiveTable:
        weights = np.array([self.channels**2 * k**2 for k in KERNELS.values()])
        terms = np.stack([weights + self.channels, weights * resolution**2], axis=1)
        return AdditiveTable(("num_parameters", "multiply_adds"), np.array([0, 0]), np.stack([terms] * self.blocks))

    def weight_vector(self, definition: str) -> WeightVector:
        return WeightVector(
            WeightTerm(),
            tuple(tuple(WeightTerm((f"blocks.{i}.{n}.weight",)) for n in KERNELS) for i in range(self.blocks)),
        )


class BareChainSpace(ChainSpace):
    """The same, stating nothing that a space need not state."""

    name = "bare_chain"
    costs = SearchSpace.costs
    weight_vector = SearchSpace.weight_vector
