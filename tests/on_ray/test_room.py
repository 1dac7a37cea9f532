"""When a trainer starts, and when it restarts with more workers: on a clock and a cluster that are played."""

from pathlib import Path
from typing import Any

import pytest

from raynas.config.reading import load_config
from raynas.config.run_config import RunConfig
from raynas.on_ray import room
from raynas.on_ray.room import Gathering, Reservations, ReservedRoom
from tests.stages.runs import small_run

JOB = "01000000"


class PlayedCluster:
    """Holds a number of workers of all runs; gives room to groups in the order in which they were asked for."""

    def __init__(self, workers: int) -> None:
        self.workers, self.seconds = workers, 0.0
        self.groups: dict[str, dict[str, Any]] = {}
        self.plan: list[tuple[float, int]] = []
        self.unused = 0.0

    def placement_group(self, bundles: list[dict[str, float]]) -> Any:
        name = f"{len(self.groups):04d}{JOB}"
        self.groups[name] = {"bundles": dict(enumerate(bundles)), "state": "PENDING"}
        self._place()

        class Group:
            class id:
                @staticmethod
                def hex() -> str:
                    return name

        return Group

    def remove_placement_group(self, group: Any) -> None:
        self.remove(group.id.hex())

    def remove(self, name: str) -> None:
        self.groups[name]["state"] = "REMOVED"
        self._place()

    def placement_group_table(self) -> dict[str, dict[str, Any]]:
        return self.groups

    def free(self) -> int:
        held = [len(group["bundles"]) for group in self.groups.values() if group["state"] == "CREATED"]
        return self.workers - sum(held)

    def wanted(self) -> int:
        """Returns the demand that an autoscaler sees."""
        return sum(len(group["bundles"]) for group in self.groups.values() if group["state"] != "REMOVED")

    def _place(self) -> None:
        for group in self.groups.values():
            if group["state"] == "PENDING" and len(group["bundles"]) <= self.free():
                group["state"] = "CREATED"

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        assert self.seconds < 10_000, "waits for ever"
        for at, workers in self.plan:
            if at <= self.seconds:
                self.workers = workers
        self._place()


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> PlayedCluster:
    cluster = PlayedCluster(0)
    monkeypatch.setattr("ray.util.placement_group", cluster.placement_group)
    monkeypatch.setattr("ray.util.remove_placement_group", cluster.remove_placement_group)
    monkeypatch.setattr("ray.util.placement_group_table", cluster.placement_group_table)
    monkeypatch.setattr("ray.get_runtime_context", lambda: type("Context", (), {"get_job_id": lambda self: JOB})())
    monkeypatch.setattr("raynas.on_ray.nodes._nodes", lambda: [{"CPU": 1.0}] * cluster.workers)
    monkeypatch.setattr("raynas.on_ray.nodes._node_types", lambda: [{"CPU": 1.0}])
    monkeypatch.setattr(room.time, "monotonic", lambda: cluster.seconds)
    monkeypatch.setattr(room.time, "sleep", cluster.sleep)
    return cluster


def reserved(folder: Path, least: int, most: int) -> ReservedRoom:
    config = load_config(small_run(folder), [f"train.workers=[{least}, {most}]"])
    return ReservedRoom(config, Reservations({"CPU": 1.0}, least, most))


def trainer(cluster: PlayedCluster, room: ReservedRoom, workers: int) -> str:
    """Returns the group of a trainer of so many workers, for which the room has been handed over."""
    group = cluster.placement_group([{"CPU": 1.0}] * workers)
    assert cluster.free() < workers, "its room is reserved until it asks"
    assert room.watch() == 0
    assert cluster.groups[group.id.hex()]["state"] == "CREATED"
    assert room.watch() == 0
    name: str = group.id.hex()
    return name


def test_a_trainer_starts_at_once_where_there_is_room_for_all(tmp_path: Path, played: PlayedCluster) -> None:
    played.workers = 5
    room = reserved(tmp_path, 2, 4)
    assert room.gather(lambda waits_for: None) == 4
    assert played.seconds == 0
    assert played.wanted() == 4
    trainer(played, room, 4)
    assert played.wanted() == 4, "nothing is reserved beside a trainer that is as large as it may be"
    assert room.watch() == 0


def test_all_that_is_wanted_is_demand_and_a_trainer_starts_when_no_more_comes_for_some_seconds(
    tmp_path: Path, played: PlayedCluster
) -> None:
    played.plan = [(60.0, 1), (61.0, 2), (62.0, 3)]
    room, said = reserved(tmp_path, 2, 8), list[str | None]()
    assert room.gather(lambda line: said.append(line)) == 3
    assert played.seconds == pytest.approx(65, abs=1)
    assert played.wanted() == 8
    assert list(dict.fromkeys(said)) == [
        "waiting for 2 more CPU: train.workers needs them",
        "waiting for 1 more CPU: train.workers needs them",
        None,
    ]


