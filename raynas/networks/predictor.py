"""A network that can be run but not trained, because its file holds a program and not modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from raynas.records.network_record import NetworkRecord


@dataclass(frozen=True, eq=False)
class Predictor:
    """An exported program with its record; it is called as a `raynas.networks.found_network.FoundNetwork` is.

    Attributes:
        program: Returns the logits of preprocessed images on the CPU.
        record: Its architecture, its preprocessing, and where it comes from.
    """

    program: Callable[[Tensor], Tensor]
    record: NetworkRecord

    def __call__(self, images: Tensor) -> Tensor:
        """Returns the logits of preprocessed images, ``(batch, num_classes)``.

        Args:
            images: ``(batch, 3, resolution, resolution)`` float32.
        """
        return self.program(images)
