"""What the alphas of a run came to: how far those of each supernet have decided."""

from __future__ import annotations

from collections.abc import Sequence

from raynas.fitness.remarks import decidedness_remarks
from raynas.records.alpha_rows import decidedness_of
from raynas.records.search_record import AlphaRecord
from raynas.stages.evaluation import needs_training
from raynas.stages.supernet_records import ALPHAS, read_alphas
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
    file = seed_folder(task.config.supernets, base_seed) / ALPHAS
    if not file.exists():
        return None
    values = read_alphas(file)
    decidedness = decidedness_of(values)
    if decidedness is None:
        return None
    return AlphaRecord(
        base_seed=base_seed,
        epochs=len(values) - 1,
        largest=float(decidedness.largest[-1]),
        uniform=decidedness.uniform,
        decidedness=float(decidedness.share[-1]),
        entropy=float(decidedness.entropy[-1]),
        most_entropy=decidedness.most_entropy,
    )


def alpha_remarks(outcomes: Sequence[AlphaRecord]) -> list[str]:
    """Returns a sentence if alphas are undecided; of several supernets the least decided one counts."""
    least = min(outcomes, key=lambda outcome: outcome.decidedness, default=None)
    return [] if least is None else decidedness_remarks(least.largest, least.uniform)
