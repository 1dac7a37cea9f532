"""The sweep metrics of the amended gradient, from the lines of epochs."""

from __future__ import annotations

from typing import Any

import pytest

from raynas.sweep_metrics import SWEEP_METRICS, TrialOutcome


def measured(name: str, *supernets: list[dict[str, Any]]) -> float | None:
    return SWEEP_METRICS.row(name).take(TrialOutcome({"best": [{}]}, epochs=supernets))


LINES = [
    {"first_norm": 0.5, "correction_norm": 1.0, "search_loss": 2.0, "search_loss_after": 1.5},
    {"first_norm": 0.5, "correction_norm": 3.0, "correction_agreement": 0.25, "search_loss": 1.0},
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("amending_ratio", (2.0 + 6.0) / 2), ("amending_agreement", 0.25), ("descent", 0.5)],
)
def test_a_metric_is_the_mean_over_the_epochs_that_know_it(name: str, expected: float) -> None:
    assert measured(name, LINES) == pytest.approx(expected)
    assert measured(name, LINES, LINES) == pytest.approx(expected)
    assert measured(name, [{"first_norm": None, "search_loss": None}]) is None
    assert measured(name) is None


def test_without_a_correction_its_length_is_zero() -> None:
    assert measured("amending_ratio", [{"first_norm": 0.5, "correction_norm": 0.0}]) == 0.0
