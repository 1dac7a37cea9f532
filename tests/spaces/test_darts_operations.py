"""Operations of the DARTS space against torch's own layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.spaces.operations import AvgPool3x3, FactorizedReduce, depthwise_separable, row_then_column
from raynas.supernet.folding import folded

SIZES = [(1, 1), (1, 2), (2, 2), (1, 7), (3, 3), (4, 5), (8, 8), (13, 2)]
BUILDERS = {
    "3x3": lambda **bn: depthwise_separable(8, 3, **bn),
    "5x5, stride 2": lambda **bn: depthwise_separable(8, 5, 2, **bn),
    "3x3, dilated": lambda **bn: depthwise_separable(8, 3, dilation=2, **bn),
    "5x5, dilated, stride 2": lambda **bn: depthwise_separable(8, 5, 2, dilation=2, **bn),
    "1x3 and 3x1": lambda **bn: row_then_column(8, 3, **bn),
    "1x7 and 7x1, stride 2": lambda **bn: row_then_column(8, 7, 2, **bn),
    "1x3 and 3x1, in groups": lambda **bn: row_then_column(8, 3, 2, groups=4, **bn),
}
SHAPES = {
    "3x3": ((8, 1, 3, 3), (8, 8, 1, 1)),
    "5x5, stride 2": ((8, 1, 5, 5), (8, 8, 1, 1)),
    "3x3, dilated": ((8, 1, 3, 3), (8, 8, 1, 1)),
    "5x5, dilated, stride 2": ((8, 1, 5, 5), (8, 8, 1, 1)),
    "1x3 and 3x1": ((8, 8, 1, 3), (8, 8, 3, 1)),
    "1x7 and 7x1, stride 2": ((8, 8, 1, 7), (8, 8, 7, 1)),
    "1x3 and 3x1, in groups": ((8, 2, 1, 3), (8, 2, 3, 1)),
}


def images(*size):
    return torch.randn(4, 8, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def trained(name, **options):
    """Returns a float64 module with every parameter and statistic random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = BUILDERS[name](**options).double()
        with torch.no_grad():
            for tensor, low, high in ((module.bn.weight, -2, 2), (module.bn.bias, -1, 1)):
                if tensor is not None:
                    tensor.uniform_(low, high)
            if module.bn.running_var is not None:
                module.bn.running_mean.uniform_(-3, 3)
                module.bn.running_var.uniform_(0.01, 4)
    return module


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_average_pooling_of_stride_two_is_torchs_without_the_padding_forward_and_backward(size, dtype):
    upstream, results = None, []
    for pool in (AvgPool3x3(2), nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)):
        leaf = images(*size).to(dtype).requires_grad_()
        out = pool(leaf)
        upstream = torch.randn_like(out) if upstream is None else upstream
        out.backward(upstream)
        results.append((out.detach(), leaf.grad))
    tolerance = {"rtol": 0, "atol": 1e-14 if dtype == torch.float64 else 2e-6}
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance)


@pytest.mark.parametrize("name", BUILDERS)
def test_two_convolutions_have_no_bias_and_their_kernels_shapes(name):
    module = BUILDERS[name]()
    assert (module.first.weight.shape, module.second.weight.shape) == SHAPES[name]
    assert module.first.bias is None and module.second.bias is None
    for affine, track in ((True, True), (False, True), (True, False), (False, False)):
        names = {"first.weight", "second.weight"} | ({"bn.weight", "bn.bias"} if affine else set())
        names |= {"bn.running_mean", "bn.running_var", "bn.num_batches_tracked"} if track else set()
        assert set(BUILDERS[name](affine=affine, track_running_stats=track).state_dict()) == names


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (7, 10)], ids=str)
def test_where_nothing_is_trained_the_result_is_that_of_the_layers_one_after_another(name, affine, size):
    module, x = trained(name, affine=affine).eval(), images(*size)
    layers = module(x).detach()
    with torch.no_grad(), folded(module):
        out = module(x)
    assert not torch.equal(out, layers)  # other roundings
    torch.testing.assert_close(out, layers, rtol=0, atol=1e-11)
    stride = 2 if "stride 2" in name or "groups" in name else 1
    assert layers.shape[2:] == tuple(-(-length // stride) for length in size)


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (8, 5), (1, 3)], ids=str)
def test_a_factorized_reduction_sees_even_and_odd_pixels_and_zeros_past_an_odd_end(size):
    torch.manual_seed(0)
    module = FactorizedReduce(8, 7).double().eval()
    x = images(*size).relu()
    padded = F.pad(x, (0, 2, 0, 2))
    height, width = (-(-length // 2) for length in size)
    halves = [
        torch.einsum("oi,bihw->bohw", conv.weight[:, :, 0, 0], padded[:, :, start::2, start::2][:, :, :height, :width])
        for start, conv in ((0, module.conv_1), (1, module.conv_2))
    ]
    expected = torch.cat(halves, dim=1) / (1 + 1e-5) ** 0.5
    assert [half.shape[1] for half in halves] == [3, 4]
    torch.testing.assert_close(module(images(*size)), expected, rtol=0, atol=1e-12)
