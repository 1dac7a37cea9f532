"""The architectures of largest angle, exactly: against the enumeration of small chains, and on a large one."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from raynas.search import Limits, order
from raynas.search.angle_bounds import Relaxation, Sums
from raynas.search_space import AdditiveTable, Choice, SearchSpace, all_architectures, as_array
from tests.search.searchers import make_evolution, make_exact_angle

SIZES = (3, 1, 4, 6, 2, 5)


class Ragged(SearchSpace):
    """Independent choices of so many candidates each."""

    name = "ragged"

    def __init__(self, sizes=SIZES):
        self.sizes = sizes

    @property
    def choices(self):
        return tuple(Choice(f"layer{i}", tuple("abcdefg"[:size])) for i, size in enumerate(self.sizes))

    def build_supernet(self, num_classes):
        raise AssertionError("a searcher builds no network")

    def build_network(self, architecture, num_classes):
        raise AssertionError("a searcher builds no network")


def turned(rng, before):
    """Weights that training turned and let grow, each candidate's by an amount of its own."""
    growth = np.exp(rng.normal(0, 0.5, (*before.shape[:2], 1)))
    return growth * before + 0.7 * growth**2 * rng.standard_normal(before.shape)


def some(rng, before):
    """Half of the candidates."""
    return rng.random((*before.shape[:2], 1)) < 0.5


TRAININGS = {
    "turned": turned,
    "turned round": lambda rng, before: -turned(rng, before),
    "anywhere": lambda rng, before: np.exp(rng.normal(size=(*before.shape[:2], 1))) * rng.normal(size=before.shape),
    "small ones grew": lambda rng, before: before / (before**2).sum(-1, keepdims=True) ** 1.5,
    "small ones grew round": lambda rng, before: -turned(rng, before) / (before**2).sum(-1, keepdims=True) ** 2,
    "only some turned": lambda rng, before: np.where(some(rng, before), before, turned(rng, before)),
    "only some left": lambda rng, before: np.where(some(rng, before), 0.0, turned(rng, before)),
    "none turned": lambda rng, before: before,
}


class Case:
    """A small chain with weights, all its architectures, and their angles by the vectors themselves."""

    def __init__(self, training, seed, fixed=4):
        rng = np.random.default_rng(seed)
        self.space = Ragged()
        before = np.exp(rng.normal(0, 0.7, (len(SIZES), 6, 1))) * rng.standard_normal((len(SIZES), 6, 4))
        after = TRAININGS[training](rng, before)
        stem = rng.standard_normal((2, 1, fixed))
        terms = np.stack([(before * after).sum(-1), (before**2).sum(-1), (after**2).sum(-1)], axis=-1)
        always = np.array([(stem[0] * stem[1]).sum(), (stem[0] ** 2).sum(), (stem[1] ** 2).sum()])
        self.table = AdditiveTable(("dot", "initial", "trained"), always, terms)
        self.every = all_architectures(self.space)
        vectors = []
        for weights, part in ((before, stem[0]), (after, stem[1])):
            taken = weights[np.arange(len(SIZES)), self.every].reshape(len(self.every), -1)
            vectors.append(np.concatenate([taken, np.repeat(part, len(taken), axis=0)], axis=1))
        lengths = [np.linalg.norm(vector, axis=1) for vector in vectors]
        alive = (lengths[0] > 0) & (lengths[1] > 0)
        cosines = np.ones(len(self.every))
        cosines[alive] = (vectors[0] * vectors[1]).sum(1)[alive] / (lengths[0] * lengths[1])[alive]
        self.angles = np.arccos(np.clip(cosines, -1, 1))
        self.number = {tuple(a): i for i, a in enumerate(self.every.tolist())}
        counts, seconds = rng.integers(0, 10**7, (len(SIZES), 6, 2)), rng.random((len(SIZES), 6, 1)) * 1e-3
        names = ("num_parameters", "multiply_adds", "latency")
        self.costs = AdditiveTable(names, np.array([100.0, 10**8, 2e-3]), np.concatenate([counts, seconds], axis=2))

    def limits(self, **shares):
        """Returns limits at quantiles of the costs, named as `Limits` does."""
        columns = dict(zip(("parameters", "multiply_adds", "latency"), self.costs.total(self.every).T, strict=True))
        bounds = {k: float(np.quantile(columns[k[4:]], share, method="nearest")) for k, share in shares.items()}
        return Limits(self.costs, **bounds)


BOUNDS = {
    "no limit": {},
    "half": {"max_multiply_adds": 0.5},
    "next to nothing": {"max_latency": 0.02},
    "large ones": {"min_parameters": 0.9},
    "a slice": {"min_multiply_adds": 0.6, "max_multiply_adds": 0.65},
    "four limits": {"max_parameters": 0.6, "min_parameters": 0.2, "max_multiply_adds": 0.5, "max_latency": 0.6},
}


