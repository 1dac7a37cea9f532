"""When training saves in the middle of an epoch: every so many minutes, and before a machine is taken back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from raynas.supernet.workers import Workers

INTERVAL = 3.0
"""Seconds between two questions: spot machines are taken back 30 to 120 s after a warning."""


@dataclass(frozen=True)
class Reason:
    """Why to save now.

    Attributes:
        warning: Which machine is about to be taken back; None if it is only time.
    """

    warning: str | None = None


class CheckpointClock:
    """Says after which steps to save; the same on every worker, though their clocks differ.

    Asking costs an exchange between the workers. So they ask after a number of steps on which they agree: as many as
    worker 0 takes in `INTERVAL` seconds, and at most twice as many as the time before.
    """

    def __init__(
        self,
        workers: Workers,
        device: torch.device,
        minutes: float | None,
        warning: Callable[[], str | None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts the clock.

        Args:
            workers: Who trains together.
            device: Where they exchange numbers.
            minutes: Time after which to save in any case; None for never.
            warning: Returns which machine is about to be taken back, if one is, the same on every worker; all of them
                call it equally often.
            now: This worker's clock, in seconds.
        """
        self._workers, self._device, self._minutes, self._warning, self._now = workers, device, minutes, warning, now
        self._steps, self._wait = 0, 1
        self._asked = self._saved = now()

    def reason(self) -> Reason | None:
        """Returns why to save now, or None; to be called after every step."""
        self._steps += 1
        if self._steps < self._wait:
            return None
        now = self._now()
        late = self._minutes is not None and now - self._saved >= 60 * self._minutes
        pace = max(1e-6, (now - self._asked) / self._steps)
        wait = min(2 * self._wait, max(1, int(INTERVAL / pace)))
        own = [late, wait] if self._workers.rank == 0 else [0, 0]  # added up, what worker 0 says
        agreed = torch.tensor(own, dtype=torch.float64, device=self._device)
        self._workers.add_up(agreed)
        late, wait = agreed.tolist()
        self._steps, self._wait = 0, int(wait)
        warning = self._warning()
        self._asked = self._now()
        return Reason(warning) if late or warning else None

    def saved(self) -> None:
        """Notes that there is a checkpoint of now."""
        self._saved = self._asked = self._now()
        self._steps = 0
