"""A network whose choices follow one another."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raynas.supernet.chain import ChainNetwork
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.gates import Gate, single_path

IMAGES = torch.tensor([[1.0], [-2.0]])


class Append(nn.Module):
    """Appends a number to what has come so far, so that an output tells which modules ran in which order."""

    def __init__(self, number):
        super().__init__()
        self.number = nn.Parameter(torch.tensor(float(number)))

    def forward(self, x):
        return torch.cat([x, self.number.expand(len(x), 1)], dim=1)


def chain(*blocks):
    """Returns begin 10, a block for each tuple of numbers, end 90."""
    named = [ChoiceBlock({f"n{n}": Append(n) for n in numbers}) for numbers in blocks]
    return ChainNetwork(Append(10), named, Append(90))


def passed(network, *gates):
    """Returns the numbers that were appended, which are the same for every image."""
    out = network(IMAGES, *gates)
    assert torch.equal(out[:, :1], IMAGES)
    first, second = out[:, 1:].tolist()
    assert first == second
    return first


def test_the_blocks_run_in_their_order_between_begin_and_end_each_by_its_own_gate():
    supernet = chain((1, 2), (3, 4, 5), (6, 7))
    assert passed(supernet, single_path((0, 2, 1))) == [10, 1, 5, 7, 90]
    assert passed(supernet, single_path((1, 0, 0))) == [10, 2, 3, 6, 90]


def test_a_chain_has_one_cell_so_that_a_route_for_each_cell_is_that_route():
    supernet = chain((1, 2), (3, 4))
    assert supernet.num_cells == 1
    assert passed(supernet, [single_path((1, 0))]) == passed(supernet, single_path((1, 0))) == [10, 2, 3, 90]
    with pytest.raises(ValueError, match="expected gates of one route or of 1 .*got 2 routes"):
        supernet(IMAGES, [single_path((1, 0))] * 2)


def test_gates_weigh_the_candidates_of_their_block():
    supernet = chain((1, 2), (3, 4))
    mixed = Gate((0, 1), torch.tensor([0.25, 0.75]))
    assert passed(supernet, (Gate((0,)), mixed))[2] == 0.25 * 3 + 0.75 * 4


def test_a_network_of_one_candidate_in_every_block_needs_no_gates():
    derived = chain((2,), (3,))
    assert passed(derived) == passed(derived, single_path((0, 0))) == [10, 2, 3, 90]


def test_a_network_with_something_left_to_choose_needs_gates():
    with pytest.raises(AssertionError, match="a supernet needs gates"):
        chain((1, 2), (3,))(IMAGES)


@pytest.mark.parametrize("number", [1, 3])
def test_there_is_a_gate_for_every_block(number):
    with pytest.raises(ValueError, match=r"zip\(\)"):
        chain((1, 2), (3, 4))(IMAGES, single_path((0,) * number))


def test_parameters_are_named_by_part_block_and_candidate():
    names = ["begin.number", "blocks.0.n1.number", "blocks.0.n2.number", "blocks.1.n3.number", "end.number"]
    assert [name for name, _ in chain((1, 2), (3,)).named_parameters()] == names


def test_only_what_ran_gets_a_gradient():
    supernet = chain((1, 2), (3, 4))
    supernet(IMAGES, single_path((1, 0))).sum().backward()
    given = {name for name, parameter in supernet.named_parameters() if parameter.grad is not None}
    assert given == {"begin.number", "blocks.0.n2.number", "blocks.1.n3.number", "end.number"}
