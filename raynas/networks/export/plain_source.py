"""The source of a network in plain torch: one class for all modules of one form, parameters for what differs.

Modules of one form have the same class in raynas, the same forward function and children of the same forms. Numbers
that are equal in all of them stand in the class; those that differ are arguments of its constructor, and numbers that
are always equal to each other are one argument.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raynas.networks.export.module_tree import Branch, Container, Layer, Signature, Written

WIDTH = 100
"""Characters of a line."""

CHANNELS = {"in_channels", "out_channels", "num_features", "channels", "groups"}
"""Arguments that one argument ``channels`` stands for where they are equal."""


@dataclass
class Form:
    """The modules that one class stands for.

    Attributes:
        name: Name of the class.
        modules: The modules.
        parameters: Names of the arguments of the constructor, each with its value in each module.
    """

    name: str
    modules: list[Written]
    parameters: dict[str, tuple[Any, ...]] = field(default_factory=dict)


Place = tuple[str, ...]
"""The way to a number: names of children, then that of the argument."""


def source_of(tree: Written) -> tuple[str, str]:
    """Returns the source of the classes of a network, and the name of the network's class."""
    forms = _Forms(tree)
    sources = [forms.source(form) for form in forms.by_signature.values()]
    return "\n\n\n".join(sources), forms.by_signature[tree.signature].name


class _Forms:
    """The classes of a network, in the order in which they are defined: those that others use first."""

    def __init__(self, tree: Written) -> None:
        self.by_signature: dict[Signature, Form] = {}
        for module in _modules_of(tree):
            form = self.by_signature.get(module.signature)
            if form is None:
                form = self.by_signature[module.signature] = Form(self._free_name(module.name), [])
            form.modules.append(module)
        for form in self.by_signature.values():  # children come first, so that their parameters are known
            self._find_parameters(form)

    def _free_name(self, name: str) -> str:
        taken = {form.name for form in self.by_signature.values()}
        number = 1
        free = name
        while free in taken:
            number += 1
            free = f"{name}{number}"
        return free

    def _find_parameters(self, form: Form) -> None:
        """Finds the numbers that differ between the modules of a form; equal ones become one parameter."""
        columns: dict[tuple[Any, ...], list[str]] = {}
        values = [dict(self._numbers(module.children)) for module in form.modules]
        for place in values[0]:
            column = tuple(of_module[place] for of_module in values)
            if len(set(map(repr, column))) > 1:
                columns.setdefault(column, []).append(place[-1])
        for column, names in columns.items():
            different = list(dict.fromkeys(names))
            name = "channels" if len(different) > 1 and set(different) <= CHANNELS else different[0]
            number = 1
            free = name
            while free in form.parameters:
                number += 1
                free = f"{name}_{number}"
            form.parameters[free] = column

    def _numbers(self, children: Mapping[str, Branch], way: Place = ()) -> Iterator[tuple[Place, Any]]:
        """Yields the numbers that a module's children are made of, each with the way to it."""
        for name, child in children.items():
            if isinstance(child, Layer):
                arguments = child.arguments
            elif isinstance(child, Container):
                yield from self._numbers(child.children, (*way, name))
                continue
            else:
                arguments = self._given(child)
            for key, value in arguments.items():
                yield (*way, name, key), value

    def _given(self, module: Written) -> dict[str, Any]:
        """Returns the arguments of the class of a module, with the values of this module."""
        form = self.by_signature[module.signature]
        number = next(number for number, other in enumerate(form.modules) if other is module)
        return {name: column[number] for name, column in form.parameters.items()}

    # Source

    def source(self, form: Form) -> str:
        """Returns the source of a class."""
        module = form.modules[0]
        base = "nn.Module" if module.statements else "nn.Sequential"
        names = {column: name for name, column in form.parameters.items()}
        values = [dict(self._numbers(other.children)) for other in form.modules]

        def text(place: Place, value: Any) -> str:
            return names.get(tuple(of_module[place] for of_module in values), repr(value))

        signature = ", ".join(["self", *(f"{name}: {_type_of(column)}" for name, column in form.parameters.items())])
        lines = [f"class {form.name}({base}):", f'    """{_used_at(form)}"""', ""]
        lines += _indented(_definition(f"def __init__({signature}) -> None:"), 4)
        lines.append("        super().__init__()")
        for name, child in module.children.items():
            made = self._made(child, (name,), text)
            lines += _indented(_assigned(name, made), 8)
        if module.statements:
            inputs = ", ".join(["self", *(f"{name}: Tensor" for name in module.inputs)])
            lines += ["", f"    def forward({inputs}) -> Tensor:"]
            for statement in module.statements:
                lines += _indented(_wrapped(statement), 8)
        return "\n".join(lines)

    def _made(self, branch: Branch, way: Place, text: Any) -> list[str]:
        """Returns the lines of the expression that makes a module."""
        if isinstance(branch, Layer):
            return _wrapped(_layer_text(branch, way, text))
        if isinstance(branch, Written):
            given = self._given(branch)
            arguments = ", ".join(text((*way, name), value) for name, value in given.items())
            return _wrapped(f"{self.by_signature[branch.signature].name}({arguments})")
        children = {name: self._made(child, (*way, name), text) for name, child in branch.children.items()}
        return _container_lines(branch.kind, children)


