"""Scores at initialisation of recent papers, against plain torch and numpy on derived networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.errors import InputError
from raynas.fitness import FITNESSES
from raynas.fitness.meco import smallest_eigenvalue
from raynas.fitness.probe import Copies, WithInitialWeights, generator_of
from raynas.fitness.row import ScoreOptions
from raynas.fitness.swap import distinct_columns
from tests.fitness.initial import ARCHITECTURES, IMAGES, PATHLESS, SPACE, batch, derived, score_of, supernet_of

KINDS = nn.Conv2d | nn.Linear
SWAP = {"swap_mu": 3.0, "swap_sigma": 5.0}
every_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES)


def weights_of(network):
    return [module.weight for module in network.modules() if isinstance(module, KINDS)]


def is_reached(network, images, labels):
    """Returns the weights that the loss depends on."""
    F.cross_entropy(network(images), labels).backward()
    reached = [weight for weight in weights_of(network) if weight.grad is not None]
    network.zero_grad()
    return reached


@every_architecture
def test_swap_counts_the_different_columns_of_signs(architecture):
    network, images, labels = derived(architecture)
    patterns = set()
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(
                lambda layer, inputs, out: patterns.update(map(tuple, (out > 0).flatten(1).T.tolist()))
            )
    network(images)
    assert score_of("swap", architecture) == len(patterns)
    parameters = sum(weight.numel() for weight in is_reached(network, images, labels)) + 10  # the classifier's bias
    factor = math.exp(-((parameters / 1000 - 3) ** 2) / 5)
    assert score_of("swap_regularised", architecture, **SWAP) == pytest.approx(len(patterns) * factor, rel=1e-9)


def test_swap_of_more_images_than_a_word_has_bits():
    bits = np.random.default_rng(0).random((70, 30)) < 0.5
    repeated = bits[:, [*range(30), 3, 4, 5]]
    repeated[69, 30] ^= True
    assert distinct_columns(repeated) == 31


def test_regularised_swap_wants_its_two_numbers_before_anything_runs():
    row = FITNESSES.row("swap_regularised")
    with pytest.raises(InputError, match=r"search\.swap_sigma: expected a number"):
        row.check(ScoreOptions(swap_mu=3.0))
    with pytest.raises(InputError, match=r"search\.zico_batches: expected at most search\.score_images \(2\), got 3"):
        FITNESSES.row("zico").check(ScoreOptions(score_images=2, zico_batches=3))


@every_architecture
def test_grasp_is_the_derivative_of_the_gradient_along_itself(architecture):
    """H g by a central difference of the gradient along g, in float64."""
    network, images, labels = derived(architecture)
    network, images = network.double(), images.double()
    reached = is_reached(network, images, labels)

    def gradient():
        return torch.autograd.grad(F.cross_entropy(network(images), labels), reached)

    first = gradient()
    step = 1e-7  # so small that no ReLU switches
    sides = []
    for sign in (1, -2):
        with torch.no_grad():
            for weight, direction in zip(reached, first, strict=True):
                weight += sign * step * direction
        sides.append(gradient())
    with torch.no_grad():
        for weight, direction in zip(reached, first, strict=True):
            weight += step * direction
    expected = 0.0
    for weight, one, other in zip(reached, *sides, strict=True):
        expected -= (weight * (one - other)).sum().item() / (2 * step)
    assert score_of("grasp", architecture) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@every_architecture
def test_fisher_is_the_squared_change_of_the_loss_when_channels_are_scaled(architecture):
    """z * dL/dz, summed over positions, is the derivative of the loss by a factor of each image's channel."""
    network, images, labels = derived(architecture)
    factors = []

    def scale(layer, inputs, out):
        factor = torch.ones(*out.shape[:2], *(1,) * (out.dim() - 2), requires_grad=True)
        factors.append((factor, layer.weight[0].numel()))
        return out * factor

    for module in network.modules():
        if isinstance(module, KINDS):
            module.register_forward_hook(scale)
    F.cross_entropy(network(images), labels).backward()
    expected = 0.0
    for factor, weights in factors:
        if factor.grad is not None:
            expected += weights * factor.grad.square().mean(dim=0).sum().item() / 2
    assert score_of("fisher", architecture) == pytest.approx(expected, rel=1e-3)


