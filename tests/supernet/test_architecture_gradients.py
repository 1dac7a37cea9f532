"""Architecture gradients: closed forms, dense derivatives, real steps of SGD, and how far Eq. 8 of the paper holds."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.architecture_gradients import (
    ArchitectureGradient,
    SgdStep,
    amended,
    first_order,
    loss_on,
    second_order,
)
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.gates import Gate, hard_samples, mixture
from tests.supernet.toys import CLASSES, ToyBatches, toy_supernet

DARTS_RADIUS = 0.01


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_equal(got, expected, rtol=1e-10, atol=1e-12):
    torch.testing.assert_close(
        torch.cat(list(got)), torch.as_tensor(expected, dtype=torch.float64), rtol=rtol, atol=atol
    )


# A quadratic bilevel problem: every derivative is a matrix


@dataclass
class Quadratic:
    """L_train = w'Hw / 2 - w'(B a + c), L_val = (w - t)'Q(w - t) / 2 + a'K w + a'R a / 2, so M = -B'."""

    H: Tensor
    B: Tensor
    c: Tensor
    Q: Tensor
    t: Tensor
    K: Tensor
    R: Tensor

    @classmethod
    def random(cls, seed, weights=7, alphas=5):
        def definite(size, seed):
            root = normal(size, size, seed=seed)
            return root @ root.T / size + torch.eye(size, dtype=torch.float64)

        return cls(
            H=definite(weights, seed),
            B=normal(weights, alphas, seed=seed + 1),
            c=normal(weights, seed=seed + 2),
            Q=definite(weights, seed + 3),
            t=normal(weights, seed=seed + 4),
            K=normal(alphas, weights, seed=seed + 5),
            R=definite(alphas, seed + 6),
        )

    def train(self, w, a):
        return w @ self.H @ w / 2 - w @ (self.B @ a + self.c)

    def search(self, w, a):
        return (w - self.t) @ self.Q @ (w - self.t) / 2 + a @ self.K @ w + a @ self.R @ a / 2

    def optimum(self, a):
        return torch.linalg.solve(self.H, self.B @ a + self.c)

    def slope(self, w, a):
        return self.Q @ (w - self.t) + self.K.T @ a


def named(w):
    """The vector of seven as two weights of other shapes."""
    return {"kernel": w[:4].view(2, 2), "bias": w[4:]}


def by_name(loss):
    """The loss of two vectors as a loss of weights by name and alphas by choice."""
    return lambda weights, alphas: loss(torch.cat([x.reshape(-1) for x in weights.values()]), torch.cat(list(alphas)))


@pytest.mark.parametrize("radius", [None, DARTS_RADIUS, 3.0])  # differences of a quadratic are exact at any radius
def test_on_a_quadratic_problem_each_gradient_is_its_closed_form(radius):
    p = Quadratic.random(0)
    w, a = normal(7, seed=50), normal(5, seed=51)  # anywhere, not at the optimum
    train, search, weights, alphas = by_name(p.train), by_name(p.search), named(w), [a[:2], a[2:]]
    close = {"rtol": 1e-10} if radius is None else {"rtol": 1e-8}

    first = first_order(search, weights, alphas)
    assert_equal(first.first, p.K @ w + p.R @ a)
    assert_equal(first.correction, torch.zeros(5, dtype=torch.float64))
    assert [len(g) for g in first.total] == [2, 3]

    second = second_order(train, search, weights, alphas, SgdStep(learning_rate=0.3), radius=radius)
    unrolled = w - 0.3 * (p.H @ w - p.B @ a - p.c)
    assert_equal(second.first, p.K @ unrolled + p.R @ a)
    assert_equal(second.correction, 0.3 * p.B.T @ p.slope(unrolled, a), **close)

    third = amended(train, search, weights, alphas, eta=0.1, radius=radius)
    assert_equal(third.first, p.K @ w + p.R @ a)
    assert_equal(third.correction, 0.1 * p.B.T @ p.H @ p.slope(w, a), **close)
    assert_equal(third.total, p.K @ w + p.R @ a + 0.1 * p.B.T @ p.H @ p.slope(w, a), **close)


def test_both_corrections_are_the_whole_truth_where_the_hessian_is_a_multiple_of_the_identity():
    p = Quadratic.random(7)
    p.H = 4.0 * torch.eye(7, dtype=torch.float64)
    a = normal(5, seed=52).requires_grad_()
    (truth,) = torch.autograd.grad(p.search(p.optimum(a), a), a)  # through the solution of the inner problem
    weights, alphas = named(p.optimum(a).detach()), [a[:2], a[2:]]
    assert_equal(amended(by_name(p.train), by_name(p.search), weights, alphas, eta=1 / 16).total, truth)
    step = SgdStep(learning_rate=1 / 4)
    assert_equal(second_order(by_name(p.train), by_name(p.search), weights, alphas, step).total, truth)


# What Eq. 8 promises and what it does not: the sign of <g2', g2>. Here v is a constant, so that it can be chosen.


def corrections(hessian, m, v):
    """Returns g2 with the exact inverse, and the corrections of the second order and of Amended-DARTS, at the optimum.

    The training loss is w'Hw / 2 + a'M w, the search loss v'w, and the optimum for a = 0 is w = 0.
    """
    weights, alphas = {"w": torch.zeros_like(v)}, [torch.zeros(len(m), dtype=torch.float64)]

    def train(weights, alphas):
        return weights["w"] @ hessian @ weights["w"] / 2 + alphas[0] @ m @ weights["w"]

    def search(weights, alphas):
        return v @ weights["w"]

    exact = -m @ torch.linalg.solve(hessian, v)
    (second,) = second_order(train, search, weights, alphas, SgdStep(learning_rate=0.5)).correction
    (third,) = amended(train, search, weights, alphas, eta=0.1).correction
    return exact, second, third


@pytest.mark.parametrize(
    ("v", "second_order_sign", "amended_sign"),
    [
        ((1.0, 1.0, 1.0), 1, 1),
        ((2.0, -5.0, 2.5), -1, 1),  # what the paper says of the second order
        ((2.0, -1.0, -0.5), 1, -1),  # what it says cannot be
        ((3.0, -4.0, 0.0), -1, -1),
    ],
)
def test_second_order_and_amended_may_each_point_away_from_the_exact_correction(v, second_order_sign, amended_sign):
    hessian = torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    exact, second, third = corrections(hessian, torch.ones(1, 3, dtype=torch.float64), torch.tensor(v).double())
    assert math.copysign(1, second @ exact) == second_order_sign
    assert math.copysign(1, third @ exact) == amended_sign


def test_with_fewer_alphas_than_weights_some_search_loss_turns_either_correction_around():
    for seed in range(20):
        hessian, m = Quadratic.random(10 * seed).H, normal(3, 7, seed=seed)
        for power, which in ((0, 1), (1, 2)):
            form = torch.linalg.inv(hessian) @ m.T @ m @ torch.linalg.matrix_power(hessian, power)
            smallest, direction = (x[..., 0] for x in torch.linalg.eigh((form + form.T) / 2))
            found = corrections(hessian, m, direction)
            assert smallest < -1e-3
            torch.testing.assert_close(found[which] @ found[0], (0.5, 0.1)[power] * smallest, rtol=1e-8, atol=0)


def test_on_average_over_all_directions_of_the_search_loss_amended_points_along_the_exact_correction():
    for seed in range(20):
        hessian, m = Quadratic.random(10 * seed).H, normal(3, 7, seed=seed)
        basis = torch.linalg.qr(normal(7, 7, seed=seed + 1)).Q
        total = sum(third @ exact for exact, _, third in (corrections(hessian, m, v) for v in basis))
        torch.testing.assert_close(
            total, 0.1 * m.square().sum()
        )  # a similarity keeps the trace: so much of Eq. 8 holds


def test_amended_never_points_away_where_the_mixed_derivative_and_the_hessian_share_their_axes():
    for seed in range(100):
        axes = torch.linalg.qr(normal(7, 7, seed=seed)).Q
        hessian = axes @ torch.diag(normal(7, seed=seed + 1).exp()) @ axes.T
        m = torch.linalg.qr(normal(7, 7, seed=seed + 2)).Q @ torch.diag(normal(7, seed=seed + 3)) @ axes.T
        exact, _, third = corrections(hessian, m, normal(7, seed=seed + 4))
        assert third @ exact > 0


def test_amended_never_points_away_where_the_slope_is_an_eigenvector_of_the_hessian():
    hessian, m = Quadratic.random(3).H, normal(3, 7, seed=4)
    eigenvalues, eigenvectors = torch.linalg.eigh(hessian)
    for eigenvalue, v in zip(eigenvalues, eigenvectors.T, strict=True):
        exact, _, third = corrections(hessian, m, v)
        torch.testing.assert_close(third, 0.1 * eigenvalue**2 * exact)


# A tiny network, small enough for the dense inverse of its Hessian

X = normal(2, 12, 3, seed=0)
Y = (X[..., 0] * X[..., 1] > 0).long()
TINY = {"tanh": (3, 4), "sine": (3, 4), "tanh2": (4, 3), "linear2": (4, 3), "classifier": (3, 2)}
SIZES = [a * b for a, b in TINY.values()]


def tiny_weights(flat):
    return {n: part.view(s) for (n, s), part in zip(TINY.items(), flat.split(SIZES), strict=True)}


def tiny_loss(weights, alphas, half):
    """Two choices of two candidates each between 3 inputs, 4 units, 3 units and 2 classes; the first half is trained.

    Training is penalised, so that its Hessian can be inverted.
    """
    w, (p, q), x = weights, [torch.softmax(a, dim=0) for a in alphas], X[half]
    x = p[0] * torch.tanh(x @ w["tanh"]) + p[1] * torch.sin(x @ w["sine"])
    x = q[0] * torch.tanh(x @ w["tanh2"]) + q[1] * (x @ w["linear2"])
    penalty = sum(t.square().sum() for t in w.values())
    return F.cross_entropy(x @ w["classifier"], Y[half]) + (0.01 * penalty if half == 0 else 0.0)


def tiny_train(weights, alphas):
    return tiny_loss(weights, alphas, 0)


def tiny_search(weights, alphas):
    return tiny_loss(weights, alphas, 1)


def on_vectors(loss):
    return lambda flat, a: loss(tiny_weights(flat), [a[:2], a[2:]])


def tiny_optimum(flat, a):
    """Newton's method to a minimum of the training loss, uphill directions turned around."""
    gradient = torch.func.grad(on_vectors(tiny_train))
    for _ in range(100):
        eigenvalues, axes = torch.linalg.eigh(torch.func.jacrev(gradient)(flat, a))
        slope = gradient(flat, a)
        if slope.norm() < 1e-12:
            break
        newton = axes @ ((axes.T @ slope) / eigenvalues.abs().clamp_min(1e-3))
        flat = flat - newton / newton.norm().clamp_min(1.0)
    assert slope.norm() < 1e-12 and eigenvalues[0] > 1e-3
    return flat


