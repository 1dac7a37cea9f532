"""The records of a ranking: how well a fitness orders the space, and the score of every architecture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from raynas.errors import InputError
from raynas.records.columns import Columns
from raynas.records.page_text import printable
from raynas.records.record import RERUN, Line, Listed, Number, OtherFile, Part, Record, decoded
from raynas.records.search_record import QuantityRecord


class TopAccuracy(Part):
    """Benchmark accuracy of the first of a ranking.

    Attributes:
        mean: Mean in percent.
        best: Best in percent.
    """

    mean: Number | None = None
    best: Number | None = None


def _text_keys(top: Any) -> Any:
    """Returns a mapping with its keys as JSON has them."""
    return {str(key): value for key, value in top.items()} if isinstance(top, dict) else top


Top = Annotated[dict[str, TopAccuracy], BeforeValidator(_text_keys)]
"""Benchmark accuracy of the first k, by k."""


class RankRowRecord(Part):
    """How well one ordering, by a fitness or a baseline, agrees with the benchmark accuracies.

    Attributes:
        name: The fitness or the baseline.
        tau: Kendall's tau-b.
        tau_interval: Its 95 percent interval by bootstrap.
        rho: Spearman's rho.
        rho_interval: Its 95 percent interval by bootstrap.
        agreement: Pairs that it orders as the benchmark does, in percent.
        top: Benchmark accuracy of the first k.
        tau_within: tau-b within strata of equal parameters.
        tau_within_live: tau-b within strata of equal live multiply-adds; null in records of earlier versions.
        tau_distinct: tau-b over distinct functions: of the ranked architectures that compute the same function, only
            the first counts. Null in records of earlier versions.
        tau_columns: tau-b with each further column of the benchmark, by its name, over the architectures that it knows;
            absent without further columns.
        strata: Number of strata.
        tau_in_order: tau with ties broken by the order of the architectures, as in the code of RLNAS; null in records
            of earlier versions.
        tau_parameters: tau-b with the number of parameters, without a table.
        tau_multiply_adds: tau-b with the multiply-adds, without a table.
    """

    model_config = ConfigDict(extra="allow")

    name: str
    tau: Number | None = None
    tau_interval: Listed[Number | None] | None = None
    rho: Number | None = None
    rho_interval: Listed[Number | None] | None = None
    agreement: Number | None = None
    top: Top | None = None
    tau_within: Number | None = None
    tau_within_live: Number | None = None
    tau_distinct: Number | None = None
    tau_columns: dict[str, Number | None] | None = None
    strata: int | None = None
    tau_in_order: Number | None = None
    tau_parameters: Number | None = None
    tau_multiply_adds: Number | None = None


class EpochCorrelation(Part):
    """How well a fitness ranks after an epoch.

    Attributes:
        epoch: Epochs done.
        tau: Kendall's tau-b.
        rho: Spearman's rho.
        top: Benchmark accuracy of the first k.
    """

    model_config = ConfigDict(extra="allow")

    epoch: int
    tau: Number | None = None
    rho: Number | None = None
    top: Top | None = None


def _some_rows(rows: list[RankRowRecord]) -> list[RankRowRecord]:
    if not rows:
        raise InputError("is empty, expected the fitness and its baselines")
    return rows


class RankRecord(Record):
    """How well a fitness ranks a space, or a part of it.

    Attributes:
        label: Label of the fitness, as in the file's name.
        fitness: The fitness.
        quantities: The fitness, and what was measured beside it.
        table: Name of the benchmark's file; null without one.
        column: Column of the table.
        cells: Number of ranked architectures.
        functions: Number of distinct functions among them; null without a table, and in records of earlier versions.
        space: Number of architectures in the space.
        known: Number of architectures in the table.
        base_seeds: Seeds of the supernets.
        bootstrap: Resamples behind an interval.
        rows: The fitness first, then the baselines.
        epochs: The correlation after each epoch, if that was asked for.
        remarks: Reasons why the numbers say little, a sentence each.
        seconds: Duration of the ranking.
    """

    file: ClassVar[str] = "rank/*.json"
    holds: ClassVar[str] = "rank correlation of a fitness with the benchmark accuracies, and of the baselines"

    label: str
    fitness: str
    quantities: Listed[QuantityRecord] = []
    table: str | None = None
    column: str | None = None
    cells: int
    functions: int | None = None
    space: int
    known: int | None = None
    base_seeds: Listed[int] | None = None
    bootstrap: int | None = None
    rows: Annotated[Listed[RankRowRecord], AfterValidator(_some_rows)]
    epochs: Listed[EpochCorrelation] | None = None
    remarks: Listed[str] = []
    seconds: Number


class ScoresHeader(Line):
    """The first line of the scores of networks: the settings under which they hold.

    Each further line is a list of numbers, one for each quantity.

    Attributes:
        quantities: Names of the numbers of a line.
        architectures: Number of architectures to score.
        base_seeds: Seeds of the supernets.
        fitness: The fitness.
    """

    model_config = ConfigDict(extra="allow")

    file: ClassVar[str] = "rank/*.scores.jsonl"
    holds: ClassVar[str] = "scores of networks, a line each, from which a ranking that was killed continues"

    quantities: Listed[str]
    architectures: int
    base_seeds: Listed[int]
    fitness: str | Listed[str]


SCORES_TABLE = OtherFile(
    "rank/*.csv", "every ranked architecture with its fitness, its costs and its benchmark accuracy (`true`)"
)

SCORES_VECTOR = OtherFile(
    "rank/*.npy",
    "of a ranking of the whole space: the fitness of every architecture, float64, in lexicographic order",
)


def read_scores_table(file: Path, remedy: str = RERUN) -> tuple[list[tuple[int, ...]], Columns]:
    """Returns the architectures of a ranking and its columns of numbers; nothing if there is no file.

    Raises:
        InputError: If a line is damaged.
    """
    if not file.exists():
        return [], {}
    where = f"{file} is damaged"
    text = printable(decoded(file.read_bytes(), where, remedy))
    reader = csv.reader(text.splitlines())
    header = next(reader, [])
    if not {"architecture", "fitness", "true"} <= set(header):
        raise InputError(
            f"{where} at line 1: expected the columns architecture, fitness and true, got "
            f"{', '.join(header) or 'none'}; {remedy}"
        )

    names = [name for name in header if name not in ("architecture", "description")]
    positions = [header.index(name) for name in names]
    architectures: list[tuple[int, ...]] = []
    rows: list[list[float]] = []
    for row in reader:
        try:
            architectures.append(_architecture(row[header.index("architecture")]))
            rows.append([float(row[position] or "nan") for position in positions])
        except (ValueError, IndexError) as error:
            raise InputError(f"{where} at line {reader.line_num} ({error}); {remedy}") from error

    values = np.array(rows).reshape(-1, len(names))
    return architectures, {name: values[:, place] for place, name in enumerate(names)}


def _architecture(text: str) -> tuple[int, ...]:
    return tuple(int(candidate) for candidate in text.split("-"))


_SCORES: TypeAdapter[list[Number]] = TypeAdapter(list[Number], config=ConfigDict(strict=True))


def read_scores(lines: Sequence[bytes], width: int) -> list[list[Number]]:
    """Returns the numbers of lines of scores, up to the first that is damaged.

    Args:
        lines: The lines of the file after its header.
        width: Numbers in a line.
    """
    scores = []
    for line in lines:
        try:
            row = _SCORES.validate_json(line)
        except ValidationError:
            break
        if len(row) != width:
            break
        scores.append(row)
    return scores
