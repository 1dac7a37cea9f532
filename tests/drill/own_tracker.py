"""A tracker of one's own: a line of text for every event, in a file of the run's folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from raynas.options import Options
from raynas.trackers import Event, TrackedRun, Tracker, TrackerRow
from raynas.trackers.event import Artifact


class DiaryOptions(Options):
    """Options of the diary.

    Attributes:
        diary: Name of the file.
        shows_paths: Whether the line of a file has its path.
        fails_at: Kind of the event at which it fails; none by default.
    """

    diary: str = Field(default="diary.txt", pattern=r"^[a-z.]+$")
    shows_paths: bool = False
    fails_at: str | None = None


class Diary(Tracker):
    """Writes a line for every event."""

    def __init__(self, run: TrackedRun, options: DiaryOptions) -> None:
        """Opens the file."""
        self._file: Path = run.folder / options.diary
        self._fails_at, self._shows_paths = options.fails_at, options.shows_paths

    def tell(self, event: Event) -> None:
        """Writes a line."""
        if event.kind == self._fails_at:
            raise OSError("the diary is full")
        shown = event.path if self._shows_paths and isinstance(event, Artifact) else sorted(event.figures())
        with self._file.open("a") as stream:
            stream.write(f"{event.kind} {shown}\n")


DIARY = TrackerRow("diary", "a diary", Diary, options=DiaryOptions)
