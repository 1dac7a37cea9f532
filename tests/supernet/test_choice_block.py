"""The sum over active candidates."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raynas.supernet.choice_block import ChoiceBlock, Zero
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
