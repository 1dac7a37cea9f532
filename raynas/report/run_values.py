"""A run as the report shows it; results that are missing, or not there yet, are empty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from raynas.records.columns import Columns
from raynas.records.graph import Edge
from raynas.records.latency_record import ProfileRecord
from raynas.records.retrain_record import RetrainRecord
from raynas.records.run_record import DataRecord, RunRecord
from raynas.records.search_record import QuantityRecord, SearchRecord
from raynas.report.alpha_values import Alphas
from raynas.report.quantities import Quantity, fitness_quantity
from raynas.report.rank_values import Rank
from raynas.search_space import Architecture


@dataclass(frozen=True)
class Evaluated:
    """One of the best architectures.

    Attributes:
        architecture: Its candidates.
        description: The same as text.
        numbers: ``fitness`` and the other recorded numbers, such as ``spread``, ``accuracy`` and ``num_parameters``.
        drawing: Its graphs by name, each a list of labelled edges; empty if none was recorded.
    """

    architecture: Architecture
    description: str
    numbers: Mapping[str, float]
    drawing: Mapping[str, Sequence[Edge]]


@dataclass(frozen=True, eq=False)
class History:
    """All evaluated architectures in their order.

    Attributes:
        columns: ``generation``, ``fitness`` and the other keys of every line.
        architectures: Their candidates.
    """

    columns: Columns
    architectures: Sequence[Architecture] = ()

    @property
    def best_so_far(self) -> np.ndarray:
        """The largest fitness up to each architecture."""
        return np.fmax.accumulate(self.columns["fitness"])


@dataclass(frozen=True, eq=False)
class Run:
    """A run's files.

    Attributes:
        folder: The run's folder.
        about: The resolved configuration and the start of the run.
        data: The record of its images; None in runs of earlier versions.
        training: Metrics by epoch of each base seed's supernet, trained or reused; empty without supernets.
        alphas: The architecture parameters of these supernets, by base seed; empty for other algorithms.
        history: Every evaluated architecture; None without a search.
        result: The result of the search; None during the search.
        best: The best architectures, the best first.
        front: The best trade-offs between fitness and objectives, the cheapest first; empty for other searches.
        ranks: The ranking by the search's fitness first, then the others by label.
        profile: The measurements of `raynas profile`; None without them.
        left_out: The run with the reused supernets, if they were not read; None if nothing was left out.
        reused: The folder of the run whose supernets it reuses, if they were read.
        retrained: The results of retrainings, by their names.
        network_curves: The training accuracy of each of their networks by epoch, mean over the seeds, by both names.
    """

    folder: Path
    about: RunRecord
    data: DataRecord | None
    training: Mapping[int, Columns]
    alphas: Mapping[int, Alphas]
    history: History | None
    result: SearchRecord | None
    best: Sequence[Evaluated]
    front: Sequence[Evaluated]
    ranks: Sequence[Rank]
    profile: ProfileRecord | None
    left_out: str | None = None
    reused: Path | None = None
    retrained: Mapping[str, RetrainRecord] = field(default_factory=dict)
    network_curves: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        return self.about.config

    def section(self, name: str) -> Mapping[str, Any]:
        """Returns a section of the configuration; empty if the run has none."""
        return self.about.section(name)

    @property
    def name(self) -> str:
        """The run's name."""
        return str(self.config["name"])

    @property
    def fitness(self) -> str | None:
        """The fitness of the search, those of a consensus joined by ``+``; None if the run does not state it."""
        stated = self.result or self.about.searched_by
        return stated.fitness if stated else None

    @property
    def quantity(self) -> Quantity:
        """The quantity that the fitness measures."""
        return fitness_quantity(self.fitness, definition_of(self.about, self.result), self.recorded_quantities)

    @property
    def recorded_quantities(self) -> Sequence[QuantityRecord]:
        """The fitness, then the other measured quantities; empty in runs of earlier versions."""
        stated = self.result or self.about.searched_by
        return stated.quantities if stated else []

    @property
    def is_by_benchmark(self) -> bool:
        """Whether the fitness is the benchmark accuracy itself."""
        recorded = self.recorded_quantities
        return bool(recorded[0].benchmark) if recorded else self.fitness == "benchmark_table"

    @property
    def is_by_accuracy(self) -> bool:
        """Whether the fitness is the accuracy with the supernet's weights."""
        recorded = self.recorded_quantities
        return recorded[0].of == "accuracy" if recorded else self.fitness == "one_shot_accuracy"

    @property
    def objectives(self) -> Sequence[str]:
        """Costs that the search minimises besides maximising the fitness; empty without trade-offs."""
        stated = self.result or self.about.searched_by
        return list(stated.objectives) if stated else []

    @property
    def hypervolumes(self) -> Sequence[float]:
        """The hypervolume of the front after each generation; empty without a front."""
        return list(self.result.hypervolumes) if self.result else []

    @property
    def missed(self) -> float | None:
        """Largest possible excess, in radians, of an unevaluated angle over the last evaluated one; None if unknown."""
        if self.result is None or "missed" not in self.result.model_fields_set:
            return None
        return self.result.missed

    @property
    def remarks(self) -> Sequence[str]:
        """A sentence for each reason why the numbers of the best architectures are no evidence."""
        return self.result.remarks if self.result else []

    @property
    def base_seeds(self) -> Sequence[int]:
        """Seeds of the supernets."""
        of_result = self.result.base_seeds if self.result else None
        return list(of_result or self.section("train").get("base_seeds") or ())

    @property
    def reuses(self) -> str | None:
        """The folder of the run whose supernets it reuses; None if it trained its own."""
        reused: str | None = self.section("train").get("reuse")
        return reused

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds of each stage that has run: training (sum over the supernets), search, rank."""
        training = []
        for metrics in self.training.values():
            if "seconds" in metrics and not self.reuses:
                training.append(float(np.nansum(metrics["seconds"])))
        stages = {
            "training": training,
            "search": [self.result.seconds] if self.result else [],
            "rank": [rank.seconds for rank in self.ranks],
        }
        return {stage: sum(parts) for stage, parts in stages.items() if parts}

    def benchmark_accuracy(self, architecture: Architecture) -> float | None:
        """Returns the benchmark accuracy of an architecture in percent; None if no file records it."""
        for best in (*self.best, *self.front):
            if best.architecture == architecture and "true" in best.numbers:
                return best.numbers["true"]
        for rank in self.ranks:
            if architecture in rank.architectures:
                value = float(rank.columns["true"][rank.architectures.index(architecture)])
                if math.isfinite(value):
                    return value
        if self.is_by_benchmark:
            return next((b.numbers["fitness"] for b in self.best if b.architecture == architecture), None)
        return None


def definition_of(about: RunRecord, result: SearchRecord | None) -> str | None:
    """Returns the name of the fitness with its definition, such as ``angle (paper)``; None if no file states it."""
    if result is not None and result.name:
        return result.name
    return about.searched_by.name if about.searched_by else None
