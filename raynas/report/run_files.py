"""What a run's folder holds, read into one value. Parts that a run has not made (yet) are empty, not errors."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from raynas.config.locations import refuse_links, reused_folder
from raynas.report.layout import Edge, depths
from raynas.report.quantities import COSTS, Quantity, fitness_quantity
from raynas.search_space import Architecture

Columns: TypeAlias = Mapping[str, np.ndarray]
"""Numbers by name, each array as long as the file has lines."""


ALPHA_STEPS = ("search_loss", "search_accuracy", "first_norm", "correction_norm", "cosine", "temperature")
"""What metrics tell of an epoch's steps on the architecture parameters; absent or null where there were none."""


@dataclass(frozen=True)
class Judged:
    """One of the best architectures.

    Attributes:
        architecture: Its candidates.
        description: The same as text.
        numbers: ``fitness`` and what else was recorded, such as ``spread``, ``accuracy`` and ``num_parameters``.
        drawing: Its graphs by name, each a list of labelled edges; empty where none was recorded.
    """

    architecture: Architecture
    description: str
    numbers: Mapping[str, float]
    drawing: Mapping[str, Sequence[Edge]]


@dataclass(frozen=True, eq=False)
class History:
    """All judged architectures in their order: ``generation``, ``fitness``, and what else every line holds."""

    columns: Columns

    @property
    def best_so_far(self) -> np.ndarray:
        """The largest fitness up to each architecture."""
        return np.fmax.accumulate(self.columns["fitness"])


@dataclass(frozen=True)
class Derived:
    """The architecture that the parameters stand for after some epochs.

    Attributes:
        architecture: Its candidates.
        taken: The candidates that are taken at the choices of `Alphas`, -1 where it chooses otherwise.
        operations: How many of its edges take each operation.
    """

    architecture: Architecture
    taken: Sequence[int]
    operations: Mapping[str, int]

    @property
    def edges(self) -> int:
        """How many edges it keeps: those that are not ``none``."""
        return sum(number for operation, number in self.operations.items() if operation != "none")


@dataclass(frozen=True, eq=False)
class Alphas:
    """The architecture parameters of one base seed, before the first epoch and after each.

    Choices of a single candidate are left out: nothing is chosen there.

    Attributes:
        choices: The names of the choices.
        candidates: The names of each one's candidates.
        values: ``(epochs + 1, num_choices, most candidates)``, not a number past a choice's last candidate.
        derived: What they stand for, ``epochs + 1`` architectures.
    """

    choices: Sequence[str]
    candidates: Sequence[Sequence[str]]
    values: np.ndarray
    derived: Sequence[Derived]

    @property
    def epochs(self) -> int:
        """How many epochs were trained."""
        return len(self.values) - 1

    @property
    def weights(self) -> np.ndarray:
        """The softmax over each choice's candidates, of the shape of `values`."""
        exponentials = np.exp(self.values - np.nanmax(self.values, axis=2, keepdims=True))
        weights: np.ndarray = exponentials / np.nansum(exponentials, axis=2, keepdims=True)
        return weights

    @property
    def entropies(self) -> np.ndarray:
        """Entropy of each choice's weights over that of equal ones, ``(epochs + 1, num_choices)``: 0 decided, 1 not."""
        weights = self.weights
        logarithms = np.log(np.where(weights > 0, weights, 1))
        entropies: np.ndarray = -np.nansum(weights * logarithms, axis=2)
        return entropies / np.log([len(names) for names in self.candidates])

    @property
    def largest(self) -> np.ndarray:
        """The largest weight, mean over the choices, ``(epochs + 1,)``: 1 where each has decided for a candidate."""
        largest: np.ndarray = np.nanmax(self.weights, axis=2).mean(axis=1)
        return largest

    def share(self, operation: str) -> np.ndarray | None:
        """Returns the weight of an operation, mean over those choices that have it; None where none has.

        A candidate of two operations, such as ``skip_connect+sep_conv_3x3``, counts half for each.
        """
        parts = np.zeros(self.values.shape[1:])
        for choice, names in enumerate(self.candidates):
            operations = [name.split("+") for name in names]
            parts[choice, : len(names)] = [of.count(operation) / len(of) for of in operations]
        having = parts.any(axis=1)
        if not having.any():
            return None
        share: np.ndarray = np.nansum(self.weights * parts, axis=2)[:, having].mean(axis=1)
        return share


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
        quantities: What it records of the fitness, the first, and of what was measured beside it.
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
    quantities: Sequence[Mapping[str, Any]] = ()

    @property
    def has_table(self) -> bool:
        """Whether true accuracies are known."""
        return any(math.isfinite(row.tau) for row in self.rows)


