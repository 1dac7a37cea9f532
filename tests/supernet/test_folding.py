import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.spaces.operations import ConvBn, ReluConvBn, depthwise_separable, row_then_column
from raynas.supernet.folding import FoldableSequence, folded


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
    return module.eval()


def images(dtype=torch.float64, size=(4, 5, 9, 8)):
    return torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (1, 2)])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_a_folded_module_computes_what_its_layers_compute(kernel, stride, affine, context):
    module, x = trained(kernel, stride, affine), images()
    mean, var = module.bn.running_mean[:, None, None], module.bn.running_var[:, None, None]
    convolved = F.conv2d(x.clamp(min=0), module.conv.weight, stride=stride, padding=kernel // 2)
    expected = (convolved - mean) / (var + 1e-5).sqrt()
    if affine:
        expected = expected * module.bn.weight[:, None, None] + module.bn.bias[:, None, None]
    with context():
        layers = module(x)
        with folded(module):
            out = module(x)
            single = module.float()(x.float())
    assert not torch.equal(out, layers)  # other roundings
    torch.testing.assert_close(out, expected.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(single.double(), expected.detach(), rtol=0, atol=2e-5)


SEQUENCES = {
    "separable": lambda: depthwise_separable(4, 3),
    "dilated": lambda: depthwise_separable(4, 3, dilation=2),
    "row then column": lambda: row_then_column(4, 7, stride=2, groups=2),
    "convolution": lambda: ConvBn(4, 4, 3),
    "nested": lambda: nn.Sequential(depthwise_separable(4, 3), ConvBn(4, 4, 1)),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_every_kind_of_sequence_is_folded(name):
    module = SEQUENCES[name]().double()
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.1, 2)
    module.eval()
    x = images(size=(2, 4, 7, 10))
    with torch.no_grad():
        layers = module(x)
        with folded(module):
            out = module(x)
    assert not torch.equal(out, layers)
    torch.testing.assert_close(out, layers, rtol=0, atol=1e-11)


def test_after_the_block_the_layers_run_as_before_and_nothing_else_has_changed():
    module = trained()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad():
        layers = module(images())
        with folded(module), pytest.raises(ZeroDivisionError):
            module(images())
            raise ZeroDivisionError
        assert torch.equal(module(images()), layers)
    after = module.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in after)
    assert "forward" not in vars(module.conv) | vars(module.bn)


def test_statistics_and_weights_may_change_within_the_block():
    module, x = trained(), images()
    with torch.no_grad(), folded(module):
        module(x)
        module.bn.running_mean = module.bn.running_mean + 1
        module.conv.weight *= 2
        out = module(x)
    torch.testing.assert_close(out, module(x).detach(), rtol=0, atol=1e-11)


def test_hooks_run_and_the_convolution_returns_the_normalised_output():
    module, seen = trained(), {}
    for name, layer in module.named_children():
        layer.register_forward_hook(lambda layer, inputs, output, name=name: seen.update({name: output}))
    with torch.no_grad(), folded(module):
        out = module(images())
    assert list(seen) == ["relu", "conv", "bn"]
    assert torch.equal(seen["conv"], out)


def test_a_normalisation_without_statistics_is_left_alone():
    module, x = trained(track=False), images()
    with torch.no_grad():
        layers = module(x)
        with folded(module):
            assert torch.equal(module(x), layers)


def test_other_sequences_are_left_alone():
    plain = nn.Sequential(nn.Conv2d(5, 6, 3, bias=False), nn.BatchNorm2d(6)).eval()
    assert not isinstance(plain, FoldableSequence)
    with folded(plain):
        assert "forward" not in vars(plain[0])


@pytest.mark.parametrize("mistake", ["statistics being measured", "gradients"])
def test_what_is_folded_is_not_trained(mistake):
    module = trained()
    module.bn.train(mistake == "statistics being measured")
    with torch.set_grad_enabled(mistake == "gradients"), folded(module), pytest.raises(AssertionError):
        module(images())


def test_folding_keeps_channels_last_memory():
    module = trained().float().to(memory_format=torch.channels_last)
    x = images(torch.float32).to(memory_format=torch.channels_last)
    with torch.inference_mode(), folded(module):
        assert module(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("affine", [False, True])
def test_folding_works_under_bfloat16_autocast(affine):
    module, x = trained(affine=affine).float(), images(torch.float32)
    with torch.no_grad():
        exact = module(x)
        with torch.autocast("cpu", torch.bfloat16):
            unfolded = module(x)
            with folded(module):
                out = module(x)
    assert out.dtype == unfolded.dtype == torch.bfloat16
    error, usual = ((y.float() - exact).abs().max() for y in (out, unfolded))
    assert 0 < error < 2 * usual < 0.5
