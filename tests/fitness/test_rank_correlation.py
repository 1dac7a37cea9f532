"""Statistics of a ranking against counts over all pairs, closed forms and published figures."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import math
import os
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from raynas.fitness.baselines import LiveMultiplyAdds
from raynas.fitness.rank_correlation import rank_statistics
from raynas.search_space import as_array
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.costs import cost_table

MEASURING_DATA = Path(os.environ.get("RAYNAS_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def sign(number):
    return int(number > 0) - int(number < 0)


def tau_over_pairs(fitness, truth, same=lambda i, j: True):
    """Returns tau-b over the pairs (i, j) that are `same`, each looked at."""
    pairs = [(i, j) for i, j in itertools.combinations(range(len(fitness)), 2) if same(i, j)]
    one = [sign(fitness[i] - fitness[j]) for i, j in pairs]
    other = [sign(truth[i] - truth[j]) for i, j in pairs]
    untied = sum(map(abs, one)) * sum(map(abs, other))
    return sum(a * b for a, b in zip(one, other, strict=True)) / math.sqrt(untied) if untied else None


def rho_over_ranks(fitness, truth):
    """Returns Spearman's rho: every rank counted, then Pearson's formula."""
    ranks = [
        [sum(w < v for w in values) + sum(w == v for w in values) / 2 for v in values] for values in (fitness, truth)
    ]
    deviations = [[rank - len(fitness) / 2 for rank in each] for each in ranks]
    product, *squares = (
        math.fsum(a * b for a, b in zip(*pair, strict=True))
        for pair in (deviations, [deviations[0]] * 2, [deviations[1]] * 2)
    )
    return product / math.sqrt(math.prod(squares))


def tied_scores(n, seed, values):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, values, n).astype(float)
    return np.round(truth / 2 + rng.normal(0, values / 4, n)), truth, rng.integers(0, 5, n) * 1000


@pytest.mark.parametrize("n", [2, 3, 5, 17, 60])
@pytest.mark.parametrize("values", [4, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_tau_and_rho_are_those_counted_over_all_pairs(n, values, seed):
    fitness, truth, _ = tied_scores(n, seed, values)
    statistics = rank_statistics(fitness, truth, bootstrap=0)
    expected = tau_over_pairs(fitness, truth)
    if expected is None:
        assert statistics.tau is None and statistics.rho is None
    else:
        assert statistics.tau == pytest.approx(expected, abs=1e-12)
        assert statistics.rho == pytest.approx(rho_over_ranks(fitness, truth), abs=1e-12)


def tau_as_the_code_of_rlnas_counts_it(fitness, truth):
    """Returns tau of two rankings: each sorted in descending order, equal ones as they came, and ranked from 1."""
    places = []
    for values in (fitness, truth):
        ordered = sorted(enumerate(values.tolist()), key=lambda item: item[1], reverse=True)
        places.append({number: rank for rank, (number, _) in enumerate(ordered, start=1)})
    rows = range(len(fitness))
    return tau_over_pairs([places[0][n] for n in rows], [places[1][n] for n in rows])


@pytest.mark.parametrize("n", [5, 17, 60, 150])
@pytest.mark.parametrize("values", [3, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_ties_are_broken_by_the_order_of_the_architectures_as_in_the_code_of_rlnas(n, values, seed):
    fitness, truth, _ = tied_scores(n, seed, values)
    statistics = rank_statistics(fitness, truth, bootstrap=0)
    expected = None if statistics.tau is None else tau_as_the_code_of_rlnas_counts_it(fitness, truth)
    assert statistics.tau_in_order == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_without_ties_both_correlations_are_one():
    statistics = rank_statistics(*normal_scores(200, 0.6, 0), bootstrap=0)
    assert statistics.tau_in_order == pytest.approx(statistics.tau, abs=1e-12)


@pytest.mark.parametrize("n", [5, 17, 60, 150])
@pytest.mark.parametrize("values", [3, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_tau_within_is_counted_over_the_pairs_of_equal_size(n, values, seed):
    fitness, truth, sizes = tied_scores(n, seed, values)
    statistics = rank_statistics(fitness, truth, sizes=sizes, bootstrap=0)
    expected = tau_over_pairs(fitness, truth, lambda i, j: sizes[i] == sizes[j])
    assert statistics.tau_within == (None if expected is None else pytest.approx(expected, abs=1e-12))
    assert statistics.strata == len(set(sizes.tolist()))


def test_strata_where_only_one_of_both_differs_count_below_the_line():
    fitness = [1, 2, 3, 4, 4, 4, 7, 9, 8]
    truth = [5, 5, 5, 1, 2, 3, 4, 5, 6]
    sizes = [1, 1, 1, 2, 2, 2, 3, 3, 3]
    statistics = rank_statistics(np.array(fitness), np.array(truth), sizes=np.array(sizes), bootstrap=0)
    assert statistics.tau_within == pytest.approx((2 - 1) / math.sqrt((3 + 3) * (3 + 3)))


def test_the_order_of_architectures_matters_to_no_correlation():
    fitness, truth, sizes = tied_scores(80, 0, 10)
    order = np.random.default_rng(1).permutation(80)
    one = rank_statistics(fitness, truth, sizes=sizes, bootstrap=0)
    other = rank_statistics(fitness[order], truth[order], sizes=sizes[order], bootstrap=0)
    for name in ("tau", "rho", "tau_within"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-12)


def test_fifty_sizes_are_a_stratum_each():
    rng = np.random.default_rng(0)
    fitness, truth = rng.normal(size=(2, 150))
    sizes = np.tile(np.arange(50), 3)
    statistics = rank_statistics(fitness, truth, sizes=sizes, bootstrap=0)
    expected = tau_over_pairs(fitness, truth, lambda i, j: sizes[i] == sizes[j])
    assert statistics.strata == 50 and statistics.tau_within == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [60, 200])
def test_more_sizes_are_twenty_strata_of_equally_many_architectures(n):
    rng = np.random.default_rng(0)
    sizes = rng.permutation(n) * 7 + 100_000
    fitness, truth = sizes + rng.normal(0, 3 * n, (2, n))
    order = np.argsort(sizes)
    stratum = {int(architecture): position * 20 // n for position, architecture in enumerate(order)}
    statistics = rank_statistics(fitness, truth, sizes=sizes, bootstrap=0)
    expected = tau_over_pairs(fitness, truth, lambda i, j: stratum[i] == stratum[j])
    assert statistics.strata == 20 and statistics.tau_within == pytest.approx(expected, abs=1e-12)


def test_quantiles_never_part_architectures_of_equal_size():
    sizes = np.array([5] * 100 + list(range(100, 160)))
    rng = np.random.default_rng(0)
    fitness, truth = rng.normal(size=(2, 160))
    last = [
        max(np.flatnonzero(sizes == size)) for size in sizes
    ]  # sizes are sorted: places of equals count as the last
    stratum = [sum(159 * k / 20 <= place for k in range(1, 20)) for place in last]
    statistics = rank_statistics(fitness, truth, sizes=sizes, bootstrap=0)
    expected = tau_over_pairs(fitness, truth, lambda i, j: stratum[i] == stratum[j])
    assert statistics.strata == 8 and statistics.tau_within == pytest.approx(expected, abs=1e-12)


def test_size_knows_nothing_within_strata_of_equal_size():
    _, truth, sizes = tied_scores(60, 0, 1000)
    statistics = rank_statistics(sizes, truth, sizes=sizes, bootstrap=0)
    assert statistics.tau is not None and statistics.tau_within is None


# Pairs


def pairs_alike(fitness, truth):
    """Returns the percentage of pairs that the truth orders and the fitness orders alike, half of those it ties."""
    good = [
        0.5 * (1 + sign(fitness[i] - fitness[j]) * sign(truth[i] - truth[j]))
        for i, j in itertools.combinations(range(len(truth)), 2)
        if truth[i] != truth[j]
    ]
    return 100 * sum(good) / len(good) if good else None


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 17, 60, 150])
@pytest.mark.parametrize("values", [2, 4, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_the_agreement_is_counted_over_all_pairs_that_the_truth_orders(n, values, seed):
    fitness, truth, _ = tied_scores(n, seed, values)
    expected = pairs_alike(fitness, truth)
    agreement = rank_statistics(fitness, truth, bootstrap=0).agreement
    assert agreement == (None if expected is None else pytest.approx(expected, abs=1e-10))


@pytest.mark.parametrize(
    ("fitness", "truth", "agreement"),
    [
        ([1, 2, 3], [10, 20, 30], 100.0),
        ([3, 2, 1], [10, 20, 30], 0.0),
        ([1, 3, 2], [10, 20, 30], 200 / 3),
        ([1, 1, 2], [10, 20, 30], 250 / 3),
        ([1, 1, 1], [10, 20, 30], 50.0),
        ([1, 2, 3], [10, 10, 30], 100.0),
        ([1, 2, 3], [30, 10, 10], 0.0),
        ([1, 2, 3], [10, 10, 10], None),
    ],
)
def test_a_pair_that_the_fitness_ties_counts_half_and_one_that_the_truth_ties_not_at_all(fitness, truth, agreement):
    statistics = rank_statistics(np.array(fitness), np.array(truth), bootstrap=0)
    assert statistics.agreement == (None if agreement is None else pytest.approx(agreement))


def test_without_ties_the_agreement_is_the_share_of_good_pairs_of_setn():
    fitness, truth = np.random.default_rng(0).normal(size=(2, 300))
    pairs = list(itertools.combinations(range(300), 2))
    good = sum((fitness[i] > fitness[j]) == (truth[i] > truth[j]) for i, j in pairs)
    assert rank_statistics(fitness, truth, bootstrap=0).agreement == pytest.approx(100 * good / len(pairs), abs=1e-10)


# The best


def test_the_best_are_those_of_largest_fitness_and_told_by_their_true_accuracy():
    rng = np.random.default_rng(0)
    fitness, truth = rng.permutation(500), rng.uniform(0, 100, 500)
    top = rank_statistics(fitness, truth, bootstrap=0).top
    assert list(top) == ["1", "10", "100"]
    for k, told in top.items():
        chosen = [truth[fitness.tolist().index(499 - i)] for i in range(int(k))]
        assert told == {"mean": pytest.approx(sum(chosen) / len(chosen)), "best": max(chosen)}


def test_among_equals_those_that_stand_first_are_better():
    fitness = np.array([0.0] * 30 + [1.0] * 30)
    truth = np.arange(60.0)
    top = rank_statistics(fitness, truth, bootstrap=0).top
    assert top == {"1": {"mean": 30.0, "best": 30.0}, "10": {"mean": 34.5, "best": 39.0}}
    assert rank_statistics(np.zeros(60), truth, bootstrap=0).top["10"] == {"mean": 4.5, "best": 9.0}


@pytest.mark.parametrize(("n", "told"), [(0, []), (1, ["1"]), (9, ["1"]), (10, ["1", "10"]), (100, ["1", "10", "100"])])
def test_more_best_than_there_are_are_left_out(n, told):
    values = np.arange(float(n))
    assert list(rank_statistics(values, values, bootstrap=0).top) == told


# What is undefined


@pytest.mark.parametrize("which", ["fitness", "truth", "both", "one architecture", "none"])
def test_a_correlation_that_is_undefined_is_none_and_never_nan(which):
    n = {"one architecture": 1, "none": 0}.get(which, 40)
    fitness = np.full(n, 3.0) if which in ("fitness", "both") else np.arange(n)
    truth = np.full(n, 90.0) if which in ("truth", "both") else np.arange(n) / 2
    row = json.loads(json.dumps(asdict(rank_statistics(fitness, truth, sizes=np.arange(n) % 3)), allow_nan=False))
    names = ("tau", "tau_interval", "rho", "rho_interval", "tau_within")
    assert [row[name] for name in names] == [None] * 5
    assert row["strata"] == min(n, 3)


def test_without_sizes_there_is_no_stratum():
    statistics = rank_statistics(np.arange(9), np.arange(9), bootstrap=0)
    assert statistics.tau_within is None and statistics.strata == 0


def test_statistics_are_the_same_after_a_journey_through_json():
    row = asdict(rank_statistics(*tied_scores(120, 0, 50)[:2], sizes=np.arange(120) % 7))
    back = json.loads(json.dumps(row, allow_nan=False))
    assert back == {**row, "tau_interval": list(row["tau_interval"]), "rho_interval": list(row["rho_interval"])}


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["fitness", "accuracies"])
def test_what_is_not_finite_is_refused(name, value):
    scores = {"fitness": np.arange(5.0), "accuracies": np.arange(5.0)}
    scores[name][2] = value
    with pytest.raises(ValueError, match=rf"^{name}: expected one finite number an architecture.* with 1 that are not"):
        rank_statistics(**scores)


@pytest.mark.parametrize("name", ["accuracies", "sizes"])
def test_different_lengths_are_refused(name):
    arguments = {"fitness": np.arange(5), "accuracies": np.arange(5), "sizes": np.arange(5), name: np.arange(4)}
    with pytest.raises(ValueError, match=rf"^{name}: expected one for each fitness, shape \(5,\), got \(4,\)"):
        rank_statistics(**arguments)


# Intervals


def normal_scores(n, correlation, seed):
    rng = np.random.default_rng(seed)
    one, noise = rng.normal(size=(2, n))
    return one, correlation * one + math.sqrt(1 - correlation**2) * noise


def taus_of_normals(n, correlation):
    """Returns expectation and standard error of tau over n pairs of normals (Kendall and Gibbons 1990, 10.5)."""
    tau, third = (2 / math.pi * math.asin(c) for c in (correlation, correlation / 2))
    return tau, math.sqrt(2 / (n * (n - 1)) * (1 - tau**2 + 2 * (n - 2) * (1 / 9 - third**2)))


@pytest.mark.parametrize(("n", "correlation"), [(100, 0.0), (400, 0.6), (400, -0.9)])
def test_an_interval_is_as_wide_as_the_standard_error_of_tau_says(n, correlation):
    widths = []
    for seed in range(4):
        statistics = rank_statistics(*normal_scores(n, correlation, seed), bootstrap=200)
        low, high = statistics.tau_interval
        assert low < statistics.tau < high
        widths.append(high - low)
    assert np.mean(widths) == pytest.approx(2 * 1.96 * taus_of_normals(n, correlation)[1], rel=0.12)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_19_of_20_intervals_hold_the_true_tau_and_rho(correlation):
    tau, rho = taus_of_normals(2, correlation)[0], 6 / math.pi * math.asin(correlation / 2)
    held = np.zeros(2)
    for seed in range(60):
        statistics = rank_statistics(*normal_scores(50, correlation, seed), bootstrap=80, seed=seed)
        for which, (true, (low, high)) in enumerate(((tau, statistics.tau_interval), (rho, statistics.rho_interval))):
            held[which] += low <= true <= high
    assert (held >= 52).all()  # of 60: 57 expected, with a standard deviation of 1.7


def test_a_smaller_confidence_has_the_interval_that_closed_forms_say():
    fitness, truth = normal_scores(400, 0.6, 0)
    wide, narrow = (
        rank_statistics(fitness, truth, bootstrap=400, confidence=confidence).tau_interval for confidence in (0.95, 0.5)
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert narrow[1] - narrow[0] == pytest.approx(2 * 0.6745 * taus_of_normals(400, 0.6)[1], rel=0.2)


@pytest.mark.parametrize("n", [6, 30])
def test_copies_of_an_architecture_in_a_resample_bias_nothing(n):
    truth = np.random.default_rng(0).permutation(n).astype(float)
    same = rank_statistics(truth**3, truth)
    assert same.tau_interval == pytest.approx((1, 1), abs=1e-12) == same.rho_interval
    opposite = rank_statistics(-truth, truth)
    assert opposite.tau_interval == pytest.approx((-1, -1), abs=1e-12) == opposite.rho_interval


def test_resamples_that_are_tied_throughout_are_left_out():
    statistics = rank_statistics(np.array([0.0, 0.0, 1.0]), np.array([1.0, 2.0, 3.0]), bootstrap=300)
    low, high = statistics.tau_interval
    assert 0 < low <= high == pytest.approx(1)


def test_an_interval_is_a_function_of_its_seed():
    fitness, truth = normal_scores(100, 0.6, 0)
    first, again, other = (rank_statistics(fitness, truth, bootstrap=50, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first.tau_interval != other.tau_interval and first.tau == other.tau


def test_the_same_seed_draws_the_same_architectures_for_every_fitness():
    fitness, truth = normal_scores(100, 0.6, 0)
    one, negated = (rank_statistics(each, truth, bootstrap=101) for each in (fitness, -fitness))
    assert one.tau_interval == pytest.approx((-negated.tau_interval[1], -negated.tau_interval[0]), abs=1e-12)


def test_no_resamples_give_no_interval():
    statistics = rank_statistics(*normal_scores(100, 0.6, 0), bootstrap=0)
    assert statistics.tau is not None and statistics.tau_interval is None and statistics.rho_interval is None


# The whole of NAS-Bench-201


@pytest.fixture(scope="module")
def cells():
    table = MEASURING_DATA / "nasbench201_cifar10.csv.gz"
    if not table.is_file():
        pytest.skip(f"no NAS-Bench-201 table in {MEASURING_DATA}; set RAYNAS_DATA to where {table.name} lies")
    with gzip.open(table, "rt", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: [row[name] if name == "arch" else float(row[name]) for row in rows] for name in rows[0]}


@pytest.mark.parametrize(
    ("column", "published"),
    [
        ("params_m", 0.578),
        ("multiply_adds_m", 0.578),
        ("latency_s", 0.494),
        ("valid_accuracy_12", 0.595),
        ("valid_accuracy_200", 0.894),
    ],
)
def test_the_correlations_of_the_whole_space_are_the_published_ones(cells, column, published):
    fitness, truth = np.array(cells[column]), np.array(cells["test_accuracy_200"])
    assert rank_statistics(fitness, truth, bootstrap=0).tau == pytest.approx(published, abs=0.0006)


@pytest.mark.parametrize(("column", "published"), [("params_m", 0.558), ("valid_accuracy_200", 0.894)])
def test_the_correlations_of_the_whole_space_with_ties_broken_are_the_published_ones(cells, column, published):
    space = NasBench201()
    rows = sorted(zip(map(space.parse, cells["arch"]), cells[column], cells["test_accuracy_200"], strict=True))
    _, fitness, truth = (np.array(values) for values in zip(*rows, strict=True))
    statistics = rank_statistics(fitness, truth, bootstrap=0)
    assert statistics.tau_in_order == pytest.approx(published, abs=0.0006)


def test_the_28_sizes_of_the_space_are_the_strata(cells):
    space = NasBench201()
    sizes = cost_table(space, 32, 10).total(as_array([space.parse(arch) for arch in cells["arch"]]))[:, 0]
    fitness, truth = np.array(cells["valid_accuracy_12"]), np.array(cells["test_accuracy_200"])
    statistics = rank_statistics(fitness, truth, sizes=sizes, bootstrap=0)
    agreement, one_untied, other_untied = 0, 0, 0
    for size in np.unique(sizes):
        one, other = (np.sign(np.subtract.outer(v, v)) for v in (fitness[sizes == size], truth[sizes == size]))
        agreement += (one * other).sum()
        one_untied += np.abs(one).sum()
        other_untied += np.abs(other).sum()
    assert statistics.strata == 28
    assert statistics.tau_within == pytest.approx(agreement / math.sqrt(one_untied * other_untied), abs=1e-12)


def test_live_multiply_adds_rank_the_whole_space_better_than_parameters(cells):
    space = NasBench201()
    live = LiveMultiplyAdds(space, cost_table(space, 32, 10))([space.parse(arch) for arch in cells["arch"]])[:, 0]
    statistics = rank_statistics(live, np.array(cells["test_accuracy_200"]), bootstrap=0)
    assert statistics.tau == pytest.approx(0.654, abs=0.0006)


def test_15625_architectures_take_a_second_or_two():
    fitness, truth = normal_scores(15_625, 0.6, 0)
    began = time.process_time()
    rank_statistics(np.round(fitness, 2), truth, sizes=np.arange(15_625) % 28, bootstrap=200)
    assert time.process_time() - began < 5
