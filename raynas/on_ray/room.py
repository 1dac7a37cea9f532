"""The room of training workers: reserved before a trainer starts, and requested while more workers are wanted.

A reservation is a placement group. A ready group is exclusive room, and a pending group is demand that an autoscaler
sees. Ray removes the groups of a driver that died.
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
"""Seconds without further room after which a trainer starts with the available room."""

GATHER_SECONDS = 30.0
"""Seconds without further room after which a trainer restarts with more workers: a restart costs about as long."""

YIELD_SECONDS = 30.0
"""Seconds after which a waiting run returns room that is too small to start."""

HAND_OVER_SECONDS = 60.0
"""Seconds after which reservations end, also if no trainer has asked for their room."""


class Gathering:
    """Decides when a trainer has enough room: all of it, or enough without growth for some seconds."""

    def __init__(self, least: int, most: int, seconds: float) -> None:
        """Stores the least and the most workers, and the seconds to wait for more."""
        self._least, self._most, self._seconds = least, most, seconds
        self._ready, self._since = 0, time.monotonic()

    def is_enough(self, ready: int) -> bool:
        """Returns whether to start now with this number of workers."""
        if ready != self._ready:
            self._ready, self._since = ready, time.monotonic()
        return ready >= self._most or (ready >= self._least and self.quiet_seconds >= self._seconds)

    @property
    def quiet_seconds(self) -> float:
        """Seconds since the number changed last."""
        return time.monotonic() - self._since


class Reservations:
    """Placement groups for the training workers of one run.

    The least number of workers of a run is one group, which Ray places as a whole. Two waiting runs therefore cannot
    hold one half each. Every further worker has its own group.

    Attributes:
        claimed_workers: Number of workers of the trainer that was started last.
    """

    def __init__(self, resources: Mapping[str, float], least: int, most: int) -> None:
        """Stores the resources of one worker, and the least and the most workers."""
        self._bundle, self._least, self._most = dict(resources), least, most
        self._groups: dict[str, tuple[PlacementGroup, int]] = {}
        self._claimed: list[str] = []
        self.claimed_workers = 0

    def ask(self, workers: int) -> None:
        """Requests room until reservations exist for this number of workers."""
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
        """Returns the number of workers in the ready groups."""
        return sum(self._groups[group][1] for group in self._ready_groups())

    def _ready_groups(self) -> list[str]:
        table = _table()
        return [group for group in self._groups if table.get(group, {}).get("state") == "CREATED"]

    def claim(self) -> int:
        """Returns the number of workers a trainer may start with; `hand_over` gives it their room."""
        self._claimed = self._ready_groups()
        self.claimed_workers = sum(self._groups[group][1] for group in self._claimed)
        return self.claimed_workers

    def trainer_state(self, before: frozenset[str]) -> str | None:
        """Returns the state of the group in which a trainer of this job places its workers; None if there is none yet.

        Args:
            before: The groups before the start of the trainer.
        """
        import ray

        job, table = ray.get_runtime_context().get_job_id(), _table()
        for group in table.keys() - before - self._groups.keys():
            if group.endswith(job) and len(table[group]["bundles"]) == self.claimed_workers:
                return str(table[group]["state"])
        return None

    def hand_over(self) -> None:
        """Gives the claimed room to the trainer, and ends pending groups, which would compete with it."""
        ready = self._ready_groups()
        self._release([group for group in self._groups if group in self._claimed or group not in ready])

    def release_singles(self) -> None:
        """Returns all room except the group of the least number."""
        self._release([group for group, (_, workers) in self._groups.items() if workers != self._least])

    def release(self) -> None:
        """Returns all room."""
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
    """Room without reservations, on a local Ray and below a trial of a sweep; the trainer itself waits for it."""

    def __init__(self, config: RunConfig, workers: int) -> None:
        """Stores the resolved configuration and the number of workers of every trainer."""
        self._config, self.workers = config, workers

    def gather(self, tick: Callable[[str | None], None]) -> int:
        """Waits for room, and returns the number of workers to start a trainer with.

        Args:
            tick: Called twice a second with the reason for waiting.
        """
        return self.workers

    def watch(self) -> int:
        """Returns a larger number of workers for which a restart is worthwhile; else 0.

        The caller calls this twice a second while a trainer runs.
        """
        return 0

    def lacking(self) -> str | None:
        """Returns one line about the resources that a trainer lacks on the cluster; None if it lacks none."""
        missing = nodes.missing(cluster.worker_needs(self._config))
        return f"waiting for {missing}: train.workers needs them" if missing else None


class ReservedRoom(Room):
    """Room on a cluster: a trainer starts when its room is reserved, and restarts when there is more."""

    def __init__(self, config: RunConfig, reservations: Reservations) -> None:
        """Stores the resolved configuration and the reservations."""
        self._least, self._most = config.train.worker_range
        super().__init__(config, self._most)
        self._reservations = reservations
        self._seconds = GATHER_SECONDS
        self._wanted = 0
        self._before: frozenset[str] | None = None  # groups before the trainer, until it has its room
        self._started = 0.0
        self._gathering = Gathering(1, self._most, self._seconds)

    def gather(self, tick: Callable[[str | None], None]) -> int:
        """Waits for room, and returns the number of workers to start a trainer with, see `Room.gather`.

        Room for fewer than `least` workers is returned after a while, so that two runs do not block each other.
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
        """Returns a larger number of workers for which a restart is worthwhile, see `Room.watch`.

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
        """Returns nothing, since the room of the trainer was reserved before."""
        return None

    def _waited_for(self) -> str:
        missing = super().lacking()
        if missing is not None:
            return missing
        kinds = " and ".join(f"{amount:g} {kind}" for kind, amount in cluster.worker_resources(self._config).items())
        return f"waiting for room: train.workers needs {self._least} x {kinds}, which others hold at present"


@contextlib.contextmanager
def training_room(config: RunConfig) -> Iterator[Room]:
    """Yields the room of the training workers of a run; its reservations end with the block."""
    from ray.util import get_current_placement_group

    least, most = config.train.worker_range
    if cluster.is_local(config):
        yield Room(config, max(least, min(most, cluster.local_workers(config))))
    elif get_current_placement_group() is not None:  # a trial: Tune has reserved its resources
        yield Room(config, least)
    else:
        reservations = Reservations(cluster.worker_resources(config), least, most)
        try:
            yield ReservedRoom(config, reservations)
        finally:
            reservations.release()
