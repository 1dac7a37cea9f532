"""Trackers: where the events of a run go, beside its folder: TensorBoard, MLflow, Weights & Biases, or one of your own.

A tracker is told what happens in a run as values (`raynas.trackers.event`), in a thread of its own. What a continued
run had told is not told again. A tracker that fails is left out with one warning, and the run goes on.

To add one, write a module with a `TrackerRow`. In this package it is found by itself; from your own package a run file
names the row by its dotted path.
"""

from __future__ import annotations

from raynas.members import Family
from raynas.trackers.event import Event
from raynas.trackers.row import TRACKER_FOLDER, TrackedRun, Tracker, TrackerRow

TRACKERS = Family("trackers.names", TrackerRow, "raynas.trackers")
"""The trackers."""

__all__ = ["TRACKERS", "TRACKER_FOLDER", "Event", "TrackedRun", "Tracker", "TrackerRow"]
