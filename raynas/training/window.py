"""Windows of a text: what a recurrent network takes and returns, and what it remembers from one window to the next.

The state is an argument of the network, as the route is. A network that is given tokens alone begins with a state of
zeros and returns logits alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from raynas.training.workers import ALONE, Workers


class Window(NamedTuple):
    """A window of parallel streams of tokens.

    Attributes:
        tokens: ``(streams, length)`` int64.
        state: What the network remembers of each stream before the window, ``(streams, width)``.
    """

    tokens: Tensor
    state: Tensor


class WindowOutput(NamedTuple):
    """What a network returns for a window.

    Attributes:
        logits: Of the next token at each position, ``(streams * length, words)``, all of the first stream first.
        state: What is remembered of each stream after the window, ``(streams, width)``.
        penalty: What is added to the loss in training mode, summed over the streams, ``()``.
    """

    logits: Tensor
    state: Tensor
    penalty: Tensor

    @property
    def length(self) -> int:
        """Number of tokens of each stream."""
        return len(self.logits) // len(self.state)


class Memory:
    """What a network remembers of all parallel streams, from one window of an epoch to the next.

    Worker r of n trains the streams r, r + n, r + 2 n and so on. A checkpoint holds the state of all streams, so that
    training goes on alike with another number of workers. Nothing is remembered from one epoch to the next.
    """

    def __init__(self, streams: int, width: int, device: torch.device, workers: Workers = ALONE) -> None:
        """Begins with a state of zeros.

        Args:
            streams: Number of streams, over all workers.
            width: Numbers that are remembered of each stream.
            device: Where the network is.
            workers: Who trains together.
        """
        self._streams, self._width, self._device, self._workers = streams, width, device, workers
        self._epoch = 0
        self._state = self._zeros()

    def _zeros(self) -> Tensor:
        rank, world = self._workers.rank, self._workers.world
        own = len(range(rank, self._streams, world))
        return torch.zeros(own, self._width, device=self._device)

    def recall(self, tokens: Tensor, epoch: int) -> Window | Tensor:
        """Returns a window of this worker's streams with what is remembered of them."""
        if epoch != self._epoch:
            self._epoch, self._state = epoch, self._zeros()
        return Window(tokens, self._state)

    def keep(self, output: object) -> None:
        """Remembers the state after a window, without its gradient."""
        assert isinstance(output, WindowOutput)
        self._state = output.state.detach().float()

    def state(self) -> dict[str, Tensor]:
        """Returns the state of all streams, and the epoch that it belongs to."""
        every = torch.zeros(self._streams, self._width, device=self._device)
        every[self._workers.rank :: self._workers.world] = self._state
        self._workers.add_up(every)
        return {"streams": every, "epoch": torch.tensor(self._epoch)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` returned; from zeros where it is empty."""
        if state:
            own = state["streams"][self._workers.rank :: self._workers.world]
            self._state, self._epoch = own.to(self._device, copy=True), int(state["epoch"])


class NoMemory(Memory):
    """The memory of a network without a state: batches pass as they are."""

    def __init__(self) -> None:
        """Holds nothing."""

    def recall(self, tokens: Tensor, epoch: int) -> Tensor:
        """Returns the batch as it is."""
        return tokens

    def keep(self, output: object) -> None:
        """Keeps nothing."""

    def state(self) -> dict[str, Tensor]:
        """Returns nothing."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Does nothing."""


def memory_of(network: nn.Module, streams: int, workers: Workers = ALONE) -> Memory:
    """Returns the memory of a network, which states the width of its state as ``state_width`` if it has one."""
    width = getattr(network, "state_width", None)
    if width is None:
        return NoMemory()
    return Memory(streams, int(width), next(network.parameters()).device, workers)


class Remembering:
    """Runs a network on the windows of a text one after the other, and remembers the state; other batches as they are.

    Attributes:
        network: The network.
    """

    def __init__(self, network: nn.Module) -> None:
        """Takes the network, and remembers nothing."""
        self.network = network
        self._state: Tensor | None = None

    def __call__(self, inputs: Tensor, *gates: Any) -> Tensor:
        """Returns logits of the next window."""
        width = getattr(self.network, "state_width", None)
        if width is None:
            logits: Tensor = self.network(inputs, *gates)
            return logits
        if self._state is None:
            self._state = torch.zeros(len(inputs), width, device=inputs.device)
        output: WindowOutput = self.network(Window(inputs, self._state), *gates)
        self._state = output.state
        return output.logits


def with_prefixes(states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Returns states by name as one part of a checkpoint: the tensors of each under ``name.tensor``."""
    part: dict[str, Tensor] = {}
    for name, state in states.items():
        part |= {f"{name}.{key}": tensor for key, tensor in state.items()}
    return part


def without_prefixes(part: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Returns the states by name that `with_prefixes` joined."""
    states: dict[str, dict[str, Tensor]] = {}
    for full_name, tensor in part.items():
        name, _, key = full_name.partition(".")
        states.setdefault(name, {})[key] = tensor
    return states
