"""Architectures that papers publish, with the sizes that the papers print of the networks made of them.

A derived network is right when it has these sizes. Papers print parameters without the auxiliary tower, in millions and
rounded. Their multiply-adds follow rules of their own: those of RLNAS are 0.1 to 0.3 % higher than the sum over
convolutions and linear layers, those of PC-DARTS 3 %, those of DARTS 8 %. Where networks of the authors' own code were
counted, the sums of that count are stated too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raynas.spaces.genotype import Pair, write_genotype
from raynas.spaces.recurrent_genotype import leaves_of, write_recurrent

OPERATIONS = {
    "max3": "max_pool_3x3",
    "avg3": "avg_pool_3x3",
    "skip": "skip_connect",
    "sep3": "sep_conv_3x3",
    "sep5": "sep_conv_5x5",
    "dil3": "dil_conv_3x3",
    "dil5": "dil_conv_5x5",
    "conv3": "conv_3x1_1x3",
}
"""Short names of the operations of cells, as they are written below."""


@dataclass(frozen=True)
class Size:
    """Parameters and multiply-adds of a network, in millions.

    Attributes:
        num_parameters: Millions of parameters, without an auxiliary tower.
        multiply_adds: Millions of multiply-adds for one image; None where they are not stated.
    """

    num_parameters: float
    multiply_adds: float | None = None


@dataclass(frozen=True)
class PublishedNetwork:
    """A network that a paper made of an architecture.

    Attributes:
        title: What it is made for, such as ``CIFAR-10``.
        arguments: Arguments of the space, on top of those of the architecture.
        resolution: Height and width of an image; tokens of a text.
        num_classes: Number of classes; words of a text.
        printed: The size that the paper prints; None where it has none.
        counted: The size of the network of the authors' own code; None where it was not counted.
        accuracy: Test accuracy in the paper, in percent; None where it is not stated.
    """

    title: str
    arguments: Mapping[str, Any]
    resolution: int
    num_classes: int
    printed: Size | None
    counted: Size | None = None
    accuracy: float | None = None


@dataclass(frozen=True)
class PublishedArchitecture:
    """An architecture that a paper publishes.

    Attributes:
        name: Its name.
        space: The name of its space.
        text: The architecture as text.
        source: Paper, and where the architecture is stated.
        networks: The networks that papers made of it.
        arguments: Arguments of the space that the architecture needs.
    """

    name: str
    space: str
    text: str
    source: str
    networks: tuple[PublishedNetwork, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)


def _genotype(normal: str, reduction: str | None) -> str:
    """Returns the text of two cells, each written as pairs such as ``sep3 0``, two for each node."""
    cells: dict[str, list[tuple[str, int]] | None] = {"normal": _pairs(normal), "reduce": None}
    if reduction is not None:
        cells["reduce"] = _pairs(reduction)
    return write_genotype(cells)


def _pairs(cell: str) -> list[tuple[str, int]]:
    pairs = []
    for pair in cell.replace("/", ",").split(","):
        operation, source = pair.split()
        pairs.append((OPERATIONS[operation], int(source)))
    return pairs


def _cifar(
    channels: int, printed: Size, counted: Size | None = None, accuracy: float | None = None
) -> PublishedNetwork:
    """Returns a network of 20 cells for CIFAR-10."""
    return PublishedNetwork("CIFAR-10", {"channels": channels, "cells": 20}, 32, 10, printed, counted, accuracy)


def _imagenet(
    channels: int,
    printed: Size,
    counted: Size | None = None,
    accuracy: float | None = None,
    *,
    cells: int = 14,
) -> PublishedNetwork:
    """Returns a network for ImageNet, of 14 cells by default."""
    arguments = {"channels": channels, "cells": cells, "stem": "imagenet"}
    return PublishedNetwork("ImageNet", arguments, 224, 1000, printed, counted, accuracy)


def _language(hidden: int, words: int, printed: Size | None) -> PublishedNetwork:
    """Returns a language model whose embedding is as wide as its state; its costs are those of one token."""
    title = "Penn Treebank" if words == 10_000 else "WikiText-2"
    return PublishedNetwork(title, {"embedding": hidden, "hidden": hidden}, 1, words, printed)


_MODELS = (_language(850, 10_000, Size(23)), _language(700, 33_278, Size(33)))
"""The sizes of DARTS and GDAS on Penn Treebank and WikiText-2."""


def _recurrent(
    name: str,
    cell: str,
    source: str,
    networks: tuple[PublishedNetwork, ...] = _MODELS,
    outputs: str = "all",
) -> PublishedArchitecture:
    """Returns a recurrent cell, written as operation and predecessor of each node."""
    pairs: list[Pair] = []
    for pair in cell.split(","):
        operation, predecessor = pair.split()
        pairs.append((operation, int(predecessor)))
    ends = leaves_of(pairs) if outputs == "leaves" else range(1, len(pairs) + 1)
    arguments = {"nodes": len(pairs), "outputs": outputs}
    return PublishedArchitecture(name, "recurrent", write_recurrent(pairs, ends), source, networks, arguments)


FIXED = {"reduction": "fixed"}
SETN_OPERATIONS = {
    "operations": [
        *("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "conv_3x1_1x3"),
    ]
}

_GDAS_NORMAL = "skip 0, skip 1 / skip 0, sep5 2 / sep3 3, skip 0 / sep5 4, sep3 3"
_GDAS_REDUCTION = "sep5 0, sep3 1 / sep5 2, sep5 1 / dil5 2, sep3 1 / sep5 0, sep5 1"
_FRC_NORMAL = "skip 0, skip 1 / skip 0, sep3 2 / skip 0, sep3 2 / skip 0, sep3 2"

_DARTS = "Liu et al. 2019 (DARTS)"
_GDAS = "Dong and Yang 2019 (GDAS)"
_SETN = "Dong and Yang 2019 (SETN)"
_RLNAS = "Zhang et al. 2021 (RLNAS)"
_PC_DARTS = "Xu et al. 2020 (PC-DARTS)"

_ALL = (
    PublishedArchitecture(
        "DARTS_V1",
        "darts",
        _genotype(
            "sep3 1, sep3 0 / skip 0, sep3 1 / skip 0, sep3 1 / sep3 0, skip 2",
            "max3 0, max3 1 / skip 2, max3 0 / max3 0, skip 2 / skip 2, avg3 0",
        ),
        f"{_DARTS}, first order; their code, cnn/genotypes.py, smaller than Table 1 prints (3.17 M are counted)",
        (_cifar(36, Size(3.3), accuracy=97.0),),
    ),
    PublishedArchitecture(
        "DARTS_V2",
        "darts",
        _genotype(
            "sep3 0, sep3 1 / sep3 0, sep3 1 / sep3 1, skip 0 / skip 0, dil3 2",
            "max3 0, max3 1 / skip 2, max3 1 / max3 0, skip 2 / skip 2, max3 1",
        ),
        f"{_DARTS}, second order; their code, cnn/genotypes.py; sizes and accuracies: Tables 1 and 3",
        (
            _cifar(36, Size(3.3), Size(3.349, 528.4), 97.24),
            _imagenet(48, Size(4.7, 574), Size(4.719, 529.9), 73.3),
        ),
    ),
    PublishedArchitecture(
        "PC_DARTS_CIFAR10",
        "darts",
        _genotype(
            "sep3 1, skip 0 / sep3 0, dil3 1 / sep5 0, sep3 1 / avg3 0, dil3 1",
            "sep5 1, max3 0 / sep5 1, sep5 2 / sep3 0, sep3 3 / sep3 1, sep3 2",
        ),
        f"{_PC_DARTS}, searched on CIFAR-10; their code, genotypes.py; on ImageNet as in RLNAS, Table 3",
        (_cifar(36, Size(3.6), accuracy=97.43), _imagenet(48, Size(5.3, 586), accuracy=74.9)),
    ),
    PublishedArchitecture(
        "PC_DARTS_IMAGENET",
        "darts",
        _genotype(
            "skip 1, sep3 0 / sep3 0, skip 1 / sep3 1, sep3 3 / sep3 1, dil5 4",
            "sep3 0, skip 1 / dil5 2, max3 1 / sep3 2, sep3 1 / sep5 0, sep3 3",
        ),
        f"{_PC_DARTS}, searched on ImageNet; their code, genotypes.py; as in RLNAS, Table 3",
        (_imagenet(48, Size(5.3, 597), accuracy=75.8),),
    ),
    PublishedArchitecture(
        "GDAS_V1",
        "darts",
        _genotype(_GDAS_NORMAL, _GDAS_REDUCTION),
        f"{_GDAS}, Figure 4; sizes and accuracies: Tables 1 and 2",
        (
            _cifar(36, Size(3.4), Size(3.369, 519.4), 97.07),
            _imagenet(50, Size(5.3, 581), Size(5.345, 581.0), 74.0),
        ),
    ),
    PublishedArchitecture(
        "GDAS_F1",
        "darts",
        _genotype(_FRC_NORMAL, None),
        f"{_GDAS}, with the fixed reduction cell, Figures 3 and 4; sizes and accuracies: Tables 1 and 2",
        (
            _cifar(36, Size(2.5), Size(2.543, 402.8), 97.18),
            _imagenet(52, Size(4.4, 497), Size(4.430, 496.7), 72.5),
        ),
        FIXED,
    ),
    PublishedArchitecture(
        "GDAS_GF",
        "darts",
        _genotype(_GDAS_NORMAL, None),
        f"{_GDAS}, the normal cell of GDAS_V1 with the fixed reduction cell, Table 5",
        (_cifar(36, Size(3.0), accuracy=97.13),),
        FIXED,
    ),
    PublishedArchitecture(
        "GDAS_FG",
        "darts",
        _genotype(_FRC_NORMAL, _GDAS_REDUCTION),
        f"{_GDAS}, the normal cell of GDAS_F1 with the reduction cell of GDAS_V1, Table 5",
        (_cifar(36, Size(2.9), accuracy=97.16),),
    ),
    PublishedArchitecture(
        "SETN",
        "darts",
        _genotype(
            "skip 0, sep5 1 / sep5 0, sep3 1 / sep5 1, sep5 3 / max3 1, conv3 4",
            "sep3 0, sep5 1 / avg3 0, sep5 1 / avg3 0, sep5 1 / avg3 0, skip 1",
        ),
        f"{_SETN}, T = 1,000; the cell of their code; sizes and accuracies: section 5.2",
        (
            _cifar(36, Size(4.6), accuracy=97.31),
            _imagenet(73, Size(5.2, 597), accuracy=73.3, cells=5),
            _imagenet(58, Size(5.3, 600), accuracy=74.3, cells=8),
            _imagenet(49, Size(5.3, 584), accuracy=74.1, cells=11),
            _imagenet(44, Size(5.4, 599), accuracy=74.3),
        ),
        SETN_OPERATIONS,
    ),
    PublishedArchitecture(
        "RLNAS_CIFAR10",
        "darts",
        _genotype(
            "sep5 0, sep3 1 / dil3 0, sep5 2 / sep3 0, dil5 3 / dil5 1, dil3 2",
            "sep5 0, dil3 1 / sep3 0, sep5 2 / dil3 1, sep3 3 / max3 1, sep5 2",
        ),
        f"{_RLNAS}, searched on CIFAR-10; their code, readme.md; sizes and accuracies: Table 3",
        (
            _imagenet(48, Size(5.7, 629), Size(5.675, 628.4), 76.0),
            _imagenet(46, Size(5.3, 581), Size(5.258, 579.8), 75.6),
        ),
    ),
    PublishedArchitecture(
        "RLNAS_IMAGENET",
        "darts",
        _genotype(
            "sep3 0, sep3 1 / sep3 1, sep3 2 / sep3 0, sep5 1 / sep3 0, sep3 1",
            "sep3 0, sep3 1 / sep5 0, sep3 2 / sep5 0, sep5 2 / sep3 2, sep3 4",
        ),
        f"{_RLNAS}, searched on ImageNet without a limit; their code, readme.md; sizes and accuracies: Table 4",
        (_imagenet(48, Size(6.6, 724), accuracy=76.7), _imagenet(42, Size(5.2, 561), accuracy=75.9)),
    ),
    PublishedArchitecture(
        "RLNAS_IMAGENET_600M",
        "darts",
        _genotype(
            "sep3 0, sep3 1 / skip 1, sep3 2 / sep3 1, sep3 2 / skip 0, sep3 4",
            "sep3 0, max3 1 / sep3 0, skip 1 / sep3 0, dil3 1 / skip 0, sep3 1",
        ),
        f"{_RLNAS}, searched on ImageNet within 600 million multiply-adds; their code, genotypes.py; Table 3",
        (_imagenet(48, Size(5.5, 597), accuracy=75.9),),
    ),
    PublishedArchitecture(
        "RLNAS_MOBILENET",
        "mobilenet",
        "2 0 -1 2 2 0 2 4 0 4 4 2 4 2 4 2 0 0 0 2 2",
        f"{_RLNAS}, MobileNet-like space; the integers of their code, retrain.sh; size and accuracy: Table 5",
        (PublishedNetwork("ImageNet", {}, 224, 1000, Size(5.3, 473), accuracy=75.6),),
    ),
    _recurrent(
        "RNN_ENAS",
        "tanh 0, tanh 1, relu 1, tanh 3, tanh 3, relu 3, relu 4, relu 7, relu 8, relu 8, relu 8",
        "Pham et al. 2018 (ENAS), Figure 6, as DARTS' code has it, rnn/genotypes.py",
        (_language(850, 10_000, None),),
        outputs="leaves",
    ),
    _recurrent(
        "RNN_DARTS_V1",
        "relu 0, relu 1, tanh 2, relu 3, relu 4, identity 1, relu 5, relu 1",
        f"{_DARTS}, recurrent, first order; their code, rnn/genotypes.py; sizes: Tables 2 and 5",
    ),
    _recurrent(
        "RNN_DARTS_V2",
        "sigmoid 0, relu 1, relu 1, identity 1, tanh 2, sigmoid 5, tanh 3, relu 5",
        f"{_DARTS}, recurrent, second order; their code, rnn/genotypes.py; sizes: Tables 2 and 5",
    ),
    _recurrent(
        "RNN_GDAS",
        "relu 0, relu 0, identity 1, relu 1, tanh 0, relu 2, identity 4, identity 2",
        f"{_GDAS}, recurrent; their code; sizes: Tables 3 and 4",
    ),
)

PUBLISHED: dict[str, PublishedArchitecture] = {architecture.name: architecture for architecture in _ALL}
"""The architectures by their names."""


def published(name: str) -> PublishedArchitecture | None:
    """Returns the published architecture of a name in any case, with - for _; None if there is none."""
    return PUBLISHED.get(name.strip().upper().replace("-", "_"))
