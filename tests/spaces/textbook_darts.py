"""A network of the DARTS space written out plainly: every weighted operation run, in torch's own functions.

Nothing of raynas is used but the names of the weights, which are those of its checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.spaces.textbook import Textbook

EDGES = {
    "all": [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (0, 4), (1, 4), (2, 4), (3, 4), *((i, 5) for i in range(5))],
    "kept": [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3), (0, 4), (1, 4), (2, 4), (3, 4), *((i, 5) for i in range(5))],
    "fixed": [(0, 2), (1, 2), (0, 3), (2, 3), (0, 4), (3, 4), (0, 5), (4, 5)],
}

PATHS = (
    *((0, 2), (0, 3), (0, 4), (0, 5), (0, 2, 3), (0, 2, 4), (0, 2, 5), (0, 3, 4), (0, 3, 5), (0, 4, 5)),
    *((0, 2, 3, 4), (0, 2, 3, 5), (0, 2, 4, 5), (0, 3, 4, 5), (0, 2, 3, 4, 5)),
    *((1, 2), (1, 3), (1, 4), (1, 5), (1, 2, 3), (1, 2, 4), (1, 2, 5), (1, 3, 4), (1, 3, 5), (1, 4, 5)),
    *((1, 2, 3, 4), (1, 2, 3, 5), (1, 2, 4, 5), (1, 3, 4, 5), (1, 2, 3, 4, 5)),
)
"""The thirty paths from an input to a node, by the nodes on them."""


def choices_of_cells(space):
    """Returns for each cell the positions of its choices in an architecture."""
    edges = len(EDGES[space.edges])
    positions, seen = [], {}
    for cell in range(space.cells):
        reduces = cell in (space.cells // 3, 2 * space.cells // 3)
        key = reduces if space.share_cells else cell
        if reduces and space.reduction == "fixed":
            positions.append(range(0))
        else:
            start = seen.setdefault(key, edges * len(seen))
            positions.append(range(start, start + edges))
    return positions


def one_hot(space, architecture):
    """Returns the weights of all cells on a single path: ``weights[cell][edge][k]``."""
    rows = [[float(k == taken) for k in range(len(space.operations))] for taken in architecture]
    return [[rows[position] for position in positions] for positions in choices_of_cells(space)]


class DartsTextbook(Textbook):
    """A network as a function of a state dict; normalises after a pooling where the state has weights for that."""

    def __init__(self, state, space, training, pool_bn):
        super().__init__(state, space.cells, training)
        self.space, self.pool_bn = space, pool_bn

    def conv(self, x, name, **options):
        return F.conv2d(x, self.state[f"{name}.weight"], **options)

    def factorized_reduce(self, x, name):
        x = x.relu()
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        halves = [self.conv(x, f"{name}.conv_1", stride=2), self.conv(shifted, f"{name}.conv_2", stride=2)]
        return self.normalise(torch.cat(halves, dim=1), f"{name}.bn")

    def separable(self, x, name, kernel, stride, dilation=1):
        padding = {(3, 1): 1, (5, 1): 2, (7, 1): 3, (3, 2): 2, (5, 2): 4}[kernel, dilation]
        depthwise = {"stride": stride, "padding": padding, "dilation": dilation, "groups": x.shape[1]}
        x = self.conv(x.relu(), f"{name}.first", **depthwise)
        return self.normalise(self.conv(x, f"{name}.second"), f"{name}.bn")

    def row_then_column(self, x, name, length, stride, groups=1):
        pad = (length - 1) // 2
        x = self.conv(x.relu(), f"{name}.first", stride=(1, stride), padding=(0, pad), groups=groups)
        x = self.conv(x, f"{name}.second", stride=(stride, 1), padding=(pad, 0), groups=groups)
        return self.normalise(x, f"{name}.bn")

    def operation(self, operation, x, name, stride):
        kind, _, size = operation.rpartition("_")
        kernel = int(size[0]) if size[0].isdigit() else None
        if operation == "none":
            return x[:, :, ::stride, ::stride] * 0
        if operation == "skip_connect":
            return x if stride == 1 else self.factorized_reduce(x, name)
        if kind.endswith("_pool"):
            if kind == "max_pool":
                x = F.max_pool2d(x, 3, stride, padding=1)
            else:
                x = F.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False)
            return self.normalise(x, f"{name}.1") if self.pool_bn else x
        if kind == "sep_conv":
            return self.separable(self.separable(x, f"{name}.0", kernel, stride), f"{name}.1", kernel, 1)
        if kind == "dil_conv":
            return self.separable(x, name, kernel, stride, dilation=2)
        if kind == "nor_conv":
            return self.relu_conv_bn(x, name, stride)
        return self.row_then_column(x, name, {"conv_3x1_1x3": 3, "conv_7x1_1x7": 7}[operation], stride)

    def fixed_reduction(self, s0, s1, name):
        outputs = []
        for number, x in enumerate((s0, s1)):
            out = self.row_then_column(x, f"{name}.convolutions.{number}.0", 3, 2, groups=8)
            outputs.append(self.relu_conv_bn(out, f"{name}.convolutions.{number}.1"))
        for number, x in enumerate((s0, s1)):
            outputs.append(self.normalise(F.max_pool2d(x, 3, 2, padding=1), f"{name}.pools.{number}.1"))
        return torch.cat(outputs, dim=1)

    def cell(self, before_last, last, index, weights, reduces, after_halving):
        name = f"cells.{index}"
        first = self.factorized_reduce if after_halving else self.relu_conv_bn
        nodes = [first(before_last, f"{name}.inputs.0"), self.relu_conv_bn(last, f"{name}.inputs.1")]
        if reduces and self.space.reduction == "fixed":
            return self.fixed_reduction(*nodes, name)
        for target in (2, 3, 4, 5):
            total = 0
            for edge, (source, into) in enumerate(EDGES[self.space.edges]):
                if into == target:
                    stride = 2 if reduces and source < 2 else 1
                    for operation, weight in zip(self.space.operations, weights[edge], strict=True):
                        if not isinstance(weight, float) or weight:
                            out = self.operation(operation, nodes[source], f"{name}.edges.{edge}.{operation}", stride)
                            total = total + weight * out
            nodes.append(total)
        return torch.cat(nodes[2:], dim=1)

    def __call__(self, images, weights_of_cells):
        """Returns logits; ``weights_of_cells[cell][edge][k]`` weighs operation k of an edge."""
        if self.space.stem == "cifar":
            x = self.normalise(self.conv(images, "stem0.conv", padding=1), "stem0.bn")
            outputs, halving = [x, x], False
        else:
            x = self.normalise(self.conv(images, "stem0.0.conv", stride=2, padding=1), "stem0.0.bn")
            x = self.relu_conv_bn(x, "stem0.1", stride=2)
            outputs, halving = [x, self.relu_conv_bn(x, "stem1", stride=2)], True
        for index, weights in enumerate(weights_of_cells):
            reduces = index in (self.cells // 3, 2 * self.cells // 3)
            outputs.append(self.cell(*outputs[-2:], index, weights, reduces, halving))
            halving = reduces
        x = outputs[-1].mean(dim=(2, 3))
        return x @ self.state["classifier.weight"].T + self.state["classifier.bias"]
