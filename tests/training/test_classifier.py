"""Dropout before the classifier: what it drops, where it goes, and what keeps its name."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raynas.spaces.darts import Darts
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.training.classifier import ClassifierDropout, add_dropout, classifier_name

NETWORKS = {
    "nasbench201": lambda: NasBench201(4, 1).build_network((3,) * 6, 7),
    "mobilenet": lambda: MobileNet(width=0.1, depth=1).build_network((0,) * 6, 7),
    "darts": lambda: towered(),
    "own": lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 7)),
}
NAMES = {"nasbench201": "classifier", "mobilenet": "end.classifier", "darts": "classifier", "own": "2"}


def towered():
    space = Darts(channels=4, cells=3, edges="fixed", operations=("skip_connect", "sep_conv_3x3"))
    return space.build_network_with_auxiliary((0,) * 16, 7)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_classifier_of_every_network_is_found_and_keeps_its_weights_and_their_names(name):
    network = NETWORKS[name]()
    before, parameters = network.state_dict(), dict(network.named_parameters())
    assert classifier_name(network) == NAMES[name]
    add_dropout(network, 0.2)
    assert list(network.state_dict()) == list(before)
    assert all(parameters[key] is parameter for key, parameter in network.named_parameters())
    replaced = [key for key, module in network.named_modules() if isinstance(module, ClassifierDropout)]
    assert replaced == [NAMES[name]]
    assert network.get_submodule(NAMES[name]).share == 0.2


def test_it_drops_inputs_in_training_and_scales_the_others_up():
    layer = ClassifierDropout(nn.Linear(1000, 3), 0.2)
    x = torch.randn(16, 1000)
    torch.manual_seed(5)
    logits = layer.train()(x)
    torch.manual_seed(5)
    kept = F.dropout(torch.ones_like(x), 0.2)
    assert set(kept.unique().tolist()) == {0.0, 1.25}
    assert (kept == 0).float().mean().item() == pytest.approx(0.2, abs=0.02)
    torch.testing.assert_close(logits, (x * kept) @ layer.weight.T + layer.bias)


@pytest.mark.parametrize("name", NETWORKS)
def test_in_evaluation_the_network_is_as_without_it(name):
    network = NETWORKS[name]().eval()
    x = torch.randn(2, 4) if name == "own" else torch.randn(2, 3, 32, 32)
    logits = network(x)
    add_dropout(network, 0.5)
    assert torch.equal(network.eval()(x), logits)


def test_a_share_of_zero_changes_nothing():
    network = NETWORKS["nasbench201"]()
    add_dropout(network, 0.0)
    assert type(network.classifier) is nn.Linear


def test_a_network_without_a_classifier_is_refused():
    with pytest.raises(ValueError, match=r"^retrain\.dropout: Sequential has no linear layer, so no classifier"):
        add_dropout(nn.Sequential(nn.Conv2d(3, 7, 1)), 0.1)