ALPHAS = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)


@pytest.fixture(scope="module")
def optimum():
    return tiny_optimum(normal(sum(SIZES), seed=0), ALPHAS)


def dense(flat):
    """Returns M, H and v of the tiny network as matrices."""
    mixed = torch.func.jacrev(torch.func.grad(on_vectors(tiny_train)), argnums=1)(flat, ALPHAS).T
    hessian = torch.func.jacrev(torch.func.grad(on_vectors(tiny_train)))(flat, ALPHAS)
    return mixed, hessian, torch.func.grad(on_vectors(tiny_search))(flat, ALPHAS)


def test_the_exact_correction_is_what_retraining_the_tiny_network_shows(optimum):
    mixed, hessian, v = dense(optimum)
    g1 = first_order(tiny_search, tiny_weights(optimum), [ALPHAS[:2], ALPHAS[2:]]).first
    g2 = -mixed @ torch.linalg.solve(hessian, v)  # Eq. 6
    for k in range(4):
        shift = 1e-5 * F.one_hot(torch.tensor(k), 4).double()
        ahead, behind = (on_vectors(tiny_search)(tiny_optimum(optimum, a), a) for a in (ALPHAS + shift, ALPHAS - shift))
        torch.testing.assert_close((ahead - behind) / 2e-5, (torch.cat(g1) + g2)[k], rtol=1e-6, atol=1e-8)
    assert g2.norm() > 0.01


