"""Admission of trials: the decision when Ray Tune may start the next trial of a sweep.

Tune counts the resources in the placement group of a trial. It cannot count the workers that a trial leads, since Ray
Train creates a separate placement group for them. Admission counts these workers instead of Tune:

- A leader starts when the cluster has room for its workers. The next leader requests the room by a placement group
  with one bundle per worker, the reservation. An autoscaler sees the reservation as demand and adds nodes.
- The reservation is released when the leader requests its workers, which take the same room.
- At most one reservation exists at a time, and none while a leader waits for room. Leaders therefore never take the
  room of each other, and the number of leaders never exceeds the capacity of the cluster.
- Among trials that share a training, one trains. The others start after the training, and hold no room before.

Tune asks a searcher for each next trial, and passes on the reports of trials. Admission is such a searcher.
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
        chosen: The argument that Tune passes to the trial.
        bundles: Resources of each worker that the trial leads; empty for a trial without workers.
        training: Name of the training that the trial shares with others; None if it shares none.
    """

    name: str
    chosen: dict[str, Any]
    bundles: tuple[dict[str, float], ...]
    training: str | None


class Admission(Searcher):
    """A searcher for Tune: suggests the trials of a list, or of another searcher, when they have room."""

    def __init__(
        self,
        candidate: Callable[[Mapping[str, Any]], Candidate],
        listed: Sequence[Mapping[str, Any]] = (),
        drawing: Searcher | None = None,
    ) -> None:
        """Stores the trials to start, without a request to Ray.

        Args:
            candidate: Returns the candidate for the argument of a trial.
            listed: The arguments of the trials, in the order of their start.
            drawing: The searcher that samples the arguments of the trials, instead of a list.
        """
        super().__init__()
        self._candidate = candidate
        self._waiting = [candidate(chosen) for chosen in listed]
        self._drawing = drawing
        self._drawn = ""  # name of the waiting candidate in `drawing`
        self._names: dict[str, str] = {}  # names of the started trials in `drawing`
        self._running: dict[str, Candidate] = {}
        self._asking: set[str] = set()  # leaders without room
        self._trained: set[str] = set()
        self._reserved: tuple[Candidate, PlacementGroup] | None = None
        self._granted: dict[str, PlacementGroup] = {}  # reservations of leaders before the request for workers

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Returns the argument of a new trial, or None as long as no trial may start."""
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
        """Records the reports of a running trial: a request for room, a start of workers, the end of its training."""
        candidate = self._running[trial_id]
        if result.get(TRAINED) and candidate.training is not None:
            self._trained.add(candidate.training)
        if ROOM in result:
            self._release(trial_id)
            if result[ROOM]:
                self._asking.discard(trial_id)
            else:
                self._asking.add(trial_id)
                self._withdraw()  # running trials come first
        if self._drawing is not None and self._drawing.metric in result:
            self._drawing.on_trial_result(self._names[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Records that a trial has ended, has failed finally or was stopped."""
        self._release(trial_id)
        self._asking.discard(trial_id)
        del self._running[trial_id]
        if self._drawing is not None:
            self._drawing.on_trial_complete(self._names[trial_id], result=result, error=error)

    def save(self, checkpoint_path: str) -> None:
        """Saves nothing, since a sweep resumes from its own folder."""

    def restore(self, checkpoint_path: str) -> None:
        """Restores nothing."""

    def _draw(self, trial_id: str) -> None:
        """Adds the next point of the other searcher to the waiting trials."""
        assert self._drawing is not None
        chosen = self._drawing.suggest(trial_id)
        if isinstance(chosen, dict):
            self._drawn = trial_id
            self._waiting.append(self._candidate(chosen))

    def _next(self) -> Candidate | None:
        """Returns the candidate with a reservation, else the first one that does not wait for another trial."""
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
        """Returns whether a candidate has its room; requests the room if no other trial does."""
        if not candidate.bundles:
            return True
        if self._asking:
            return False
        if self._reserved is None:
            self._reserved = (candidate, placement_group([dict(bundle) for bundle in candidate.bundles]))
        state: dict[str, Any] = placement_group_table(self._reserved[1])
        return bool(state["state"] == "CREATED")

    def _withdraw(self) -> None:
        """Releases the reservation of the next leader."""
        if self._reserved is not None:
            remove_placement_group(self._reserved[1])
            self._reserved = None

    def _release(self, trial_id: str) -> None:
        """Releases the reservation of a started leader."""
        granted = self._granted.pop(trial_id, None)
        if granted is not None:
            remove_placement_group(granted)
