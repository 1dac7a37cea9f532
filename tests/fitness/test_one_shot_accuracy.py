"""One-shot accuracy against the whole computation written out by hand."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.data import FixedImages
from raynas.search_space import sample
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.gates import single_path
from tests.fitness.one_shot import one_shot
from tests.spaces.textbook import Textbook, one_hot
from tests.stages.chain_space import ChainSpace

CLASSES = 5
SPACES = {
    "plain": NasBench201(channels=4, cells=1),
    "affine": NasBench201(channels=4, cells=1, affine=True),
    "two cells": NasBench201(channels=2, cells=2),
    "untracked": NasBench201(channels=4, cells=1, track_running_stats=False),
}
NONE, SKIPS, POOLS, ONES, THREES = ((k,) * 6 for k in (0, 1, 4, 2, 3))
MIXED = (3, 2, 4, 1, 2, 3)
NOWHERE = (3, 0, 0, 2, 0, 0)  # an operation whose node leads nowhere
FROM_NOTHING = (0, 2, 3, 0, 2, 3)  # operations on a node that receives nothing


def fixed_images(number, seed, size=8):
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 200, (number, 1, 1, 3)) + rng.integers(0, 56, (number, size, size, 3))
    labels = rng.integers(0, CLASSES, number)
    return FixedImages(base.astype(np.uint8), labels, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25))


CALIBRATION, EVALUATION = fixed_images(30, 1), fixed_images(31, 2)


def trained(space, num_classes=CLASSES):
    """Returns a supernet with every parameter and statistic random, and a head that tells images apart."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        supernet = space.build_supernet(num_classes)
        with torch.no_grad():
            for module in supernet.modules():
                if isinstance(module, nn.BatchNorm2d):
                    for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                        if tensor is not None:
                            tensor.add_(torch.rand_like(tensor))
                if isinstance(module, nn.Linear):
                    module.weight.sub_(module.weight.mean(dim=1, keepdim=True)).mul_(5)
    return supernet


def fitness_on(space, **options):
    return one_shot(trained(space), CALIBRATION, EVALUATION, **{"batch_size": 12, **options})


# The whole of it, by hand


class Evaluated(Textbook):
    """The textbook's network with batch normalisation measured first: batch statistics while it calibrates, noted for
    each layer, then their means in place of running statistics."""

    def __init__(self, state, cells):
        tracked = {name.removesuffix(".running_mean") for name in state if name.endswith(".running_mean")}
        weights = {name: value.double() for name, value in state.items() if ".running_" not in name}
        super().__init__(weights, cells, training=True, nothing_stays_nothing=True)
        self.noted = {name: [] for name in tracked}

    def normalise(self, x, name):
        if self.training and name in self.noted:
            count = x.numel() // x.shape[1]
            mean = x.sum(dim=(0, 2, 3)) / count
            variance = ((x - mean[:, None, None]) ** 2).sum(dim=(0, 2, 3)) / (count - 1)
            self.noted[name].append((mean, variance))
        return super().normalise(x, name)

    def calibrated(self):
        self.training = False
        for name, noted in self.noted.items():
            for which, statistics in zip(("mean", "var"), zip(*noted, strict=True), strict=False):
                self.state[f"{name}.running_{which}"] = sum(statistics) / len(statistics)


def batches_by_hand(images, batch_size):
    pixels = (images.pixels / 255 - np.array(images.mean)) / np.array(images.std)
    pixels = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    starts = range(0, len(images.labels), batch_size)
    return [(pixels[i : i + batch_size], images.labels[i : i + batch_size].tolist()) for i in starts]