def test_the_corrections_of_the_tiny_network_are_products_of_its_dense_derivatives(optimum):
    mixed, hessian, v = dense(optimum)
    weights, alphas = tiny_weights(optimum), [ALPHAS[:2], ALPHAS[2:]]
    third = amended(tiny_train, tiny_search, weights, alphas, eta=0.1)
    assert_equal(third.correction, -0.1 * mixed @ hessian @ v)
    second = second_order(tiny_train, tiny_search, weights, alphas, SgdStep(learning_rate=0.5))
    assert_equal(second.correction, -0.5 * mixed @ v)  # the unrolled step stays at a stationary point


def test_the_tiny_network_too_is_one_where_both_corrections_point_away_from_the_exact_one(optimum):
    mixed, hessian, v = dense(optimum)
    exact = [-mixed @ torch.linalg.solve(hessian, v)]
    problem = tiny_train, tiny_search, tiny_weights(optimum), [ALPHAS[:2], ALPHAS[2:]]
    for found in (second_order(*problem, SgdStep(learning_rate=0.5)), amended(*problem, eta=0.1)):
        assert ArchitectureGradient(exact, [torch.cat(found.correction)]).cosine < -0.9


@pytest.mark.parametrize(("eta", "ratio"), [(0.01, 0.1), (0.1, 1.0), (1.0, 10.0)])
def test_a_relative_eta_gives_the_correction_of_the_absolute_one_a_length_relative_to_the_first_term(eta, ratio):
    problem = tiny_train, tiny_search, tiny_weights(normal(sum(SIZES), seed=6)), [ALPHAS[:2], ALPHAS[2:]]
    absolute, relative = amended(*problem, eta=0.1), amended(*problem, eta=eta, eta_unit="relative")
    assert_equal(relative.first, torch.cat(absolute.first))
    direction = torch.cat(absolute.correction) / absolute.correction_norm
    assert_equal(relative.correction, direction * ratio * absolute.first_norm)