@dataclass(frozen=True, eq=False)
class Profile:
    """How well the sums over candidates predict the latency of whole networks.

    Attributes:
        device: Where it was measured.
        batch_size: Images in a batch.
        threads: Threads that computed.
        predicted: Seconds of each network, as the sum over its candidates.
        measured: Seconds of each network, as it took.
        correlation: Of the two; not a number where it is undefined.
        median_error: Share of the measured.
        worst_error: The same, with its sign.
    """

    device: str
    batch_size: int
    threads: int
    predicted: np.ndarray
    measured: np.ndarray
    correlation: float
    median_error: float
    worst_error: float


@dataclass(frozen=True, eq=False)
class Run:
    """A run's files.

    Attributes:
        folder: Where they lie.
        config: The resolved configuration.
        versions: Of raynas, Python and packages.
        created: When the run began.
        data: The record of its images; empty in runs that were made before there was one.
        training: Metrics by epoch of each base seed's supernet, its own or the one it reuses; empty without any.
        alphas: The architecture parameters of each of these that has some to choose by; empty of other algorithms.
        history: Every judged architecture; None where nothing was searched.
        result: What the search ended with, but for its best and its front; None while it goes on.
        best: The best architectures, the best first.
        front: The best trade-offs between fitness and objectives, the cheapest first; empty of other searches.
        ranks: That of the search's own fitness first, then by label.
        profile: What `raynas profile` measured; None where it has not.
        left_out: The run whose supernets it reuses, where these were not read; None where nothing was left out.
    """

    folder: Path
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    created: str
    data: Mapping[str, Any]
    training: Mapping[int, Columns]
    alphas: Mapping[int, Alphas]
    history: History | None
    result: Mapping[str, Any] | None
    best: Sequence[Judged]
    front: Sequence[Judged]
    ranks: Sequence[Rank]
    profile: Profile | None
    left_out: str | None = None

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.config["name"])

    @property
    def fitness(self) -> str | None:
        """The fitness that judged, those of a consensus joined by ``+``; None where the run does not say."""
        fitness = (self.result or self.config.get("search") or {}).get("fitness")
        return "+".join(fitness) if isinstance(fitness, list) else fitness

    @property
    def quantity(self) -> Quantity:
        """What the fitness measures."""
        return fitness_quantity(self.fitness, _definition(self.config, self.result), self.recorded_quantities)

    @property
    def recorded_quantities(self) -> Sequence[Mapping[str, Any]]:
        """What the result records of the fitness, the first, and of what was measured beside it."""
        return _quantities(self.result or {})

    @property
    def objectives(self) -> Sequence[str]:
        """Costs that were to be small while the fitness is large; empty unless the search is for trade-offs."""
        search = self.config.get("search") or {}
        if self.result is None and search.get("name") != "pareto":
            return ()
        return list((self.result or search).get("objectives") or ())

    @property
    def hypervolumes(self) -> Sequence[float]:
        """How far the front had advanced at the end of each generation; empty where there is none."""
        return list((self.result or {}).get("hypervolumes", ()))

    @property
    def missed(self) -> float | None:
        """By how many radians an architecture not judged may surpass the last one judged; None where nothing says."""
        missed: float | None = (self.result or {}).get("missed")
        return missed

    @property
    def remarks(self) -> Sequence[str]:
        """Why the numbers of its best architectures say little, a sentence each."""
        return _remarks(self.result or {})

    @property
    def base_seeds(self) -> Sequence[int]:
        """Seeds of the supernets."""
        return list((self.result or {}).get("base_seeds") or self.config.get("train", {}).get("base_seeds") or ())

    @property
    def reuses(self) -> str | None:
        """The folder of the run whose supernets it judged by, if it trained none of its own."""
        reused: str | None = (self.config.get("train") or {}).get("reuse")
        return reused

    @property
    def seconds(self) -> Mapping[str, float]:
        """What each stage took that has run: training (all supernets together), search, rank."""
        stages = {
            "training": [
                float(np.nansum(m["seconds"])) for m in self.training.values() if "seconds" in m and not self.reuses
            ],
            "search": [self.result["seconds"]] if self.result else [],
            "rank": [rank.seconds for rank in self.ranks],
        }
        return {stage: sum(parts) for stage, parts in stages.items() if parts}

    def true_accuracy(self, architecture: Architecture) -> float | None:
        """Returns what the benchmark's table says of an architecture, percent; None where no file tells it."""
        for best in (*self.best, *self.front):
            if best.architecture == architecture and "true" in best.numbers:
                return best.numbers["true"]
        for rank in self.ranks:
            if architecture in rank.architectures:
                value = float(rank.columns["true"][rank.architectures.index(architecture)])
                if math.isfinite(value):
                    return value
        if self.fitness == "benchmark_table":
            return next((b.numbers["fitness"] for b in self.best if b.architecture == architecture), None)
        return None


