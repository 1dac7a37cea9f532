"""Bayesian optimisation by Optuna's sampler."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from raynas import optional
from raynas.errors import InputError
from raynas.search_space import as_array
from tests.search.searchers import make_bayesian, make_random

TERMS = np.random.default_rng(0).random((6, 5))


def generations_of(searcher):
    generations = []
    while architectures := searcher.ask():
        generations.append(architectures)
        searcher.tell(architectures, TERMS[np.arange(6), as_array(architectures)].sum(axis=1))
    return generations


def best_of(generations):
    return max(float(TERMS[np.arange(6), as_array(generation)].sum(axis=1).max()) for generation in generations)


def test_it_comes_nearer_to_the_optimum_of_an_additive_fitness_than_chance(chain):
    """The gap to the optimum after 100 evaluations, mean over seeds, is less than half that of random search."""
    optimum = TERMS.max(axis=1).sum()
    gaps = {"bayesian": 0.0, "random": 0.0}
    for seed in range(4):
        generations = generations_of(make_bayesian(chain(6), seed=seed, evaluations=100))
        assert [len(generation) for generation in generations] == [10] * 10
        gaps["bayesian"] += optimum - best_of(generations)
        gaps["random"] += optimum - best_of(generations_of(make_random(chain(6), seed=seed, generations=1)))
    assert 0 <= gaps["bayesian"] < gaps["random"] / 2


def test_an_exhausted_space_ends_the_search(chain):
    searcher = make_bayesian(chain(3, ("a", "b")), seed=0, start_samples=2, proposals=3)
    asked = []
    while architectures := searcher.ask():
        asked += architectures
        searcher.tell(architectures, np.array([float(sum(a)) for a in architectures]))
    assert len(asked) == len(set(asked)) == 8


def test_without_optuna_the_extra_is_named(chain, monkeypatch):
    monkeypatch.setattr(optional.importlib.util, "find_spec", lambda module: None)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"^search.name: bayesian: needs the package optuna, .* 'raynas\[optuna\]'"):
        make_bayesian(chain(6), seed=0)
