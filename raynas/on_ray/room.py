"""The room of training workers: reserved before a trainer starts, and asked for while more workers are wanted.

A reservation is a placement group. One that is ready is room that nobody else has, and one that is pending is demand
that an autoscaler sees. Ray removes those of a driver that died.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from raynas.config.run_config import RunConfig
from raynas.on_ray import cluster, nodes

if TYPE_CHECKING:
    from ray.util.placement_group import PlacementGroup

SETTLE_SECONDS = 3.0
"""Seconds without further room after which a trainer starts with what is there."""

GATHER_SECONDS = 30.0
"""Seconds without further room after which a trainer restarts with more workers: a restart costs about as long."""

YIELD_SECONDS = 30.0
"""Seconds after which a run that waits gives back room that is too little to start with."""

HAND_OVER_SECONDS = 60.0
"""Seconds after which reservations end in any case, though no trainer has asked for their room."""


class Gathering:
    """Decides when enough room has come: all of it, or enough and no more for some seconds."""

    def __init__(self, least: int, most: int, seconds: float) -> None:
        """Takes the numbers of workers between which any number will do, and the seconds to wait for more."""
        self._least, self._most, self._seconds = least, most, seconds
        self._ready, self._since = 0, time.monotonic()

    def is_enough(self, ready: int) -> bool:
        """Returns whether to start with so many workers now."""
        if ready != self._ready:
            self._ready, self._since = ready, time.monotonic()
        return ready >= self._most or (ready >= self._least and self.quiet_seconds >= self._seconds)

    @property
    def quiet_seconds(self) -> float:
        """How long the number has been the same."""
        return time.monotonic() - self._since


class Reservations:
    """Placement groups for the training workers of one run.

    The least number of workers that a run needs is one group, which Ray places as a whole: two runs that wait cannot
    hold half of it each. Every further worker is a group of its own.

    Attributes:
        claimed_workers: How many workers the trainer has that was started last.
    """

    def __init__(self, resources: Mapping[str, float], least: int, most: int) -> None:
        """Takes what one worker takes, and the least and the most workers."""
        self._bundle, self._least, self._most = dict(resources), least, most
        self._groups: dict[str, tuple[PlacementGroup, int]] = {}
        self._claimed: list[str] = []
        self.claimed_workers = 0

    def ask(self, workers: int) -> None:
        """Asks for room until there are reservations for so many workers."""
        missing = workers - sum(held for _, held in self._groups.values())
        if missing >= self._least and workers == self._most:  # no trainer has the least number
            self._reserve(self._least)
            missing -= self._least
        for _ in range(missing):
            self._reserve(1)

    def _reserve(self, workers: int) -> None:
        from ray.util import placement_group

        group = placement_group([self._bundle] * workers)
        self._groups[group.id.hex()] = (group, workers)

    def ready(self) -> int:
        """Returns how many workers the groups that are ready hold."""
        return sum(self._groups[group][1] for group in self._ready_groups())

    def _ready_groups(self) -> list[str]:
        table = _table()
        return [group for group in self._groups if table.get(group, {}).get("state") == "CREATED"]

    def claim(self) -> int:
        """Returns how many workers a trainer may start with; `hand_over` gives their room to it."""
        self._claimed = self._ready_groups()
        self.claimed_workers = sum(self._groups[group][1] for group in self._claimed)
        return self.claimed_workers

    def trainer_state(self, before: frozenset[str]) -> str | None:
        """Returns the state of the group in which a trainer of this job places its workers; None if there is none yet.

        Args:
            before: The groups that were there before the trainer started.
        """
        import ray

        job, table = ray.get_runtime_context().get_job_id(), _table()
        for group in table.keys() - before - self._groups.keys():
            if group.endswith(job) and len(table[group]["bundles"]) == self.claimed_workers:
                return str(table[group]["state"])
        return None

    def hand_over(self) -> None:
        """Gives the claimed room to the trainer. Pending groups end too, since they would compete with it."""
        ready = self._ready_groups()
        self._release([group for group in self._groups if group in self._claimed or group not in ready])

    def release_singles(self) -> None:
        """Gives back what is not the group of the least number."""
        self._release([group for group, (_, workers) in self._groups.items() if workers != self._least])

    def release(self) -> None:
        """Gives everything back."""
        self._release(list(self._groups))

    def _release(self, groups: list[str]) -> None:
        from ray.util import remove_placement_group

        for group in groups:
            remove_placement_group(self._groups.pop(group)[0])


def _table() -> Mapping[str, Mapping[str, Any]]:
    from ray.util import placement_group_table

    table: Mapping[str, Mapping[str, Any]] = placement_group_table()
    return table


class Room:
    """Room that is there, or that the trainer itself waits for: on a local Ray, and below a trial of a sweep."""

    def __init__(self, config: RunConfig, workers: int) -> None:
        """Takes the resolved configuration and how many workers every trainer has."""
        self._config, self.workers = config, workers

    def gather(self, tick: Callable[[str | None], None]) -> int:
        """Returns how many workers to start a trainer with, when there is room for them.

        Args:
            tick: Called twice a second with what is waited for.
        """
        return self.workers

    def watch(self) -> int:
        """Returns how many workers could train instead of those that do, once it is worth a restart; else 0.

        To be called twice a second while a trainer runs.
        """
        return 0

    def lacking(self) -> str | None:
        """Returns what the cluster lacks for a trainer to start, in one line; None if nothing."""
        missing = nodes.missing(cluster.worker_needs(self._config))
        return f"waiting for {missing}: train.workers needs them" if missing else None


class ReservedRoom(Room):
    """Room on a cluster: a trainer starts when its room is reserved, and restarts when there is more."""

    def __init__(self, config: RunConfig, reservations: Reservations) -> None:
        """Takes the resolved configuration, and what holds the room."""
        self._least, self._most = config.train.worker_range
        super().__init__(config, self._most)
        self._reservations = reservations
        self._seconds = GATHER_SECONDS
        self._wanted = 0
        self._before: frozenset[str] | None = None  # groups of before the trainer, until it has its room
        self._started = 0.0
        self._gathering = Gathering(1, self._most, self._seconds)

    def gather(self, tick: Callable[[str | None], None]) -> int:
        """Returns how many workers to start a trainer with, when there is room for them, see `Room.gather`.

        Room for fewer than `least` that lasts is given back, so that two runs do not wait for each other's.
        """
        self._reservations.ask(self._most)
        gathering = Gathering(self._least, self._most, SETTLE_SECONDS)
        while not gathering.is_enough(ready := self._reservations.ready()):
            tick(self._waited_for() if ready < self._least else None)
            if 0 < ready < self._least and gathering.quiet_seconds > YIELD_SECONDS:
                self._reservations.release_singles()
            time.sleep(0.5 if gathering.quiet_seconds > 2 else 0.1)
        tick(None)
        self.workers = self._reservations.claim()
        # If others took the room between two trainers, the next restart needs more patience than this one.
        self._seconds = self._seconds * 2 if self.workers < self._wanted else GATHER_SECONDS
        self._wanted, self._started, self._before = 0, time.monotonic(), frozenset(_table())
        self._gathering = Gathering(1, self._most - self.workers, self._seconds)
        return self.workers

    def watch(self) -> int:
        """Returns how many workers could train once it is worth a restart, see `Room.watch`.

        Reservations are held until the trainer asks for their room, so that an autoscaler does not see them unused.
        """
        if self._before is not None and not self._is_handed_over(self._before):
            return 0
        if self.workers == self._most:
            return 0
        ready = self._reservations.ready()
        if not self._gathering.is_enough(ready):
            return 0
        self._wanted = self.workers + ready
        return self._wanted

    def _is_handed_over(self, before: frozenset[str]) -> bool:
        state = self._reservations.trainer_state(before)
        if state is None and time.monotonic() < self._started + HAND_OVER_SECONDS:
            return False
        self._reservations.hand_over()
        if state not in (None, "CREATED"):
            return False
        self._before = None
        self._reservations.ask(self._most - self.workers)
        return True

    def lacking(self) -> str | None:
        """Returns nothing: what a trainer needs was reserved before."""
        return None

    def _waited_for(self) -> str:
        missing = super().lacking()
        if missing is not None:
            return missing
        kinds = " and ".join(f"{amount:g} {kind}" for kind, amount in cluster.worker_resources(self._config).items())
        return f"waiting for room: train.workers needs {self._least} x {kinds}, which others hold at present"


@contextlib.contextmanager
def training_room(config: RunConfig) -> Iterator[Room]:
    """Yields where the training workers of a run find room; what is reserved ends with the block."""
    from ray.util import get_current_placement_group

    least, most = config.train.worker_range
    if cluster.is_local(config):
        yield Room(config, max(least, min(most, cluster.local_workers(config))))
    elif get_current_placement_group() is not None:  # a trial: Tune has set its resources aside
        yield Room(config, least)
    else:
        reservations = Reservations(cluster.worker_resources(config), least, most)
        try:
            yield ReservedRoom(config, reservations)
        finally:
            reservations.release()
