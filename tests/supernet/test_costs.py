"""Costs are read off the network: each to the candidate it was spent in, once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from raynas.search_space import AdditiveTable, Choice, SearchSpace, as_array, sample
from raynas.spaces.darts import Darts
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.spaces.quadruples import Quadruples
from raynas.supernet.choice_block import ChoiceBlock, Zero
from raynas.supernet.costs import COUNTED, architecture_costs, cost_table
from raynas.supernet.gates import Gate
from tests.supernet.toys import CLASSES, WIDTH, Toy


class Net(nn.Module):
    """Two cells that share one block for the first choice and have one each for the second, all on 2 channels."""

    num_cells = 2

    def __init__(self, *, second="routed"):
        super().__init__()
        self.stem = nn.Conv2d(3, 2, 3, padding=1, bias=False)
        grouped = nn.Conv2d(2, 2, 3, padding=1, groups=2)
        self.shared = ChoiceBlock({"none": Zero(), "one": nn.Conv2d(2, 2, 1), "grouped": grouped})
        self.own = nn.ModuleList(ChoiceBlock({"skip": nn.Identity(), "norm": nn.BatchNorm2d(2)}) for _ in range(2))
        self.head = nn.Linear(2, 5, bias=False)
        self.second = second

    def forward(self, images, gates):
        x = self.stem(images)
        for own in self.own:
            x = self.shared(x, gates[0])
            x = own(x, gates[1]) if self.second == "routed" else x if self.second == "idle" else own(x, Gate((0,)))
            x = nn.functional.max_pool2d(x, 2)
        return self.head(x.mean(dim=(2, 3)))


class Space(SearchSpace):
    name = "space"
    choices = (Choice("first", ("none", "one", "grouped")), Choice("second", ("skip", "norm")))
    network = Net

    def build_supernet(self, num_classes):
        return self.network()

    def build_network(self, architecture, num_classes):
        raise NotImplementedError


def test_by_hand():
    table = cost_table(Space(), 8, 5)
    assert table.quantities == COUNTED and table.fixed.dtype == table.terms.dtype == np.int64
    pixels = 64 + 16  # the cells work on 8 x 8 and on 4 x 4: shared weights count once, their work twice
    assert table.terms.tolist() == [
        [
            [0, 0],
            [2 * 2 + 2, 2 * 2 * pixels],
            [2 * 9 + 2, 2 * 9 * pixels],
        ],
        [[0, 0], [2 * 4, 0], [0, 0]],
    ]
    assert table.fixed.tolist() == [3 * 2 * 9 + 2 * 5, 3 * 2 * 9 * 64 + 2 * 5]


def test_linear_layers_count_their_bias():
    table = cost_table(Toy(), 2, CLASSES)
    linear = WIDTH * WIDTH + WIDTH
    assert table.terms[0].tolist() == [[2 * linear, 2 * linear]] * 2 + [[0, 0]] * 2
    assert table.terms[2].tolist() == [[2 * linear, 2 * linear]] * 4
    assert table.fixed.tolist() == [12 * WIDTH + WIDTH + WIDTH * CLASSES + CLASSES] * 2


def test_what_is_priced_is_the_union_where_the_supernet_is_another():
    class Wide(Space):
        def build_union(self, num_classes):
            net = Net()
            net.shared = ChoiceBlock({"none": Zero(), "one": nn.Conv2d(2, 2, 1, bias=False), "grouped": nn.Identity()})
            return net

    assert cost_table(Wide(), 8, 5).terms[0, :, 0].tolist() == [0, 4, 0]


def test_neither_random_numbers_nor_hooks_are_left_behind():
    kept = []

    class Keeping(Space):
        def build_union(self, num_classes):
            kept.append(Net())
            return kept[-1]

    state = torch.random.get_rng_state()
    cost_table(Keeping(), 8, 5)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in kept[0].modules())


def test_a_choice_without_a_block_is_refused_and_a_block_without_a_choice_too():
    class Unrouted(Space):
        network = staticmethod(lambda: Net(second="idle"))

    with pytest.raises(ValueError, match="^Unrouted: no ChoiceBlock is called with the gate of second; route every"):
        cost_table(Unrouted(), 8, 5)
    Unrouted.network = staticmethod(lambda: Net(second="self-willed"))
    with pytest.raises(ValueError, match="^a ChoiceBlock is called with a gate of the network's own; pass on"):
        cost_table(Unrouted(), 8, 5)


def test_an_image_that_does_not_fit_is_refused_by_key():
    with pytest.raises(ValueError, match="^data.resolution: the network of Space cannot run on an image of 2x2: "):
        cost_table(Space(), 2, 5)


class Exchanged(Space):
    """The union of `Space` under choices of its own: the first says which candidate, the second of which block."""

    choices = (Choice("candidate", ("0", "1")), Choice("block", ("first", "second")))
    cost_choices = Space.choices

    def cost_terms(self, architectures):
        candidate, block = architectures.T
        yield block, candidate
        yield 0, np.zeros_like(candidate)


def test_costs_may_add_up_over_other_choices_than_the_space_has():
    plain, table = cost_table(Space(), 8, 5), cost_table(Exchanged(), 8, 5)
    assert np.array_equal(table.terms, plain.terms) and np.array_equal(table.fixed, plain.fixed)
    architectures = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    expected = [plain.fixed + plain.terms[block, candidate] + plain.terms[0, 0] for candidate, block in architectures]
    assert np.array_equal(table.total(architectures), expected)
    multiplicity = np.array([[2, 5], [0, 5], [3, 5], [1, 5]])
    expected = [plain.fixed + m * plain.terms[b, c] for (c, b), (m, _) in zip(architectures, multiplicity, strict=True)]
    assert np.array_equal(table.total(architectures, multiplicity), expected)
    beside = table.beside(AdditiveTable(("latency",), np.zeros(1), np.ones((2, 3, 1))))
    assert np.array_equal(beside.total(architectures), np.column_stack([table.total(architectures), [2, 2, 2, 2]]))


@pytest.mark.parametrize("width", [1, 3])
def test_architectures_of_another_space_have_no_costs(width):
    with pytest.raises(ValueError, match="zip"):
        cost_table(Space(), 8, 5).total(np.zeros((4, width), dtype=np.int64))


def all_paths_dead_but_one():
    """Returns a cell of which the edges into node 1 lead nowhere, although they convolve."""
    return NasBench201().parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|none~2|")


@pytest.mark.parametrize(
    "space",
    [
        NasBench201(channels=4, cells=1),
        MobileNet(width=0.2, depth=2),
        Darts(channels=4, cells=3, operations=("none", "max_pool_3x3", "skip_connect", "dil_conv_5x5")),
        Darts(channels=4, cells=3, reduction="fixed"),
        Quadruples(channels=4, cells=3),
    ],
    ids=lambda space: type(space).__name__,
)
def test_the_costs_of_one_architecture_are_those_of_the_table(space):
    table = cost_table(space, 32, 7)
    rng = np.random.default_rng(4)
    for architecture in (sample(space, rng) for _ in range(5)):
        expected = tuple(table.total(as_array([architecture]))[0].tolist())
        assert architecture_costs(space, architecture, 32, 7) == expected


def test_what_lies_on_no_path_counts_as_in_the_benchmark():
    """7.78305 M and 35.38944 M for each convolution of 3x3, 3.93216 M for each of 1x1, wherever it leads to."""
    _, multiply_adds = architecture_costs(NasBench201(), all_paths_dead_but_one(), 32, 10)
    assert multiply_adds == 7_783_050 + 35_389_440 + 3_932_160
