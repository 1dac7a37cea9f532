"""How probable the alphas hold an architecture to be: the sum over its choices of log softmax(alpha)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
