"""A derived network with its record: its logits are those of evaluation, and its mode stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raynas.networks.found_network import FoundNetwork
from tests.records.test_network_record import record


@pytest.mark.parametrize("training", [True, False])
def test_logits_are_those_of_evaluation_whatever_the_mode(training: bool) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(72, 2))
    images = torch.randn(4, 3, 8, 8)
    expected = module.eval()(images).detach()
    found = FoundNetwork(module.train(training), record())
    logits = found(images)
    assert torch.equal(logits, expected)
    assert not logits.requires_grad
    assert module.training == training
