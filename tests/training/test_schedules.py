"""Learning rates over a training."""

from __future__ import annotations

from fractions import Fraction

import pytest

from raynas.training.schedules import SCHEDULES, cosine, linear


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0.025), (50, 0.01 + 0.015 * 0.75), (75, 0.0175), (100, 0.01 + 0.015 * 0.25), (150, 0.01)],
)
def test_the_cosine_goes_through_its_closed_values(epoch, rate):
    assert cosine(epoch, 150, 0.025, 0.01) == pytest.approx(rate, rel=1e-14)


def test_rlnas_starts_at_0_025_and_ends_next_to_0_001():
    rates = [cosine(epoch, 250, 0.025, 0.001) for epoch in range(250)]
    assert rates[0] == 0.025
    assert rates[125] == pytest.approx(0.013, rel=1e-14)
    assert rates[249] == pytest.approx(0.0010009474, rel=1e-6)
    assert all(earlier > later for earlier, later in zip(rates, rates[1:], strict=False))


def test_the_cosine_is_symmetric_about_its_middle():
    for epoch in range(31):
        assert cosine(epoch, 30, 0.5, 0.1) + cosine(30 - epoch, 30, 0.5, 0.1) == pytest.approx(0.6, rel=1e-14)


def test_the_line_falls_by_the_same_amount_every_step():
    """RLNAS on ImageNet: 0.25 to 5e-4 over 120 epochs of 2,502 steps, in exact arithmetic."""
    steps, highest, lowest = 120 * 2502, Fraction("0.25"), Fraction("0.0005")
    for step in (0, 1, 2501, steps // 3, steps // 2, steps - 1, steps):
        exact = highest - step * (highest - lowest) / steps
        assert linear(step, steps, 0.25, 0.0005) == pytest.approx(float(exact), rel=1e-14)


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize(("highest", "lowest"), [(0.1, 5e-4), (0.25, 5e-4), (0.5, 0.0), (0.025, 0.001)])
def test_every_schedule_begins_and_ends_exactly_where_it_should(schedule, highest, lowest):
    for length in (1, 3, 50, 120 * 2502):
        assert schedule(0, length, highest, lowest) == highest
        assert schedule(length, length, highest, lowest) == lowest


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_equal_ends_are_a_constant(schedule):
    for position in range(8):
        assert schedule(position, 7, 0.3, 0.3) == pytest.approx(0.3, rel=1e-15)
