"""The sum over active candidates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raynas.supernet.choice_block import ChoiceBlock, Zero, set_drop_path
from raynas.supernet.gates import Gate


class Times(nn.Module):
    """Multiplies by a weight, and counts its calls."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.factor * x


def block():
    return ChoiceBlock({"none": Zero(), "two": Times(2), "three": Times(3), "five": Times(5)})


X = torch.tensor([1.0, -4.0])


@pytest.mark.parametrize(
    ("gate", "factor", "called"),
    [
        (Gate((1,)), 2, [1, 0, 0]),
        (Gate((3,)), 5, [0, 0, 1]),
        (Gate((1, 3)), 7, [1, 0, 1]),
        (Gate((0, 2)), 3, [0, 1, 0]),
        (Gate((2,), torch.tensor([0.5])), 1.5, [0, 1, 0]),
        (Gate((3, 1), torch.tensor([0.5, 10.0])), 22.5, [1, 0, 1]),
        (Gate((1, 2), torch.tensor([0.5, 10.0])), 31, [1, 1, 0]),
        (Gate((0, 1, 2, 3), torch.tensor([100.0, 1.0, 2.0, 3.0])), 23, [1, 1, 1]),
    ],
    ids=str,
)
def test_a_block_is_the_weighted_sum_of_its_active_candidates_and_runs_no_other(gate, factor, called):
    choice = block()
    torch.testing.assert_close(choice(X, gate), factor * X, rtol=0, atol=0)
    assert [choice.candidate(k).calls for k in (1, 2, 3)] == called


def test_only_active_candidates_get_gradients_and_so_do_their_weights():
    choice = block()
    weights = torch.tensor([0.5, 10.0], requires_grad=True)
    choice(X, Gate((3, 0), weights)).sum().backward()
    assert [p.grad is None for p in choice.parameters()] == [True, True, False]
    assert choice.five.factor.grad.item() == 0.5 * -3.0
    assert weights.grad.tolist() == [5 * -3.0, 0.0]


@pytest.mark.parametrize(
    ("active", "live"), [((0,), False), ((), False), ((1,), True), ((0, 2), True), ((0, 1, 2, 3), True)]
)
def test_a_block_is_live_when_an_active_candidate_passes_something(active, live):
    assert block().is_live(Gate(active)) is live


@pytest.mark.parametrize("active", [(0,), ()])
def test_a_block_that_is_not_live_cannot_be_called(active):
    with pytest.raises(AssertionError, match="a block that is not live was called"):
        block()(X, Gate(active))


def test_candidates_are_kept_by_name_in_the_order_given():
    choice = block()
    assert [name for name, _ in choice.named_children()] == ["none", "two", "three", "five"]
    assert [choice.candidate(k) is module for k, module in enumerate(choice.children())] == [True] * 4
    assert list(choice.state_dict()) == ["two.factor", "three.factor", "five.factor"]


def test_a_narrowed_block_takes_a_full_blocks_weights_by_name():
    full, narrow = block(), ChoiceBlock({"three": Times(0)})
    narrow.load_state_dict({name: value for name, value in full.state_dict().items() if name.startswith("three.")})
    torch.testing.assert_close(narrow(X, Gate((0,))), full(X, Gate((2,))), rtol=0, atol=0)


def test_the_input_is_not_changed():
    x = X.clone()
    ChoiceBlock({"skip": nn.Identity(), "two": Times(2)})(x, Gate((0, 1)))
    assert torch.equal(x, X)


def dropping(probability, **candidates):
    choice = ChoiceBlock(candidates or {"none": Zero(), "two": Times(2), "skip": nn.Identity(), "five": Times(5)})
    set_drop_path(nn.ModuleList([choice]), probability)
    return choice


@pytest.fixture
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


IMAGES = torch.arange(1.0, 25.0).reshape(2, 3, 2, 2)


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.75])
def test_whole_images_are_dropped_and_the_others_made_up_for_it(seeded, probability):
    number = 4000
    out = dropping(probability)(IMAGES[:1].expand(number, -1, -1, -1), Gate((1,)))
    factors = out / (2 * IMAGES[:1])
    of_image = factors[:, 0, 0, 0]
    torch.testing.assert_close(factors, of_image[:, None, None, None].expand_as(factors))
    kept = of_image != 0
    torch.testing.assert_close(of_image[kept], torch.full_like(of_image[kept], 1 / (1 - probability)))
    deviation = (probability * (1 - probability) / number) ** 0.5
    assert kept.double().mean() == pytest.approx(1 - probability, abs=5 * deviation)
    assert not torch.equal(kept[::2], kept[1::2])