def test_a_relative_eta_of_a_correction_of_zero_is_zero():
    problem = lambda weights, alphas: weights["w"].sum(), lambda weights, alphas: (weights["w"] * alphas[0]).sum()
    found = amended(*problem, {"w": torch.ones(2)}, [torch.ones(2)], eta=0.1, eta_unit="relative")
    assert found.first_norm > 0
    assert found.correction_norm == 0


@pytest.mark.parametrize("gradient", ["second_order", "amended"])
def test_finite_differences_come_closer_with_the_square_of_the_radius(gradient):
    def correction(radius):
        arguments = tiny_train, tiny_search, tiny_weights(normal(sum(SIZES), seed=6)), [ALPHAS[:2], ALPHAS[2:]]
        if gradient == "amended":
            return torch.cat(amended(*arguments, eta=0.1, radius=radius).correction)
        return torch.cat(second_order(*arguments, SgdStep(learning_rate=0.5), radius=radius).correction)

    exact = correction(None)
    errors = [((correction(radius) - exact).norm() / exact.norm()).item() for radius in (0.4, 0.1, 0.025, 1e-4)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.2) and errors[1] / errors[2] == pytest.approx(16, rel=0.05)
    assert errors[0] > 1e-4 and errors[3] < 1e-7


def test_only_finite_differences_see_a_kink_that_lies_within_the_radius():
    def train(weights, alphas):
        return alphas[0].sum() * torch.relu(weights["w"]).sum()

    problem = train, lambda weights, alphas: weights["w"].sum(), {"w": torch.full((1,), 0.005)}, [torch.zeros(1)]
    found = [second_order(*problem, SgdStep(learning_rate=1.0), radius=radius) for radius in (None, 0.001, 0.01)]
    assert [f.correction[0].item() for f in found] == pytest.approx([-1.0, -1.0, -0.015 / 0.02], rel=1e-4)


# The unrolled step is the one that SGD takes


