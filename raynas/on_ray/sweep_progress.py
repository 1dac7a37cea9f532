"""The progress of a sweep on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raynas.config.sweeps import Sweep
from raynas.on_ray.sweep_states import ENDED, states_of
from raynas.stages.progress import Progress
from raynas.storage.mirror import Mirror


class SweepProgress:
    """Says how far a sweep is: a bar of its trials, and a line for each that ends or waits for another process."""

    def __init__(self, sweep: Sweep, mirror: Mirror, progress: Progress, write: Callable[[], object]) -> None:
        """Takes the sweep, its files, the place to show it, and a function that writes the results.

        Trials that have ended before are not reported again.
        """
        self._sweep, self._mirror, self._progress = sweep, mirror, progress
        self._write = write
        self._number = sweep.number
        self._said = {state["name"] for state in states_of(mirror.folder) if state["status"] in ENDED}
        self._waits: set[tuple[str, str]] = set()

    def refresh(self) -> None:
        """Says what is new, and brings the results up to date with it."""
        states = states_of(self._mirror.folder)
        if not states:  # no trial has begun
            self._progress.tick()
            return
        self._say_waits(states)
        ended = [state for state in states if state["status"] != "running"]
        new = [state for state in ended if state["name"] not in self._said]
        for state in new:
            self._said.add(state["name"])
            self._progress.note(f"{len(self._said)}/{self._number}  {state['name']}: {self._told(state)}")
        if new:
            self._write()
        metric, values = self._sweep.settings.metric, _values(states, self._sweep.settings.metric)
        best = f"best {metric} {_extreme(values, self._sweep):.5g}" if values else ""
        running = [state for state in states if state["status"] == "running"]
        epochs = f"at epochs {', '.join(str(state['epochs']) for state in running[:8])}" if running else ""
        self._progress.show("sweep", len(ended), self._number, best, f"{len(running)} running", epochs)

    def _say_waits(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Says, once each, whom running trials wait for."""
        for state in states:
            wait = (state["name"], str(state["waits"]))
            if state["status"] == "running" and state["waits"] is not None and wait not in self._waits:
                self._waits.add(wait)
                self._progress.note(f"{state['name']}: {state['waits']}")

    def _told(self, state: Mapping[str, Any]) -> str:
        """Returns how a trial ended, in a line."""
        metric = self._sweep.settings.metric
        if state["status"] == "failed":
            return f"failed: {state['error']}"
        if state["status"] == "stopped":
            return f"stopped after {state['epochs']} epochs"
        known = f"{state['metrics'][metric]:.5g}" if metric in state["metrics"] else "unknown"
        return f"{metric} {known}  {state['seconds']:.0f} s"


def _values(states: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    return [state["metrics"][metric] for state in states if state["status"] == "done" and metric in state["metrics"]]


def _extreme(values: Sequence[float], sweep: Sweep) -> float:
    return max(values) if sweep.settings.better == "max" else min(values)
