"""What every fitness promises: one row of finite numbers an architecture, whatever else is asked along with it."""

from __future__ import annotations

import functools
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from raynas.data import FixedImages, FixedText
from raynas.fitness import FITNESSES as ROWS
from raynas.fitness import mean_of
from raynas.fitness.accuracy_predictor import AccuracyPredictor
from raynas.fitness.angle import Angle, angle_table
from raynas.fitness.baselines import Chance, Cost
from raynas.fitness.benchmark_table import BenchmarkTable
from raynas.fitness.inherited_weights import WithInheritedWeights
from raynas.fitness.probe import WithInitialWeights
from raynas.fitness.row import ScoreOptions
from raynas.search_space import all_architectures, as_array, sample
from raynas.spaces.nasbench201 import NasBench201
from raynas.spaces.recurrent import Recurrent
from raynas.supernet.costs import cost_table
from tests.fitness.one_shot import one_shot as one_shot_of
from tests.fitness.weights import random_weights

SPACE = NasBench201(channels=2, cells=1)


def angle(definition, trained=1):
    before, after = (random_weights(SPACE, seed, torch.float32) for seed in (0, trained))
    return Angle(SPACE, angle_table(SPACE, before, after, definition))


def initial_angle():
    states = []
    for seed in (0, 1):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            states.append(SPACE.build_supernet(5).state_dict())
    return Angle(SPACE, angle_table(SPACE, *states, "paper"))


