"""What the trials of a sweep are compared by: each metric is a row beside the function that takes it from a trial.

To add a metric, write a module with a `SweepMetric`. In this package it is found by itself; from your own package a
sweep file names the row by its dotted path, such as ``sweep.metric: my_module.MY_METRIC``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from raynas.members import Family


@dataclass(frozen=True)
class TrialOutcome:
    """What a trial left behind.

    Attributes:
        result: What its search found, as ``search/result.json`` has it.
        ranking: How well its fitness ranks the space, as ``rank/result.json`` has it; None if the sweep does not rank.
        epochs: The lines of ``metrics.jsonl`` of each supernet that the trial evaluates with.
        derived: The last line of ``derived.jsonl`` of each of these supernets that has alphas.
        retrained: What its retraining came to, as ``retrain/*/result.json`` has it; None without the section.
    """

    result: Mapping[str, Any]
    ranking: Mapping[str, Any] | None = None
    epochs: Sequence[Sequence[Mapping[str, Any]]] = field(default_factory=list)
    derived: Sequence[Mapping[str, Any]] = field(default_factory=list)
    retrained: Mapping[str, Any] | None = None

    @property
    def best(self) -> Mapping[str, Any]:
        """The best architecture: its description, drawing and numbers."""
        best: Mapping[str, Any] = self.result["best"][0]
        return best


@dataclass(frozen=True)
class SweepMetric:
    """A number that trials can be compared by: a row of `sweep.metric` and `sweep.also`.

    Attributes:
        name: The name in sweep files.
        title: What the number is, for people.
        take: Returns the number of a trial that has ended; None if the trial has none.
        unit: Unit of the number; empty for none.
        decimals: Decimals that are worth showing.
        better: Whether more of it or less of it is better.
        needs_ranking: Whether only a sweep with `sweep.rank` knows it.
        needs_retraining: Whether only runs with the section `retrain` know it.
        of_epoch: Returns the number from a line of ``metrics.jsonl``: it is known after every epoch, and asha can stop
            trials by it. None for a number of whole trials.
    """

    name: str
    title: str
    take: Callable[[TrialOutcome], float | None]
    unit: str = ""
    decimals: int = 4
    better: Literal["max", "min"] = "max"
    needs_ranking: bool = False
    needs_retraining: bool = False
    of_epoch: Callable[[Mapping[str, Any]], float] | None = None


SWEEP_METRICS = Family("sweep.metric", SweepMetric, "raynas.sweep_metrics")
"""The metrics that a sweep file can name."""
