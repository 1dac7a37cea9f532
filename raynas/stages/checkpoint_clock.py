"""When training saves in the middle of an epoch: every so many minutes, and when it is asked to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from raynas.stages.requests import NO_REQUESTS, Requests, Stop
from raynas.training.workers import Workers

INTERVAL = 3.0
"""Seconds between two questions: spot machines are taken back 30 to 120 s after a warning."""


@dataclass(frozen=True)
class Reason:
    """Why to save now.

    Attributes:
        stop: The request to stop after that; None if training goes on.
    """

    stop: Stop | None = None


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
        requests: Requests = NO_REQUESTS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts the clock.

        Args:
            workers: Who trains together.
            device: Where they exchange numbers.
            minutes: Time after which to save in any case; None for never.
            requests: Who can ask this training to stop.
            now: This worker's clock, in seconds.
        """
        self._workers, self._device, self._minutes, self._requests, self._now = workers, device, minutes, requests, now
        self._interval = INTERVAL if requests.seconds is None else requests.seconds
        self._steps = 0  # since the time `_asked`
        self._wait = self._left = 1  # steps between two questions, and until the next one
        self._asked = self._saved = now()

    def reason(self) -> Reason | None:
        """Returns why to save now, or None; to be called after every step."""
        self._steps += 1
        self._left -= 1
        if self._left > 0:
            return None
        now = self._now()
        late = self._minutes is not None and now - self._saved >= 60 * self._minutes
        pace = max(1e-6, (now - self._asked) / self._steps)
        wait = min(2 * self._wait, max(1, int(self._interval / pace)))
        asked = self._requests.asked() if self._workers.rank == 0 else None
        own = [late, wait, asked is not None] if self._workers.rank == 0 else [0, 0, 0]  # added up: worker 0's values
        agreed = torch.tensor(own, dtype=torch.float64, device=self._device)
        self._workers.add_up(agreed)
        late, wait, is_asked = agreed.tolist()
        self._steps = 0
        self._wait = self._left = int(wait)
        warning = self._requests.warning()
        self._asked = self._now()
        if warning is not None:
            return Reason(Stop(warning))
        if is_asked:
            return Reason(asked or Stop("worker 0 was asked to stop"))
        return Reason() if late else None

    def saved(self) -> None:
        """Notes that there is a checkpoint of now. The next question comes after as many steps as without it."""
        self._saved = self._asked = self._now()
        self._steps = 0
