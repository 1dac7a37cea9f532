r"""How well a fitness ranks architectures, against their true accuracy.

With C and D the pairs of architectures that fitness and truth order alike and contrarily, and P_f and P_t the pairs
that fitness and that truth do not tie,

    tau-b = (C - D) / sqrt(P_f P_t),    rho = Pearson's correlation of the ranks, ties sharing their mean rank

(Kendall 1945; Spearman 1904). Architectures of many parameters tend to be accurate, and many a fitness counts little
else. What it knows beyond that is tau-b with C, D, P_f and P_t counted over pairs of equally large architectures only.

What a ranking is for is to tell the better one of two. The share of pairs that the fitness orders as the truth does is

    agreement = (C + T / 2) / P_t = (1 + (C - D) / P_t) / 2

with T the pairs that the fitness alone ties: a coin would order half of them well, so that a fitness that knows nothing
has 50 percent, one that ties all no less. A pair that the truth ties has no order and is left out. SETN (Dong and Yang
2019, section 5.3) counts over 1,000 pairs drawn at random and does not say what ties count; here are all pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau, rankdata

from raynas.errors import InputError

TOP = (1, 10, 100)
"""The numbers of best architectures whose accuracy is told."""

MOST_SIZES = 50
"""Distinct sizes that are a stratum each; of more, quantiles make `SIZE_BINS` strata."""

SIZE_BINS = 20


@dataclass(frozen=True)
class RankStatistics:
    """How well a fitness ranks architectures; `dataclasses.asdict` of it is JSON without NaN.

    Attributes:
        tau: Kendall's tau-b; None where it is undefined, as fitness or truth is the same everywhere.
        tau_interval: Its confidence interval; None where it is undefined or no resamples are drawn.
        rho: Spearman's rho, and so on.
        rho_interval: Its confidence interval.
        top: Mean and best true accuracy of the ``"1"``, ``"10"`` and ``"100"`` architectures of largest fitness, as
            far as there are so many.
        tau_within: Tau-b over the pairs within a stratum of equal size; None where no such pair differs in both.
        strata: The number of strata; 0 without sizes.
        agreement: The share of pairs that fitness orders as truth does, percent; None where truth is the same
            everywhere.
    """

    tau: float | None
    tau_interval: tuple[float, float] | None
    rho: float | None
    rho_interval: tuple[float, float] | None
    top: dict[str, dict[str, float]]
    tau_within: float | None
    strata: int
    agreement: float | None


def rank_statistics(
    fitness: np.ndarray,
    truth: np.ndarray,
    *,
    sizes: np.ndarray | None = None,
    bootstrap: int = 200,
    seed: int = 0,
    confidence: float = 0.95,
) -> RankStatistics:
    """Returns how well `fitness` ranks architectures of accuracy `truth`.

    The intervals are percentiles over resamples of the architectures. They tell what another draw of architectures
    would change, not what another supernet would. An architecture drawn twice makes a pair that is tied in both
    rankings, which tau-b leaves out above and below the line, so that no resample is biased by its copies. Resamples
    that make a correlation undefined are left out. The same seed draws the same architectures for every fitness.

    Args:
        fitness: Larger is better, ``(n,)``. Among equals the architecture that stands first is the better, here the
            lexicographically smallest if the architectures are given in that order, as searchers have it.
        truth: Their accuracy in percent, ``(n,)``.
        sizes: Their numbers of parameters, ``(n,)``. Equal sizes are a stratum; more than `MOST_SIZES` sizes are
            parted at their quantiles into at most `SIZE_BINS` strata, never between equals.
        bootstrap: How many resamples; 0 for no intervals.
        seed: Seed of the resamples.
        confidence: Of the intervals, such as 0.95.

    Raises:
        InputError: If fitness and truth differ in length or are not finite.
    """
    fitness, truth = _finite("fitness", fitness), _finite("truth", truth)
    for name, values in (("truth", truth), ("sizes", sizes)):
        if values is not None and np.shape(values) != fitness.shape:
            raise InputError(f"{name}: expected one for each fitness, shape {fitness.shape}, got {np.shape(values)}")
    tau, rho = _tau_and_rho(fitness, truth)
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(bootstrap):
        drawn = rng.integers(len(fitness), size=len(fitness))
        resampled.append(_tau_and_rho(fitness[drawn], truth[drawn]))
    tau_interval = _interval([tau for tau, _ in resampled], confidence)
    rho_interval = _interval([rho for _, rho in resampled], confidence)
    best_first = np.argsort(-fitness, kind="stable")
    tops = {str(k): truth[best_first[:k]] for k in TOP if k <= len(truth)}
    strata = None if sizes is None else _strata(np.asarray(sizes))
    return RankStatistics(
        tau=_defined(tau),
        tau_interval=tau_interval,
        rho=_defined(rho),
        rho_interval=rho_interval,
        top={k: {"mean": float(accuracies.mean()), "best": float(accuracies.max())} for k, accuracies in tops.items()},
        tau_within=None if strata is None else _defined(_tau_within(fitness, truth, strata)),
        strata=0 if strata is None else len(np.unique(strata)),
        agreement=_agreement(fitness, truth),
    )


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError(
            f"{name}: expected one finite number an architecture, got shape {values.shape} with "
            f"{np.count_nonzero(~np.isfinite(values))} that are not finite; rank what was measured"
        )
    return values


def _defined(correlation: float) -> float | None:
    return None if math.isnan(correlation) else correlation


def _tau_and_rho(fitness: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Returns tau-b and rho, both NaN where fitness or truth is the same everywhere."""
    if not (_untied_pairs(fitness) and _untied_pairs(truth)):
        return math.nan, math.nan
    return _tau(fitness, truth), float(np.corrcoef(rankdata(fitness), rankdata(truth))[0, 1])


