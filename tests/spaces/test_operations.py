"""Operations against torch's own layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.spaces.operations import AvgPool3x3, ReluConvBn, ResNetReduction

SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 7), (3, 3), (4, 5), (5, 4), (7, 7), (8, 8), (13, 2), (16, 31), (32, 32)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_average_pooling_is_torchs_without_the_padding_forward_and_backward(size, memory_format, dtype):
    generator = torch.Generator().manual_seed(sum(size))
    x = torch.randn((3, 5, *size), generator=generator, dtype=dtype).to(memory_format=memory_format)
    upstream = torch.randn(x.shape, generator=generator, dtype=dtype)
    results = []
    for pool in (AvgPool3x3(), lambda x: F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)):
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
        out = pool(leaf)
        out.backward(upstream)
        results.append((out.detach(), leaf.grad))
    (ours, our_gradient), (theirs, their_gradient) = results
    tolerance = {"rtol": 0, "atol": 1e-14 if dtype == torch.float64 else 2e-6}
    assert ours.dtype == dtype
    torch.testing.assert_close(ours, theirs, **tolerance)
    torch.testing.assert_close(our_gradient, their_gradient, **tolerance)


def test_average_pooling_keeps_a_constant_image_to_the_border():
    image = torch.full((1, 2, 6, 4), 3.0, dtype=torch.float64)
    torch.testing.assert_close(AvgPool3x3()(image), image, rtol=0, atol=1e-15)


def test_average_pooling_has_no_weights():
    assert not AvgPool3x3().state_dict()


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1)])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("track", [False, True])
def test_relu_conv_bn_is_these_three_in_this_order(kernel, stride, affine, track):
    torch.manual_seed(0)
    module = ReluConvBn(3, 4, kernel, stride, affine=affine, track_running_stats=track).double()
    x = torch.randn(6, 3, 9, 8, dtype=torch.float64)
    convolved = F.conv2d(x.clamp(min=0), module.conv.weight, stride=stride, padding=(kernel - 1) // 2)
    assert module.conv.weight.shape == (4, 3, kernel, kernel)
    mean = convolved.mean(dim=(0, 2, 3), keepdim=True)
    deviation = (convolved.var(dim=(0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(module(x), (convolved - mean) / deviation, rtol=0, atol=1e-12)
    expected = {"conv.weight"}
    expected |= {"bn.weight", "bn.bias"} if affine else set()
    expected |= {"bn.running_mean", "bn.running_var", "bn.num_batches_tracked"} if track else set()
    assert set(module.state_dict()) == expected
    if stride == 1:
        assert module(x).shape[2:] == x.shape[2:]


# Normalisation folded into the convolution


def trained(kernel=3, stride=1, affine=True, track=True):
    """Returns a float64 module with every parameter and statistic random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = ReluConvBn(5, 6, kernel, stride, affine=affine, track_running_stats=track).double()
        bn = module.bn
        with torch.no_grad():
            for tensor, low, high in ((bn.weight, -2, 2), (bn.bias, -1, 1), (bn.running_mean, -3, 3)):
                if tensor is not None:
                    tensor.uniform_(low, high)
            if track:
                bn.running_var.uniform_(0.01, 4)
    return module


def images(dtype=torch.float64, size=(4, 5, 9, 8)):
    return torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=dtype)


