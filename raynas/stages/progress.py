"""Progress of a stage: on a terminal a bar with figures and time left; elsewhere, as in the log of a job, lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from raynas.errors import InputError
from raynas.records.record import Number, Part
from raynas.records.training_record import EpochLine, ProgressRecord
from raynas.stages.progress_line import LogTimes, Pace, ProgressLine, duration
from raynas.storage.run_folder import METRICS, NOTES, PROGRESS, whole_lines
from raynas.training.plan import Plan

if TYPE_CHECKING:
    from typing_extensions import Self

LOOK_SECONDS = 0.25
"""Seconds between two looks at what a training writes."""

LEAST_PHASE = 0.05
"""Seconds of a start that is worth naming."""


def is_live(console: Console) -> bool:
    """Returns whether a console can draw a line anew; else it gets lines with the time of day."""
    return console.is_terminal and not console.is_dumb_terminal


def write_line(console: Console, line: str) -> None:
    """Writes a line that stays, where no bar can be drawn with the time of day."""
    if not is_live(console):
        line = f"{time.strftime('%H:%M:%S')}  {line}"
    console.print(line, soft_wrap=True, highlight=False, markup=False)


class Progress:
    """Shows how far a stage is.

    A terminal has a bar with time left and figures, as many as its width admits. Elsewhere, and so in notebooks, lines
    with the time of day are written, each at once: one at each tenth of the work, and else one in ten seconds at most.
    """

    def __init__(self, console: Console, description: str) -> None:
        """Takes the console to show it on, and what happens first."""
        self._console = console
        self._is_live = is_live(console)
        self._line = ProgressLine(description)
        self._live = Live(self._line, console=console, transient=True, refresh_per_second=4, vertical_overflow="crop")
        self._pace, self._times = Pace(), LogTimes()
        self._phase: str | None = None
        self._started: list[str] = []
        self._waiting: str | None = None

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_live:
            self._live.stop()

    def note(self, line: str) -> None:
        """Writes a line that stays, above the bar if there is one."""
        write_line(self._console, line)

    def wait_for(self, line: str | None) -> None:
        """Says once what is waited for."""
        if line is not None and line != self._waiting:
            self.note(line)
        self._waiting = line

    def start(self, what: str) -> None:
        """Says what is being started, such as ``Ray``, with the seconds; a line says later how long each start took."""
        self._end_phase()
        self._phase = what
        self._line.description, self._line.total, self._line.figures = f"starting {what}", None, ()
        self._line.began = time.monotonic()

    def _end_phase(self) -> None:
        """Keeps how long the current start took."""
        seconds = time.monotonic() - self._line.began
        if self._phase is not None and seconds >= LEAST_PHASE:
            self._started.append(f"{self._phase} {duration(seconds)}")
        self._phase = None

    def _say_started(self) -> None:
        """Says how long the starts took, once they are over."""
        self._end_phase()
        if self._started:
            self.note(f"started: {', '.join(self._started)}")
        self._started = []

    def show(self, description: str, completed: float, total: float | None, *figures: str) -> None:
        """Moves the bar, or writes a line if one is due.

        Args:
            description: What happens.
            completed: How much of it is done.
            total: How much there is; None if nobody knows.
            figures: Figures to show beside it, the important ones first; empty ones are left out.
        """
        self._say_started()
        now, line = time.monotonic(), self._line
        if (description, total) != (line.description, line.total):
            self._pace, line.began = Pace(), now
            self._times.restart()
        self._pace.note(completed, now)
        line.left = self._pace.seconds_left(total) if total else None
        line.description, line.completed, line.total, line.figures = description, completed, total, figures
        self._say_if_due()

    def tick(self) -> None:
        """Writes a line into a log if one is due while nothing has moved, as during a start."""
        self._say_if_due()

    def _say_if_due(self) -> None:
        """Writes the line into a log if it is due."""
        if not self._is_live and self._times.is_due(self._line):
            self.note("  ".join(self._line.parts()))


class TrainingProgress(Progress):
    """Shows how far training is, wherever it runs, from what its first worker writes into the run folder."""

    def __init__(self, plans: Sequence[Plan], folder: Path, console: Console, description: str) -> None:
        """Prepares to show the trainings of a stage.

        Args:
            plans: The trainings, of one kind.
            folder: The run's folder.
            console: Where to show it.
            description: What happens first.
        """
        super().__init__(console, description)
        self._plans, self._folder = plans, folder
        self._file, self._notes = folder / PROGRESS, folder / NOTES
        self._noted = len(whole_lines(self._notes))
        self._before = self._file.read_bytes() if self._file.exists() else None  # of a process that has ended
        self._metrics = [folder / plan.folder / METRICS for plan in plans]
        self._shown = [whole_lines(file) for file in self._metrics]
        self._left = threading.Event()
        self._watch = threading.Thread(target=self._look_until_left, name="progress", daemon=True)

    def __enter__(self) -> Self:
        super().__enter__()
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()
        self._watch.join()
        super().__exit__(kind, value, traceback)
        self._show_notes()
        self._show_epochs()

    def _look_until_left(self) -> None:
        while not self._left.wait(LOOK_SECONDS):
            self._show_notes()
            # A log gets the figures of whole epochs; those of a part of an epoch only while none has ended.
            if self._is_live or not self._show_epochs():
                self._show_note_of_progress()

    def _show_notes(self) -> None:
        """Writes the lines that workers have added since."""
        lines = whole_lines(self._notes)
        for line in lines[self._noted :]:
            self.note(line)
        self._noted = len(lines)

    def _show_epochs(self) -> bool:
        """Shows the epochs that have ended since, also those that were trained again; returns whether any has."""
        any_ended = False
        for number, file in enumerate(self._metrics):
            lines, shown = whole_lines(file), self._shown[number]
            same = 0
            while same < min(len(lines), len(shown)) and lines[same] == shown[same]:
                same += 1
            for line in lines[same:]:
                any_ended |= self._show_epoch(number, EpochLine.read_one(line))
            self._shown[number] = lines
        return any_ended

    def _show_epoch(self, number: int, record: EpochLine | None) -> bool:
        """Shows an epoch of one training; returns whether its record is not damaged."""
        figures = _figures(record, self._plans[number])
        if figures is None or self._is_live:
            return False  # the epoch is trained again
        self._show_position(number, figures, figures["epoch"] + 1)
        return True

    def _show_note_of_progress(self) -> None:
        """Shows what the last note of progress says, if it is new and not damaged; the next takes the place of such."""
        content = self._file.read_bytes() if self._file.exists() else None
        if content is None or content == self._before:
            if self._phase is not None:
                self._say_if_due()
            return
        try:
            note = ProgressRecord.read(self._file)
        except InputError:
            return
        names = [plan.name for plan in self._plans]
        number = names.index(note.training) if note.training in names else 0
        figures = _figures(note, self._plans[number])
        if figures is not None and note.steps > 0:
            trainings = len(self._plans)
            done = note.step / note.steps * trainings * self._plans[number].recipe.epochs
            self._show_position(number, figures, done - number * self._plans[number].recipe.epochs)

    def _show_position(self, number: int, figures: Mapping[str, Number], epochs: float) -> None:
        """Shows how far a training is.

        Args:
            number: Its place among those of the stage.
            figures: Figures of its last step or epoch.
            epochs: Its epochs that are done.
        """
        plan, trainings = self._plans[number], len(self._plans)
        shown = figures_of(figures, plan)
        if trainings > 1:
            shown.insert(1, plan.name)
        done, total = number * plan.recipe.epochs + epochs, trainings * plan.recipe.epochs
        self.show(plan.subject.removeprefix("the "), done, total, *shown)


def _figures(record: Part | None, plan: Plan) -> Mapping[str, Number] | None:
    """Returns the numbers of an epoch or a step; None if one is missing that a line for people needs."""
    numbers = record.numbers() if record is not None else {}
    needed = {"epoch", "learning_rate", plan.speed, *(metric.name for metric in plan.metrics)}
    return numbers if needed <= set(numbers) else None


def figures_of(metrics: Mapping[str, Any], plan: Plan) -> list[str]:
    """Returns where training is, of a step or an epoch, the important figures first."""
    loss, *others = [metric.text.format(metrics[metric.name]) for metric in plan.metrics]
    epoch = f"epoch {int(metrics['epoch']) + 1}/{plan.recipe.epochs}"
    speed = f"{metrics[plan.speed]:,.0f} {plan.samples}/s"
    return [loss, epoch, *others, speed, f"rate {metrics['learning_rate']:.2g}"]
