"""The training loop against a hand-written step, and against itself on several workers and after a resume."""

from __future__ import annotations

import copy
import math
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.search_space import sample
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.gates import single_path
from raynas.supernet.one_shot import OneShot
from raynas.supernet.routes import fair_paths, path_route, uniform_paths
from raynas.training.learner import Position
from raynas.training.optimizers import make_optimizer
from raynas.training.recipe import Recipe
from raynas.training.workers import Workers, add_up_gradients
from tests.supernet.toys import Toy, ToyBatches, plain_logits, replace, toy_supernet, train_supernet

RECIPE = Recipe(epochs=3, batch_size=8, learning_rate=0.2, min_learning_rate=0.01, weight_decay=0.03)


def uniform(step):
    return uniform_paths(Toy(), 5, step, 1)


def per_cell(step):
    return uniform_paths(Toy(), 5, step, 2)


def fair(step):
    return fair_paths(Toy(), 5, step, 2)


PATHS = pytest.mark.parametrize("paths", [uniform, per_cell, fair], ids=["uniform", "per cell", "fair"])


def routes(paths):
    """Returns the routes of a step's paths, as the loop asks for them."""
    return lambda step, alphas: [path_route(path) for path in paths(step)]


class Step:
    """What is known after a step, as it was then."""

    def __init__(self, report):
        self.step, self.epoch, self.learning_rate = report.step, report.epoch, report.learning_rate
        self.loss_sum, self.correct_sum = report.sums.values.tolist()
        self.images = report.sums.count


def train(supernet, recipe=RECIPE, paths=uniform, batches=None, optimizer=None, **options):
    """Trains and returns the metrics of steps and epochs."""
    steps, epochs = [], []
    train_supernet(
        supernet,
        make_optimizer(supernet, recipe) if optimizer is None else optimizer,
        ToyBatches() if batches is None else batches,
        routes(paths),
        recipe,
        report_step=lambda report: steps.append(Step(report)),
        report_epoch=epochs.append,
        **options,
    )
    return steps, epochs


def loss(report):
    return report.values["loss"]


def accuracy(report):
    return report.values["accuracy"]


def plain_rate(recipe, epoch, step, steps_per_epoch):
    """Returns the learning rate of a step, written out."""
    done = step / (recipe.epochs * steps_per_epoch) if recipe.schedule_every == "step" else epoch / recipe.epochs
    falling = (1 + math.cos(math.pi * done)) / 2 if recipe.schedule == "cosine" else 1 - done
    return recipe.min_learning_rate + (recipe.learning_rate - recipe.min_learning_rate) * falling


def plain_training(weights, recipe, paths, batches):
    """Returns the weights after SGD written out, every sum plain; a weight without gradient stands still."""
    weights = {name: value.detach().clone() for name, value in weights.items()}
    momenta = {}
    step = 0
    for epoch in range(recipe.epochs):
        for images, labels in batches.epoch(epoch):
            leaves = {name: value.clone().requires_grad_() for name, value in weights.items()}
            rate = plain_rate(recipe, epoch, step, batches.steps_per_epoch)
            smoothing = recipe.label_smoothing
            loss = 0
            for path in paths(step):
                logits = plain_logits(leaves, images, path)
                wanted = (1 - smoothing) * logits[range(len(labels)), labels] + smoothing * logits.mean(dim=1)
                loss = loss + (logits.exp().sum(dim=1).log() - wanted).mean()
            gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            taken = {name: g for name, g in zip(leaves, gradients, strict=True) if g is not None}
            if recipe.clip_norm is not None:
                norm = math.sqrt(sum((g**2).sum().item() for g in taken.values()))
                taken = {name: g * min(1.0, recipe.clip_norm / (norm + 1e-6)) for name, g in taken.items()}
            if recipe.clip_value is not None:
                taken = {name: g.clamp(-recipe.clip_value, recipe.clip_value) for name, g in taken.items()}
            for name, gradient in taken.items():
                # All layers of the toy are linear: matrices and biases, no kernel of a convolution.
                if recipe.decay_on == "all" or (recipe.decay_on == "weights" and name.endswith("weight")):
                    gradient = gradient + recipe.weight_decay * weights[name]
                first = name not in momenta
                momenta[name] = gradient if first else recipe.momentum * momenta[name] + gradient
                move = gradient + recipe.momentum * momenta[name] if recipe.nesterov else momenta[name]
                weights[name] = weights[name] - rate * move
            step += 1
    return weights