def partial_gates(alphas):
    """Only some candidates of each choice run, all with weights of the alphas: the others are idle."""
    active = ((1,), (2, 0), (3,))
    return tuple(Gate(k, torch.softmax(a, dim=0)[list(k)]) for k, a in zip(active, alphas, strict=True))


def toy_problem(supernet, gates_of):
    (train, search), alphas = list(ToyBatches(2).epoch(0)), [normal(k, seed=k) for k in (2, 3, 4)]
    return loss_on(supernet, *train, gates_of), loss_on(supernet, *search, gates_of), alphas


def benchmark_problem(supernet, gates_of):
    images, labels, alphas = normal(2, 4, 3, 8, 8, seed=3), torch.arange(8).view(2, 4) % 3, list(normal(6, 5, seed=4))
    return *(loss_on(supernet, x, y, gates_of) for x, y in zip(images, labels, strict=True)), alphas


def benchmark_supernet(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return NasBench201(channels=2, cells=1, **options).build_supernet(3).double()


def stepped(optimizer, supernet, loss, alphas):
    """Takes a real step on the supernet's own weights."""
    optimizer.zero_grad()
    loss(dict(supernet.named_parameters()), alphas).backward()
    optimizer.step()


def sgd(supernet, **options):
    matrices = [p for p in supernet.parameters() if p.dim() > 1]
    vectors = [p for p in supernet.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.4, **options)


@pytest.mark.parametrize("steps_before", [0, 2])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}], ids=str)
@pytest.mark.parametrize(
    ("build", "problem", "gates_of", "distance"),
    [
        (toy_supernet, toy_problem, mixture, 1e-4),
        (toy_supernet, toy_problem, partial_gates, 1e-4),
        (benchmark_supernet, benchmark_problem, mixture, 1e-7),  # no kink of its ReLUs is that near
    ],
    ids=["toy", "toy, some candidates idle in the step", "nasbench201"],
)
def test_second_order_is_the_slope_of_the_search_loss_after_a_real_step_of_sgd(
    build, problem, gates_of, distance, options, steps_before
):
    supernet = build()
    optimizer = sgd(supernet, **options)
    train = problem(supernet, gates_of)[0]
    everything, search, alphas = problem(supernet, mixture)
    for _ in range(steps_before):
        stepped(optimizer, supernet, everything, alphas)  # then idle candidates too have momentum
    weights = dict(supernet.named_parameters())
    gradient = second_order(train, search, weights, alphas, SgdStep.of(optimizer, weights))

    def after_a_step(alphas):
        pair = copy.deepcopy((supernet, optimizer))
        stepped(pair[1], pair[0], problem(pair[0], gates_of)[0], alphas)
        return search(dict(pair[0].named_parameters()), alphas)

    direction = [normal(len(a), seed=20 + k) for k, a in enumerate(alphas)]
    ahead, behind = (
        after_a_step([a + s * d for a, d in zip(alphas, direction, strict=True)]).item() for s in (distance, -distance)
    )
    slope = sum(g @ d for g, d in zip(gradient.total, direction, strict=True)).item()
    assert (ahead - behind) / (2 * distance) == pytest.approx(slope, rel=1e-5)
    correction = sum(g @ d for g, d in zip(gradient.correction, direction, strict=True)).item()
    assert abs(correction) > 1e-3 * abs(slope)


@pytest.mark.parametrize("nesterov", [False, True])
def test_second_order_is_the_double_backward_through_the_unrolled_step_written_out(nesterov):
    supernet = toy_supernet()
    train, search, alphas = toy_problem(supernet, mixture)
    weights = dict(supernet.named_parameters())
    buffers = {name: normal(*w.shape, seed=k) for k, (name, w) in enumerate(weights.items())}
    step = SgdStep(0.4, 0.9, nesterov, dict.fromkeys(weights, 0.05), buffers)
    gradient = second_order(train, search, weights, alphas, step)

    leaves = [a.clone().requires_grad_() for a in alphas]
    slopes = torch.autograd.grad(train(weights, leaves), list(weights.values()), create_graph=True)
    unrolled = {}
    for (name, w), slope in zip(weights.items(), slopes, strict=True):
        d = slope + 0.05 * w
        b = 0.9 * buffers[name] + d
        unrolled[name] = w - 0.4 * (d + 0.9 * b if nesterov else b)
    expected = torch.autograd.grad(search(unrolled, leaves), leaves)
    assert_equal(gradient.total, torch.cat(expected))


