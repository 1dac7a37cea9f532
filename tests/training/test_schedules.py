"""Learning rates over a training."""

from __future__ import annotations

import functools
from fractions import Fraction

import pytest

from raynas.training.schedules import SCHEDULES, cosine, exponential, linear, polynomial, two_slopes

FALL = {name: SCHEDULES[name] for name in ("cosine", "linear")}
FALL["two_slopes"] = functools.partial(two_slopes, tail=2)
FALL["polynomial"] = functools.partial(polynomial, power=0.9)


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


@pytest.mark.parametrize("schedule", FALL.values(), ids=FALL)
@pytest.mark.parametrize(("highest", "lowest"), [(0.1, 5e-4), (0.25, 5e-4), (0.5, 0.0), (0.025, 0.001)])
def test_every_schedule_begins_and_ends_exactly_where_it_should(schedule, highest, lowest):
    for length in (3, 50, 120 * 2502):
        assert schedule(0, length, highest, lowest) == highest
        assert schedule(length, length, highest, lowest) == lowest


@pytest.mark.parametrize("schedule", [cosine, linear])
def test_a_schedule_of_a_single_step_begins_at_the_highest_rate(schedule):
    assert schedule(0, 1, 0.1, 5e-4) == 0.1


@pytest.mark.parametrize("schedule", FALL.values(), ids=FALL)
def test_equal_ends_are_a_constant(schedule):
    for position in range(8):
        assert schedule(position, 7, 0.3, 0.3) == pytest.approx(0.3, rel=1e-15)


def test_two_slopes_is_the_rate_by_which_rlnas_retrains_on_imagenet():
    """0.5 (245 - e) / 245, and in the last five epochs 0.5 (250 - e) / (245 x 5), in exact arithmetic."""
    rates = [two_slopes(epoch, 250, 0.5, 0.0, tail=5) for epoch in range(250)]
    exact = [Fraction(1, 2) * (245 - epoch) / 245 for epoch in range(245)]
    exact += [Fraction(1, 2) * (250 - epoch) / (245 * 5) for epoch in range(245, 250)]
    assert rates == pytest.approx([float(rate) for rate in exact], rel=1e-14)
    assert rates[244] == pytest.approx(rates[245], rel=1e-14)  # the second line begins where the first one is
    assert rates[249] == pytest.approx(0.5 / 1225, rel=1e-14)


def test_polynomial_decay_goes_through_its_closed_values():
    """MMSegmentation's: 0.01 to 1e-4 over 40,000 steps with a power of 0.9."""
    assert polynomial(0, 40_000, 0.01, 1e-4, power=0.9) == 0.01
    assert polynomial(39_000, 40_000, 0.01, 1e-4, power=0.9) == pytest.approx(1e-4 + 0.0099 * 0.025**0.9, rel=1e-13)
    assert polynomial(40_000, 40_000, 0.01, 1e-4, power=0.9) == 1e-4
    assert polynomial(30, 40, 1.0, 0.0, power=0.5) == 0.5
    assert polynomial(30, 40, 1.0, 0.2, power=1) == linear(30, 40, 1.0, 0.2)


def test_exponential_decay_multiplies_once_an_epoch_whatever_it_is_counted_in():
    for epoch in (0, 1, 2, 100, 249):
        expected = pytest.approx(0.1 * 0.97**epoch, rel=1e-13)
        assert exponential(epoch, 250, 0.1, 0.0, gamma=0.97, epochs=250) == expected
        assert exponential(epoch * 40, 250 * 40, 0.1, 0.0, gamma=0.97, epochs=250) == expected


def test_exponential_decay_stops_at_the_lowest_rate():
    rates = [exponential(epoch, 10, 0.8, 0.1, gamma=0.5, epochs=10) for epoch in range(10)]
    assert rates == [0.8, 0.4, 0.2, *[0.1] * 7]