def assert_same_weights(supernet, expected, **tolerance):
    for name, value in supernet.state_dict().items():
        torch.testing.assert_close(value, expected[name], **tolerance, msg=lambda text, n=name: f"{n}: {text}")


@PATHS
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"nesterov": False},
        {"momentum": 0.0, "nesterov": False},
        {"weight_decay": 0.0},
        {"clip_norm": 0.05},
        {"clip_value": 0.02},
        {"label_smoothing": 0.3},
        {"schedule": "linear"},
        {"schedule_every": "step"},
        {"schedule": "linear", "schedule_every": "step"},
        {"decay_on": "weights"},
        {"decay_on": "convolutions"},
    ],
    ids=str,
)
def test_training_is_sgd_written_out(paths, changes):
    recipe = replace(RECIPE, **changes)
    supernet = toy_supernet()
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    expected = plain_training(before, recipe, paths, ToyBatches())
    train(supernet, recipe, paths)
    assert_same_weights(supernet, expected, rtol=0, atol=1e-13)
    assert max((expected[name] - before[name]).abs().max() for name in before) > 1e-2


def test_a_step_moves_only_what_its_paths_ran():
    supernet = toy_supernet()
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    train(supernet, replace(RECIPE, epochs=2), paths=lambda step: [((1, 2, 3),)])
    moved = {name for name, value in supernet.state_dict().items() if not torch.equal(value, before[name])}
    taken = ("stem", "classifier", *(f"cells.{c}.{layer}" for c in (0, 1) for layer in ("0.sigm", "1.sine", "2.iden")))
    assert moved == {name for name in before if name.startswith(taken)}


# Several workers


