r"""One-shot accuracy and loss: how well an architecture does with the weights that it inherits from the supernet.

    accuracy(a) = mean over (x, y) of [argmax f(x; a, W, s_a) = y],    loss(a) = mean of the cross-entropy

W are the shared weights and s_a the statistics of batch normalisation. Those of the supernet are a mixture over all
paths and fit none of them, so that they are measured anew for each architecture: forgotten, then averaged over a fixed
set of training images, every batch with the same weight (SPOS, Guo et al. 2020, section 3.4, whose code runs on with
the momentum of training, which forgets all but the last 19 batches). Images, their order and their batches are the
same for all architectures, and nothing of one is left for the next: a value depends on weights and architecture alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from raynas.data import FixedImages
from raynas.search_space import Architecture
from raynas.supernet.gates import Gates, single_path

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


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

        Raises:
            RuntimeError: If a loss is not finite: the architecture has no accuracy to speak of.
        """
        return np.array([self._judge(architecture) for architecture in architectures]).reshape(-1, 3)

    @torch.inference_mode()
    def _judge(self, architecture: Architecture) -> tuple[float, float, float]:
        gates = single_path(architecture)
        self._calibrate(gates)
        sums = torch.zeros(2, dtype=torch.float64)
        for images, labels in self._evaluation.batches(self._batch_size, self._device):
            logits = self._supernet(images, gates)
            loss = F.cross_entropy(logits, labels, reduction="sum").double()
            sums += torch.stack([(logits.argmax(dim=1) == labels).sum().double(), loss]).cpu()
        accuracy, loss = (sums / len(self._evaluation) * torch.tensor([100.0, 1.0])).tolist()
        if not np.isfinite(loss):
            raise RuntimeError(f"the one-shot loss of {tuple(architecture)} is {loss}: the supernet's weights diverged")
        return (accuracy if self._measure == "accuracy" else -loss), accuracy, loss

    def _calibrate(self, gates: Gates) -> None:
        """Measures the statistics of batch normalisation on this route: the mean over the batches, nothing kept."""
        for norm in self._norms:
            norm.reset_running_stats()
            norm.train()
        for number, (images, _) in enumerate(self._calibration.batches(self._batch_size, self._device), start=1):
            for norm in self._norms:
                norm.momentum = 1.0 / number
            self._supernet(images, gates)
        for norm in self._norms:
            norm.eval()