Locate: TypeAlias = Callable[[Path, str], Path | None]
"""Returns the folder of the run that a run, by its folder, names as the one it reuses; None if it is not to be read."""


def _data(file: Path) -> Mapping[str, Any]:
    """Returns the record of a run's images; empty if there is none."""
    if not file.exists():
        return {}
    return _json(file, {"num_classes": int, "resolution": int, "mean": list, "std": list, "images": dict})


def read_run(folder: Path, locate: Locate = reused_folder) -> Run:
    """Returns what a run's folder holds.

    Args:
        folder: The run's folder.
        locate: Which folder to read the supernets from that the run reuses; by default one that lies beside the run.

    Raises:
        ValueError: If it holds no run, or one that has no result yet, or a damaged file, or a link out of it.
    """
    refuse_links(folder)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} holds no run (there is no config.json); give the folder that `raynas run` named at its end"
        )
    about = _json(folder / "config.json", {"config": dict})
    config = about["config"]
    _check(f"{folder / 'config.json'} is damaged", config, {"name": str})
    reused = (config.get("train") or {}).get("reuse")
    trained = locate(folder, str(reused)) if reused else folder
    places = _supernets(trained) if trained else {}
    training = {seed: columns for seed, place in places.items() if (columns := _training(place / "metrics.jsonl"))}
    trained_for = {seed: len(columns["epoch"]) for seed, columns in training.items()}
    alphas = {
        seed: read for seed, place in places.items() if (read := _alphas(place, trained_for.get(seed, 0))) is not None
    }
    judged = _lines(
        folder / "search/history.jsonl", {"generation": int, "architecture": list, "description": str, "fitness": float}
    )
    result, best, front = None, _best_of(judged), []
    if (folder / "search/result.json").exists():
        file = folder / "search/result.json"
        result = _json(file, {"fitness": str, "evaluations": int, "generations": int, "seconds": float, "best": list})
        best = [_judged(f"{file} is damaged: best[{i}]", line) for i, line in enumerate(result["best"])]
        front = _front(f"{file} is damaged", result) if "front" in result else []
        _check(f"{file} is damaged", {"missed": 0.0, **result}, {"missed": float})
    own = "_".join(re.findall(r"\w+", _definition(config, result)))
    ranks = [_rank(file) for file in sorted(folder.glob("rank/*.json"))]
    ranks.sort(key=lambda rank: rank.label != own)
    profile = _profile(folder / "profile.json")
    if not (training or judged or result or ranks or profile):
        raise ValueError(f"{folder} holds no result yet; run `raynas run FILE.yaml` first")
    return Run(
        folder=folder,
        config=config,
        versions=about.get("versions") or {},
        created=str(about.get("created") or ""),
        data=_data(folder / "data.json"),
        training=training,
        alphas=alphas,
        history=History(_columns(judged)) if judged else None,
        result=result,
        best=best,
        front=front,
        ranks=ranks,
        profile=profile,
        left_out=str(reused) if trained is None else None,
    )


