"""The hyper-parameters of a training, in a section of any name."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from raynas.config.explain import parse_section
from raynas.config.train_section import TrainSection
from raynas.training.recipe import Recipe


class RetrainSection(Recipe):
    section: ClassVar[str] = "retrain"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"momentum": 0.0}, "{0}.nesterov: needs a momentum above 0; set {0}.nesterov to false"),
        (
            {"learning_rate": 0.1, "min_learning_rate": 0.2},
            "{0}.min_learning_rate: expected at most {0}.learning_rate (0.1), got 0.2",
        ),
        (
            {"clip_norm": 1.0, "clip_value": 1.0},
            "{0}.clip_value: the gradient is clipped in one way; leave out this or {0}.clip_norm",
        ),
    ],
)
def test_a_remedy_names_the_keys_of_the_section_that_the_recipe_stands_in(values: dict[str, Any], message: str) -> None:
    for section in (TrainSection, RetrainSection, Recipe):
        with pytest.raises(ValueError) as refused:
            parse_section(values, section, section.section)
        assert str(refused.value) == message.format(section.section)


def test_the_name_of_the_section_is_no_key() -> None:
    with pytest.raises(ValueError, match=r"^train\.section: unknown key"):
        parse_section({"section": "retrain"}, TrainSection, "train")
