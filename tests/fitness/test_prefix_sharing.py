"""Sharing the work of common prefixes changes no bit of what an architecture is worth."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from raynas.data import FixedImages
from raynas.search_space import sample
from raynas.spaces.mobilenet import MobileNet
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.choice_block import ChoiceBlock
from tests.fitness.one_shot import one_shot

CLASSES, LENGTH = 4, 3
OPERATIONS = ("plain", "norm", "twice")


def operation(name):
    conv, norm = (lambda: nn.Conv2d(3, 3, 3, padding=1)), (lambda: nn.BatchNorm2d(3))
    return {
        "plain": lambda: nn.Sequential(conv(), nn.ReLU()),
        "norm": lambda: nn.Sequential(conv(), norm(), nn.ReLU()),
        "twice": lambda: nn.Sequential(norm(), conv(), norm()),
    }[name]()


def chain(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        begin = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3))
        blocks = [ChoiceBlock({name: operation(name) for name in OPERATIONS}) for _ in range(LENGTH)]
        end = nn.Sequential(
            nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, CLASSES), nn.BatchNorm1d(CLASSES)
        )
        return ChainNetwork(begin, blocks, end)


class Unchained(nn.Module):
    """The same network, which does not say that it is a chain."""

    num_cells = 1

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images, gates):
        return self.network(images, gates)


def fixed_images(number, seed, size=6):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (number, size, size, 3)).astype(np.uint8)
    return FixedImages(images, rng.integers(0, CLASSES, number), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))


def fitness(network, **settings):
    return one_shot(network, fixed_images(22, 1), fixed_images(23, 2), batch_size=5, **settings)


EVERY = list(itertools.product(range(len(OPERATIONS)), repeat=LENGTH))


def one_by_one(network, architectures):
    """Returns what each is worth by the plain way: a network that does not share, asked for one at a time."""
    plain = fitness(Unchained(network))
    return np.concatenate([plain([architecture]) for architecture in architectures])


@pytest.mark.parametrize(
    "architectures",
    [EVERY, EVERY[::-1], EVERY[4:5], [EVERY[9], EVERY[9], EVERY[1], EVERY[9]], EVERY[::5]],
    ids=["all", "backwards", "one", "repeated", "some"],
)
def test_it_changes_no_bit(architectures):
    expected = one_by_one(chain(), architectures)
    assert len(np.unique(expected[:, 2])) == len(set(architectures))
    assert np.array_equal(fitness(chain())(architectures), expected)


def test_nothing_of_one_population_is_left_for_the_next():
    evaluate = fitness(chain())
    first = evaluate(EVERY)
    evaluate(EVERY[3:9])
    assert np.array_equal(evaluate(EVERY), first)


def test_none_are_worth_nothing():
    assert fitness(chain())([]).shape == (0, 3)


def test_every_candidate_runs_once_for_a_prefix():
    network, ran = chain(), Counter()
    for depth, block in enumerate(network.blocks):
        for k in range(block.num_candidates):
            block.candidate(k).register_forward_hook(lambda *_, key=(depth, k): ran.update([key]))
    population = [(0, 0, 0), (0, 0, 1), (0, 1, 1), (2, 1, 1), (0, 0, 0)]
    fitness(network)(population)
    batches = 5 + 5  # of five images, to calibrate and to evaluate
    prefixes = {population[i][: depth + 1] for i in range(len(population)) for depth in range(LENGTH)}
    expected = Counter((len(prefix) - 1, prefix[-1]) for prefix in prefixes)
    assert ran == Counter({key: batches * times for key, times in expected.items()})


def test_a_diverged_network_is_an_error_that_names_the_architecture():
    network = chain()
    network.blocks[2].candidate(1)[0].weight.data.fill_(torch.nan)
    with pytest.raises(RuntimeError, match=r"one-shot loss of \(0, 0, 1\) is nan"):
        fitness(network)([(0, 0, 0), (0, 0, 1)])


def test_mobilenets_are_shared_to_the_bit_too():
    space = MobileNet(width=0.2, depth=2)
    rng = np.random.default_rng(0)
    population = [sample(space, rng) for _ in range(4)]
    population += [(*population[0][:-1], (population[0][-1] + 1) % 6), (*population[1][:5], *population[2][5:])]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = space.build_supernet(CLASSES)
    assert isinstance(network, ChainNetwork)
    assert np.array_equal(fitness(network)(population), one_by_one(network, population))
