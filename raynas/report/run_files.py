"""Reads the files of a run's folder into one value; missing results are empty instead of errors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from raynas.config.locations import refuse_links, reused_folder
from raynas.errors import InputError
from raynas.records.columns import Columns, columns, columns_of
from raynas.records.latency_record import ProfileRecord
from raynas.records.rank_record import RankRecord, RankRowRecord, TopAccuracy, read_scores_table
from raynas.records.record import Number, Record
from raynas.records.retrain_record import NetworkEpochLine, RetrainRecord
from raynas.records.run_record import DataRecord, RunRecord
from raynas.records.search_record import BestArchitecture, HistoryLine, SearchRecord
from raynas.records.training_record import (
    OF_ALPHA_STEPS,
    AlphaNames,
    DerivedLine,
    EpochLine,
    read_alpha_values,
)
from raynas.report.alpha_values import Alphas, Derived
from raynas.report.rank_values import Rank, RankRow
from raynas.report.run_values import Evaluated, History, Run, definition_of

REMEDY = "restore it, or remove it to have the report without it"

AnyRecord = TypeVar("AnyRecord", bound=Record)

Locate: TypeAlias = Callable[[Path, str], Path | None]
"""Maps a run's folder and the run that it reuses to the folder to read; None leaves the reused run out."""


def read_run(folder: Path, locate: Locate = reused_folder) -> Run:
    """Returns the results in a run's folder.

    Args:
        folder: The run's folder.
        locate: Returns the folder of the reused supernets; by default a folder next to the run.

    Raises:
        InputError: If the folder has no run, no result, a damaged file, or a link that leads out of it.
    """
    refuse_links(folder)
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{folder} holds no run (there is no config.json); give the folder that `raynas run` named at its end"
        )
    about = RunRecord.read(folder / "config.json", REMEDY, for_page=True)
    reused = about.section("train").get("reuse")
    trained = locate(folder, str(reused)) if reused else folder
    training, alphas = _supernets(trained) if trained else ({}, {})

    lines = HistoryLine.read_all(folder / "search/history.jsonl", REMEDY, for_page=True)
    result = _if_there(SearchRecord, folder / "search/result.json")
    best = [_evaluated(line) for line in (_best_of(lines) if result is None else result.best)]

    own_label = "_".join(re.findall(r"\w+", definition_of(about, result) or ""))
    ranks = [_rank(file) for file in sorted(folder.glob("rank/*.json"))]
    ranks.sort(key=lambda rank: rank.label != own_label)
    profile = _if_there(ProfileRecord, folder / "profile.json")
    retrained = _retrained(folder)
    if not (training or lines or result or ranks or profile or retrained):
        raise InputError(f"{folder} holds no result yet; run `raynas run FILE.yaml` first")
    return Run(
        folder=folder,
        about=about,
        data=_if_there(DataRecord, folder / "data.json"),
        training=training,
        alphas=alphas,
        history=History(columns(lines), [tuple(line.architecture) for line in lines]) if lines else None,
        result=result,
        best=best,
        front=[_evaluated(line) for line in result.front] if result else [],
        ranks=ranks,
        profile=profile,
        left_out=str(reused) if trained is None else None,
        reused=trained if reused else None,
        retrained=retrained,
        network_curves={name: _curves(folder / "retrain" / name, result) for name, result in retrained.items()},
    )


def _if_there(kind: type[AnyRecord], file: Path) -> AnyRecord | None:
    """Returns a record of the run; None if there is no such file."""
    return kind.read(file, REMEDY, for_page=True) if file.exists() else None


# Networks that were trained from scratch


def _retrained(folder: Path) -> dict[str, RetrainRecord]:
    """Returns the results of retrainings, by their names."""
    files = sorted(folder.glob("retrain/*/result.json"))
    return {file.parent.name: RetrainRecord.read(file, REMEDY, for_page=True) for file in files}


def _trained_to(line: NetworkEpochLine) -> float:
    """Returns the training accuracy of an epoch in percent, or the training perplexity of a text."""
    value = line.accuracy if line.perplexity is None else line.perplexity
    return math.nan if value is None else float(value)


def _curves(place: Path, result: RetrainRecord) -> dict[str, np.ndarray]:
    """Returns the training accuracy of the networks of a retraining by epoch, mean over the seeds."""
    curves = {}
    for network in result.networks:
        of_seeds = []
        for one in network.seeds:
            lines = NetworkEpochLine.read_all(place / network.name / f"seed_{one.seed}" / "metrics.jsonl", REMEDY)
            of_seeds.append([_trained_to(line) for line in lines])
        if of_seeds and len({len(values) for values in of_seeds}) == 1 and of_seeds[0]:
            curves[network.name] = np.mean(of_seeds, axis=0)
    return curves


# Search


def _best_of(lines: Sequence[HistoryLine], count: int = 10) -> list[HistoryLine]:
    """Returns the best architectures of an unfinished search, by fitness, then by their candidates."""
    return sorted(lines, key=lambda line: (-line.fitness, line.architecture))[:count]


def _evaluated(line: HistoryLine | BestArchitecture) -> Evaluated:
    drawing = (line.drawing if isinstance(line, BestArchitecture) else None) or {}
    return Evaluated(
        architecture=tuple(line.architecture),
        description=line.description,
        numbers=line.numbers(),
        drawing={name: list(map(tuple, edges)) for name, edges in drawing.items()},
    )


# Supernets


