"""What the alphas of a run came to: how far they have decided, and whether what they derive still changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from raynas.fitness.benchmark_table import BenchmarkTable
from raynas.fitness.remarks import decidedness_remarks
from raynas.records.alpha_rows import changes_in, decidedness_of, last_part
from raynas.records.search_record import AlphaRecord
from raynas.records.training_record import DerivedLine
from raynas.stages.evaluation import needs_training
from raynas.stages.supernet_records import ALPHAS, DERIVED, read_alphas
from raynas.stages.task import Task
from raynas.storage.run_folder import seed_folder


def alpha_outcomes(task: Task) -> list[AlphaRecord]:
    """Returns what the alphas of each supernet came to.

    Nothing comes back of a run without alphas, of a space whose choices have one candidate each, or of supernets of an
    early version, which recorded no alphas.

    Raises:
        InputError: If the file of the alphas is damaged.
    """
    config = task.config
    if config.alphas.gates is None or not needs_training(config.search):
        return []
    outcomes = [_outcome(task, base_seed) for base_seed in config.base_seeds]
    return [outcome for outcome in outcomes if outcome is not None]


def _outcome(task: Task, base_seed: int) -> AlphaRecord | None:
    """Returns what the alphas of a supernet came to; None where there is nothing to say."""
    folder = seed_folder(task.config.supernets, base_seed)
    if not (folder / ALPHAS).exists():
        return None
    values = read_alphas(folder / ALPHAS)
    decidedness = decidedness_of(values)
    if decidedness is None:
        return None
    epochs, derived = len(values) - 1, _derived(folder)
    return AlphaRecord(
        base_seed=base_seed,
        epochs=epochs,
        largest=float(decidedness.largest[-1]),
        uniform=decidedness.uniform,
        decidedness=float(decidedness.share[-1]),
        entropy=float(decidedness.entropy[-1]),
        most_entropy=decidedness.most_entropy,
        changes_in_half=changes_in(derived, last_part(epochs, 2)),
        changes_in_tenth=changes_in(derived, last_part(epochs, 10)),
    )


def _derived(folder: Path) -> list[tuple[int, ...]]:
    """Returns the architectures that the alphas of a supernet gave, before the first epoch and after each."""
    return [tuple(line.architecture) for line in DerivedLine.read_all(folder / DERIVED)]


def with_trajectories(task: Task, outcomes: Sequence[AlphaRecord], table: BenchmarkTable) -> list[AlphaRecord]:
    """Returns outcomes with the benchmark accuracy of the derived architecture by epoch.

    It stays unknown where the alphas give architectures of another space than that of the table.

    Args:
        task: The task, with the space of the table.
        outcomes: What `alpha_outcomes` returned.
        table: The benchmark.
    """
    counts = np.array([len(choice.candidates) for choice in task.space.choices])
    completed = []
    for outcome in outcomes:
        derived = _derived(seed_folder(task.config.supernets, outcome.base_seed))
        if all(len(one) == len(counts) and (np.array(one) < counts).all() for one in derived):
            accuracies = table.accuracies(derived).tolist()
            known = [None if math.isnan(accuracy) else accuracy for accuracy in accuracies]
            completed.append(outcome.model_copy(update={"benchmark": known}))
        else:
            completed.append(outcome)
    return completed


def alpha_remarks(outcomes: Sequence[AlphaRecord]) -> list[str]:
    """Returns a sentence if alphas are undecided; of several supernets the least decided one counts."""
    least = min(outcomes, key=lambda outcome: outcome.decidedness, default=None)
    return [] if least is None else decidedness_remarks(least.largest, least.uniform)