def test_on_average_nothing_is_lost_under_any_gate(seeded):
    number = 20_000
    weights = torch.tensor([0.3, 0.5, 2.0, 0.7])
    for gate in (Gate((3,)), Gate((1, 3)), Gate((1, 2, 3)), Gate((0, 1, 2, 3), weights)):
        choice = dropping(0.3)
        x = IMAGES.repeat(number // 2, 1, 1, 1)
        mean = choice(x, gate).unflatten(0, (-1, 2)).mean(dim=0)
        torch.testing.assert_close(mean, choice.eval()(IMAGES, gate), rtol=0.05, atol=0)


def test_each_candidate_of_a_mixture_is_dropped_by_itself_and_keeps_its_weight(seeded):
    weights = torch.tensor([100.0, 1.0, 10.0, 0.25], requires_grad=True)
    out = dropping(0.5)(torch.ones(400, 1), Gate((0, 1, 2, 3), weights))
    assert set(out.flatten().tolist()) == {10 + two + five for two in (0, 2 * 2 * 1.0) for five in (0, 2 * 5 * 0.25)}
    out.sum().backward()
    assert weights.grad[0] == 0 and weights.grad[2] == 400
    for grad, factor in ((weights.grad[1], 2 * 2), (weights.grad[3], 2 * 5)):
        assert 150 < grad / factor < 250 and grad % factor == 0


def test_an_identity_always_passes_whole_and_draws_nothing(seeded):
    choice, before = dropping(0.9), torch.get_rng_state()
    assert torch.equal(choice(IMAGES, Gate((2,))), IMAGES)
    assert torch.equal(torch.get_rng_state(), before)


def test_nothing_is_dropped_in_evaluation_mode(seeded):
    choice, before = dropping(0.9).eval(), torch.get_rng_state()
    assert torch.equal(choice(IMAGES, Gate((1, 2, 3))), 8 * IMAGES)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_probability_of_0_is_no_operation_and_no_draw(seeded):
    from torch.utils._python_dispatch import TorchDispatchMode

    class Counter(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            called.append(function)
            return function(*arguments, **(options or {}))

    counts = []
    for choice in (block(), dropping(0.0), dropping(0.5)):
        called = []
        before = torch.get_rng_state()
        with torch.no_grad(), Counter():
            choice(IMAGES, Gate((1, 3)))
        counts.append((len(called), torch.equal(torch.get_rng_state(), before)))
    assert counts[0] == counts[1] == (3, True), "two products and a sum"
    assert counts[2][0] > 3 and not counts[2][1]


def test_the_generator_of_torch_says_what_is_dropped(seeded):
    choice, x = dropping(0.5), torch.ones(64, 1)
    first, second = choice(x, Gate((1,))), choice(x, Gate((1,)))
    torch.manual_seed(0)
    assert torch.equal(choice(x, Gate((1,))), first) and not torch.equal(second, first)


def test_an_empty_batch_and_a_half_precision_pass():
    choice = dropping(0.5)
    assert choice(IMAGES[:0], Gate((1,))).shape == (0, 3, 2, 2)
    assert choice.bfloat16()(IMAGES.bfloat16(), Gate((1,))).dtype == torch.bfloat16


def test_the_probability_is_set_in_all_blocks_of_a_network_and_kept_out_of_its_state():
    inner = block()
    network = nn.Sequential(nn.Identity(), block(), ChoiceBlock({"nested": inner}))
    before = list(network.state_dict())
    for probability in (0.25, 0.0):
        set_drop_path(network, probability)
        assert [network[1].drop_path, network[2].drop_path, inner.drop_path] == [probability] * 3
    assert list(network.state_dict()) == before
    assert block().drop_path == 0


LAYOUTS = [torch.contiguous_format, torch.channels_last]


def outputs(number, layout=torch.contiguous_format, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randn(number, 3, 4, 2, 5, generator=generator, dtype=torch.float64)
    return [one.to(dtype).to(memory_format=layout).requires_grad_() for one in drawn]


class Gives(nn.Module):
    """Gives an output of its own, whatever comes in."""

    def __init__(self, out):
        super().__init__()
        self.out = out

    def forward(self, x):
        return self.out


def weighted(outs, weights, active, hard=False):
    candidates = {"none": Zero(), **{f"c{number}": Gives(out) for number, out in enumerate(outs)}}
    return ChoiceBlock(candidates)(outs[0].detach(), Gate(active, weights, hard=hard))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("active", [(1, 2, 3), (3, 0, 1), (2,), (0, 2)], ids=str)
def test_the_first_and_second_derivatives_of_a_weighted_sum_are_finite_differences(active, layout):
    weights = torch.tensor([0.5, -2.0, 0.7], dtype=torch.float64)[: len(active)].requires_grad_()

    def block_sum(weights, *outs):
        return weighted(outs, weights, active)

    arguments = (weights, *outputs(3, layout))
    assert torch.autograd.gradcheck(block_sum, arguments)
    assert torch.autograd.gradgradcheck(block_sum, arguments)


@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("gradient_layout", LAYOUTS, ids=str)
def test_a_hard_weight_of_one_has_the_derivatives_of_a_product(layout, gradient_layout, twice):
    (out,) = outputs(1, layout)
    gradient = torch.randn(3, 4, 2, 5, dtype=torch.float64).to(memory_format=gradient_layout)
    found = []
    for multiply in (lambda w: weighted([out], w, (1,), hard=True), lambda w: out * w):
        weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
        first = torch.autograd.grad(multiply(weight).square(), (out, weight), gradient, create_graph=twice)
        second = torch.autograd.grad(first[0].square().sum() + first[1].sum(), (out, weight)) if twice else ()
        found.append((*first, *second))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("hard", [False, True])
def test_weights_of_half_precision_sums_have_gradients_as_precise_as_their_own(hard):
    x = torch.rand(64, 16, 16, 16, generator=torch.Generator().manual_seed(1)).bfloat16()
    weight = torch.ones(1, requires_grad=True)
    weighted([x], weight, (1,), hard).backward(torch.ones_like(x))
    assert weight.grad.item() == pytest.approx(x.double().sum().item(), rel=2**-8)
