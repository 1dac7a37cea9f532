"""Folding: where nothing is trained, a batch normalisation becomes part of the convolution before it."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FoldableSequence(nn.Sequential):
    """A sequence of layers in which `folded` looks for a convolution and the batch normalisation that follows it."""


@contextlib.contextmanager
def folded(network: nn.Module) -> Iterator[None]:
    """Folds the normalisations of all foldable sequences of a network for the time of the block.

    The convolution returns the normalised output, ``conv(x, w * scale) + shift`` with scale = gamma / sqrt(var + eps)
    and shift = beta - mean * scale; the normalisation returns its input. Both layers are still called, so that hooks
    run. Weights and statistics are read at every call and may change within the block. Sequences whose normalisation
    keeps no statistics are left as they are.

    Within the block the normalisations must be in evaluation mode, and gradients must be off.
    """
    pairs = list(_pairs(network))
    for conv, norm in pairs:
        vars(conv)["forward"] = functools.partial(_normalised_convolution, conv, norm)
        vars(norm)["forward"] = _unchanged
    try:
        yield
    finally:
        for layer in itertools.chain(*pairs):
            del vars(layer)["forward"]


def _pairs(network: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Yields the convolutions of a network that a normalisation with statistics follows, with that normalisation."""
    for sequence in network.modules():
        if not isinstance(sequence, FoldableSequence):
            continue
        for conv, norm in itertools.pairwise(sequence):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.track_running_stats:
                assert conv.bias is None, "a normalisation cancels the bias of the convolution before it"
                yield conv, norm


def _normalised_convolution(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Returns the normalised convolution of `x`."""
    assert not norm.training, "a folded normalisation measures no statistics"
    assert not torch.is_grad_enabled(), "a folded network is not trained"
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.affine:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    if norm.affine:
        shift = shift + norm.bias
    weight = conv.weight * scale[:, None, None, None]
    return F.conv2d(x, weight, shift, conv.stride, conv.padding, conv.dilation, conv.groups)


def _unchanged(x: Tensor) -> Tensor:
    """Returns its input."""
    return x
