"""Candidates that a step does not run: they rest, or coast as in PyTorch of the time of RLNAS."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.supernet.routes import fair_paths, path_route, uniform_paths
from raynas.training.optimizers import make_optimizer, optimizer_state, restore_optimizer
from raynas.training.recipe import Recipe
from tests.supernet.toys import Toy, ToyBatches, replace, toy_supernet, train_supernet

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.2, min_learning_rate=0.01, weight_decay=0.03)


def uniform(step):
    return uniform_paths(Toy(), 5, step, 1)


def fair(step):
    return fair_paths(Toy(), 5, step, 2)


def with_gradients_filled_with_zeros(recipe, paths):
    """Returns a supernet trained by the loop of its time: gradients are zeroed, and none is ever taken away."""
    supernet = toy_supernet().train()
    optimizer = torch.optim.SGD(
        supernet.parameters(),
        recipe.learning_rate,
        recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )
    step = 0
    for epoch in range(recipe.epochs):
        for images, labels in ToyBatches().epoch(epoch):
            optimizer.param_groups[0]["lr"] = recipe.rate(epoch, step, 1)
            optimizer.zero_grad(set_to_none=False)
            for path in paths(step):
                F.cross_entropy(supernet(images, path_route(path)), labels).backward()
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(supernet.parameters(), recipe.clip_norm)
            optimizer.step()
            step += 1
    return supernet


def trained(recipe, paths, coasts):
    supernet = toy_supernet()
    optimizer = make_optimizer(supernet, recipe, coasts=coasts)
    train_supernet(
        supernet, optimizer, ToyBatches(), lambda step, alphas: [path_route(path) for path in paths(step)], recipe
    )
    return supernet


def distance(first, second):
    return max((a - b).abs().max().item() for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("paths", [uniform, fair])
@pytest.mark.parametrize("changes", [{}, {"nesterov": False}, {"weight_decay": 0.0}, {"clip_norm": 0.05}], ids=str)
def test_coasting_is_sgd_with_the_gradients_of_idle_candidates_filled_with_zeros(paths, changes):
    recipe = replace(RECIPE, **changes)
    expected = with_gradients_filled_with_zeros(recipe, paths)
    assert distance(trained(recipe, paths, coasts=True), expected) < 1e-12
    rested = distance(trained(recipe, paths, coasts=False), expected)
    assert rested > 1e-3 if paths is uniform else rested < 1e-12, "fair steps leave no candidate idle"


def test_a_candidate_that_no_step_has_run_stays_as_it_is_and_one_that_ran_once_goes_on_moving():
    network = nn.ModuleList([nn.Linear(2, 2, bias=False) for _ in range(3)])
    before = [layer.weight.detach().clone() for layer in network]
    recipe = Recipe(learning_rate=0.5, momentum=0.5, nesterov=False, weight_decay=0.1)
    optimizer = make_optimizer(network, recipe, coasts=True)
    once = torch.ones(2, 2)
    network[0].weight.grad = once.clone()
    for _ in range(3):
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    weight, momentum = before[0].clone(), torch.zeros(2, 2)
    for gradient in (once, 0 * once, 0 * once):
        momentum = 0.5 * momentum + gradient + 0.1 * weight
        weight = weight - 0.5 * momentum
    torch.testing.assert_close(network[0].weight.detach(), weight)
    assert torch.equal(network[1].weight, before[1]) and torch.equal(network[2].weight, before[2])


def test_what_has_moved_is_known_after_a_resume():
    recipe = Recipe(learning_rate=0.5, momentum=0.5, nesterov=False, weight_decay=0.1)
    first = nn.Linear(2, 2, bias=False)
    optimizer = make_optimizer(first, recipe, coasts=True)
    first.weight.grad = torch.ones(2, 2)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)

    second = nn.Linear(2, 2, bias=False)
    second.load_state_dict(first.state_dict())
    resumed = make_optimizer(second, recipe, coasts=True)
    restore_optimizer(second, resumed, optimizer_state(first, optimizer))
    at_once = first.weight.detach().clone()
    optimizer.step()
    resumed.step()
    assert torch.equal(first.weight, second.weight) and not torch.equal(first.weight, at_once)