def evaluated_by_hand(space, architecture, calibration, evaluation, batch_size):
    """Returns accuracy in percent and loss in nats."""
    network = Evaluated(trained(space).state_dict(), space.cells)
    route = [one_hot(architecture)] * (3 * space.cells)
    for images, _ in batches_by_hand(calibration, batch_size):
        network(images, route)
    network.calibrated()
    right, losses = 0, []
    for images, labels in batches_by_hand(evaluation, batch_size):
        for logits, label in zip(network(images, route).tolist(), labels, strict=True):
            right += logits.index(max(logits)) == label
            losses.append(math.log(sum(math.exp(logit) for logit in logits)) - logits[label])
    return 100 * right / len(losses), math.fsum(losses) / len(losses)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(
    ("calibration", "batch_size"),
    [(12, 12), (12, 31), (30, 10), (25, 12)],
    ids=["one batch", "one batch not full", "three batches", "a last batch of one"],
)
def test_accuracy_and_loss_are_those_worked_out_by_hand(space, calibration, batch_size):
    space, images = SPACES[space], fixed_images(calibration, 1)
    fitness = one_shot(trained(space), images, EVALUATION, batch_size=batch_size)
    rng = np.random.default_rng(0)
    architectures = [NONE, SKIPS, POOLS, ONES, THREES, MIXED, NOWHERE, FROM_NOTHING]
    architectures += [sample(space, rng) for _ in range(2)]
    expected = np.array([evaluated_by_hand(space, a, images, EVALUATION, batch_size) for a in architectures])
    values = fitness(architectures)
    assert np.array_equal(values[:, 0], values[:, 1])
    np.testing.assert_allclose(values[:, 1], expected[:, 0], rtol=0, atol=1e-9)
    np.testing.assert_allclose(values[:, 2], expected[:, 1], rtol=1e-4, atol=0)
    assert len(np.unique(values[:, 1])) > 2 and np.ptp(values[:, 2]) > 0.01


def test_a_loss_as_fitness_is_minus_the_loss():
    space = SPACES["plain"]
    architectures = [NONE, POOLS, THREES, MIXED]
    accuracies, losses = (fitness_on(space, measure=measure)(architectures) for measure in ("accuracy", "loss"))
    fitness = one_shot(trained(SPACES["plain"]), CALIBRATION, EVALUATION)
    assert fitness.quantities == ("fitness", "accuracy", "loss")
    assert losses[:, 0].tolist() == (-losses[:, 2]).tolist()
    assert losses[:, 1:].tolist() == accuracies[:, 1:].tolist()
    assert (losses[:, 2] > 0).all()


@pytest.mark.parametrize("batch_size", [1, 2, 7, 30, 31, 1000])
def test_without_normalisation_it_is_the_accuracy_of_the_bare_network_at_any_batch_size(batch_size):
    space = ChainSpace()
    supernet = trained(space)
    fitness = one_shot(supernet, CALIBRATION, EVALUATION, batch_size=batch_size)
    architectures = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 1, 1)]
    ((images, labels),) = EVALUATION.batches(31, torch.device("cpu"))
    expected = []
    for architecture in architectures:
        with torch.no_grad():
            log = supernet(images, single_path(architecture)).double().log_softmax(dim=1)
        right = sum(int(row.argmax()) == label for row, label in zip(log, EVALUATION.labels, strict=True))
        expected.append((100 * right / 31, -float(log[range(31), labels.tolist()].mean())))
    np.testing.assert_allclose(fitness(architectures)[:, 1:], expected, rtol=1e-6)
    assert len(np.unique(np.array(expected)[:, 1])) == len(architectures)


# Nothing else has a say


@pytest.mark.parametrize("space", ["affine", "untracked"])
@pytest.mark.parametrize("value", [0.0, 1e30, math.nan, -math.inf])
def test_the_statistics_of_the_supernet_change_no_bit(space, value):
    space = SPACES[space]
    architectures = [NONE, POOLS, THREES, MIXED]
    expected = fitness_on(space)(architectures)
    supernet = trained(space)
    for name, buffer in supernet.named_buffers():
        buffer.fill_(value if "running" in name else 12345)
    assert one_shot(supernet, CALIBRATION, EVALUATION, batch_size=12)(architectures).tobytes() == (expected.tobytes())


def test_neither_order_nor_company_nor_what_came_before_changes_a_bit():
    fitness = fitness_on(SPACES["affine"])
    architectures = [NONE, POOLS, THREES, MIXED, ONES, SKIPS, NOWHERE, FROM_NOTHING]
    whole = fitness(architectures)
    assert len(np.unique(whole, axis=0)) > 5
    for row, architecture in reversed(list(zip(whole, architectures, strict=True))):
        assert fitness([architecture])[0].tobytes() == row.tobytes()
    assert fitness([*architectures, *architectures]).tobytes() == np.tile(whole, (2, 1)).tobytes()


