"""Dropout before the classifier of any network, with the names of its weights unchanged."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from raynas.errors import InputError

CLASSIFIER = "classifier"
"""The name that a classifier has in the networks of raynas."""

AUXILIARY = "auxiliary"
"""The name of a second classifier, which is left as it is."""


class ClassifierDropout(nn.Linear):
    """A linear layer that drops a share of its inputs while it is trained, and scales the others up.

    Its weight and bias are called as those of `torch.nn.Linear`, so that weights are saved and loaded as without it.
    The random numbers come from torch's default generator of the device.

    Attributes:
        share: Share of the inputs that is dropped.
    """

    def __init__(self, classifier: nn.Linear, share: float) -> None:
        """Takes over the weights of a linear layer."""
        super().__init__(classifier.in_features, classifier.out_features, classifier.bias is not None, device="meta")
        self.weight, self.bias = classifier.weight, classifier.bias
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Returns logits, ``(batch, num_classes)``."""
        return super().forward(F.dropout(x, self.share, self.training))


def classifier_name(network: nn.Module) -> str:
    """Returns the name of the classifier: the linear layer called ``classifier``, or the last linear layer.

    Raises:
        InputError: If the network has no linear layer.
    """
    names: list[str] = []
    for name, module in network.named_modules():
        parts = name.split(".")
        if isinstance(module, nn.Linear) and AUXILIARY not in parts:
            names.append(name)
    called = [name for name in names if name.rpartition(".")[2] == CLASSIFIER]
    if not names:
        raise InputError(
            f"retrain.dropout: {type(network).__name__} has no linear layer, so no classifier to drop inputs of; set "
            "it to 0"
        )
    return (called or names)[-1]


def add_dropout(network: nn.Module, share: float) -> None:
    """Puts a `ClassifierDropout` in the place of a network's classifier; a share of 0 leaves the network as it is.

    Raises:
        InputError: If the network has no linear layer, or is one.
    """
    if not share:
        return
    name = classifier_name(network)
    parent, _, last = name.rpartition(".")
    classifier = network.get_submodule(name)
    assert isinstance(classifier, nn.Linear)
    if not name:
        raise InputError("retrain.dropout: the network is a single linear layer; set it to 0")
    setattr(network.get_submodule(parent), last, ClassifierDropout(classifier, share))
