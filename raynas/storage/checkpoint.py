"""Checkpoints of a supernet: safetensors for the numbers, JSON for the rest. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from raynas.storage.run_folder import drop_unfinished, lacking, write_json, written_at_once
from raynas.supernet.alphas import AlphaTraining


@dataclass(frozen=True)
class Checkpoint:
    """A supernet as training left it.

    Attributes:
        weights: Parameters and buffers of the supernet by name.
        optimizer: Momentum by parameter name; empty for initial weights.
        epochs: Epochs done.
        alphas: Alphas of each choice and the state of their optimiser, by ``choice.name``; empty without alphas.
        steps: Steps done of the epoch that runs; 0 between two epochs.
        sums: What these steps add up to, of ``weights`` and ``alphas``; empty between two epochs.
    """

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    epochs: int
    alphas: dict[str, Tensor]
    steps: int
    sums: dict[str, Tensor]


CHECKSUMS = "SHA256SUMS"
"""The file of a checkpoint that tells whether the others are what was written, as `sha256sum --check` reads it."""


PARTS = ("weights", "optimizer", "alphas", "sums")
"""What a checkpoint may hold: a file ``PART.safetensors`` each."""


class DamagedCheckpoint(RuntimeError):
    """A part of a checkpoint is missing or not what was written."""


def save_checkpoint(
    folder: Path,
    supernet: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    epochs: int,
    steps: int,
    about: Mapping[str, Any],
    alphas: AlphaTraining | None = None,
    steps_of_epoch: int = 0,
    sums: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes a checkpoint at once.

    Args:
        folder: The folder to become the checkpoint.
        supernet: Whose weights to keep.
        optimizer: Whose momentum to keep; None for initial weights, which need none.
        epochs: Epochs done.
        steps: Steps done since the training began.
        about: What the weights belong to (space, data, classes, seed), compared when they are loaded.
        alphas: Whose alphas and optimiser to keep, if there are any.
        steps_of_epoch: Steps done of the epoch that runs; 0 between two epochs.
        sums: What these steps add up to over all workers, of ``weights`` and ``alphas``.
    """
    parts = {"weights": _plain(supernet.state_dict())}
    if optimizer is not None:
        momentum = {
            name: optimizer.state[parameter]["momentum_buffer"]
            for name, parameter in supernet.named_parameters()
            if optimizer.state.get(parameter, {}).get("momentum_buffer") is not None
        }
        parts["optimizer"] = _plain(momentum)
    if alphas is not None:
        parts["alphas"] = _plain(
            {
                f"{number}.{name}": tensor
                for number, alpha in enumerate(alphas.alphas)
                for name, tensor in {"alpha": alpha, **alphas.optimizer.state.get(alpha, {})}.items()
            }
        )
    if sums is not None:
        parts["sums"] = _plain(sums)
    with written_at_once(folder) as temporary:
        for name, tensors in parts.items():
            (temporary / f"{name}.safetensors").write_bytes(save(tensors))
        position = {"epochs": epochs, "steps": steps, "steps_of_epoch": steps_of_epoch}
        write_json(temporary / "checkpoint.json", {"format": 2, "parts": list(parts), **position, **about})
        checksums = (f"{_checksum(file)}  {file.name}\n" for file in sorted(temporary.iterdir()))
        (temporary / CHECKSUMS).write_text("".join(checksums), encoding="utf-8")


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _checksum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def load_checkpoint(folder: Path, about: Mapping[str, Any]) -> Checkpoint:
    """Returns the checkpoint that lies in `folder`.

    Raises:
        ValueError: If it belongs to another supernet than `about` says.
        DamagedCheckpoint: If a part of it is missing or not what was written.
    """
    try:
        stored = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
        if (lack := lacking(stored, {"parts": list, "epochs": int})) is not None:
            raise DamagedCheckpoint(f"{folder} is damaged (checkpoint.json: {lack})")
        if not set(stored.get("parts", ())) <= {*PARTS}:
            raise DamagedCheckpoint(f"{folder} is damaged (checkpoint.json names other parts than {', '.join(PARTS)})")
        if stored.get("format") != 1:  # which had no checksums
            sums = (folder / CHECKSUMS).read_text(encoding="utf-8").split("\n")
            for name in ("checkpoint.json", *(f"{part}.safetensors" for part in stored.get("parts", ()))):
                if f"{_checksum(folder / name)}  {name}" not in sums:
                    raise DamagedCheckpoint(f"{folder} is damaged ({name} is not what was written)")
        tensors = {name: load((folder / f"{name}.safetensors").read_bytes()) for name in stored["parts"]}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, SafetensorError) as error:
        raise DamagedCheckpoint(f"{folder} is damaged ({error})") from error
    for key, wanted in about.items():
        if stored.get(key) != wanted:
            raise ValueError(
                f"{folder} holds weights of {key} {json.dumps(stored.get(key))}, this run has {json.dumps(wanted)}; "
                "give this run its own name"
            )
    return Checkpoint(
        tensors["weights"],
        tensors.get("optimizer", {}),
        stored["epochs"],
        tensors.get("alphas", {}),
        stored.get("steps_of_epoch", 0),  # checkpoints that do not say it are older than the middle
        tensors.get("sums", {}),
    )


