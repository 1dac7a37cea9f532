"""The trials of a sweep that are left to run, as plans for Tune."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raynas.config.sweeps import Point, Sweep, Trial
from raynas.on_ray.nodes import Needs
from raynas.on_ray.sweep_states import ENDED, states_of
from raynas.on_ray.trial import training_name, trial_needs


@dataclass(frozen=True)
class Plan:
    """Trials that Tune runs at once.

    Attributes:
        sweep: The sweep.
        points: Point and seed by name of trials that are known beforehand, in the order of their start.
        drawn: Number of trials that the searcher samples; `points` is empty then.
        known: Points that were sampled before, and their results.
        shared: Names of trainings that run once for several trials.
        needs: The largest resources of one of the trials.
    """

    sweep: Sweep
    points: dict[str, tuple[Point, int | None]]
    drawn: int
    known: list[tuple[Point, float]]
    shared: frozenset[str]
    needs: Needs

    def trial(self, chosen: Mapping[str, Any]) -> Trial:
        """Returns the trial that Tune has chosen: by name, or by a sampled point that gives choices by position."""
        if self.points:
            return self.sweep.trial(*self.points[chosen["trial"]])
        axes = self.sweep.drawn
        point: Point = {}
        for key, value in chosen.items():
            choice = axes[key].choice
            point[key] = value if choice is None else choice[value]
        return self.sweep.trial(point, None)


def plans(sweep: Sweep, folder: Path) -> Iterator[Plan]:
    """Yields the plans of what is left of a sweep, by the states in its folder at that time."""
    if not sweep.settings.searcher_row.samples_by_results:
        trials = sweep.trials()
        ended = {state["name"] for state in states_of(folder) if state["status"] in ENDED}
        left = [trial for trial in trials if trial.name not in ended]
        # A scheduler compares with the ended trials: they run again, through the work that they have done.
        planned = trials if sweep.settings.scheduler_row.stops_early else left
        if left:
            yield _plan(sweep, planned, shared_trainings(sweep, trials))
        return
    examples = sweep.examples()
    names = {training_name(trial.config, sweep.base) for trial in examples}
    shared = {name for name in names if name is not None} if len(names) == 1 else set()
    begun = [state for state in states_of(folder) if state["status"] not in ENDED]
    if begun:
        yield _plan(sweep, [sweep.trial(state["point"], None) for state in begun], shared)
    states, metric = states_of(folder), sweep.settings.metric
    if len(states) < sweep.settings.samples:
        known = [(state["point"], state["metrics"][metric]) for state in states if metric in state["metrics"]]
        drawn = sweep.settings.samples - len(states)
        yield replace(_plan(sweep, examples, shared), points={}, drawn=drawn, known=known)


def _plan(sweep: Sweep, trials: Sequence[Trial], shared: set[str]) -> Plan:
    """Returns the plan of trials that are known beforehand."""
    return Plan(
        sweep,
        {trial.name: (trial.point, trial.seed) for trial in trials},
        drawn=0,
        known=[],
        shared=frozenset(shared),
        needs=_largest([trial_needs(trial.config) for trial in trials]),
    )


def shared_trainings(sweep: Sweep, trials: Sequence[Trial]) -> set[str]:
    """Returns the names of the trainings that more than one trial needs."""
    counts = Counter(training_name(trial.config, sweep.base) for trial in trials)
    return {name for name, count in counts.items() if name is not None and count > 1}


def _largest(several: Sequence[Needs]) -> Needs:
    """Returns the largest amount of each resource that any of them takes."""
    kinds = sorted(set().union(*(needs.resources for needs in several)))
    largest = {}
    for kind in kinds:
        largest[kind] = max(needs.resources.get(kind, 0.0) for needs in several)
    return replace(several[0], resources=largest)
