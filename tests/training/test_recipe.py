"""Learning rates and chances of drop-path of whole recipes, against their closed forms."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from raynas.training.network_recipe import NetworkRecipe
from raynas.training.recipe import Recipe
from raynas.training.schedules import SCHEDULES

STEPS = 7


def rates_by_epoch(recipe, steps_per_epoch=STEPS):
    """Returns the learning rates of the first step of every epoch."""
    return [recipe.rate(epoch, epoch * steps_per_epoch, steps_per_epoch) for epoch in range(recipe.epochs)]


def rates_by_step(recipe, steps_per_epoch=STEPS):
    """Returns the learning rates of every step."""
    return [
        recipe.rate(step // steps_per_epoch, step, steps_per_epoch) for step in range(recipe.epochs * steps_per_epoch)
    ]


def test_rlnas_multiplies_the_first_five_epochs_of_its_two_slopes():
    recipe = Recipe(
        epochs=250, learning_rate=0.5, min_learning_rate=0, schedule="two_slopes", warmup_epochs=5, warmup="scaled"
    )
    expected = [0.5 * (245 - e) / 245 * min(1, (e + 1) / 5) for e in range(245)]
    expected += [0.5 * (250 - e) / (245 * 5) for e in range(245, 250)]
    assert rates_by_epoch(recipe) == pytest.approx(expected, rel=1e-14)


def test_setn_warms_up_by_the_step_before_a_cosine_over_the_other_epochs():
    recipe = Recipe(epochs=250, learning_rate=0.1, min_learning_rate=0, warmup_epochs=5)
    warm_up = [0.1 * step / (5 * STEPS) for step in range(5 * STEPS)]
    falling = [0.05 * (1 + math.cos(math.pi * (step // STEPS) / 245)) for step in range(245 * STEPS)]
    assert rates_by_step(recipe) == pytest.approx(warm_up + falling, rel=1e-13)


def test_a_schedule_by_the_step_goes_on_where_the_warm_up_ended():
    recipe = Recipe(
        epochs=10, learning_rate=1, min_learning_rate=0, schedule="linear", schedule_every="step", warmup_epochs=2
    )
    expected = [step / (2 * STEPS) for step in range(2 * STEPS)] + [1 - step / (8 * STEPS) for step in range(8 * STEPS)]
    assert rates_by_step(recipe) == pytest.approx(expected, rel=1e-13)


def test_a_scaled_schedule_by_the_step_is_multiplied_by_a_line_that_ends_at_one():
    changes = {"learning_rate": 1.0, "min_learning_rate": 0.1, "schedule": "linear", "schedule_every": "step"}
    plain = rates_by_step(Recipe(epochs=4, **changes))
    warm = rates_by_step(Recipe(epochs=4, warmup_epochs=2, warmup="scaled", **changes))
    factors = [min(1, (step + 1) / (2 * STEPS)) for step in range(4 * STEPS)]
    assert warm == pytest.approx([rate * factor for rate, factor in zip(plain, factors, strict=True)], rel=1e-14)


def test_darts_on_imagenet_falls_by_three_percent_an_epoch():
    recipe = Recipe(epochs=250, learning_rate=0.1, min_learning_rate=0, schedule="exponential")
    assert rates_by_epoch(recipe) == pytest.approx([0.1 * 0.97**epoch for epoch in range(250)], rel=1e-12)


def test_after_a_warm_up_the_exponential_begins_at_its_highest_rate():
    recipe = Recipe(
        epochs=6, learning_rate=0.8, min_learning_rate=0, schedule="exponential", schedule_gamma=0.5, warmup_epochs=2
    )
    assert rates_by_epoch(recipe) == pytest.approx([0, 0.4, 0.8, 0.4, 0.2, 0.1], rel=1e-14)


def test_the_polynomial_has_the_power_of_its_recipe():
    recipe = Recipe(epochs=4, learning_rate=1, min_learning_rate=0, schedule="polynomial", schedule_power=2.0)
    assert rates_by_epoch(recipe) == [1, 0.5625, 0.25, 0.0625]


@pytest.mark.parametrize("pace", ["epoch", "step"])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_without_a_warm_up_rates_are_the_bits_of_the_schedule(schedule, pace):
    recipe = Recipe(epochs=9, schedule=schedule, schedule_every=pace)
    for step in range(9 * STEPS):
        position, length = (step, 9 * STEPS) if pace == "step" else (step // STEPS, 9)
        assert recipe.rate(step // STEPS, step, STEPS) == SCHEDULES[schedule](position, length, 0.025, 0.001)


def test_drop_path_rises_as_in_darts_from_0_by_the_same_amount_every_epoch():
    recipe = Recipe(epochs=600, drop_path=0.2, drop_path_rises=True)
    assert [recipe.drop_path_at(epoch) for epoch in (0, 1, 300, 599)] == pytest.approx(
        [0, 0.2 / 600, 0.1, 0.2 * 599 / 600]
    )


def test_drop_path_that_does_not_rise_is_the_same_in_every_epoch():
    assert {Recipe(epochs=30, drop_path=0.3).drop_path_at(epoch) for epoch in range(30)} == {0.3}


def test_the_defaults_of_a_network_are_those_of_nasbench201():
    recipe = NetworkRecipe()
    steps = 25_000 // 256
    for step in (0, 1, 100, 10_000, 200 * steps - 1):
        expected = 0.05 * (1 + math.cos(math.pi * step / (200 * steps)))
        assert recipe.rate(step // steps, step, steps) == pytest.approx(expected, rel=1e-12)
    assert (recipe.momentum, recipe.nesterov, recipe.weight_decay, recipe.decay_on) == (0.9, True, 5e-4, "all")
    assert (recipe.auxiliary, recipe.dropout, recipe.ema, recipe.estimate_batch_norm) == ("none", 0, None, False)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Recipe, {"epochs": 5, "warmup_epochs": 5}, "warmup_epochs: expected less than train.epochs (5), got 5"),
        (NetworkRecipe, {"epochs": 5, "warmup_epochs": 6}, "expected less than retrain.epochs (5), got 6"),
        (
            Recipe,
            {"schedule": "two_slopes", "schedule_every": "step"},
            "schedule_every: two_slopes moves once an epoch",
        ),
        (Recipe, {"epochs": 5, "schedule": "two_slopes"}, "schedule_tail: expected less than the 5 epochs"),
        (
            Recipe,
            {"epochs": 9, "schedule": "two_slopes", "warmup_epochs": 4},
            "schedule_tail: expected less than the 5 epochs",
        ),
        (Recipe, {"schedule": "exponential", "schedule_gamma": 1.5}, "schedule_gamma"),
        (Recipe, {"warmup": "never"}, "Input should be 'before' or 'scaled'"),
        (NetworkRecipe, {"auxiliary": "tower", "auxiliary_weight": 0.0}, "auxiliary: tower is not trained"),
        (NetworkRecipe, {"auxiliary": "towers"}, "Input should be 'none', 'tower' or 'tower_without_norm'"),
        (NetworkRecipe, {"dropout": 1.0}, "dropout"),
        (NetworkRecipe, {"ema": 1.0}, "ema"),
        (NetworkRecipe, {"nesterov": True, "momentum": 0.0}, "set retrain.nesterov to false"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_with_the_key(kind, values, message):
    with pytest.raises(ValidationError) as refused:
        kind(**values)
    assert message in str(refused.value)
