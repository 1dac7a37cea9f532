"""The networks of DARTS' cells: supernets and derived networks.

Reference: Liu et al. 2019, "DARTS: Differentiable Architecture Search".
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.spaces.cell_graph import CellGraph
from raynas.spaces.darts_operations import OPERATIONS, POOLS
from raynas.spaces.darts_skeleton import Skeleton
from raynas.spaces.operations import ConvBn, FactorizedReduce, ReluConvBn, row_then_column
from raynas.spaces.partial_channels import PartialChoiceBlock
from raynas.supernet.choice_block import ChoiceBlock, with_idle
from raynas.supernet.gates import Gate, Gates, per_cell


class SearchedCell(nn.Module):
    """A cell: two inputs in the cell's channels and four nodes, each the sum of its edges, concatenated.

    A node that receives nothing is zeros, and an operation on it is not run. Training paths and mixtures have no such
    node; other routes may.
    """

    def __init__(
        self,
        inputs: nn.ModuleList,
        channels: int,
        stride: int,
        graph: CellGraph,
        candidates: Sequence[Sequence[str]],
        pool_bn: bool,
        partial_channels: int = 1,
        **normalisation: bool,
    ) -> None:
        """Builds a choice block of the named candidates on every edge; edges from the inputs have the stride."""
        super().__init__()
        self.inputs = inputs
        self.edges = nn.ModuleList()
        for (source, _), names in zip(graph.edges, candidates, strict=True):
            of_edge = stride if source < 2 else 1
            number = channels // partial_channels
            operations = {name: _candidate(name, number, of_edge, pool_bn, normalisation) for name in names}
            partial = PartialChoiceBlock(operations, partial_channels, of_edge) if partial_channels > 1 else None
            self.edges.append(partial or ChoiceBlock(operations))
        self._graph = graph
        self._stride = stride

    def forward(self, before_last: Tensor, last: Tensor, gates: Gates) -> Tensor:
        """Returns the concatenated nodes, ``(batch, 4 * channels, height / stride, width / stride)``."""
        blocks: Sequence[ChoiceBlock] = list(self.edges)  # type: ignore[arg-type]
        nodes: list[Tensor | None] = [self.inputs[0](before_last), self.inputs[1](last), None, None, None, None]
        for (source, target), block, gate in zip(self._graph.edges, blocks, gates, strict=True):
            x, total = nodes[source], nodes[target]
            if x is not None and block.is_live(gate):
                out = block(x, gate)
                nodes[target] = with_idle(out, self._graph.into(gates, target)) if total is None else total + out
        return torch.cat([self._zeros(nodes[0]) if node is None else node for node in nodes[2:]], dim=1)

    def _zeros(self, x: Tensor | None) -> Tensor:
        """Returns the output of a node that receives nothing."""
        assert x is not None
        return torch.zeros_like(x[:, :, :: self._stride, :: self._stride])


def _candidate(name: str, channels: int, stride: int, pool_bn: bool, normalisation: Mapping[str, bool]) -> nn.Module:
    """Returns an operation; a pooling is followed by a batch normalisation if `pool_bn` says so."""
    operation = OPERATIONS[name](channels, stride, **normalisation)
    if name in POOLS and pool_bn:
        return nn.Sequential(operation, nn.BatchNorm2d(channels, **normalisation))
    return operation


class FixedReduction(nn.Module):
    """GDAS' reduction cell: each input by convolutions and by max pooling, concatenated.

    Reference: Dong and Yang 2019 (GDAS), section 3.3 and Figure 3.
    """

    def __init__(self, inputs: nn.ModuleList, channels: int, **normalisation: bool) -> None:
        """Builds two branches of each kind, one for each input."""
        super().__init__()
        self.inputs = inputs
        self.convolutions = nn.ModuleList()
        self.pools = nn.ModuleList()
        for _ in range(2):
            convolution = row_then_column(channels, 3, stride=2, groups=8, **normalisation)
            pointwise = ReluConvBn(channels, channels, 1, **normalisation)
            self.convolutions.append(nn.Sequential(convolution, pointwise))
        for _ in range(2):
            pool = nn.MaxPool2d(3, stride=2, padding=1)
            self.pools.append(nn.Sequential(pool, nn.BatchNorm2d(channels, **normalisation)))

    def forward(self, before_last: Tensor, last: Tensor, gates: Gates) -> Tensor:
        """Returns the branches, ``(batch, 4 * channels, height / 2, width / 2)``; the cell has no choices."""
        nodes = [self.inputs[0](before_last), self.inputs[1](last)]
        branches = (*self.convolutions, *self.pools)
        return torch.cat([branch(x) for branch, x in zip(branches, nodes * 2, strict=True)], dim=1)


class AuxiliaryTower(nn.Module):
    """The second classifier of DARTS' code, on the output of the second reduction cell; it runs in training mode only.

    Maps are averaged to 2x2 over windows of 5x5, as in that code: with a stride of 3 for maps of 8x8 (CIFAR) and of 2
    for maps of 7x7 (ImageNet). Maps of other sizes, which that code does not accept, are averaged adaptively.

    The code leaves out the second normalisation on ImageNet and calls that an oversight; AutoDL's has it there too.
    """

    def __init__(self, channels: int, num_classes: int, second_norm: bool = True) -> None:
        """Builds the tower on maps of `channels`, with or without its second normalisation."""
        super().__init__()
        self.first = ConvBn(channels, 128, 1)
        convolution = nn.Conv2d(128, 768, 2, bias=False)
        self.second = nn.Sequential(convolution, nn.BatchNorm2d(768)) if second_norm else nn.Sequential(convolution)
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits, ``(batch, num_classes)``, of maps ``(batch, channels, height, width)``."""
        x, size = F.relu(x), x.shape[-1]
        x = F.avg_pool2d(x, 5, stride=size - 5) if size in (7, 8) else F.adaptive_avg_pool2d(x, 2)
        x = F.relu(self.second(F.relu(self.first(x))))
        logits: Tensor = self.classifier(x.flatten(1))
        return logits


