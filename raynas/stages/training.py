"""The stage that trains: any `Training`, wherever the workers are.

`train_all` is what one worker does. It needs no cluster: one worker alone, in this process, is a `Workers()`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from raynas.config.execution import TrainingExecution
from raynas.config.run_config import RunConfig
from raynas.errors import RunError
from raynas.records.training_record import EpochLine, ProgressRecord, TrainedRecord
from raynas.stages.checkpoint_clock import CheckpointClock, Reason
from raynas.stages.logbook import Logbook, Turn, counted
from raynas.stages.requests import NO_REQUESTS, Requests, Stop
from raynas.storage.checkpoint import (
    Checkpoint,
    DamagedCheckpoint,
    drop_checkpoints,
    epoch_folder,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from raynas.storage.mirror import Mirror
from raynas.storage.run_folder import METRICS, NOTES, append_text, write_record
from raynas.training.determinism import deterministic_algorithms
from raynas.training.learner import Learner, Records, State, Training
from raynas.training.loop import EpochReport, StepReport, train
from raynas.training.plan import Plan
from raynas.training.workers import Workers, gathered_buffers, mean_buffers, take_up_buffers


@dataclass(frozen=True)
class Trainings:
    """The trainings of a stage: known by the configuration, and made where they are trained.

    Both functions are sent to workers by their names, so they must be functions of a module.

    Attributes:
        plans: Returns the plans of a resolved configuration.
        make: Returns the trainings of a resolved configuration and the folder of its run, in the order of the plans;
            here the data are read.
    """

    plans: Callable[[RunConfig], Sequence[Plan]]
    make: Callable[[RunConfig, Path], Sequence[Training]]


def _ignore(*_: object) -> None:
    """Does nothing."""


@dataclass(frozen=True)
class TrainingOutput:
    """Where figures of a training go beside the run folder.

    Attributes:
        has_tensorboard: Whether TensorBoard's events are written.
        noted: Called on worker 0 with each note of progress, twice a second at most.
        epoch_ended: Called on every worker after every epoch, with the name of the training, the epochs done and
            their figures.
    """

    has_tensorboard: bool = True
    noted: Callable[[ProgressRecord], None] = _ignore
    epoch_ended: Callable[[str, int, dict[str, float]], None] = _ignore


OF_WORKERS = "_of_workers"
"""What follows the name of a part of a checkpoint in that of the running statistics of each worker."""


class SavedAndStopped(RunError):
    """Training was asked to stop: it saved first, and no step is repeated.

    Attributes:
        position: Where training is, such as ``epoch 3, step 66``; the next command continues with the step after it.
    """

    def __init__(self, why: str, position: str) -> None:
        """Takes who asked, and the position."""
        super().__init__(why, position)  # all arguments, so that it can be pickled
        self.position = position

    def __str__(self) -> str:
        return f"{self.args[0]}: saved at {self.position}"


def saved_line(position: str) -> str:
    """Returns what a command says that a signal ended after training had saved."""
    return f"saved at {position}; give the same command again"


def is_done(folder: Path, plan: Plan) -> bool:
    """Returns whether a training of the run in a folder has come to its end."""
    return (folder / plan.folder / "result.json").exists()


def train_all(
    trainings: Sequence[Training],
    mirror: Mirror,
    workers: Workers,
    device: torch.device,
    execution: TrainingExecution,
    after_epoch: Callable[[], None] = lambda: None,
    requests: Requests = NO_REQUESTS,
    output: TrainingOutput | None = None,
) -> None:
    """Trains, or goes on training, all that is not done, one after the other, and leaves it in the run folder.

    Every worker of the run calls this. Worker 0 writes; the others only read the checkpoint it chose.

    Args:
        trainings: What to train.
        mirror: The run's folder, and what uploads its files to where all workers see them.
        workers: Who trains together.
        device: Where this worker computes.
        execution: Threads, determinism and checkpoints.
        after_epoch: Called when an epoch's lines are written.
        requests: Who can ask this training to save and stop.
        output: Where it goes beside the run folder; by default to TensorBoard's events.

    Raises:
        SavedAndStopped: If somebody did. The checkpoint is of that step, so no step is repeated.
        InputError: If the folder holds another run's weights, or the data are not as the configuration says.
        RunError: If the training diverges or the workers disagree.
    """
    torch.set_num_threads(execution.cpus_per_worker)
    with deterministic_algorithms(execution.deterministic):
        for number, training in enumerate(trainings):
            if not is_done(mirror.folder, training.plan):
                clock = CheckpointClock(workers, device, execution.checkpoint_minutes, requests)
                turn = Turn(number, len(trainings))
                with ExitStack() as stack:
                    where = output or TrainingOutput()
                    run = _Run(training, mirror, workers, device, execution, clock, turn, after_epoch, where)
                    run.carry_out(stack)


class _Run:
    """One training from the newest checkpoint to its end, on one worker."""

    def __init__(
        self,
        training: Training,
        mirror: Mirror,
        workers: Workers,
        device: torch.device,
        execution: TrainingExecution,
        clock: CheckpointClock,
        turn: Turn,
        after_epoch: Callable[[], None],
        output: TrainingOutput,
    ) -> None:
        """Makes what this worker holds; arguments as in `train_all`."""
        self._plan, self._about = training.plan, training.about
        self._mirror, self._workers, self._device = mirror, workers, device
        self._execution, self._clock, self._turn, self._after_epoch = execution, clock, turn, after_epoch
        self._place = mirror.folder / training.plan.folder
        self._output = output
        self._learner: Learner = training.start(device, workers)
        self._steps_per_epoch = self._learner.batches.steps_per_epoch
        # Worker 0 alone writes.
        self._records: Records | None = training.records(self._place) if workers.rank == 0 else None
        self._logbook: Logbook | None = None
        self._initial: Checkpoint | None = None
        self._reason: Reason | None = None

    def carry_out(self, stack: ExitStack) -> None:
        """Trains to the end.

        Args:
            stack: Holds the folder, and the files that are open.
        """
        epochs, steps = self._agree(self._newest(stack))
        if self._workers.rank != 0:
            self._mirror.pull(self._place / "initial", epoch_folder(self._place, epochs, steps))
        self._initial = load_checkpoint(self._place / "initial", self._about)
        last = self._initial
        if epochs or steps:
            last = load_checkpoint(epoch_folder(self._place, epochs, steps), self._about)
        self._learner.restore(last.parts)
        for part, module in self._learner.modules().items():
            take_up_buffers(module, last.parts.get(f"{part}{OF_WORKERS}", {}), self._workers)
        self._clock.saved()
        self._open_records(stack, last)
        train(
            self._learner,
            self._plan,
            first_epoch=epochs,
            first_step=steps,
            sums=last.sums.get("weights"),
            report_step=self._after_step,
            report_epoch=self._end_epoch,
        )
        if self._workers.rank == 0:
            epochs = self._plan.recipe.epochs
            trained = TrainedRecord(epochs=epochs, steps=epochs * self._steps_per_epoch)
            write_record(self._place / "result.json", trained)
            self._mirror.push()

    # From a checkpoint on

    def _newest(self, stack: ExitStack) -> Checkpoint | None:
        """Returns, on worker 0, the newest checkpoint; initial weights are then in the folder."""
        if self._records is None:
            return None
        say = functools.partial(_note, self._mirror.folder)
        # Workers of a run whose driver was just killed may live for some seconds: wait for them.
        stack.enter_context(self._mirror.owned(say, wait=60, part=self._place))
        drop_checkpoints(self._place, self._execution.keep_checkpoints)
        if not _has_initial(self._place, self._about, say):
            save_checkpoint(self._place / "initial", {"weights": self._learner.module.state_dict()}, self._about)
        lines = EpochLine.read_good(self._place / METRICS)
        recorded = min(counted(line.epoch for line in lines), self._records.epochs())
        newest = latest_checkpoint(self._place, self._about, say, recorded)
        self._mirror.push()
        return newest

    def _agree(self, newest: Checkpoint | None) -> tuple[int, int]:
        """Returns the epochs and steps of worker 0's checkpoint, on every worker."""
        position = [newest.epochs, newest.steps] if newest is not None else [0, 0]
        agreed = torch.tensor(position, dtype=torch.float64, device=self._device)
        self._workers.add_up(agreed)  # the others contribute 0
        epochs, steps = agreed.tolist()
        return int(epochs), int(steps)

    def _open_records(self, stack: ExitStack, last: Checkpoint) -> None:
        """Opens the files of worker 0, as they were at a checkpoint."""
        if self._records is None:
            return
        started = last.epochs > 0 or last.steps > 0
        self._logbook = stack.enter_context(
            Logbook(
                self._plan,
                self._mirror,
                last,
                self._steps_per_epoch,
                self._turn,
                self._workers.world,
                self._output.has_tensorboard,
            )
        )
        self._records.keep(last.epochs, started)
        if not started:
            self._write_records(0)

    # While it trains

    def _after_step(self, report: StepReport) -> None:
        """Notes where training is, and saves if there is a reason to."""
        if self._logbook is not None:
            note = self._logbook.write_step(report)
            if note is not None:
                self._output.noted(note)
        self._reason = self._clock.reason()
        in_mid_epoch = report.step % self._steps_per_epoch != 0  # else the end of the epoch saves
        if self._reason is not None and in_mid_epoch:
            sums = {"weights": report.sums.totals(self._workers), **self._learner.sums()}
            self._save(report.epoch, report.step, {"sums": sums})

    def _end_epoch(self, report: EpochReport) -> None:
        """Writes the records of an epoch, and saves if it is time."""
        done = report.epoch + 1
        if self._logbook is not None:
            self._mirror.check()
            self._logbook.write_epoch(report)
            self._write_records(done)
        is_time = done % self._execution.checkpoint_every == 0 or done == self._plan.recipe.epochs
        if is_time or self._reason is not None:
            self._save(done, report.step, {})
        if self._workers.rank == 0:
            self._mirror.push(every=5)
        self._output.epoch_ended(self._plan.name, done, {**report.values, self._plan.speed: report.speed})
        self._after_epoch()

    def _write_records(self, epochs: int) -> None:
        """Adds the further records after so many epochs."""
        assert self._records is not None and self._logbook is not None and self._initial is not None
        figures = self._records.write(epochs, self._learner, self._initial.weights)
        self._logbook.show(figures, epochs * self._steps_per_epoch)

    def _save(self, epochs: int, step: int, further: State) -> None:
        """Writes a checkpoint, and stops after it if that was asked.

        Raises:
            SavedAndStopped: If it was.
        """
        parts = {**self._learner.state(), **further}
        for part, module in self._learner.modules().items():
            parts[part] = {**parts[part], **mean_buffers(module, self._workers)}
            if of_workers := gathered_buffers(module, self._workers):
                parts[f"{part}{OF_WORKERS}"] = of_workers
        steps = step - epochs * self._steps_per_epoch
        if self._workers.rank == 0:
            self._mirror.check()
            folder = epoch_folder(self._place, epochs, steps)
            save_checkpoint(folder, parts, self._about, epochs=epochs, steps=step, steps_of_epoch=steps)
            drop_checkpoints(self._place, self._execution.keep_checkpoints, folder)
        self._clock.saved()
        stop = self._reason.stop if self._reason is not None and epochs < self._plan.recipe.epochs else None
        if self._workers.rank == 0:
            if stop is not None and stop.noted:
                line = f"{stop.why}: saved after epoch {epochs} and step {steps} of {self._steps_per_epoch}"
                _note(self._mirror.folder, line)
            self._mirror.push()
        if stop is not None:
            self._stop(stop, epochs, steps)

    def _stop(self, stop: Stop, epochs: int, steps: int) -> None:
        """Ends this training.

        Raises:
            SavedAndStopped: In any case.
        """
        self._workers.add_up(torch.zeros(1, device=self._device))  # no worker ends before the checkpoint is written
        name = f"{self._plan.name}, " if self._turn.trainings > 1 else ""
        position = f"epoch {epochs + 1}, step {steps}" if steps else f"the end of epoch {epochs}"
        raise SavedAndStopped(stop.why, name + position)


def _note(folder: Path, line: str) -> None:
    """Adds a line to the notes of a run."""
    append_text(folder / NOTES, f"{line}\n")


def _has_initial(place: Path, about: Mapping[str, Any], say: Callable[[str], None]) -> bool:
    """Returns whether the initial weights are there as they were written; damage is said."""
    if not (place / "initial").exists():
        return False
    try:
        load_checkpoint(place / "initial", about)
    except DamagedCheckpoint as error:
        say(f"{error}; initialised again from the seed")
        return False
    return True
