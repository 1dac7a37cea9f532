"""Learning rates over a training."""

from __future__ import annotations

import pytest

from raynas.training.schedules import cosine


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


def test_equal_ends_are_a_constant():
    assert {cosine(epoch, 7, 0.3, 0.3) for epoch in range(8)} == {0.3}
