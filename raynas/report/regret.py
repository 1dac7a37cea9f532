"""How far the chosen architecture is below the best one, after every evaluation and every second of a search.

The regret is the largest benchmark accuracy of the space minus that of the fittest architecture so far, in points of
percent. A search does not see it: it follows its own fitness, so its regret may also grow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raynas.report.random_search import RandomSearch
from raynas.report.rank_values import Rank
from raynas.report.run_values import History, Run
from raynas.report.verdict import ranking_of
from raynas.search_space import Architecture


@dataclass(frozen=True, eq=False)
class Regret:
    """The regret of one search.

    Attributes:
        values: Regret in points after each evaluation, from the first with a known benchmark accuracy on.
        evaluations: Number of evaluations at each value.
        seconds: Seconds at each value, the training of the supernets included; None if a time is unknown.
    """

    values: np.ndarray
    evaluations: np.ndarray
    seconds: np.ndarray | None


@dataclass(frozen=True, eq=False)
class RegretCurve:
    """The mean regret of a group of searches, from the least to the largest.

    Attributes:
        name: The name of the group.
        x: Evaluations or seconds.
        mean: Mean regret.
        low: Least regret.
        high: Largest regret.
    """

    name: str
    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def known_accuracies(runs: Sequence[Run]) -> dict[tuple[str, str | None], Rank]:
    """Returns the largest ranking with benchmark accuracies of each space and column."""
    known: dict[tuple[str, str | None], Rank] = {}
    for run in runs:
        rank = ranking_of(run)
        if rank is None:
            continue
        key = (str(run.section("space").get("name")), rank.column)
        if key not in known or known[key].cells < rank.cells:
            known[key] = rank
    return known


def regret_of(run: Run, rank: Rank) -> Regret | None:
    """Returns the regret of a run by the accuracies of a ranking; None if it evaluated nothing that is ranked."""
    if run.history is None or not run.history.architectures:
        return None
    true = rank.columns["true"]
    accuracies: Mapping[Architecture, float] = dict(zip(rank.architectures, true.tolist(), strict=True))
    chosen = _accuracies_of_best(run.history, accuracies)
    known = np.flatnonzero(np.isfinite(chosen))
    if not len(known):
        return None
    first = int(known[0])
    values = float(np.nanmax(true)) - chosen[first:]
    seconds = _seconds(run)
    counts = np.arange(first + 1, len(chosen) + 1)
    return Regret(values, counts, None if seconds is None else seconds[first:])


def _accuracies_of_best(history: History, accuracies: Mapping[Architecture, float]) -> np.ndarray:
    """Returns the benchmark accuracy of the fittest architecture up to each one, of equals that of the first."""
    chosen, best, accuracy = [], -np.inf, np.nan
    for architecture, fitness in zip(history.architectures, history.columns["fitness"].tolist(), strict=True):
        if fitness > best:
            best, accuracy = fitness, accuracies.get(architecture, np.nan)
        chosen.append(accuracy)
    return np.array(chosen)


def _seconds(run: Run) -> np.ndarray | None:
    """Returns the time of each evaluation since the run began; a search that was continued goes on where it was."""
    assert run.history is not None
    stated = run.history.columns.get("seconds")
    if stated is None or not np.isfinite(stated).all():
        return None
    steps = np.diff(stated, prepend=0.0)
    steps = np.where(steps < 0, stated, steps)
    seconds: np.ndarray = np.cumsum(steps) + run.seconds.get("training", 0.0)
    return seconds


POINTS = 60
"""Number of points of a mean curve."""


def mean_curve(name: str, several: Sequence[Regret], over: str) -> RegretCurve | None:
    """Returns the mean of several searches over the range that all of them cover; None without one.

    Over seconds the range ends with the last search: what the others found by then stays.

    Args:
        name: Its name.
        several: Regrets of the searches.
        over: ``evaluations`` or ``seconds``.
    """
    places = [getattr(regret, over) for regret in several]
    if any(place is None for place in places):
        return None
    first, ends = max(float(place[0]) for place in places), [float(place[-1]) for place in places]
    last = min(ends) if over == "evaluations" else max(ends)  # what a search found stays found as time goes on
    if last < first or first <= 0:
        return None
    x = np.unique(np.geomspace(first, last, POINTS))
    if over == "evaluations":
        x = np.unique(x.round())
    rows = []
    for regret, place in zip(several, places, strict=True):
        rows.append(regret.values[np.searchsorted(place, x + 1e-9, side="right") - 1])
    values = np.array(rows)
    return RegretCurve(name, x, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def random_search(rank: Rank, evaluations: int, *, by_benchmark: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns the expected regret of random search by the ranked fitness, or by the benchmark accuracy itself.

    Returns:
        Numbers of evaluations, and the regret at each.
    """
    true = rank.columns["true"]
    known = np.isfinite(true)
    fitness = true[known] if by_benchmark else rank.columns["fitness"][known]
    counts = np.unique(np.geomspace(1, max(1, evaluations), 20).round().astype(int))
    search = RandomSearch(fitness, true[known])
    expected = [search.choice(count).interval.mean for count in counts.tolist()]
    return counts, float(true[known].max()) - np.array(expected)
