"""The angle in closed form against the vectors built in full."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
import torch

from raynas.fitness.angle import Angle, angle_table
from raynas.search_space import AdditiveTable, Choice, SearchSpace, WeightTerm, WeightVector, as_array, sample
from raynas.spaces.nasbench201 import NasBench201
from tests.fitness.weights import COUNTED, plain_angle, random_weights
from tests.spaces.textbook import PATHS

DEFINITIONS = pytest.mark.parametrize("definition", ["paper", "official"])
EVERY = as_array(list(itertools.product(range(5), repeat=6)))


def moved(weights, by, seed):
    """Returns the weights with Gaussian noise added, as a training that turns them a little."""
    generator = torch.Generator().manual_seed(seed)
    noise = {
        name: torch.randn(w.shape, generator=generator, dtype=torch.float64).to(w.dtype) for name, w in weights.items()
    }
    return {name: w + by * noise[name] * w.std(correction=0) for name, w in weights.items()}


@pytest.fixture(scope="module")
def small():
    space = NasBench201(channels=4, cells=1)
    return space, random_weights(space, 1), random_weights(space, 2)


@DEFINITIONS
@pytest.mark.parametrize("cells", [1, 2])
@pytest.mark.parametrize("training", ["two initialisations", "a little noise"])
def test_the_angle_is_that_of_all_paths_concatenated(definition, cells, training):
    space = NasBench201(channels=4, cells=cells)
    initial = random_weights(space, 1)
    trained = random_weights(space, 2) if training == "two initialisations" else moved(initial, 0.3, 3)
    rng = np.random.default_rng(cells)
    architectures = [sample(space, rng) for _ in range(200)]
    architectures += [(0,) * 6, (1,) * 6, (4,) * 6, (3,) * 6, (2,) * 6, (3, 3, 0, 0, 0, 0), (1, 1, 1, 4, 1, 1)]
    angle = Angle(space, angle_table(space, initial, trained, definition))
    expected = [plain_angle(initial, trained, a, 4, cells, definition) for a in architectures]
    assert angle.quantities == ("fitness",)
    np.testing.assert_allclose(angle(architectures), np.array(expected)[:, None], rtol=0, atol=1e-9)
    assert np.unique(np.round(expected, 6)).size > 120


TO_EVERY_NODE = [[(0, 1)], [(0, 2)], [(0, 1), (1, 2)], *PATHS]
"""The paths of a cell that end at any of its nodes, as lists of edges (source, target)."""


@pytest.mark.parametrize(("ends", "paths"), [("last", PATHS), ("all", TO_EVERY_NODE)])
def test_paths_end_at_the_last_node_or_at_every_node(ends, paths):
    """Section 3.2.2 of RLNAS takes all intermediate nodes as outputs; here every path is concatenated one by one."""
    space = NasBench201(channels=4, cells=2)
    initial, trained = random_weights(space, 1), random_weights(space, 2)
    rng = np.random.default_rng(0)
    architectures = [sample(space, rng) for _ in range(100)] + [(3, 2, 3, 0, 0, 0), (0,) * 6, (0, 3, 3, 2, 3, 3)]
    angle = Angle(space, angle_table(space, initial, trained, "paper"), ends)
    expected = [plain_angle(initial, trained, a, 4, 2, "paper", paths) for a in architectures]
    np.testing.assert_allclose(angle(architectures), np.array(expected)[:, None], rtol=0, atol=1e-9)
    nowhere = expected[100]  # leads to the first two nodes and not to the last
    assert (nowhere == 0) == (ends == "last")


def test_by_default_paths_end_where_the_space_lets_them_end(small):
    space, initial, trained = small
    table = angle_table(space, initial, trained, "paper")
    default, last, every = (Angle(space, table, ends).angles(EVERY) for ends in (None, "last", "all"))
    np.testing.assert_array_equal(default, last)
    assert np.abs(default - every).max() > 0.01


@pytest.mark.parametrize("definition", COUNTED)
@pytest.mark.parametrize("affine", [False, True])
def test_the_angle_is_that_of_the_parts_that_are_counted(definition, affine):
    space = NasBench201(channels=4, cells=1, affine=affine)
    initial, trained = random_weights(space, 1), random_weights(space, 2)
    rng = np.random.default_rng(0)
    architectures = [sample(space, rng) for _ in range(40)] + [(1,) * 6, (4,) * 6]
    expected = [plain_angle(initial, trained, a, 4, 1, definition) for a in architectures]
    angles = Angle(space, angle_table(space, initial, trained, definition))(architectures)
    np.testing.assert_allclose(angles, np.array(expected)[:, None], rtol=0, atol=1e-9)


def test_the_two_definitions_rank_differently(small):
    space, initial, trained = small
    paper, official = (
        Angle(space, angle_table(space, initial, trained, definition)).angles(EVERY)
        for definition in ("paper", "official")
    )
    assert np.abs(paper - official).max() > 0.1


@DEFINITIONS
def test_an_architecture_without_a_live_path_has_angle_zero(small, definition):
    space, initial, trained = small
    angles = Angle(space, angle_table(space, initial, trained, definition)).angles(EVERY)
    e10, e20, e21, e30, e31, e32 = (EVERY != 0).T
    live = e30 | (e20 & e32) | (e10 & e31) | (e10 & e21 & e32)
    assert (~live).sum() == 341
    assert not angles[~live].any()
    if definition == "official":
        assert angles[live].min() > 0.01


def test_generic_weights_give_3850_distinct_angles_over_the_space(small):
    space, initial, trained = small
    angles = np.sort(Angle(space, angle_table(space, initial, trained, "official")).angles(EVERY))
    assert 1 + (np.diff(angles) > 1e-12).sum() == 3_850


@DEFINITIONS
def test_weights_that_did_not_move_have_angle_zero(small, definition):
    space, initial, _ = small
    copies = {name: w.clone() for name, w in initial.items()}
    assert not Angle(space, angle_table(space, initial, copies, definition)).angles(EVERY).any()


def test_scaled_weights_have_angle_zero_up_to_rounding(small):
    space, initial, _ = small
    convolutions = as_array(list(itertools.product((2, 3), repeat=6)))
    scaled = {name: 1.7 * w for name, w in initial.items()}
    assert Angle(space, angle_table(space, initial, scaled, "paper")).angles(convolutions).max() < 1e-7


@pytest.mark.parametrize("scale", [1e-12, 1e9])
def test_the_angle_does_not_depend_on_the_size_of_the_weights(small, scale):
    space, *pair = small
    convolutions = as_array(list(itertools.product((0, 1, 2, 3), repeat=6)))
    tables = [
        angle_table(space, *({name: factor * w for name, w in weights.items()} for weights in pair), "paper")
        for factor in (1.0, scale)
    ]
    plain, scaled = (Angle(space, table).angles(convolutions) for table in tables)
    np.testing.assert_allclose(scaled, plain, rtol=0, atol=1e-12)
    assert plain.max() > 1


def test_weights_of_opposite_sign_have_angle_pi(small):
    space, initial, _ = small
    convolutions = as_array(list(itertools.product((0, 1, 2, 3), repeat=6)))
    convolutions = convolutions[(convolutions[:, 3] > 1)]
    flipped = {name: -w for name, w in initial.items()}
    angles = Angle(space, angle_table(space, initial, flipped, "paper")).angles(convolutions)
    np.testing.assert_allclose(angles, math.pi, rtol=0, atol=1e-7)


@pytest.mark.parametrize("channels", [4, 8])
@DEFINITIONS
def test_a_pooling_draws_the_angle_towards_zero_by_the_size_of_its_kernel(channels, definition):
    space = NasBench201(channels=channels, cells=1)
    initial = random_weights(space, 1)
    flipped = {name: -w if "edges" in name else torch.zeros_like(w) for name, w in initial.items()}
    initial = {name: w if "edges" in name else torch.zeros_like(w) for name, w in initial.items()}
    convolution = sum(initial[f"cells.{c}.edges.0.nor_conv_3x3.conv.weight"].square().sum().item() for c in range(3))
    sizes = [9 * c * (c if definition == "paper" else 1) for c in (channels, 2 * channels, 4 * channels)]
    pooling = sum(sizes) / 81
    ((angle,),) = Angle(space, angle_table(space, initial, flipped, definition))([(3, 0, 0, 0, 4, 0)])
    assert angle == pytest.approx(math.acos((pooling - convolution) / (pooling + convolution)), abs=1e-12)


def test_weights_outside_the_paths_do_not_enter(small):
    space, initial, trained = small
    architecture = (3, 2, 0, 4, 0, 3)  # 1 leads nowhere: edge 0 is dead
    other = dict(trained)
    for name in trained:
        used = any(f"edges.{edge}.{op}.conv" in name for edge, op in ((1, "nor_conv_1x1"), (5, "nor_conv_3x3")))
        if not used:
            other[name] = trained[name] * 100 + 7
    one, two = (Angle(space, angle_table(space, initial, w, "paper"))([architecture]) for w in (trained, other))
    assert one == two > 0


# Bits and seconds


@DEFINITIONS
def test_the_angle_has_the_same_bits_in_any_batch_and_order(small, definition):
    space, initial, trained = small
    angle = Angle(space, angle_table(space, initial, trained, definition))
    rows = EVERY[np.random.default_rng(0).permutation(len(EVERY))[:700]]
    whole = angle.angles(rows)
    assert whole.shape == (700,)
    for size in (1, 33):
        parts = [angle.angles(rows[start : start + size]) for start in range(0, 700, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert angle.angles(rows[::-1])[::-1].tobytes() == whole.tobytes()
    assert angle.angles(np.repeat(rows[:5], 9, axis=0)).tobytes() == np.repeat(whole[:5], 9).tobytes()
    assert angle([tuple(row) for row in rows.tolist()]).tobytes() == whole.tobytes()


def test_all_architectures_take_less_than_a_tenth_of_a_second_once_the_table_is_there(small):
    space, initial, trained = small
    angle = Angle(space, angle_table(space, initial, trained, "official"))
    seconds = []
    for _ in range(3):
        began = time.process_time()
        angle.angles(EVERY)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.1


# The table


@DEFINITIONS
def test_the_table_holds_sums_over_all_cells_in_float64(small, definition):
    space, initial, trained = small
    table = angle_table(space, initial, trained, definition)
    assert table.quantities == ("dot", "initial", "trained")
    assert table.terms.dtype == table.fixed.dtype == np.float64 and table.terms.shape == (6, 5, 3)
    names = [f"cells.{cell}.edges.4.nor_conv_1x1.conv.weight" for cell in range(3)]
    expected = [
        sum((a[name].numpy() * b[name].numpy()).sum() for name in names)
        for a, b in ((initial, trained), (initial, initial), (trained, trained))
    ]
    np.testing.assert_allclose(table.terms[4, 2], expected, rtol=1e-13)
    assert not table.terms[:, :2].any()  # none and skip connections
    pool = 9 * sum(c * (c if definition == "paper" else 1) for c in (4, 8, 16)) / 81
    np.testing.assert_allclose(table.terms[:, 4], pool, rtol=1e-13)
    assert table.fixed.any() == (definition == "official")


@DEFINITIONS
def test_float32_weights_are_summed_in_float64(definition):
    space = NasBench201(channels=8, cells=2)
    initial, trained = (random_weights(space, seed, torch.float32) for seed in (1, 2))
    table = angle_table(space, initial, trained, definition)
    exact = angle_table(
        space, *({name: w.double() for name, w in weights.items()} for weights in (initial, trained)), definition
    )
    assert table.terms.tobytes() == exact.terms.tobytes()
    assert table.fixed.tobytes() == exact.fixed.tobytes()
    name = "cells.5.edges.2.nor_conv_3x3.conv.weight"
    exactly = sum(
        math.fsum(w * w for w in initial[name.replace("5", str(cell), 1)].double().flatten().tolist())
        for cell in range(6)
    )
    assert table.terms[2, 3, 1] == pytest.approx(exactly, rel=1e-13)


def test_weights_that_require_gradients_or_share_memory_are_left_alone(small):
    space, initial, trained = small
    leaves = {name: w.clone().requires_grad_() for name, w in initial.items()}
    before = {name: w.detach().clone() for name, w in leaves.items()}
    angle_table(space, leaves, trained, "official")
    assert all(torch.equal(leaves[name], before[name]) and leaves[name].grad is None for name in leaves)


@DEFINITIONS
@pytest.mark.parametrize("which", [0, 1], ids=["initial", "trained"])
def test_missing_weights_are_refused_by_name(small, definition, which):
    space, *weights = small
    name = "cells.2.edges.5.nor_conv_3x3.conv.weight"
    weights[which] = {key: value for key, value in weights[which].items() if key != name}
    with pytest.raises(ValueError, match=f"the weights hold no '{name}': they are not of this space's supernet"):
        angle_table(space, *weights, definition)


def test_weights_of_a_smaller_supernet_are_refused(small):
    space, initial, trained = small
    with pytest.raises(ValueError, match=r"the weights hold no 'cells\.3\.edges\.0\.nor_conv_1x1\.conv\.weight'"):
        angle_table(NasBench201(channels=4, cells=2), initial, trained, "paper")
    wider = random_weights(NasBench201(channels=8, cells=1), 2)
    message = r"'cells\.0\.edges\.0\.nor_conv_1x1\.conv\.weight' has 16 weights before training and 64 after"
    with pytest.raises(ValueError, match=message):
        angle_table(space, initial, wider, "paper")


def test_the_heads_weights_are_needed_by_the_official_definition_only(small):
    space, initial, trained = small
    headless = {name: w for name, w in initial.items() if name.startswith("cells")}
    angle_table(space, headless, trained, "paper")
    with pytest.raises(ValueError, match="the weights hold no 'stem.conv.weight'"):
        angle_table(space, headless, trained, "official")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_refused(small, value):
    space, initial, trained = small
    name = "cells.0.edges.0.nor_conv_3x3.conv.weight"
    broken = {**trained, name: trained[name] * value}
    with pytest.raises(ValueError, match="nor_conv_3x3"):
        Angle(space, angle_table(space, initial, broken, "paper"))([(3,) * 6])


# A space of one's own


class Chain(SearchSpace):
    """Two ragged choices in a chain: every choice lies on the one path."""

    name = "chain"

    @property
    def choices(self):
        return (Choice("a", ("skip", "conv")), Choice("b", ("skip", "conv", "two convs")))

    def build_supernet(self, num_classes):
        raise NotImplementedError

    def build_network(self, architecture, num_classes):
        raise NotImplementedError

    def weight_vector(self, definition):
        identity = WeightTerm(fixed_squared_norm=2.0)
        return WeightVector(
            WeightTerm(("head",)),
            (
                (identity, WeightTerm(("a.conv",))),
                (identity, WeightTerm(("b.conv",)), WeightTerm(("b.one", "b.two"), 0.5)),
            ),
        )


def test_a_chain_of_ragged_choices_counts_every_choice_once():
    generator = torch.Generator().manual_seed(0)
    names = ("head", "a.conv", "b.conv", "b.one", "b.two")
    initial, trained = (
        {name: torch.randn(2, 3, generator=generator, dtype=torch.float64) for name in names} for _ in range(2)
    )
    angle = Angle(Chain(), angle_table(Chain(), initial, trained, "any"))

    def expected(architecture):
        parts = ["head"] + [[], ["a.conv"]][architecture[0]] + [[], ["b.conv"], ["b.one", "b.two"]][architecture[1]]
        constant = [0.0 if architecture[0] else 2.0, [2.0, 0.0, 0.5][architecture[1]]]
        fixed = torch.tensor([math.sqrt(c) for c in constant], dtype=torch.float64)
        before, after = (torch.cat([fixed, *(w[name].flatten() for name in parts)]) for w in (initial, trained))
        return math.acos(before @ after / before.norm() / after.norm())

    architectures = list(itertools.product(range(2), range(3)))
    np.testing.assert_allclose(angle(architectures), [[expected(a)] for a in architectures], rtol=0, atol=1e-12)


def test_a_cosine_that_rounding_pushes_past_one_is_an_angle_of_zero_or_pi():
    terms = np.zeros((2, 3, 3))
    for dot, expected in ((1.0 + 1e-15, 0.0), (-1.0 - 1e-15, math.pi)):
        table = AdditiveTable(("dot", "initial", "trained"), np.array([dot, 1.0, 1.0]), terms)
        assert Angle(Chain(), table)([(0, 0)]).tolist() == [[expected]]
