"""Architectures, the space they form, and what sampling, mutation and crossover do to them."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest

from raynas.search_space import (
    AdditiveTable,
    Choice,
    SearchSpace,
    all_architectures,
    as_array,
    crossover,
    mutate,
    sample,
)


class Cells(SearchSpace):
    """Two, three and four candidates."""

    name = "cells"

    @property
    def choices(self):
        return (
            Choice("1<-0", ("none", "skip")),
            Choice("2<-0", ("none", "conv", "pool")),
            Choice("2<-1", ("none", "conv", "pool", "skip")),
        )

    def build_supernet(self, num_classes):
        raise NotImplementedError

    def build_network(self, architecture, num_classes):
        raise NotImplementedError


class EvenSum(Cells):
    """Candidates must add up to an even number; repair moves the first choice."""

    def repair(self, architecture, rng):
        return architecture if sum(architecture) % 2 == 0 else (1 - architecture[0], *architecture[1:])


class Long(Cells):
    """Forty choices of five."""

    @property
    def choices(self):
        return tuple(Choice(f"layer{i}", ("none", "a", "b", "c", "d")) for i in range(40))


@pytest.fixture
def space():
    return Cells()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_check_returns_a_tuple_of_ints(space):
    for given in [1, 2, 3], (1, 2, 3), np.array([1, 2, 3]):
        checked = space.check(given)
        assert checked == (1, 2, 3)
        assert all(type(candidate) is int for candidate in checked)


def test_check_refuses_the_wrong_number_of_choices(space):
    with pytest.raises(ValueError, match=r"^architecture has 2 choices but Cells has 3 \(1<-0 ... 2<-1\)$"):
        space.check((0, 0))


@pytest.mark.parametrize(("architecture", "at"), [((2, 0, 0), "1<-0"), ((0, 0, 4), "2<-1"), ((0, -1, 0), "2<-0")])
def test_check_refuses_a_candidate_that_is_not_there(space, architecture, at):
    with pytest.raises(ValueError, match=rf"architecture takes candidate -?\d at {at} but there are"):
        space.check(architecture)


def test_describe_and_parse_are_inverse_on_the_whole_space(space):
    for architecture in map(tuple, all_architectures(space).tolist()):
        assert space.parse(space.describe(architecture)) == architecture


def test_describe_names_choices_and_candidates(space):
    assert space.describe((1, 0, 2)) == "1<-0=skip,2<-0=none,2<-1=pool"


@pytest.mark.parametrize(
    "text", ["", "1<-0=skip", "2<-0=none,1<-0=skip,2<-1=pool", "1<-0=skip,2<-0=none,2<-1=pool,x=y"]
)
def test_parse_refuses_text_of_another_form(space, text):
    with pytest.raises(ValueError, match="expected an architecture such as '1<-0=none,2<-0=none,2<-1=none', got"):
        space.parse(text)


def test_parse_refuses_an_unknown_candidate(space):
    with pytest.raises(ValueError, match="2<-0 is one of none, conv, pool, got 'skip'"):
        space.parse("1<-0=skip,2<-0=skip,2<-1=pool")


def test_by_default_every_architecture_is_legal(space, rng):
    assert space.repair((1, 2, 3), rng) == (1, 2, 3)
    assert space.num_architectures == space.size


def random_probabilities(space, rng):
    """Returns a distribution for each choice, sharp ones and flat ones."""
    return [rng.dirichlet(np.full(len(choice.candidates), rng.choice([0.2, 1, 10]))) for choice in space.choices]


@pytest.mark.parametrize("rule", ["with_none", "without_none"])
def test_alphas_stand_for_the_most_probable_candidate_of_every_choice(space, rng, rule):
    with_none = 0
    for _ in range(200):
        probabilities = random_probabilities(space, rng)
        expected = []
        for row, choice in zip(probabilities, space.choices, strict=True):
            best = None
            for k, name in enumerate(choice.candidates):
                if (rule == "with_none" or name != "none") and (best is None or row[k] > row[best]):
                    best = k
            expected.append(best)
        derived = space.derive(probabilities, rule)
        assert derived == tuple(expected) and all(type(k) is int for k in derived)
        with_none += 0 in derived
    assert (with_none > 50) == (rule == "with_none")


def test_of_equally_probable_candidates_the_first_is_taken(space):
    even = [np.full(n, 1 / n) for n in (2, 3, 4)]
    assert space.derive(even, "with_none") == (0, 0, 0)
    assert space.derive(even, "without_none") == (1, 1, 1)


def test_what_alphas_stand_for_is_repaired_the_same_each_time(rng):
    class Fussy(EvenSum):
        def repair(self, architecture, rng):
            odd = sum(architecture) % 2
            return (*architecture[:2], (architecture[2] + odd * rng.choice([1, 3])) % 4) if odd else architecture

    repaired = 0
    for space in (EvenSum(), Fussy()):
        for _ in range(50):
            probabilities = random_probabilities(space, rng)
            derived = space.derive(probabilities, "with_none")
            assert sum(derived) % 2 == 0 and derived == space.derive(probabilities, "with_none")
            repaired += derived != tuple(int(row.argmax()) for row in probabilities)
    assert repaired > 20


def test_size_counts_all_combinations(space):
    assert space.size == 24
    assert Long().size == 5**40


def test_all_architectures_are_the_product_of_the_candidates_in_its_order(space):
    listed = all_architectures(space)
    assert listed.dtype == np.int64
    assert list(map(tuple, listed.tolist())) == list(itertools.product(range(2), range(3), range(4)))


def test_as_array_keeps_the_order():
    array = as_array([(1, 2), (3, 4), (5, 6)])
    assert array.dtype == np.int64
    assert array.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_sample_draws_every_candidate_equally_often(space, rng):
    drawn = as_array([sample(space, rng) for _ in range(6000)])
    for column, choice in zip(drawn.T, space.choices, strict=True):
        expected = 1 / len(choice.candidates)
        shares = np.bincount(column, minlength=len(choice.candidates)) / 6000
        assert np.abs(shares - expected).max() < 4.5 * np.sqrt(expected * (1 - expected) / 6000)


def test_samples_mutants_and_children_are_repaired(rng):
    space = EvenSum()
    for _ in range(300):
        first, second = sample(space, rng), sample(space, rng)
        for architecture in first, second, mutate(space, first, 0.5, rng), crossover(space, first, second, rng):
            assert sum(architecture) % 2 == 0
            assert space.check(architecture) == architecture


def test_the_same_generator_state_gives_the_same_architectures(space):
    def draw():
        rng = np.random.default_rng(5)
        first, second = sample(space, rng), sample(space, rng)
        return first, second, mutate(space, first, 0.5, rng), crossover(space, first, second, rng)

    assert draw() == draw()


def test_an_architecture_is_made_of_ints_that_json_and_pickle_take(space, rng):
    parent = sample(space, rng)
    for architecture in parent, mutate(space, parent, 1.0, rng), crossover(space, parent, (0, 0, 0), rng):
        assert all(type(candidate) is int for candidate in architecture)
        assert pickle.loads(pickle.dumps(architecture)) == architecture


@pytest.mark.parametrize("probability", [0.1, 0.5, 1.0])
def test_mutation_redraws_each_choice_with_the_probability_given(rng, probability):
    space = Long()
    parent = (2,) * 40
    mutants = as_array([mutate(space, parent, probability, rng) for _ in range(400)])
    expected = probability * 4 / 5  # one draw in five repeats the old candidate
    bound = 4.5 * np.sqrt(expected * (1 - expected) / mutants.size)
    assert abs((mutants != 2).mean() - expected) < bound
    changed = mutants[mutants != 2]
    assert np.abs(np.bincount(changed, minlength=5)[[0, 1, 3, 4]] / len(changed) - 0.25).max() < 0.05


def test_mutation_with_probability_zero_changes_nothing(space, rng):
    assert all(mutate(space, (1, 2, 3), 0.0, rng) == (1, 2, 3) for _ in range(50))


def test_mutation_never_draws_what_is_excluded(space, rng):
    mutants = {mutate(space, (0, 0, 0), 1.0, rng, excluded=("none", "pool")) for _ in range(200)}
    assert mutants == {(1, 1, 1), (1, 1, 3)}


def test_mutation_keeps_an_excluded_candidate_that_the_parent_has(space, rng):
    mutants = as_array([mutate(space, (0, 0, 0), 0.3, rng, excluded=("none",)) for _ in range(200)])
    assert 0.6 < (mutants == 0).mean() < 0.8


def test_mutation_draws_any_candidate_where_all_are_excluded(space, rng):
    mutants = as_array([mutate(space, (0, 0, 0), 1.0, rng, excluded=("none", "skip")) for _ in range(200)])
    assert set(mutants[:, 0].tolist()) == {0, 1}
    assert set(mutants[:, 2].tolist()) == {1, 2}


def test_crossover_takes_each_choice_from_either_parent_equally_often(rng):
    space = Long()
    children = as_array([crossover(space, (1,) * 40, (3,) * 40, rng) for _ in range(400)])
    assert set(children.ravel().tolist()) == {1, 3}
    assert abs((children == 1).mean() - 0.5) < 4.5 * 0.5 / np.sqrt(children.size)


def test_crossover_of_an_architecture_with_itself_is_itself(space, rng):
    assert crossover(space, (1, 2, 3), (1, 2, 3), rng) == (1, 2, 3)


def random_table(dtype, num_choices=6, num_candidates=5):
    rng = np.random.default_rng(2)
    terms = (1000 * rng.standard_normal((num_choices, num_candidates, 3))).astype(dtype)
    return AdditiveTable(("a", "b", "c"), np.array([1, 2, 3], dtype=dtype), terms)


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_a_total_is_the_constant_plus_one_term_a_choice(dtype, rng):
    table = random_table(dtype)
    architectures = rng.integers(0, 5, (50, 6))
    total = table.total(architectures)
    assert total.dtype == dtype
    assert total.shape == (50, 3)
    expected = [table.fixed + sum(table.terms[i, k] for i, k in enumerate(a)) for a in architectures.tolist()]
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-2)


def test_a_total_counts_a_term_as_often_as_its_multiplicity(rng):
    table = random_table(np.int64)
    architectures = rng.integers(0, 5, (20, 6))
    multiplicity = rng.integers(0, 4, (20, 6))
    expected = [
        table.fixed + sum(m * table.terms[i, k] for i, (k, m) in enumerate(zip(a, counts, strict=True)))
        for a, counts in zip(architectures.tolist(), multiplicity.tolist(), strict=True)
    ]
    assert np.array_equal(table.total(architectures, multiplicity), expected)
    assert np.array_equal(table.total(architectures, np.ones_like(multiplicity)), table.total(architectures))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_total_does_not_depend_on_the_batch_to_the_bit(dtype, weighted, rng):
    table = random_table(dtype, num_choices=28, num_candidates=8)
    architectures = rng.integers(0, 8, (257, 28))
    multiplicity = rng.integers(0, 5, (257, 28)) if weighted else None

    def totals(rows):
        return table.total(architectures[rows], None if multiplicity is None else multiplicity[rows]).tobytes()

    one_by_one = b"".join(totals([i]) for i in range(257))
    assert totals(slice(None)) == one_by_one
    assert b"".join(totals(slice(start, start + 31)) for start in range(0, 257, 31)) == one_by_one


def test_a_total_leaves_the_table_as_it_was(rng):
    table = random_table(np.float64)
    fixed, terms = table.fixed.copy(), table.terms.copy()
    table.total(rng.integers(0, 5, (4, 6)))
    assert np.array_equal(table.fixed, fixed)
    assert np.array_equal(table.terms, terms)
