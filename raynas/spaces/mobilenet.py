"""The MobileNet-like space of RLNAS: a chain of 21 blocks, each one of six MBConvs or skipped.

It is the space of ProxylessNAS, with the channels of the network that was found for GPUs. It has 6^6 x 7^15 = 2.2e17
architectures.

Reference: Zhang et al. 2021 (RLNAS), section 4.1; Cai et al. 2019 (ProxylessNAS), section 4.2.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from torch import nn

from raynas.errors import InputError
from raynas.search_space import Architecture, Choice, SearchSpace, WeightTerm, WeightVector, angle_parts
from raynas.spaces.operations import ConvBnRelu6, MBConv
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.choice_block import ChoiceBlock

MBCONVS = {f"k{kernel}_e{expansion}": (kernel, expansion) for kernel, expansion in itertools.product((3, 5, 7), (3, 6))}
"""Kernel size and expansion of the candidates with weights, in the order of their integers 0 to 5 in RLNAS' code."""

CANDIDATES = (*MBCONVS, "skip")

SKIP = len(MBCONVS)
"""Index of the candidate that skips a block. The code of RLNAS writes it as -1."""

READINGS = {name: k for k, name in enumerate(CANDIDATES)} | {str(k): k for k in range(len(CANDIDATES))} | {"-1": SKIP}
"""The candidate that each word stands for in `MobileNet.parse`."""

STEM, FIRST, HEAD = 40, 24, 1728
"""Channels of the 3 x 3 convolution and the fixed MBConv before the blocks, and of the convolution after them."""

STAGES = ((32, 2), (56, 2), (112, 2), (128, 1), (256, 2), (432, 1))
"""Channels of each stage and the stride of its first block. A stage has `MobileNet.depth` blocks, the last one only."""

Part = TypeVar("Part")


