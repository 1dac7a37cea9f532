"""What every searcher promises, on a uniform space and on a ragged one, with a constraint where a searcher takes it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from pydantic import ValidationError

from raynas.search import SEARCHERS, Limits
from raynas.search_space import AdditiveTable, Choice, SearchSpace, all_architectures, as_array


class Uniform(SearchSpace):
    """Six choices of five candidates, the size of NAS-Bench-201."""

    name = "uniform"

    @property
    def choices(self):
        return tuple(Choice(f"edge{i}", ("none", "a", "b", "c", "d")) for i in range(6))

    def build_supernet(self, num_classes):
        raise AssertionError("a searcher builds no network")

    def build_network(self, architecture, num_classes):
        raise AssertionError("a searcher builds no network")


class Ragged(Uniform):
    """Choices of two to five candidates, the first two of which must not both be 0: 300 legal of 360."""

    name = "ragged"

    @property
    def choices(self):
        return tuple(Choice(f"layer{n}", ("none", "a", "b", "c", "d")[:n]) for n in (2, 3, 4, 5, 3))

    def repair(self, architecture, rng):
        if architecture[0] or architecture[1]:
            return architecture
        return (0, int(rng.integers(1, 3)), *architecture[2:]) if rng.random() < 0.5 else (1, *architecture[1:])


class RaggedChain(Ragged):
    """The same without the constraint: 360 architectures."""

    repair = SearchSpace.repair


OPTIONS = {
    "random": {"population": 20, "generations": 6},
    "evolution": {"population": 20, "select": 6, "mutations": 8, "crossovers": 8, "generations": 6},
    "exhaustive": {"population": 20},
    "exact_angle": {"top": 120},
    "pareto": {"population": 20, "mutations": 8, "crossovers": 8, "generations": 6},
    "derive": {"derivation": "with_none"},
    "alpha_sampling": {"population": 40, "generations": 6},
    "aging_evolution": {"population": 20, "tournament": 5, "evaluations": 130, "proposals": 8},
    "local_search": {"start_samples": 20, "evaluations": 130},
    "bayesian": {"start_samples": 20, "evaluations": 120, "proposals": 20},
}
TRAININGS = {"derive": 400}
"""Supernets behind a searcher; three of others, unless one is all that it takes."""
SPACES = {name: (Uniform, RaggedChain if name == "exact_angle" else Ragged) for name in SEARCHERS.names()}
SAME_UNDER_EVERY_SEED = ("exhaustive", "exact_angle", "derive")
ONE_GENERATION = ("exact_angle", "derive")


CASES = {f"{name}-{kind.name}": (name, kind) for name in SEARCHERS.names() for kind in SPACES[name]}
CHOOSERS = pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("derive-")], indirect=True)
"""What alphas stand for is one architecture a training: there is nothing to bound, and no number to give."""


@pytest.fixture(params=CASES)
def case(request):
    """The searcher under test by name, and the space it is tested on."""
    name, kind = CASES[request.param]
    return name, kind()


@pytest.fixture
def space(case):
    return case[1]


@pytest.fixture
def build(case):
    """Builds the searcher under test on the space under test."""
    name, space = case
    row = SEARCHERS.row(name)
    context = Context(space, 1 if row.only_one_supernet else TRAININGS.get(name, 3))

    def build(seed=7, limits=None, **options):
        return row.make(space, seed, limits, context, row.options(**{**OPTIONS[name], **options}))

    build.searcher = name
    return build


class Context:
    """What a run would hold for a searcher."""

    def __init__(self, space, supernets):
        self.base_seeds = list(range(supernets))
        self.costs = table_of(space)
        self._space = space
        self._trainings = trainings_of(space, supernets)

    def alphas(self, base_seed):
        return self._trainings[base_seed]

    def angle_sums(self, base_seed):
        return angles_of(self._space)


def table_of(space):
    shape = len(space.choices), max(len(choice.candidates) for choice in space.choices), 2
    terms = np.random.default_rng(3).integers(0, 100, shape)
    return AdditiveTable(("num_parameters", "multiply_adds"), np.array([10, 20]), terms)


def angles_of(space):
    """Returns the three sums under the angle of random weights."""
    shape = len(space.choices), max(len(choice.candidates) for choice in space.choices), 4
    before, after = np.random.default_rng(4).standard_normal((2, *shape))
    terms = np.stack([(before * after).sum(-1), (before**2).sum(-1), (after**2).sum(-1)], axis=-1)
    return AdditiveTable(("dot", "initial", "trained"), np.ones(3), terms)


def trainings_of(space, number):
    """Returns what so many trainings left: a distribution for every choice."""
    rng = np.random.default_rng(5)
    return [[rng.dirichlet(np.full(len(c.candidates), 3.0)) for c in space.choices] for _ in range(number)]


def fitness_of(architectures):
    """Returns a deterministic fitness with many ties."""
    return np.array([float(np.sin(np.dot(a, range(1, len(a) + 1))).round(1)) for a in architectures])


def search(searcher, most=10**9):
    """Returns up to `most` generations as pairs of architectures and fitness."""
    history = []
    while len(history) < most and (architectures := searcher.ask()):
        history.append((architectures, fitness_of(architectures)))
        searcher.tell(*history[-1])
    return history


def generations(history):
    return [architectures for architectures, _ in history]


def test_every_searcher_has_options_here():
    assert set(OPTIONS) == set(SEARCHERS.names())


def test_asked_architectures_are_legal_tuples_of_ints(space, build):
    for architectures in generations(search(build(), most=8)):
        for architecture in architectures:
            assert space.check(architecture) == architecture
            assert all(type(candidate) is int for candidate in architecture)
            assert space.repair(architecture, np.random.default_rng(0)) == architecture


def test_no_architecture_is_asked_twice(build):
    asked = [a for architectures in generations(search(build())) for a in architectures]
    assert len(asked) == len(set(asked)) > 100


def test_the_same_seed_gives_the_same_history(build):
    assert generations(search(build(), most=8)) == generations(search(build(), most=8))


def test_another_seed_gives_another_history_unless_nothing_is_random(build):
    same = generations(search(build(seed=7), most=8)) == generations(search(build(seed=8), most=8))
    assert same == (build.searcher in SAME_UNDER_EVERY_SEED)


@pytest.mark.parametrize("when", [0, 1, 3])
def test_a_pickled_searcher_continues_identically(build, when):
    searcher = build()
    search(searcher, most=when)
    copy = pickle.loads(pickle.dumps(searcher))
    assert generations(search(copy, most=8)) == generations(search(searcher, most=8))


def test_a_searcher_pickled_between_ask_and_tell_continues_identically(build):
    searcher = build()
    architectures = searcher.ask()
    copy = pickle.loads(pickle.dumps(searcher))
    for one in searcher, copy:
        one.tell(architectures, fitness_of(architectures))
    assert generations(search(copy, most=8)) == generations(search(searcher, most=8))


def test_a_search_is_resumed_by_replaying_what_was_told(build):
    whole = search(build(), most=6)
    resumed = build()
    for architectures, fitness in whole[:3]:
        assert resumed.ask() == architectures
        resumed.tell([list(a) for a in architectures], fitness.tolist())  # as a JSON file gives them back
    assert generations(search(resumed, most=3)) == generations(whole[3:])


def test_what_the_caller_does_to_an_asked_list_changes_nothing(build):
    searcher = build()
    first = searcher.ask()
    kept = list(first)
    first.clear()
    searcher.tell(kept, fitness_of(kept))
    assert generations([(kept, None), *search(searcher, most=2)]) == generations(search(build(), most=3))


def test_asking_twice_is_refused(build):
    searcher = build()
    number = len(searcher.ask())
    with pytest.raises(RuntimeError, match=f"ask was called twice: tell the fitness of the {number} architectures"):
        searcher.ask()


def test_telling_before_asking_is_refused(build):
    with pytest.raises(RuntimeError, match="tell was called before ask"):
        build().tell([(0,)], np.zeros(1))


def test_telling_twice_is_refused(build):
    searcher = build()
    architectures = searcher.ask()
    searcher.tell(architectures, fitness_of(architectures))
    with pytest.raises(RuntimeError, match="generation 1 has not been asked"):
        searcher.tell(architectures, fitness_of(architectures))


def test_telling_other_architectures_is_refused_in_any_form(build):
    searcher = build()
    architectures = searcher.ask()
    for others in architectures[::-1], architectures[:-1], [(0,) * 6] * 20:
        with pytest.raises(RuntimeError, match="in the order asked"):
            searcher.tell(others, np.zeros(len(others)))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_fitness_that_is_not_finite_is_refused_by_name_and_may_be_told_again(build, number):
    searcher = build()
    architectures = searcher.ask()
    fitness = fitness_of(architectures)
    fitness[4] = number
    with pytest.raises(ValueError) as error:
        searcher.tell(architectures, fitness)
    assert str(error.value).startswith(f"fitness of architecture {architectures[4]} is {number}, expected a finite")
    searcher.tell(architectures, fitness_of(architectures))
    assert searcher.ask() or build.searcher in ONE_GENERATION


def test_a_fitness_of_the_wrong_length_is_refused(build):
    searcher = build()
    architectures = searcher.ask()
    number = len(architectures)
    with pytest.raises(
        ValueError, match=rf"one number for each of the {number} architectures .* shape \({number - 1},\)"
    ):
        searcher.tell(architectures, np.zeros(number - 1))


@CHOOSERS
def test_limits_are_honoured(space, build):
    table = table_of(space)
    costs = table.total(all_architectures(space))
    low, high = np.quantile(costs[:, 0], 0.1), np.quantile(costs[:, 1], 0.4)
    history = generations(search(build(limits=Limits(table, min_parameters=low, max_multiply_adds=high)), most=8))
    asked = table.total(as_array([a for architectures in history for a in architectures]))
    assert len(asked) > 40
    assert asked[:, 0].min() >= low
    assert asked[:, 1].max() <= high


@CHOOSERS
def test_limits_that_admit_nothing_are_explained_on_the_first_ask(space, build):
    searcher = build(limits=Limits(table_of(space), max_parameters=1.0))
    message = r"search.limits.max_parameters: 1.0e0 admits none of (the )?[\d,]+ (sampled )?architectures"
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            searcher.ask()


def test_a_search_ends_with_an_empty_generation_and_stays_over(build):
    searcher = build()
    search(searcher)
    assert searcher.ask() == searcher.ask() == []


@CHOOSERS
@pytest.mark.parametrize("number", [0, 1.5, True, "20"])
def test_a_number_of_architectures_that_is_no_count_is_refused(build, number):
    keys = {"exact_angle": "top", "local_search": "evaluations", "bayesian": "evaluations"}
    key = keys.get(build.searcher, "population")
    with pytest.raises(ValidationError, match=f"1 validation error.*\n{key}\n"):
        build(**{key: number})


def test_a_negative_seed_is_refused(build):
    with pytest.raises(ValueError, match="seed is a whole number of at least 0, got -1"):
        build(seed=-1)
