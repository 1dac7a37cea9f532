"""How much of the variance of a sweep's metric each varied key explains."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raynas.report.sweep_files import Axis, Row, Sweep


@dataclass(frozen=True)
class Importance:
    """Shares of the variance of the settings' means.

    Attributes:
        shares: Share of each key, or of each pair of keys, from 0 to 1, the largest first.
        by_seeds: Share that the choice of seeds alone would cause; NaN if settings have one seed.
        is_decomposition: Whether the shares are a functional analysis of variance of a full grid, so that with those of
            higher order they sum to 1; otherwise each is what one key explains alone.
    """

    shares: Mapping[str, float]
    by_seeds: float
    is_decomposition: bool


def importance_of(sweep: Sweep) -> Importance | None:
    """Returns the importance of the varied keys; None with fewer than two keys, or without a variance to explain."""
    axes, rows = sweep.varied, sweep.known(sweep.rows)
    means = np.array([row.numbers[sweep.metric].mean for row in rows])
    if len(axes) < 2 or len(means) < 3 or not means.var() > 0:
        return None
    grid = _as_grid(axes, rows, means)
    shares = _alone(axes, rows, means) if grid is None else _decomposed([axis.name for axis in axes], grid)
    ordered = dict(sorted(shares.items(), key=lambda pair: -pair[1]))
    return Importance(ordered, _share_of_seeds(sweep, rows, means), grid is not None)


def _place(axis: Axis, row: Row) -> int:
    return [json.dumps(value) for value in axis.values].index(json.dumps(row.point[axis.name]))


def _as_grid(axes: Sequence[Axis], rows: Sequence[Row], means: np.ndarray) -> np.ndarray | None:
    """Returns the means as an array with a dimension for each key; None if the settings are no full grid."""
    shape = tuple(len(axis.values) for axis in axes)
    if math.prod(shape) != len(rows):
        return None
    grid = np.full(shape, math.nan)
    for row, mean in zip(rows, means.tolist(), strict=True):
        grid[tuple(_place(axis, row) for axis in axes)] = mean
    return grid if np.isfinite(grid).all() else None


def _decomposed(names: Sequence[str], grid: np.ndarray) -> dict[str, float]:
    """Returns the shares of the main effects and of the interactions of pairs: variances of the marginal means."""
    total, every = float(grid.var()), range(grid.ndim)
    shares = {}
    mains = {}
    for axis in every:
        others = tuple(other for other in every if other != axis)
        mains[axis] = float(grid.mean(axis=others).var())
        shares[names[axis]] = mains[axis] / total
    for one, other in itertools.combinations(every, 2):
        rest = tuple(axis for axis in every if axis not in (one, other))
        joint = float(grid.mean(axis=rest).var()) if rest else total
        shares[f"{names[one]} × {names[other]}"] = max(0.0, joint - mains[one] - mains[other]) / total
    return shares


def _alone(axes: Sequence[Axis], rows: Sequence[Row], means: np.ndarray) -> dict[str, float]:
    """Returns what each key explains alone: by its groups if it has few values, else by a parabola."""
    shares = {}
    for axis in axes:
        values = [row.point[axis.name] for row in rows]
        if axis.is_numeric and len(axis.values) > 5:
            x = np.array(values, float)
            shares[axis.name] = _by_parabola(np.log10(x) if axis.is_logarithmic and x.min() > 0 else x, means)
        else:
            shares[axis.name] = _by_groups([_place(axis, row) for row in rows], means)
    return shares


def _by_groups(groups: Sequence[int], means: np.ndarray) -> float:
    """Returns the adjusted share of the variance between groups (epsilon squared)."""
    labels = np.array(groups)
    fitted = np.zeros_like(means)
    for group in set(groups):
        fitted[labels == group] = means[labels == group].mean()
    return _adjusted(means, fitted, len(set(groups)))


def _by_parabola(x: np.ndarray, means: np.ndarray) -> float:
    """Returns the adjusted share that a parabola explains."""
    x = (x - x.mean()) / x.std()
    return _adjusted(means, np.polyval(np.polyfit(x, means, 2), x), 3)


def _adjusted(means: np.ndarray, fitted: np.ndarray, parameters: int) -> float:
    freedom = len(means) - parameters
    if freedom < 1:
        return math.nan
    left = float(((means - fitted) ** 2).sum()) / freedom
    return max(0.0, 1 - left / float(means.var(ddof=1)))


def _share_of_seeds(sweep: Sweep, rows: Sequence[Row], means: np.ndarray) -> float:
    """Returns the mean squared standard error of the means, over their variance."""
    errors = []
    for row in rows:
        number = row.numbers[sweep.metric]
        if number.deviation is not None and len(number.values) > 1:
            errors.append(number.deviation**2 / len(number.values))
    return min(1.0, float(np.mean(errors)) / float(means.var(ddof=1))) if errors else math.nan


def about_importance(importance: Importance) -> str:
    """Returns the method in words, and how much of the variance seeds alone would cause."""
    if importance.is_decomposition:
        text = (
            "Share of the variance of the settings' means: a functional analysis of variance of the full grid, in "
            "closed form. × is the interaction of two keys."
        )
    else:
        text = (
            "Share of the variance of the settings' means that each key explains alone: between its values, or by a "
            "parabola where it has more than five; adjusted for the number of parameters. Shares need not sum to 100."
        )
    if math.isfinite(importance.by_seeds):
        text += f" The spread over seeds alone would cause {100 * importance.by_seeds:.0f} percent of it."
    return text
