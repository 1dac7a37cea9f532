"""A bar on a terminal; elsewhere, as in the log of a job, a line for every epoch and every generation."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from raynas.errors import InputError
from raynas.records.record import Number, Part
from raynas.records.training_record import EpochLine, ProgressRecord
from raynas.stages.training import is_done
from raynas.storage.run_folder import METRICS, NOTES, PROGRESS, whole_lines
from raynas.training.plan import Plan

if TYPE_CHECKING:
    from typing_extensions import Self

LINE_SECONDS = 30.0
"""Where there is no terminal, a stage without epochs and generations says how far it is so often."""


class Progress:
    """Shows how far a stage is: on a terminal a bar with figures and time left; elsewhere lines, each written at once.

    Elsewhere a stage with milestones writes a line for each of them. Any other stage writes what it shows, every
    `LINE_SECONDS`.
    """

    def __init__(self, console: Console, description: str, *, milestones: bool = False) -> None:
        """Takes the console to show it on, what happens first, and whether the stage has milestones."""
        self._console = console
        self._milestones = milestones
        self._spoke = time.monotonic()
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[metrics]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID = self._bar.add_task(description, total=None, metrics="")
        self._waiting: str | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def note(self, line: str) -> None:
        """Writes a line, above the bar if there is one."""
        self._console.print(line, soft_wrap=True, highlight=False, markup=False)

    def wait_for(self, line: str | None) -> None:
        """Says once what is waited for."""
        if line is not None and line != self._waiting:
            self.note(line)
        self._waiting = line

    def show(self, description: str, completed: int, total: int | None, metrics: str) -> None:
        """Moves the bar.

        Args:
            description: What happens.
            completed: How much of it is done.
            total: How much there is; None if nobody knows.
            metrics: Figures to show beside the bar.
        """
        self._bar.update(self._task, description=description, completed=completed, total=total, metrics=metrics)
        now = time.monotonic()
        if self._console.is_terminal or self._milestones or now - self._spoke < LINE_SECONDS:
            return
        self._spoke = now
        self.note("  ".join(filter(None, (description, f"{100 * completed / total:.0f} %" if total else "", metrics))))

    def milestone(self, line: str) -> None:
        """Says that an epoch or a generation is over, where no bar shows it."""
        if not self._console.is_terminal:
            self.note(line)


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
        super().__init__(console, description, milestones=True)
        self._plans, self._folder = plans, folder
        self._file, self._notes = folder / PROGRESS, folder / NOTES
        self._noted = len(whole_lines(self._notes))
        self._before = self._file.read_bytes() if self._file.exists() else None  # of a process that has ended
        self._metrics = [folder / plan.folder / METRICS for plan in plans]
        self._shown = [whole_lines(file) for file in self._metrics]
        self._left = threading.Event()
        self._watch = threading.Thread(target=self._refresh_until_left, name="progress", daemon=True)

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

    def _refresh_until_left(self) -> None:
        while not self._left.wait(0.25):
            self._show_notes()
            if not self._console.is_terminal:
                self._show_epochs()
            elif self._file.exists():
                self._refresh()

    def _show_notes(self) -> None:
        """Writes the lines that workers have added since."""
        lines = whole_lines(self._notes)
        for line in lines[self._noted :]:
            self.note(line)
        self._noted = len(lines)

    def _show_epochs(self) -> None:
        """Writes a line for every epoch that has ended since, also for one that was trained again."""
        for number, file in enumerate(self._metrics):
            lines, shown = whole_lines(file), self._shown[number]
            same = 0
            while same < min(len(lines), len(shown)) and lines[same] == shown[same]:
                same += 1
            for line in lines[same:]:
                self._show_epoch(number, line)
            self._shown[number] = lines

    def _show_epoch(self, number: int, line: str) -> None:
        """Writes the line of an epoch of one training, if its record is not damaged."""
        plan = self._plans[number]
        metrics = _figures(EpochLine.read_one(line), plan)
        if metrics is None:
            return  # the epoch is trained again
        later = sum(not is_done(self._folder, other) for other in self._plans[number + 1 :])
        epochs = plan.recipe.epochs * (1 + later) - metrics["epoch"] - 1
        text = figures_of(metrics, plan)
        if len(self._plans) > 1:
            text = f"{plan.name}  {text}"
        if epochs:
            text += f"  {time_left(epochs * metrics.get('seconds', 0.0))}"
        self.milestone(text)

    def _refresh(self) -> None:
        content = self._file.read_bytes()
        if content == self._before:
            return
        plan = self._plans[0]
        try:
            note = ProgressRecord.read(self._file)
        except InputError:
            return  # the next note takes its place
        figures = _figures(note, plan)
        if figures is not None:
            self.show(f"training {plan.subject}", note.step, note.steps, figures_of(figures, plan))


def _figures(record: Part | None, plan: Plan) -> Mapping[str, Number] | None:
    """Returns the numbers of an epoch or a step; None if one is missing that a line for people needs."""
    numbers = record.numbers() if record is not None else {}
    needed = {"epoch", "learning_rate", plan.speed, *(metric.name for metric in plan.metrics)}
    return numbers if needed <= set(numbers) else None


def time_left(seconds: float) -> str:
    """Returns how long something takes yet, to two figures or so."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s left"
    return f"{minutes} min left" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min left"


def figures_of(metrics: Mapping[str, Any], plan: Plan) -> str:
    """Returns where training is, of a step or an epoch."""
    values = "  ".join(metric.text.format(metrics[metric.name]) for metric in plan.metrics)
    return (
        f"epoch {metrics['epoch'] + 1}/{plan.recipe.epochs}  {values}  rate {metrics['learning_rate']:.2g}  "
        f"{metrics[plan.speed]:,.0f} {plan.samples}/s"
    )