class Together:
    """Adds up tensors over threads, in the order of their ranks."""

    def __init__(self, world):
        self.world, self.barrier, self.parts = world, threading.Barrier(world, timeout=30), [None] * world
        self.exchanged = []

    def worker(self, rank):
        def add_up(tensor):
            self.parts[rank] = tensor.clone()
            self.barrier.wait()
            assert all(part.shape == tensor.shape for part in self.parts)
            total = sum(self.parts[1:], start=self.parts[0])
            self.barrier.wait()
            if rank == 0:
                self.exchanged.append(tensor.numel())
            tensor.copy_(total)

        return Workers(rank, self.world, add_up)

    def run(self, work):
        """Runs ``work(rank, workers)`` on every rank and returns results and errors by rank."""
        results, errors = [None] * self.world, [None] * self.world

        def body(rank):
            try:
                results[rank] = work(rank, self.worker(rank))
            except Exception as error:  # noqa: BLE001 - handed to the test
                errors[rank] = error
                self.barrier.abort()

        threads = [threading.Thread(target=body, args=(rank,)) for rank in range(self.world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results, errors


@PATHS
@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize(
    "changes",
    [{}, {"clip_norm": 0.05}, {"clip_value": 0.02, "label_smoothing": 0.3, "schedule_every": "step"}],
    ids=str,
)
def test_any_number_of_workers_trains_the_same_weights(world, paths, changes):
    recipe = replace(RECIPE, **changes)
    alone = toy_supernet()
    _, epochs_alone = train(alone, recipe, paths)
    supernets = [toy_supernet() for _ in range(world)]
    results, errors = Together(world).run(
        lambda rank, workers: train(supernets[rank], recipe, paths, workers=workers),
    )
    assert errors == [None] * world
    for supernet, (steps, epochs) in zip(supernets, results, strict=True):
        assert_same_weights(supernet, alone.state_dict(), rtol=0, atol=1e-12)
        assert steps[-1].images * world == steps[0].images * world * 5
        for ours, theirs in zip(epochs, epochs_alone, strict=True):
            assert (ours.epoch, ours.step, accuracy(ours)) == (theirs.epoch, theirs.step, accuracy(theirs))
            assert loss(ours) == pytest.approx(loss(theirs), rel=1e-6)
            assert ours.speed * ours.seconds == pytest.approx(theirs.speed * theirs.seconds)


def test_only_gradients_of_the_active_path_are_exchanged():
    together = Together(2)
    supernets = [toy_supernet() for _ in range(2)]
    path = [((1, 2, 3),)]
    _, errors = together.run(
        lambda rank, workers: train(
            supernets[rank], replace(RECIPE, epochs=1), lambda step: path, ToyBatches(3), workers=workers
        )
    )
    assert errors == [None, None]
    active = (12 * 6 + 6) + 2 * 3 * (6 * 6 + 6) + (6 * 4 + 4)
    assert sum(p.numel() for p in supernets[0].parameters()) == active + 2 * 6 * (6 * 6 + 6)
    assert sorted(together.exchanged) == sorted([2, active, active, active, 3])


def test_gradients_are_added_up_in_place_and_those_without_stay_without():
    supernet = toy_supernet()
    images = ToyBatches().images
    supernet(images, single_path((0, 0, 0))).sum().backward()
    before = {name: None if p.grad is None else p.grad.clone() for name, p in supernet.named_parameters()}
    sent = []

    def add_up(flat):
        sent.append(flat.numel())
        flat.mul_(3)

    add_up_gradients(list(supernet.parameters()), Workers(0, 3, add_up))
    assert sent == [sum(g.numel() for g in before.values() if g is not None)]
    assert sum(gradient is None for gradient in before.values()) == 2 * 2 * 6
    for name, parameter in supernet.named_parameters():
        if before[name] is None:
            assert parameter.grad is None
        else:
            assert torch.equal(parameter.grad, 3 * before[name])


def test_one_worker_alone_exchanges_no_gradients():
    supernet = toy_supernet()
    supernet(ToyBatches().images, single_path((0, 0, 0))).sum().backward()

    def add_up(flat):
        raise AssertionError("nothing to exchange")

    add_up_gradients(supernet.parameters(), Workers(0, 1, add_up))


@pytest.mark.parametrize("world", [2, 4])
def test_workers_on_different_paths_are_stopped_at_the_first_step(world):
    supernets = [toy_supernet() for _ in range(world)]
    before = toy_supernet().state_dict()

    def paths_of(rank):
        return lambda step: uniform_paths(Toy(), 6 if rank == world - 1 else 5, step, 2)

    _, errors = Together(world).run(
        lambda rank, workers: train(supernets[rank], paths=paths_of(rank), workers=workers),
    )
    for error, supernet in zip(errors, supernets, strict=True):
        assert isinstance(error, RuntimeError)  # a broken barrier is one too
        assert_same_weights(supernet, before, rtol=0, atol=0)
    named = [str(error) for error in errors if not isinstance(error, threading.BrokenBarrierError)]
    assert named and set(named) == {
        "the workers train different paths at step 0: are they of one version and one seed?"
    }


def test_workers_whose_paths_part_later_are_stopped_within_fifty_steps():
    supernets = [toy_supernet() for _ in range(2)]
    batches = ToyBatches(60, 4)

    def paths_of(rank):  # the same number of gradients, so that the exchange itself does not notice
        return lambda step: [((0, 0, int(rank == 1 and step > 3)),)]

    together = Together(2)
    _, errors = together.run(
        lambda rank, workers: train(
            supernets[rank], replace(RECIPE, batch_size=4), paths_of(rank), batches, workers=workers
        )
    )
    assert any(str(error).startswith("the workers train different paths at step 50") for error in errors)


# Divergence, metrics


def test_divergence_is_an_error_that_names_the_cure():
    message = r"training diverged: the loss of epoch \d is (nan|inf); lower train.learning_rate or set train.clip_norm"
    reported = []
    supernet = toy_supernet()
    recipe = replace(RECIPE, learning_rate=1e6, epochs=40)
    with pytest.raises(RuntimeError, match=message):
        train_supernet(
            supernet,
            make_optimizer(supernet, recipe),
            ToyBatches(),
            routes(lambda step: [((0, 0, 3),)]),
            recipe,
            report_epoch=reported.append,
        )
    assert all(math.isfinite(loss(metrics)) for metrics in reported)


@PATHS
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
def test_metrics_are_the_mean_loss_without_smoothing_and_the_percentage_of_right_predictions(paths, label_smoothing):
    supernet = toy_supernet()
    batches = ToyBatches(5, 8)
    recipe = replace(RECIPE, learning_rate=0.0, min_learning_rate=0.0, label_smoothing=label_smoothing)
    steps, epochs = train(supernet, recipe, paths, batches)
    assert [metrics.step for metrics in steps] == list(range(1, 16))
    assert [(metrics.epoch, metrics.step) for metrics in epochs] == [(0, 5), (1, 10), (2, 15)]
    step = 0
    for epoch in range(3):
        losses, right = [], []
        for images, labels in batches.epoch(epoch):
            for path in paths(step):
                logits = plain_logits(supernet.state_dict(), images, path)
                losses += F.cross_entropy(logits, labels, reduction="none").tolist()
                right += (logits.argmax(dim=1) == labels).tolist()
            metrics = steps[step]
            assert (metrics.epoch, metrics.images, metrics.correct_sum) == (epoch, len(losses), sum(right))
            assert metrics.loss_sum == pytest.approx(sum(losses), rel=1e-6)
            step += 1
        assert loss(epochs[epoch]) == pytest.approx(np.mean(losses), rel=1e-6)
        assert accuracy(epochs[epoch]) == pytest.approx(100 * np.mean(right), rel=1e-12)
        assert 0 < accuracy(epochs[epoch]) < 100
        assert epochs[epoch].speed * epochs[epoch].seconds == pytest.approx(len(losses))
        assert epochs[epoch].learning_rate == 0


def test_the_learning_rate_is_the_cosine_of_the_epoch_for_all_its_steps():
    supernet = toy_supernet()
    recipe = replace(RECIPE, epochs=6, learning_rate=0.3, min_learning_rate=0.1)
    optimizer = make_optimizer(supernet, recipe)
    rates = []
    train_supernet(
        supernet,
        optimizer,
        ToyBatches(2),
        routes(uniform),
        recipe,
        report_step=lambda metrics: rates.append(optimizer.param_groups[0]["lr"]),
        report_epoch=lambda metrics: rates.append(metrics.learning_rate),
    )
    root = math.sqrt(3) / 2
    expected = [0.2 + 0.1 * cosine for cosine in (1, root, 0.5, 0, -0.5, -root)]
    assert rates == pytest.approx([rate for rate in expected for _ in range(3)])


def test_a_learning_rate_that_moves_every_step_is_reported_with_the_step_and_at_the_end_of_the_epoch():
    recipe = replace(RECIPE, learning_rate=0.4, min_learning_rate=0.1, schedule="linear", schedule_every="step")
    steps, epochs = train(toy_supernet(), recipe, batches=ToyBatches(2))
    assert [metrics.learning_rate for metrics in steps] == pytest.approx([0.4, 0.35, 0.3, 0.25, 0.2, 0.15])
    assert [metrics.learning_rate for metrics in epochs] == pytest.approx([0.35, 0.25, 0.15])


def test_the_learning_rate_of_the_epoch_is_given_to_every_group_of_weights():
    one, two = toy_supernet(), toy_supernet()
    train(one)
    parts = {name: [p for n, p in two.named_parameters() if n.startswith(name)] for name in ("stem", "cells", "class")}
    groups = [{"params": parts["stem"], "weight_decay": 0.03}, {"params": parts["cells"] + parts["class"]}]
    optimizer = torch.optim.SGD(groups, lr=7.0, momentum=0.9, nesterov=True, weight_decay=0.03)
    train(two, optimizer=optimizer)
    assert_same_weights(two, one.state_dict(), rtol=0, atol=1e-14)


def test_training_switches_the_supernet_to_training_mode():
    supernet = toy_supernet().eval()
    train(supernet, replace(RECIPE, epochs=1))
    assert supernet.training


# Resumes


@PATHS
@pytest.mark.parametrize(
    "changes",
    [{}, {"schedule": "linear", "schedule_every": "step", "decay_on": "weights", "clip_value": 0.02}],
    ids=str,
)
def test_a_resumed_training_ends_with_the_bits_of_an_undisturbed_one(paths, changes):
    recipe = replace(RECIPE, epochs=5, **changes)
    whole = toy_supernet()
    _, undisturbed = train(whole, recipe, paths)

    kept = {}
    first = toy_supernet()
    optimizer = make_optimizer(first, recipe)

    class Killed(Exception):
        pass

    def keep(metrics):
        if metrics.epoch == 1:
            kept.update(weights=first.state_dict(), momenta=optimizer.state_dict())
            raise Killed

    with pytest.raises(Killed):
        train_supernet(first, optimizer, ToyBatches(), routes(paths), recipe, report_epoch=keep)
    second = toy_supernet(seed=99)
    second.load_state_dict(kept["weights"])
    again = make_optimizer(second, recipe)
    again.load_state_dict(kept["momenta"])
    steps, resumed = train(second, recipe, paths, optimizer=again, first_epoch=2)
    assert_same_weights(second, whole.state_dict(), rtol=0, atol=0)
    assert steps[0].step == 11 and steps[0].epoch == 2

    def facts(epochs):
        return [(m.epoch, m.step, loss(m), accuracy(m), m.learning_rate) for m in epochs]

    assert facts(resumed) == facts(undisturbed[2:])


@pytest.mark.parametrize("worlds", [(1, 1), (1, 3), (2, 2), (3, 2)], ids=str)
@pytest.mark.parametrize("stop", range(1, 15))
def test_a_training_goes_on_after_any_step_with_the_sums_of_its_epoch(stop, worlds):
    """Losses of an epoch that was interrupted are means over all of its images, whoever saw them."""
    if stop % 5 == 0:
        return  # between two epochs there are no sums
    whole = toy_supernet()
    _, undisturbed = train(whole)

    class Killed(Exception):
        pass

    supernets = [toy_supernet() for _ in range(worlds[0])]

    def first_part(rank, workers):
        supernet = supernets[rank]
        optimizer, kept = make_optimizer(supernet, RECIPE), []

        def keep(metrics):
            if metrics.step == stop:
                kept.append(metrics.sums.totals(workers))
                raise Killed

        try:
            train_supernet(
                *(supernet, optimizer, ToyBatches(), routes(uniform), RECIPE), workers=workers, report_step=keep
            )
        except Killed:
            return supernet.state_dict(), optimizer.state_dict(), kept[0]

    found, errors = Together(worlds[0]).run(first_part)
    assert errors == [None] * worlds[0]
    weights, momenta, sums = found[0]
    assert all(torch.equal(sums[:3], of_rank[:3]) for _, _, of_rank in found)
    assert sums.shape == (4,) and sums.dtype == torch.float64
    assert sums[2] == stop % 5 * 8

    def second_part(rank, workers):
        supernet = toy_supernet(seed=99)
        supernet.load_state_dict(weights)
        optimizer = make_optimizer(supernet, RECIPE)
        optimizer.load_state_dict(copy.deepcopy(momenta))
        epoch, step = divmod(stop, 5)
        where = {"first_epoch": epoch, "first_step": step, "sums": sums}
        return supernet, *train(supernet, optimizer=optimizer, workers=workers, **where)

    results, errors = Together(worlds[1]).run(second_part)
    assert errors == [None] * worlds[1]
    exact = worlds == (1, 1)
    for supernet, steps, epochs in results:
        assert steps[0].step == stop + 1
        assert_same_weights(supernet, whole.state_dict(), rtol=0, atol=0 if exact else 1e-12)
        for ours, theirs in zip(epochs, undisturbed[stop // 5 :], strict=True):
            assert (ours.epoch, ours.step, accuracy(ours)) == (theirs.epoch, theirs.step, accuracy(theirs))
            assert loss(ours) == (loss(theirs) if exact else pytest.approx(loss(theirs), rel=1e-6))
            assert ours.seconds > 0


def test_a_finished_training_does_nothing():
    supernet = toy_supernet()
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    assert train(supernet, first_epoch=RECIPE.epochs) == ([], [])
    assert_same_weights(supernet, before, rtol=0, atol=0)


# Recipe


def test_the_defaults_are_those_of_rlnas_on_nasbench201():
    recipe = Recipe()
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.min_learning_rate) == (250, 64, 0.025, 0.001)
    assert (recipe.momentum, recipe.nesterov, recipe.weight_decay, recipe.decay_on) == (0.9, True, 5e-4, "all")
    assert (recipe.schedule, recipe.schedule_every, recipe.label_smoothing) == ("cosine", "epoch", 0.0)
    assert (recipe.clip_norm, recipe.clip_value) == (None, None)
    assert recipe.precision == "float32"


def test_the_optimiser_has_every_weight_and_the_recipes_numbers():
    supernet = toy_supernet()
    optimizer = make_optimizer(supernet, Recipe(learning_rate=0.3, momentum=0.8, nesterov=True, weight_decay=0.02))
    (group,) = optimizer.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in supernet.parameters()}
    numbers = {key: group[key] for key in ("lr", "momentum", "nesterov", "weight_decay", "dampening")}
    assert numbers == {"lr": 0.3, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02, "dampening": 0}


@pytest.mark.parametrize(
    ("decay_on", "decayed"),
    [
        ("all", {"0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "4.weight", "4.bias"}),
        ("convolutions", {"0.weight", "3.weight"}),
        ("weights", {"0.weight", "3.weight", "4.weight"}),
    ],
)
def test_the_penalty_shrinks_what_it_is_on_and_nothing_else(decay_on, decayed):
    """Without gradients a step is w - rate x decay x w, and the biases of convolutions are biases."""
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1, bias=False), nn.Linear(4, 2)
    )
    before = {name: p.detach().fill_(2.0).clone() for name, p in network.named_parameters()}
    recipe = Recipe(learning_rate=0.5, momentum=0.0, nesterov=False, weight_decay=0.25, decay_on=decay_on)
    optimizer = make_optimizer(network, recipe)
    assert sorted(id(p) for group in optimizer.param_groups for p in group["params"]) == sorted(
        id(p) for p in network.parameters()
    )
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter.detach(), before[name] * (0.875 if name in decayed else 1)), name


@pytest.mark.parametrize("bfloat16", [False, True])
def test_bfloat16_runs_the_layers_in_it_and_keeps_weights_and_loss_in_float32(bfloat16):
    supernet = toy_supernet().float()
    batches = ToyBatches()
    batches.images = batches.images.float()
    seen = set()
    supernet.classifier.register_forward_hook(lambda module, inputs, out: seen.add(out.dtype))
    _, epochs = train(supernet, replace(RECIPE, precision="bfloat16" if bfloat16 else "float32"), batches=batches)
    assert seen == {torch.bfloat16 if bfloat16 else torch.float32}
    assert {p.dtype for p in supernet.parameters()} == {torch.float32}
    exact = toy_supernet()
    _, exact_epochs = train(exact)
    assert loss(epochs[0]) == pytest.approx(loss(exact_epochs[0]), rel=0.02 if bfloat16 else 1e-5)


def test_any_space_and_path_can_be_trained():
    space, rng = Toy(), np.random.default_rng(0)
    supernet = toy_supernet()
    _, epochs = train(supernet, paths=lambda step: [(sample(space, rng),) for _ in range(2)])
    assert all(math.isfinite(loss(metrics)) for metrics in epochs)


def test_drop_path_that_rises_is_set_anew_every_epoch():
    recipe = replace(RECIPE, epochs=4, drop_path=0.4, drop_path_rises=True)
    network, seen = nn.Sequential(ChoiceBlock({"a": nn.Linear(1, 1)})), []

    class Watched(OneShot):
        def _learn(self, images, labels, route, seeds):
            seen.append(network[0].drop_path)
            return torch.zeros(2, dtype=torch.float64)

    one_shot = Watched(network, make_optimizer(network, recipe), ToyBatches(), lambda step, alphas: [()], recipe)
    batch = (torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))
    for epoch in (0, 0, 1, 3, 2):  # a resume may begin anywhere
        one_shot.step(batch, Position(epoch, epoch), lambda: None)
    assert seen == pytest.approx([0, 0, 0.1, 0.3, 0.2])


def test_the_loop_trains_at_the_rates_of_a_warm_up():
    recipe = replace(RECIPE, epochs=4, warmup_epochs=2, schedule="linear", min_learning_rate=0.0)
    steps, _ = train(toy_supernet(), recipe)
    per_epoch = ToyBatches().steps_per_epoch
    expected = [0.2 * step / (2 * per_epoch) for step in range(2 * per_epoch)] + [0.2] * per_epoch + [0.1] * per_epoch
    assert [step.learning_rate for step in steps] == pytest.approx(expected)
