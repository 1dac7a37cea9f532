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
    """Agreement of one ordering of the architectures, by a fitness or a baseline, with their benchmark accuracy.

    Attributes:
        name: The fitness or the baseline.
        tau: Kendall's tau-b; NaN without a table, as are the numbers below.
        tau_interval: Its interval by bootstrap.
        rho: Spearman's rho.
        rho_interval: Its interval by bootstrap.
        agreement: Percentage of the pairs of architectures that it orders as the benchmark accuracy does.
        top: Mean and best benchmark accuracy, in percent, of the first k.
        tau_in_order: Tau with ties broken by the order of the architectures, as in the code of RLNAS.
        tau_within: tau-b within strata of equal parameter counts.
        tau_within_live: tau-b within strata of equal live multiply-adds; NaN in records of earlier versions.
        tau_distinct: tau-b over distinct functions; NaN in records of earlier versions.
        tau_columns: tau-b with further columns of the benchmark, by name; empty without them.
        strata: Number of strata; None without strata.
        tau_sizes: tau-b with ``num_parameters`` and ``multiply_adds``, without a table.
    """

    name: str
    tau: float
    tau_interval: tuple[float, float]
    rho: float
    rho_interval: tuple[float, float]
    agreement: float
    top: Mapping[int, tuple[float, float]]
    tau_in_order: float
    tau_within: float
    tau_within_live: float
    tau_distinct: float
    tau_columns: Mapping[str, float]
    strata: int | None
    tau_sizes: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Rank:
    """A space, or a sample of it, ordered by one fitness.

    Attributes:
        label: The fitness as in the name of the file.
        fitness: The fitness.
        table: Name of the benchmark's file; None if benchmark accuracies are unknown.
        column: Column of the file.
        cells: Number of ranked architectures.
        space: Number of architectures of the space.
        bootstrap: Resamples behind the intervals.
        seconds: Duration of the ranking.
        rows: The fitness first, then the baselines.
        epochs: ``epoch``, ``tau`` and ``rho`` during the training; empty unless requested.
        architectures: The architectures of the rows of `columns`.
        columns: ``fitness``, ``true`` (benchmark accuracy in percent; NaN if unknown) and the costs.
        remarks: A sentence for each reason why the numbers are no evidence.
        quantities: The fitness, then the other measured quantities; empty in results of earlier versions.
        functions: Number of distinct functions among the ranked architectures; None if unknown.
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
    functions: int | None = None

    @property
    def has_copies(self) -> bool:
        """Whether some of the architectures are known to compute the same function."""
        return self.functions is not None and self.functions < self.cells

    @property
    def has_table(self) -> bool:
        """Whether benchmark accuracies are known."""
        return any(math.isfinite(row.tau) for row in self.rows)
