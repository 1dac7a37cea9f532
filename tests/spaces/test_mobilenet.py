"""The MobileNet-like space of RLNAS: text, structure, networks against a second statement of them, angle."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from raynas.capabilities import drawing_of
from raynas.fitness.angle import Angle, angle_table
from raynas.search_space import all_architectures, sample
from raynas.spaces.mobilenet import MobileNet
from raynas.supernet.gates import mixture, single_path

MBCONVS = ("k3_e3", "k3_e6", "k5_e3", "k5_e6", "k7_e3", "k7_e6")
STAGE_STARTS = (0, 4, 8, 12, 16, 20)
EXACT = {"rtol": 1e-10, "atol": 1e-10}

INTEGERS = (2, 0, -1, 2, 2, 0, 2, 4, 0, 4, 4, 2, 4, 2, 4, 2, 0, 0, 0, 2, 2)
"""A network as RLNAS' code writes it."""

WRITTEN = (
    "k5_e3 k3_e3 skip k5_e3 | k5_e3 k3_e3 k5_e3 k7_e3 | k3_e3 k7_e3 k7_e3 k5_e3 | "
    "k7_e3 k5_e3 k7_e3 k5_e3 | k3_e3 k3_e3 k3_e3 k5_e3 | k5_e3"
)


@pytest.fixture
def space():
    return MobileNet()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# Choices and text


def test_there_are_21_blocks_and_all_but_the_first_of_a_stage_can_be_skipped(space):
    assert [choice.name for choice in space.choices] == [f"block{b}" for b in range(21)]
    for block, choice in enumerate(space.choices):
        assert choice.candidates == (MBCONVS if block in STAGE_STARTS else (*MBCONVS, "skip"))
    assert space.size == 6**6 * 7**15


@pytest.mark.parametrize(("depth", "size"), [(1, 6**6), (2, 6**6 * 7**5), (3, 6**6 * 7**10)])
def test_fewer_blocks_a_stage_make_a_smaller_space(depth, size):
    assert MobileNet(depth=depth).size == size


SPELLINGS = {
    "as described": WRITTEN,
    "spaces alone": WRITTEN.replace("|", " "),
    "commas": ",".join(WRITTEN.replace("|", "").split()),
    "integers": " ".join(map(str, INTEGERS)),
    "integers in a list": str(list(INTEGERS)),
    "integers in a tuple": str(INTEGERS),
    "integers, commas": ",".join(map(str, INTEGERS)),
    "indices": str(INTEGERS).replace("-1", "6"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_architecture_is_read_in_names_and_in_the_integers_of_rlnas(space, spelling):
    architecture = space.parse(SPELLINGS[spelling])
    assert architecture == tuple(6 if code == -1 else code for code in INTEGERS)
    assert space.describe(architecture) == WRITTEN
    assert space.integers(architecture) == INTEGERS


def test_every_candidate_is_written_in_its_integer_and_read_back(space, rng):
    for _ in range(50):
        architecture = sample(space, rng)
        integers = space.integers(architecture)
        assert [c.candidates[code] for c, code in zip(space.choices, integers, strict=True)] == [
            c.candidates[k] for c, k in zip(space.choices, architecture, strict=True)
        ]  # -1 is the last candidate in Python too
        assert set(integers) <= {-1, 0, 1, 2, 3, 4, 5}
        assert space.parse(str(integers)) == architecture


@pytest.mark.parametrize(
    ("block", "word", "message"),
    [
        (4, "-1", r"block4 is one of k3_e3, .*, k7_e6 \(0 to 5\), got '-1' in "),
        (4, "6", r"block4 is one of k3_e3, .*, k7_e6 \(0 to 5\), got '6' in "),
        (20, "skip", r"block20 is one of k3_e3, .*, k7_e6 \(0 to 5\), got 'skip' in "),
        (2, "7", r"block2 is one of k3_e3, .*, skip \(0 to 5, or -1 for skip\), got '7' in "),
        (2, "-2", r"block2 is one of .*got '-2' in "),
        (1, "k9_e3", r"block1 is one of .*got 'k9_e3' in "),
        (1, "", r"expected 21 candidates such as 'k3_e3 .*-1 \(skip\) to 5, got 20 in "),
        (1, "0 0", r"expected 21 candidates such as 'k3_e3 .*got 22 in "),
    ],
)
def test_a_text_that_is_no_architecture_is_refused_in_one_line(space, block, word, message):
    words = list(map(str, INTEGERS))
    words[block] = word
    with pytest.raises(ValueError, match=message) as raised:
        space.parse(" ".join(words))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("width", 0.0, "space.width: expected more than 0 and at most 100, got 0.0"),
        ("width", math.nan, "space.width: expected more than 0 and at most 100, got nan"),
        ("depth", 0, "space.depth: expected 1 to 100, got 0"),
    ],
)
def test_sizes_that_make_no_network_are_refused_by_key(field, value, message):
    with pytest.raises(ValueError, match=message):
        MobileNet(**{field: value})


