"""The records of a training: a line for each epoch, the architecture parameters, and where the training is."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, ValidationError

from raynas.errors import InputError
from raynas.records.record import RERUN, Line, Listed, Number, OtherFile, Part, Record


class FiguresOfEpoch(Line):
    """What every training records of an epoch.

    Attributes:
        epoch: Number of the epoch, from 0.
        step: Steps since the training began.
        loss: Mean cross-entropy in nats, without label smoothing and without an auxiliary tower.
        accuracy: Mean accuracy on the training labels in percent; other trainings have other metrics in its place.
        learning_rate: Learning rate at the end of the epoch.
        images_per_second: Images of all workers a second.
        seconds: Duration of the epoch.
    """

    epoch: int
    step: int | None = None
    loss: Number
    accuracy: Number | None = None
    learning_rate: Number | None = None
    images_per_second: Number | None = None
    seconds: Number | None = None


class EpochLine(FiguresOfEpoch):
    """An epoch of a training.

    Attributes:
        search_loss: Mean loss of the steps on the architecture parameters; null without such steps, as all below.
        search_accuracy: Mean accuracy of these steps in percent.
        first_norm: Norm of the gradient of the architecture parameters with the weights held fixed, mean over batches.
        correction_norm: Norm of what is added to it for the weights' response, mean over batches.
        cosine: Cosine of the angle between the two, mean over batches.
        temperature: Temperature of the gates.
        search_loss_after: Mean loss on the same batches after these steps; null where it was not measured.
        first_mean_norm: Norm of the first part's mean over the batches of the epoch.
        correction_mean_norm: Norm of the added part's mean over the batches of the epoch.
        cosine_of_means: Cosine of the angle between these two means.
        first_agreement: Inner product of the first part on two batches over its mean squared norm, mean over all pairs:
            1 where all batches agree, 0 where the part is noise.
        correction_agreement: The same of the added part; null without one.

    The epoch of a text has ``perplexity``, the exponential of the loss, in the place of the accuracy, and
    ``tokens_per_second``. Where stalled training averages its weights, ``averaged_steps`` says over how many steps.
    """

    model_config = ConfigDict(extra="allow")

    file: ClassVar[str] = "supernet/seed_*/metrics.jsonl"
    holds: ClassVar[str] = "a line for each epoch of a supernet's training"

    search_loss: Number | None = None
    search_accuracy: Number | None = None
    first_norm: Number | None = None
    correction_norm: Number | None = None
    cosine: Number | None = None
    temperature: Number | None = None
    search_loss_after: Number | None = None
    first_mean_norm: Number | None = None
    correction_mean_norm: Number | None = None
    cosine_of_means: Number | None = None
    first_agreement: Number | None = None
    correction_agreement: Number | None = None


OF_ALPHA_STEPS = (
    *("search_loss", "search_accuracy", "first_norm", "correction_norm", "cosine", "temperature"),
    *("search_loss_after", "first_mean_norm", "correction_mean_norm", "cosine_of_means"),
    *("first_agreement", "correction_agreement"),
)
"""Keys of an epoch's line that are about steps on the architecture parameters."""