def test_every_calibration_image_and_every_evaluation_image_counts():
    space = SPACES["plain"]
    expected = fitness_on(space)([MIXED])[0, 2]
    for which in (0, 1):
        for number in (0, -1):
            images = [fixed_images(30, 1), fixed_images(31, 2)]
            images[which].pixels[number] ^= 255
            assert abs(one_shot(trained(space), *images, batch_size=12)([MIXED])[0, 2] - expected) > 1e-5


def test_the_labels_of_the_calibration_do_not_count():
    space = SPACES["plain"]
    images = fixed_images(30, 1)
    images.labels[:] = -1
    other = one_shot(trained(space), images, EVALUATION, batch_size=12)
    assert other([MIXED]).tobytes() == fitness_on(space)([MIXED]).tobytes()


# What is left


def test_parameters_stay_and_the_supernet_is_left_in_evaluation_mode():
    supernet = trained(SPACES["affine"]).train()
    before = {name: p.detach().clone() for name, p in supernet.named_parameters()}
    fitness = one_shot(supernet, CALIBRATION, EVALUATION, batch_size=12)
    for architectures in ([], [MIXED, THREES]):
        fitness(architectures)
        assert not any(module.training for module in supernet.modules())
    for name, parameter in supernet.named_parameters():
        assert torch.equal(parameter, before[name]) and parameter.grad is None
        assert parameter.requires_grad  # as it came


def test_nothing_is_saved_for_a_backward_pass():
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor.shape), lambda packed: packed):
        fitness_on(SPACES["affine"])([MIXED])
        assert saved == []
        trained(SPACES["affine"])(torch.rand(2, 3, 8, 8), single_path(MIXED))
    assert saved


class Dropping(nn.Module):
    """Matrices with a normalisation of vectors and dropout."""

    num_cells = 1

    def __init__(self):
        super().__init__()
        self.block = ChoiceBlock({name: nn.Linear(192, 16) for name in ("a", "b")})
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, images, gates):
        return self.head(self.drop(torch.relu(self.norm(self.block(images.flatten(1), gates[0])))))


def test_only_the_normalisation_trains_while_it_is_measured():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Dropping()
    fitness = one_shot(supernet, CALIBRATION, EVALUATION, batch_size=10)
    before = torch.get_rng_state()
    values = fitness([(0,), (1,)])
    assert torch.equal(torch.get_rng_state(), before)  # nothing was dropped
    for k, value in enumerate(values):
        with torch.no_grad():
            seen = [supernet.block.candidate(k)(x.flatten(1)) for x, _ in CALIBRATION.batches(10, torch.device("cpu"))]
            mean, var = (sum(part) / 3 for part in ([x.mean(0) for x in seen], [x.var(0) for x in seen]))
            ((images, labels),) = EVALUATION.batches(31, torch.device("cpu"))
            x = (supernet.block.candidate(k)(images.flatten(1)) - mean) / (var + 1e-5).sqrt()
            loss = F.cross_entropy(supernet.head(x.relu()), labels)
        assert value[2] == pytest.approx(float(loss), rel=1e-5)


# Failures


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_diverged_are_an_error_that_names_the_architecture_and_spoil_no_other(value):
    space = SPACES["plain"]
    expected = fitness_on(space)([POOLS, ONES])
    supernet = trained(space)
    with torch.no_grad():
        supernet.get_parameter("cells.1.edges.3.nor_conv_3x3.conv.weight")[1, 2] = value
    fitness = one_shot(supernet, CALIBRATION, EVALUATION, batch_size=12)
    for architecture in (THREES, (1, 1, 1, 3, 1, 1)):
        with pytest.raises(RuntimeError, match=rf"^the one-shot loss of {re.escape(str(architecture))} is (nan|inf): "):
            fitness([POOLS, architecture])
    assert fitness([POOLS, ONES]).tobytes() == expected.tobytes()


def test_an_error_in_the_midst_of_measuring_leaves_nothing_behind():
    space = SPACES["plain"]
    supernet = trained(space)
    fitness = one_shot(supernet, CALIBRATION, EVALUATION, batch_size=12)
    expected = fitness([MIXED])

    def fail(module, inputs):
        raise KeyError("interrupted")

    hook = supernet.cells[2].register_forward_pre_hook(fail)
    with pytest.raises(KeyError, match="interrupted"):
        fitness([THREES])
    hook.remove()
    assert fitness([MIXED]).tobytes() == expected.tobytes()
    assert not any(module.training for module in supernet.modules())