@every_architecture
def test_zen_is_the_reaction_to_noise_plus_the_deviations_before_normalisation(architecture):
    network, images, _ = derived(architecture)
    copies = Copies(supernet_of(SPACE), images)
    state = copies.gaussian.state_dict()
    network.load_state_dict({name: state.get(name, value) for name, value in network.state_dict().items()})
    deviations, maps = [], []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda layer, inputs, out: deviations.append(inputs[0].numpy()))
    network.last_relu.register_forward_hook(lambda layer, inputs, out: maps.append(out.double().numpy()))
    with torch.no_grad():
        for noisy in (copies.noise[0] + 0.01 * copies.noise[1], copies.noise[0]):
            deviations.clear()
            network(noisy)
    expected = np.log(np.abs(maps[0] - maps[1]).sum() / IMAGES)
    for before in deviations:
        expected += np.log(np.sqrt(np.var(before, axis=(0, 2, 3), dtype=np.float64).mean() + 1e-5))
    assert score_of("zen", architecture) == pytest.approx(expected, rel=1e-5)


def test_gaussian_weights_are_standard_normal_and_follow_the_initial_ones():
    ((images, _),) = batch().batches(IMAGES, torch.device("cpu"))
    first, again = Copies(supernet_of(SPACE), images), Copies(supernet_of(SPACE), images)
    other = supernet_of(SPACE)
    other.stem.conv.weight.data += 0.1
    numbers = [torch.cat([w.flatten() for w in weights_of(c.gaussian)]) for c in (first, again, Copies(other, images))]
    assert torch.equal(numbers[0], numbers[1])
    assert not torch.equal(numbers[0], numbers[2])
    error = 1 / math.sqrt(len(numbers[0]))
    assert abs(numbers[0].mean()) < 4 * error
    assert abs(numbers[0].var() - 1) < 6 * error
    assert torch.equal(first.noise, again.noise)
    assert not first.gaussian.classifier.bias.any()


@every_architecture
def test_zico_is_the_sum_of_logs_of_inverse_coefficients_of_variation(architecture):
    network, images, labels = derived(architecture)
    of_batches = []
    for half in (slice(0, 3), slice(3, 6)):
        network.zero_grad()
        F.cross_entropy(network(images[half]), labels[half]).backward()
        of_batches.append([w.grad.double().flatten().numpy() for w in weights_of(network) if w.grad is not None])
    expected = 0.0
    for one, other in zip(*of_batches, strict=True):
        differs = one != other
        terms = (np.abs(one) + np.abs(other))[differs] / np.abs(one - other)[differs]
        expected += np.log(terms.sum()) if differs.any() else 0.0
    assert score_of("zico", architecture) == pytest.approx(expected, rel=1e-4)


@every_architecture
def test_meco_adds_up_the_smallest_eigenvalues_of_numpys_correlations(architecture):
    network, images, _ = derived(architecture)
    total = 0.0

    def add(layer, inputs, out):
        nonlocal total
        if out.dim() != 4:
            return
        rows = out[0].flatten(1).double().numpy()
        if rows.std(axis=1).all():
            total += max(np.linalg.eigvalsh(np.corrcoef(rows))[0], 0)

    for module in network.modules():
        if not list(module.children()):
            module.register_forward_hook(add)
    with torch.no_grad():
        network(images)
    assert score_of("meco", architecture) == pytest.approx(total, abs=1e-6)


def test_the_smallest_eigenvalue_of_two_rows_is_one_minus_their_correlation():
    rows = torch.tensor([[1.0, 2.0, 3.0, 5.0], [2.0, 1.0, 0.0, 1.0]], dtype=torch.float64)
    assert smallest_eigenvalue(rows) == pytest.approx(1 - abs(np.corrcoef(rows.numpy())[0, 1]))
    assert smallest_eigenvalue(torch.cat([rows, torch.ones(1, 4, dtype=torch.float64)])) == 0.0
    assert smallest_eigenvalue(torch.randn(4, 4, dtype=torch.float64)) == 0.0


def parts_of(network, images):
    """Returns stem, cells and reductions as functions, and what they return, in the order of the network."""
    functions = [network.stem]
    for number, cell in enumerate(network.cells):
        functions += [network.reductions[number - 1]] if number else []
        functions.append(lambda x, cell=cell: cell(x, network._only_route))
    maps = [images]
    for function in functions:
        maps.append(function(maps[-1]))
    return functions, maps[1:]