# Structure


def test_blocks_left_out_of_a_stage_are_one_architecture_wherever_they_stand(space):
    middle = [(2, *rest, 1) for rest in itertools.product(range(7), repeat=3)]
    canonical = {stage: space.canonical((0,) * 4 + stage[:4] + (0,) * 13)[4:8] for stage in middle}
    for stage, moved in canonical.items():
        assert [k for k in moved if k != 6] == [k for k in stage[:4] if k != 6]
        assert moved[len([k for k in moved if k != 6]) :].count(6) == moved.count(6)
    assert len(set(canonical.values())) == 1 + 6 + 36 + 216


def test_a_block_is_not_moved_out_of_its_stage(space):
    left_out = space.parse(WRITTEN)
    assert space.integers(space.canonical(left_out)) == (2, 0, 2, -1, *INTEGERS[4:])


def test_an_architecture_is_drawn_as_a_chain_of_all_its_blocks(space):
    ((_, edges),) = drawing_of(space, space.parse(WRITTEN)).items()
    assert [source for source, _, _ in edges] == ["in", *map(str, range(1, 21))]
    assert [target for _, target, _ in edges] == [*map(str, range(1, 21)), "out"]
    assert [candidate for _, _, candidate in edges] == WRITTEN.replace("|", "").split()


# Networks


def test_channels_and_sizes_are_those_of_the_paper(space):
    network = space.build_network((0,) * 21, 1000).eval()
    shapes = []
    for module in (network.begin.stem, network.begin, *network.blocks, network.end.conv):
        module.register_forward_hook(lambda module, inputs, out: shapes.append(tuple(out.shape[1:])))
    with torch.no_grad():
        network(torch.zeros(1, 3, 224, 224))
    stages = [(32, 56), (56, 28), (112, 14), (128, 14), (256, 7)]
    expected = [(40, 112), (24, 112), *(stage for stage in stages for _ in range(4)), (432, 7), (1728, 7)]
    assert shapes == [(channels, size, size) for channels, size in expected]


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (1.0, [40, 24, 32, 56, 112, 128, 256, 432, 1728]),
        (0.5, [24, 16, 16, 32, 56, 64, 128, 216, 864]),  # 20, 12 and 28 are as near to 16, 8 and 24
        (2.0, [80, 48, 64, 112, 224, 256, 512, 864, 3456]),
        (0.01, [8, 8, 8, 8, 8, 8, 8, 8, 16]),
    ],
)
def test_the_width_scales_all_channels_to_multiples_of_eight(width, expected):
    with torch.device("meta"):
        network = MobileNet(width=width, depth=1).build_network((0,) * 6, 10)
    layers = [network.begin.stem, network.begin.mbconv.project, *(b.k3_e3.project for b in network.blocks)]
    channels = [layer.conv.out_channels for layer in (*layers, network.end.conv)]
    assert channels == expected
    assert network.end.classifier.in_features == expected[-1]


def conv_bn(weights, name, x, training, *, stride=1, depthwise=False):
    """Returns convolution and normalisation by the weights of that name."""
    kernel = weights[f"{name}.conv.weight"]
    x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=len(kernel) if depthwise else 1)
    if training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    else:
        mean, var = weights[f"{name}.bn.running_mean"], weights[f"{name}.bn.running_var"]
    scale, shift = weights[f"{name}.bn.weight"], weights[f"{name}.bn.bias"]
    mean, var, scale, shift = (v[:, None, None] for v in (mean, var, scale, shift))
    return (x - mean) / torch.sqrt(var + 1e-5) * scale + shift


