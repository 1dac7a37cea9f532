"""A measure of networks with the weights that they inherit from a supernet.

With f(x; a, W, s_a) the logits of architecture `a`, W are the shared weights and s_a the statistics of batch
normalisation. Those of the supernet are a mixture over all paths and fit none of them. They are measured anew for each
architecture: forgotten, then averaged over a fixed set of training images, every batch with the same weight (SPOS, Guo
et al. 2020, section 3.4, whose code runs on with the momentum of training, which forgets all but the last 19 batches).
Images, their order and their batches are the same for all architectures, and nothing of one is left for the next: a
value depends on weights and architecture alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from raynas.data import FixedImages, FixedText
from raynas.errors import RunError
from raynas.fitness.prefix_sharing import Stage, prefix_tree
from raynas.fitness.row import FITNESS, FitnessRow
from raynas.search_space import Architecture
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.folding import folded
from raynas.supernet.gates import single_path
from raynas.training.batch_norm import BATCH_NORMS, measure_statistics
from raynas.training.window import Remembering


class WithInheritedWeights:
    """A fitness that runs networks, with the weights of one supernet."""

    def __init__(
        self,
        supernet: nn.Module,
        calibration: FixedImages | FixedText,
        evaluation: FixedImages | FixedText,
        row: FitnessRow,
        *,
        options: Any = None,
        batch_size: int = 256,
    ) -> None:
        """Takes over the supernet, whose statistics of batch normalisation it will overwrite.

        Args:
            supernet: Trained weights, on the device to compute on. Its buffers must be its own.
            calibration: Images to measure the statistics of batch normalisation on.
            evaluation: Images to evaluate on.
            row: What is measured, and which quantity is the fitness.
            options: Those of the row.
            batch_size: Images in a batch, of both kinds.
        """
        assert row.measure is not None
        self._supernet = supernet.eval()
        self._norms = [m for m in supernet.modules() if isinstance(m, BATCH_NORMS)]
        self._device = next(supernet.parameters()).device
        self._calibration, self._evaluation = calibration, evaluation
        self._batch_size = batch_size
        self._measure, self._options = row.measure, options
        names = [quantity.name for quantity in row.measure.quantities]
        self._column, self._sign = names.index(row.quantity), -1 if row.negated else 1
        self.quantities: tuple[str, ...] = (FITNESS, *names)

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns fitness and quantities of the measure of each architecture, ``(n, len(quantities))`` float64.

        In a chain, architectures that begin alike share that part of the work (`prefix_sharing`): ask for many at once.

        Raises:
            RunError: If a quantity is not finite.
        """
        if isinstance(self._supernet, ChainNetwork):
            sums = self._evaluate_chain(self._supernet, architectures)
        else:
            sums = [self._evaluate(architecture) for architecture in architectures]
        rows = [self._row(a, of_one) for a, of_one in zip(architectures, sums, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, len(self.quantities))

    def _row(self, architecture: Architecture, sums: Tensor) -> list[float]:
        """Returns the fitness and the quantities of an architecture, from the sums over the evaluation images."""
        values = list(self._measure.values(sums, len(self._evaluation), self._options))
        for quantity, value in zip(self._measure.quantities, values, strict=True):
            if not np.isfinite(value):
                raise RunError(
                    f"the {quantity.title} of {tuple(architecture)} is {value}: the supernet's weights diverged"
                )
        return [self._sign * values[self._column], *values]

    @torch.inference_mode()
    def _evaluate(self, architecture: Architecture) -> Tensor:
        """Returns the sums over the evaluation images."""
        gates = single_path(architecture)
        for norm in self._norms:
            norm.reset_running_stats()
        calibrated = Remembering(self._supernet)
        self._calibrate(lambda images: calibrated(images, gates))
        sums = torch.zeros((), dtype=torch.float64)
        evaluated = Remembering(self._supernet)
        with folded(self._supernet):
            for images, labels in self._evaluation.batches(self._batch_size, self._device):
                sums = sums + self._sums(evaluated(images, gates), labels)
        return sums

    @torch.inference_mode()
    def _evaluate_chain(self, supernet: ChainNetwork, architectures: Sequence[Architecture]) -> list[Tensor]:
        """Returns the sums of each architecture over the evaluation images, prefixes shared."""
        tree = prefix_tree(supernet, architectures)
        sums = [torch.zeros((), dtype=torch.float64) for _ in architectures]
        self._calibrate(lambda images: tree.pass_on(images, lambda stage, logits: None))
        with folded(supernet):
            for images, labels in self._evaluation.batches(self._batch_size, self._device):

                def finish(stage: Stage, logits: Tensor, labels: Tensor = labels) -> None:
                    of_batch = self._sums(logits, labels)
                    for position in stage.architectures:
                        sums[position] = sums[position] + of_batch

                tree.pass_on(images, finish)
        return sums

    def _sums(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Returns what a batch adds to the sums, ``(k,)`` float64, on the CPU."""
        return self._measure.sums(logits, labels, self._options).double().cpu()

    def _calibrate(self, run: Callable[[Tensor], object]) -> None:
        """Measures the statistics of batch normalisation that a run touches: the mean over the batches."""
        if not self._norms:
            return
        batches = self._calibration.batches(self._batch_size, self._device)
        measure_statistics(self._norms, run, (images for images, _ in batches))