def _modules_of(tree: Branch) -> Iterator[Written]:
    """Yields the modules that become classes, children before those that hold them."""
    if isinstance(tree, Layer):
        return
    for child in tree.children.values():
        yield from _modules_of(child)
    if isinstance(tree, Written):
        yield tree


def _used_at(form: Form) -> str:
    """Returns the docstring of a class: where it is used."""
    places = [module.place for module in form.modules]
    if places == [""]:
        return "The network."
    shown = ", ".join(places[:2])
    rest = f" and {len(places) - 2} more" if len(places) > 2 else ""
    return f"Used at {shown}{rest}."


def _type_of(column: Sequence[Any]) -> str:
    kinds = {type(value).__name__ for value in column}
    return " | ".join(sorted("tuple[int, int]" if kind == "tuple" else kind for kind in kinds))


def _definition(line: str) -> list[str]:
    """Returns the first line of a function; a long one has its arguments on a line of their own."""
    if len(line) <= WIDTH:
        return [line]
    begin, _, rest = line.partition("(")
    arguments, _, end = rest.rpartition(")")
    lines = [f"    {part}," for part in _split_at_commas(arguments)]
    return [f"{begin}(", *lines, f"){end}"]


def _layer_text(layer: Layer, way: Place, text: Any) -> str:
    """Returns the call of a layer's constructor, without arguments that have their default."""
    arguments = []
    for name, parameter in inspect.signature(layer.kind.__init__).parameters.items():
        if name not in layer.arguments:
            continue
        value = layer.arguments[name]
        written = text((*way, name), value)
        if parameter.default is inspect.Parameter.empty:
            arguments.append(written)
        elif written != repr(value) or _differs(value, parameter.default, layer.arguments):
            arguments.append(f"{name}={written}")
    return f"nn.{layer.kind.__name__}({', '.join(arguments)})"


def _differs(value: Any, default: Any, arguments: Mapping[str, Any]) -> bool:
    """Returns whether a value has to be written; the stride of a pooling is by default its kernel size."""
    if default is None and value == arguments.get("kernel_size"):
        return False
    return bool(value != default)


def _container_lines(kind: str, children: Mapping[str, list[str]]) -> list[str]:
    """Returns the expression of a sequence, list or dictionary of modules."""
    numbered = list(children) == list(map(str, range(len(children))))
    if kind == "ModuleList":
        return _listed("nn.ModuleList([", _repeated(list(children.values())), "])")
    if kind == "Sequential" and numbered:
        return _listed("nn.Sequential(", list(children.values()), ")")
    items = [[f"{name!r}: {lines[0]}".replace("'", '"'), *lines[1:]] for name, lines in children.items()]
    if kind == "Sequential":
        return _listed("nn.Sequential(OrderedDict({", items, "}))")
    return _listed("nn.ModuleDict({", items, "})")


def _repeated(items: Sequence[list[str]]) -> list[list[str]]:
    """Returns the items of a list, three or more equal ones in a row as one expression."""
    folded: list[list[str]] = []
    position = 0
    while position < len(items):
        length = 1
        while position + length < len(items) and items[position + length] == items[position]:
            length += 1
        item = items[position]
        if length >= 3 and len(item) == 1:
            folded.append([f"*({item[0]} for _ in range({length}))"])
        else:
            folded += items[position : position + length]
        position += length
    return folded


def _listed(begin: str, items: Sequence[list[str]], end: str) -> list[str]:
    """Returns an expression with items, on one line if it is short."""
    flat = ", ".join(" ".join(lines) for lines in items)
    if all(len(lines) == 1 for lines in items) and len(begin) + len(flat) + len(end) <= WIDTH - 30:
        return [f"{begin}{flat}{end}"]
    lines = [begin]
    for item in items:
        lines += _indented([*item[:-1], f"{item[-1]},"], 4)
    return [*lines, end]


def _assigned(name: str, made: list[str]) -> list[str]:
    """Returns the lines that make a module a child under a name."""
    if name.isidentifier():
        return [f"self.{name} = {made[0]}", *made[1:]]
    return [f"self.add_module({name!r}, {made[0]}", *made[1:-1], f"{made[-1] if len(made) > 1 else ''})"]


def _wrapped(line: str) -> list[str]:
    """Returns a statement as one line or, if that is too long, with each argument of its last call on a line."""
    comma = "," if line.endswith(",") else ""
    bare = line.removesuffix(",")
    if len(line) <= WIDTH or not bare.endswith((")", "]")):
        return [line]
    begin, inner, end = _last_brackets(bare)
    if not inner:
        return [line]
    lines = [begin]
    for part in _split_at_commas(inner):
        lines += _indented(_wrapped(f"{part},"), 4)
    return [*lines, f"{end}{comma}"]


def _last_brackets(line: str) -> tuple[str, str, str]:
    """Returns a line in three parts: up to the bracket that its last one closes, what is inside, and the last one."""
    depth = 0
    for position in range(len(line) - 1, -1, -1):
        depth += (line[position] in ")]}") - (line[position] in "([{")
        if not depth:
            return line[: position + 1], line[position + 1 : -1], line[-1]
    return line, "", ""


def _split_at_commas(text: str) -> list[str]:
    """Returns the parts of a text between the commas that are in no brackets."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append(text[start:position].strip())
            start = position + 1
    return [part for part in [*parts, text[start:].strip()] if part]


def _indented(lines: Sequence[str], spaces: int) -> list[str]:
    return [" " * spaces + line for line in lines]