def _supernets(folder: Path) -> tuple[dict[int, Columns], dict[int, Alphas]]:
    """Returns the metrics and the architecture parameters of a run's supernets, by base seed."""
    places = {}
    for place in folder.glob("supernet/seed_*"):
        if re.fullmatch(r"seed_\d+", place.name):
            places[int(place.name.removeprefix("seed_"))] = place

    training, alphas = {}, {}
    for seed, place in sorted(places.items()):
        metrics = _training(place / "metrics.jsonl")
        if metrics:
            training[seed] = metrics
        read = _alphas(place, len(metrics["epoch"]) if metrics else 0)
        if read is not None:
            alphas[seed] = read
    return training, alphas


def _training(file: Path) -> Columns:
    """Returns the metrics of a supernet by epoch, without those of steps that no epoch had."""
    lines = [line.stated() for line in EpochLine.read_all(file, REMEDY, for_page=True)]
    for key in OF_ALPHA_STEPS:
        had = any(line.get(key) is not None for line in lines)
        for line in lines:
            if had:
                line.setdefault(key, None)
            else:
                line.pop(key, None)
    return columns_of(lines)


def _alphas(place: Path, epochs: int) -> Alphas | None:
    """Returns the architecture parameters of a supernet; None if it has none, or if they choose nothing.

    During training the parameters can be ahead of the other file: by the last epoch, or by all epochs after the
    checkpoint from which the training resumed.

    Args:
        place: The supernet's folder.
        epochs: Number of epochs in its metrics.
    """
    file, about, lines = place / "alphas.npy", place / "alphas.json", place / "derived.jsonl"
    if not (file.exists() and about.exists() and lines.exists()):
        return None
    choices = AlphaNames.read(about, REMEDY, for_page=True).choices
    counts = [len(choice.candidates) for choice in choices]
    chosen = [number for number, count in enumerate(counts) if count > 1]
    if not chosen:
        return None

    values = read_alpha_values(file, counts, REMEDY)[:, chosen]
    derived = []
    for number, line in enumerate(DerivedLine.read_all(lines, REMEDY, for_page=True)):
        derived.append(_derived(f"{lines} is damaged at line {number + 1}", line, number, counts))
    if not epochs <= len(derived) <= len(values):
        raise InputError(
            f"{lines} is damaged: expected a line for each of the {epochs:,} epochs of metrics.jsonl and no more than "
            f"the {len(values):,} rows of {file.name}, got {len(derived):,}; {REMEDY}"
        )
    if not derived:
        return None
    return Alphas(
        choices=[choices[number].name for number in chosen],
        candidates=[choices[number].candidates for number in chosen],
        values=values[: len(derived)],
        derived=derived,
    )


def _derived(where: str, line: DerivedLine, epochs: int, counts: Sequence[int]) -> Derived:
    """Returns a derived architecture after checks of its epoch and of the supernet's choices."""
    if line.epochs != epochs:
        raise InputError(f"{where}: expected {epochs} under epochs, got {line.epochs}; {REMEDY}")
    choices = line.taken()
    if choices is None:  # the architecture is of another space
        choices = [-1] * len(counts)
    elif not _is_choice_of_each(choices, counts):
        raise InputError(f"{where}: expected a candidate of each choice under architecture, got {choices!r}; {REMEDY}")
    taken = tuple(k for k, count in zip(choices, counts, strict=True) if count > 1)
    return Derived(tuple(line.architecture), taken, line.operations)


def _is_choice_of_each(candidates: Sequence[object], counts: Sequence[int]) -> bool:
    if len(candidates) != len(counts):
        return False
    pairs = zip(candidates, counts, strict=True)
    return all(type(candidate) is int and 0 <= candidate < count for candidate, count in pairs)


# Rankings


def _rank(file: Path) -> Rank:
    record = RankRecord.read(file, REMEDY, for_page=True)
    architectures, scores = read_scores_table(file.with_suffix(".csv"), REMEDY)
    return Rank(
        label=record.label,
        fitness=record.fitness,
        table=record.table,
        column=record.column,
        cells=record.cells,
        space=record.space,
        bootstrap=record.bootstrap,
        seconds=record.seconds,
        rows=[_row(row) for row in record.rows],
        epochs=columns(record.epochs or []),
        architectures=architectures,
        columns=scores,
        remarks=record.remarks,
        quantities=record.quantities,
        functions=record.functions,
    )


def _row(row: RankRowRecord) -> RankRow:
    of_sizes = {"num_parameters": row.tau_parameters, "multiply_adds": row.tau_multiply_adds}
    return RankRow(
        name=row.name,
        tau=_number(row.tau),
        tau_interval=_interval(row.tau_interval),
        rho=_number(row.rho),
        rho_interval=_interval(row.rho_interval),
        agreement=_number(row.agreement),
        top=_top(row.top or {}),
        tau_in_order=_number(row.tau_in_order),
        tau_within=_number(row.tau_within),
        tau_within_live=_number(row.tau_within_live),
        tau_distinct=_number(row.tau_distinct),
        tau_columns={column: _number(tau) for column, tau in (row.tau_columns or {}).items()},
        strata=row.strata or None,
        tau_sizes={name: float(tau) for name, tau in of_sizes.items() if tau is not None},
    )


def _top(top: Mapping[str, TopAccuracy]) -> dict[int, tuple[float, float]]:
    """Returns mean and best benchmark accuracy of the first k, by k."""
    return {int(k): (_number(first.mean), _number(first.best)) for k, first in top.items() if k.isdigit()}


def _number(value: Number | None) -> float:
    return math.nan if value is None else float(value)


def _interval(value: Sequence[Number | None] | None) -> tuple[float, float]:
    low, high = value if value is not None and len(value) == 2 else (None, None)
    return _number(low), _number(high)