def _supernets(folder: Path) -> dict[int, Path]:
    """Returns the folders of a run's supernets by base seed."""
    places = {}
    for place in folder.glob("supernet/seed_*"):
        if re.fullmatch(r"seed_\d+", place.name):
            places[int(place.name.removeprefix("seed_"))] = place
    return dict(sorted(places.items()))


def _definition(config: Mapping[str, Any], result: Mapping[str, Any] | None) -> str:
    """Returns the fitness' name with what defines it, such as ``angle (paper)``."""
    search = config.get("search") or {}
    fitness = str((result or search).get("fitness"))
    angle = f"{fitness} ({search.get('angle')})" if fitness in ("angle", "initial_angle") else fitness
    return str((result or {}).get("name") or angle)


def _best_of(judged: Sequence[Mapping[str, Any]], count: int = 10) -> list[Judged]:
    """Returns the best of a search that goes on: by fitness, equals by their candidates."""
    ordered = sorted(judged, key=lambda line: (-line["fitness"], line["architecture"]))
    return [_judged("history", line) for line in ordered[:count]]


def _judged(where: str, line: Any) -> Judged:
    _check(where, line, {"architecture": list, "description": str, "fitness": float})
    drawing = line.get("drawing") or {}
    _check(where, drawing, dict.fromkeys(drawing, list))
    for name, edges in drawing.items():
        if not all(
            isinstance(edge, list) and len(edge) == 3 and all(isinstance(e, str) for e in edge) for edge in edges
        ):
            raise ValueError(f"{where}.drawing.{name}: expected edges [source, target, operation]{MEND}")
        try:
            depths(edges)
        except ValueError as error:
            raise ValueError(f"{where}.drawing.{name}: {error}{MEND}") from error
    return Judged(
        architecture=tuple(line["architecture"]),
        description=line["description"],
        numbers={name: value for name, value in line.items() if _is(value, float)},
        drawing={name: [(edge[0], edge[1], edge[2]) for edge in edges] for name, edges in drawing.items()},
    )


def _training(file: Path) -> Columns:
    lines = _lines(file, {"epoch": int, "loss": float})
    for number, line in enumerate(lines, start=1):
        told = {key: float for key in ALPHA_STEPS if line.get(key) is not None}
        _check(f"{file} is damaged at line {number}", line, told)
    absent = {key: None for key in ALPHA_STEPS if any(line.get(key) is not None for line in lines)}
    others = [{key: value for key, value in line.items() if key not in ALPHA_STEPS or key in absent} for line in lines]
    return _columns([{**absent, **line} for line in others])


