"""A graph of torch.fx as lines of Python that a person would write."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from raynas.errors import RunError
from raynas.networks.export.one_level import Level

LONGEST_LINE = 100
"""Characters of a line; an expression that would be longer gets a line of its own."""

BINARY = {
    operator.add: "+",
    operator.iadd: "+",
    torch.add: "+",
    operator.sub: "-",
    operator.mul: "*",
    torch.mul: "*",
    operator.truediv: "/",
}
"""Functions that are written as signs."""


@dataclass(frozen=True)
class _Expression:
    """A piece of code.

    Attributes:
        text: The code.
        is_sum: Whether it is a sum, which needs no brackets in another sum.
        is_sign: Whether it is written with a sign at all.
    """

    text: str
    is_sum: bool = False
    is_sign: bool = False


def statements_of(level: Level) -> tuple[str, ...]:
    """Returns the lines of the forward function that a level describes.

    Args:
        level: A graph whose calls of modules name children of the module, such as ``cells.3``.

    Raises:
        RunError: If it calls a function that is not one of torch.
    """
    return tuple(_loops(_Writer(level).lines()))


class _Writer:
    """Writes a graph line by line; variables get the name of what they replace where that is not needed any more."""

    def __init__(self, level: Level) -> None:
        self._graph = graph = level.graph
        self._inputs = level.inputs
        self._constants = level.constants
        self._code: dict[fx.Node, _Expression] = {}
        self._left = {node: len(node.users) for node in graph.nodes}
        self._taken: dict[str, fx.Node] = {}

    def lines(self) -> list[str]:
        lines: list[str] = []
        names = iter(self._inputs)
        for node in self._graph.nodes:
            if node.op == "placeholder":
                name = next(names)
                self._taken[name] = node
                self._code[node] = _Expression(name)
            elif node.op == "output":
                lines.append(f"return {self._text(node.args[0])}")
            elif node.users:
                expression = self._expression(node)
                if self._is_inlined(node, expression):
                    self._code[node] = expression
                    continue
                name = self._name(node)
                lines.append(f"{name} = {expression.text}")
                self._code[node] = _Expression(name)
        return lines

    def _is_inlined(self, node: fx.Node, expression: _Expression) -> bool:
        """Returns whether a node is written inside of the expression that uses it."""
        (*_, user) = node.users
        if len(node.users) > 1:
            return False
        if node.op == "get_attr":
            return True
        if user.op == "output":
            return len(expression.text) < LONGEST_LINE
        if len(expression.text) > LONGEST_LINE // 2:
            return False
        if node.op == "call_module" and user.op in ("call_module", "call_method"):
            return not any("." in str(call.target) for call in (node, user))
        if user.op == "call_function" and user.target in BINARY:
            return len(expression.text) + 30 < LONGEST_LINE
        return True

    def _name(self, node: fx.Node) -> str:
        """Returns the variable of a node: that of an input which is used for the last time, or a new one."""
        used = list(dict.fromkeys(self._variables(node)))
        for variable in used:
            self._left[variable] = sum(1 for user in variable.users if not self._is_written(user, node))
        over = [variable for variable in used if self._left[variable] == 0]
        if len(used) == 1 and over:
            name = self._code[used[0]].text
            if self._inputs == [name]:
                name = "x"
        else:
            name = self._new_name(node)
        self._taken[name] = node
        return name

    def _is_written(self, user: fx.Node, now: fx.Node) -> bool:
        """Returns whether a user of a variable stands in a line before, or in this one."""
        if user is now:
            return True
        if user not in self._code:
            return False
        inlined = not self._code[user].text.isidentifier()
        return not inlined or any(self._is_written(after, now) for after in user.users)

    def _variables(self, node: fx.Node) -> list[fx.Node]:
        """Returns the variables that the expression of a node reads, also those of inlined expressions."""
        found: list[fx.Node] = []
        for argument in node.all_input_nodes:
            is_variable = self._code[argument].text.isidentifier()
            found += [argument] if is_variable else self._variables(argument)
        return found

    def _new_name(self, node: fx.Node) -> str:
        stem = "out"
        if node.op == "call_module":
            stem = re.sub(r"s?\.(\d+)$", r"_\1", str(node.target)).replace(".", "_")
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}_{number}"
        return name

    def _expression(self, node: fx.Node) -> _Expression:
        if node.op == "call_module":
            return _Expression(f"{attribute(str(node.target))}({self._arguments(node.args, {})})")
        if node.op == "call_method":
            first, *others = node.args
            return _Expression(f"{self._bracketed(first)}.{node.target}({self._arguments(others, node.kwargs)})")
        if node.op == "call_function":
            return self._function(node)
        constant = self._constants.get(str(node.target))
        if constant is not None and constant.numel() == 1:
            return _Expression(repr(constant.item()))
        raise RunError(f"--format: {node.target} is no layer and cannot be written as plain torch; take another format")

    def _function(self, node: fx.Node) -> _Expression:
        if node.target is operator.getitem:
            base, index = node.args
            return _Expression(f"{self._bracketed(base)}[{_index(index)}]")
        sign = BINARY.get(node.target)  # type: ignore[arg-type]
        if sign is not None and len(node.args) == 2 and not node.kwargs:
            is_sum = sign == "+"
            left, right = (self._operand(value, is_sum) for value in node.args)
            return _Expression(f"{left} {sign} {right}", is_sum=is_sum, is_sign=True)
        name = str(getattr(node.target, "__name__", ""))
        for prefix, module in (("torch", torch), ("F", F)):
            if getattr(module, name, None) is node.target:
                return _Expression(f"{prefix}.{name}({self._arguments(node.args, node.kwargs)})")
        raise RunError(f"--format: the function {name} is not one of torch; take safetensors, pt2 or onnx")

    def _operand(self, value: Any, in_sum: bool) -> str:
        expression = self._code.get(value) if isinstance(value, fx.Node) else None
        is_plain = expression is None or not expression.is_sign or (in_sum and expression.is_sum)
        return self._text(value) if is_plain else f"({self._text(value)})"

    def _bracketed(self, value: Any) -> str:
        return self._operand(value, in_sum=False)

    def _arguments(self, values: Sequence[Any], named: Mapping[str, Any]) -> str:
        texts = [self._text(value) for value in values]
        return ", ".join([*texts, *(f"{name}={self._text(value)}" for name, value in named.items())])

    def _text(self, value: Any) -> str:
        """Returns a value as code."""
        if isinstance(value, fx.Node):
            return self._code[value].text
        if isinstance(value, list | tuple):
            inner = ", ".join(map(self._text, value))
            if isinstance(value, list):
                return f"[{inner}]"
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if value is None or isinstance(value, bool | int | float | str | torch.dtype):
            return str(value) if isinstance(value, torch.dtype) else repr(value)
        raise RunError(
            f"--format: a value of {type(value).__name__} cannot be written as plain torch; take safetensors, pt2 or "
            "onnx"
        )


def attribute(path: str) -> str:
    """Returns the code of a child, such as ``self.cells[3].edges[0]`` of ``cells.3.edges.0``."""
    code = "self"
    for part in path.split("."):
        if part.isdigit():
            code += f"[{part}]"
        else:
            code = f"{code}.{part}" if part.isidentifier() else f"getattr({code}, {part!r})"
    return code


def _index(index: Any) -> str:
    parts = index if isinstance(index, tuple) else (index,)
    return ", ".join(_slice(part) if isinstance(part, slice) else repr(part) for part in parts)


def _slice(part: slice) -> str:
    bounds = ["" if bound is None else repr(bound) for bound in (part.start, part.stop)]
    return ":".join(bounds) + ("" if part.step is None else f":{part.step!r}")


_CALL = re.compile(r"(?P<out>\w+) = self\.(?P<items>\w+)\[(?P<number>\d+)\]\((?P=out)\)")


def _loops(lines: Sequence[str]) -> list[str]:
    """Returns the lines with three or more calls of neighbours in a list as a loop."""
    folded: list[str] = []
    position = 0
    while position < len(lines):
        run = _run_length(lines[position:])
        found = _CALL.fullmatch(lines[position])
        if found is None or run < 3:
            folded.append(lines[position])
            position += 1
            continue
        out, items, first = found["out"], found["items"], int(found["number"])
        item = items.removesuffix("s") if items.endswith("s") else f"{items}_item"
        folded += [f"for {item} in self.{items}[{first}:{first + run}]:", f"    {out} = {item}({out})"]
        position += run
    return folded


def _run_length(lines: Sequence[str]) -> int:
    """Returns how many lines from the first on call one neighbour after the other."""
    calls = [_CALL.fullmatch(line) for line in lines]
    first = calls[0]
    if first is None:
        return 0
    number = 0
    for call in calls:
        expected = (first["out"], first["items"], str(int(first["number"]) + number))
        if call is None or (call["out"], call["items"], call["number"]) != expected:
            break
        number += 1
    return number
