r"""One-shot accuracy and loss: how well an architecture classifies with the weights that it inherits.

    accuracy(a) = mean over (x, y) of [argmax f(x; a, W, s_a) = y],    loss(a) = mean of the cross-entropy

W are the weights of the supernet, and s_a the statistics of batch normalisation, measured anew for `a`
(`inherited_weights`). The labels are those that the supernet was trained on, or the classes of the data set
(`search.evaluation_labels`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from raynas.fitness.row import EvaluationOptions, FitnessRow, Measure, Quantity


def _right_and_loss(logits: Tensor, labels: Tensor, options: EvaluationOptions) -> Tensor:
    """Returns the number of right predictions and the summed cross-entropy of a batch, ``(2,)`` float64."""
    loss = F.cross_entropy(logits, labels, reduction="sum").double()
    return torch.stack([(logits.argmax(dim=1) == labels).sum().double(), loss])


def _accuracy_and_loss(sums: Tensor, images: int, options: EvaluationOptions) -> tuple[float, float]:
    """Returns accuracy (percent) and loss (nats)."""
    right, loss = (sums / images).tolist()
    return 100.0 * right, loss


def _labels(options: EvaluationOptions) -> str:
    """Returns which labels count; empty for those of the training."""
    return "by classes" if options.evaluation_labels == "classes" else ""


CLASSIFICATION = Measure(
    quantities=(
        Quantity("accuracy", "one-shot accuracy", "percent", 2, is_accuracy=True),
        Quantity("loss", "one-shot loss", "nats", 4),
    ),
    sums=_right_and_loss,
    values=_accuracy_and_loss,
)

ONE_SHOT_ACCURACY = FitnessRow(
    name="one_shot_accuracy",
    title="one-shot accuracy",
    unit="percent",
    digits=2,
    options=EvaluationOptions,
    definition=_labels,
    measure=CLASSIFICATION,
    quantity="accuracy",
)
ONE_SHOT_LOSS = FitnessRow(
    name="one_shot_loss",
    title="negative one-shot loss",
    unit="nats",
    options=EvaluationOptions,
    definition=_labels,
    measure=CLASSIFICATION,
    quantity="loss",
    negated=True,
)
