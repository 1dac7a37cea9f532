"""Architectures that differ only in what lies on no path are evaluated once, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.fitness import FITNESSES
from raynas.search_space import sample
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.stages.live_forms import once_per_live_form
from tests.fitness.initial import SPACE, fitness_of
from tests.spaces.textbook import EDGES, PATHS

SCORES = [name for name, row in FITNESSES.rows().items() if row.score is not None]


def form_of(architecture):
    """Returns an architecture with nothing on the edges that lie on no path without ``none``, path by path."""
    live = set()
    for path in PATHS:
        edges = {EDGES[edge] for edge in path}
        if all(architecture[edge] for edge in edges):
            live |= edges
    return tuple(k if edge in live else 0 for edge, k in enumerate(architecture))


def sampled(number):
    rng = np.random.default_rng(0)
    return [sample(SPACE, rng) for _ in range(number)]


def test_live_forms_have_nothing_off_the_four_paths():
    architectures = sampled(300)
    forms = SPACE.live_forms(np.array(architectures))
    assert [tuple(form) for form in forms.tolist()] == [form_of(a) for a in architectures]
    every = NasBench201().live_forms(np.array(list(np.ndindex(*(5,) * 6))))
    assert len(np.unique(every, axis=0)) == len({form_of(a) for a in np.ndindex(*(5,) * 6)}) == 9_445


@pytest.mark.parametrize("name", SCORES)
def test_no_score_sees_what_lies_on_no_path(name):
    with_dead = [a for a in sampled(60) if form_of(a) != a][:6]
    assert len(with_dead) == 6
    fitness = fitness_of(name, **({"swap_mu": 3.0, "swap_sigma": 1e6} if name == "swap_regularised" else {}))
    assert fitness(with_dead).tobytes() == fitness([form_of(a) for a in with_dead]).tobytes()


def test_each_live_form_is_evaluated_once_and_rows_keep_their_order():
    asked = []

    def evaluate(architectures):
        """Yields rows in parts of three, as actors do."""
        asked.extend(architectures)
        for start in range(0, len(architectures), 3):
            yield np.array([[sum(5**i * k for i, k in enumerate(a))] for a in architectures[start : start + 3]], float)

    stream = once_per_live_form(SPACE, evaluate)
    architectures = sampled(200)
    parts = [np.concatenate(list(stream(architectures[start : start + 50]))) for start in range(0, 200, 50)]
    expected = [[sum(5**i * k for i, k in enumerate(form_of(a)))] for a in architectures]
    assert np.concatenate(parts).tolist() == expected
    assert sorted(asked) == sorted({form_of(a) for a in architectures})
    assert list(stream([])) == []


def test_a_space_without_live_forms_is_evaluated_as_it_is():
    def evaluate(architectures):
        yield np.zeros((len(architectures), 1))

    assert np.concatenate(list(once_per_live_form(MobileNet(depth=1), evaluate)([(0,) * 7]))).tolist() == [[0.0]]