def one_shot(measure, seed=0):
    def images(number):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (number, 8, 8, 3), dtype=np.uint8)
        return FixedImages(pixels, rng.integers(0, 5, number), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        supernet = SPACE.build_supernet(5)
    return one_shot_of(supernet, images(20), images(30), measure=measure, batch_size=16)


def one_shot_perplexity():
    """The perplexity of a text in streams; the space of the other fitnesses has as many choices as this one."""
    rng = np.random.default_rng(0)
    text = FixedText(rng.integers(0, 5, 60), rng.integers(0, 5, 60), window=7)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Recurrent(nodes=3, embedding=4, hidden=4).build_supernet(5)
        for parameter in supernet.parameters():
            torch.nn.init.normal_(parameter)
    return WithInheritedWeights(supernet, text, text, ROWS.row("one_shot_perplexity"), batch_size=4)


def score(name, seed=0):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    images = FixedImages(pixels, rng.integers(0, 5, 8), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        supernet = SPACE.build_supernet(5)
    row = ROWS.row(name)
    options = ScoreOptions(swap_mu=1.0, swap_sigma=1.0) if row.options is ScoreOptions else row.options()
    return WithInitialWeights(supernet, images, row, options)


def benchmark_table():
    rng = np.random.default_rng(0)
    accuracies = {tuple(a): rng.uniform(10, 94) for a in all_architectures(SPACE).tolist()}
    return BenchmarkTable(SPACE, accuracies, path=Path("table.csv"), column="test_accuracy_200")


def predictor(kind):
    rng = np.random.default_rng(0)
    known = [sample(SPACE, rng) for _ in range(30)]
    return AccuracyPredictor(SPACE, known, rng.uniform(10, 94, 30), kind=kind, seed=0)


FITNESSES = {
    "angle, paper": lambda: angle("paper"),
    "angle, official": lambda: angle("official"),
    "angle, three supernets": lambda: mean_of([angle("official", trained) for trained in (1, 2, 3)]),
    "initial angle": initial_angle,
    "one-shot accuracy": lambda: one_shot("accuracy"),
    "one-shot loss": lambda: one_shot("loss"),
    "one-shot perplexity": one_shot_perplexity,
    "one-shot accuracy, two supernets": lambda: mean_of([one_shot("accuracy", seed) for seed in (0, 1)]),
    **{name: functools.partial(score, name) for name, row in ROWS.rows().items() if row.score is not None},
    "NASWOT, two supernets": lambda: mean_of([score("naswot", seed) for seed in (0, 1)]),
    "benchmark table": benchmark_table,
    "Gaussian process": lambda: predictor("gaussian_process"),
    "gradient boosting": lambda: predictor("gradient_boosting"),
    "parameters": lambda: Cost(cost_table(SPACE, 8, 5), "num_parameters"),
    "multiply-adds": lambda: Cost(cost_table(SPACE, 8, 5), "multiply_adds"),
    "chance": lambda: Chance(0),
}
COARSE = ("one-shot accuracy", "one-shot accuracy, two supernets")  # one of 31 numbers, one of 61
NUMBER = 21


@pytest.fixture(scope="module", params=FITNESSES)
def fitness(request):
    return FITNESSES[request.param]()


@pytest.fixture(scope="module")
def architectures():
    rng = np.random.default_rng(0)
    return [(0,) * 6, (1,) * 6, (3,) * 6, *(sample(SPACE, rng) for _ in range(NUMBER - 3))]


@pytest.fixture(scope="module")
def whole(fitness, architectures):
    """What the architectures are worth, asked all at once."""
    rows = fitness(architectures)
    rows.setflags(write=False)
    return rows


def test_a_fitness_is_a_row_of_finite_float64_an_architecture(fitness, whole):
    assert isinstance(whole, np.ndarray)
    assert whole.shape == (NUMBER, len(fitness.quantities)) and whole.dtype == np.float64
    assert np.isfinite(whole).all()


def test_quantities_have_names_of_their_own_and_the_first_is_the_fitness(fitness):
    assert type(fitness.quantities) is tuple and fitness.quantities[0] == "fitness"
    assert len(set(fitness.quantities)) == len(fitness.quantities)


def test_a_fitness_tells_architectures_apart(request, whole):
    values = len(np.unique(whole[:, 0]))
    assert values > (2 if request.node.callspec.params["fitness"] in COARSE else NUMBER // 2)
    assert len(np.unique(whole, axis=0)) > NUMBER // 2


def test_neither_order_nor_company_changes_a_bit(fitness, architectures, whole):
    assert np.concatenate([fitness([a]) for a in architectures]).tobytes() == whole.tobytes()
    parts = [fitness(architectures[start : start + 4]) for start in range(0, NUMBER, 4)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    order = np.random.default_rng(1).permutation(NUMBER)
    assert fitness([architectures[i] for i in order]).tobytes() == whole[order].tobytes()
    assert fitness([*architectures[:5]] * 2).tobytes() == np.tile(whole[:5], (2, 1)).tobytes()


def test_architectures_as_a_json_file_gives_them_back_have_the_same_fitness(fitness, architectures, whole):
    assert fitness([list(a) for a in architectures]).tobytes() == whole.tobytes()


def test_evaluating_changes_neither_the_architectures_nor_later_evaluations(fitness, architectures):
    given = list(architectures)
    first = fitness(given)
    kept = first.copy()
    first[:] = -1
    assert given == architectures
    assert fitness(architectures).tobytes() == kept.tobytes()


def test_a_pickled_fitness_gives_the_same_bits(fitness, architectures, whole):
    copy = pickle.loads(pickle.dumps(fitness))
    assert copy.quantities == fitness.quantities
    assert copy(architectures).tobytes() == whole.tobytes()


def test_the_same_ingredients_make_the_same_fitness(request, architectures, whole):
    again = FITNESSES[request.node.callspec.params["fitness"]]()
    assert again(architectures).tobytes() == whole.tobytes()


def test_no_architectures_have_no_fitness(fitness):
    nothing = fitness([])
    assert nothing.shape == (0, len(fitness.quantities)) and nothing.dtype == np.float64


def test_the_generators_of_torch_and_numpy_are_left_alone(fitness, architectures):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    fitness(architectures)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    assert as_array(architectures).shape == (NUMBER, 6)
