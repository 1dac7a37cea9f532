r"""One-shot accuracy and loss: how well an architecture does with the weights that it inherits from the supernet.

    accuracy(a) = mean over (x, y) of [argmax f(x; a, W, s_a) = y],    loss(a) = mean of the cross-entropy

W are the shared weights and s_a the statistics of batch normalisation. Those of the supernet are a mixture over all
paths and fit none of them, so that they are measured anew for each architecture: forgotten, then averaged over a fixed
set of training images, every batch with the same weight (SPOS, Guo et al. 2020, section 3.4, whose code runs on with
the momentum of training, which forgets all but the last 19 batches). Images, their order and their batches are the
same for all architectures, and nothing of one is left for the next: a value depends on weights and architecture alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.data import FixedImages
from raynas.fitness.prefix_sharing import BATCH_NORMS, Stage, prefix_tree
from raynas.search_space import Architecture
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.folding import folded
from raynas.supernet.gates import single_path


class OneShotAccuracy:
    """The fitness of SPOS: accuracy in percent, or minus the loss in nats, with inherited weights."""

    quantities: tuple[str, ...] = ("fitness", "accuracy", "loss")

    def __init__(
        self,
        supernet: nn.Module,
        calibration: FixedImages,
        evaluation: FixedImages,
        *,
        measure: Literal["accuracy", "loss"] = "accuracy",
        batch_size: int = 256,
    ) -> None:
        """Takes over the supernet, whose statistics of batch normalisation it will overwrite.

        Args:
            supernet: Trained weights, on the device to compute on. Its buffers must be its own.
            calibration: Images to measure the statistics of batch normalisation on.
            evaluation: Images to judge by.
            measure: Which of the two is the fitness.
            batch_size: Images in a batch, of both kinds.
        """
        self._supernet = supernet.eval()
        self._norms = [m for m in supernet.modules() if isinstance(m, BATCH_NORMS)]
        self._device = next(supernet.parameters()).device
        self._calibration, self._evaluation = calibration, evaluation
        self._batch_size = batch_size
        self._measure = measure

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns fitness, accuracy (percent) and loss (nats) of each architecture, ``(n, 3)`` float64.

        In a chain, architectures that begin alike share that part of the work (`prefix_sharing`): ask for many at once.

        Raises:
            RuntimeError: If a loss is not finite: the architecture has no accuracy to speak of.
        """
        if isinstance(self._supernet, ChainNetwork):
            sums = self._judge_chain(self._supernet, architectures)
        else:
            sums = [self._judge(architecture) for architecture in architectures]
        return np.array([self._row(a, s) for a, s in zip(architectures, sums, strict=True)]).reshape(-1, 3)

    def _row(self, architecture: Architecture, sums: Tensor) -> tuple[float, float, float]:
        """Returns fitness, accuracy and loss, from the number of right predictions and the summed loss."""
        accuracy, loss = (sums / len(self._evaluation) * torch.tensor([100.0, 1.0])).tolist()
        if not np.isfinite(loss):
            raise RuntimeError(f"the one-shot loss of {tuple(architecture)} is {loss}: the supernet's weights diverged")
        return (accuracy if self._measure == "accuracy" else -loss), accuracy, loss

    @torch.inference_mode()
    def _judge(self, architecture: Architecture) -> Tensor:
        """Returns right predictions and summed loss over the evaluation images, ``(2,)`` float64."""
        gates = single_path(architecture)
        for norm in self._norms:
            norm.reset_running_stats()
        sums = torch.zeros(2, dtype=torch.float64)
        self._calibrate(lambda images: self._supernet(images, gates))
        with folded(self._supernet):
            for images, labels in self._evaluation.batches(self._batch_size, self._device):
                sums += _right_and_loss(self._supernet(images, gates), labels)
        return sums

    @torch.inference_mode()
    def _judge_chain(self, supernet: ChainNetwork, architectures: Sequence[Architecture]) -> list[Tensor]:
        """Returns right predictions and summed loss of each architecture, prefixes shared."""
        tree = prefix_tree(supernet, architectures)
        sums = [torch.zeros(2, dtype=torch.float64) for _ in architectures]
        self._calibrate(lambda images: tree.pass_on(images, lambda stage, logits: None))
        with folded(supernet):
            for images, labels in self._evaluation.batches(self._batch_size, self._device):

                def finish(stage: Stage, logits: Tensor, labels: Tensor = labels) -> None:
                    right_and_loss = _right_and_loss(logits, labels)
                    for position in stage.architectures:
                        sums[position] += right_and_loss

                tree.pass_on(images, finish)
        return sums

    def _calibrate(self, run: Callable[[Tensor], object]) -> None:
        """Measures the statistics of batch normalisation that a run touches: the mean over the batches."""
        for norm in self._norms:
            norm.train()
        for number, (images, _) in enumerate(self._calibration.batches(self._batch_size, self._device), start=1):
            for norm in self._norms:
                norm.momentum = 1.0 / number
            run(images)
        for norm in self._norms:
            norm.eval()


def _right_and_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the number of right predictions and the summed cross-entropy of a batch, ``(2,)`` float64."""
    loss = F.cross_entropy(logits, labels, reduction="sum").double()
    return torch.stack([(logits.argmax(dim=1) == labels).sum().double(), loss]).cpu()
