"""What one evaluation of a batch minimises, and in what arithmetic: one statement for weights and alphas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raynas.training.recipe import Recipe
from raynas.training.window import WindowOutput

Outputs: TypeAlias = Tensor | tuple[Tensor, Tensor] | WindowOutput
"""What a network returns: logits, and in training mode those of an auxiliary tower too, where it has one.

For a window of a text it returns what a `WindowOutput` holds.
"""


@dataclass(frozen=True)
class Objective:
    """The cross-entropy of a batch, in nats, with what is added to it.

    Attributes:
        batch_size: What the sum over the images is divided by: those of all workers together; None for those at hand.
            Of a text these are the parallel streams, each with the mean over its tokens.
        label_smoothing: Share of the target that is spread evenly over all labels.
        auxiliary_weight: Weight of the loss of an auxiliary tower, where the network has one.
        bfloat16: Whether forward and backward run under bfloat16 autocast.
        penalised: Whether the penalty that a network returns for a window is added.
    """

    batch_size: int | None = None
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.0
    bfloat16: bool = False
    penalised: bool = False

    @classmethod
    def of(cls, recipe: Recipe) -> Objective:
        """Returns what a recipe minimises."""
        return cls(
            recipe.batch_size,
            recipe.label_smoothing,
            recipe.auxiliary_weight,
            recipe.precision == "bfloat16",
            penalised=True,
        )

    def evaluate(
        self, network: Callable[[], Outputs], labels: Tensor, watch: Callable[[Outputs], object] = lambda outputs: None
    ) -> tuple[Tensor, Tensor]:
        """Returns the objective, ``()``, and the logits, ``(batch, labels)`` in 32 bits or more.

        Args:
            network: Runs the network on the batch.
            labels: ``(batch,)``.
            watch: Told what the network returned.
        """
        with torch.autocast(labels.device.type, torch.bfloat16) if self.bfloat16 else nullcontext():
            outputs = network()
        watch(outputs)
        if isinstance(outputs, WindowOutput):
            return self._of_window(outputs, labels)
        logits, *auxiliary = (outputs,) if isinstance(outputs, Tensor) else outputs
        logits = _wide(logits)
        loss = self._sum(logits, labels)
        for further in auxiliary:
            loss = loss + self.auxiliary_weight * self._sum(_wide(further), labels)
        return loss / (self.batch_size or len(labels)), logits

    def _of_window(self, output: WindowOutput, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the objective of a window, the mean over streams of the mean over tokens, and the logits."""
        logits = _wide(output.logits)
        loss = self._sum(logits, labels) / output.length
        if self.penalised:
            loss = loss + output.penalty.to(loss)
        return loss / (self.batch_size or len(output.state)), logits

    def _sum(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=self.label_smoothing)


CROSS_ENTROPY = Objective()
"""The mean cross-entropy of a batch."""


def _wide(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


@torch.no_grad()
def classification_sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the sum of the cross-entropies without label smoothing, and the right predictions, ``(2,)`` float64."""
    losses = F.cross_entropy(logits, labels, reduction="sum")
    right = (logits.argmax(dim=1) == labels).sum()
    return torch.stack([losses.double(), right.double()])


@torch.no_grad()
def language_sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the sum of the cross-entropies twice, for the loss and for the perplexity, ``(2,)`` float64."""
    loss = F.cross_entropy(logits, labels, reduction="sum").double()
    return torch.stack([loss, loss])


SUMS = {"images": classification_sums, "tokens": language_sums}
"""The sums of a step's metrics, by what networks take; `raynas.training.metrics.MEASURED` says what they are."""


@contextmanager
def dropping(device: torch.device, *seeds: int) -> Iterator[None]:
    """Draws what is dropped inside the block (paths, units) from these seeds, and leaves torch's generators alone."""
    on_gpu = device.type == "cuda"
    seed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        (torch.manual_seed if on_gpu else torch.default_generator.manual_seed)(seed)
        yield
