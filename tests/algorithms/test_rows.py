"""The rows of the algorithms: every word in them is one that a run file knows."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from raynas.algorithms import ALGORITHMS, PARTS, Algorithm
from raynas.config.search_section import SearchSection
from raynas.fitness import FITNESSES
from raynas.search import SEARCHERS


@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_every_row_names_parts_that_exist(name):
    row = ALGORITHMS.row(name)
    assert row.name == name
    for entry, family in PARTS.items():
        assert getattr(row, entry) in (*family.names(), *([None] if entry == "gates" else []))


def test_an_entry_can_be_the_row_itself_and_is_then_named():
    words = ALGORITHMS.row("gdas")
    rows = replace(words, **{entry: family.row(getattr(words, entry)) for entry, family in PARTS.items()})
    assert (rows.search, rows.fitness) == (SEARCHERS.row("derive"), FITNESSES.row("one_shot_accuracy"))
    assert rows.in_words() == words.in_words() == vars(words)


def test_rlnas_trains_uniform_paths_on_random_labels_and_evolves_by_the_angle():
    assert ALGORITHMS.row("rlnas") == Algorithm("rlnas", "uniform", "random", "evolution", "angle")


def test_spos_differs_from_rlnas_in_labels_and_fitness_and_random_search_from_spos_in_the_search():
    rows = ALGORITHMS.rows()
    assert rows["spos"] == replace(rows["rlnas"], name="spos", labels="true", fitness="one_shot_accuracy")
    assert rows["random_search"] == replace(rows["spos"], name="random_search", search="random")
    assert rows["training_free"].fitness == "initial_angle"


def test_darts_gdas_and_setn_are_what_their_papers_say():
    rows = ALGORITHMS.rows()
    darts = rows["darts"]
    assert darts == Algorithm("darts", "mixture", "true", "derive", "one_shot_accuracy", "mixture", before_weights=True)
    assert rows["darts_second_order"] == replace(darts, name="darts_second_order", gradient="second")
    assert rows["amended_darts"] == replace(darts, name="amended_darts", gradient="amended")
    gdas = rows["gdas"]
    assert (gdas.sampling, gdas.gates, gdas.path_per_cell, gdas.derivation) == ("gumbel", "gumbel", True, "with_none")
    assert (gdas.search, gdas.gradient, gdas.before_weights) == ("derive", "first", False), "Algorithm 1: weights first"
    setn = rows["setn"]
    assert (setn.sampling, setn.gates, setn.path_per_cell) == ("uniform", "mixture", True)
    assert (setn.search, setn.fitness, setn.before_weights) == ("alpha_sampling", "one_shot_loss", False)


def test_fairnas_is_spos_on_fair_paths_and_the_plain_baselines_train_nothing():
    rows = ALGORITHMS.rows()
    assert rows["fairnas"].sampling == "fair" and rows["fairnas"].labels == "true"
    for name in ("num_parameters", "multiply_adds"):
        assert rows[name] == Algorithm(name, "uniform", "true", "evolution", name)


def test_only_rows_with_alphas_search_by_them():
    for name, row in ALGORITHMS.rows().items():
        by_alphas = row.search in ("derive", "alpha_sampling") or row.sampling in ("mixture", "gumbel")
        assert (row.gates is not None) == by_alphas, name
        assert row.derivation in get_args(get_args(SearchSection.model_fields["derivation"].annotation)[0])


def test_the_rows_cannot_be_changed_from_outside():
    ALGORITHMS.rows().clear()
    assert "rlnas" in ALGORITHMS.rows()
    with pytest.raises(AttributeError):
        ALGORITHMS.row("rlnas").labels = "true"