@pytest.mark.parametrize("bounds", BOUNDS.values(), ids=BOUNDS)
@pytest.mark.parametrize("training", TRAININGS)
def test_the_largest_angles_are_those_of_the_enumeration(monkeypatch, training, bounds):
    monkeypatch.setattr("raynas.search.angle_bounds.SEGMENTS", 4)
    for seed, (top, chunk, trial) in enumerate([(1, 4096, 10**6), (5, 4096, 150), (20, 9, 10**6)]):
        monkeypatch.setattr("raynas.search.angle_bounds.CHUNK", chunk)
        monkeypatch.setattr("raynas.search.angle_bounds.TRIAL", trial)
        case = Case(training, seed, fixed=4 * (seed % 2))
        limits = case.limits(**bounds) if bounds else None
        searcher = make_exact_angle(case.space, table=case.table, limits=limits, top=top)
        proposed = searcher.ask()
        allowed = np.flatnonzero(limits.admits(case.every)) if bounds else np.arange(len(case.every))
        assert len(proposed) == len(set(proposed)) == min(top, len(allowed))
        numbers = [case.number[architecture] for architecture in proposed]
        assert set(numbers) <= set(allowed.tolist())
        largest = np.sort(case.angles[allowed])[::-1][: len(proposed)]
        assert np.allclose(case.angles[numbers], largest, rtol=0, atol=3e-8)  # arccos halves the digits next to 0
        assert searcher.missed == 0.0


def test_the_cases_have_acute_and_obtuse_angles():
    assert Case("turned", 0).angles.max() < math.pi / 2 < Case("turned round", 0).angles.min()
    for training in ("anywhere", "small ones grew round"):
        angles = Case(training, 0).angles
        assert angles.min() < math.pi / 2 < angles.max()


@pytest.mark.parametrize("training", ["turned", "turned round"])
def test_equal_angles_stand_in_the_order_of_all_architectures(monkeypatch, training):
    monkeypatch.setattr("raynas.search.angle_bounds.CHUNK", 3)
    case = Case(training, 1)
    case.table.terms[:, 1::2] = case.table.terms[:, ::2]  # of each two candidates the second is like the first
    dot, initial, after = case.table.total(case.every).T
    first = order([tuple(a) for a in case.every.tolist()], np.arccos(dot / np.sqrt(initial * after)))[:30]
    proposed = make_exact_angle(case.space, table=case.table, top=30).ask()
    assert proposed == [tuple(a) for a in case.every[first].tolist()]


@pytest.mark.parametrize("training", ["turned round", "small ones grew round"])
def test_obtuse_angles_are_sought_in_ever_smaller_segments(monkeypatch, training):
    for name, value in (("SEGMENTS", 8), ("TRIAL", 1)):
        monkeypatch.setattr(f"raynas.search.angle_bounds.{name}", value)
    for seed in range(2):
        case = Case(training, seed, fixed=0)
        searcher = make_exact_angle(case.space, table=case.table, top=10)
        numbers = [case.number[architecture] for architecture in searcher.ask()]
        assert np.allclose(case.angles[numbers], np.sort(case.angles)[::-1][:10], rtol=0, atol=1e-12)
        assert searcher.missed == 0


@pytest.mark.parametrize("training", ["turned", "anywhere", "small ones grew round"])
@pytest.mark.parametrize("cosine", [-0.9, -0.2, 0.0, 0.4, 0.9])
def test_a_bound_is_below_what_it_bounds_and_touches_it(training, cosine):
    case = Case(training, 0)
    sums = Sums(case.space, case.table, None)
    dot, initial, after = AdditiveTable((), sums.fixed, sums.terms).total(case.every).T
    exact, ratios = dot - cosine * np.sqrt(initial * after), np.arctan(np.sqrt(after / initial))
    least, largest = sums.ratios()
    assert least <= ratios.min() and ratios.max() <= largest
    rng = np.random.default_rng(0)
    for _ in range(20):
        if cosine < 0:  # a segment from one architecture's ratio to another's
            ends = np.sort(rng.choice(ratios, 2, replace=False))
            relaxation, unknowns = Relaxation(sums, (float(ends[0]), float(ends[1]))), np.append(0.0, np.zeros(2))
            inside, touching = (ratios >= ends[0]) & (ratios <= ends[1]), np.isin(ratios, ends)
            constraints = AdditiveTable((), relaxation.fixed, relaxation.terms).total(case.every)[:, 3:]
            assert ((constraints <= 1e-12).all(axis=1) == inside)[~touching].all()
        else:  # u^2 is the ratio of an architecture
            touched = rng.integers(len(ratios))
            relaxation, unknowns = Relaxation(sums), np.array([math.log(math.tan(ratios[touched]))])
            inside, touching = np.full(len(ratios), True), np.arange(len(ratios)) == touched
        weights = relaxation.weights(cosine, unknowns)
        bound = AdditiveTable((), relaxation.fixed, relaxation.terms).total(case.every) @ weights
        assert (bound <= exact + 1e-9)[inside].all()
        assert np.allclose(bound[touching], exact[touching], rtol=0, atol=1e-9)


