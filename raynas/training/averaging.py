"""Averages of a network's weights over its training, which are often the better network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

UPDATES = "updates"
"""The number of updates in a state, beside the averaged tensors."""


LOSSES = "losses"
"""The losses in the state of a `StalledAverage`."""


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


class StalledAverage:
    """The mean of the weights since training stopped to improve: averaged SGD with a non-monotone trigger.

    With v_1, v_2, ... the losses on held-out data after each epoch, averaging begins after the first epoch t with

        t > n  and  v_t > min(v_1, ..., v_{t - n - 1})

    and from then on the mean over all steps is the network to evaluate. The steps themselves stay those of SGD with its
    learning rate, as in torch's ASGD with lambda and t0 of 0.

    Reference: Merity et al. 2018 (AWD-LSTM), Algorithm 1, in the form of its code, which DARTS' shares.
    """

    def __init__(self, network: nn.Module, patience: int | None) -> None:
        """Takes the network that is trained.

        Args:
            network: The network.
            patience: The number n; None never to average.
        """
        self._network, self._patience = network, patience
        self._losses: list[float] = []
        self._steps = 0
        self._means: dict[str, Tensor] = {}

    @property
    def steps(self) -> int:
        """Over how many steps the weights are averaged."""
        return self._steps

    @torch.no_grad()
    def update(self) -> None:
        """Takes the weights of a step into the mean, once averaging has begun."""
        if not self._means:
            return
        self._steps += 1
        for name, parameter in self._network.named_parameters():
            self._means[name].lerp_(parameter, 1 / self._steps)

    def note(self, loss: float) -> None:
        """Takes the loss on held-out data after an epoch, and begins to average if it has stalled."""
        if self._patience is None or self._means:
            return
        earlier = self._losses[: len(self._losses) - self._patience]
        if earlier and loss > min(earlier):
            self._means = {name: parameter.detach().clone() for name, parameter in self._network.named_parameters()}
        self._losses.append(loss)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the mean into the network for the time of the block, if there is one."""
        own = {name: parameter.detach().clone() for name, parameter in self._network.named_parameters()}
        self.apply()
        try:
            yield
        finally:
            self._load(own)

    def apply(self) -> None:
        """Puts the mean into the network, if there is one."""
        if self._steps:
            self._load(self._means)

    @torch.no_grad()
    def _load(self, weights: Mapping[str, Tensor]) -> None:
        for name, parameter in self._network.named_parameters():
            parameter.copy_(weights[name])

    def state(self) -> dict[str, Tensor]:
        """Returns the losses so far, and the mean where there is one, as a checkpoint holds them."""
        if self._patience is None:
            return {}
        progress = {LOSSES: torch.tensor(self._losses, dtype=torch.float64), UPDATES: torch.tensor(self._steps)}
        return {**progress, **{f"mean.{name}": tensor for name, tensor in self._means.items()}}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` returned; from the beginning where it is empty."""
        if not state:
            return
        self._losses, self._steps = state[LOSSES].tolist(), int(state[UPDATES])
        self._means = {}
        for name, parameter in self._network.named_parameters():
            if f"mean.{name}" in state:
                self._means[name] = state[f"mean.{name}"].to(parameter, copy=True)
