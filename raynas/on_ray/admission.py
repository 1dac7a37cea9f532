"""Admission of trials: when Ray Tune may start the next trial of a sweep.

Tune counts what a trial asks for in its own placement group. It cannot count the workers of a trial that leads others:
Ray Train makes a placement group for them, whatever the trial holds. Admission does that in the place of Tune:

- A leader starts when there is room for its workers. The next leader asks for that room by a placement group with a
  bundle for each worker, the reservation. A cluster with an autoscaler sees it as demand, and grows for it.
- The reservation is given up when the leader asks for its workers, which take the same room.
- There is one reservation at a time, and none while a leader asks for room: leaders never take each other's room, and
  no more of them are started than the cluster holds.
- Of trials that share a training one trains; the others start when it has trained, and hold nothing until then.

Tune asks a searcher for each next trial, and tells it what trials report. Admission is such a searcher.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune.search import Searcher
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group

from raynas.on_ray.trial import ROOM, TRAINED


@dataclass(frozen=True)
class Candidate:
    """A trial that may be started.

    Attributes:
        name: Name of the trial; two candidates of one name are the same trial.
        chosen: What Tune passes to the trial.
        bundles: Resources of each worker that the trial leads; empty for a trial that works alone.
        training: Name of the training that the trial shares with others; None if it shares none.
    """

    name: str
    chosen: dict[str, Any]
    bundles: tuple[dict[str, float], ...]
    training: str | None


class Admission(Searcher):
    """Tune's searcher: suggests the trials of a list, or of another searcher, as room for them comes."""

    def __init__(
        self,
        candidate: Callable[[Mapping[str, Any]], Candidate],
        listed: Sequence[Mapping[str, Any]] = (),
        drawing: Searcher | None = None,
    ) -> None:
        """Takes what is to be started; Ray is not asked for anything.

        Args:
            candidate: Returns the candidate of what is passed to a trial.
            listed: What is passed to each trial, in the order in which to start them.
            drawing: The searcher that samples what is passed to each trial, in the place of a list.
        """
        super().__init__()
        self._candidate = candidate
        self._waiting = [candidate(chosen) for chosen in listed]
        self._drawing = drawing
        self._drawn = ""  # the trial by whose name `drawing` knows the candidate that waits
        self._names: dict[str, str] = {}  # how `drawing` calls the trials that were started
        self._running: dict[str, Candidate] = {}
        self._asking: set[str] = set()  # leaders that have no room yet
        self._trained: set[str] = set()
        self._reserved: tuple[Candidate, PlacementGroup] | None = None
        self._granted: dict[str, PlacementGroup] = {}  # reservations of leaders that have not asked for workers yet

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Returns what to pass to a new trial, or None as long as none may start."""
        if self._drawing is not None and not self._waiting:
            self._draw(trial_id)
        candidate = self._next()
        if candidate is None or not self._has_room(candidate):
            return None
        self._waiting.remove(candidate)
        self._running[trial_id] = candidate
        self._names[trial_id] = self._drawn
        if candidate.bundles:
            assert self._reserved is not None
            self._granted[trial_id] = self._reserved[1]
            self._reserved = None
            self._asking.add(trial_id)
        return dict(candidate.chosen)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Notes what a running trial reports: that it asks for room, that it has room, that its training is done."""
        candidate = self._running[trial_id]
        if result.get(TRAINED) and candidate.training is not None:
            self._trained.add(candidate.training)
        if ROOM in result:
            self._release(trial_id)
            if result[ROOM]:
                self._asking.discard(trial_id)
            else:
                self._asking.add(trial_id)
                self._withdraw()  # whoever runs comes first
        if self._drawing is not None and self._drawing.metric in result:
            self._drawing.on_trial_result(self._names[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Notes that a trial has ended, has failed for good or was stopped."""
        self._release(trial_id)
        self._asking.discard(trial_id)
        del self._running[trial_id]
        if self._drawing is not None:
            self._drawing.on_trial_complete(self._names[trial_id], result=result, error=error)

    def save(self, checkpoint_path: str) -> None:
        """Saves nothing: a sweep is continued from its own folder."""

    def restore(self, checkpoint_path: str) -> None:
        """Restores nothing."""

    def _draw(self, trial_id: str) -> None:
        """Adds the next point of the other searcher to those that wait."""
        assert self._drawing is not None
        chosen = self._drawing.suggest(trial_id)
        if isinstance(chosen, dict):
            self._drawn = trial_id
            self._waiting.append(self._candidate(chosen))

    def _next(self) -> Candidate | None:
        """Returns the candidate that has a reservation, else the first that waits for no other trial."""
        if self._reserved is not None:
            return self._reserved[0]
        names = {candidate.name for candidate in self._running.values()}
        trainings = {candidate.training for candidate in self._running.values()} - self._trained
        for candidate in self._waiting:
            is_trained_elsewhere = candidate.training is not None and candidate.training in trainings
            if candidate.name not in names and not is_trained_elsewhere:
                return candidate
        return None

    def _has_room(self, candidate: Candidate) -> bool:
        """Returns whether a candidate has its room, after asking for it if nobody else does."""
        if not candidate.bundles:
            return True
        if self._asking:
            return False
        if self._reserved is None:
            self._reserved = (candidate, placement_group([dict(bundle) for bundle in candidate.bundles]))
        state: dict[str, Any] = placement_group_table(self._reserved[1])
        return bool(state["state"] == "CREATED")

    def _withdraw(self) -> None:
        """Gives up the reservation of the next leader."""
        if self._reserved is not None:
            remove_placement_group(self._reserved[1])
            self._reserved = None

    def _release(self, trial_id: str) -> None:
        """Gives up the reservation that a leader was started with."""
        granted = self._granted.pop(trial_id, None)
        if granted is not None:
            remove_placement_group(granted)
