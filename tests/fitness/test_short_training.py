"""The score of a short training, against the same steps written out on the derived network."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from raynas.data import FixedImages
from raynas.fitness import FITNESSES
from raynas.fitness.probe import WithInitialWeights
from raynas.fitness.short_training import ShortTrainingOptions
from tests.fitness.initial import LABELS, SPACE, supernet_of

COUNT, EPOCHS = 200, 2  # three batches of 64, and 8 images that are left out


def images():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (COUNT, 8, 8, 3), dtype=np.uint8)
    return FixedImages(pixels, rng.integers(0, LABELS, COUNT), (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))


def fitness():
    options = ShortTrainingOptions(training_images=COUNT, training_epochs=EPOCHS)
    return WithInitialWeights(supernet_of(SPACE), images(), FITNESSES.row("short_training"), options)


def written_out(architecture):
    """Returns minus the mean loss of the last epoch, with SGD by hand: v = 0.9 v + g, w = w - rate (g + 0.9 v)."""
    network = SPACE.build_network(architecture, LABELS).train()
    state = supernet_of(SPACE).state_dict()
    network.load_state_dict({name: state.get(name, value) for name, value in network.state_dict().items()})
    trained = [p for name, p in network.named_parameters() if name in state]  # the supernet's norms have no weights
    velocity = [torch.zeros_like(p) for p in trained]
    ((pixels, labels),) = images().batches(COUNT, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    step = 0
    for _ in range(EPOCHS):
        losses = []
        order = torch.randperm(COUNT, generator=generator)
        for start in (0, 64, 128):
            batch = order[start : start + 64]
            rate = 0.05 * (1 + math.cos(math.pi * step / 6))
            loss = F.cross_entropy(network(pixels[batch]), labels[batch])
            gradients = torch.autograd.grad(loss, trained, allow_unused=True)
            losses.append(loss.item())
            with torch.no_grad():
                for w, v, g in zip(trained, velocity, gradients, strict=True):
                    if g is not None:
                        g = g + 5e-4 * w
                        v.mul_(0.9).add_(g)
                        w.sub_(rate * (g + 0.9 * v))
            step += 1
    return -np.mean(losses)


@pytest.mark.parametrize("architecture", [(3, 1, 2, 4, 0, 3), (0, 0, 0, 2, 0, 0)])
def test_it_is_the_mean_loss_of_the_last_epoch(architecture):
    assert fitness()([architecture])[0, 0] == pytest.approx(written_out(architecture), rel=1e-5)


def test_architectures_do_not_see_each_other():
    one, other = (3, 1, 2, 4, 0, 3), (3, 3, 3, 3, 3, 3)
    together = fitness()([one, other, one])[:, 0]
    assert together[0] == together[2] == fitness()([one])[0, 0]
    assert together[1] == fitness()([other])[0, 0]
