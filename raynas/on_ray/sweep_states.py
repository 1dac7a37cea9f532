"""The states of the trials of a sweep: one file each, written by the trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raynas.errors import InputError
from raynas.records.sweep_record import TrialState

STATES = "states"
"""The folder of the states."""

ENDED = ("done", "stopped")
"""The statuses of trials that are not run again."""


def states_of(folder: Path) -> list[dict[str, Any]]:
    """Returns what all trials that have begun say of themselves, the earliest first.

    Raises:
        InputError: If a file is damaged, or speaks of another trial than its own.
    """
    states = []
    for file in (folder / STATES).glob("*.json"):
        state = TrialState.read(file)
        if state.name != file.stem:
            raise InputError(f"{file}: expected the state of the trial {file.stem}; remove it to run that trial again")
        states.append(dict(state))
    return sorted(states, key=lambda state: (state["begun"], state["name"]))


def state_file(folder: Path, name: str) -> Path:
    """Returns the file of a trial's state."""
    return folder / STATES / f"{name}.json"
