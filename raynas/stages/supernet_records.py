"""What the training of a supernet leaves beside its metrics: angle tables, alphas, and the architectures they give."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raynas.capabilities import derived_space_of, drawing_of, has_weight_vector
from raynas.errors import InputError
from raynas.fitness.angle import SUMS, angle_table
from raynas.messages import shortened
from raynas.records.training_record import AlphaNames, AngleLine, ChoiceNames, DerivedLine, SumsTable
from raynas.search_space import AdditiveTable, SearchSpace
from raynas.stages.logbook import counted, keep_lines
from raynas.stages.task import Task
from raynas.storage.run_folder import append_lines, write_bytes, write_record
from raynas.supernet.one_shot import OneShot
from raynas.training.learner import Learner, Records

ANGLE_TABLES = "angle_tables.jsonl"
"""What the angle of any architecture after any epoch is made of: a line of sums for each epoch."""

ALPHAS, DERIVED = "alphas.npy", "derived.jsonl"
"""The alphas after every epoch, and the architectures that they stand for."""

DEFINITIONS = ("paper", "official")
"""Definitions of the angle that are always recorded, where the space has a weight vector."""

SHARES = ("dominance", "skip_share", "none_share")
"""Figures of the alphas that TensorBoard shows."""


# Reading


def read_angle_tables(file: Path, definition: str) -> dict[int, AdditiveTable]:
    """Returns the sums under the angle by the number of epochs done."""
    tables = {}
    for line in _angle_lines(file):
        sums = line.sums_of(definition)
        arrays = None if sums is None else sums.arrays(len(SUMS))
        if arrays is not None:
            tables[line.epochs] = AdditiveTable(SUMS, *arrays)
    return tables


def _angle_lines(file: Path) -> list[AngleLine]:
    """Returns the lines of sums under the angle, up to the first that is damaged or out of its place."""
    good = []
    for number, line in enumerate(AngleLine.read_good(file), start=1):
        recorded = [sums for name, sums in line.stated().items() if name in DEFINITIONS]
        if line.epochs != number or not all(map(_are_sums, recorded)):
            break
        good.append(line)
    return good


def _are_sums(sums: object) -> bool:
    """Returns whether a value of a line is what `SupernetRecords` writes."""
    return isinstance(sums, SumsTable) and sums.arrays(len(SUMS)) is not None


def read_probabilities(file: Path) -> list[list[np.ndarray]]:
    """Returns softmax(alpha) of every choice, before the first epoch and after each."""
    found = []
    for epoch in torch.from_numpy(read_alphas(file)):
        found.append([torch.softmax(row[~row.isnan()], dim=0).numpy() for row in epoch])
    return found


def read_alphas(file: Path) -> np.ndarray:
    """Returns the alphas before the first epoch and after each, ``(epochs + 1, choices, candidates)``.

    Raises:
        InputError: If the file is not what was written.
    """
    try:
        rows = np.lib.format.read_array(io.BytesIO(file.read_bytes()), allow_pickle=False)
        damage = None if rows.ndim == 3 and rows.dtype.kind == "f" else "other numbers"
    except (OSError, EOFError, ValueError) as error:
        damage = shortened(str(error))
    if damage is not None:
        raise InputError(f"{file} is damaged ({damage}); put it back, or remove {file.parent} to train anew")
    return np.asarray(rows)


# Writing


class SupernetRecords(Records):
    """The angle tables of every epoch and, where there are alphas, these and the architectures that they stand for."""

    def __init__(
        self, folder: Path, space: SearchSpace, derivation: str | None, definitions: Sequence[str] = DEFINITIONS
    ) -> None:
        """Sets the records up.

        Args:
            folder: The folder of the supernet.
            space: The space.
            derivation: What alphas stand for; None without alphas.
            definitions: Definitions of the angle to record.
        """
        self._space, self._derivation, self._definitions = space, derivation, definitions
        self._angles, self._derived, self._file = folder / ANGLE_TABLES, folder / DERIVED, folder / ALPHAS
        self._alphas: list[np.ndarray] = []

    def epochs(self) -> int:
        """Returns after how many epochs the first of the records ends."""
        ends = [len(_angle_lines(self._angles))]
        if self._derivation is not None:  # the first line and row of the alphas are from before the first epoch
            ends.append(counted(line.epochs for line in DerivedLine.read_good(self._derived)) - 1)
            if max(ends) > 0:
                ends.append(len(read_alphas(self._file)) - 1)
        return max(0, min(ends))

    def keep(self, epochs: int, started: bool) -> None:
        """Drops the records of later epochs."""
        keep_lines(self._angles, epochs)
        if self._derivation is not None:
            keep_lines(self._derived, epochs + 1 if started else 0)
            self._alphas = list(read_alphas(self._file)[: epochs + 1]) if started else []

    def write(self, epochs: int, learner: Learner, initial: Mapping[str, Tensor]) -> dict[str, float]:
        """Adds the sums under the angle after so many epochs, and the alphas; before the first epoch, these alone."""
        assert isinstance(learner, OneShot)
        if epochs:
            self._write_angles(epochs, initial, learner.module.state_dict())
        if learner.alphas is None:
            return {}
        self._write_alphas(epochs, learner.alphas.alphas)
        line = derived_line(epochs, self._space, self._derivation, learner.alphas.alphas)
        append_lines(self._derived, [line])
        figures = {key: getattr(line, key) for key in SHARES}
        return {f"alphas/{key}": value for key, value in figures.items() if value is not None}

    def _write_angles(self, epochs: int, initial: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> None:
        """Adds the sums under the angle: to rank by it later, the weights of this epoch need not be kept."""
        sums: dict[str, Any] = {}
        for definition, table in angle_tables(self._space, initial, trained, self._definitions).items():
            sums[definition] = SumsTable(always=table.fixed.tolist(), candidates=table.terms.tolist())
        append_lines(self._angles, [AngleLine(epochs=epochs, **sums)])

    def _write_alphas(self, epochs: int, alphas: Sequence[Tensor]) -> None:
        """Adds the alphas, each choice a row that is filled up with NaN."""
        rows = [alpha.detach().double().cpu().numpy() for alpha in alphas]
        table = np.full((len(rows), max(map(len, rows))), np.nan)
        for row, values in zip(table, rows, strict=True):
            row[: len(values)] = values
        self._alphas.append(table)
        content = io.BytesIO()
        np.save(content, np.stack(self._alphas))
        write_bytes(self._file, content.getvalue())
        if epochs == 0:
            names = [
                ChoiceNames(name=choice.name, candidates=list(choice.candidates)) for choice in self._space.choices
            ]
            write_record(self._file.with_suffix(".json"), AlphaNames(choices=names))


def angle_tables(
    space: SearchSpace,
    initial: Mapping[str, Tensor],
    trained: Mapping[str, Tensor],
    definitions: Sequence[str] = DEFINITIONS,
) -> dict[str, AdditiveTable]:
    """Returns the sums under the angle by definition; none of a space without a weight vector."""
    if not has_weight_vector(space):
        return {}
    return {definition: angle_table(space, initial, trained, definition) for definition in definitions}


def derived_line(epochs: int, space: SearchSpace, derivation: str | None, alphas: Sequence[Tensor]) -> DerivedLine:
    """Returns the architecture that alphas stand for after so many epochs, and figures of the alphas.

    `choices` are the candidates that it takes at each choice, null where it is of another space than the alphas;
    `dominance` is the weight of a choice's strongest candidate, `skip_share` that of its skip connection and
    `none_share` of the candidate that passes nothing, all means over the choices that have one. `least_kept` is the
    smallest weight of a candidate that the architecture takes, in which ``none`` is none.
    """
    assert derivation is not None
    derived_space = derived_space_of(space, derivation)
    probabilities = [torch.softmax(alpha.detach().double(), dim=0).cpu().numpy() for alpha in alphas]
    derived = space.derive(probabilities, derivation)
    operations: Counter[str] = Counter()
    for graph in drawing_of(derived_space, derived).values():
        operations.update(operation for _, _, operation in graph if operation)
    return DerivedLine(
        epochs=epochs,
        architecture=list(derived),
        choices=list(derived) if derived_space is space else None,
        description=derived_space.describe(derived),
        operations=dict(operations),
        dominance=float(np.mean([row.max() for row in probabilities])),
        skip_share=_share("skip_connect", space, probabilities),
        none_share=_share("none", space, probabilities),
        least_kept=_least_kept(space, derived_space, derived, probabilities),
    )


def _least_kept(
    space: SearchSpace, derived_space: SearchSpace, derived: Sequence[int], probabilities: Sequence[np.ndarray]
) -> float | None:
    """Returns the smallest weight of a candidate that an architecture takes; None where its choices are others."""
    names = [choice.name for choice in space.choices]
    if [choice.name for choice in derived_space.choices] != names:
        return None
    weights = []
    for choice, of_derived, k, row in zip(space.choices, derived_space.choices, derived, probabilities, strict=True):
        candidate = of_derived.candidates[k]
        if candidate != "none":
            weights.append(float(row[choice.candidates.index(candidate)]))
    return min(weights, default=None)


def _share(candidate: str, space: SearchSpace, probabilities: Sequence[np.ndarray]) -> float | None:
    """Returns the mean probability of a candidate over the choices that have it; None where none has."""
    found = []
    for choice, row in zip(space.choices, probabilities, strict=True):
        if candidate in choice.candidates:
            found.append(row[choice.candidates.index(candidate)])
    return float(np.mean(found)) if found else None


def supernet_records(task: Task, folder: Path) -> SupernetRecords:
    """Returns the records of a supernet in its folder."""
    config = task.config
    derivation = config.search.derivation if config.alphas.gates is not None else None
    definitions = tuple(dict.fromkeys((*DEFINITIONS, config.search.angle_definition)))
    return SupernetRecords(folder, task.space, derivation, definitions)
