"""Architectures derived from alphas, and sampled by them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from raynas.search import Limits
from raynas.search_space import AdditiveTable, all_architectures, as_array
from raynas.spaces.darts import Darts
from tests.search.searchers import make_alpha_sampling, make_derive

SHARES = [np.array([0.1, 0.6, 0.3]), np.array([0.5, 0.25, 0.25])]


def search(searcher):
    """Returns all generations."""
    found = []
    while asked := searcher.ask():
        found.append(asked)
        searcher.tell(asked, np.zeros(len(asked)))
    return found


# Derived


def one_hot(*taken, count=3):
    """Returns distributions with most of the mass on the candidates given."""
    return [np.where(np.arange(count) == k, 0.8, 0.2 / (count - 1)) for k in taken]


def test_each_training_gives_its_architecture_and_equal_ones_are_one(chain):
    space = chain(2, ("a", "b", "c"))
    trained = [one_hot(2, 0), one_hot(0, 1), one_hot(2, 0), one_hot(1, 1)]
    assert search(make_derive(space, trained=trained)) == [[(0, 1), (1, 1), (2, 0)]]
    assert search(make_derive(space, trained=trained[:1])) == [[(2, 0)]]


def test_the_rule_says_whether_none_competes(chain):
    space = chain(2, ("none", "b", "c"))
    trained = [[np.array([0.5, 0.2, 0.3]), np.array([0.1, 0.6, 0.3])]]
    assert search(make_derive(space, trained=trained, derivation="with_none")) == [[(0, 1)]]
    assert search(make_derive(space, trained=trained, derivation="without_none")) == [[(2, 1)]]
    assert search(make_derive(space, trained=trained)) == [[(2, 1)]]


def test_a_space_derives_by_its_own_rule():
    space = Darts(reduction="fixed")
    trained = [list(np.random.default_rng(seed).dirichlet(np.ones(8), 14)) for seed in range(3)]
    for rule in ("with_none", "without_none"):
        ((*asked,),) = search(make_derive(space, trained=trained, derivation=rule))
        assert asked == sorted(space.derive(one, rule) for one in trained)


def test_limits_are_refused_with_what_to_do(chain):
    space = chain(2, ("a", "b", "c"))
    table = AdditiveTable(("num_parameters",), np.zeros(1), np.ones((2, 3, 1)))
    with pytest.raises(ValueError, match=r"^search.limits: .* leave them out, or take search.name: alpha_sampling$"):
        make_derive(space, trained=[one_hot(0, 0)], limits=Limits(table, max_parameters=1e9))


# Sampled


def first_draws(space, trained, number, population=1, **options):
    """Returns what each of many seeds asks first."""
    return [
        make_alpha_sampling(space, seed=seed, trained=trained, population=population, generations=1, **options).ask()
        for seed in range(number)
    ]


def test_every_choice_is_drawn_by_its_own_softmax_and_alone(chain):
    space = chain(2, ("a", "b", "c"))
    drawn = as_array([asked[0] for asked in first_draws(space, [SHARES], 4000)])
    counts = np.bincount(3 * drawn[:, 0] + drawn[:, 1], minlength=9)
    assert chisquare(counts, 4000 * np.outer(*SHARES).ravel()).pvalue > 1e-3


def test_all_draws_of_all_generations_follow_the_softmax(chain):
    """A space so large that nothing comes twice."""
    space = chain(40, ("a", "b", "c"))
    searcher = make_alpha_sampling(space, seed=3, trained=[SHARES * 20], population=100, generations=10)
    generations = search(searcher)
    assert [len(asked) for asked in generations] == [100] * 10
    drawn = as_array([one for asked in generations for one in asked])
    for parity, shares in enumerate(SHARES):
        counts = np.bincount(drawn[:, parity::2].ravel(), minlength=3)
        assert chisquare(counts, counts.sum() * shares).pvalue > 1e-3


def test_a_candidate_without_any_probability_is_never_drawn_and_a_sure_one_always(chain):
    space = chain(3, ("a", "b", "c"))
    trained = [[np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]), np.array([0.5, 0.0, 0.5])]]
    drawn = {one for asked in first_draws(space, trained, 300, population=10) for one in asked}
    assert drawn == {(1, 2, 0), (1, 2, 2)}


def test_probabilities_that_do_not_quite_add_up_to_one_are_no_trouble(chain):
    space = chain(1, ("a", "b", "c"))
    drawn = as_array([asked[0] for asked in first_draws(space, [[np.array([0.2, 0.2, 0.4])]], 2000)])
    assert chisquare(np.bincount(drawn[:, 0], minlength=3), [500, 500, 1000]).pvalue > 1e-3


def test_draws_go_to_the_trainings_in_turn(chain):
    space = chain(30, ("a", "b", "c"))
    nearly = [[np.where(np.arange(3) == k, 0.7, 0.15) for _ in range(30)] for k in range(3)]
    (asked,) = search(make_alpha_sampling(space, seed=0, trained=nearly, population=60, generations=1))
    of_whom = [int(np.bincount(one, minlength=3).argmax()) for one in asked]
    assert of_whom == [0, 1, 2] * 20


def test_a_generation_holds_what_is_new_among_its_draws(chain):
    space = chain(2, ("a", "b", "c"))
    generations = search(make_alpha_sampling(space, seed=0, trained=[SHARES], population=4, generations=50))
    asked = [one for generation in generations for one in generation]
    assert len(asked) == len(set(asked)) == 9, "all there are"
    assert all(0 < len(generation) <= 4 for generation in generations)
    assert len(generations) < 50, "generations with nothing new are passed over"
    assert len(generations[0]) < 5 and len(generations[-1]) < 4


def test_draws_that_are_used_up_end_the_search(chain):
    space = chain(2, ("a", "b", "c"))
    searcher = make_alpha_sampling(space, seed=0, trained=[one_hot(1, 2)], population=3, generations=2)
    assert sum(map(len, search(searcher))) <= 6
    assert searcher.ask() == searcher.ask() == []


def test_what_is_drawn_is_repaired():
    space = Darts(reduction="fixed")
    trained = [list(np.random.default_rng(0).dirichlet(np.ones(8), 14))]
    for generation in search(make_alpha_sampling(space, seed=1, trained=trained, population=30, generations=3)):
        assert all(space.check(one) == one for one in generation)


def test_draws_outside_the_limits_are_left_out(chain):
    space = chain(6, ("a", "b", "c"))
    table = AdditiveTable(("num_parameters",), np.zeros(1), np.tile(np.arange(3)[:, None], (6, 1, 1)))
    options = {"seed": 5, "trained": [SHARES * 3], "population": 50, "generations": 4}
    free = [one for asked in search(make_alpha_sampling(space, **options)) for one in asked]
    limits = Limits(table, max_parameters=5)
    kept = [one for asked in search(make_alpha_sampling(space, **options, limits=limits)) for one in asked]
    assert kept == [one for one in free if sum(one) <= 5] and 10 < len(kept) < len(free)
    everything = all_architectures(space)
    assert limits.admits(everything).sum() > len(kept)


def test_limits_that_no_draw_keeps_are_said(chain):
    space = chain(6, ("a", "b", "c"))
    table = AdditiveTable(("num_parameters",), np.zeros(1), np.tile(np.arange(3)[:, None], (6, 1, 1)))
    searcher = make_alpha_sampling(
        space,
        seed=0,
        trained=[one_hot(2, 2, 2, 2, 2, 2)],
        population=20,
        generations=2,
        limits=Limits(table, max_parameters=1),
    )
    with pytest.raises(ValueError, match=r"^search.limits.max_parameters: 1.0e0 admits none of \d+ sampled arch"):
        searcher.ask()


def test_another_seed_draws_others(chain):
    space = chain(30, ("a", "b", "c"))
    asked = first_draws(space, [SHARES * 15], 20, population=20)
    assert len({one for generation in asked for one in generation}) == 400
