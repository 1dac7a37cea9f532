"""How probable the alphas hold an architecture to be: the sum over its choices of log softmax(alpha)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from raynas.fitness.baselines import Cost
from raynas.fitness.mean import mean_of
from raynas.fitness.row import Fitness, FitnessContext, FitnessRow
from raynas.members import Need
from raynas.options import Options
from raynas.search_space import AdditiveTable


def log_probabilities(probabilities: Sequence[np.ndarray]) -> AdditiveTable:
    """Returns the log-probability of every candidate, in nats, as the terms of a table.

    Args:
        probabilities: softmax(alpha) of every choice, each ``(number of candidates,)``.
    """
    terms = np.zeros((len(probabilities), max(map(len, probabilities)), 1))
    for row, of_choice in zip(terms, probabilities, strict=True):
        row[: len(of_choice), 0] = np.log(np.maximum(of_choice, np.finfo(np.float64).tiny))
    return AdditiveTable(("log_probability",), np.zeros(1), terms)


def _log_probability(context: FitnessContext, options: Options) -> Fitness:
    """Returns the log-probability, the mean over the trainings."""
    tables = [log_probabilities(context.alphas(base_seed)) for base_seed in context.base_seeds]
    return mean_of([Cost(table, "log_probability") for table in tables])


LOG_PROBABILITY = FitnessRow(
    name="log_probability",
    title="log-probability",
    unit="nats",
    needs=frozenset({Need.SUPERNETS, Need.ALPHAS}),
    make=_log_probability,
)
