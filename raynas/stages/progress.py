"""A bar on a terminal; elsewhere, as in the log of a job, a line for every epoch and every generation."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from raynas.config.run_config import RunConfig
from raynas.storage.run_folder import METRICS, NOTES, NUMBER, PROGRESS, Kind, lacking, seed_folder, whole_lines

if TYPE_CHECKING:
    from typing_extensions import Self

LINE_SECONDS = 30.0
"""Where there is no terminal, a stage without epochs and generations says how far it is so often."""


class Progress:
    """Shows how far a stage is: on a terminal a bar with figures and time left; elsewhere lines, each written at once.

    Elsewhere a stage that tells its milestones writes these, any other one what it shows, every `LINE_SECONDS`.
    """

    def __init__(self, console: Console, description: str, *, milestones: bool = False) -> None:
        """Takes the console to show it on, what happens first, and whether the stage tells its milestones."""
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

    def __init__(self, config: RunConfig, folder: Path, console: Console) -> None:
        """Takes the run's configuration and folder, and the console to show it on."""
        super().__init__(console, "starting workers" if config.train.workers else "preparing to train", milestones=True)
        self._config = config
        self._file, self._notes = folder / PROGRESS, folder / NOTES
        self._noted = len(whole_lines(self._notes))
        self._before = self._file.read_bytes() if self._file.exists() else None  # of a process that has ended
        self._metrics = {seed: seed_folder(folder, seed) / METRICS for seed in config.base_seeds}
        self._told = {seed: whole_lines(file) for seed, file in self._metrics.items()}
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
        self._tell_epochs()

    def _refresh_until_left(self) -> None:
        while not self._left.wait(0.25):
            self._show_notes()
            if not self._console.is_terminal:
                self._tell_epochs()
            elif self._file.exists():
                self._refresh()

    def _show_notes(self) -> None:
        """Writes the lines that workers have added since."""
        lines = whole_lines(self._notes)
        for line in lines[self._noted :]:
            self.note(line)
        self._noted = len(lines)

    def _tell_epochs(self) -> None:
        """Says of epochs that have ended since; those that are trained again are told again."""
        seeds, epochs = self._config.base_seeds, self._config.train.epochs
        for number, (seed, file) in enumerate(self._metrics.items()):
            lines, told = whole_lines(file), self._told[seed]
            again = [old == new for old, new in zip(told, lines, strict=False)]
            for line in lines[again.index(False) if False in again else len(again) :]:
                metrics = _read(line, EPOCH_KEYS)
                if metrics is None:
                    continue  # damaged; the epoch is trained again
                left = epochs * (len(seeds) - number) - metrics["epoch"] - 1
                self.milestone(
                    (f"seed {seed}  " if len(seeds) > 1 else "")
                    + _figures(metrics, epochs)
                    + (f"  {time_left(left * metrics.get('seconds', 0.0))}" if left else "")
                )
            self._told[seed] = lines

    def _refresh(self) -> None:
        content = self._file.read_bytes()
        if content == self._before:
            return
        note = _read(content, {**EPOCH_KEYS, "step": int, "steps": int})
        if note is not None:  # else damaged; the next note takes its place
            self.show("training the supernet", note["step"], note["steps"], _figures(note, self._config.train.epochs))


EPOCH_KEYS: dict[str, Kind] = {
    "epoch": int,
    "loss": NUMBER,
    "accuracy": NUMBER,
    "learning_rate": NUMBER,
    "images_per_second": NUMBER,
}
"""What a line for people says of an epoch or a step."""


def _read(text: str | bytes, keys: Mapping[str, Kind]) -> dict[str, Any] | None:
    """Returns a record of a training; None of one that is damaged."""
    try:
        content: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if lacking(content, keys) is not None else content


def time_left(seconds: float) -> str:
    """Returns how long something takes yet, to two figures or so."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s left"
    return f"{minutes} min left" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min left"


def _figures(metrics: Mapping[str, Any], epochs: int) -> str:
    """Returns where training is, of a step or an epoch."""
    return (
        f"epoch {metrics['epoch'] + 1}/{epochs}  loss {metrics['loss']:.3f}  accuracy {metrics['accuracy']:.1f} %  "
        f"rate {metrics['learning_rate']:.2g}  {metrics['images_per_second']:,.0f} images/s"
    )
