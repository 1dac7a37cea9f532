"""Scores at initialisation, against the same figures taken from derived networks of plain torch and from numpy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.data import FixedImages
from raynas.fitness import FITNESSES
from raynas.fitness.probe import SMALLEST, WithInitialWeights
from raynas.fitness.row import ScoreOptions
from raynas.search_space import sample
from raynas.spaces.mobilenet import MobileNet
from tests.fitness.initial import ARCHITECTURES, IMAGES, SPACE, derived, fitness_of, score_of, supernet_of


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_naswot_is_the_log_determinant_of_the_counts_of_equal_signs(architecture):
    network, images, _ = derived(architecture)
    codes = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda layer, inputs, output: codes.append(inputs[0].flatten(1) > 0))
    network(images)
    bits = torch.cat(codes, dim=1).numpy()
    kernel = np.zeros((IMAGES, IMAGES))
    for one, other in itertools.product(range(IMAGES), repeat=2):
        kernel[one, other] = bits.shape[1] - np.count_nonzero(bits[one] != bits[other])
    assert score_of("naswot", architecture) == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-9)


def test_equal_images_have_the_lowest_naswot_instead_of_none():
    images = FixedImages(np.full((2, 8, 8, 3), 7, np.uint8), np.zeros(2, np.int64), (0.5,) * 3, (0.2,) * 3)
    fitness = WithInitialWeights(supernet_of(SPACE), images, FITNESSES.row("naswot"), ScoreOptions())
    assert fitness([(3,) * 6])[0, 0] < math.log(SMALLEST) / 2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_jacob_cov_is_made_of_the_eigenvalues_of_the_correlations_of_the_gradients_of_the_images(architecture):
    network, images, _ = derived(architecture)
    images = images.clone().requires_grad_(True)
    network(images).sum().backward()
    rows = images.grad.flatten(1).double().numpy()
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(rows)) + 1e-5
    assert score_of("jacob_cov", architecture) == pytest.approx(
        -np.sum(np.log(eigenvalues) + 1 / eigenvalues), rel=1e-3
    )


def test_a_network_whose_logits_do_not_depend_on_the_image_has_the_lowest_jacob_cov():
    lowest = -IMAGES * (math.log(1e-5) + 1e5)
    assert score_of("jacob_cov", (0,) * 6) == pytest.approx(lowest)
    assert score_of("jacob_cov", (3,) * 6) > lowest


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_grad_norm_and_snip_are_sums_over_the_layers_of_the_derived_network(architecture):
    network, images, labels = derived(architecture)
    F.cross_entropy(network(images), labels).backward()
    weights = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    reached = [weight for weight in weights if weight.grad is not None]
    norms = sum(weight.grad.norm().item() for weight in reached)
    products = sum((weight * weight.grad).abs().sum().item() for weight in reached)
    assert score_of("grad_norm", architecture) == pytest.approx(norms, rel=1e-4)
    assert score_of("snip", architecture) == pytest.approx(products, rel=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_synflow_is_the_flow_through_the_derived_network_without_normalisations(architecture):
    network, images, _ = derived(architecture)
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, nn.Identity())
    network = network.double()
    weights = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    with torch.no_grad():
        for weight in weights:
            weight.abs_()
    network(torch.ones(1, 3, 8, 8, dtype=torch.float64)).sum().backward()
    flow = sum((weight * weight.grad).abs().sum().item() for weight in weights if weight.grad is not None)
    assert score_of("synflow", architecture) == pytest.approx(math.log1p(flow), rel=1e-9)


SATURATED = ("swap", "swap_regularised", "meco")  # six images have 64 patterns; maps of 1 x 1 have no correlations
SCORES = [name for name, row in FITNESSES.rows().items() if row.score is not None and name not in SATURATED]


@pytest.mark.parametrize("name", SCORES)
def test_scores_tell_the_architectures_of_a_chain_apart(name):
    space = MobileNet(width=0.25, depth=1)
    rng = np.random.default_rng(0)
    architectures = [sample(space, rng) for _ in range(4)]
    fitness = fitness_of(name, space)
    rows = fitness(architectures)
    assert rows.shape == (4, 1)
    assert len(np.unique(rows)) == 4