class DartsNetwork(nn.Module):
    """Stem, cells and classifier: a supernet, or, with one candidate left at every choice, a derived network.

    Attributes:
        num_cells: Number of cells.
        channels: Channels of each cell's nodes.
        parts: Which of the choices each cell makes.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        candidates: Sequence[Sequence[str]],
        num_classes: int,
        pool_bn: bool = False,
        affine: bool = True,
        track_running_stats: bool = True,
        auxiliary: bool = False,
        second_norm: bool = True,
        partial_channels: int = 1,
    ) -> None:
        """Builds the network with the named candidates at each choice; the defaults are those of derived networks."""
        super().__init__()
        normalisation = {"affine": affine, "track_running_stats": track_running_stats}
        self.num_cells = skeleton.cells
        self.channels = [skeleton.channels_of(cell) for cell in range(skeleton.cells)]
        self.parts = _parts(skeleton)
        self.stem0, self.stem1 = _stem(skeleton)
        halved = skeleton.stem == "imagenet"
        before_last = last = skeleton.channels if halved else 3 * skeleton.channels

        self.cells = nn.ModuleList()
        for cell, (channels, part) in enumerate(zip(self.channels, self.parts, strict=True)):
            first = FactorizedReduce if halved else functools.partial(ReluConvBn, kernel_size=1)
            of_first = first(before_last, channels, **normalisation)
            of_second = ReluConvBn(last, channels, 1, **normalisation)
            inputs = nn.ModuleList([of_first, of_second])
            halved = cell in skeleton.reductions
            self.cells.append(
                FixedReduction(inputs, channels, **normalisation)
                if skeleton.kind(cell) is None
                else SearchedCell(
                    inputs,
                    channels,
                    2 if halved else 1,
                    skeleton.graph,
                    candidates[part],
                    pool_bn,
                    partial_channels,
                    **normalisation,
                )
            )
            before_last, last = last, 4 * channels

        self.classifier = nn.Linear(last, num_classes)
        self._auxiliary_cell = skeleton.reductions[1]
        self.auxiliary: AuxiliaryTower | None = None
        if auxiliary:
            of_cell = 4 * self.channels[self._auxiliary_cell]
            self.auxiliary = AuxiliaryTower(of_cell, num_classes, second_norm)
        is_supernet = any(len(names) > 1 for names in candidates)
        self._only_route = None if is_supernet else tuple(Gate((0,)) for _ in candidates)

    def candidate(self, cell: int, edge: int, k: int) -> nn.Module:
        """Returns candidate `k` of an edge of a cell."""
        block: ChoiceBlock = self.cells[cell].edges[edge]  # type: ignore[index, assignment]
        return block.candidate(k)

    def forward(self, images: Tensor, gates: Gates | Sequence[Gates] | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """Returns logits, ``(batch, num_classes)``; in training mode also those of an auxiliary tower.

        Args:
            images: ``(batch, 3, height, width)``.
            gates: One gate per choice for all cells, or such gates for each cell; not needed by a derived network.
        """
        route = gates if gates is not None else self._only_route
        assert route is not None, "a supernet needs gates"
        before_last = self.stem0(images)
        last = self.stem1(before_last)
        auxiliary_logits: Tensor | None = None
        cells = zip(self.cells, self.parts, per_cell(route, self.num_cells), strict=True)
        for number, (cell, part, cell_gates) in enumerate(cells):
            before_last, last = last, cell(before_last, last, cell_gates[part])
            if self.auxiliary is not None and self.training and number == self._auxiliary_cell:
                auxiliary_logits = self.auxiliary(last)
        logits: Tensor = self.classifier(last.mean(dim=(2, 3)))
        return logits if auxiliary_logits is None else (logits, auxiliary_logits)


def _stem(skeleton: Skeleton) -> tuple[nn.Module, nn.Module]:
    """Returns the modules before the first cell: that of its first input, and that after it, of its second."""
    c = skeleton.channels
    if skeleton.stem == "cifar":
        return ConvBn(3, 3 * c, 3), nn.Identity()
    first = nn.Sequential(ConvBn(3, c // 2, 3, stride=2), ReluConvBn(c // 2, c, 3, stride=2))
    return first, ReluConvBn(c, c, 3, stride=2)


def _parts(skeleton: Skeleton) -> list[slice]:
    """Returns the choices that each cell makes."""
    number = len(skeleton.graph.edges)
    parts = []
    for cell in range(skeleton.cells):
        kind = skeleton.kind(cell)
        if kind is None:
            parts.append(slice(0, 0))
        else:
            start = skeleton.kinds.index(kind) * number
            parts.append(slice(start, start + number))
    return parts
