"""When numbers cannot mean anything, it is said; when they can, nothing is."""

import math

import numpy as np
import pytest

from raynas.fitness.remarks import accuracy_remarks, decidedness_remarks, ranking_remarks, tied_share


def test_an_accuracy_at_chance_is_said_with_its_sampling_error() -> None:
    (remark,) = accuracy_remarks([30.6, 30.0], classes=3, images=36)
    error = 196 * math.sqrt(1 / 3 * 2 / 3 / 36)
    assert remark.startswith(f"accuracy: 30.60 % of the best is what chance gives (33.33 % ± {error:.1f} points on 36 ")
    assert accuracy_remarks([33.4 + error], classes=3, images=36) == []


@pytest.mark.parametrize(("best", "remarks"), [(10.0, 1), (10.1, 0)])
def test_without_a_number_of_images_chance_has_no_error(best: float, remarks: int) -> None:
    assert len(accuracy_remarks([best], classes=10, images=None)) == remarks


def test_differences_within_the_sampling_error_are_said() -> None:
    error = 196 * math.sqrt(0.9 * 0.1 / 400)
    (remark,) = accuracy_remarks([90.0, 90.0 - 0.9 * error], classes=10, images=400)
    assert "the 2 best lie within" in remark and f"sampling error of {error:.2f} points on 400 images" in remark
    assert accuracy_remarks([90.0, 90.0 - 1.1 * error], classes=10, images=400) == []
    assert accuracy_remarks([90.0], classes=10, images=400) == []
    assert accuracy_remarks([], classes=10, images=400) == []


@pytest.mark.parametrize("rows", [2, 9, 10])
def test_a_benchmark_of_few_rows_is_no_evidence(rows: int) -> None:
    values = np.arange(rows, dtype=float)
    remarks = ranking_remarks(values, values)
    assert [remark.startswith(f"benchmark: only {rows} architectures") for remark in remarks] == [True] * (rows < 10)


def test_ties_of_most_pairs_are_said_of_either_side() -> None:
    values, tied = np.arange(20.0), np.array([1.0] * 19 + [2.0])
    assert ranking_remarks(values, values) == []
    assert ranking_remarks(values) == []
    assert ranking_remarks(tied, values, "angle") == [
        "angle: 90 % of the pairs of architectures are tied: most of their order is arbitrary"
    ]
    assert ranking_remarks(values, tied)[0].startswith("benchmark accuracy: 90 % of the pairs")


def test_the_share_of_ties_is_that_of_all_pairs() -> None:
    values = np.array([1.0, 1.0, 2.0, 2.0, 2.0, 3.0])
    pairs = [(a, b) for a in range(6) for b in range(a)]
    assert tied_share(values) == pytest.approx(sum(values[a] == values[b] for a, b in pairs) / len(pairs))


@pytest.mark.parametrize(("largest", "uniform", "said"), [(0.27, 0.2, True), (0.599, 0.2, True), (0.601, 0.2, False)])
def test_alphas_less_than_halfway_from_equal_candidates_to_one_are_undecided(
    largest: float, uniform: float, said: bool
) -> None:
    remarks = decidedness_remarks(largest, uniform)
    assert bool(remarks) is said
    if said:
        (remark,) = remarks
        assert f"undecided: the largest probability of a choice is {largest:.2f} on average, 0.20 if all" in remark
