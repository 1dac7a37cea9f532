"""The row of a tracker: its name, its options, the package it needs, and how it is made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raynas.optional import needed
from raynas.options import Options
from raynas.trackers.event import Event

TRACKER_FOLDER = "trackers"
"""Folder of the trackers' files in that of a run."""


@dataclass(frozen=True)
class TrackedRun:
    """The run that a tracker is told of.

    Attributes:
        name: Its name.
        location: Its folder or URL.
        folder: Its folder on this machine; a tracker can leave files in ``trackers/NAME`` of it.
        identity: Text that is the same whenever this run continues, and another for every other run.
        group: The sweep that the run is a trial of; empty of other runs.
    """

    name: str
    location: str
    folder: Path
    identity: str
    group: str = ""

    @property
    def digest(self) -> str:
        """A digest of the identity, of figures and letters alone."""
        return hashlib.sha256(self.identity.encode()).hexdigest()


class Tracker:
    """What is told of a run. Subclasses write it where they keep it; each runs in a thread of its own."""

    def tell(self, event: Event) -> None:
        """Takes what happened; of kinds that it has no use for, it does nothing."""
        raise NotImplementedError

    def flush(self) -> None:
        """Writes what it has been told to where it is kept; called now and then."""

    def close(self) -> None:
        """Ends the tracker. Called once, after the last event."""


class NoOptions(Options):
    """A tracker without options."""


@dataclass(frozen=True)
class TrackerRow:
    """A tracker.

    Attributes:
        name: The name in run files.
        title: What it is, for people.
        make: Returns it, given the run and its options.
        options: Its options, which are keys of the run file beside its name.
        module: The package that it needs, by the name it is imported by; empty for none.
        extra: The extra of raynas that brings the package.
        imports: Modules of the package, imported before the thread of the tracker starts. Two threads that import parts
            of one package at the same time can lock each other.
    """

    name: str
    title: str
    make: Callable[[TrackedRun, Any], Tracker]
    options: type[Options] = NoOptions
    module: str = ""
    extra: str = ""
    imports: tuple[str, ...] = ()

    def import_modules(self) -> None:
        """Imports what the tracker uses.

        Raises:
            InputError: If an import fails.
        """
        for name in self.imports:
            needed(name, self.extra, "trackers.names")