# On supernets

GRADIENTS = {
    "first order": lambda train, search, weights, alphas: first_order(search, weights, alphas),
    "second order": lambda *problem: second_order(*problem, SgdStep(0.1, 0.9)),
    "second order, differences": lambda *problem: second_order(*problem, SgdStep(0.1, 0.9), radius=DARTS_RADIUS),
    "amended": lambda *problem: amended(*problem, eta=0.1),
    "amended, differences": lambda *problem: amended(*problem, eta=0.1, radius=DARTS_RADIUS),
}


@pytest.fixture(params=GRADIENTS.values(), ids=GRADIENTS.keys())
def gradient_of(request):
    return request.param


def test_a_gradient_changes_nothing_and_comes_out_the_same_again(gradient_of):
    supernet = benchmark_supernet()
    supernet.classifier.requires_grad_(False)
    train, search, alphas = benchmark_problem(supernet, mixture)
    alphas[0].requires_grad_()
    weights = dict(supernet.named_parameters())
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    flags = [tensor.requires_grad for tensor in (*weights.values(), *alphas)]
    first, again = gradient_of(train, search, weights, alphas), gradient_of(train, search, weights, alphas)

    assert all(torch.equal(a, b) for a, b in zip(first.total, again.total, strict=True))
    assert all(0 < g.norm() < math.inf and not g.requires_grad for g in first.total)
    assert {n for n, tensor in supernet.state_dict().items() if not torch.equal(tensor, before[n])} == set()
    assert [tensor.requires_grad for tensor in (*weights.values(), *alphas)] == flags
    assert all(tensor.grad is None for tensor in (*weights.values(), *alphas))
    assert all(w is p for w, p in zip(weights.values(), supernet.parameters(), strict=True))


def test_running_statistics_move_once_a_step_where_the_weights_are_trained(gradient_of):
    supernet, untouched = benchmark_supernet(), benchmark_supernet()
    train, search, alphas = benchmark_problem(supernet, mixture)
    images = normal(2, 4, 3, 8, 8, seed=3)[0]
    for steps in (1, 2):
        gradient_of(train, search, dict(supernet.named_parameters()), alphas)
        for network in (supernet, untouched):
            network(images, mixture(alphas))  # the weight step's forward pass
        assert supernet.stem.bn.num_batches_tracked == steps
    for (name, moved), expected in zip(supernet.named_buffers(), untouched.buffers(), strict=True):
        assert torch.equal(moved, expected), name


def test_batch_statistics_are_used_and_differentiated_whatever_the_running_ones_are():
    supernet, moved = benchmark_supernet(), benchmark_supernet()
    for buffer in moved.buffers():
        buffer.add_(3)
    for gradient in GRADIENTS.values():
        weights = dict(supernet.named_parameters())
        pair = [
            gradient(*benchmark_problem(s, mixture)[:2], weights, list(normal(6, 5, seed=4))) for s in (supernet, moved)
        ]
        assert_equal(pair[0].total, torch.cat(pair[1].total), rtol=0, atol=0)


@pytest.mark.parametrize("options", [{}, {"affine": True}, {"track_running_stats": False}], ids=str)
def test_on_a_supernet_exact_and_finite_differences_agree_at_a_small_radius(options):
    supernet = benchmark_supernet(**options)
    problem = benchmark_problem(supernet, mixture)
    problem = *problem[:2], dict(supernet.named_parameters()), problem[2]
    pairs = [
        [second_order(*problem, SgdStep(0.1), radius=radius) for radius in (None, 1e-6)],
        [amended(*problem, eta=0.1, radius=radius) for radius in (None, 1e-6)],
    ]
    for exact, differences in pairs:
        assert exact.correction_norm > 1e-4
        assert_equal(differences.correction, torch.cat(exact.correction), rtol=1e-5, atol=1e-6 * exact.correction_norm)


