"""The rows of the algorithms: every word in them is one that a run file knows."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from raynas.algorithms import Algorithm, algorithms
from raynas.config.search_section import SearchSection
from raynas.data import LABELS
from raynas.search import SEARCHERS
from raynas.supernet.alphas import GRADIENTS
from raynas.supernet.routes import GATES, SAMPLINGS


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


def test_darts_gdas_and_setn_are_what_their_papers_say():
    rows = algorithms()
    darts = rows["darts"]
    assert darts == Algorithm("mixture", "true", "derive", "one_shot_accuracy", "mixture", before_weights=True)
    assert rows["darts_second_order"] == replace(darts, gradient="second")
    assert rows["amended_darts"] == replace(darts, gradient="amended")
    gdas = rows["gdas"]
    assert (gdas.sampling, gdas.gates, gdas.path_per_cell, gdas.derivation) == ("gumbel", "gumbel", True, "with_none")
    assert (gdas.search, gdas.gradient, gdas.before_weights) == ("derive", "first", False), "Algorithm 1: weights first"
    setn = rows["setn"]
    assert (setn.sampling, setn.gates, setn.path_per_cell) == ("uniform", "mixture", True)
    assert (setn.search, setn.fitness, setn.before_weights) == ("alpha_sampling", "one_shot_loss", False)


def test_fairnas_is_spos_on_fair_paths_and_the_plain_baselines_train_nothing():
    rows = algorithms()
    assert rows["fairnas"].sampling == "fair" and rows["fairnas"].labels == "true"
    for name in ("num_parameters", "multiply_adds"):
        assert rows[name] == Algorithm("uniform", "true", "evolution", name)


def test_only_rows_with_alphas_search_by_them():
    for name, row in algorithms().items():
        by_alphas = row.search in ("derive", "alpha_sampling") or row.sampling in ("mixture", "gumbel")
        assert (row.gates is not None) == by_alphas, name
        assert row.gates in (None, *GATES) and row.gradient in GRADIENTS
        assert row.derivation in get_args(get_args(SearchSection.model_fields["derivation"].annotation)[0])


def test_the_rows_cannot_be_changed_from_outside():
    algorithms().clear()
    assert "rlnas" in algorithms()
    with pytest.raises(AttributeError):
        algorithms()["rlnas"].labels = "true"
