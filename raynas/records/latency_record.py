"""The records of latency: seconds of every candidate, and how well their sums predict whole networks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, ConfigDict

from raynas.errors import InputError
from raynas.records.record import Listed, Number, Part, Record


class LatencyRecord(Record):
    """The latency of every candidate.

    Attributes:
        space: Name and arguments of the space.
        resolution: Height and width of an image in pixels.
        num_classes: Number of classes.
        measured_on: Name of the device.
        always: Seconds of what every network has.
        candidates: Seconds of each candidate at each choice.
    """

    model_config = ConfigDict(extra="allow")
    written_last: ClassVar[tuple[str, ...]] = ("measured_on", "always", "candidates")

    file: ClassVar[str] = "latency.json"
    holds: ClassVar[str] = "measured seconds of every candidate, and the settings of the measurement"

    space: dict[str, Any] | None = None
    resolution: int | None = None
    num_classes: int | None = None
    measured_on: str = ""
    always: list[Any]
    candidates: list[Any]


class ProfiledNetwork(Part):
    """A network whose latency was predicted and measured.

    Attributes:
        description: The architecture as text.
        predicted: Seconds as the sum over its candidates.
        measured: Seconds as measured.
    """

    description: str = ""
    predicted: Number
    measured: Number


def _some_networks(networks: list[ProfiledNetwork]) -> list[ProfiledNetwork]:
    if not networks:
        raise InputError("is empty, expected what was measured")
    return networks


class ProfileRecord(Record):
    """How well the sums over candidates predict the latency of whole networks.

    Attributes:
        device: Name of the device.
        batch_size: Images in a batch.
        threads: Threads that computed.
        networks: Predicted and measured seconds of each network.
        correlation: Correlation of the two.
        median_error: Median error as a share of the measured seconds.
        worst_error: Largest error, with its sign, as a share of the measured seconds.
    """

    file: ClassVar[str] = "profile.json"
    holds: ClassVar[str] = "how well the sums over candidates predict the latency of whole networks"

    device: str
    batch_size: int
    threads: int
    networks: Annotated[Listed[ProfiledNetwork], AfterValidator(_some_networks)]
    correlation: Number
    median_error: Number
    worst_error: Number

    @property
    def predicted(self) -> np.ndarray:
        """Predicted seconds of each network."""
        return np.array([network.predicted for network in self.networks], float)

    @property
    def measured(self) -> np.ndarray:
        """Measured seconds of each network."""
        return np.array([network.measured for network in self.networks], float)
