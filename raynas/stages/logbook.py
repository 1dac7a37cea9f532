"""What worker 0 writes of any training: a line of metrics for every epoch, TensorBoard's events, a progress note."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from raynas.records.training_record import EpochLine, ProgressRecord
from raynas.storage.checkpoint import Checkpoint
from raynas.storage.mirror import Mirror
from raynas.storage.run_folder import METRICS, PROGRESS, append_lines, whole_lines, write_record, write_text
from raynas.training.loop import EpochReport, StepReport
from raynas.training.plan import Plan

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter
    from typing_extensions import Self

NOTE_SECONDS = 0.5
"""Seconds between two progress notes."""


class Turn(NamedTuple):
    """Which of the trainings of a stage runs.

    Attributes:
        number: The trainings before it.
        trainings: How many there are.
    """

    number: int = 0
    trainings: int = 1


def counted(numbers: Iterable[int]) -> int:
    """Returns how many numbers count up from 0, up to the first that does not."""
    count = 0
    for number in numbers:
        if number != count:
            break
        count += 1
    return count


def keep_lines(file: Path, count: int) -> None:
    """Cuts a file of lines off after so many whole lines."""
    write_text(file, "".join(f"{line}\n" for line in whole_lines(file)[:count]))


class Logbook:
    """Metrics of a training: JSON lines, TensorBoard events, and where training is now.

    Lines of epochs after the checkpoint that training goes on from are dropped: they are written again.
    """

    def __init__(
        self,
        plan: Plan,
        mirror: Mirror,
        last: Checkpoint,
        steps_per_epoch: int,
        turn: Turn,
        world: int,
        has_tensorboard: bool = True,
    ) -> None:
        """Opens the files of a training, as they were when its `last` checkpoint was written.

        Args:
            plan: The training.
            mirror: The run's folder, and what uploads its files.
            last: The checkpoint that training goes on from.
            steps_per_epoch: Steps in an epoch.
            turn: Which of the trainings of the stage runs.
            world: How many workers train.
            has_tensorboard: Whether TensorBoard's events are written.
        """
        self._plan, self._mirror, self._turn, self._world = plan, mirror, turn, world
        self._steps_per_epoch = steps_per_epoch
        self._metrics = mirror.folder / plan.folder / METRICS
        keep_lines(self._metrics, last.epochs)
        steps_done = last.epochs * steps_per_epoch + last.steps
        self._excepthook = threading.excepthook
        threading.excepthook = self._thread_failed
        self._events: SummaryWriter | None = None
        if has_tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # here, since it takes a second

            self._events = SummaryWriter(
                str(mirror.folder / "tensorboard" / (plan.events or plan.folder)),
                purge_step=steps_done + 1 if steps_done else 0,
            )
        self._next_note = 0.0
        self._epoch_began = time.monotonic()
        self._samples_before = int(last.sums["weights"][len(plan.metrics)]) if last.sums else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._events is not None:
                self._events.close()
        finally:
            threading.excepthook = self._excepthook

    def _thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        """Reports that a thread failed, except the writer of events: it raises its error again at the next event."""
        of_events = type(failure.thread).__module__.startswith("tensorboard.")
        if not (of_events and isinstance(failure.exc_value, OSError)):
            self._excepthook(failure)

    def write_step(self, report: StepReport) -> ProgressRecord | None:
        """Notes where training is, twice a second at most, for whoever shows progress; returns the note if it did."""
        now = time.monotonic()
        if now < self._next_note:
            return None
        self._next_note = now + NOTE_SECONDS
        note = self._note(report, now)
        write_record(self._mirror.folder / PROGRESS, note)
        self._mirror.push(PROGRESS, every=10)
        return note

    def _note(self, report: StepReport, now: float) -> ProgressRecord:
        """Returns the progress note of a step."""
        plan, sums = self._plan, report.sums
        steps = plan.recipe.epochs * self._steps_per_epoch
        note: dict[str, Any] = {
            "training": plan.name,
            "workers": self._world,
            "epoch": report.epoch,
            "epochs": plan.recipe.epochs,
            "step": self._turn.number * steps + report.step,
            "steps": self._turn.trainings * steps,
        }
        for metric, total in zip(plan.metrics, sums.values.tolist(), strict=True):
            note[metric.name] = metric.value(total, sums.count)
        note["learning_rate"] = report.learning_rate
        note[plan.speed] = self._world * (sums.count - self._samples_before) / (now - self._epoch_began)
        return ProgressRecord(**note)

    def write_epoch(self, report: EpochReport) -> None:
        """Adds an epoch's line and events."""
        self._epoch_began, self._samples_before = time.monotonic(), 0
        speed = {self._plan.speed: report.speed}
        shown = {**report.values, "learning_rate": report.learning_rate, **speed}
        line: dict[str, Any] = {"epoch": report.epoch, "step": report.step, **shown, "seconds": report.seconds}
        for figures in report.further.values():
            line |= figures
        append_lines(self._metrics, [EpochLine(**line)])
        for group, figures in {"train": shown, **report.further}.items():
            self.show({f"{group}/{key}": value for key, value in figures.items() if value is not None}, report.step)
        if self._events is not None:
            self._events.flush()

    def show(self, figures: Mapping[str, float], step: int) -> None:
        """Adds figures to TensorBoard, by tag."""
        if self._events is None:
            return
        for tag, value in figures.items():
            self._events.add_scalar(tag, value, step)
