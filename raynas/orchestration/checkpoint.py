"""Checkpoints of a supernet: safetensors for the numbers, JSON for the rest. Nothing is ever unpickled."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from raynas.orchestration.run_folder import write_json, written_at_once

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A supernet as training left it.

    Attributes:
        weights: Parameters and buffers of the supernet by name.
        optimizer: Momentum by parameter name; empty for initial weights.
        epochs: Epochs done.
        folder: Where it lies.
    """

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    epochs: int
    folder: Path


def save_checkpoint(
    folder: Path, supernet: nn.Module, optimizer: torch.optim.Optimizer | None, epochs: int, about: Mapping[str, Any]
) -> None:
    """Writes a checkpoint at once.

    Args:
        folder: The folder to become the checkpoint.
        supernet: Whose weights to keep.
        optimizer: Whose momentum to keep; None for initial weights, which need none.
        epochs: Epochs done.
        about: What the weights belong to (space, classes, seed), compared when they are loaded.
    """
    with written_at_once(folder) as temporary:
        save_file(_plain(supernet.state_dict()), temporary / "weights.safetensors")
        if optimizer is not None:
            momentum = {
                name: optimizer.state[parameter]["momentum_buffer"]
                for name, parameter in supernet.named_parameters()
                if optimizer.state.get(parameter, {}).get("momentum_buffer") is not None
            }
            save_file(_plain(momentum), temporary / "optimizer.safetensors")
        for file in temporary.iterdir():
            file.chmod(0o644)  # safetensors makes its files private
        write_json(temporary / "checkpoint.json", {"format": 1, "epochs": epochs, **about})


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def load_checkpoint(folder: Path, about: Mapping[str, Any]) -> Checkpoint:
    """Returns the checkpoint that lies in `folder`.

    Raises:
        ValueError: If it belongs to another supernet than `about` says.
        OSError, JSONDecodeError, SafetensorError: If it is incomplete or damaged.
    """
    stored = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    for key, wanted in about.items():
        if stored.get(key) != wanted:
            raise ValueError(
                f"{folder} holds weights of {key} {json.dumps(stored.get(key))}, this run has {json.dumps(wanted)}; "
                "give this run its own name"
            )
    momentum = folder / "optimizer.safetensors"
    return Checkpoint(
        weights=load_file(folder / "weights.safetensors"),
        optimizer=load_file(momentum) if momentum.exists() else {},
        epochs=stored["epochs"],
        folder=folder,
    )


def latest_checkpoint(folder: Path, about: Mapping[str, Any]) -> Checkpoint | None:
    """Returns the newest checkpoint of a supernet that is whole, or None; a damaged one is passed over, and said.

    Raises:
        ValueError: If it belongs to another supernet than `about` says.
    """
    for candidate in reversed(_epoch_folders(folder)):
        try:
            return load_checkpoint(candidate, about)
        except (OSError, SafetensorError, json.JSONDecodeError) as error:
            log.warning("%s is damaged (%s); the checkpoint before it is used", candidate, error)
    return None


def drop_checkpoints(folder: Path, keep: int) -> None:
    """Removes all but the `keep` newest checkpoints of a supernet, and what killed processes left half-written.

    The initial weights always stay.
    """
    for old in _epoch_folders(folder)[:-keep]:
        shutil.rmtree(old)
    for unfinished in (*folder.glob(".epoch_*"), *folder.glob(".initial.*")):
        shutil.rmtree(unfinished)


def epoch_folder(folder: Path, epochs: int) -> Path:
    """Returns where the checkpoint after so many epochs lies."""
    return folder / f"epoch_{epochs:05d}"


def _epoch_folders(folder: Path) -> list[Path]:
    """Returns the checkpoints of a supernet, the oldest first."""
    found = folder.iterdir() if folder.exists() else ()
    return sorted(path for path in found if re.fullmatch(r"epoch_\d{5,}", path.name))


def restore(checkpoint: Checkpoint, supernet: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Puts a checkpoint's weights, and its momentum if an optimiser is given, in place."""
    supernet.load_state_dict(checkpoint.weights)
    if optimizer is not None:
        for name, parameter in supernet.named_parameters():
            if name in checkpoint.optimizer:
                momentum = torch.empty_like(parameter).copy_(checkpoint.optimizer[name])
                optimizer.state[parameter]["momentum_buffer"] = momentum
