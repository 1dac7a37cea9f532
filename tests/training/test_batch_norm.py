"""Statistics of batch normalisation measured anew, against means written out."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from raynas.training.batch_norm import estimate_batch_norm
from raynas.training.workers import Workers


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2))


def batches(number=3, images=6):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(images, 3, 5, 5, generator=generator) + step for step in range(number)]


def moments(features):
    return features.mean(dim=(0, 2, 3)), features.var(dim=(0, 2, 3))


def test_every_batch_has_the_same_weight_and_earlier_statistics_none():
    module = network()
    module[1].running_mean.fill_(77.0)
    estimate_batch_norm(module, batches())
    means, variances = zip(*(moments(module[0](images)) for images in batches()), strict=True)
    torch.testing.assert_close(module[1].running_mean, torch.stack(means).mean(dim=0))
    torch.testing.assert_close(module[1].running_var, torch.stack(variances).mean(dim=0))
    assert not module.training and not module[1].training


def test_later_layers_see_what_the_batch_makes_of_earlier_ones_and_nothing_is_dropped():
    module = network()
    estimate_batch_norm(module, batches(1))
    features = module[0](batches(1)[0])
    mean, variance = features.mean(dim=(0, 2, 3)), features.var(dim=(0, 2, 3), unbiased=False)
    normal = (features - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    expected, _ = moments(module[3](normal))
    torch.testing.assert_close(module[4].running_mean, expected)


def test_weights_and_momentum_stay_as_they_are():
    module = network()
    module[1].momentum = 0.3
    before = {name: parameter.clone() for name, parameter in module.named_parameters()}
    estimate_batch_norm(module, batches())
    assert all(torch.equal(before[name], parameter) for name, parameter in module.named_parameters())
    assert (module[1].momentum, module[4].momentum) == (0.3, 0.1)


def test_two_workers_have_the_mean_of_their_statistics():
    barrier, sums = threading.Barrier(2), {}

    def add_up(tensor, rank):
        sums[rank] = tensor.clone()
        barrier.wait()
        total = sums[0] + sums[1]
        barrier.wait()
        tensor.copy_(total)

    modules = [network(), network()]

    def measure(rank):
        workers = Workers(rank, 2, lambda tensor: add_up(tensor, rank))
        estimate_batch_norm(modules[rank], [images[rank::2] for images in batches()], workers)

    threads = [threading.Thread(target=measure, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    for ours, theirs in zip(modules[0].buffers(), modules[1].buffers(), strict=True):
        assert torch.equal(ours, theirs)
    parts = [images[rank::2] for images in batches() for rank in (0, 1)]
    expected = torch.stack([moments(network()[0](part))[0] for part in parts]).mean(dim=0)
    torch.testing.assert_close(modules[0][1].running_mean, expected)


def test_normalisations_without_statistics_are_left_alone():
    module = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))
    estimate_batch_norm(module, batches())
    assert module[0].momentum == pytest.approx(0.1) and module[0].running_mean is None
