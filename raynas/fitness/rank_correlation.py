r"""Rank correlation of a fitness with the benchmark accuracy.

C is the number of pairs of architectures that fitness and benchmark accuracy order alike, and D the number of pairs
that they order in opposite ways. P_f and P_t are the numbers of pairs without a tie in fitness and in accuracy:

    tau-b = (C - D) / sqrt(P_f P_t),    rho = Pearson's correlation of the ranks, ties sharing their mean rank

(Kendall 1945; Spearman 1904). Large architectures tend to be accurate, and many fitnesses measure little more than the
size. The information beyond the size is tau-b with C, D, P_f and P_t counted over pairs of equal size only.

A ranking should identify the better of two architectures. The fraction of pairs in the order of the accuracy is

    agreement = (C + T / 2) / P_t = (1 + (C - D) / P_t) / 2

with T the number of pairs that only the fitness ties. Each of these counts one half, so a random or a constant fitness
has 50 percent. The code of RLNAS breaks ties instead: architectures of equal value are ranked in their own order, and
tau is that of two rankings without ties. Where a fitness has many ties this is another number, beside which published
ones stand: 0.558 for the number of parameters in NAS-Bench-201 on CIFAR-10, whose tau-b is 0.578.

A pair with equal accuracy has no order and is left out. SETN (Dong and Yang 2019, section
5.3) counts over 1,000 randomly sampled pairs and does not define the count of ties; raynas counts all pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raynas.errors import InputError

TOP = (1, 10, 100)
"""Numbers of best architectures whose accuracy is reported."""

MOST_SIZES = 50
"""Largest number of distinct sizes with one stratum each; more sizes are grouped into `SIZE_BINS` quantiles."""

SIZE_BINS = 20


@dataclass(frozen=True)
class RankStatistics:
    """Statistics of the ranking by a fitness; its `dataclasses.asdict` is JSON without NaN.

    Attributes:
        tau: Kendall's tau-b; None if it is undefined because fitness or accuracy is constant.
        tau_interval: Its confidence interval; None if it is undefined or without resamples.
        rho: Spearman's rho; None if it is undefined.
        rho_interval: Its confidence interval; None if it is undefined or without resamples.
        top: Mean and best benchmark accuracy of the ``"1"``, ``"10"`` and ``"100"`` architectures of largest fitness,
            for the numbers that the architectures suffice for.
        tau_within: Tau-b over the pairs within a stratum of equal size; None if no such pair differs in both.
        strata: The number of strata; 0 without sizes.
        agreement: Percentage of pairs that the fitness orders as the benchmark accuracy does; None if the accuracy is
            constant.
        tau_in_order: Tau with ties broken by the order of the architectures, as in the code of RLNAS; None where tau-b
            is undefined.
    """

    tau: float | None
    tau_interval: tuple[float, float] | None
    rho: float | None
    rho_interval: tuple[float, float] | None
    top: dict[str, dict[str, float]]
    tau_within: float | None
    strata: int
    agreement: float | None
    tau_in_order: float | None


def rank_statistics(
    fitness: np.ndarray,
    accuracies: np.ndarray,
    *,
    sizes: np.ndarray | None = None,
    bootstrap: int = 200,
    seed: int = 0,
    confidence: float = 0.95,
) -> RankStatistics:
    """Returns how well `fitness` ranks architectures by their benchmark accuracy.

    The intervals are percentiles over resamples of the architectures. They show the effect of another sample of
    architectures, but not of another supernet. An architecture that is sampled twice makes a pair with a tie in both
    rankings. Tau-b omits such a pair from numerator and denominator, so the copies add no bias. Resamples with an
    undefined correlation are left out. The same seed samples the same architectures for every fitness.

    Args:
        fitness: Fitness of the architectures, ``(n,)``, larger is better. Among equals the first architecture counts as
            the best. In lexicographic order this is the smallest one, as in searchers.
        accuracies: Their benchmark accuracy in percent, ``(n,)``.
        sizes: Their numbers of parameters, ``(n,)``. Equal sizes are a stratum. More than `MOST_SIZES` sizes are split
            at their quantiles into at most `SIZE_BINS` strata, and equal sizes share a stratum.
        bootstrap: Number of resamples; 0 for no intervals.
        seed: Seed of the resamples.
        confidence: Confidence of the intervals, such as 0.95.

    Raises:
        InputError: If fitness and benchmark accuracy differ in length or are not finite.
    """
    fitness, accuracies = _finite("fitness", fitness), _finite("accuracies", accuracies)
    for name, values in (("accuracies", accuracies), ("sizes", sizes)):
        if values is not None and np.shape(values) != fitness.shape:
            raise InputError(f"{name}: expected one for each fitness, shape {fitness.shape}, got {np.shape(values)}")
    tau, rho = _tau_and_rho(fitness, accuracies)
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(bootstrap):
        sampled = rng.integers(len(fitness), size=len(fitness))
        resampled.append(_tau_and_rho(fitness[sampled], accuracies[sampled]))
    tau_interval = _interval([tau for tau, _ in resampled], confidence)
    rho_interval = _interval([rho for _, rho in resampled], confidence)
    best_first = np.argsort(-fitness, kind="stable")
    tops = {str(k): accuracies[best_first[:k]] for k in TOP if k <= len(accuracies)}
    strata = None if sizes is None else _strata(np.asarray(sizes))
    return RankStatistics(
        tau=_defined(tau),
        tau_interval=tau_interval,
        rho=_defined(rho),
        rho_interval=rho_interval,
        top={k: {"mean": float(accuracies.mean()), "best": float(accuracies.max())} for k, accuracies in tops.items()},
        tau_within=None if strata is None else _defined(_tau_within(fitness, accuracies, strata)),
        strata=0 if strata is None else len(np.unique(strata)),
        agreement=_agreement(fitness, accuracies),
        tau_in_order=None if math.isnan(tau) else _tau(_places(fitness), _places(accuracies)),
    )


def tau_within(fitness: np.ndarray, accuracies: np.ndarray, sizes: np.ndarray) -> float | None:
    """Returns tau-b over the pairs within a stratum of equal size; None if no such pair differs in both.

    Args:
        fitness: Fitness of the architectures, ``(n,)``.
        accuracies: Their benchmark accuracy, ``(n,)``.
        sizes: What is held equal, ``(n,)``, with strata as in `rank_statistics`.
    """
    return _defined(_tau_within(_finite("fitness", fitness), _finite("accuracies", accuracies), _strata(sizes)))


def tau_of(fitness: np.ndarray, accuracies: np.ndarray) -> float | None:
    """Returns tau-b alone, of fitness and benchmark accuracy, both ``(n,)``; None if it is undefined."""
    fitness, accuracies = _finite("fitness", fitness), _finite("accuracies", accuracies)
    if not (_untied_pairs(fitness) and _untied_pairs(accuracies)):
        return None
    return _tau(fitness, accuracies)


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


def _tau_and_rho(fitness: np.ndarray, accuracy: np.ndarray) -> tuple[float, float]:
    """Returns tau-b and rho, both NaN if fitness or accuracy is constant."""
    if not (_untied_pairs(fitness) and _untied_pairs(accuracy)):
        return math.nan, math.nan
    from scipy.stats import rankdata  # here, since it takes a second and only rankings need it

    return _tau(fitness, accuracy), float(np.corrcoef(rankdata(fitness), rankdata(accuracy))[0, 1])


def _tau(fitness: np.ndarray, accuracy: np.ndarray) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(fitness, accuracy).statistic)


def _places(values: np.ndarray) -> np.ndarray:
    """Returns the place of each value in descending order, the largest first, ``(n,)``; equal ones in their order."""
    places = np.empty(len(values), dtype=np.int64)
    places[np.argsort(-values, kind="stable")] = np.arange(len(values))
    return places


def _agreement(fitness: np.ndarray, accuracy: np.ndarray) -> float | None:
    """Returns the percentage of pairs that fitness orders as accuracy does; None if the accuracy is constant."""
    ordered = _untied_pairs(accuracy)
    return 50 * (1 + _surplus(fitness, accuracy) / ordered) if ordered else None


def _surplus(fitness: np.ndarray, accuracy: np.ndarray) -> float:
    """Returns C - D: pairs in the same order minus pairs in the opposite order."""
    pairs = _untied_pairs(fitness), _untied_pairs(accuracy)
    return float(round(_tau(fitness, accuracy) * math.sqrt(math.prod(pairs)))) if all(pairs) else 0.0


def _interval(values: list[float], confidence: float) -> tuple[float, float] | None:
    """Returns the ends of the central interval of the values without NaN; None without values."""
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


def _tau_within(fitness: np.ndarray, accuracy: np.ndarray, strata: np.ndarray) -> float:
    """Returns tau-b over the pairs within a stratum; NaN if it is undefined."""
    surplus = fitness_pairs = accuracy_pairs = 0.0
    for stratum in np.unique(strata):
        stratum_fitness, stratum_accuracy = fitness[strata == stratum], accuracy[strata == stratum]
        surplus += _surplus(stratum_fitness, stratum_accuracy)
        fitness_pairs += _untied_pairs(stratum_fitness)
        accuracy_pairs += _untied_pairs(stratum_accuracy)
    return surplus / math.sqrt(fitness_pairs * accuracy_pairs) if fitness_pairs and accuracy_pairs else math.nan


def _untied_pairs(values: np.ndarray) -> int:
    """Returns the number of pairs with different values."""
    _, counts = np.unique(values, return_counts=True)
    return (len(values) ** 2 - int((counts**2).sum())) // 2
