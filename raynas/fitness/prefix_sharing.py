"""Architectures of a chain with the same first choices, run through those choices once.

A population becomes a tree of prefixes, its leaves the architectures. A batch of images goes through the tree depth
first: what leaves a prefix is kept until all that follow it have had it, so that no more activations are held than the
chain is long. Statistics of batch normalisation belong to a prefix as well, since what reaches a layer depends on
nothing that comes after it. Every number is the one that the architecture alone would get, to the bit: the same
operations on the same tensors, of which only repetitions are left out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from raynas.search_space import Architecture
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.gates import Gate

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Stage:
    """The last step of a prefix: what runs, the statistics of its normalisations here, and the steps that follow.

    Attributes:
        following: The next stages, by candidate; none after the end of a chain.
        architectures: The positions of those that end here.
    """

    def __init__(self, run: Callable[[Tensor], Tensor], module: nn.Module) -> None:
        """Takes how a tensor goes through, and the module whose normalisations have statistics of their own here."""
        self.following: dict[int | None, Stage] = {}
        self.architectures: list[int] = []
        self._run = run
        self._norms = [m for m in module.modules() if isinstance(m, BATCH_NORMS) and m.track_running_stats]
        self._statistics = [
            (torch.zeros_like(norm.running_mean), torch.ones_like(norm.running_var))  # type: ignore[arg-type]
            for norm in self._norms
        ]

    def pass_on(self, x: Tensor, finish: Callable[[Stage, Tensor], None]) -> None:
        """Runs this stage and all that follow it on `x`, and calls `finish` with what leaves each end."""
        for norm, (mean, variance) in zip(self._norms, self._statistics, strict=True):
            norm.running_mean, norm.running_var = mean, variance
        x = self._run(x)
        if self.architectures:
            finish(self, x)
        for stage in self.following.values():
            stage.pass_on(x, finish)


def prefix_tree(network: ChainNetwork, architectures: Sequence[Architecture]) -> Stage:
    """Returns the first stage of a tree of the architectures; equal ones share their end.

    Once images go through it, the network's normalisations hold statistics of the tree.
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
