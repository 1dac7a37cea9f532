"""The weight vector of DARTS' cells: the weights that the angle of an architecture is taken of."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from raynas.search_space import WeightTerm, WeightVector
from raynas.spaces.darts_networks import DartsNetwork
from raynas.spaces.darts_operations import POOLS


def weights_of_cells(
    supernet: DartsNetwork, operations: Sequence[str], num_choices: int, official: bool, stem: str
) -> WeightVector:
    """Returns the weights on the paths of the cells, and under the official definition those outside the paths too.

    A convolution counts with its kernel, a skip connection of stride 1 with an identity matrix, of stride 2 with its
    two kernels. A pooling counts as a fixed kernel of 1/9, of shape (C, C, 3, 3) in the paper (RLNAS, Zhang et al.
    2021, section 3.2.2) and (C, 3, 3) in its code.

    The official definition adds the weights and biases of normalisations to an operation. Once, it adds the stem, the
    convolutions before the cells' nodes, fixed reduction cells and the classifier. The bias of the classifier counts in
    RLNAS' code for ImageNet, not in its code for CIFAR-10.

    Departs from the code: it takes the normalisation of a dilated convolution by its weight twice, a slip for weight
    and bias. It knows no fixed reduction cells and no other operations than DARTS'.

    Args:
        supernet: A supernet of the space, possibly without data.
        operations: Candidates of every edge.
        num_choices: Choices of the space.
        official: Whether to follow the code of RLNAS, or its paper.
        stem: The stem of the space, ``cifar`` or ``imagenet``.
    """
    terms = [[WeightTerm()] * len(operations) for _ in range(num_choices)]
    for cell, part in enumerate(supernet.parts):
        for edge, choice in enumerate(range(part.start, part.stop)):
            for k, name in enumerate(operations):
                prefix = f"cells.{cell}.edges.{edge}.{name}."
                added = _term(supernet.candidate(cell, edge, k), name, prefix, supernet.channels[cell], official)
                terms[choice][k] = _sum(terms[choice][k], added)
    always: list[str] = []
    if official:
        left_out = "classifier.bias" if stem == "cifar" else ""
        always = [name for name, _ in supernet.named_parameters() if ".edges." not in name and name != left_out]
    return WeightVector(WeightTerm(tuple(always)), tuple(map(tuple, terms)))


def _term(candidate: nn.Module, operation: str, prefix: str, channels: int, official: bool) -> WeightTerm:
    """Returns the part of one candidate in one cell; `prefix` stands before the names of its weights."""
    weights: list[str] = []
    for name, module in candidate.named_modules():
        if isinstance(module, nn.BatchNorm2d) and not official:
            continue
        layer = f"{name}." if name else ""
        weights += [f"{prefix}{layer}{parameter}" for parameter, _ in module.named_parameters(recurse=False)]
    fixed = 0.0
    if isinstance(candidate, nn.Identity):
        fixed = float(channels)
    elif operation in POOLS:
        fixed = (channels if official else channels**2) / 9
    return WeightTerm(tuple(weights), fixed)


def _sum(first: WeightTerm, second: WeightTerm) -> WeightTerm:
    """Returns one part of two parts of a weight vector."""
    return WeightTerm(first.parameters + second.parameters, first.fixed_squared_norm + second.fixed_squared_norm)
