"""Dropout before the classifier of a network."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from raynas.errors import InputError


class ClassifierDropout(nn.Linear):
    """A linear layer that drops its input while it is trained; its parameters are named as those of a linear layer.

    Attributes:
        dropout: The share that is dropped.
    """

    dropout: float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Returns the logits, ``(batch, classes)``, of features ``(batch, features)``."""
        return super().forward(F.dropout(x, self.dropout, self.training))


def drop_before_classifier(network: nn.Module, share: float) -> None:
    """Makes the last linear layer of a network drop a share of its input while it is trained, in place.

    Raises:
        InputError: If the network has no linear layer.
    """
    names = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not names:
        raise InputError(f"retrain.dropout: {type(network).__name__} has no linear layer to drop before; set it to 0")
    classifier = network.get_submodule(names[-1])
    classifier.__class__ = ClassifierDropout
    classifier.dropout = share  # type: ignore[assignment]