def latest_checkpoint(
    folder: Path, about: Mapping[str, Any], say: Callable[[str], None], recorded: float = math.inf
) -> Checkpoint | None:
    """Returns the newest checkpoint of a supernet that is whole, or None; those that are passed over are said.

    Args:
        folder: The supernet's folder.
        about: What the weights must belong to.
        say: Takes a line for the user.
        recorded: The epochs of which there are records; going on from a later checkpoint would lose the others'.

    Raises:
        ValueError: If it belongs to another supernet than `about` says, or every checkpoint is later than the records.
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
        raise ValueError(
            f"{folder}: its records were cut off after epoch {recorded}, before its first checkpoint {later.name}; put "
            "metrics.jsonl and the files beside it back, or remove the checkpoints to train from the beginning"
        )
    return None


def drop_checkpoints(folder: Path, keep: int, newest: Path | None = None) -> None:
    """Removes all but the `keep` newest checkpoints of a supernet, and what killed processes left half-written.

    The initial weights always stay.

    Args:
        folder: The supernet's folder.
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
    """Returns the checkpoints of a supernet, the oldest first: between two epochs, and in the middle of one."""
    found = folder.iterdir() if folder.exists() else ()
    names = ((re.fullmatch(r"epoch_(\d{5,})(?:_step_(\d{5,}))?", path.name), path) for path in found)
    return [
        path for _, path in sorted((tuple(int(n or 0) for n in name.groups()), path) for name, path in names if name)
    ]


def restore(
    checkpoint: Checkpoint,
    supernet: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    alphas: AlphaTraining | None = None,
) -> None:
    """Puts a checkpoint's weights in place, and its momentum and alphas where there is something to take them."""
    supernet.load_state_dict(checkpoint.weights)
    if optimizer is not None:
        for name, parameter in supernet.named_parameters():
            if name in checkpoint.optimizer:
                momentum = torch.empty_like(parameter).copy_(checkpoint.optimizer[name])
                optimizer.state[parameter]["momentum_buffer"] = momentum
    if alphas is not None and checkpoint.alphas:
        for number, alpha in enumerate(alphas.alphas):
            states = {
                key.partition(".")[2]: tensor
                for key, tensor in checkpoint.alphas.items()
                if key.startswith(f"{number}.")
            }
            with torch.no_grad():
                alpha.copy_(states.pop("alpha"))
            if states:
                alphas.optimizer.state[alpha] = {
                    name: tensor if name == "step" else tensor.to(alpha) for name, tensor in states.items()
                }


def probabilities_of(checkpoint: Checkpoint) -> list[np.ndarray]:
    """Returns softmax(alpha) of each choice, float64, that a checkpoint holds; none of a training without alphas."""
    found = sorted((int(key.partition(".")[0]), key) for key in checkpoint.alphas if key.endswith(".alpha"))
    return [torch.softmax(checkpoint.alphas[key].double(), dim=0).numpy() for _, key in found]
