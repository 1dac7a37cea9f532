"""A space as a user would write it, with a weight vector, so that it can be ranked by angle.

Three layers in a row, each a convolution of 1 or 3 pixels or left out. Only the weights under the angle are stated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from raynas.search_space import Architecture, Choice, SearchSpace, WeightTerm, WeightVector
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.choice_block import ChoiceBlock

KERNELS = {"conv_1x1": 1, "conv_3x3": 3}
CANDIDATES = (*KERNELS, "skip")


def layer(name: str, channels: int) -> nn.Module:
    """Returns a candidate."""
    if name == "skip":
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(channels, channels, KERNELS[name], padding=KERNELS[name] // 2), nn.Tanh())


@dataclass(frozen=True)
class ThreeLayers(SearchSpace):
    """The space: 27 architectures."""

    channels: int = 4
    name: ClassVar[str] = "three_layers"
    choices = tuple(Choice(f"layer{number}", CANDIDATES) for number in range(3))

    def build_supernet(self, num_classes: int) -> ChainNetwork:
        return self.network([CANDIDATES] * 3, num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> ChainNetwork:
        return self.network([(CANDIDATES[k],) for k in self.check(architecture)], num_classes)

    def network(self, candidates: Sequence[Sequence[str]], num_classes: int) -> ChainNetwork:
        """Returns the network of the named candidates of each layer."""
        blocks = [ChoiceBlock({name: layer(name, self.channels) for name in names}) for names in candidates]
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(self.channels, num_classes))
        return ChainNetwork(nn.Conv2d(3, self.channels, 3, padding=1), blocks, head)

    def weight_vector(self, definition: str) -> WeightVector:
        terms = []
        for number in range(3):
            kernels = [WeightTerm((f"blocks.{number}.{name}.0.weight",)) for name in KERNELS]
            terms.append((*kernels, WeightTerm(fixed_squared_norm=self.channels)))
        return WeightVector(WeightTerm(), tuple(terms))