def _alphas(place: Path, epochs: int) -> Alphas | None:
    """Returns the architecture parameters of a supernet; None where it has none, or where they choose nothing.

    A training that goes on has parameters that are not in the other file yet: of the last epoch, or of all epochs after
    the checkpoint that it went on from.

    Args:
        place: The supernet's folder.
        epochs: How many its metrics tell of.
    """
    file, about, lines = place / "alphas.npy", place / "alphas.json", place / "derived.jsonl"
    if not (file.exists() and about.exists() and lines.exists()):
        return None
    choices = _json(about, {"choices": list})["choices"]
    for number, choice in enumerate(choices):
        where = f"{about} is damaged: choices[{number}]"
        _check(where, choice, {"name": str, "candidates": list})
        if not choice["candidates"] or not all(isinstance(name, str) for name in choice["candidates"]):
            raise ValueError(f"{where}: expected names under candidates, got {choice['candidates']!r}{MEND}")
    counts = [len(choice["candidates"]) for choice in choices]
    chosen = [number for number, count in enumerate(counts) if count > 1]
    if not chosen:
        return None
    values = _values(file, counts)[:, chosen]
    derived = [
        _derived(f"{lines} is damaged at line {number}", line, number - 1, counts)
        for number, line in enumerate(_lines(lines, {"epochs": int, "architecture": list, "operations": dict}), start=1)
    ]
    if not epochs <= len(derived) <= len(values):
        raise ValueError(
            f"{lines} is damaged: expected a line for each of the {epochs:,} epochs of metrics.jsonl and no more than "
            f"the {len(values):,} rows of {file.name}, got {len(derived):,}{MEND}"
        )
    if not derived:
        return None
    return Alphas(
        choices=[choices[number]["name"] for number in chosen],
        candidates=[choices[number]["candidates"] for number in chosen],
        values=values[: len(derived)],
        derived=derived,
    )


def _values(file: Path, counts: Sequence[int]) -> np.ndarray:
    """Returns the numbers of a file of architecture parameters for choices of so many candidates."""
    where = f"{file} is damaged"
    try:
        values = np.lib.format.read_array(io.BytesIO(file.read_bytes()), allow_pickle=False)
    except ValueError as error:
        raise ValueError(f"{where} ({str(error).splitlines()[0]}){MEND}") from error
    shape = (len(counts), max(counts))
    if values.dtype.kind != "f" or values.shape != (len(values) if values.ndim else 0, *shape):
        raise ValueError(
            f"{where}: expected numbers of shape (epochs + 1, {shape[0]}, {shape[1]}), got {values.dtype} of shape "
            f"{values.shape}{MEND}"
        )
    there = np.arange(shape[1]) < np.array(counts)[:, None]
    wrong = np.argwhere(np.isfinite(values) != there)
    if len(wrong):
        row, choice, candidate = wrong[0].tolist()
        raise ValueError(
            f"{where}: expected {'a number' if there[choice, candidate] else 'NaN'} for candidate {candidate} of "
            f"choice {choice} after {row} epochs, got {values[row, choice, candidate]}{MEND}"
        )
    return values


def _derived(where: str, line: Mapping[str, Any], epochs: int, counts: Sequence[int]) -> Derived:
    if line["epochs"] != epochs:
        raise ValueError(f"{where}: expected {epochs} under epochs, got {line['epochs']}{MEND}")
    _check(where, line["operations"], dict.fromkeys(line["operations"], int))
    choices = line.get("choices", line["architecture"])
    if choices is None:  # the architecture is of another space
        choices = [-1] * len(counts)
    elif len(choices) != len(counts) or not all(
        _is(k, int) and 0 <= k < count for k, count in zip(choices, counts, strict=True)
    ):
        raise ValueError(f"{where}: expected a candidate of each choice under architecture, got {choices!r}{MEND}")
    taken = tuple(k for k, count in zip(choices, counts, strict=True) if count > 1)
    return Derived(tuple(line["architecture"]), taken, line["operations"])


def _front(where: str, result: Mapping[str, Any]) -> list[Judged]:
    _check(where, result, {"objectives": list, "hypervolumes": list, "front": list})
    objectives, known = result["objectives"], list(COSTS)
    if not objectives or any(name not in known for name in objectives):
        raise ValueError(f"{where}: expected some of {', '.join(known)} under objectives, got {objectives!r}{MEND}")
    if not all(_is(value, float) for value in result["hypervolumes"]):
        raise ValueError(f"{where}: expected numbers under hypervolumes, got {result['hypervolumes']!r}{MEND}")
    for number, line in enumerate(result["front"]):
        _check(f"{where}: front[{number}]", line, dict.fromkeys(objectives, float))
    return [_judged(f"{where}: front[{number}]", line) for number, line in enumerate(result["front"])]


