"""A tracker of one's own: a line of text for every event, in a file of the run's folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from raynas.options import Options
from raynas.trackers import Event, TrackedRun, Tracker, TrackerRow


class DiaryOptions(Options):
    """Options of the diary.

    Attributes:
        diary: Name of the file.
        fails_at: Kind of the event at which it fails; none by default.
    """

    diary: str = Field(default="diary.txt", pattern=r"^[a-z.]+$")
    fails_at: str | None = None


class Diary(Tracker):
    """Writes a line for every event."""

    def __init__(self, run: TrackedRun, options: DiaryOptions) -> None:
        """Opens the file."""
        self._file: Path = run.folder / options.diary
        self._fails_at = options.fails_at

    def tell(self, event: Event) -> None:
        """Writes a line."""
        if event.kind == self._fails_at:
            raise OSError("the diary is full")
        with self._file.open("a") as stream:
            stream.write(f"{event.kind} {sorted(event.figures())}\n")


DIARY = TrackerRow("diary", "a diary", Diary, options=DiaryOptions)