class SumsTable(Part):
    """Sums under the angle of any architecture.

    Attributes:
        always: The sums of what every architecture has.
        candidates: The sums of each candidate at each choice.
    """

    always: list[Any]
    candidates: list[Any]

    def arrays(self, width: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns both parts as arrays of ``width`` sums each; None if they are no such finite numbers."""
        try:
            always = np.array(self.always, dtype=np.float64)
            candidates = np.array(self.candidates, dtype=np.float64)
        except (ValueError, TypeError):
            return None
        finite = bool(np.isfinite(always).all() and np.isfinite(candidates).all())
        fits = always.shape == (width,) and candidates.ndim == 3 and candidates.shape[2] == width
        return (always, candidates) if finite and fits else None


class AngleLine(Line):
    """What the angle of any architecture after an epoch is made of.

    Attributes:
        epochs: Epochs done.
        paper: Sums for the angle as the paper defines it.
        official: Sums for the angle as the authors' code computes it.

    Other definitions of the angle that the run file asks for are recorded under their own text.
    """

    model_config = ConfigDict(extra="allow")

    file: ClassVar[str] = "supernet/seed_*/angle_tables.jsonl"
    holds: ClassVar[str] = "a line for each epoch: sums that give the angle of any architecture"

    epochs: int
    paper: SumsTable | None = None
    official: SumsTable | None = None

    def sums_of(self, definition: str) -> SumsTable | None:
        """Returns the sums of a definition of the angle; None if there are none, or they are damaged."""
        sums = self.stated().get(definition)
        if isinstance(sums, dict):
            with contextlib.suppress(ValidationError):
                sums = SumsTable.model_validate(sums)
        return sums if isinstance(sums, SumsTable) else None


class DerivedLine(Line):
    """The architecture that the architecture parameters stand for after some epochs.

    Attributes:
        epochs: Epochs done; the first line is from before the first epoch.
        architecture: Candidate taken at each choice.
        choices: The same for the choices of the supernet; null if the architecture is of another space.
        description: The architecture as text.
        operations: Number of edges that take each operation.
        dominance: Largest weight of a choice, mean over the choices.
        skip_share: Weight of the skip connection, mean over the choices that have one; null if none has.
        none_share: Weight of the candidate that passes nothing, likewise.
        least_kept: Smallest weight of a candidate that the architecture takes, ``none`` left out; null if its choices
            are not those of the supernet.
    """

    file: ClassVar[str] = "supernet/seed_*/derived.jsonl"
    holds: ClassVar[str] = "a line for each epoch: the architecture that the architecture parameters stand for"

    epochs: int
    architecture: list[Any]
    choices: list[Any] | None = None
    description: str = ""
    operations: dict[str, int]
    dominance: Number | None = None
    skip_share: Number | None = None
    none_share: Number | None = None
    least_kept: Number | None = None

    def taken(self) -> list[Any] | None:
        """Returns the candidate at each choice of the supernet; None if the architecture is of another space."""
        return self.choices if "choices" in self.model_fields_set else self.architecture


class ChoiceNames(Part):
    """A choice of a supernet.

    Attributes:
        name: Its name.
        candidates: Names of its candidates.
    """

    name: str
    candidates: Annotated[Listed[str], Field(min_length=1)]


class AlphaNames(Record):
    """The names of the architecture parameters in ``alphas.npy``.

    Attributes:
        choices: Name and candidates of each choice.
    """

    file: ClassVar[str] = "supernet/seed_*/alphas.json"
    holds: ClassVar[str] = "names of the choices and candidates of alphas.npy"

    choices: list[ChoiceNames]


class TrainedRecord(Record):
    """The end of a supernet's training.

    Attributes:
        epochs: Epochs done.
        steps: Steps done.
    """

    file: ClassVar[str] = "supernet/seed_*/result.json"
    holds: ClassVar[str] = "says that the training of this supernet is done"

    epochs: int
    steps: int


class ProgressRecord(Record):
    """Where a training is now.

    Attributes:
        base_seed: Seed of the supernet, in files of version 0.1.0.
        training: Name of the training among those of its stage, such as ``seed 0``.
        workers: Number of workers.
        epoch: Number of the epoch, from 0.
        epochs: Epochs of each training.
        step: Steps done, of all trainings of the stage.
        steps: Steps of all trainings of the stage.
        loss: Mean loss of the epoch so far.
        accuracy: Mean accuracy of the epoch so far, in percent; other trainings have other metrics in its place.
        learning_rate: Learning rate of the last step.
        images_per_second: Images of all workers a second.
    """

    model_config = ConfigDict(extra="allow")

    file: ClassVar[str] = "progress.json"
    holds: ClassVar[str] = "where the training is now"

    base_seed: int | None = None
    training: str | None = None
    workers: int | None = None
    epoch: int
    epochs: int | None = None
    step: int
    steps: int
    loss: Number
    accuracy: Number | None = None
    learning_rate: Number
    images_per_second: Number | None = None


class CheckpointRecord(Record):
    """What a checkpoint holds; the numbers are in ``*.safetensors`` files beside it.

    Attributes:
        format: Version of the checkpoint, in the place of ``version``.
        parts: Names of the files of numbers.
        epochs: Epochs done.
        steps: Steps since the training began.
        steps_of_epoch: Steps of the epoch that runs; 0 between two epochs.
    """

    model_config = ConfigDict(extra="allow")

    file: ClassVar[str] = "supernet/seed_*/epoch_*/checkpoint.json"
    holds: ClassVar[str] = "position of a checkpoint, and the space, data, classes and seed that its weights belong to"

    format: int = 1
    parts: Listed[str]
    epochs: int
    steps: int | None = None
    steps_of_epoch: int = 0

    def content(self) -> dict[str, Any]:
        """Returns the plain values to write, whose version is ``format``."""
        values = super().content()
        values.pop("version")
        return values


ALPHA_VALUES = OtherFile(
    "supernet/seed_*/alphas.npy",
    "the architecture parameters before the first epoch and after each, `(epochs + 1, choices, candidates)`; NaN past "
    "a choice's last candidate",
)
WEIGHTS = OtherFile(
    "supernet/seed_*/epoch_*/*.safetensors",
    "weights, optimiser and architecture parameters after an epoch, or in the middle of the next (`epoch_*_step_*`); "
    "`SHA256SUMS` beside them",
)
INITIAL_WEIGHTS = OtherFile("supernet/seed_*/initial/", "the weights before the first step, never rewritten")
EVENTS = OtherFile("tensorboard/", "the metrics as TensorBoard events")
NOTES_TEXT = OtherFile("notes.txt", "what the training had to say")


def read_alpha_values(file: Path, counts: Sequence[int], remedy: str = RERUN) -> np.ndarray:
    """Returns the numbers of a file of architecture parameters, ``(epochs + 1, choices, most candidates)``.

    Args:
        file: The file.
        counts: Number of candidates of each choice.
        remedy: What helps if the file is damaged.

    Raises:
        InputError: If it is damaged.
    """
    where = f"{file} is damaged"
    try:
        values = np.lib.format.read_array(io.BytesIO(file.read_bytes()), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{where} ({str(error).splitlines()[0]}); {remedy}") from error

    shape = (len(counts), max(counts))
    if values.dtype.kind != "f" or values.shape != (len(values) if values.ndim else 0, *shape):
        raise InputError(
            f"{where}: expected numbers of shape (epochs + 1, {shape[0]}, {shape[1]}), got {values.dtype} of shape "
            f"{values.shape}; {remedy}"
        )

    exists = np.arange(shape[1]) < np.array(counts)[:, None]
    wrong = np.argwhere(np.isfinite(values) != exists)
    if len(wrong):
        row, choice, candidate = wrong[0].tolist()
        expected = "a number" if exists[choice, candidate] else "NaN"
        raise InputError(
            f"{where}: expected {expected} for candidate {candidate} of choice {choice} after {row} epochs, got "
            f"{values[row, choice, candidate]}; {remedy}"
        )
    return np.asarray(values)