def one_after_another(module, x):
    """Returns what the three layers give, each in its own mode."""
    return nn.Sequential.forward(module, x)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (1, 2)])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_where_nothing_is_trained_the_result_is_that_of_the_three_layers(kernel, stride, affine, context):
    module, x = trained(kernel, stride, affine).eval(), images()
    mean, var = module.bn.running_mean[:, None, None], module.bn.running_var[:, None, None]
    convolved = F.conv2d(x.clamp(min=0), module.conv.weight, stride=stride, padding=kernel // 2)
    expected = (convolved - mean) / (var + 1e-5).sqrt()
    if affine:
        expected = expected * module.bn.weight[:, None, None] + module.bn.bias[:, None, None]
    with context():
        out = module(x)
        assert not torch.equal(out, one_after_another(module, x))  # folded: other roundings
        single = module.float()(x.float())
    assert out.shape == expected.shape
    torch.testing.assert_close(out, expected.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(single.double(), expected.detach(), rtol=0, atol=2e-5)


def test_folding_changes_no_weight_and_no_name():
    module = trained().eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.inference_mode():
        module(images())
    after = module.state_dict()
    parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert list(after) == ["conv.weight", *(f"bn.{part}" for part in parts)]
    assert all(torch.equal(after[name], before[name]) for name in after)


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("case", ["training", "with gradients", "statistics being measured", "no statistics"])
def test_elsewhere_the_three_layers_run_one_after_another(affine, case):
    x = images()
    ours, plain = (trained(affine=affine, track=case != "no statistics").train(case == "training") for _ in range(2))
    for module in (ours, plain):
        module.bn.train(case in ("training", "statistics being measured"))
    with torch.set_grad_enabled(case == "with gradients"):
        out, expected = ours(x), one_after_another(plain, x)
    assert torch.equal(out, expected)
    assert out.requires_grad == (case == "with gradients")
    for name, value in plain.state_dict().items():  # statistics that were written
        assert torch.equal(ours.state_dict()[name], value)


def test_statistics_that_are_being_measured_are_written():
    module = trained().eval()
    module.bn.train()
    before = module.bn.running_mean.clone()
    with torch.inference_mode():
        module(images())
    assert not torch.equal(module.bn.running_mean, before)
    assert module.bn.num_batches_tracked == 1


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_those_of_a_plain_sequence(affine, training):
    module = trained(affine=affine).train(training)
    bn = nn.BatchNorm2d(6, affine=affine).double()
    bn.load_state_dict(module.bn.state_dict())
    conv = nn.Conv2d(5, 6, 3, padding=1, bias=False).double()
    conv.load_state_dict(module.conv.state_dict())
    plain = nn.Sequential(nn.ReLU(), conv, bn).train(training)
    results = []
    for network in (module, plain):
        leaf = images().requires_grad_()
        network(leaf).pow(2).sum().backward()
        results.append([leaf.grad, *(p.grad for p in network.parameters())])
    assert len(results[0]) == len(results[1]) == (4 if affine else 2)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*results, strict=True))
    assert torch.equal(module.bn.running_var, bn.running_var)


def test_folding_keeps_channels_last_memory():
    module = trained().float().to(memory_format=torch.channels_last).eval()
    x = images(torch.float32).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert module(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("affine", [False, True])
def test_folding_works_under_bfloat16_autocast(affine):
    module, x = trained(affine=affine).float().eval(), images(torch.float32)
    with torch.no_grad():
        exact = module(x)
        with torch.autocast("cpu", torch.bfloat16):
            out, unfolded = module(x), one_after_another(module, x)
    assert out.dtype == unfolded.dtype == torch.bfloat16
    error, usual = ((y.float() - exact).abs().max() for y in (out, unfolded))
    assert 0 < error < 2 * usual < 0.5


# Reduction


def test_the_reduction_is_two_layers_beside_a_pooled_shortcut():
    torch.manual_seed(0)
    block = ResNetReduction(2, 4).double()
    x = torch.randn(5, 2, 8, 12, dtype=torch.float64)

    def normalised(y):
        return F.batch_norm(y, None, None, training=True)

    first = normalised(F.conv2d(x.relu(), block.conv_a.conv.weight, stride=2, padding=1))
    second = normalised(F.conv2d(first.relu(), block.conv_b.conv.weight, padding=1))
    shortcut = F.conv2d(F.avg_pool2d(x, 2), block.downsample[1].weight)
    out = block(x)
    assert out.shape == (5, 4, 4, 6)
    torch.testing.assert_close(out, second + shortcut, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [3, 7])
def test_the_reduction_halves_odd_sizes_upwards_on_both_branches(size):
    block = ResNetReduction(2, 4)
    x = torch.randn(2, 2, size, size)
    assert block.downsample(x).shape == block.conv_a(x).shape == (2, 4, (size + 1) // 2, (size + 1) // 2)