def test_more_room_is_gathered_before_a_trainer_restarts_and_all_of_it_is_taken(
    tmp_path: Path, played: PlayedCluster
) -> None:
    played.workers = 1
    room = reserved(tmp_path, 1, 4)
    assert room.gather(lambda waits_for: None) == 1
    first = trainer(played, room, 1)
    began = played.seconds
    played.plan = [(began + 100, 2), (began + 120, 3)]
    while not (workers := room.watch()):
        played.sleep(0.5)
    assert workers == 3
    assert played.seconds == pytest.approx(began + 150, abs=1), "30 s after the last"
    played.remove(first)
    assert room.gather(lambda waits_for: None) == 3
    second = trainer(played, room, 3)
    played.plan = [(played.seconds + 10, 4)]
    began = played.seconds
    while not room.watch():
        played.sleep(0.5)
    assert played.seconds == pytest.approx(began + 10, abs=1), "at once where no more can come"
    played.remove(second)
    assert room.gather(lambda waits_for: None) == 4


def test_a_node_that_is_lost_leaves_a_smaller_trainer_and_the_demand_for_another(
    tmp_path: Path, played: PlayedCluster
) -> None:
    played.workers = 4
    room = reserved(tmp_path, 1, 4)
    assert room.gather(lambda waits_for: None) == 4
    group = trainer(played, room, 4)
    played.workers = 3
    played.remove(group)
    assert room.gather(lambda waits_for: None) == 3
    trainer(played, room, 3)
    assert played.wanted() == 4


def test_two_runs_that_wait_do_not_hold_half_of_what_each_needs(tmp_path: Path, played: PlayedCluster) -> None:
    """Each needs 2; machines come one at a time and go to either, and nobody could start."""
    other = Reservations({"CPU": 1.0}, 2, 4)
    other.ask(4)
    played.workers = 1
    played.sleep(1)
    assert (other.ready(), played.free()) == (1, 0)
    played.workers = 2  # the second goes to this run
    room = reserved(tmp_path, 2, 4)

    def tick(line: str | None) -> None:
        if other.ready() == 1 and played.free() == 1:  # this run has given back what it held
            assert 25 < played.seconds < 60
            other.release_singles()
            assert other.ready() == 2
        if played.seconds > 200:
            other.release()

    assert room.gather(tick) == 2
    assert played.seconds > 200


def test_room_that_others_took_makes_the_next_restart_more_patient(tmp_path: Path, played: PlayedCluster) -> None:
    """Two runs that grow in turns would take each other's room for ever."""
    played.workers = 2
    room = reserved(tmp_path, 1, 4)
    patience = list[float]()
    for _ in range(4):
        workers = room.gather(lambda waits_for: None)
        group = trainer(played, room, workers)
        played.sleep(1)
        began, played.plan = played.seconds, []
        played.workers += 1
        while not room.watch():
            played.sleep(0.5)
        patience.append(played.seconds - began)
        played.remove(group)
        played.workers -= 1  # taken, before the larger trainer could start
    assert patience == pytest.approx([30, 60, 120, 240], abs=2)


def test_reservations_end_with_the_training(
    tmp_path: Path, played: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.util.get_current_placement_group", lambda: None)
    with pytest.raises(KeyboardInterrupt), room.training_room(on_cluster(tmp_path)) as there:
        assert isinstance(there, ReservedRoom)
        there.gather(_interrupt)
    assert played.wanted() == 0


def _interrupt(line: str | None) -> None:
    assert line is not None
    raise KeyboardInterrupt


def on_cluster(folder: Path) -> RunConfig:
    return load_config(small_run(folder), ["train.workers=[2, 4]", "address=127.0.0.1:6379"])


def test_below_a_trial_nothing_is_reserved_since_tune_has(
    tmp_path: Path, played: PlayedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.util.get_current_placement_group", lambda: object())
    with room.training_room(on_cluster(tmp_path)) as there:
        assert there.gather(lambda waits_for: None) == 2
    assert played.groups == {}


def test_reservations_of_a_trainer_that_never_asks_end_after_a_minute(tmp_path: Path, played: PlayedCluster) -> None:
    played.workers = 3
    room = reserved(tmp_path, 2, 3)
    room.gather(lambda waits_for: None)
    for _ in range(110):
        room.watch()
        played.sleep(0.5)
    assert played.wanted() == 3
    played.sleep(10)
    room.watch()
    assert played.wanted() == 0


def test_gathering_waits_for_more_only_as_long_as_more_comes(played: PlayedCluster) -> None:
    gathering, seen = Gathering(2, 5, 3.0), []
    for ready in (0, 1, 2, 2, 3, 3, 3, 3):
        seen.append(gathering.is_enough(ready))
        played.sleep(1)
    assert seen == [False] * 7 + [True]
    assert gathering.is_enough(5)
