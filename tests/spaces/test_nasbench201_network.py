"""The supernet of NAS-Bench-201 under every kind of gate, against the plain network of `textbook`."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from raynas.search_space import sample
from raynas.spaces.nasbench201 import NasBench201
from raynas.spaces.operations import AvgPool3x3
from raynas.supernet.architecture_gradients import first_order, loss_on
from raynas.supernet.gates import Gate, hard_samples, mixture, single_path
from raynas.training.optimizers import make_optimizer
from raynas.training.recipe import Recipe
from tests.spaces.textbook import PATHS, Textbook, one_hot

EXACT = {"rtol": 1e-10, "atol": 1e-10}
VARIANTS = {
    "plain": {},
    "affine": {"affine": True},
    "untracked": {"track_running_stats": False},
}


def build(cells=1, **options):
    """Returns a float64 supernet whose every weight and running statistic is random, and its space."""
    space = NasBench201(channels=4, cells=cells, **options)
    supernet = space.build_supernet(7).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in supernet.state_dict().items():
            if value.is_floating_point():
                noise = torch.randn(value.shape, generator=generator, dtype=torch.float64)
                fan_in = value[0].numel() if value.ndim > 1 else 4
                value.copy_(noise.abs() + 0.5 if name.endswith(("running_var", "bn.weight")) else noise / fan_in**0.5)
    return supernet, space


def images(size=8, number=6):
    return torch.randn(number, 3, size, size, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def state_of(supernet):
    """Returns weights as leaves with gradient, and copies of the running statistics, by name."""
    weights = {name: value.detach().clone().requires_grad_() for name, value in supernet.named_parameters()}
    return weights | {name: value.clone() for name, value in supernet.named_buffers()}


def architectures(number, seed=0):
    rng = np.random.default_rng(seed)
    special = [(3, 3, 3, 3, 3, 3), (1, 1, 1, 1, 1, 1), (0, 0, 2, 3, 3, 3), (3, 0, 3, 0, 0, 3), (3, 2, 4, 0, 0, 0)]
    return special + [sample(NasBench201(), rng) for _ in range(number)]


def assert_same_gradients(supernet, state):
    for name, parameter in supernet.named_parameters():
        ours, theirs = (0 * w if w.grad is None else w.grad for w in (parameter, state[name]))
        torch.testing.assert_close(ours, theirs, **EXACT, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_shared_path_gives_logits_and_gradients_of_the_plain_network(variant, training):
    supernet, _ = build(**VARIANTS[variant])
    x, labels = images(), torch.arange(6) % 7
    for architecture in architectures(25):
        supernet.train(training).zero_grad(set_to_none=True)
        state = state_of(supernet)
        plain = Textbook(state, 1, training, nothing_stays_nothing=not training or variant == "affine")
        ours, theirs = supernet(x, single_path(architecture)), plain(x, [one_hot(architecture)] * 3)
        torch.testing.assert_close(ours, theirs, **EXACT)
        for logits in (ours, theirs):
            F.cross_entropy(logits, labels).backward()
        assert_same_gradients(supernet, state)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_paths_of_each_cell_give_logits_and_gradients_of_the_plain_network(training):
    supernet, space = build(cells=2)
    x, labels = images(), torch.arange(6) % 7
    rng = np.random.default_rng(4)
    for _ in range(10):
        path = [space.repair_path(sample(space, rng), rng) for _ in range(6)]
        supernet.train(training).zero_grad(set_to_none=True)
        state = state_of(supernet)
        ours = supernet(x, [single_path(architecture) for architecture in path])
        theirs = Textbook(state, 2, training, nothing_stays_nothing=not training)(x, [one_hot(a) for a in path])
        torch.testing.assert_close(ours, theirs, **EXACT)
        for logits in (ours, theirs):
            F.cross_entropy(logits, labels).backward()
        assert_same_gradients(supernet, state)


def test_the_same_path_given_once_or_for_every_cell_is_the_same_to_the_bit():
    supernet, _ = build(cells=2)
    for architecture in architectures(5):
        once = supernet(images(), single_path(architecture))
        assert torch.equal(once, supernet(images(), [single_path(architecture)] * 6))


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("track", [False, True])
def test_the_options_decide_on_the_normalisations_inside_cells_and_on_no_other(affine, track):
    supernet = NasBench201(channels=4, cells=1, affine=affine, track_running_stats=track).build_supernet(7)
    expected = (["weight", "bias"] if affine else []) + (
        ["running_mean", "running_var", "num_batches_tracked"] if track else []
    )
    normalisations = {name: m for name, m in supernet.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert sum(name.startswith("cells") for name in normalisations) == 3 * 6 * 2
    for name, module in normalisations.items():
        held = list(module.state_dict())
        assert held == (expected if name.startswith("cells") else ["weight", "bias", *held[2:]]), name
        assert len(held) == 5 or name.startswith("cells")


def random_alphas(seed=5):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(5, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(6)]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_mixture_is_the_weighted_sum_of_all_operations_and_so_are_its_gradients(training):
    supernet, _ = build(cells=2)
    supernet.train(training)
    x, labels = images(), torch.arange(6) % 7
    ours, theirs = random_alphas(), random_alphas()
    state = state_of(supernet)
    weights = [[alpha.exp()[k] / alpha.exp().sum() for k in range(5)] for alpha in theirs]
    pairs = supernet(x, mixture(ours)), Textbook(state, 2, training)(x, [weights] * 6)
    torch.testing.assert_close(*pairs, **EXACT)
    for logits in pairs:
        F.cross_entropy(logits, labels).backward()
    for a, b in zip(ours, theirs, strict=True):
        assert a.grad.abs().max() > 1e-6
        torch.testing.assert_close(a.grad, b.grad, **EXACT)
    assert_same_gradients(supernet, state)


def test_a_mixtures_alpha_gradients_are_finite_differences():
    supernet, _ = build()
    supernet.train()
    x, labels = images(), torch.arange(6) % 7
    alphas = random_alphas()
    loss = F.cross_entropy(supernet(x, mixture(alphas)), labels)
    gradients = torch.autograd.grad(loss, alphas)
    step = 1e-6
    for edge, k in [(0, 3), (1, 0), (2, 1), (3, 4), (4, 2), (5, 3)]:
        losses = []
        for sign in (1, -1):
            moved = [alpha.detach().clone() for alpha in alphas]
            moved[edge][k] += sign * step
            with torch.no_grad():
                losses.append(F.cross_entropy(supernet(x, mixture(moved)), labels).item())
        assert gradients[edge][k].item() == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-4, abs=1e-8)


def test_a_mixture_of_two_operations_runs_these_two_only():
    supernet, _ = build()
    weights = torch.tensor([0.25, 2.0], dtype=torch.float64)
    gates = tuple(Gate((4, 2), weights) for _ in range(6))
    with calls(supernet) as called:
        ours = supernet(images(), gates)
    row = [0.0, 0.0, 2.0, 0.0, 0.25]
    torch.testing.assert_close(ours, Textbook(state_of(supernet), 1, True)(images(), [[row] * 6] * 3), **EXACT)
    assert {name for _, _, name in called} == {"nor_conv_1x1", "avg_pool_3x3"}


@contextmanager
def calls(supernet):
    """Yields a list that fills with (cell, edge, name) of every candidate called, in order."""
    called, hooks = [], []
    for c, cell in enumerate(supernet.cells):
        for e, block in enumerate(cell.edges):
            for name, module in block.named_children():
                hooks.append(module.register_forward_hook(lambda *_, key=(c, e, name): called.append(key)))
    yield called
    for hook in hooks:
        hook.remove()


NAMES = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def test_only_active_candidates_on_live_paths_run_and_each_once():
    supernet, space = build(cells=2)
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    for architecture in architectures(40):
        on_live_path = {
            edge for path in PATHS if all(architecture[edges.index(edge)] for edge in path) for edge in path
        }
        expected = [(c, e, NAMES[architecture[e]]) for c in range(6) for e in range(6) if edges[e] in on_live_path]
        with calls(supernet) as called:
            supernet(images(), single_path(architecture))
        assert sorted(called) == expected


def test_a_hard_sample_runs_one_candidate_and_gives_what_its_path_gives():
    supernet, _ = build()
    supernet.train()
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(20):
        (gates,) = hard_samples(random_alphas(), 1.0, generator)
        architecture = tuple(gate.active[0] for gate in gates)
        with calls(supernet) as called:
            logits = supernet(images(), gates)
        assert len(called) == len(set(called)) <= 18
        assert all(name == NAMES[architecture[e]] != "none" for _, e, name in called)
        torch.testing.assert_close(logits, supernet(images(), single_path(architecture)), **EXACT)
        seen.add(architecture)
    assert len(seen) > 15


def test_a_hard_samples_alpha_gradient_is_the_outputs_times_the_softmax_derivative():
    supernet, _ = build()
    supernet.train()
    x, labels = images(), torch.arange(6) % 7
    temperature, reached = 0.6, 0
    for seed in range(8):
        alphas = random_alphas()
        (gates,) = hard_samples(alphas, temperature, torch.Generator().manual_seed(seed))
        F.cross_entropy(supernet(x, gates), labels).backward()
        # The same with plain weights: dL/dh of the sampled weight h = 1 ...
        weights = [torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in range(6)]
        plain = tuple(Gate(gate.active, weight) for gate, weight in zip(gates, weights, strict=True))
        F.cross_entropy(supernet(x, plain), labels).backward()
        # ... times dh/dalpha_j = s_k (1[j = k] - s_j) / tau with s the noisy softmax.
        generator = torch.Generator().manual_seed(seed)
        for alpha, gate, weight in zip(alphas, gates, weights, strict=True):
            noise = -torch.empty(5, dtype=torch.float64).exponential_(generator=generator).log()
            soft = ((alpha.detach() + noise) / temperature).exp()
            soft /= soft.sum()
            (k,) = gate.active
            assert k == soft.argmax()
            unit = torch.eye(5, dtype=torch.float64)[k]
            down = torch.zeros(1, dtype=torch.float64) if weight.grad is None else weight.grad
            expected = down * soft[k] * (unit - soft) / temperature
            ours = torch.zeros(5, dtype=torch.float64) if alpha.grad is None else alpha.grad
            torch.testing.assert_close(ours, expected, **EXACT)
            reached += expected.abs().max().item() > 1e-6
    assert reached >= 10


def test_idle_candidates_get_no_gradient_and_no_step_moves_them():
    supernet, _ = build()
    recipe = Recipe(learning_rate=0.1, momentum=0.9, weight_decay=0.1)
    optimizer = make_optimizer(supernet, recipe)
    supernet.train()
    for step, taken in enumerate((2, 3, 2, 3)):
        before = {name: value.clone() for name, value in supernet.state_dict().items()}
        supernet(images(), single_path((taken,) * 6)).square().sum().backward()
        idle, active = (f"nor_conv_{k}x{k}." for k in ((3, 1) if taken == 2 else (1, 3)))
        for name, parameter in supernet.named_parameters():
            assert (parameter.grad is None) == (idle in name)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for name, value in supernet.state_dict().items():
            if idle in name:
                assert torch.equal(value, before[name]), (step, name)
            elif active in name:
                assert not torch.equal(value, before[name]), (step, name)


def test_operations_on_dead_edges_get_no_gradient():
    supernet, _ = build()
    supernet(images(), single_path((3, 0, 0, 3, 0, 2))).sum().backward()  # 1 leads nowhere, 2 receives nothing
    moved = {name.split(".")[3] for name, p in supernet.named_parameters() if "edges" in name and p.grad is not None}
    assert moved == {"3"}


@pytest.mark.parametrize("architecture", [(0,) * 6, (3, 3, 0, 0, 0, 0), (0, 0, 3, 0, 3, 3)], ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_cell_without_a_live_path_gives_zeros_and_the_network_finite_logits(architecture, training):
    supernet, _ = build()
    supernet.train(training)
    x = images()
    cell_input = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    out = supernet.cells[0](cell_input, single_path(architecture))
    assert out.shape == cell_input.shape and not out.any()
    logits = supernet(x, single_path(architecture))
    assert logits.shape == (6, 7) and logits.isfinite().all()
    assert (logits == logits[0]).all()  # they cannot depend on the image
    logits.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in supernet.parameters())
    one_dead = [single_path((3,) * 6), single_path(architecture), single_path((3,) * 6)]
    assert supernet(x, one_dead).isfinite().all()


@pytest.mark.parametrize("number", [1, 2, 4, 15])
def test_routes_for_another_number_of_cells_are_refused(number):
    supernet, _ = build()
    with pytest.raises(ValueError, match=rf"routes? .*of 3 \(one per cell\), got {number} routes"):
        supernet(images(), [single_path((3,) * 6)] * number)


def test_gates_for_another_number_of_edges_are_refused():
    supernet, _ = build()
    with pytest.raises(ValueError):
        supernet(images(), single_path((3,) * 5))


@pytest.mark.parametrize("size", [4, 8, 16, 20])
def test_sizes_that_are_multiples_of_four_are_taken(size):
    supernet, _ = build()
    plain = Textbook(state_of(supernet), 1, True)(images(size), [one_hot((2, 4, 3, 1, 4, 2))] * 3)
    torch.testing.assert_close(supernet(images(size), single_path((2, 4, 3, 1, 4, 2))), plain, **EXACT)


def test_a_derived_network_holds_one_operation_per_edge_and_needs_no_gates():
    _, space = build()
    network = space.build_network((3, 0, 2, 1, 4, 2), 7)
    held = [[name for name, _ in block.named_children()] for block in network.cells[2].edges]
    assert held == [[NAMES[k]] for k in (3, 0, 2, 1, 4, 2)]
    assert network(images().float()).shape == (6, 7)


def test_a_derived_network_of_another_space_is_refused():
    _, space = build()
    with pytest.raises(ValueError, match="architecture has 5 choices but NasBench201 has 6"):
        space.build_network((3, 0, 2, 1, 4), 7)


def test_a_supernet_without_gates_is_refused():
    supernet, _ = build()
    with pytest.raises(AssertionError, match="a supernet needs gates"):
        supernet(images())


@pytest.mark.parametrize("idle", [False, True])
@pytest.mark.parametrize("cells", [1, 6], ids=["one draw for all cells", "a draw per cell"])
def test_the_alphas_step_on_samples_runs_what_is_sampled_and_that_on_mixtures_everything(cells, idle):
    supernet, _ = build(cells=2)
    supernet.train()
    weights, labels = dict(supernet.named_parameters()), torch.arange(6) % 7
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    for seed in range(10):

        def drawn(alphas, seed=seed):
            found = hard_samples(alphas, 1.0, torch.Generator().manual_seed(seed), cells=cells, idle=idle)
            return found if cells > 1 else found[0]

        with calls(supernet) as called:
            first_order(loss_on(supernet, images(), labels, drawn), weights, random_alphas())
        expected = []
        for c, gates in enumerate(drawn(random_alphas()) if cells > 1 else [drawn(random_alphas())] * 6):
            taken = [gate.active[0] for gate in gates]
            # idle weights have a gradient wherever they are added, so that paths begin at every node with them
            ways = [path[start:] for path in PATHS for start in (range(len(path)) if idle else [0])]
            live = {edge for way in ways if all(taken[edges.index(edge)] for edge in way) for edge in way}
            expected += [(c, e, NAMES[taken[e]]) for e in range(6) if edges[e] in live]
        assert sorted(called) == sorted(expected) and len(called) <= 6 * 6
    with calls(supernet) as called:
        first_order(loss_on(supernet, images(), labels, mixture), weights, random_alphas())
    assert sorted(called) == sorted((c, e, name) for c in range(6) for e in range(6) for name in NAMES[1:])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_the_first_and_second_derivatives_of_the_pooling_are_finite_differences(stride, layout):
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = x.to(memory_format=layout).requires_grad_()

    def squared(x):
        return AvgPool3x3(stride)(x).square()

    assert torch.autograd.gradcheck(squared, x)
    assert torch.autograd.gradgradcheck(squared, x)
