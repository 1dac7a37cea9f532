"""A derived network together with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raynas.records.network_record import NetworkRecord


@dataclass(frozen=True, eq=False)
class FoundNetwork:
    """A derived network with its record.

    Attributes:
        module: The network: ``module(images) -> logits``.
        record: Its architecture, its preprocessing, and where it comes from.
    """

    module: nn.Module
    record: NetworkRecord

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the logits of preprocessed images, ``(batch, num_classes)``, in evaluation mode without gradients.

        The mode of the module is afterwards what it was.

        Args:
            images: ``(batch, 3, resolution, resolution)`` on the module's device.
        """
        was_training = self.module.training
        try:
            with torch.no_grad():
                logits: Tensor = self.module.eval()(images)
        finally:
            self.module.train(was_training)
        return logits
