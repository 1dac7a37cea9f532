"""A bar on a terminal, silence elsewhere."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from raynas.orchestration.run_folder import NOTES, PROGRESS

if TYPE_CHECKING:
    from typing_extensions import Self


class Progress:
    """Shows how far a stage is: on a terminal a bar with figures and time left; elsewhere only `note` writes lines."""

    def __init__(self, console: Console, description: str) -> None:
        """Takes the console to show it on, and what happens first."""
        self._console = console
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


class TrainingProgress(Progress):
    """Shows how far training is, wherever it runs, from the notes that its first worker keeps in the run folder."""

    def __init__(self, folder: Path, console: Console) -> None:
        """Takes the run's folder and the console to show it on."""
        super().__init__(console, "starting workers")
        self._file, self._notes = folder / PROGRESS, folder / NOTES
        self._noted = len(self._read_notes())
        self._left = threading.Event()
        self._watch = threading.Thread(target=self._refresh_until_left, name="progress", daemon=True)

    def __enter__(self) -> Self:
        super().__enter__()
        if self._console.is_terminal:
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._left.set()
        if self._watch.is_alive():
            self._watch.join()
        super().__exit__(kind, value, traceback)
        self._show_notes()

    def _refresh_until_left(self) -> None:
        while not self._left.wait(0.25):
            self._show_notes()
            if self._file.exists():
                self._refresh()

    def _read_notes(self) -> list[str]:
        return self._notes.read_text(encoding="utf-8").splitlines() if self._notes.exists() else []

    def _show_notes(self) -> None:
        """Writes the lines that workers have added since."""
        lines = self._read_notes()
        for line in lines[self._noted :]:
            self.note(line)
        self._noted = len(lines)

    def _refresh(self) -> None:
        note = json.loads(self._file.read_text(encoding="utf-8"))
        self.show(
            "training the supernet",
            note["step"],
            note["steps"],
            f"epoch {note['epoch'] + 1}/{note['epochs']}  loss {note['loss']:.3f}  accuracy {note['accuracy']:.1f} %  "
            f"rate {note['learning_rate']:.2g}  {note['images_per_second']:,.0f} images/s",
        )
