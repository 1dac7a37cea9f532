"""The moving average of weights, against its sum written out, and after a resume."""

from __future__ import annotations

import torch
from torch import nn

from raynas.training.averaging import WeightAverage


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def move(module, step):
    """Changes all weights and statistics, as a step of training does."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.randn(tensor.shape, generator=generator))


def test_the_average_is_the_sum_written_out_of_all_weights_but_the_first_ones():
    module, weights = network(), []
    average = WeightAverage(module, 0.9)
    for step in range(5):
        move(module, step)
        weights.append(module[0].weight.detach().clone())
        average.update()
    factors = [0.9**4, *(0.1 * 0.9 ** (4 - step) for step in range(1, 5))]
    expected = sum(factor * weight for factor, weight in zip(factors, weights, strict=True))
    torch.testing.assert_close(average.network[0].weight, expected)
    assert sum(factors) == 1


def test_statistics_of_normalisations_are_averaged_too():
    module = network()
    average = WeightAverage(module, 0.5)
    for mean in (1.0, 3.0):
        module[1].running_mean.fill_(mean)
        average.update()
    assert average.network[1].running_mean.tolist() == [2.0] * 4


def test_the_network_that_is_trained_is_left_alone():
    module = network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    average = WeightAverage(module, 0.5)
    average.update()
    with torch.no_grad():
        average.network[0].weight.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_an_average_that_is_resumed_goes_on_to_the_bit():
    module = network()
    whole = WeightAverage(module, 0.99)
    for step in range(3):
        move(module, step)
        whole.update()
    state = {name: tensor.clone() for name, tensor in whole.state().items()}
    assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())

    again = network()
    resumed = WeightAverage(again, 0.99)
    resumed.restore(state)
    for step in range(3, 6):
        for average, trained in ((whole, module), (resumed, again)):
            move(trained, step)
            average.update()
    for name, tensor in whole.state().items():
        assert torch.equal(tensor, resumed.state()[name]), name