def textbook(weights, architecture, depth, images, training):
    """Returns the logits of an architecture, written down once more from the papers, by the supernet's weights."""

    def conv(name, x, **options):
        return conv_bn(weights, name, x, training, **options)

    def relu6(x):
        return x.clip(min=0, max=6)

    x = relu6(conv("begin.stem", images, stride=2))
    out = conv("begin.mbconv.project", relu6(conv("begin.mbconv.depthwise", x, depthwise=True)))
    x = x + out if x.shape == out.shape else out
    for block, k in enumerate(architecture):
        if k == 6:
            continue
        name = f"blocks.{block}.{MBCONVS[k]}"
        stride = 2 if block % depth == 0 and block // depth in (0, 1, 2, 4) else 1
        out = relu6(conv(f"{name}.expand", x))
        assert len(out[0]) == (3, 6)[k % 2] * len(x[0])
        assert weights[f"{name}.depthwise.conv.weight"].shape[1:] == (1, (3, 5, 7)[k // 2], (3, 5, 7)[k // 2])
        out = conv(f"{name}.project", relu6(conv(f"{name}.depthwise", out, stride=stride, depthwise=True)))
        x = x + out if stride == 1 and x.shape == out.shape else out
    x = relu6(conv("end.conv", x)).mean((2, 3))
    return x @ weights["end.classifier.weight"].T + weights["end.classifier.bias"]


def random_state(space, seed):
    """Returns float64 weights of a supernet, with noise on what all layers begin with alike."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = space.build_supernet(7).double().state_dict()
        for name, value in state.items():
            if ".bn." in name and value.is_floating_point():
                value.add_(torch.rand(value.shape, dtype=value.dtype))
    return state


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize(
    ("width", "depth", "resolution"),
    [(0.3, 3, 33), (0.3, 2, 64), (0.2, 1, 48)],  # 0.2 adds two residuals, at stem and fourth stage
)
def test_a_path_computes_what_the_papers_say(rng, training, width, depth, resolution):
    space = MobileNet(width=width, depth=depth)
    state = random_state(space, 1)
    supernet = space.build_supernet(7).double()
    supernet.load_state_dict(state)
    supernet.train(training)
    images = torch.randn(4, 3, resolution, resolution, dtype=torch.float64)
    for _ in range(3):
        architecture = sample(space, rng)
        expected = textbook(state, architecture, depth, images, training)
        for gradients in (True, False):
            with torch.set_grad_enabled(gradients):
                torch.testing.assert_close(supernet(images, single_path(architecture)), expected, **EXACT)


def test_normalisations_are_those_of_pytorch_with_weight_and_bias(space):
    with torch.device("meta"):
        modules = list(space.build_supernet(10).modules())
    norms = [module for module in modules if isinstance(module, torch.nn.BatchNorm2d)]
    assert {(m.eps, m.momentum, m.affine, m.track_running_stats) for m in norms} == {(1e-5, 0.1, True, True)}
    assert len(norms) == 1 + 2 + 21 * 6 * 3 + 1
    convolutions = [module for module in modules if isinstance(module, torch.nn.Conv2d)]
    assert len(convolutions) == len(norms)
    assert all(convolution.bias is None for convolution in convolutions)


@pytest.mark.parametrize("resolution", [32, 224])
def test_a_full_supernet_trains_on_a_path_forward_and_backward(space, resolution):
    supernet = space.build_supernet(10).to(memory_format=torch.channels_last)
    architecture = space.parse(WRITTEN)
    logits = supernet(torch.randn(2, 3, resolution, resolution), single_path(architecture))
    logits.square().mean().backward()
    names = [f"blocks.{b}.{MBCONVS[k]}." for b, k in enumerate(architecture) if k < 6]
    for name, parameter in supernet.named_parameters():
        ran = not name.startswith("blocks.") or name.startswith(tuple(names))
        assert (parameter.grad is not None) == ran, name
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
    assert logits.shape == (2, 10) and supernet.end.classifier.weight.grad.any()


def test_all_candidates_of_a_block_can_be_mixed():
    supernet = MobileNet(width=0.1, depth=2).build_supernet(4)
    alphas = [torch.zeros(len(c.candidates), requires_grad=True) for c in MobileNet(depth=2).choices]
    supernet(torch.randn(2, 3, 16, 16), mixture(alphas)).square().sum().backward()
    assert all(alpha.grad.abs().max() > 0 for alpha in alphas)


def test_a_skipped_block_hands_on_its_very_input_and_no_block_writes_to_its_own(space):
    supernet = MobileNet(width=0.1).build_supernet(4).eval()
    x = torch.randn(2, 8, 6, 6)
    before = x.clone()
    with torch.no_grad():
        for k in range(7):
            out = supernet.blocks[1](x, single_path((k,))[0])
            assert (out is x) == (k == 6)
            assert torch.equal(x, before)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_images_with_channels_last_stay_so_to_the_end(training):
    supernet = MobileNet(width=0.1, depth=2).build_supernet(4).to(memory_format=torch.channels_last).train(training)
    seen = []
    for module in (supernet.begin.stem, supernet.begin, *supernet.blocks, supernet.end.conv):
        module.register_forward_hook(lambda module, inputs, out: seen.append(out))
    images = torch.randn(2, 3, 128, 128).to(memory_format=torch.channels_last)
    with torch.set_grad_enabled(training):
        supernet(images, single_path((1, 3, 5, 6, 0, 2, 4, 1, 0, 0, 0)))
    assert len(seen) == 14
    assert all(out.shape[2] > 1 and out.is_contiguous(memory_format=torch.channels_last) for out in seen)


# Angle


COUNTED = {
    "paper": "identity",
    "official": "identity norms extras",
    "published": "identity norms extras",
    "paper, skip empty": "",
    "official, norms none": "identity extras",
    "official, extras none, pool full": "identity norms",
}
"""Definitions of the angle: what is in the vector beside the kernels of the blocks."""


def concatenated(weights, architecture, definition):
    """Returns the vector of an architecture's weights in full."""
    vector, counted = [], COUNTED[definition].split()
    for block, k in enumerate(architecture):
        if k == 6 and "identity" not in counted:
            continue
        if k == 6:
            channels = len(weights[f"blocks.{block}.k3_e3.project.conv.weight"])
            vector.append(torch.eye(channels, dtype=torch.float64))
            continue
        name = f"blocks.{block}.{MBCONVS[k]}"
        for layer in ("expand", "depthwise", "project"):
            vector.append(weights[f"{name}.{layer}.conv.weight"])
            if "norms" in counted and layer != "project":
                vector += [weights[f"{name}.{layer}.bn.weight"], weights[f"{name}.{layer}.bn.bias"]]
    if "extras" in counted:
        vector += [weights[f"{name}.conv.weight"] for name in ("begin.stem", "end.conv")]
        vector += [weights[f"begin.mbconv.{layer}.conv.weight"] for layer in ("depthwise", "project")]
        vector.append(weights["end.classifier.weight"])
    return torch.cat([part.flatten() for part in vector])


def angle_between(first, second):
    """Returns the angle by half-angles: tan(angle / 2) = |u - v| / |u + v| of unit vectors."""
    u, v = (vector / vector.square().sum().sqrt() for vector in (first, second))
    return 2 * math.atan2((u - v).square().sum().sqrt().item(), (u + v).square().sum().sqrt().item())


@pytest.mark.parametrize("definition", COUNTED)
def test_the_angle_is_that_of_all_weights_of_the_blocks_concatenated(rng, definition):
    space = MobileNet(width=0.1)
    initial, trained = (random_state(space, seed) for seed in (1, 2))
    architectures = [sample(space, rng) for _ in range(60)]
    architectures += [tuple(0 if b in STAGE_STARTS else 6 for b in range(21)), (5,) * 21]
    vectors = [[concatenated(weights, a, definition) for weights in (initial, trained)] for a in architectures]
    expected = np.array([angle_between(*pair) for pair in vectors])
    angles = Angle(space, angle_table(space, initial, trained, definition))(architectures)[:, 0]
    np.testing.assert_allclose(angles, expected, rtol=0, atol=1e-9)
    assert len(np.unique(np.round(expected, 6))) > 50


def test_the_two_definitions_give_different_angles(rng):
    space = MobileNet(width=0.1, depth=1)
    weights = [random_state(space, seed) for seed in (1, 2)]
    every = all_architectures(space)[::997]
    paper, official = (Angle(space, angle_table(space, *weights, d)).angles(every) for d in ("paper", "official"))
    assert np.abs(paper - official).min() > 0.01
