"""Scores at initialisation, and the derived networks of plain torch that they are compared with."""

from __future__ import annotations

import numpy as np
import torch

from raynas.data import FixedImages
from raynas.fitness import FITNESSES
from raynas.fitness.probe import WithInitialWeights
from raynas.spaces.nasbench201 import NasBench201

SPACE = NasBench201(channels=4, cells=1)
IMAGES, LABELS = 6, 10


def supernet_of(space):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return space.build_supernet(LABELS)


def batch():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)
    return FixedImages(pixels, rng.integers(0, LABELS, IMAGES), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))


def fitness_of(name, space=SPACE, **options):
    row = FITNESSES.row(name)
    return WithInitialWeights(supernet_of(space), batch(), row, row.options(**options))


def score_of(name, architecture, space=SPACE, **options):
    return fitness_of(name, space, **options)([architecture])[0, 0]


def derived(architecture, space=SPACE):
    """Returns the derived network with the supernet's weights, and the batch."""
    network = space.build_network(architecture, LABELS).train()
    state = supernet_of(space).state_dict()
    network.load_state_dict({name: state.get(name, value) for name, value in network.state_dict().items()})
    ((images, labels),) = batch().batches(IMAGES, torch.device("cpu"))
    return network, images, labels


ARCHITECTURES = [(3, 3, 3, 3, 3, 3), (1, 4, 2, 3, 0, 1), (2, 0, 3, 1, 4, 2), (0, 0, 0, 1, 0, 0)]
PATHLESS = (0,) * 6
