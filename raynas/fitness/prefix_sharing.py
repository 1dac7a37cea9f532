"""Shared evaluation of the common first choices of several chain architectures.

A population becomes a tree of prefixes, whose leaves are the architectures. A batch of images passes through the tree
depth first. The output of a prefix is kept until all its continuations have used it. The number of activations in
memory is therefore at most the length of the chain. Batch normalisation statistics belong to a prefix too, because the
input of a layer depends only on the layers before it. Every result equals that of the architecture alone, to the bit:
the operations and tensors are the same, and only repetitions are omitted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from raynas.search_space import Architecture
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.gates import Gate
from raynas.training.batch_norm import BATCH_NORMS


class Stage:
    """The last step of a prefix: its module, the statistics of its normalisations, and the steps that follow.

    Attributes:
        following: The next stages, by candidate; empty after the end of a chain.
        architectures: Positions of the architectures that end here.
    """

    def __init__(self, run: Callable[[Tensor], Tensor], module: nn.Module) -> None:
        """Stores the function that runs the stage, and the module whose normalisations get separate statistics."""
        self.following: dict[int | None, Stage] = {}
        self.architectures: list[int] = []
        self._run = run
        self._norms = [m for m in module.modules() if isinstance(m, BATCH_NORMS) and m.track_running_stats]
        self._statistics = [
            (torch.zeros_like(norm.running_mean), torch.ones_like(norm.running_var))  # type: ignore[arg-type]
            for norm in self._norms
        ]

    def pass_on(self, x: Tensor, finish: Callable[[Stage, Tensor], None]) -> None:
        """Runs this stage and all following stages on `x`, and calls `finish` with the output of each end."""
        for norm, (mean, variance) in zip(self._norms, self._statistics, strict=True):
            norm.running_mean, norm.running_var = mean, variance
        x = self._run(x)
        if self.architectures:
            finish(self, x)
        for stage in self.following.values():
            stage.pass_on(x, finish)


def prefix_tree(network: ChainNetwork, architectures: Sequence[Architecture]) -> Stage:
    """Returns the first stage of the prefix tree; equal architectures share their end.

    After images pass through the tree, the network's normalisations refer to statistics of the tree.
    """
    root = Stage(network.begin, network.begin)
    for position, architecture in enumerate(architectures):
        stage = root
        for block, k in zip(network.blocks, architecture, strict=True):
            if k not in stage.following:
                run = functools.partial(block, gate=Gate((k,)))
                stage.following[k] = Stage(run, block.candidate(k))  # type: ignore[operator]
            stage = stage.following[k]
        end = stage.following.setdefault(None, Stage(network.end, network.end))
        end.architectures.append(position)
    return root
