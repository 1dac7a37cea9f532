"""The only module that combines candidates."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from raynas.supernet.gates import Gate


class Zero(nn.Module):
    """The candidate that passes nothing. It is never called: a block without another active candidate is not live."""


class ChoiceBlock(nn.Module):
    """The sum over the active candidates of weight x output.

    Candidates are kept under their names, so that a block narrowed to one candidate has a part of the full block's
    parameter names, and a derived network takes over a supernet's weights by name.
    """

    def __init__(self, candidates: Mapping[str, nn.Module]) -> None:
        """Takes the candidates by name, in the order of their indices."""
        super().__init__()
        for name, module in candidates.items():
            self.add_module(name, module)
        self._names = tuple(candidates)

    @property
    def num_candidates(self) -> int:
        """How many candidates the block holds: all of its choice's in a supernet, one in a derived network."""
        return len(self._names)

    def candidate(self, k: int) -> nn.Module:
        """Returns candidate `k`."""
        return self._modules[self._names[k]]  # type: ignore[return-value]

    def is_live(self, gate: Gate) -> bool:
        """Returns whether the block passes anything under `gate`."""
        return any(not isinstance(self.candidate(k), Zero) for k in gate.active)

    def forward(self, x: Tensor, gate: Gate) -> Tensor:
        """Returns sum_k gate.weights[k] * candidate_k(x) over the active candidates.

        Args:
            x: Input, ``(batch, channels, height, width)`` or whatever the candidates take.
            gate: The route; `is_live` must hold for it.
        """
        total: Tensor | None = None
        for position, k in enumerate(gate.active):
            module = self.candidate(k)
            if isinstance(module, Zero):
                continue
            out = module(x)
            if gate.weights is not None:
                out = out * gate.weights[position]
            total = out if total is None else total + out
        assert total is not None, "a block that is not live was called"
        return total
