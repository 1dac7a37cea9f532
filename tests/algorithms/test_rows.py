"""The rows of the algorithms: every word in them is one that a run file knows."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from raynas.algorithms import Algorithm, algorithms
from raynas.config import SearchSection
from raynas.data import LABELS
from raynas.search import SEARCHERS
from raynas.supernet.one_shot import SAMPLINGS


@pytest.mark.parametrize("name", algorithms())
def test_every_row_names_parts_that_exist(name):
    row = algorithms()[name]
    assert row.sampling in SAMPLINGS
    assert row.labels in LABELS
    assert row.search in SEARCHERS
    fitness = SearchSection.model_fields["fitness"].annotation
    assert row.fitness in get_args(get_args(fitness)[0])


def test_rlnas_trains_uniform_paths_on_random_labels_and_evolves_by_the_angle():
    assert algorithms()["rlnas"] == Algorithm("uniform", "random", "evolution", "angle")


def test_spos_differs_from_rlnas_in_labels_and_fitness_and_random_search_from_spos_in_the_search():
    rows = algorithms()
    assert rows["spos"] == replace(rows["rlnas"], labels="true", fitness="one_shot_accuracy")
    assert rows["random_search"] == replace(rows["spos"], search="random")
    assert rows["training_free"].fitness == "initial_angle"


def test_the_rows_cannot_be_changed_from_outside():
    algorithms().clear()
    assert "rlnas" in algorithms()
    with pytest.raises(AttributeError):
        algorithms()["rlnas"].labels = "true"