def test_an_architecture_without_weights_has_angle_zero_and_comes_last():
    before = np.array([[[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]])
    after = np.array([[[0.0, 0.0], [0.6, 0.8]], [[0.0, 0.0], [2.0, 1.0]]])
    terms = np.stack([(before * after).sum(-1), (before**2).sum(-1), (after**2).sum(-1)], axis=-1)
    for turn, best in ((1, (1, 0)), (-1, (0, 1))):
        table = AdditiveTable(("dot", "initial", "trained"), np.zeros(3), terms * np.array([turn, 1, 1]))
        proposed = make_exact_angle(Ragged((2, 2)), table=table).ask()
        assert len(proposed) == 4
        assert proposed[0] == best and proposed[-1] == (0, 0)


def test_more_are_wanted_than_there_are():
    case = Case("anywhere", 2)
    searcher = make_exact_angle(case.space, table=case.table, top=10**4)
    assert np.array_equal(np.sort([case.number[a] for a in searcher.ask()]), np.arange(720))
    assert searcher.missed == 0.0


def test_the_result_comes_once():
    case = Case("turned", 0)
    searcher = make_exact_angle(case.space, table=case.table, top=3)
    assert searcher.missed == math.inf
    proposed = searcher.ask()
    searcher.tell(proposed, np.zeros(3))
    assert searcher.ask() == []


@pytest.mark.parametrize("training", ["turned", "turned round", "anywhere"])
@pytest.mark.parametrize("bounds", [{}, {"max_multiply_adds": 0.4}], ids=["no limit", "a limit"])
def test_a_search_cut_short_says_how_much_it_may_have_missed(monkeypatch, training, bounds):
    for name, value in (("SEGMENTS", 4), ("TRIAL", 20), ("CHUNK", 4)):
        monkeypatch.setattr(f"raynas.search.angle_bounds.{name}", value)
    seen = []
    for seed in range(2):
        case = Case(training, seed)
        limits = case.limits(**bounds) if bounds else None
        allowed = limits.admits(case.every) if bounds else np.ones(len(case.every), dtype=bool)
        for size in (24, 60, 120, 300, 100_000):
            searcher = make_exact_angle(case.space, table=case.table, limits=limits, top=25, max_size=size)
            try:
                numbers = [case.number[architecture] for architecture in searcher.ask()]
            except ValueError as error:
                assert str(error).startswith(f"search.max_size: {size} partial architectures are too few")
                continue
            others = np.setdiff1d(np.flatnonzero(allowed), numbers)
            lacking = case.angles[others].max() - case.angles[numbers].min()
            assert lacking <= searcher.missed + 1e-9
            seen.append((searcher.missed, lacking > 1e-9))
        assert searcher.missed == 0
    assert any(0 < missed < 1 for missed, _ in seen)
    assert any(lacking for _, lacking in seen)


def test_a_limit_that_admits_nothing_is_named_with_the_nearest_cost_there_is():
    case = Case("turned", 0)
    costs = case.costs.total(case.every)
    nearest = costs[:, 1].min()
    limits = Limits(case.costs, max_multiply_adds=nearest - 1e5, min_parameters=costs[:, 0].max() - 10)
    with pytest.raises(ValueError) as error:
        make_exact_angle(case.space, table=case.table, limits=limits).ask()
    assert str(error.value).startswith("search.limits.max_multiply_adds: ")
    mantissa, exponent = f"{nearest:.3e}".split("e")
    seen = f"smallest seen: {mantissa.rstrip('0')}e{int(exponent)}"
    assert str(error.value).endswith(f"admits none of the 720 architectures ({seen}); raise the limit")


def test_limits_that_only_together_admit_nothing_are_named_together():
    case = Case("turned", 0)
    costs = case.costs.total(case.every)
    limits = Limits(case.costs, max_multiply_adds=costs[:, 1].min(), min_parameters=costs[:, 0].max())
    assert not limits.admits(case.every).any()
    message = "search.limits: min_parameters, max_multiply_adds admit none of the 720 architectures together, but each"
    with pytest.raises(ValueError, match=message):
        make_exact_angle(case.space, table=case.table, limits=limits).ask()


class Repaired(Ragged):
    def repair(self, architecture, rng):
        return architecture


class Cells(Ragged):
    def path_counts(self, architectures):
        return np.ones_like(architectures)


@pytest.mark.parametrize("kind", [Repaired, Cells])
@pytest.mark.parametrize(("sizes", "mend"), [((5,) * 6, "exhaustive"), ((7,) * 8, "evolution")])
def test_a_space_of_dependent_choices_is_refused(kind, sizes, mend):
    with pytest.raises(ValueError, match=f"exact_angle is for chains .*, which {kind.__name__} is not; take {mend}$"):
        make_exact_angle(kind(sizes), table=Case("turned", 0).table)


# A chain of the shape of the MobileNet space of RLNAS: 6^6 x 7^15 architectures.

STAGES = ((32, 4, 2), (56, 4, 2), (112, 4, 2), (128, 4, 1), (256, 4, 2), (432, 1, 1))
FIRSTS = (0, 4, 8, 12, 16, 20)


def mobilenet(seed, differences):
    """Returns the space, an angle table, and the costs.

    A kernel's squared norm is about its output channels, as initialised; training lets it grow and turns it, and
    `differences` says how much more one candidate than another.
    """
    rng = np.random.default_rng(seed)
    sums, costs = np.zeros((21, 7, 3)), np.zeros((21, 7, 1), dtype=np.int64)
    layers, before, pixels = [], 24, 112
    for after, blocks, stride in STAGES:
        for block in range(blocks):
            layers.append((before, after, pixels, pixels // stride if block == 0 else pixels))
            before, pixels = layers[-1][1], layers[-1][3]
    for layer, (before, after, larger, smaller) in enumerate(layers):
        turn = rng.uniform(0.5, 0.9)
        for k in range(6):
            kernel, hidden = (3, 5, 7)[k % 3], (3, 6)[k // 3] * before
            costs[layer, k] = hidden * (before * larger**2 + (kernel**2 + after) * smaller**2)
            initial = np.array([hidden, hidden, after]) / 3 * rng.normal(1, 0.02, 3)
            growth = np.exp(0.4 + 0.3 * differences * rng.standard_normal(3))
            angles = turn + 0.15 * differences * rng.standard_normal(3)
            sums[layer, k] = (
                (initial * growth * np.cos(angles)).sum(),
                initial.sum(),
                (initial * growth**2).sum(),
            )
        if layer not in FIRSTS:
            sums[layer, 6] = after  # the identity that stands for a skip
    space = Ragged(tuple(6 if layer in FIRSTS else 7 for layer in range(21)))
    table = AdditiveTable(("dot", "initial", "trained"), np.array([700.0, 576.0, 970.0]), sums)
    return space, table, AdditiveTable(("multiply_adds",), np.array([75_000_000]), costs)


def angle(table, architectures):
    dot, initial, after = table.total(as_array(architectures)).T
    return np.arccos(dot / np.sqrt(initial * after))


@pytest.mark.parametrize("differences", [1.0, 0.1, 0.001])
def test_the_mobilenet_space_is_searched_exactly_within_seconds(differences):
    space, table, costs = mobilenet(0, differences)
    assert space.size == 6**6 * 7**15
    limits = Limits(costs, max_multiply_adds=475e6)
    began = time.process_time()
    searcher = make_exact_angle(space, table=table, limits=limits)
    best = searcher.ask()
    assert time.process_time() - began < 5  # 0.2 on one core of a server
    assert searcher.missed == 0.0
    assert limits.admits(as_array(best)).all()
    assert not limits.admits(as_array(make_exact_angle(space, table=table).ask())).all()  # the limit binds
    evolution = make_evolution(space, seed=0, population=50, select=10, mutations=25, crossovers=25, limits=limits)
    found = 0.0
    while architectures := evolution.ask():
        fitness = angle(table, architectures)
        found = max(found, float(fitness.max()))
        evolution.tell(architectures, fitness)
    assert angle(table, best[:1])[0] >= found


@pytest.mark.parametrize("sign", [1, -1], ids=["acute", "obtuse"])
def test_no_architecture_within_two_changes_of_the_best_is_better(sign):
    space, table, costs = mobilenet(1, 1.0)
    table.terms[..., 0] *= sign
    table.fixed[0] *= sign
    limits = Limits(costs, max_multiply_adds=475e6)
    best = make_exact_angle(space, table=table, limits=limits, top=10).ask()
    single = [(i, k) for i, size in enumerate(space.sizes) for k in range(size)]
    near = np.repeat(np.array(best[:1]), len(single) ** 2, axis=0)
    pairs = np.array([(*a, *b) for a in single for b in single])
    rows = np.arange(len(near))
    near[rows, pairs[:, 0]], near[rows, pairs[:, 2]] = pairs[:, 1], pairs[:, 3]
    near = np.unique(near[limits.admits(near)], axis=0)
    assert len(near) > 1000
    angles = angle(table, near)
    assert angles.max() == angle(table, best[:1])[0]
    assert {tuple(a) for a in near[angles > angle(table, best[-1:])[0]].tolist()} <= set(best)
