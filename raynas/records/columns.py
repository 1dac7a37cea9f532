"""The numbers of many lines as arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from raynas.records.record import Part, is_number

Columns: TypeAlias = Mapping[str, np.ndarray]
"""Numbers by name, each array as long as the file has lines."""


def columns(lines: Sequence[Part]) -> Columns:
    """Returns the numbers that all lines state, as arrays; null is not a number."""
    return columns_of([line.stated() for line in lines])


def columns_of(lines: Sequence[Mapping[str, Any]]) -> Columns:
    """Returns the numbers that all mappings hold, as arrays; None is not a number."""
    if not lines:
        return {}
    shared = set(lines[0]).intersection(*lines[1:])
    found = {}
    for key in lines[0]:
        values = [line[key] for line in lines] if key in shared else []
        if values and all(value is None or is_number(value) for value in values):
            found[key] = np.array([math.nan if value is None else float(value) for value in values])
    return found
