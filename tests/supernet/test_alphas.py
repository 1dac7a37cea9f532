"""The alphas' steps against both optimisers written out, on any number of workers, and after a resume."""

from __future__ import annotations

import copy
import itertools
import math
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.algorithms import ALGORITHMS
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.alpha_recipe import AlphaRecipe
from raynas.supernet.alphas import AlphaTraining, gradient_of, initial_alphas
from raynas.supernet.architecture_gradients import GRADIENTS, SgdStep, amended, first_order, loss_on, second_order
from raynas.supernet.gates import GUMBEL, MIXTURE, Gate, mixture
from raynas.supernet.routes import FAIR, GATES, SAMPLINGS, Routing
from raynas.training.objective import Objective
from raynas.training.optimizers import make_optimizer
from raynas.training.recipe import Recipe
from raynas.training.workers import ALONE
from tests.supernet.test_train_supernet import Together, assert_same_weights
from tests.supernet.toys import CLASSES, NONLINEARITIES, Toy, ToyBatches, replace, toy_supernet, train_supernet

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.2, min_learning_rate=0.01, weight_decay=0.03)
OBJECTIVE = Objective.of(RECIPE)
ALPHAS = AlphaRecipe(gradient="first", learning_rate=0.05, weight_decay=0.02)
FUNCTIONS = (torch.tanh, torch.sigmoid, torch.sin, lambda x: x)


def toy_alphas(seed=0):
    """Alphas that are not near zero, so that no two candidates weigh alike."""
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(k, generator=generator, dtype=torch.float64)) for k in Toy.counts]


def search_batches(steps_per_epoch=3):
    """Other images than those that train, in another number of steps per epoch."""
    return ToyBatches(steps_per_epoch, seed=1)


def build(alphas, recipe=ALPHAS, routing=None, objective=OBJECTIVE, batches=None, **options):
    routing = routing or Routing(Toy(), 5, MIXTURE)
    return AlphaTraining(alphas, batches or search_batches(), routing.of_alphas, recipe, objective=objective, **options)


def train(supernet, alphas, recipe=RECIPE, routing=None, optimizer=None, **options):
    """Trains weights and alphas and returns the metrics of the epochs."""
    epochs = []
    train_supernet(
        supernet,
        optimizer or make_optimizer(supernet, recipe),
        ToyBatches(),
        (routing or Routing(Toy(), 5, MIXTURE)).of_weights,
        recipe,
        alphas=alphas,
        report_epoch=options.pop("report_epoch", epochs.append),
        **options,
    )
    return epochs


# Both optimisers written out


def dense(route, counts=Toy.counts):
    """Returns the weight of every candidate of every choice, for each of the two cells."""
    cells = [route, route] if isinstance(route[0], Gate) else route
    rows = []
    for gates in cells:
        rows.append([])
        for gate, count in zip(gates, counts, strict=True):
            given = torch.ones(len(gate.active), dtype=torch.float64) if gate.weights is None else gate.weights
            places = F.one_hot(torch.tensor(gate.active), count).double()
            rows[-1].append(given @ places)
    return rows


def plain_logits(weights, images, rows):
    """Returns what the toy supernet computes if every candidate runs and is weighted, written plainly."""
    x = images.flatten(1) @ weights["stem.weight"].T + weights["stem.bias"]
    for cell, choices in enumerate(rows):
        for i, row in enumerate(choices):
            total = 0
            for k, name in enumerate(list(NONLINEARITIES)[: len(row)]):
                layer = f"cells.{cell}.{i}.{name}.0"
                total = total + row[k] * FUNCTIONS[k](x @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
            x = total
    return x @ weights["classifier.weight"].T + weights["classifier.bias"]


def plain_loss(weights, images, labels, rows, smoothing=0.0):
    logits = plain_logits(weights, images, rows)
    wanted = (1 - smoothing) * logits[range(len(labels)), labels] + smoothing * logits.mean(dim=1)
    return (logits.exp().sum(dim=1).log() - wanted).mean()


def nesterov(gradients, weights, momenta, recipe, rate):
    """Returns weights and momenta after a step; a weight without a gradient stands still."""
    weights, momenta = dict(weights), dict(momenta)
    for name, g in gradients.items():
        g = g + recipe.weight_decay * weights[name].detach()
        momenta[name] = recipe.momentum * momenta[name] + g if name in momenta else g
        weights[name] = weights[name].detach() - rate * (g + recipe.momentum * momenta[name])
    return weights, momenta


def gradients_of(loss, tensors, **options):
    """Returns the derivative of the loss by those tensors that have a part in it."""
    found = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True, **options)
    return {name: g for name, g in zip(tensors, found, strict=True) if g is not None and g.abs().max() > 0}


