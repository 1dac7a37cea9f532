"""How numbers are written."""

from __future__ import annotations

import math

import pytest

from raynas.report.quantities import COSTS, Quantity, count, duration, fitness_quantity, operation_label


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (12_345, "12.3 k"),
        (999_499, "999 k"),
        (999_600, "1.00 M"),
        (1_073_466, "1.07 M"),
        (9_996_000, "10.0 M"),
        (153_274_000, "153 M"),
        (2.5e9, "2.50 G"),
    ],
)
def test_a_count_is_three_digits_and_a_prefix(value: float, text: str) -> None:
    assert count(value).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0412, "41 ms"),
        (0.25, "0.2 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (725, "12 min 5 s"),
        (3599.7, "1 h 0 min"),
        (12_000, "3 h 20 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_time_is_written_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


@pytest.mark.parametrize(
    ("fitness", "name", "title", "written"),
    [
        ("angle", "angle (paper)", "angle (rad)", "1,234.5679 rad"),
        ("angle", "angle (official)", "angle, official (rad)", "1,234.5679 rad"),
        ("angle", "angle (paper after 5 epochs)", "angle, after 5 epochs (rad)", "1,234.5679 rad"),
        ("displacement", "displacement (after 5 epochs)", "displacement, after 5 epochs", "1,234.5679"),
        ("angle+random", "angle (paper) + random", "consensus of angle and random number", "1,234.568"),
        ("initial_angle", "initial_angle (paper)", "angle between initialisations (rad)", "1,234.5679 rad"),
        ("one_shot_accuracy", None, "one-shot accuracy (percent)", "1,234.57 percent"),
        ("one_shot_loss", None, "negative one-shot loss (nats)", "1,234.5679 nats"),
        ("benchmark_table", None, "accuracy by the table (percent)", "1,234.57 percent"),
        ("num_parameters", None, "parameters", "1,235"),
        ("my_own_fitness", None, "my own fitness", "1,234.5679"),
        (None, None, "fitness", "1,234.5679"),
    ],
)
def test_a_fitness_has_a_name_a_unit_and_digits(
    fitness: str | None, name: str | None, title: str, written: str
) -> None:
    quantity = fitness_quantity(fitness, name)
    assert quantity.title == title
    assert quantity.write_with_unit(1234.56789).replace("\N{NO-BREAK SPACE}", " ") == written


def test_a_latency_of_seconds_is_written_in_milliseconds() -> None:
    assert COSTS["latency"].title == "latency (ms)"
    assert COSTS["latency"].write_with_unit(0.0123456).replace("\N{NO-BREAK SPACE}", " ") == "12.346 ms"
    assert COSTS["multiply_adds"].write_with_unit(1234567) == "1,234,567"


def test_a_negative_number_has_a_minus_and_a_missing_one_a_dash() -> None:
    assert Quantity("x", "", 2).write(-1234.5) == "−1,234.50"
    assert Quantity("x", "", 2).write(math.nan) == "–"


@pytest.mark.parametrize(
    ("operation", "label"),
    [
        ("nor_conv_3x3", "conv 3×3"),
        ("skip_connect", "skip"),
        ("avg_pool_3x3", "avg pool 3×3"),
        ("mb6_5x5", "mb6 5×5"),
        ("max", "max"),
        ("", ""),
    ],
)
def test_an_operation_is_labelled_in_words(operation: str, label: str) -> None:
    assert operation_label(operation) == label