def test_gradients_have_the_precision_of_the_weights(gradient_of):
    supernet = benchmark_supernet().float()
    images, labels, alphas = (
        normal(2, 4, 3, 8, 8, seed=3).float(),
        torch.arange(4) % 3,
        list(normal(6, 5, seed=4).float()),
    )
    losses = [loss_on(supernet, x, labels, mixture) for x in images]
    found = gradient_of(*losses, dict(supernet.named_parameters()), alphas)
    assert {g.dtype for g in (*found.total, *found.correction)} == {torch.float32}
    assert all(torch.isfinite(g).all() for g in found.total)


def drawn_gates(alphas):
    return hard_samples(alphas, 1.0, torch.Generator().manual_seed(8))[0]


def test_under_hard_gates_only_the_sampled_candidates_are_called(gradient_of):
    supernet = benchmark_supernet()
    train, search, alphas = benchmark_problem(supernet, drawn_gates)
    called = set()
    for name, block in supernet.named_modules():
        if isinstance(block, ChoiceBlock):
            for k in range(block.num_candidates):
                block.candidate(k).register_forward_hook(lambda *_, key=(name[-1], k): called.add(key))
    found = gradient_of(train, search, dict(supernet.named_parameters()), alphas)
    sampled = {(str(edge), gate.active[0]) for edge, gate in enumerate(drawn_gates(alphas))}
    assert len(called) > 2 and called <= sampled
    assert [g.any() for g in found.total] == [str(edge) in dict(called) for edge in range(6)]


def test_under_hard_gates_exact_and_finite_differences_agree():
    supernet = toy_supernet()
    train, search, alphas = toy_problem(supernet, drawn_gates)
    problem = train, search, dict(supernet.named_parameters()), alphas
    for exact, differences in (
        [second_order(*problem, SgdStep(0.1), radius=radius) for radius in (None, 1e-4)],
        [amended(*problem, eta=0.1, radius=radius) for radius in (None, 1e-4)],
    ):
        assert_equal(differences.correction, torch.cat(exact.correction), rtol=1e-6, atol=1e-9 * exact.correction_norm)
        assert exact.correction_norm > 1e-6


def test_the_losses_of_a_step_may_run_different_candidates(gradient_of):
    supernet = toy_supernet()
    train, _, alphas = toy_problem(supernet, partial_gates)
    _, search, _ = toy_problem(supernet, lambda alphas: tuple(Gate((0,), torch.softmax(a, 0)[:1]) for a in alphas))
    found = gradient_of(train, search, dict(supernet.named_parameters()), alphas)
    assert all(g.any() for g in found.first) and all(torch.isfinite(g).all() for g in found.total)


# What each costs


@pytest.mark.parametrize(
    ("gradient", "train_passes", "search_passes"),
    [
        ("first order", "", "a"),
        ("second order", "b", "b"),
        ("second order, differences", "waa", "b"),
        ("amended", "b", "b"),
        ("amended, differences", "wwaa", "b"),
    ],
)
def test_a_gradient_evaluates_each_loss_no_more_often_than_it_says(gradient, train_passes, search_passes):
    """A pass is differentiated by the alphas (a), by the weights (w), or by both (b)."""
    passes = {"train": "", "search": ""}

    def recorded(name, loss):
        def call(weights, alphas):
            of_weights, of_alphas = ({t.requires_grad for t in ts} for ts in (weights.values(), alphas))
            assert len(of_weights) == len(of_alphas) == 1
            passes[name] += {(False, True): "a", (True, False): "w", (True, True): "b"}[(*of_weights, *of_alphas)]
            return loss(weights, alphas)

        return call

    supernet = toy_supernet()
    train, search, alphas = toy_problem(supernet, mixture)
    weights = dict(supernet.named_parameters())
    GRADIENTS[gradient](recorded("train", train), recorded("search", search), weights, alphas)
    assert passes == {"train": train_passes, "search": search_passes}