@every_architecture
def test_az_nas_expressivity_and_progressivity_are_entropies_of_covariances(architecture):
    network, images, _ = derived(architecture)
    with torch.no_grad():
        _, maps = parts_of(network, images)
    entropies = []
    for features in maps:
        rows = features.double().permute(1, 0, 2, 3).flatten(1).numpy()
        shares = np.linalg.svd(rows - rows.mean(axis=1, keepdims=True), compute_uv=False) ** 2
        shares /= shares.sum()
        entropies.append(-np.sum(shares * np.log(shares + 1e-8)))
    assert score_of("az_expressivity", architecture) == pytest.approx(sum(entropies), rel=1e-5)
    assert score_of("az_progressivity", architecture) == pytest.approx(np.diff(entropies).min(), rel=1e-4)


@every_architecture
def test_az_nas_trainability_is_measured_part_by_part(architecture):
    network, images, _ = derived(architecture)
    functions, maps = parts_of(network, images)
    generator, scores = generator_of(network), []
    for function, before, behind in zip(functions[1:], maps[:-1], maps[1:], strict=True):
        signs = torch.randint(0, 2, behind.shape, generator=generator).float() * 2 - 1
        before = before.detach().requires_grad_(True)
        (function(before) * signs).sum().backward()
        pulled, outer = before.grad.numpy().astype(float), signs.numpy().astype(float)
        factor = before.shape[2] // behind.shape[2]
        matrix = 0.0
        for row in range(factor):
            for column in range(factor):
                block = np.einsum("bchw,bdhw->cd", pulled[:, :, row::factor, column::factor], outer)
                matrix = np.concatenate([matrix, block]) if np.ndim(matrix) else block
        norm = np.linalg.svd(matrix / outer[:, 0].size, compute_uv=False)[0]
        norm = 0.0 if np.array_equal(pulled, outer) else norm
        scores.append(2 - norm - 1 / (norm + 1e-6))
    assert score_of("az_trainability", architecture) == pytest.approx(np.mean(scores), rel=1e-3)


@every_architecture
def test_vkdnw_counts_layers_and_measures_the_deciles_of_their_fisher_information(architecture):
    """The Fisher information as the mean over labels of the squared gradient of the log-probability, image by image."""
    network, images, _ = derived(architecture)
    state = Copies(supernet_of(SPACE), images).unnormalised.state_dict()
    network.load_state_dict({name: state.get(name, value) for name, value in network.state_dict().items()})
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.eps = 0.0
    network, images = network.double().eval(), images.double()
    weights = weights_of(network)
    matrix, reached = 0.0, set()
    for image in images:
        log_probabilities = F.log_softmax(network(image[None]), dim=1)[0]
        for log_probability in log_probabilities:
            found = torch.autograd.grad(log_probability, weights, retain_graph=True, allow_unused=True)
            reached |= {number for number, g in enumerate(found) if g is not None}
            first = np.array([0.0 if g is None else g.flatten()[0].item() for g in found])
            matrix = matrix + log_probability.exp().item() * np.outer(first, first) / len(images)
    kept = sorted(reached)
    deciles = np.percentile(np.linalg.eigvalsh(matrix[np.ix_(kept, kept)]).clip(0), range(10, 100, 10))
    shares = deciles / deciles.sum()
    entropy = -sum(share * math.log(share) for share in shares if share > 0)
    assert score_of("vkdnw", architecture) == pytest.approx(len(kept) + entropy, abs=1e-4)


@pytest.mark.parametrize("name", [n for n, row in FITNESSES.rows().items() if row.score is not None and n != "grasp"])
def test_a_network_without_a_path_has_the_lowest_score(name):
    options = {"swap_mu": 3.0, "swap_sigma": 1e6} if name == "swap_regularised" else {}
    values = [score_of(name, architecture, **options) for architecture in ARCHITECTURES]
    assert score_of(name, PATHLESS, **options) < min(values)


def test_a_score_of_az_nas_says_what_a_network_without_parts_lacks():
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    plain.forward = lambda images, gates: nn.Sequential.forward(plain, images)
    score = WithInitialWeights(plain, batch(), FITNESSES.row("az_expressivity"), ScoreOptions())
    with pytest.raises(InputError, match="expect 2 or more parts of a network, got 0"):
        score([PATHLESS])