def _profile(file: Path) -> Profile | None:
    if not file.exists():
        return None
    content = _json(file, {"device": str, "batch_size": int, "threads": int, "networks": list})
    _check(f"{file} is damaged", content, dict.fromkeys(("correlation", "median_error", "worst_error"), float))
    if not content["networks"]:
        raise ValueError(f"{file} is damaged: networks is empty, expected what was measured{MEND}")
    for number, network in enumerate(content["networks"]):
        _check(f"{file} is damaged: networks[{number}]", network, {"predicted": float, "measured": float})
    predicted, measured = (
        np.array([network[key] for network in content["networks"]], float) for key in ("predicted", "measured")
    )
    return Profile(
        predicted=predicted,
        measured=measured,
        **{
            key: content[key]
            for key in ("device", "batch_size", "threads", "correlation", "median_error", "worst_error")
        },
    )


def _rank(file: Path) -> Rank:
    keys = {"label": str, "fitness": str, "cells": int, "space": int, "seconds": float, "rows": list}
    content = _json(file, keys)
    where = f"{file} is damaged"
    if not content["rows"]:
        raise ValueError(f"{where}: rows is empty, expected the fitness and its baselines{MEND}")
    epochs = content.get("epochs") or []
    for number, line in enumerate(epochs):
        _check(f"{where}: epochs[{number}]", line, {"epoch": int})
    architectures, columns = _table(file.with_suffix(".csv"))
    return Rank(
        label=content["label"],
        fitness=content["fitness"],
        table=content.get("table"),
        column=content.get("column"),
        cells=content["cells"],
        space=content["space"],
        bootstrap=content.get("bootstrap"),
        seconds=content["seconds"],
        rows=[_row(f"{where}: rows[{number}]", row) for number, row in enumerate(content["rows"])],
        epochs=_columns(epochs),
        architectures=architectures,
        columns=columns,
        remarks=_remarks(content),
        quantities=_quantities(content),
    )


