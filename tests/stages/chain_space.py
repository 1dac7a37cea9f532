"""A space from outside the package, named in a run file by its dotted path: a chain of residual blocks.

It has no batch normalisation. So the update of a global batch is the same at any number of workers up to rounding,
which tests compare.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from raynas.search_space import Architecture, Choice, SearchSpace, WeightTerm, WeightVector
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.choice_block import ChoiceBlock

KERNELS: Mapping[str, int] = {"conv_1x1": 1, "conv_3x3": 3}


class Residual(nn.Module):
    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.tanh(self.conv(x))


@dataclass(frozen=True)
class ChainSpace(SearchSpace):
    channels: int = 4
    blocks: int = 3
    name: ClassVar[str] = "chain"

    @property
    def choices(self) -> tuple[Choice, ...]:
        return tuple(Choice(f"block{i}", tuple(KERNELS)) for i in range(self.blocks))

    def build_supernet(self, num_classes: int) -> ChainNetwork:
        return self._network([choice.candidates for choice in self.choices], num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> ChainNetwork:
        return self._network([(list(KERNELS)[k],) for k in architecture], num_classes)

    def _network(self, candidates: Sequence[Sequence[str]], num_classes: int) -> ChainNetwork:
        stem = nn.Conv2d(3, self.channels, 3, padding=1)
        blocks = [ChoiceBlock({n: Residual(self.channels, KERNELS[n]) for n in names}) for names in candidates]
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.channels, num_classes))
        return ChainNetwork(stem, blocks, head)

    def weight_vector(self, definition: str) -> WeightVector:  # only to rank by angle
        blocks = (tuple(WeightTerm((f"blocks.{i}.{n}.conv.weight",)) for n in KERNELS) for i in range(self.blocks))
        return WeightVector(WeightTerm(), tuple(blocks))
