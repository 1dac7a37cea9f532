"""What happens in a run, as values: the configuration, stages, epochs, generations, architectures, ranks and files.

Epochs, generations, architectures, ranks and trials come of the records of the run, so that a run that continues tells
none of them twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    """Something that happens in a run."""

    kind: ClassVar[str] = ""
    """What it is, in a word."""

    def figures(self) -> dict[str, Any]:
        """Returns all that is known of it, by names, as plain values."""
        return {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}


@dataclass(frozen=True)
class Configuration(Event):
    """A run begins, or continues.

    Attributes:
        values: The resolved configuration, by dotted keys.
        changed: Of these, the keys whose values differ from the defaults.
        versions: Versions of raynas, Python and the packages that began the run.
        created: Time at which the run began.
    """

    kind = "configuration"

    values: Mapping[str, Any]
    changed: Mapping[str, Any]
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""


@dataclass(frozen=True)
class Stage(Event):
    """A stage of a run begins or ends.

    Attributes:
        name: The stage, such as ``train``, ``search``, ``rank`` or ``retrain``.
        seconds: How long it took; None when it begins.
        summary: What it came to, by names; empty when it begins.
    """

    kind = "stage"

    name: str
    seconds: float | None = None
    summary: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Epoch(Event):
    """An epoch of a training has ended.

    Attributes:
        training: The folder of the training inside that of the run, such as ``supernet/seed_0``.
        line: Its line in ``metrics.jsonl``: ``epoch`` from 0, ``step``, ``loss``, and what else the training records.
    """

    kind = "epoch"

    training: str
    line: Mapping[str, Any]

    @property
    def step(self) -> int:
        """Steps since the training began; without them, epochs."""
        step = self.line.get("step")
        return step if isinstance(step, int) else int(self.line["epoch"]) + 1

    def figures(self) -> dict[str, Any]:
        """Returns the training and the keys of the line."""
        return {"training": self.training, **self.line}


@dataclass(frozen=True)
class Architecture(Event):
    """An architecture was evaluated.

    Attributes:
        number: Architectures that were evaluated before it.
        line: Its line in ``search/history.jsonl``.
    """

    kind = "architecture"

    number: int
    line: Mapping[str, Any]

    def figures(self) -> dict[str, Any]:
        """Returns the keys of the line."""
        return dict(self.line)


@dataclass(frozen=True)
class Generation(Event):
    """A generation of a search was evaluated.

    Attributes:
        generation: Its number, from 0.
        evaluated: Architectures that are evaluated, of all generations.
        best: The best fitness so far.
        mean: The mean fitness of the generation.
        architecture: The best architecture so far, as text.
    """

    kind = "generation"

    generation: int
    evaluated: int
    best: float
    mean: float
    architecture: str


@dataclass(frozen=True)
class Rank(Event):
    """A fitness was compared with the benchmark accuracies.

    Attributes:
        label: Label of the fitness, as in the name of its file.
        tau: Kendall's tau-b by the name of the fitness and of each baseline.
        by_epoch: tau-b of the fitness by epochs done, where that was asked for.
    """

    kind = "rank"

    label: str
    tau: Mapping[str, float]
    by_epoch: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial(Event):
    """A trial of a sweep has ended.

    Attributes:
        number: Trials that ended before it.
        name: Its name.
        status: How it ended: ``done``, ``stopped`` or ``failed``.
        point: The values of the varied keys.
        metrics: Its metrics.
    """

    kind = "trial"

    number: int
    name: str
    status: str
    point: Mapping[str, Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Artifact(Event):
    """A result is a file.

    Attributes:
        path: The file inside the folder of the run.
    """

    kind = "artifact"

    path: str


@dataclass(frozen=True)
class End(Event):
    """A run, or the part of it that a command carries out, is over.

    Attributes:
        status: ``done``, ``failed`` or ``interrupted``.
        reason: Why, if it is not done.
    """

    kind = "end"

    status: str
    reason: str = ""
