"""The exponential moving average of a network's weights, which is often the better network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

UPDATES = "updates"
"""The number of updates in a state, beside the averaged tensors."""


class WeightAverage:
    """A copy of a network whose weights and statistics follow those of the network: a <- d a + (1 - d) w.

    The first update copies the network, so that initial weights have no part in the average. Whole numbers, such as the
    count of batches of a normalisation, are averaged and cut.

    Reference: Polyak and Juditsky 1992; torch.optim.swa_utils.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Copies the network, on its device.

        Args:
            network: The network that is trained.
            decay: The decay d of a step.
        """
        self._network = network
        follow = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self._average = AveragedModel(network, multi_avg_fn=follow, use_buffers=True)

    @property
    def network(self) -> nn.Module:
        """The network with averaged weights."""
        return self._average.module

    def update(self) -> None:
        """Takes the weights of a step into the average."""
        self._average.update_parameters(self._network)

    def state(self) -> dict[str, Tensor]:
        """Returns the average as tensors by name, as a checkpoint holds it."""
        return {**self.network.state_dict(), UPDATES: self._average.n_averaged}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` returned."""
        tensors = dict(state)
        updates = tensors.pop(UPDATES)
        self.network.load_state_dict(tensors)
        with torch.no_grad():
            self._average.n_averaged.copy_(updates)
