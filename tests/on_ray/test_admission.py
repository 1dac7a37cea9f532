"""Which trial may start: by what other trials report, and with placement groups that are no more than names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from ray.tune.search import Searcher

from raynas.on_ray import admission
from raynas.on_ray.admission import Admission, Candidate
from raynas.on_ray.trial import ROOM, TRAINED

WORKER = {"CPU": 2.0}


class Room:
    """Placement groups by number: which are there, and which of these are placed."""

    def __init__(self) -> None:
        self.there: list[int] = []
        self.bundles: list[list[dict[str, float]]] = []
        self.is_free = True

    def make(self, bundles: list[dict[str, float]]) -> int:
        self.bundles.append(bundles)
        self.there.append(len(self.bundles))
        return len(self.bundles)

    def state(self, group: int) -> dict[str, str]:
        assert group in self.there
        return {"state": "CREATED" if self.is_free else "PENDING"}


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    room = Room()
    monkeypatch.setattr(admission, "placement_group", room.make)
    monkeypatch.setattr(admission, "placement_group_table", room.state)
    monkeypatch.setattr(admission, "remove_placement_group", room.there.remove)
    return room


def candidates(workers: Mapping[str, int], training: str | None = None) -> Callable[[Mapping[str, Any]], Candidate]:
    """Returns the candidate of a name: so many workers each, and a training that all share."""
    return lambda chosen: Candidate(
        str(chosen["trial"]), dict(chosen), (WORKER,) * workers[str(chosen["trial"])], training
    )


def admitted(workers: Mapping[str, int], training: str | None = None) -> Admission:
    return Admission(candidates(workers, training), [{"trial": name} for name in workers])


def test_a_leader_starts_when_its_workers_have_room_and_frees_it_when_it_asks_for_them(room: Room) -> None:
    trials = admitted({"a": 3})
    room.is_free = False
    assert trials.suggest("1") is None and trials.suggest("2") is None
    assert room.bundles == [[WORKER] * 3], "one reservation, of a bundle for each worker"
    room.is_free = True
    assert trials.suggest("3") == {"trial": "a"}
    assert room.there == [1], "it is kept until the leader asks"
    trials.on_trial_result("3", {ROOM: False})
    assert room.there == []


def test_the_next_leader_asks_for_room_only_when_all_others_have_theirs(room: Room) -> None:
    trials = admitted({"a": 1, "b": 1})
    assert trials.suggest("1") == {"trial": "a"}
    assert trials.suggest("2") is None and len(room.bundles) == 1
    trials.on_trial_result("1", {ROOM: False})
    assert trials.suggest("3") is None and room.there == []
    trials.on_trial_result("1", {ROOM: True})
    room.is_free = False
    assert trials.suggest("4") is None and room.there == [2], "there is a demand while the first works"
    trials.on_trial_result("1", {TRAINED: True})
    trials.on_trial_result("1", {ROOM: False})
    assert room.there == [], "evaluators of those who run come before new leaders"
    room.is_free = True
    assert trials.suggest("5") is None
    trials.on_trial_complete("1", {})
    assert trials.suggest("6") == {"trial": "b"}


@pytest.mark.parametrize("error", [False, True])
def test_what_a_leader_held_is_free_however_it_ends(room: Room, error: bool) -> None:
    trials = admitted({"a": 1, "b": 1})
    trials.suggest("1")
    trials.on_trial_complete("1", error=error)
    assert room.there == []
    assert trials.suggest("2") == {"trial": "b"}


def test_a_trial_alone_needs_no_reservation_but_does_not_overtake_a_leader(room: Room) -> None:
    trials = admitted({"a": 0, "b": 1, "c": 0})
    assert trials.suggest("1") == {"trial": "a"} and not room.bundles
    room.is_free = False
    assert trials.suggest("2") is None
    room.is_free = True
    assert [trials.suggest("3"), trials.suggest("4")] == [{"trial": "b"}, {"trial": "c"}]


@pytest.mark.parametrize("workers", [0, 2])
def test_trials_that_share_a_training_start_when_it_is_done(room: Room, workers: int) -> None:
    trials = admitted(dict.fromkeys("abc", workers), training="x")
    assert trials.suggest("1") == {"trial": "a"}
    trials.on_trial_result("1", {ROOM: True})
    assert trials.suggest("2") is None and len(room.there) == 0, "nothing is held while it waits"
    trials.on_trial_complete("1")
    assert trials.suggest("3") == {"trial": "b"}, "one that was stopped before the end is followed by the next"
    trials.on_trial_result("3", {TRAINED: True})
    trials.on_trial_result("3", {ROOM: True})
    assert trials.suggest("4") == {"trial": "c"}


class Drawing(Searcher):
    """Draws the same names over and over, and notes what it is told by its own trial identifiers."""

    def __init__(self, names: str) -> None:
        super().__init__(metric="fitness", mode="max")
        self.names, self.told = list(names), list[tuple[str, float | None]]()
        self.asked: list[str] = []

    def suggest(self, trial_id: str) -> dict[str, Any]:
        self.asked.append(trial_id)
        return {"trial": self.names.pop(0)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        assert "fitness" in result
        self.told.append((trial_id, result["fitness"]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.told.append((trial_id, (result or {}).get("fitness")))


def test_a_point_is_drawn_once_and_what_comes_of_it_is_told_by_the_name_it_was_drawn_for(room: Room) -> None:
    drawing = Drawing("ab")
    trials = Admission(candidates({"a": 1, "b": 1}), drawing=drawing)
    room.is_free = False
    assert trials.suggest("1") is None and trials.suggest("2") is None
    room.is_free = True
    assert trials.suggest("3") == {"trial": "a"}
    assert drawing.asked == ["1"]
    trials.on_trial_result("3", {ROOM: True})
    trials.on_trial_result("3", {"fitness": 1.0, "epoch": 1})
    trials.on_trial_complete("3", {"fitness": 2.0})
    assert drawing.told == [("1", 1.0), ("1", 2.0)]


def test_a_point_that_is_drawn_again_waits_for_the_trial_that_it_names(room: Room) -> None:
    trials = Admission(candidates({"a": 0}), drawing=Drawing("aa"))
    assert trials.suggest("1") == {"trial": "a"}
    assert trials.suggest("2") is None
    trials.on_trial_complete("1", {"fitness": 1.0})
    assert trials.suggest("3") == {"trial": "a"}
