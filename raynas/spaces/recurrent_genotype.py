"""The text form of recurrent cells, ``Genotype(recurrent=[('relu', 0), ...], concat=range(1, 9))``. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raynas.errors import InputError
from raynas.spaces.genotype import Pair, is_pair, is_row, parts_of_genotype

_FORM = "expected Genotype(recurrent=[(operation, predecessor), ...], concat=range(1, 9))"


def write_recurrent(pairs: Sequence[Pair], outputs: Sequence[int]) -> str:
    """Returns the text of the operation and predecessor of each node, as DARTS' code prints it.

    Args:
        pairs: Operation and predecessor of each node.
        outputs: The nodes whose mean is the state.
    """
    every = range(1, len(pairs) + 1)
    return f"Genotype(recurrent={list(pairs)!r}, concat={every if list(outputs) == list(every) else list(outputs)!r})"


def leaves_of(pairs: Sequence[Pair]) -> list[int]:
    """Returns the nodes that are no other node's predecessor."""
    sources = {source for _, source in pairs}
    return [node for node in range(1, len(pairs) + 1) if node not in sources]


def read_recurrent(text: str) -> tuple[list[Pair], list[int]]:
    """Returns the operation and predecessor of each node of a text, and the nodes whose mean is the state.

    Raises:
        InputError: If the text has another form.
    """
    parts = parts_of_genotype(text, _FORM)
    pairs: Any = parts.get("recurrent")
    if set(parts) - {"recurrent", "concat"} or not is_row(pairs) or not len(pairs):
        raise InputError(f"{_FORM}, got {text!r}")
    for pair in pairs:
        if not is_pair(pair) or len(pair) != 2:
            raise InputError(f"recurrent: expected a pair (operation, predecessor), got {pair!r}")
    every = range(1, len(pairs) + 1)
    concat: Any = parts.get("concat", every)
    if not is_row(concat) or not len(concat) or not all(type(node) is int and node in every for node in concat):
        raise InputError(f"concat: expected nodes of 1 to {len(pairs)}, got {concat!r}")
    return [(pair[0], pair[1]) for pair in pairs], list(concat)
