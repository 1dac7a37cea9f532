"""Rankings of a run as the report shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raynas.records.columns import Columns
from raynas.records.search_record import QuantityRecord
from raynas.search_space import Architecture


@dataclass(frozen=True)
class RankRow:
    """How well one ordering of the architectures, by a fitness or a baseline, agrees with their true accuracy.

    Attributes:
        name: The fitness or the baseline.
        tau: Kendall's tau-b; not a number where the table is missing, as for all that follows.
        tau_interval: Its interval by bootstrap.
        rho: Spearman's rho.
        rho_interval: Its interval by bootstrap.
        agreement: Share of the pairs of architectures that it orders as the truth does, in percent.
        top: Mean and best true accuracy, in percent, of the first k.
        tau_within: tau-b left within strata of equal parameters.
        strata: How many strata; None where there are none.
        tau_sizes: tau-b with ``num_parameters`` and ``multiply_adds``, where there is no table.
    """

    name: str
    tau: float
    tau_interval: tuple[float, float]
    rho: float
    rho_interval: tuple[float, float]
    agreement: float
    top: Mapping[int, tuple[float, float]]
    tau_within: float
    strata: int | None
    tau_sizes: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Rank:
    """A whole space, or a part of it, ordered by one fitness.

    Attributes:
        label: Which fitness, as in the file's name.
        fitness: The fitness.
        table: Name of the benchmark's file; None where true accuracies are not known.
        column: Its column.
        cells: How many architectures are ranked.
        space: How many the space has.
        bootstrap: Resamples behind the intervals.
        seconds: What the ranking took.
        rows: The fitness first, then the baselines.
        epochs: ``epoch``, ``tau`` and ``rho`` as the training went on; empty unless that was asked for.
        architectures: Which architecture each number of `columns` is of.
        columns: ``fitness``, ``true`` (percent; not a number where unknown) and the costs.
        remarks: Why its numbers say little, a sentence each.
        quantities: The fitness, the first, and what was measured beside it; empty in results of earlier versions.
    """

    label: str
    fitness: str
    table: str | None
    column: str | None
    cells: int
    space: int
    bootstrap: int | None
    seconds: float
    rows: Sequence[RankRow]
    epochs: Columns
    architectures: Sequence[Architecture]
    columns: Columns
    remarks: Sequence[str] = ()
    quantities: Sequence[QuantityRecord] = ()

    @property
    def has_table(self) -> bool:
        """Whether true accuracies are known."""
        return any(math.isfinite(row.tau) for row in self.rows)