@dataclass(frozen=True)
class MobileNet(SearchSpace):
    """The space. An architecture holds the candidates of the blocks in their order.

    The first block of a stage changes the shape and cannot be skipped: it has six candidates.

    Attributes:
        width: Factor on all numbers of channels, which are then rounded to multiples of 8.
        depth: Blocks per stage, in all stages but the last, which has one; 4 makes 21 blocks.
    """

    width: float = 1.0
    depth: int = 4

    name: ClassVar[str] = "mobilenet"

    def __post_init__(self) -> None:
        """Checks the sizes.

        Raises:
            InputError: If one is out of range.
        """
        if not 0 < self.width <= 100:
            raise InputError(f"space.width: expected more than 0 and at most 100, got {self.width}")
        if not 1 <= self.depth <= 100:
            raise InputError(f"space.depth: expected 1 to 100, got {self.depth}")

    @property
    def choices(self) -> tuple[Choice, ...]:
        """One choice per block."""
        return _choices(self.depth)

    # Text

    def describe(self, architecture: Architecture) -> str:
        """Returns the candidates in their order: spaces between blocks, bars between stages."""
        names = [choice.candidates[k] for choice, k in zip(self.choices, architecture, strict=True)]
        return " | ".join(" ".join(stage) for stage in self._stages(names))

    def parse(self, text: str) -> Architecture:
        """Returns the architecture of a text by `describe`, or of integers: 0 to 5, and -1 (or 6) to skip.

        The integers are those of RLNAS' code. Bars, commas and brackets separate blocks as spaces do.

        Raises:
            InputError: If the text has another number of candidates, or a block does not have its candidate.
        """
        words = re.findall(r"[^\s,|()\[\]]+", text)
        if len(words) != len(self.choices):
            example = self.describe((0,) * len(self.choices))
            raise InputError(
                f"expected {len(self.choices)} candidates such as {example!r}, or as many integers from -1 (skip) to "
                f"{SKIP - 1}, got {len(words)} in {text!r}"
            )
        for choice, word in zip(self.choices, words, strict=True):
            if READINGS.get(word, len(CANDIDATES)) >= len(choice.candidates):
                integers = f"0 to {SKIP - 1}" + (", or -1 for skip" if SKIP < len(choice.candidates) else "")
                raise InputError(
                    f"{choice.name} is one of {', '.join(choice.candidates)} ({integers}), got {word!r} in {text!r}"
                )
        return tuple(READINGS[word] for word in words)

    def integers(self, architecture: Architecture) -> tuple[int, ...]:
        """Returns the architecture in the integers of RLNAS' code: -1 for a block that is skipped."""
        return tuple(-1 if k == SKIP else k for k in architecture)

    # Structure

    def canonical(self, architecture: Architecture) -> Architecture:
        """Returns the architecture with the skipped blocks at the end of their stage.

        All blocks of a stage but the first have one shape. The positions of the skipped blocks therefore decide only
        whose weights the others take; the order of the others matters.
        """
        ordered: list[int] = []
        for stage in self._stages(architecture):
            ordered += sorted(stage, key=SKIP.__eq__)
        return tuple(ordered)

    def _stages(self, parts: Sequence[Part]) -> list[Sequence[Part]]:
        """Returns the entries of each stage, given one entry per block."""
        return [parts[first : first + self.depth] for first in range(0, len(parts), self.depth)]

    # Weights

    def weight_vector(self, definition: str) -> WeightVector:
        """Returns the weights of the blocks, and those outside the blocks where extras count.

        A block counts with its three convolutions. A block that is skipped counts by default as the identity of its C
        channels, a fixed tensor (C, C, 1, 1) (RLNAS, Zhang et al. 2021, section 3.2.2). As in RLNAS' code, only the
        first two of a block's three normalisations can count, and the extras are the kernels of stem, fixed MBConv and
        head, without their normalisations and biases. There is no pooling to count.

        Raises:
            InputError: If there is no such definition.
        """
        parts = angle_parts(definition)
        layers = ["expand.conv.weight", "depthwise.conv.weight", "project.conv.weight"]
        if parts.norms != "none":
            layers += ["expand.bn.weight", "expand.bn.bias", "depthwise.bn.weight", "depthwise.bn.bias"]

        candidates = []
        for number, (choice, (_, channels, _)) in enumerate(zip(self.choices, self.shapes, strict=True)):
            terms = []
            for name in MBCONVS:
                terms.append(WeightTerm(tuple(f"blocks.{number}.{name}.{layer}" for layer in layers)))
            if SKIP < len(choice.candidates):
                terms.append(WeightTerm(fixed_squared_norm=channels if parts.skip == "identity" else 0.0))
            candidates.append(tuple(terms))

        outside = ["begin.stem.conv", "begin.mbconv.depthwise.conv", "begin.mbconv.project.conv", "end.conv.conv"]
        always = [f"{layer}.weight" for layer in (*outside, "end.classifier")] if parts.extras == "counted" else []
        return WeightVector(WeightTerm(tuple(always)), tuple(candidates))

    # Networks

    def channels(self, number: int) -> int:
        """Returns a number of channels scaled by the width, as a multiple of 8."""
        return max(8, int(number * self.width / 8 + 0.5) * 8)

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Input channels, output channels and stride of each block."""
        shapes = []
        before = self.channels(FIRST)
        for stage, (number, stride) in zip(self._stages(self.choices), STAGES, strict=True):
            after = self.channels(number)
            shapes += [(before, after, stride), *[(after, after, 1)] * (len(stage) - 1)]
            before = after
        return shapes

    def build_supernet(self, num_classes: int) -> MobileNetNetwork:
        """Returns the weight-sharing network of the space."""
        return MobileNetNetwork(self, [choice.candidates for choice in self.choices], num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> MobileNetNetwork:
        """Returns the network of one architecture."""
        return MobileNetNetwork(self, [(CANDIDATES[k],) for k in self.check(architecture)], num_classes)

    def widened(self, factor: float) -> MobileNet:
        """Returns the space with its width multiplied, and rounded to hundredths."""
        return replace(self, width=max(0.01, round(factor * self.width, 2)))


@functools.cache
def _choices(depth: int) -> tuple[Choice, ...]:
    """Returns the choices of stages of `depth` blocks: skip where a block is not the first of its stage."""
    number = depth * (len(STAGES) - 1) + 1
    return tuple(Choice(f"block{b}", CANDIDATES if b % depth else tuple(MBCONVS)) for b in range(number))


class MobileNetNetwork(ChainNetwork):
    """Stem, fixed MBConv, blocks, head: a supernet, or, with one candidate left in every block, a derived network.

    Images may have any size. Height and width are halved five times, and rounded up.
    """

    def __init__(self, space: MobileNet, candidates: Sequence[Sequence[str]], num_classes: int) -> None:
        """Builds a choice block of the named candidates for every block."""
        stem, first, head = (space.channels(number) for number in (STEM, FIRST, HEAD))
        begin = OrderedDict(stem=ConvBnRelu6(3, stem, 3, stride=2), mbconv=MBConv(stem, first, 3, 1))
        blocks = []
        for names, (before, after, stride) in zip(candidates, space.shapes, strict=True):
            mbconvs = {name: MBConv(before, after, *MBCONVS[name], stride) for name in names if name in MBCONVS}
            blocks.append(ChoiceBlock(mbconvs | ({"skip": nn.Identity()} if "skip" in names else {})))
        end = OrderedDict(
            conv=ConvBnRelu6(after, head, 1),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Linear(head, num_classes),
        )
        super().__init__(nn.Sequential(begin), blocks, nn.Sequential(end))
