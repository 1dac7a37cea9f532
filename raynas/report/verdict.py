"""How good the found architecture is: against the largest one, and against random search at equal budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raynas.report.intervals import Interval
from raynas.report.random_search import Choice, choice_of_random_search
from raynas.report.rank_values import Rank
from raynas.report.run_values import Run

COSTS_OF_LIMITS = {"parameters": "num_parameters", "multiply_adds": "multiply_adds", "latency": "latency"}
"""Columns of a ranking by the ends of the names of limits."""


@dataclass(frozen=True)
class Verdict:
    """The benchmark accuracy of the found architecture in percent, beside what costs less to find.

    Attributes:
        found: That of the found architecture.
        evaluations: Number of evaluated architectures.
        admitted: Number of architectures of the space, or of its ranked sample, that satisfy the limits.
        is_limited: Whether the search has limits.
        is_sample: Whether a sample of the space was ranked.
        parameters: That of the architecture with the most parameters, mean over equals; NaN if unknown.
        same_fitness: What random search by the same fitness chooses; None if its fitness was not ranked.
        by_benchmark: What random search chooses that reads the benchmark accuracy of each architecture.
        one_random: That of one random architecture.
        best: The largest one.
    """

    found: float
    evaluations: int
    admitted: int
    is_limited: bool
    is_sample: bool
    parameters: float
    same_fitness: Choice | None
    by_benchmark: Choice
    one_random: Choice
    best: float


def ranking_of(run: Run) -> Rank | None:
    """Returns the ranking with benchmark accuracies, that by the search's own fitness if there is one."""
    known = [rank for rank in run.ranks if "true" in rank.columns and np.isfinite(rank.columns["true"]).any()]
    known.sort(key=lambda rank: rank.fitness != run.fitness)
    return known[0] if known else None


def verdict_of(run: Run, others: Sequence[Run] = ()) -> Verdict | None:
    """Returns the verdict of a run; None without a found architecture, or without a ranking of the space.

    Args:
        run: The run.
        others: Runs whose rankings state the benchmark accuracies and the costs too, if their space is the same.
    """
    rank = ranking_of(run)
    same_space = [other for other in others if other.section("space") == run.section("space")]
    known = [ranking for other in same_space if (ranking := ranking_of(other)) is not None]
    is_own = rank is not None
    rank = rank or next(iter(known), None)
    if rank is None or not run.best:
        return None
    found = run.benchmark_accuracy(run.best[0].architecture)
    columns = _admitted(rank.columns, run.section("search").get("limits"))
    accuracies = columns["true"]
    if found is None or not len(accuracies):
        return None

    evaluations = _evaluations(run)
    if rank.cells < rank.space and len(accuracies) <= evaluations:  # random search would find the best of the sample
        return None
    is_exact = run.missed is not None
    same = is_own and rank.fitness == run.fitness and not is_exact
    parameters = columns.get("num_parameters", np.array([]))
    largest = accuracies[parameters == parameters.max()].mean() if len(parameters) else math.nan
    return Verdict(
        found=found,
        evaluations=evaluations,
        admitted=len(accuracies),
        is_limited=len(accuracies) < int(np.isfinite(rank.columns["true"]).sum()),
        is_sample=rank.cells < rank.space,
        parameters=float(largest),
        same_fitness=choice_of_random_search(columns["fitness"], accuracies, evaluations) if same else None,
        by_benchmark=choice_of_random_search(accuracies, accuracies, evaluations),
        one_random=choice_of_random_search(accuracies, accuracies, 1),
        best=float(accuracies.max()),
    )


def _evaluations(run: Run) -> int:
    if run.result is not None:
        return run.result.evaluations
    return 0 if run.history is None else len(run.history.columns["fitness"])


def _admitted(columns: Mapping[str, np.ndarray], limits: object) -> dict[str, np.ndarray]:
    """Returns the rows of known benchmark accuracy that satisfy the limits of the search."""
    admitted = np.isfinite(columns["true"])
    stated = limits if isinstance(limits, Mapping) else {}
    for key, bound in stated.items():
        side, _, cost = str(key).partition("_")
        values = columns.get(COSTS_OF_LIMITS.get(cost, ""))
        if values is None or isinstance(bound, bool) or not isinstance(bound, int | float):
            continue
        admitted &= values <= bound if side == "max" else values >= bound
    return {name: values[admitted] for name, values in columns.items()}


def against_random_search(verdict: Verdict) -> str:
    """Returns how the found architecture compares with random search by the same fitness; empty if unknown."""
    if verdict.same_fitness is None:
        return ""
    interval = verdict.same_fitness.interval
    share = 100 * verdict.same_fitness.at_least(verdict.found)
    written = f"{interval.mean:.2f} percent [{interval.low:.2f}, {interval.high:.2f}]"
    return (
        f"Random search by the same fitness with {verdict.evaluations:,} evaluations finds {written}: "
        f"{_placed(verdict.found, interval)}. Random search does as well or better in {share:.0f} percent of all cases."
    )


def _placed(found: float, interval: Interval) -> str:
    if found > interval.high:
        return "the search found a better architecture"
    if found < interval.low:
        return "the search found a worse architecture"
    return "the search cannot be distinguished from it"


def against_parameters(verdict: Verdict) -> str:
    """Returns how the found architecture compares with the one of the most parameters; empty if unknown."""
    if not math.isfinite(verdict.parameters):
        return ""
    difference = verdict.found - verdict.parameters
    if abs(difference) < 0.005:
        return f"The architecture with the most parameters has the same accuracy, {verdict.parameters:.2f} percent."
    better = "less" if difference > 0 else "more"
    return (
        f"The architecture with the most parameters has {verdict.parameters:.2f} percent, "
        f"{abs(difference):.2f} points {better}."
    )
