"""What a batch is evaluated by, against torch's cross-entropy."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.training.objective import CROSS_ENTROPY, Objective, dropping

LABELS = torch.tensor([2, 0, 1, 2, 2])


def logits(seed=0, dtype=torch.float64):
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_without_options_it_is_the_mean_cross_entropy_in_nats():
    loss, out = CROSS_ENTROPY.evaluate(logits, LABELS)
    assert loss.shape == () and torch.equal(out, logits())
    torch.testing.assert_close(loss, F.cross_entropy(logits(), LABELS))
    torch.testing.assert_close(loss, -torch.softmax(logits(), 1)[range(5), LABELS].log().mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("batch_size", [None, 5, 20])
def test_it_is_divided_by_the_images_of_all_workers_and_smoothed(batch_size, smoothing):
    loss, _ = Objective(batch_size, smoothing).evaluate(logits, LABELS)
    target = (1 - smoothing) * F.one_hot(LABELS, 3) + smoothing / 3
    expected = -(target * logits().log_softmax(1)).sum() / (batch_size or 5)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.5])
def test_an_auxiliary_tower_adds_its_loss_with_its_weight_and_the_logits_are_the_classifiers(weight):
    loss, out = Objective(10, 0.2, weight).evaluate(lambda: (logits(), logits(1)), LABELS)
    parts = [F.cross_entropy(x, LABELS, reduction="sum", label_smoothing=0.2) for x in (logits(), logits(1))]
    torch.testing.assert_close(loss, (parts[0] + weight * parts[1]) / 10)
    assert torch.equal(out, logits())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_logits_and_loss_have_32_bits_or_more(dtype):
    given = logits(dtype=torch.float32).to(dtype)
    loss, out = Objective(auxiliary_weight=0.5).evaluate(lambda: (given, given), LABELS)
    wide = torch.promote_types(dtype, torch.float32)
    assert loss.dtype == out.dtype == wide
    torch.testing.assert_close(loss, 1.5 * F.cross_entropy(given.to(wide), LABELS))


@pytest.mark.parametrize("bfloat16", [False, True])
def test_bfloat16_is_the_arithmetic_of_the_network_alone(bfloat16):
    network, seen = nn.Linear(4, 3), []
    network.register_forward_hook(lambda module, inputs, out: seen.append(out.dtype))
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    loss, out = Objective(bfloat16=bfloat16).evaluate(lambda: network(x), LABELS)
    assert seen == [torch.bfloat16 if bfloat16 else torch.float32]
    assert loss.dtype == out.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")
    exact = F.cross_entropy(network(x), LABELS)
    assert loss.item() == pytest.approx(exact.item(), rel=0.02) and (loss.item() == exact.item()) != bfloat16
    loss.backward()
    assert network.weight.grad.dtype == torch.float32


def test_what_is_dropped_repeats_by_its_seeds_and_the_global_generator_goes_on_undisturbed():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        expected = [torch.rand(3) for _ in range(2)]
        torch.manual_seed(1)
        ours = [torch.rand(3)]
        drawn = []
        for seeds in ((5, 0, 1), (5, 0, 1), (5, 1, 0), (5, 0, 2), (5, 0, 1, 0, 1)):
            with dropping(torch.device("cpu"), *seeds):
                drawn.append(torch.rand(8))
        ours.append(torch.rand(3))
    assert all(map(torch.equal, ours, expected))
    assert torch.equal(drawn[0], drawn[1])
    assert len({tuple(one.tolist()) for one in drawn}) == 4


def test_the_global_generator_is_put_back_after_an_error_too():
    before = torch.get_rng_state()
    with pytest.raises(KeyError), dropping(torch.device("cpu"), 3):
        torch.rand(1)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_on_a_machine_with_a_gpu_neither_generator_is_disturbed(device):
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    with dropping(torch.device(device), 3):
        first = torch.rand(4, device=device)
    with dropping(torch.device(device), 3):
        assert torch.equal(torch.rand(4, device=device), first)
    assert torch.equal(torch.get_rng_state(), before[0]) and torch.equal(torch.cuda.get_rng_state(), before[1])
