r"""One-shot perplexity: how well an architecture predicts the next token with the weights that it inherits.

    perplexity(a) = exp(mean over the tokens of the cross-entropy of the token that follows)

The text is read in parallel streams (`search.evaluation_batch_size`), and the state of each is kept to its end. The
fitness is minus the perplexity, since less is better.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from raynas.fitness.row import EvaluationOptions, FitnessRow, Measure, Quantity
from raynas.training.metrics import perplexity


def _loss(logits: Tensor, labels: Tensor, options: EvaluationOptions) -> Tensor:
    """Returns the summed cross-entropy of a window, ``(1,)`` float64."""
    return F.cross_entropy(logits, labels, reduction="sum").double().reshape(1)


def _perplexity_and_loss(sums: Tensor, tokens: int, options: EvaluationOptions) -> tuple[float, float]:
    """Returns perplexity and loss (nats)."""
    loss = float(sums)
    return perplexity(loss, tokens), loss / tokens


ONE_SHOT_PERPLEXITY = FitnessRow(
    name="one_shot_perplexity",
    title="negative one-shot perplexity",
    digits=2,
    options=EvaluationOptions,
    measure=Measure(
        quantities=(
            Quantity("perplexity", "one-shot perplexity", digits=2),
            Quantity("loss", "one-shot loss", "nats", 4),
        ),
        sums=_loss,
        values=_perplexity_and_loss,
    ),
    quantity="perplexity",
    negated=True,
)