def _quantities(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Returns what a result says of its quantities; older runs do not say it."""
    recorded = content.get("quantities")
    keys = {"name": str, "title": str, "unit": str, "digits": int}
    whole = isinstance(recorded, list) and all(
        isinstance(one, dict) and all(isinstance(one.get(key), kind) for key, kind in keys.items()) for one in recorded
    )
    return recorded if isinstance(recorded, list) and whole else []


def _remarks(content: Mapping[str, Any]) -> list[str]:
    """Returns why the numbers of a result say little; older runs do not say it."""
    remarks = content.get("remarks")
    return [remark for remark in remarks if isinstance(remark, str)] if isinstance(remarks, list) else []


def _row(where: str, row: Any) -> RankRow:
    _check(where, row, {"name": str})
    tops = row.get("top") or {}
    _check(where, tops, dict.fromkeys(tops, dict))
    return RankRow(
        name=row["name"],
        tau=_number(row.get("tau")),
        tau_interval=_interval(row.get("tau_interval")),
        rho=_number(row.get("rho")),
        rho_interval=_interval(row.get("rho_interval")),
        agreement=_number(row.get("agreement")),
        top={int(k): (_number(top.get("mean")), _number(top.get("best"))) for k, top in tops.items() if k.isdigit()},
        tau_within=_number(row.get("tau_within")),
        strata=row.get("strata") or None,
        tau_sizes={
            name: float(row[f"tau_{short}"])
            for name, short in (("num_parameters", "parameters"), ("multiply_adds", "multiply_adds"))
            if _is(row.get(f"tau_{short}"), float)
        },
    )


def _table(file: Path) -> tuple[list[Architecture], Columns]:
    """Returns the architectures and the numeric columns of a CSV file; nothing of a missing one."""
    if not file.exists():
        return [], {}
    reader = csv.reader(_text(file).splitlines())
    header = next(reader, [])
    if not {"architecture", "fitness", "true"} <= set(header):
        raise ValueError(
            f"{file} is damaged at line 1: expected the columns architecture, fitness and true, "
            f"got {', '.join(header) or 'none'}{MEND}"
        )
    numeric = [(position, name) for position, name in enumerate(header) if name not in ("architecture", "description")]
    index = header.index("architecture")
    architectures, rows = [], []
    for row in reader:
        try:
            architectures.append(tuple(map(int, row[index].split("-"))))
            rows.append([float(row[position] or "nan") for position, _ in numeric])
        except (ValueError, IndexError) as error:
            raise ValueError(f"{file} is damaged at line {reader.line_num} ({error}){MEND}") from error
    values = np.array(rows).reshape(-1, len(numeric))
    return architectures, {name: values[:, i] for i, (_, name) in enumerate(numeric)}


# Files, and what stands in them

MEND = "; restore it, or remove it to have the report without it"


def _text(file: Path) -> str:
    data = file.read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{file} is damaged at line {line} (it is not UTF-8 text){MEND}") from error


def _json(file: Path, keys: Mapping[str, type]) -> dict[str, Any]:
    """Returns the content of a JSON file that must hold the keys."""
    try:
        content = printable(json.loads(_text(file)))
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is damaged at line {error.lineno} ({error.msg}){MEND}") from error
    _check(f"{file} is damaged", content, keys)
    values: dict[str, Any] = content
    return values


def _lines(file: Path, keys: Mapping[str, type]) -> list[dict[str, Any]]:
    """Returns the lines of a file of JSON lines; one that is being written, without its end, is left out."""
    text = _text(file) if file.exists() else ""
    lines = []
    for number, text_line in enumerate(text[: text.rfind("\n") + 1].split("\n")[:-1], start=1):
        where = f"{file} is damaged at line {number}"
        try:
            lines.append(printable(json.loads(text_line)))
        except json.JSONDecodeError as error:
            raise ValueError(f"{where} ({error.msg}){MEND}") from error
        _check(where, lines[-1], keys)
    return lines


def _check(where: str, content: Any, keys: Mapping[str, type]) -> None:
    """Raises a ValueError unless `content` holds a value of its type under each key; float stands for a number."""
    if not isinstance(content, dict):
        raise ValueError(f"{where}: expected keys and values, got {type(content).__name__}{MEND}")
    kinds = {int: "a whole number", float: "a number", str: "text", list: "a list", dict: "keys and values"}
    for key, kind in keys.items():
        if not _is(content.get(key), kind):
            raise ValueError(f"{where}: expected {kinds[kind]} under {key}, got {content.get(key)!r}{MEND}")


def _is(value: object, kind: type) -> bool:
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _columns(lines: Sequence[Mapping[str, Any]]) -> Columns:
    """Returns the numbers that all lines hold, as arrays; null is not a number."""
    shared = set.intersection(*(set(line) for line in lines)) if lines else set()
    return (
        {
            key: np.array([_number(line[key]) for line in lines])
            for key in lines[0]
            if key in shared and all(line[key] is None or _is(line[key], float) for line in lines)
        }
        if lines
        else {}
    )


def _number(value: Any) -> float:
    return float(value) if _is(value, float) else math.nan


def _interval(value: Any) -> tuple[float, float]:
    low, high = value if isinstance(value, list) and len(value) == 2 else (None, None)
    return _number(low), _number(high)


def printable(value: Any) -> Any:
    """Returns a JSON value whose texts hold nothing that XML forbids: control characters, halves of pairs."""
    if isinstance(value, str):
        return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", value)
    if isinstance(value, list):
        return [printable(part) for part in value]
    if isinstance(value, dict):
        return {printable(key): printable(part) for key, part in value.items()}
    return value
