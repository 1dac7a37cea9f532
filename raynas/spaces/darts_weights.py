"""The weight vector of DARTS' cells: the weights that the angle of an architecture is taken of."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from raynas.search_space import AngleParts, WeightTerm, WeightVector
from raynas.spaces.darts_networks import DartsNetwork
from raynas.spaces.darts_operations import DILATED, POOLS


def weights_of_cells(
    supernet: DartsNetwork, operations: Sequence[str], num_choices: int, parts: AngleParts, stem: str
) -> WeightVector:
    """Returns the weights on the paths of the cells, and those outside the paths where extras count.

    A convolution counts with its kernel, a skip connection of stride 2 with its two kernels. What a pooling and a skip
    connection of stride 1 count as, and whether normalisations count, is said by the parts.

    The extras are the stem, the convolutions before the cells' nodes, fixed reduction cells and the classifier. The
    bias of the classifier counts in RLNAS' code for ImageNet, not in its code for CIFAR-10.

    The code takes the normalisation of a dilated convolution by its weight twice, a slip for weight and bias. Only the
    ``published`` definition does so. The code knows no fixed reduction cells and no other operations than DARTS'.

    Args:
        supernet: A supernet of the space, possibly without data.
        operations: Candidates of every edge.
        num_choices: Choices of the space.
        parts: What counts beside kernels.
        stem: The stem of the space, ``cifar`` or ``imagenet``.
    """
    terms = [[WeightTerm()] * len(operations) for _ in range(num_choices)]
    for cell, part in enumerate(supernet.parts):
        for edge, choice in enumerate(range(part.start, part.stop)):
            for k, name in enumerate(operations):
                prefix = f"cells.{cell}.edges.{edge}.{name}."
                added = _term(supernet.candidate(cell, edge, k), name, prefix, supernet.channels[cell], parts)
                terms[choice][k] = _sum(terms[choice][k], added)
    always: list[str] = []
    if parts.extras == "counted":
        left_out = "classifier.bias" if stem == "cifar" else ""
        always = [name for name, _ in supernet.named_parameters() if ".edges." not in name and name != left_out]
    return WeightVector(WeightTerm(tuple(always)), tuple(map(tuple, terms)))


def _term(candidate: nn.Module, operation: str, prefix: str, channels: int, parts: AngleParts) -> WeightTerm:
    """Returns the part of one candidate in one cell; `prefix` stands before the names of its weights."""
    weights: list[str] = []
    for name, module in candidate.named_modules():
        own = [parameter for parameter, _ in module.named_parameters(recurse=False)]
        if isinstance(module, nn.BatchNorm2d):
            own = _of_norm(own, operation, parts.norms)
        layer = f"{name}." if name else ""
        weights += [f"{prefix}{layer}{parameter}" for parameter in own]
    fixed = 0.0
    if isinstance(candidate, nn.Identity) and parts.skip == "identity":
        fixed = float(channels)
    elif operation in POOLS:
        fixed = (channels**2 if parts.pool == "full" else channels) / 9
    return WeightTerm(tuple(weights), fixed)


def _of_norm(names: Sequence[str], operation: str, norms: str) -> list[str]:
    """Returns which of the weight and the bias of a normalisation count, possibly one of them twice."""
    if norms == "none":
        return []
    if norms == "published" and operation in DILATED:
        return ["weight", "weight"] if "weight" in names else []
    return list(names)


def _sum(first: WeightTerm, second: WeightTerm) -> WeightTerm:
    """Returns one part of two parts of a weight vector."""
    return WeightTerm(first.parameters + second.parameters, first.fixed_squared_norm + second.fixed_squared_norm)
