"""YAML as run files use it. Text that other readers would silently change or lose is refused with its line.

It is YAML 1.1 as PyYAML reads it, with other rules for numbers. ``1e-4`` is a number. ``007`` (octal in PyYAML),
``1:30`` (a number to the base 60 there) and ``2024-01-31`` (a date there) are texts.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from raynas.errors import InputError
from raynas.messages import echo, shortened

LARGEST = 1_000_000
"""Characters of a file."""

MOST_VALUES = 100_000
"""Keys and values of a file. An alias counts as all values that it stands for."""

DEEPEST = 50
"""Levels of nested sections and lists."""

_TAG = "tag:yaml.org,2002:"
_KINDS = {f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")}
_NUMBERS = {f"{_TAG}{kind}" for kind in ("int", "float", "timestamp")}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with other rules for numbers, and with merge keys as YAML defines them."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Returns the next value with all that is in it, unless it is too deep."""
        self.depth += 1
        if self.depth > DEEPEST:
            problem = f"more than {DEEPEST} levels in each other"
            raise yaml.composer.ComposerError(None, None, problem, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Puts the keys of merged mappings into a mapping: own keys win, then those of the earlier mapping.

        PyYAML 6.0.4 compares keys by identity here. The key that wins then depends on how Python stores the texts.
        """
        merged: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        own = {}
        for key, value in node.value:
            if key.tag != f"{_TAG}merge":
                own[key.value] = (key, value)
                continue
            for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(part, yaml.MappingNode):
                    raise yaml.constructor.ConstructorError(None, None, "<< takes sections only", part.start_mark)
                self.flatten_mapping(part)
                for name, pair in ((pair[0].value, pair) for pair in part.value):
                    merged.setdefault(name, pair)
        node.value = list({**merged, **own}.values())


def _without_numbers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Returns PyYAML's rules for scalars by their first letter, without those for numbers and dates."""
    rules = {}
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items():
        rules[first] = [rule for rule in resolvers if rule[0] not in _NUMBERS]
    return rules


_Loader.yaml_implicit_resolvers = _without_numbers()
_Loader.add_implicit_resolver(
    f"{_TAG}int", re.compile(r"^[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0b[01_]+)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    f"{_TAG}float",
    re.compile(
        r"^([-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def read_yaml(text: str, source: str) -> Any:
    """Returns the value that a YAML text holds.

    Args:
        text: One document.
        source: Its file or option, which leads messages.

    Raises:
        InputError: If it is no YAML, repeats a key, has a key that is no text, holds a number that is not finite or a
            value of a kind that JSON does not have, or is too large.
    """
    if len(text) > LARGEST:
        raise InputError(
            f"{source}: expected at most {LARGEST:,} characters of YAML, got {len(text):,}; give a run file"
        )
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not YAML: {_reason(error)}") from error
    if node is None:
        return None
    _check_size(node, source)
    for key, part in _parts(node, ""):
        _check(key, part, source)
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not YAML: {_reason(error)}") from error
    except (ValueError, LookupError) as error:  # a tag that its value does not fit, or an integer of too many digits
        raise InputError(f"{source}: not YAML: {shortened(str(error))}") from error


def _reason(error: yaml.YAMLError) -> str:
    """Returns the error as one line, with line and column where they are known."""
    if isinstance(error, yaml.reader.ReaderError):  # its own message may quote control characters
        return f"character {error.position + 1} is {chr(error.character)!a}, which no text has; take it out"
    if not isinstance(error, yaml.MarkedYAMLError):
        return shortened(" ".join(str(error).split()), 200)
    mark = error.problem_mark or error.context_mark
    parts = [part for part in (error.context, error.problem) if part]
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + shortened(", ".join(parts), 200)


def _check_size(root: yaml.Node, source: str) -> None:
    """Raises a ValueError if aliases make a text too large or contain themselves, or if it is too deep."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int, above: tuple[int, ...]) -> int:
        if depth > DEEPEST or id(node) in above:
            what = "an alias within what it stands for" if id(node) in above else f"more than {DEEPEST} levels"
            raise InputError(
                f"{source}, line {_line(node)}: expected sections, values and lists, got {what}; flatten it"
            )
        if id(node) not in sizes:
            sizes[id(node)] = 1 + sum(size(part, depth + 1, (*above, id(node))) for part in _children(node))
        return sizes[id(node)]

    if (values := size(root, 0, ())) > MOST_VALUES:
        raise InputError(
            f"{source}: expected at most {MOST_VALUES:,} keys and values, got {values:,}; use fewer aliases"
        )


def _children(node: yaml.Node) -> list[yaml.Node]:
    """Returns the nodes directly below a node."""
    if isinstance(node, yaml.MappingNode):
        return list(itertools.chain(*node.value))
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _parts(node: yaml.Node, key: str) -> Iterator[tuple[str, yaml.Node]]:
    """Yields a node and all below it, each with its dotted key."""
    yield key, node
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _parts(value, ".".join(filter(None, (key, str(name.value)[:80]))))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _parts(value, ".".join(filter(None, (key, str(number)))))


def _check(key: str, node: yaml.Node, source: str) -> None:
    """Raises a ValueError if a run file may not have a node; the message names its key and line."""
    where = f"{source}, line {_line(node)}: " + (f"{shortened(key)}: " if key else "")
    if node.tag not in _KINDS:
        raise InputError(
            f"{where}expected a text, number, list or section, got {shortened(node.tag)}; leave the tag out"
        )
    if isinstance(node, yaml.MappingNode):
        _check_keys(key, node, source)
    elif node.tag == f"{_TAG}float":
        number = node.value.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")
        if not _is_finite(number):
            raise InputError(f"{where}expected a finite number, got {shortened(node.value)}; write the number out")
    elif node.tag == f"{_TAG}str" and re.search("[\x00\ud800-\udfff]", node.value):
        raise InputError(f"{where}expected text, got {echo(node.value)}; leave the unprintable characters out")


def _is_finite(number: str) -> bool:
    try:
        return math.isfinite(float(number))
    except ValueError:
        return False


def _check_keys(key: str, node: yaml.MappingNode, source: str) -> None:
    """Raises a ValueError if a key is no text or is given twice."""
    lines: dict[str, int] = {}
    for name, _ in node.value:
        if name.tag == f"{_TAG}merge":
            continue
        if name.tag != f"{_TAG}str":
            quoted = f"{name.value}" if isinstance(name, yaml.ScalarNode) else f"a {name.id}"
            raise InputError(
                f"{source}, line {_line(name)}: expected a text as key, got {shortened(quoted)}; put it in quotes"
            )
        whole = shortened(".".join(filter(None, (key, name.value))))
        if name.value in lines:
            raise InputError(
                f"{source}, line {_line(name)}: {whole}: given twice, first in line {lines[name.value]}; leave one out"
            )
        lines[name.value] = _line(name)
