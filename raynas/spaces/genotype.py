"""The text form of DARTS' cells, in the spellings in use. No torch here.

    Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))

A cell is written as pairs (operation, predecessor), two for each of the nodes 2 to 5. Predecessor 0 is the output of
the cell before the last, c_{k-2}. Predecessor 1 is the output of the last cell, c_{k-1}. A fixed reduction cell is
written as None. Cells with choices of their own are listed: ``Genotype(cells=[[...], ...], cells_concat=range(2, 6))``.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from raynas.errors import InputError

Pair: TypeAlias = tuple[str, int]
"""Operation and predecessor."""

Cell: TypeAlias = Sequence[Sequence[Pair]]
"""The two pairs of each node, 2 to 5."""

NODES = range(2, 6)

ALIASES = {
    "dua_sepc_3x3": "sep_conv_3x3",
    "dua_sepc_5x5": "sep_conv_5x5",
    "dil_sepc_3x3": "dil_conv_3x3",
    "dil_sepc_5x5": "dil_conv_5x5",
}
"""Names of operations in AutoDL."""

_CELLS = ("normal", "reduce", "cells")
_KEYS = (*_CELLS, *(f"{name}_concat" for name in _CELLS), "connectN", "connects")  # the last two are AutoDL's
_FORM = "expected Genotype(normal=[(operation, predecessor), ...], normal_concat=range(2, 6), reduce=[...], ...)"


def write_genotype(cells: Mapping[str, object]) -> str:
    """Returns the text of lists of pairs under their names, as DARTS' code prints it."""
    parts = [f"{name}={cell!r}, {name}_concat={NODES!r}" for name, cell in cells.items()]
    return f"Genotype({', '.join(parts)})"


def read_genotype(text: str) -> dict[str, list[Cell]]:
    """Returns the cells of a text by name: ``normal`` and ``reduce`` with at most one cell each, or all as ``cells``.

    Three spellings are read. DARTS and PC-DARTS write pairs in a row, and the concatenated nodes as range or list.
    AutoDL writes pairs nested by node or followed by the operation's probability, or a dictionary, and may leave out
    the reduction cell. Each may be assigned to a name. Operations are returned under DARTS' names.

    Raises:
        InputError: If the text has none of these forms, or its cells are not four nodes of two inputs each.
    """
    cells: dict[str, list[Cell]] = {}
    for key, value in parts_of_genotype(text, _FORM).items():
        if key not in _KEYS:
            raise InputError(f"{_FORM}, got the key {key!r} in {text!r}")
        if key.endswith("_concat") and not (is_row(value) and len(value) == 4 and list(value) == list(NODES)):
            raise InputError(f"{key}: a cell concatenates its nodes 2 to 5, got {value!r}")
        if key in _CELLS:
            several = key == "cells" and is_row(value)
            cells[key] = [] if value is None else [_cell(cell, key) for cell in (value if several else [value])]
    return cells


def parts_of_genotype(text: str, form: str) -> dict[object, Any]:
    """Returns the keywords of ``Genotype(...)``, or the items of a dictionary. Only literals are evaluated.

    Raises:
        InputError: If the text is neither; the message says the `form` that was expected.
    """
    try:
        (statement,) = ast.parse(text.strip()).body
        tree = statement.value if isinstance(statement, ast.Assign | ast.Expr) else None
        if isinstance(tree, ast.Call) and getattr(tree.func, "id", "") == "Genotype" and not tree.args:
            return {keyword.arg: _value(keyword.value) for keyword in tree.keywords}
        if isinstance(tree, ast.Dict):
            return {_value(key): _value(value) for key, value in zip(tree.keys, tree.values, strict=True)}
    except (SyntaxError, ValueError, TypeError) as error:
        raise InputError(f"{form}, got {text!r}") from error
    raise InputError(f"{form}, got {text!r}")


def _value(tree: ast.expr | None) -> Any:
    if isinstance(tree, ast.Call) and getattr(tree.func, "id", "") == "range" and not tree.keywords:
        return range(*(ast.literal_eval(bound) for bound in tree.args))
    return ast.literal_eval(tree)  # type: ignore[arg-type]


def _cell(value: Any, key: str) -> Cell:
    """Returns the four nodes of a cell, each two pairs."""
    in_a_row = is_row(value) and len(value) > 0 and is_pair(value[0])
    nodes = [value[start : start + 2] for start in range(0, len(value), 2)] if in_a_row else value
    if not (is_row(nodes) and len(nodes) == 4 and all(is_row(node) and len(node) == 2 for node in nodes)):
        raise InputError(f"{key}: expected 4 nodes with two pairs (operation, predecessor) each, got {value!r}")
    for pair in itertools.chain(*nodes):
        if not is_pair(pair):
            raise InputError(f"{key}: expected a pair (operation, predecessor), got {pair!r}")
    cell = []
    for node in nodes:
        cell.append([(ALIASES.get(pair[0], pair[0]), pair[1]) for pair in node])
    return cell


def is_row(value: object) -> bool:
    """Returns whether a value is a list, a tuple or a range."""
    return isinstance(value, list | tuple | range)


def is_pair(value: Any) -> bool:
    """Returns whether a value is an operation and a predecessor, with or without a probability behind them."""
    return is_row(value) and len(value) in (2, 3) and isinstance(value[0], str) and type(value[1]) is int