def _tau(fitness: np.ndarray, truth: np.ndarray) -> float:
    return float(kendalltau(fitness, truth).statistic)


def _agreement(fitness: np.ndarray, truth: np.ndarray) -> float | None:
    """Returns the share of pairs that fitness orders as truth does, percent; None where truth orders none."""
    ordered = _untied_pairs(truth)
    return 50 * (1 + _surplus(fitness, truth) / ordered) if ordered else None


def _surplus(fitness: np.ndarray, truth: np.ndarray) -> float:
    """Returns C - D, by how many more pairs are ordered alike than contrarily."""
    pairs = _untied_pairs(fitness), _untied_pairs(truth)
    return float(round(_tau(fitness, truth) * math.sqrt(math.prod(pairs)))) if all(pairs) else 0.0


def _interval(values: list[float], confidence: float) -> tuple[float, float] | None:
    """Returns the ends between which the middle part of the values lies, NaN left out; None of none."""
    defined = [value for value in values if not math.isnan(value)]
    if not defined:
        return None
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return low, high


def _strata(sizes: np.ndarray) -> np.ndarray:
    """Returns the number of each architecture's stratum, ``(n,)``."""
    distinct, numbers = np.unique(sizes, return_inverse=True)
    if len(distinct) <= MOST_SIZES:
        return numbers
    inner_edges = np.quantile(sizes, np.linspace(0, 1, SIZE_BINS + 1)[1:-1])
    return np.searchsorted(inner_edges, sizes, side="right")


def _tau_within(fitness: np.ndarray, truth: np.ndarray, strata: np.ndarray) -> float:
    """Returns tau-b over the pairs within a stratum; NaN where it is undefined."""
    surplus = fitness_pairs = truth_pairs = 0.0
    for stratum in np.unique(strata):
        one, other = fitness[strata == stratum], truth[strata == stratum]
        surplus += _surplus(one, other)
        fitness_pairs += _untied_pairs(one)
        truth_pairs += _untied_pairs(other)
    return surplus / math.sqrt(fitness_pairs * truth_pairs) if fitness_pairs and truth_pairs else math.nan


def _untied_pairs(values: np.ndarray) -> int:
    """Returns how many pairs of the values differ."""
    _, counts = np.unique(values, return_counts=True)
    return (len(values) ** 2 - int((counts**2).sum())) // 2
