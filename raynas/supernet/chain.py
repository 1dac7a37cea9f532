"""Networks with choices in sequence, so that architectures with the same first choices share activations."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from raynas.supernet.choice_block import ChoiceBlock, with_idle
from raynas.supernet.gates import Gate, Gates, per_cell


class ChainNetwork(nn.Module):
    """A stem, a sequence of choice blocks, and an end: a supernet or a derived network.

    The input of a block depends only on the gates before it. One-shot accuracy uses this property
    (`fitness/inherited_weights.py`), so a subclass must not change `forward`.
    """

    def __init__(self, begin: nn.Module, blocks: Sequence[ChoiceBlock], end: nn.Module) -> None:
        """Stores the modules before the choices, one block for each choice in order, and the modules after them."""
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
            gates: One gate per block; a derived network needs none.
        """
        route = gates if gates is not None else self._only_route
        assert route is not None, "a supernet needs gates"
        x: Tensor = self.begin(images)
        for block, gate in zip(self.blocks, per_cell(route, self.num_cells)[0], strict=True):
            x = with_idle(block(x, gate), (gate,))
        logits: Tensor = self.end(x)
        return logits
