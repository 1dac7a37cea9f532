"""The line that says how far a stage is: what it shows at a width, how much time is left, and when a log gets one.

Imports nothing of torch.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions
from rich.text import Text

LINE_SECONDS = 10.0
"""The least time between two lines of a log, but for those of the tenths of the work."""

MOST_SECONDS = 300.0
"""The most time between two lines of a log: a stage of days has a line every five minutes."""

LINES = 100
"""Lines that the log of a long stage has, beside those of the tenths, until `MOST_SECONDS` gives it more."""

TENTH_SECONDS = 1.0
"""The least time between a line and the one of a tenth of the work: a stage of a second has no line but its summary."""

WINDOW_SECONDS = 60.0
"""The speed behind the time left is that of the last minute."""

LEAST_BAR, LONGEST_BAR = 8, 40
"""Characters of a bar."""

NEEDED = 4
"""Parts of a line that stand before its bar does: description, share, time left and the first figure."""


def time_left(seconds: float) -> str:
    """Returns how long something takes yet, to two figures or so."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s left"
    return f"{minutes} min left" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min left"


def duration(seconds: float) -> str:
    """Returns a duration to two figures or so."""
    return f"{seconds:.1f} s" if seconds < 9.95 else time_left(seconds).removesuffix(" left")


def fitting(parts: Sequence[str], width: int) -> list[str]:
    """Returns the first parts of a line that fit into a width, two spaces apart; the first one is cut if it must be."""
    shown = [parts[0][:width]]
    for part in parts[1:]:
        if len("  ".join([*shown, part])) > width:
            break
        shown.append(part)
    return shown


class Pace:
    """How fast a stage goes, from what it has done in the last minute."""

    def __init__(self) -> None:
        """Begins with nothing known."""
        self._marks: deque[tuple[float, float]] = deque()

    def note(self, completed: float, now: float) -> None:
        """Notes how much is done; less than before begins anew, as after a lost worker."""
        if self._marks and completed < self._marks[-1][1]:
            self._marks.clear()
        if not self._marks or completed > self._marks[-1][1]:
            self._marks.append((now, completed))
        while len(self._marks) > 2 and self._marks[1][0] < now - WINDOW_SECONDS:
            self._marks.popleft()

    def seconds_left(self, total: float) -> float | None:
        """Returns how long the rest takes at this speed; None if nobody knows."""
        if len(self._marks) < 2:
            return None
        (first, before), (last, completed) = self._marks[0], self._marks[-1]
        if last <= first:
            return None
        return max(0.0, total - completed) * (last - first) / (completed - before)


@dataclass
class ProgressLine:
    """How far a stage is, as a line. On a terminal it is drawn anew several times a second.

    Attributes:
        description: What happens.
        completed: How much of it is done.
        total: How much there is; None if nobody knows, then the line shows the seconds.
        figures: Figures beside the bar, the important ones first: those that do not fit are left out.
        left: Seconds that the rest takes; None if nobody knows.
        began: When this began, on the monotonic clock.
    """

    description: str
    completed: float = 0
    total: float | None = None
    figures: Sequence[str] = ()
    left: float | None = None
    began: float = field(default_factory=time.monotonic)

    def parts(self) -> list[str]:
        """Returns what the line says beside its bar, the important first."""
        if not self.total:
            return [self.description, f"{time.monotonic() - self.began:.0f} s", *filter(None, self.figures)]
        left = "" if self.left is None else time_left(self.left)
        percent = f"{100 * self.completed / self.total:.0f} %"
        return [self.description, percent, *filter(None, (left, *self.figures))]

    def text(self, width: int, bar: str = "━") -> Text:
        """Returns the line at a width: time left and the first figures, then what else fits, then a bar in the rest.

        Args:
            width: Characters of the terminal's line.
            bar: The character that the bar is drawn with.
        """
        shown = fitting(self.parts(), width - LEAST_BAR - 1 if self.total else width)
        if len(shown) < NEEDED:  # they are worth more than the bar
            shown = fitting(self.parts(), width)
        description, *others = shown
        line = Text(description, no_wrap=True, overflow="crop", end="")
        length = min(LONGEST_BAR, width - len("  ".join(shown)) - 1)
        if self.total and length >= LEAST_BAR:
            done = round(length * min(1.0, self.completed / self.total))
            rest = "─" if bar == "━" else " "
            line.append(" ").append(bar * done, style="bar.complete").append(rest * (length - done), style="bar.back")
        for part in others:
            line.append(f"  {part}")
        return line

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield self.text(options.max_width, "#" if options.ascii_only else "━")


class LogTimes:
    """Says when a log gets a line: at each tenth of the work, and now and then."""

    def __init__(self) -> None:
        """Begins a stage."""
        self._began = self._spoke = time.monotonic()
        self._tenth = 0

    def restart(self) -> None:
        """Begins other work of the stage."""
        self._tenth = 0

    def is_due(self, line: ProgressLine) -> bool:
        """Returns whether a line is due, which is then written."""
        now = time.monotonic()
        tenth = int(10 * line.completed / line.total) if line.total else 0
        whole = now - self._began + (line.left if line.left is not None else now - self._began)
        pause = min(max(LINE_SECONDS, whole / LINES), MOST_SECONDS)
        since = now - self._spoke
        if since < pause and not (tenth > self._tenth and since >= TENTH_SECONDS):
            return False
        self._spoke, self._tenth = now, tenth
        return True