def plain_gradient(kind, eta, train, search, weights, alphas, momenta, recipe, rate):
    """Returns the gradient of the alphas; `train` and `search` are losses of weights and alphas."""
    alphas = [alpha.detach().requires_grad_() for alpha in alphas]
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    if kind == "first":
        return torch.autograd.grad(search(weights, alphas), alphas)
    slopes = gradients_of(train(leaves, alphas), leaves, create_graph=True)
    if kind == "second":  # differentiated right through the step of the weights
        moved, _ = nesterov(slopes, weights, momenta, recipe, rate)
        return torch.autograd.grad(search(moved, alphas), alphas)
    first = torch.autograd.grad(search(weights, alphas), alphas)
    v = gradients_of(search(leaves, alphas), leaves)
    along = sum((slopes[name] * v[name]).sum() for name in v if name in slopes)
    hessian_v = gradients_of(along, leaves, retain_graph=True)
    along = sum((slopes[name] * hessian_v[name]).sum() for name in hessian_v if name in slopes)
    return [g1 - eta * g2 for g1, g2 in zip(first, torch.autograd.grad(along, alphas), strict=True)]


def plain_training(supernet, alphas, recipe, alpha_recipe, routing):
    """Returns weights and alphas after SGD and Adam written out."""
    weights = {name: value.detach().clone() for name, value in supernet.state_dict().items()}
    alphas, momenta = [alpha.detach().clone() for alpha in alphas], {}
    first, second, moves = [0.0] * 3, [0.0] * 3, 0
    train_batches, others = ToyBatches(), search_batches()
    endless = itertools.chain.from_iterable(others.epoch(epoch) for epoch in itertools.count())
    step = 0
    for epoch in range(recipe.epochs):
        rate = recipe.min_learning_rate + (recipe.learning_rate - recipe.min_learning_rate) * (
            (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
        )
        for images, labels in train_batches.epoch(epoch):
            search_images, search_labels = next(endless)

            def route(alphas, step=step):
                if routing.gates == "mixture":
                    return [[torch.softmax(alpha, 0) for alpha in alphas]] * 2
                return dense(routing.of_alphas(step, alphas))

            def on_train(weights, alphas, images=images, labels=labels, route=route):
                return plain_loss(weights, images, labels, route(alphas), recipe.label_smoothing)

            def on_search(weights, alphas, images=search_images, labels=search_labels, route=route):
                return plain_loss(weights, images, labels, route(alphas))

            def alphas_move(weights, momenta, epoch=epoch, rate=rate, on_train=on_train, on_search=on_search):
                nonlocal moves
                if epoch < alpha_recipe.first_epoch:
                    return
                found = plain_gradient(
                    *(alpha_recipe.gradient, alpha_recipe.eta, on_train, on_search),
                    *(weights, alphas, momenta, recipe, rate),
                )
                if alpha_recipe.clip_norm is not None:
                    norm = math.sqrt(sum((g**2).sum().item() for g in found))
                    found = [g * min(1.0, alpha_recipe.clip_norm / (norm + 1e-6)) for g in found]
                moves += 1
                beta1, beta2 = alpha_recipe.betas
                for i, g in enumerate(found):
                    g = g + alpha_recipe.weight_decay * alphas[i]
                    first[i] = beta1 * first[i] + (1 - beta1) * g
                    second[i] = beta2 * second[i] + (1 - beta2) * g**2
                    mean, square = first[i] / (1 - beta1**moves), second[i] / (1 - beta2**moves)
                    alphas[i] = alphas[i] - alpha_recipe.learning_rate * mean / (square.sqrt() + 1e-8)

            if alpha_recipe.before_weights:
                alphas_move(weights, momenta)
            leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
            loss = sum(
                plain_loss(leaves, images, labels, dense(route), recipe.label_smoothing)
                for route in routing.of_weights(step, alphas)
            )
            weights, momenta = nesterov(gradients_of(loss, leaves), leaves, momenta, recipe, rate)
            weights = {name: weight.detach() for name, weight in weights.items()}
            if not alpha_recipe.before_weights:
                alphas_move(weights, momenta)
            step += 1
    return weights, alphas


@pytest.mark.parametrize("before_weights", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("routing", "changes"),
    [
        (Routing(Toy(), 5, MIXTURE), {}),
        (Routing(Toy(), 5, MIXTURE), {"gradient": "second"}),
        (Routing(Toy(), 5, MIXTURE), {"gradient": "amended", "eta": 0.3}),
        (Routing(Toy(), 5, MIXTURE), {"gradient": "second", "first_epoch": 1, "clip_norm": 0.02}),
        (Routing(Toy(), 5, cells=2), {"first_epoch": 2}),
        (Routing(Toy(), 5, FAIR, 2), {"clip_norm": 0.01, "betas": (0.9, 0.99)}),
        (Routing(Toy(), 5, GUMBEL, 2, GUMBEL, temperature=lambda step: 3.0 - step / 6), {}),
        (Routing(Toy(), 5, GUMBEL, 1, GUMBEL), {"gradient": "second"}),
        (Routing(Toy(), 5, MIXTURE, 2, GUMBEL), {"gradient": "amended"}),
    ],
    ids=lambda one: (
        ",".join(map(str, one.values())) if isinstance(one, dict) else f"{one.sampling.name} {one.gates.name}"
    ),
)
def test_training_is_sgd_and_adam_written_out(routing, changes, before_weights):
    recipe = replace(RECIPE, label_smoothing=0.2)
    alpha_recipe = replace(ALPHAS, before_weights=before_weights, **changes)
    supernet, alphas = toy_supernet(), toy_alphas()
    weights, expected = plain_training(supernet, alphas, recipe, alpha_recipe, routing)
    train(supernet, build(alphas, alpha_recipe, routing, Objective.of(recipe)), recipe, routing)
    assert_same_weights(supernet, weights, rtol=0, atol=1e-11)
    for alpha, wanted, before in zip(alphas, expected, toy_alphas(), strict=True):
        torch.testing.assert_close(alpha.detach(), wanted, rtol=0, atol=1e-11)
        assert (alpha - before).abs().max() > 0.02


# Which gradient


def problem():
    """Returns a supernet, its optimiser with momentum, a training batch and the first batch of the search split."""
    supernet = toy_supernet()
    optimizer = make_optimizer(supernet, RECIPE)
    images, labels = next(ToyBatches().epoch(7))
    supernet(images, mixture(toy_alphas())).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()
    return supernet, optimizer, (images, labels), next(search_batches().epoch(0))


GRADIENT = {
    "first": lambda train, search, weights, alphas, sgd: first_order(search, weights, alphas),
    "second": lambda train, search, weights, alphas, sgd: second_order(
        train, search, weights, alphas, SgdStep.of(sgd, weights)
    ),
    "amended": lambda train, search, weights, alphas, sgd: amended(train, search, weights, alphas, eta=0.3),
}


@pytest.mark.parametrize("radius", [None, 0.01])
@pytest.mark.parametrize("gradient", GRADIENTS.names())
def test_a_step_takes_the_gradient_that_its_recipe_names(gradient, radius):
    supernet, sgd, train_batch, search_batch = problem()
    alphas, taken = toy_alphas(), []
    recipe = replace(ALPHAS, gradient=gradient, eta=0.3, radius=radius)
    training = build(alphas, recipe)
    training.optimizer.register_step_pre_hook(lambda *_: taken.extend(alpha.grad.clone() for alpha in alphas))
    training.step(supernet, sgd, *train_batch, 0, 0, ALONE)
    weights = dict(supernet.named_parameters())
    losses = [loss_on(supernet, *batch, mixture, Objective(8)) for batch in (train_batch, search_batch)]
    exact = GRADIENT[gradient](*losses, weights, toy_alphas(), sgd)
    tolerance = {"rtol": 0, "atol": 0} if radius is None else {"rtol": 1e-2, "atol": 1e-6}
    for ours, theirs in zip(taken, exact.total, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance)
    if gradient != "first":
        assert exact.correction_norm > 1e-4
        same = [torch.equal(ours, theirs) for ours, theirs in zip(taken, exact.total, strict=True)]
        assert all(same) == (radius is None)


def test_amended_with_an_eta_of_0_is_the_first_order_to_the_bit_and_looks_at_no_training_image():
    trained = []
    for gradient in ("first", "amended"):
        supernet, alphas = toy_supernet(), toy_alphas()
        train(supernet, build(alphas, replace(ALPHAS, gradient=gradient, eta=0.0)))
        trained.append([*alphas, *supernet.state_dict().values()])
    assert all(map(torch.equal, *trained))

    def unseen(weights, alphas):
        raise AssertionError("not to be evaluated")

    supernet, _, _, batch = problem()
    search = loss_on(supernet, *batch, mixture)
    weights = dict(supernet.named_parameters())
    recipe = replace(ALPHAS, gradient="amended", eta=0.0)
    gradient_of(recipe, unseen, search, weights, toy_alphas(), lambda: unseen(None, None))


@pytest.mark.parametrize("before_weights", [True, False])
def test_the_unrolled_step_is_the_one_that_the_weights_take_next(before_weights, monkeypatch):
    """With its learning rate and momentum: before the weights' step of this batch, or after it."""
    seen, taken = [], []
    of = SgdStep.of

    def noted(optimizer, weights):
        step = of(optimizer, weights)
        seen.append((step.learning_rate, {name: buffer.clone() for name, buffer in step.buffers.items()}))
        return step

    monkeypatch.setattr(SgdStep, "of", noted)
    supernet = toy_supernet()
    recipe = replace(RECIPE, schedule_every="step")
    optimizer = make_optimizer(supernet, recipe)
    names = {parameter: name for name, parameter in supernet.named_parameters()}

    def note(*_):
        buffers = {names[p]: state["momentum_buffer"].clone() for p, state in optimizer.state.items() if state}
        taken.append((optimizer.param_groups[0]["lr"], buffers))

    (optimizer.register_step_pre_hook if before_weights else optimizer.register_step_post_hook)(note)
    alpha_recipe = replace(ALPHAS, gradient="second", before_weights=before_weights)
    train(supernet, build(toy_alphas(), alpha_recipe), recipe, optimizer=optimizer)
    assert len(seen) == len(taken) == 15
    assert len({rate for rate, _ in seen}) == 15
    assert (seen[0][1] == {}) == before_weights
    for (rate, buffers), (its_rate, its_buffers) in zip(seen, taken, strict=True):
        assert rate == its_rate and buffers.keys() == its_buffers.keys()
        assert all(torch.equal(buffers[name], its_buffers[name]) for name in buffers)


def on_batch(batch, rows):
    """Returns the loss of a batch as a function of weights and alphas, where `rows` makes the candidates' weights."""
    return lambda weights, alphas: plain_loss(weights, *batch, rows(alphas))


def gradient_taken(recipe, routing=None):
    """Returns the gradient of one step of the alphas, the problem that it is of, and its metrics."""
    supernet, sgd, train_batch, search_batch = problem()
    alphas, taken = toy_alphas(), []
    training = build(alphas, recipe, routing)
    training.optimizer.register_step_pre_hook(lambda *_: taken.extend(alpha.grad.clone() for alpha in alphas))
    training.step(supernet, sgd, *train_batch, 0, 0, ALONE)
    return taken, (supernet, sgd, train_batch, search_batch), training.take_metrics(ALONE)


def state_of(supernet, sgd):
    """Returns weights and momenta by name."""
    weights = {name: weight.detach().clone() for name, weight in supernet.named_parameters()}
    momenta = {}
    for name, weight in supernet.named_parameters():
        if sgd.state[weight]:
            momenta[name] = sgd.state[weight]["momentum_buffer"].clone()
    return weights, momenta


def one_sample(alphas, draw, temperature):
    """Returns the candidates' weights of one Gumbel sample in the first step of seed 5: GDAS, Eq. 5 to 7."""
    entropy = np.random.SeedSequence([5, 0, 1, draw] if draw else [5, 0, 1])
    generator = torch.Generator().manual_seed(int(entropy.generate_state(1, np.uint64)[0]))
    noise = -torch.empty((1, 3, max(Toy.counts)), dtype=torch.float64).exponential_(generator=generator).log()
    rows = []
    for alpha, o in zip(alphas, noise[0], strict=True):
        soft = torch.softmax((torch.log_softmax(alpha, 0) + o[: len(alpha)]) / temperature, 0)
        hard = F.one_hot(soft.argmax(), len(alpha)).double()
        rows.append(hard * (1 + soft - soft.detach()))
    return [rows, rows]


@pytest.mark.parametrize("draws", [2, 5])
@pytest.mark.parametrize("kind", ["first", "second", "amended"])
def test_the_gradient_of_several_draws_is_the_mean_of_the_gradients_of_each(kind, draws):
    recipe = replace(ALPHAS, gradient=kind, eta=0.3, draws=draws)
    routing = Routing(Toy(), 5, GUMBEL, 1, GUMBEL, temperature=lambda step: 2.0)
    taken, (supernet, sgd, train_batch, search_batch), metrics = gradient_taken(recipe, routing)
    weights, momenta = state_of(supernet, sgd)
    single, losses = [], []
    for draw in range(draws):

        def rows(alphas, draw=draw):
            return one_sample(alphas, draw, 2.0)

        on_train, on_search = on_batch(train_batch, rows), on_batch(search_batch, rows)
        state = weights, toy_alphas(), momenta, RECIPE, RECIPE.learning_rate
        single.append(plain_gradient(kind, 0.3, on_train, on_search, *state))
        losses.append(on_search(weights, toy_alphas()).item())
    for ours, theirs in zip(taken, zip(*single, strict=True), strict=True):
        torch.testing.assert_close(ours, torch.stack(theirs).mean(dim=0), rtol=0, atol=1e-12)
        assert max((one - theirs[0]).abs().max() for one in theirs) > 1e-4
    if kind != "second":  # which reports the loss at the weights ahead
        assert metrics.search_loss == pytest.approx(sum(losses) / draws)
    assert len(set(losses)) > 1


STEPS = {
    "optimizer": lambda w, g, b: w - 0.2 * (g + 0.03 * w + 0.9 * (0.9 * b + g + 0.03 * w)),
    "momentum": lambda w, g, b: w - 0.2 * (0.9 * b + g + 0.03 * w),
    "plain": lambda w, g, b: w - 0.2 * g,
}
"""The steps written out, at rate 0.2, momentum 0.9 and a weight decay of 0.03."""


@pytest.mark.parametrize("kind", STEPS)
def test_the_second_order_gradient_looks_ahead_by_the_step_that_its_recipe_names(kind):
    taken, (supernet, sgd, train_batch, search_batch), _ = gradient_taken(
        replace(ALPHAS, gradient="second", virtual_step=kind)
    )
    assert (RECIPE.learning_rate, RECIPE.momentum, RECIPE.nesterov, RECIPE.weight_decay) == (0.2, 0.9, True, 0.03)
    weights, momenta = state_of(supernet, sgd)
    alphas = [alpha.detach().requires_grad_() for alpha in toy_alphas()]

    def rows(alphas):
        return [[torch.softmax(alpha, 0) for alpha in alphas]] * 2

    leaves = {name: weight.requires_grad_() for name, weight in weights.items()}
    slopes = torch.autograd.grad(on_batch(train_batch, rows)(leaves, alphas), list(leaves.values()), create_graph=True)
    ahead = {}
    for (name, weight), slope in zip(leaves.items(), slopes, strict=True):
        ahead[name] = STEPS[kind](weight.detach(), slope, momenta[name])
    wanted = torch.autograd.grad(on_batch(search_batch, rows)(ahead, alphas), alphas)
    for ours, theirs in zip(taken, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_the_alphas_follow_no_label_smoothing_and_no_auxiliary_tower():
    class Towered(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = toy_supernet()

        def forward(self, images, gates):
            logits = self.inner(images, gates)
            return logits, 3.0 * logits.roll(1, dims=1)

    moved = []
    for supernet, objective in (
        (toy_supernet(), Objective(8)),
        (Towered(), Objective(8, label_smoothing=0.4, auxiliary_weight=0.7)),
    ):
        alphas = toy_alphas()
        build(alphas, objective=objective).step(supernet, None, *next(ToyBatches().epoch(0)), 0, 0, ALONE)
        moved.append(torch.cat(alphas).detach())
    torch.testing.assert_close(*moved, rtol=0, atol=1e-14)
    assert (moved[0] - torch.cat(toy_alphas())).abs().max() > 0.01


# What stays as it is


@pytest.mark.parametrize("gates", ["mixture", "gumbel"])
@pytest.mark.parametrize(
    ("gradient", "radius"), [("first", None), ("second", None), ("amended", None), ("second", 0.01)]
)
def test_a_step_leaves_weights_statistics_momentum_and_gradients_of_the_weights_alone(gradient, radius, gates):
    class Images:
        steps_per_epoch = 4

        def epoch(self, epoch, first_step=0, rank=0, world=1):
            generator = torch.Generator().manual_seed(epoch)
            for _ in range(first_step, 4):
                yield torch.randn(4, 3, 8, 8, generator=generator), torch.arange(4)

    space = NasBench201(channels=2, cells=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = space.build_supernet(CLASSES)
    alphas = initial_alphas(space, 3)
    sgd = make_optimizer(supernet, RECIPE)
    images, labels = next(Images().epoch(9))
    supernet(images, mixture(alphas)).square().mean().backward()
    sgd.step()
    for number, parameter in enumerate(supernet.parameters()):
        parameter.grad = torch.full_like(parameter, number) if number % 2 else None
    state, momentum = copy.deepcopy(supernet.state_dict()), copy.deepcopy(sgd.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in supernet.parameters()]
    random, before = torch.get_rng_state(), [alpha.detach().clone() for alpha in alphas]
    training = AlphaTraining(
        alphas,
        Images(),
        Routing(space, 0, GUMBEL, 3, GATES.row(gates)).of_alphas,
        replace(ALPHAS, gradient=gradient, radius=radius),
        objective=Objective(4),
    )
    for step in range(2):
        training.step(supernet, sgd, images, labels, step, 0, ALONE)
    assert not any(map(torch.equal, before, alphas)) and all(alpha.grad is None for alpha in alphas)
    assert any("running_mean" in name for name in state)
    for name, tensor in supernet.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    for parameter, gradient_before in zip(supernet.parameters(), gradients, strict=True):
        if gradient_before is None:
            assert parameter.grad is None
        else:
            assert torch.equal(parameter.grad, gradient_before)
    after = sgd.state_dict()
    assert after["param_groups"] == momentum["param_groups"] and after["state"].keys() == momentum["state"].keys()
    for key, entry in after["state"].items():
        assert torch.equal(entry["momentum_buffer"], momentum["state"][key]["momentum_buffer"])
    assert torch.equal(torch.get_rng_state(), random) and supernet.training


def test_the_alphas_begin_near_zero_and_are_a_function_of_the_seed():
    space = Toy()
    alphas = initial_alphas(space, 3)
    assert [tuple(alpha.shape) for alpha in alphas] == [(2,), (3,), (4,)]
    assert all(isinstance(alpha, nn.Parameter) and alpha.dtype == torch.float32 for alpha in alphas)
    torch.manual_seed(0)
    assert all(map(torch.equal, alphas, initial_alphas(space, 3)))
    assert not any(map(torch.equal, alphas, initial_alphas(space, 4)))
    many = torch.cat([torch.cat(initial_alphas(space, seed)) for seed in range(400)])
    assert many.std().item() == pytest.approx(1e-3, rel=0.05) and abs(many.mean().item()) < 1e-4
    assert initial_alphas(space, 3, torch.float64)[0].dtype == torch.float64


def test_the_defaults_are_those_of_darts():
    recipe = AlphaRecipe()
    assert (recipe.learning_rate, recipe.betas, recipe.weight_decay) == (3e-4, [0.5, 0.999], 1e-3)
    assert (recipe.gradient, recipe.eta, recipe.radius, recipe.clip_norm) == (None, 0.1, None, None)
    assert (recipe.before_weights, recipe.first_epoch) == (None, 0)


# Batches of the search split


class Watched(ToyBatches):
    """Notes the batches that are taken from it."""

    def __init__(self, steps_per_epoch):
        super().__init__(steps_per_epoch, seed=1)
        self.taken = []

    def epoch(self, epoch, first_step=0, rank=0, world=1):
        for step, batch in enumerate(super().epoch(epoch, first_step, rank, world), start=first_step):
            self.taken.append((epoch, step))
            yield batch


@pytest.mark.parametrize("first_epoch", [0, 2])
@pytest.mark.parametrize("steps", [1, 3, 7, 40])
def test_a_step_takes_the_batch_of_its_own_number_wherever_training_begins(steps, first_epoch):
    recipe = replace(RECIPE, epochs=3)
    for begin in range(3):
        batches = Watched(steps)
        training = build(toy_alphas(), replace(ALPHAS, first_epoch=first_epoch), batches=batches)
        train(toy_supernet(), training, recipe, first_epoch=begin)
        assert batches.taken == [divmod(step, steps) for step in range(5 * begin, 15)]


@pytest.mark.parametrize(
    ("gates", "changes", "killed_after"),
    [
        ("mixture", {}, 1),
        ("mixture", {"gradient": "second", "before_weights": True}, 2),
        ("mixture", {"first_epoch": 2}, 1),
        ("gumbel", {}, 2),
        ("gumbel", {"first_epoch": 1}, 3),
    ],
    ids=str,
)
def test_a_resumed_training_ends_with_the_bits_of_an_undisturbed_one(killed_after, gates, changes):
    recipe, alpha_recipe = replace(RECIPE, epochs=4), replace(ALPHAS, **changes)
    routing = Routing(Toy(), 5, SAMPLINGS.row(gates), 2, GATES.row(gates), temperature=lambda step: 5.0 - step / 6)
    whole, alphas = toy_supernet(), toy_alphas()
    undisturbed = train(whole, build(alphas, alpha_recipe, routing), recipe, routing)

    class Killed(Exception):
        pass

    first, before = toy_supernet(), toy_alphas()
    sgd, training = make_optimizer(first, recipe), build(before, alpha_recipe, routing)

    def kill(metrics):
        if metrics.epoch + 1 == killed_after:
            raise Killed

    with pytest.raises(Killed):
        train(first, training, recipe, routing, sgd, report_epoch=kill)
    second, again = toy_supernet(seed=99), toy_alphas(seed=99)
    second.load_state_dict(first.state_dict())
    its_sgd, its_training = make_optimizer(second, recipe), build(again, alpha_recipe, routing)
    its_sgd.load_state_dict(sgd.state_dict())
    its_training.optimizer.load_state_dict(training.optimizer.state_dict())
    for old, new in zip(before, again, strict=True):
        new.data.copy_(old.data)
    resumed = train(second, its_training, recipe, routing, its_sgd, first_epoch=killed_after)
    assert_same_weights(second, whole.state_dict(), rtol=0, atol=0)
    assert all(map(torch.equal, again, alphas))
    assert [m.further for m in resumed] == [m.further for m in undisturbed[killed_after:]]


# Metrics


def check_figures_of_means(metrics, parts):
    """Checks the figures against vectors `(steps, 2, alphas)`, pair by pair."""
    means = parts.mean(axis=0)
    norms = np.linalg.norm(means, axis=1)
    expected = [*norms, means[0] @ means[1] / np.prod(norms) if norms.all() else 0.0]
    got = [metrics.first_mean_norm, metrics.correction_mean_norm, metrics.cosine_of_means]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-15)
    for number, agreement in enumerate((metrics.first_agreement, metrics.correction_agreement)):
        vectors = parts[:, number]
        if not vectors.any():
            assert agreement is None
            continue
        products = [one @ other for one, other in itertools.permutations(vectors, 2)]
        assert agreement == pytest.approx(np.mean(products) / np.mean((vectors**2).sum(axis=1)), rel=1e-8)


@pytest.mark.parametrize("gates", ["mixture", "gumbel"])
@pytest.mark.parametrize("gradient", GRADIENTS.names())
def test_metrics_are_means_over_the_steps_of_an_epoch(gradient, gates):
    """Weights and alphas stand still, so that each step can be computed by hand."""
    recipe = replace(RECIPE, learning_rate=0.0, min_learning_rate=0.0, momentum=0.0, nesterov=False)
    supernet, alphas = toy_supernet(), toy_alphas()
    routing = Routing(Toy(), 5, SAMPLINGS.row(gates), 2, GATES.row(gates), temperature=lambda step: 4.0 - step / 10)
    alpha_recipe = replace(ALPHAS, learning_rate=0.0, gradient=gradient, eta=0.3, first_epoch=1)
    sgd = make_optimizer(supernet, recipe)
    training = build(alphas, alpha_recipe, routing, temperature=routing.temperature if gates == "gumbel" else None)
    epochs = train(supernet, training, recipe, routing, sgd)
    assert epochs[0].further == {}, "the alphas rest"
    weights, batches = dict(supernet.named_parameters()), search_batches()
    for epoch in (1, 2):
        losses, right, figures, parts = [], [], [], []
        for step, train_batch in enumerate(ToyBatches().epoch(epoch), start=5 * epoch):
            images, labels = list(batches.epoch(step // 3))[step % 3]
            route = lambda alphas, step=step: routing.of_alphas(step, alphas)  # noqa: E731 - a function of this step
            logits = plain_logits(weights, images, dense(route(alphas)))
            losses += (logits.exp().sum(dim=1).log() - logits[range(8), labels]).tolist()
            right += (logits.argmax(dim=1) == labels).tolist()
            on = [loss_on(supernet, *batch, route) for batch in (train_batch, (images, labels))]
            found = GRADIENT[gradient](*on, weights, alphas, sgd)
            figures.append((found.first_norm, found.correction_norm, found.cosine))
            parts.append(np.stack([np.concatenate(found.first), np.concatenate(found.correction)]))
        metrics = SimpleNamespace(**epochs[epoch].further["alphas"])
        assert metrics.search_loss == pytest.approx(np.mean(losses), rel=1e-10)
        assert metrics.search_accuracy == pytest.approx(100 * np.mean(right), rel=1e-12)
        assert 0 < metrics.search_accuracy < 100
        got = (metrics.first_norm, metrics.correction_norm, metrics.cosine)
        np.testing.assert_allclose(got, np.mean(figures, axis=0), rtol=1e-9, atol=1e-15)
        check_figures_of_means(metrics, np.stack(parts))
        last = 4.0 - (5 * epoch + 4) / 10
        assert metrics.temperature == (pytest.approx(last) if gates == "gumbel" else None)
        assert (metrics.correction_norm > 0) == (gradient == "amended"), "an unrolled step of length 0 is none"


def test_alphas_that_are_no_numbers_any_more_stop_the_training():
    """On random paths the loss of the weights never tells."""
    alphas = toy_alphas()
    reported = []
    training = build(alphas, replace(ALPHAS, learning_rate=1e300, weight_decay=1e10), Routing(Toy(), 5))
    with pytest.raises(RuntimeError, match=r"^the alphas diverged in epoch 0; lower alphas.learning_rate or set alph"):
        train(toy_supernet(), training, routing=Routing(Toy(), 5), report_epoch=reported.append)
    assert not reported


# Several workers


def row(name, **changes):
    """Returns what a row of the table of algorithms trains by."""
    one = ALGORITHMS.row(name)
    sampling, gates = SAMPLINGS.row(one.sampling), GATES.row(one.gates)
    routing = Routing(Toy(), 5, sampling, 2 if one.path_per_cell else 1, gates, temperature=lambda step: 2.0)
    recipe = replace(ALPHAS, gradient=one.gradient, before_weights=one.before_weights, eta=0.3)
    return (
        replace(routing, **{key: value for key, value in changes.items() if key == "cells"}),
        replace(recipe, **{key: value for key, value in changes.items() if key != "cells"}),
    )


WITH_ALPHAS = [name for name, one in ALGORITHMS.rows().items() if one.gates is not None]
CASES = {
    **{name: row(name) for name in WITH_ALPHAS},
    "gdas, shared": row("gdas", cells=1),
    "darts, clipped": row("darts", clip_norm=0.01),
    "darts_second_order, differences": row("darts_second_order", radius=0.01),
    "amended_darts, differences": row("amended_darts", radius=0.01),
    "gdas, second": row("gdas", gradient="second", before_weights=True),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("world", [1, 2, 3])
def test_any_number_of_workers_trains_the_same_weights_and_alphas(world, case):
    routing, alpha_recipe = CASES[case]
    recipe = replace(RECIPE, epochs=1, label_smoothing=0.1)

    def work(supernet, alphas, **options):
        return train(supernet, build(alphas, alpha_recipe, routing, Objective.of(recipe)), recipe, routing, **options)

    alone, its_alphas = toy_supernet(), toy_alphas()
    expected = work(alone, its_alphas)
    supernets, alphas = [toy_supernet() for _ in range(world)], [toy_alphas() for _ in range(world)]
    results, errors = Together(world).run(lambda rank, workers: work(supernets[rank], alphas[rank], workers=workers))
    assert errors == [None] * world
    for rank in range(world):
        assert_same_weights(supernets[rank], alone.state_dict(), rtol=0, atol=1e-10)
        for ours, theirs, same in zip(alphas[rank], its_alphas, alphas[0], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
            assert torch.equal(ours, same), "to the bit among workers"
        for ours, theirs in zip(results[rank], expected, strict=True):
            assert ours.further["alphas"]["search_accuracy"] == theirs.further["alphas"]["search_accuracy"]
            for key in ("search_loss", "first_norm", "correction_norm", "cosine"):
                assert ours.further["alphas"][key] == pytest.approx(theirs.further["alphas"][key], rel=1e-8), key
    assert max((a - b).abs().max() for a, b in zip(its_alphas, toy_alphas(), strict=True)) > 0.02


@pytest.mark.parametrize("before_weights", [True, False])
def test_workers_whose_alphas_differ_are_stopped_at_the_first_step(before_weights):
    alphas = [toy_alphas(seed=0), toy_alphas(seed=0)]
    alphas[1][2].data[3] += 1e-15
    supernets = [toy_supernet() for _ in range(2)]
    before = toy_supernet().state_dict()
    _, errors = Together(2).run(
        lambda rank, workers: train(
            supernets[rank],
            build(alphas[rank], replace(ALPHAS, before_weights=before_weights)),
            workers=workers,
        )
    )
    named = [str(error) for error in errors if not isinstance(error, threading.BrokenBarrierError)]
    assert named and all("workers train different paths at step 0" in line for line in named)
    for supernet in supernets:
        assert_same_weights(supernet, before, rtol=0, atol=0)


def test_every_algorithm_with_alphas_is_among_the_cases():
    assert {"darts", "darts_second_order", "amended_darts", "gdas", "setn"} <= set(WITH_ALPHAS) <= set(CASES)


# First alphas, and whether steps descend


def test_equal_alphas_weigh_all_candidates_alike_and_normal_ones_do_not():
    equal = initial_alphas(Toy(), 3, torch.float64, "equal")
    assert [alpha.tolist() for alpha in equal] == [[0.0] * count for count in Toy.counts]
    normal = initial_alphas(Toy(), 3, torch.float64)
    assert all(alpha.unique().numel() == len(alpha) and 0 < alpha.abs().max() < 0.01 for alpha in normal)


@pytest.mark.parametrize("gates", [MIXTURE, GUMBEL], ids=["mixture", "gumbel"])
def test_the_loss_after_a_step_of_the_alphas_is_that_of_the_same_batch_under_the_new_alphas(gates):
    recipe = replace(ALPHAS, measures_descent=True)
    routing = Routing(Toy(), 5, gates=gates)
    supernet, alphas = toy_supernet().train(), toy_alphas()
    training = build(alphas, recipe, routing)
    images, labels = next(ToyBatches().epoch(0))
    search_images, search_labels = next(search_batches().epoch(0))
    sgd = make_optimizer(supernet, RECIPE)

    def loss():
        logits = supernet(search_images, routing.of_alphas(0, [alpha.detach() for alpha in alphas]))
        return F.cross_entropy(logits, search_labels).item()

    before = loss()
    training.step(supernet, sgd, images, labels, 0, 0, ALONE)
    metrics = training.take_metrics(ALONE)
    assert metrics.search_loss == pytest.approx(before, rel=1e-12)
    assert metrics.search_loss_after == pytest.approx(loss(), rel=1e-12)
    if gates is MIXTURE:
        assert metrics.search_loss_after < metrics.search_loss


def test_measuring_the_descent_changes_no_bit_of_alphas_and_weights():
    kept = []
    for measures in (False, True):
        supernet, alphas = toy_supernet(), toy_alphas()
        epochs = train(supernet, build(alphas, replace(ALPHAS, measures_descent=measures)))
        assert (epochs[0].further["alphas"]["search_loss_after"] is not None) == measures
        kept.append([*(alpha.detach() for alpha in alphas), *(p.detach() for p in supernet.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*kept, strict=True))
