"""What a random architecture is worth: means over sets of architectures, against lists written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from raynas.fitness.benchmark_table import BenchmarkTable
from raynas.fitness.random_architecture import RandomArchitecture, random_architectures
from raynas.search_space import Architecture, all_architectures
from raynas.spaces.nasbench201 import NasBench201

SPACE = NasBench201(2, 1)


def table(share: float = 1.0) -> tuple[BenchmarkTable, dict[Architecture, float]]:
    """Returns a table of random accuracies of a share of the space, and these."""
    rng = np.random.default_rng(0)
    accuracies = {}
    for row in all_architectures(SPACE).tolist():
        if rng.random() < share:
            accuracies[tuple(row)] = float(rng.uniform(10, 95))
    return BenchmarkTable(SPACE, accuracies, path=Path("table.csv"), column="test_accuracy_200"), accuracies


@pytest.mark.parametrize("share", [1.0, 0.02])
def test_all_architectures_of_the_table_weigh_the_same(share: float) -> None:
    of_space, accuracies = table(share)
    (random,) = random_architectures(of_space, SPACE, "with_none")
    values = np.array(list(accuracies.values()))
    assert random.of == "all" and len(random.accuracies) == len(values)
    assert random.mean == pytest.approx(values.mean()) and random.deviation == pytest.approx(values.std())


def test_a_derivation_without_none_gives_those_that_it_leaves_as_they_are() -> None:
    of_space, accuracies = table(0.1)
    _, random = random_architectures(of_space, SPACE, "without_none")

    def derived(architecture: Architecture) -> Architecture:
        return SPACE.derive([np.eye(5)[k] for k in architecture], "without_none")

    values = [accuracy for architecture, accuracy in accuracies.items() if derived(architecture) == architecture]
    assert random.of == "without_none" and len(random.accuracies) == len(values) < len(accuracies)
    assert random.mean == pytest.approx(np.mean(values)) and random.deviation == pytest.approx(np.std(values))


def test_limits_leave_a_set_of_their_own_unless_they_admit_all_or_none() -> None:
    of_space, accuracies = table(0.1)

    def few(architectures: np.ndarray) -> np.ndarray:
        return np.asarray((architectures == 3).sum(axis=1) < 2)

    _, random = random_architectures(of_space, SPACE, admits=few)
    values = [accuracy for architecture, accuracy in accuracies.items() if architecture.count(3) < 2]
    assert random.of == "within_limits" and random.mean == pytest.approx(np.mean(values))
    for admitted in (np.ones, np.zeros):
        sets = random_architectures(of_space, SPACE, admits=lambda rows, fill=admitted: fill(len(rows), dtype=bool))
        assert [random.of for random in sets] == ["all"]


@pytest.mark.parametrize(("accuracy", "percent"), [(0, 0), (20, 25), (25, 40), (50, 90), (99, 100)])
def test_the_share_below_counts_half_of_the_equals(accuracy: float, percent: float) -> None:
    random = RandomArchitecture("all", np.array([10.0, 20, 20, 20, 30, 30, 40, 40, 50, 50]))
    assert random.share_below(accuracy) == pytest.approx(percent)
