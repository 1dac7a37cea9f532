"""Checkpoints of a training: safetensors for the numbers, JSON for the rest. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from raynas.errors import InputError, RunError
from raynas.messages import shortened
from raynas.records.damage import damage_of
from raynas.records.training_record import CheckpointRecord
from raynas.storage.run_folder import drop_unfinished, write_record, written_at_once


@dataclass(frozen=True)
class Checkpoint:
    """What a training goes on from.

    Attributes:
        parts: Tensors by name, in the parts that the training named: ``weights``, ``optimizer``, ``sums`` and others.
        epochs: Epochs done.
        steps: Steps done of the epoch that runs; 0 between two epochs.
    """

    parts: dict[str, dict[str, Tensor]]
    epochs: int
    steps: int = 0

    @property
    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers of the module by name."""
        return self.parts["weights"]

    @property
    def sums(self) -> dict[str, Tensor]:
        """What the steps of the epoch that runs add up to; empty between two epochs."""
        return self.parts.get("sums", {})


CHECKSUMS = "SHA256SUMS"
"""The file of a checkpoint with the checksums of the others, as `sha256sum --check` reads it."""


PART = r"[a-z][a-z_]*"
"""What a part may be called: it is the file ``PART.safetensors``."""


class DamagedCheckpoint(RunError):
    """A part of a checkpoint is missing or not what was written."""


def save_checkpoint(
    folder: Path,
    parts: Mapping[str, Mapping[str, Tensor]],
    about: Mapping[str, Any],
    *,
    epochs: int = 0,
    steps: int = 0,
    steps_of_epoch: int = 0,
) -> None:
    """Writes a checkpoint at once.

    Args:
        folder: The folder to become the checkpoint.
        parts: Tensors by name, in parts.
        about: What the weights belong to (space, data, classes, seed), compared when they are loaded.
        epochs: Epochs done.
        steps: Steps done since the training began.
        steps_of_epoch: Steps done of the epoch that runs; 0 between two epochs.
    """
    assert all(re.fullmatch(PART, name) for name in parts)
    with written_at_once(folder) as temporary:
        for name, tensors in parts.items():
            (temporary / f"{name}.safetensors").write_bytes(save(_plain(tensors)))
        position = {"epochs": epochs, "steps": steps, "steps_of_epoch": steps_of_epoch}
        record = CheckpointRecord(**{"format": 2, "parts": list(parts), **position, **about})
        write_record(temporary / "checkpoint.json", record)
        checksums = (f"{_checksum(file)}  {file.name}\n" for file in sorted(temporary.iterdir()))
        (temporary / CHECKSUMS).write_text("".join(checksums), encoding="utf-8")


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def load_checkpoint(folder: Path, about: Mapping[str, Any]) -> Checkpoint:
    """Returns the checkpoint that lies in `folder`.

    Raises:
        InputError: If it belongs to another training than `about` says.
        DamagedCheckpoint: If a part of it is missing or not what was written.
    """
    try:
        record = _read_record(folder)
        if record.stated().get("format") != 1:  # which had no checksums
            _check_sums(folder, record.parts)
        tensors = {name: load((folder / f"{name}.safetensors").read_bytes()) for name in record.parts}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError, SafetensorError) as error:
        raise DamagedCheckpoint(f"{folder} is damaged ({error})") from error
    stored = record.stated()
    for key, wanted in about.items():
        if stored.get(key) != wanted:
            raise InputError(
                f"{folder} holds weights of {key} {json.dumps(stored.get(key))}, this run has {json.dumps(wanted)}; "
                "give this run its own name"
            )
    # Checkpoints that do not say the steps are of a version that saved between two epochs only.
    return Checkpoint(tensors, record.epochs, record.steps_of_epoch)


def _read_record(folder: Path) -> CheckpointRecord:
    """Returns what a checkpoint says of itself.

    Raises:
        DamagedCheckpoint: If it is not what was written.
    """
    content = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    try:
        record = CheckpointRecord.model_validate(content)
    except ValidationError as error:
        damage = damage_of(CheckpointRecord, content, error)
        raise DamagedCheckpoint(f"{folder} is damaged (checkpoint.json: {damage})") from error
    if "weights" not in record.parts or not all(re.fullmatch(PART, name) for name in record.parts):
        got = shortened(json.dumps(record.parts))
        raise DamagedCheckpoint(
            f"{folder} is damaged (checkpoint.json: expected names of parts, weights among them, got {got})"
        )
    return record


def _check_sums(folder: Path, parts: Sequence[str]) -> None:
    """Checks the files of a checkpoint by their checksums.

    Raises:
        DamagedCheckpoint: If one of them is not what was written.
    """
    sums = (folder / CHECKSUMS).read_text(encoding="utf-8").split("\n")
    for name in ("checkpoint.json", *(f"{part}.safetensors" for part in parts)):
        if f"{_checksum(folder / name)}  {name}" not in sums:
            raise DamagedCheckpoint(f"{folder} is damaged ({name} is not what was written)")


def latest_checkpoint(
    folder: Path, about: Mapping[str, Any], say: Callable[[str], None], recorded: float = math.inf
) -> Checkpoint | None:
    """Returns the newest checkpoint of a training that is whole, or None; those that are passed over are said.

    Args:
        folder: The training's folder.
        about: What the weights must belong to.
        say: Takes a line for the user.
        recorded: The epochs of which there are records; going on from a later checkpoint would lose the others'.

    Raises:
        InputError: If it belongs to another training than `about` says, or every checkpoint is later than the records.
    """
    later = None
    for candidate in reversed(checkpoint_folders(folder)):
        try:
            found = load_checkpoint(candidate, about)
        except DamagedCheckpoint as error:
            say(f"{error}; the checkpoint before it is used")
            continue
        if found.epochs <= recorded:
            return found
        later = candidate
        say(f"{candidate} is later than the records, cut off after epoch {recorded}; the checkpoint before it is used")
    if later is not None:
        raise InputError(
            f"{folder}: its records were cut off after epoch {recorded}, before its first checkpoint {later.name}; put "
            "metrics.jsonl and the files beside it back, or remove the checkpoints to train from the beginning"
        )
    return None


def drop_checkpoints(folder: Path, keep: int, newest: Path | None = None) -> None:
    """Removes all but the `keep` newest checkpoints of a training, and what killed processes left half-written.

    The initial weights always stay.

    Args:
        folder: The training's folder.
        keep: How many to keep.
        newest: The one that was written last: those after it were damaged, and have been passed over.
    """
    found = checkpoint_folders(folder)
    kept = found[: found.index(newest) + 1 if newest else None][-keep:]
    for old in found:
        if old not in kept:
            shutil.rmtree(old)
    drop_unfinished(folder)


def epoch_folder(folder: Path, epochs: int, steps: int = 0) -> Path:
    """Returns where the checkpoint after so many epochs, and so many steps of the next, lies."""
    return folder / (f"epoch_{epochs:05d}_step_{steps:05d}" if steps else f"epoch_{epochs:05d}")


def checkpoint_folders(folder: Path) -> list[Path]:
    """Returns the checkpoints of a training, the oldest first: between two epochs, and in the middle of one."""
    positions: dict[Path, tuple[int, int]] = {}
    for path in folder.iterdir() if folder.exists() else ():
        name = re.fullmatch(r"epoch_(\d{5,})(?:_step_(\d{5,}))?", path.name)
        if name is not None:
            positions[path] = (int(name[1]), int(name[2] or 0))
    return sorted(positions, key=lambda path: (positions[path], path))
