"""The temperature of Gumbel samples over a training. Imports nothing of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from raynas.options import OneOf, Options


def linear(epoch: int, last_epoch: int, hottest: float, coldest: float) -> float:
    """Returns the temperature that falls by the same difference every epoch (GDAS, Dong and Yang 2019)."""
    return hottest - (hottest - coldest) * epoch / last_epoch


def exponential(epoch: int, last_epoch: int, hottest: float, coldest: float) -> float:
    """Returns the temperature that falls by the same factor every epoch."""
    return float(hottest * (coldest / hottest) ** (epoch / last_epoch))


TEMPERATURE_SCHEDULES: dict[str, Callable[[int, int, float, float], float]] = {
    "linear": linear,
    "exponential": exponential,
}
"""Schedules by the name that run files use."""


class TemperatureOptions(Options):
    """How the temperature falls.

    Attributes:
        temperature: Temperature of the gates that have one, such as gumbel: the first number in the first epoch, the
            second in the last.
        temperature_schedule: How the temperature falls from epoch to epoch: by a constant difference (linear) or by a
            constant factor (exponential).
    """

    temperature: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)] = [10.0, 0.1]
    temperature_schedule: Annotated[str, OneOf(TEMPERATURE_SCHEDULES)] = "linear"

    def temperature_at(self, epoch: int, last_epoch: int) -> float:
        """Returns the temperature of an epoch: the first number at 0, the second at `last_epoch`."""
        hottest, coldest = self.temperature
        return TEMPERATURE_SCHEDULES[self.temperature_schedule](epoch, last_epoch, hottest, coldest)
