"""Networks whose choices follow one another, so that architectures with the same first choices share activations."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from raynas.supernet.choice_block import ChoiceBlock, with_idle
from raynas.supernet.gates import Gate, Gates, per_cell


class ChainNetwork(nn.Module):
    """Begin, then one choice block after another, then end: a supernet, or a derived network.

    What reaches a block depends on the gates before it alone, which one-shot accuracy makes use of
    (`fitness/inherited_weights.py`). A subclass adds nothing to `forward`.
    """

    def __init__(self, begin: nn.Module, blocks: Sequence[ChoiceBlock], end: nn.Module) -> None:
        """Takes what stands before the choices, a block for each choice in order, and what stands after them."""
        super().__init__()
        self.num_cells = 1
        self.begin = begin
        self.blocks = nn.ModuleList(blocks)
        self.end = end
        self._only_route = None if any(block.num_candidates > 1 for block in blocks) else (Gate((0,)),) * len(blocks)

    def forward(self, images: Tensor, gates: Gates | Sequence[Gates] | None = None) -> Tensor:
        """Returns logits, ``(batch, num_classes)``.

        Args:
            images: ``(batch, 3, height, width)``.
            gates: One gate per block; not needed by a derived network.
        """
        route = gates if gates is not None else self._only_route
        assert route is not None, "a supernet needs gates"
        x: Tensor = self.begin(images)
        for block, gate in zip(self.blocks, per_cell(route, self.num_cells)[0], strict=True):
            x = with_idle(block(x, gate), (gate,))
        logits: Tensor = self.end(x)
        return logits