def test_the_weights_that_a_loss_sees_are_views():
    supernet = toy_supernet()
    _, search, alphas = toy_problem(supernet, mixture)
    own = dict(supernet.named_parameters())

    def watched(weights, alphas):
        assert all(weights[name].data_ptr() == own[name].data_ptr() for name in own)
        return search(weights, alphas)

    assert first_order(watched, own, alphas).first_norm > 0
    assert amended(watched, watched, own, alphas, eta=0.1).first_norm > 0


@pytest.mark.parametrize("touches", [True, False])
def test_where_the_search_loss_is_flat_in_the_weights_there_is_no_correction(touches, gradient_of):
    def flat(weights, alphas):
        value = sum(a.square().sum() for a in alphas)
        return value + sum(0.0 * w.sum() for w in weights.values()) if touches else value

    supernet = toy_supernet()
    train, _, alphas = toy_problem(supernet, mixture)
    found = gradient_of(train, flat, dict(supernet.named_parameters()), alphas)
    assert_equal(found.total, 2 * torch.cat(alphas))
    assert found.correction_norm == 0 and found.cosine == 0


@pytest.mark.parametrize("radius", [None, DARTS_RADIUS])
def test_a_weight_in_which_the_training_loss_is_linear_adds_nothing(radius):
    def train(weights, alphas):
        return alphas[0].sum() * weights["curved"].square().sum() + weights["linear"].sum()

    def search(weights, alphas):
        return weights["curved"].sum() + weights["linear"].sum()

    weights, alphas = {"curved": torch.ones(1).double(), "linear": torch.ones(2).double()}, [torch.ones(1).double()]
    second = second_order(train, search, weights, alphas, SgdStep(learning_rate=1.0), radius=radius)
    third = amended(train, search, weights, alphas, eta=1.0, radius=radius)
    assert_equal(second.correction, [-2.0], rtol=1e-8)  # M = 2 w
    assert_equal(third.correction, [-4.0], rtol=1e-8)  # H = 2 a


# The loss and what is returned


def test_the_loss_is_the_mean_cross_entropy_at_the_weights_given():
    supernet, other = toy_supernet(seed=0), toy_supernet(seed=1)
    images, labels = next(ToyBatches(1).epoch(0))
    alphas = [normal(k, seed=k) for k in (2, 3, 4)]
    loss = loss_on(supernet, images, labels, mixture)(dict(other.named_parameters()), alphas)
    p = torch.softmax(other(images, mixture(alphas)), dim=1)
    assert p.shape == (8, CLASSES)
    torch.testing.assert_close(loss, -p[range(8), labels].log().mean())


def test_a_supernet_in_evaluation_mode_is_refused():
    with pytest.raises(RuntimeError, match=r"go through batch statistics: call supernet.train\(\) first"):
        loss_on(toy_supernet().eval(), torch.zeros(1, 3, 2, 2), torch.zeros(1, dtype=torch.long), mixture)


def test_a_gradient_tells_its_norms_and_its_angle():
    gradient = ArchitectureGradient(
        first=[torch.tensor([3.0, 0.0]), torch.tensor([4.0])],
        correction=[torch.tensor([0.0, 12.0]), torch.tensor([5.0])],
    )
    assert [g.tolist() for g in gradient.total] == [[3.0, 12.0], [9.0]]
    assert (gradient.first_norm, gradient.correction_norm) == (5.0, 13.0)
    assert gradient.cosine == pytest.approx(20 / 65)
    tiny = ArchitectureGradient(gradient.first, [1e-30 * g for g in gradient.correction])
    assert tiny.cosine == pytest.approx(20 / 65)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_gradients_are_those_of_the_cpu(gradient_of):
    found = []
    for device in ("cpu", "cuda"):
        supernet = benchmark_supernet().to(device)
        images, labels, alphas = normal(2, 4, 3, 8, 8, seed=3), torch.arange(4) % 3, normal(6, 5, seed=4)
        losses = [loss_on(supernet, x.to(device), labels.to(device), mixture) for x in images]
        result = gradient_of(*losses, dict(supernet.named_parameters()), list(alphas.to(device)))
        assert {g.device.type for g in result.total} == {device}
        found.append(torch.cat(result.total).cpu())
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-9)
