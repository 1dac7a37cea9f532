"""NAS-Bench-201 written out plainly: every edge run, sums over all edges, ``none`` as a product with zero.

Nothing of raynas is used but the names of the weights, which are those of its checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

EDGES = {(0, 1): 0, (0, 2): 1, (1, 2): 2, (0, 3): 3, (1, 3): 4, (2, 3): 5}
PATHS = (((0, 3),), ((0, 2), (2, 3)), ((0, 1), (1, 2), (2, 3)), ((0, 1), (1, 3)))
"""The four paths from the input (node 0) to the output (node 3)."""


def one_hot(architecture):
    """Returns the weight of every operation on every edge of a single path, 6 rows of 5."""
    return [[float(k == taken) for k in range(5)] for taken in architecture]


class Textbook:
    """A network as a function of a state dict.

    Args:
        state: Weights and running statistics by name; batch statistics where a name has no running ones.
        cells: Searched cells per stage.
        training: Whether batch normalisation uses the statistics of the batch.
        nothing_stays_nothing: Whether an operation on a node that receives nothing gives nothing. Plainly, normalising
            zeros gives zeros in training but -mean / deviation by running statistics.
    """

    def __init__(self, state, cells, training, nothing_stays_nothing=False):
        self.state, self.cells, self.training = state, cells, training
        self.nothing_stays_nothing = nothing_stays_nothing

    def normalise(self, x, name):
        mean, var = (self.state.get(f"{name}.running_{which}") for which in ("mean", "var"))
        if self.training or mean is None:
            mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), unbiased=False)
        x = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        if f"{name}.weight" in self.state:
            x = x * self.state[f"{name}.weight"][:, None, None] + self.state[f"{name}.bias"][:, None, None]
        return x

    def relu_conv_bn(self, x, name, stride=1):
        weight = self.state[f"{name}.conv.weight"]
        return self.normalise(F.conv2d(x.relu(), weight, stride=stride, padding=weight.shape[-1] // 2), f"{name}.bn")

    def operation(self, k, x, name):
        if k == 0:
            return x * 0
        if k == 1:
            return x
        if k == 4:
            return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return self.relu_conv_bn(x, f"{name}.{('nor_conv_1x1', 'nor_conv_3x3')[k - 2]}")

    def cell(self, x, index, weights):
        nodes, receives = [x], [True]
        for target in (1, 2, 3):
            total, live = torch.zeros_like(x), False
            for source in range(target):
                edge = EDGES[source, target]
                for k, weight in enumerate(weights[edge]):
                    if isinstance(weight, float) and weight == 0:
                        continue
                    if k != 0 and receives[source]:
                        live = True
                    elif self.nothing_stays_nothing:
                        continue
                    total = total + weight * self.operation(k, nodes[source], f"cells.{index}.edges.{edge}")
            nodes.append(total)
            receives.append(live)
        return nodes[3]

    def reduction(self, x, name):
        main = self.relu_conv_bn(self.relu_conv_bn(x, f"{name}.conv_a", stride=2), f"{name}.conv_b")
        return main + F.conv2d(F.avg_pool2d(x, 2, 2), self.state[f"{name}.downsample.1.weight"])

    def __call__(self, images, weights_of_cells):
        """Returns logits; ``weights_of_cells[cell][edge][k]`` weighs operation k of an edge."""
        x = self.normalise(F.conv2d(images, self.state["stem.conv.weight"], padding=1), "stem.bn")
        for index, weights in enumerate(weights_of_cells):
            if index in (self.cells, 2 * self.cells):
                x = self.reduction(x, f"reductions.{index // self.cells - 1}")
            x = self.cell(x, index, weights)
        x = self.normalise(x, "last_bn").relu().mean(dim=(2, 3))
        return x @ self.state["classifier.weight"].T + self.state["classifier.bias"]
