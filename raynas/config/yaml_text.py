"""YAML as run files use it: what other readers would change or lose without a word is refused with its line.

It is YAML 1.1 as PyYAML reads it, but for scalars that it takes for numbers against what people mean: ``1e-4`` is a
number, while ``007`` (there octal), ``1:30`` (there to the base 60) and ``2024-01-31`` (there a date) are texts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from raynas.messages import echo, shortened

LARGEST = 1_000_000
"""Characters of a file."""

MOST_VALUES = 100_000
"""Keys and values of a file, each alias counted as what it stands for."""

DEEPEST = 50
"""Levels of sections and lists in each other."""

_TAG = "tag:yaml.org,2002:"
_KINDS = {f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with other rules for what is a number, and with merge keys as YAML defines them."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Returns the next value with all that is in it, if that is not too deep."""
        self.depth += 1
        if self.depth > DEEPEST:
            problem = f"more than {DEEPEST} levels in each other"
            raise yaml.composer.ComposerError(None, None, problem, self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Puts what merge keys name into a mapping: own keys win, then those of the earlier mapping.

        PyYAML 6.0.4 compares keys by identity here, so that which one wins depends on how Python stores the texts.
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


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.removeprefix(_TAG) not in ("int", "float", "timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
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
        ValueError: If it is no YAML, gives a key twice, has a key that is no text, holds a number that is not finite or
            a value of another kind than JSON has, or is too large.
    """
    if len(text) > LARGEST:
        raise ValueError(
            f"{source}: expected at most {LARGEST:,} characters of YAML, got {len(text):,}; give a run file"
        )
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        raise ValueError(f"{source}: not YAML: {_reason(error)}") from error
    if node is None:
        return None
    _check_size(node, source)
    for key, part in _parts(node, ""):
        _check(key, part, source)
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(f"{source}: not YAML: {_reason(error)}") from error
    except (ValueError, LookupError) as error:  # a tag that its value does not have, or an integer of too many digits
        raise ValueError(f"{source}: not YAML: {shortened(str(error))}") from error


def _reason(error: yaml.YAMLError) -> str:
    """Returns what is wrong, with line and column where it is known, on one line."""
    if isinstance(error, yaml.reader.ReaderError):  # whose own words quote what a terminal may obey
        return f"character {error.position + 1} is {chr(error.character)!a}, which no text has; take it out"
    if not isinstance(error, yaml.MarkedYAMLError):
        return shortened(" ".join(str(error).split()), 200)
    mark = error.problem_mark or error.context_mark
    parts = [part for part in (error.context, error.problem) if part]
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return where + shortened(", ".join(parts), 200)


def _check_size(root: yaml.Node, source: str) -> None:
    """Raises a ValueError if aliases make too much of a text, stand within themselves, or it is too deep."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int, above: tuple[int, ...]) -> int:
        if depth > DEEPEST or id(node) in above:
            what = "an alias within what it stands for" if id(node) in above else f"more than {DEEPEST} levels"
            raise ValueError(
                f"{source}, line {_line(node)}: expected sections, values and lists, got {what}; flatten it"
            )
        if id(node) not in sizes:
            sizes[id(node)] = 1 + sum(size(part, depth + 1, (*above, id(node))) for part in _children(node))
        return sizes[id(node)]

    if (values := size(root, 0, ())) > MOST_VALUES:
        raise ValueError(
            f"{source}: expected at most {MOST_VALUES:,} keys and values, got {values:,}; use fewer aliases"
        )


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
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
    """Raises a ValueError if a node is none that a run file may have; the message names its key and line."""
    where = f"{source}, line {_line(node)}: " + (f"{shortened(key)}: " if key else "")
    if node.tag not in _KINDS:
        raise ValueError(
            f"{where}expected a text, number, list or section, got {shortened(node.tag)}; leave the tag out"
        )
    if isinstance(node, yaml.MappingNode):
        _check_keys(key, node, source)
    elif node.tag == f"{_TAG}float":
        number = node.value.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan")
        if not _is_finite(number):
            raise ValueError(f"{where}expected a finite number, got {shortened(node.value)}; write the number out")
    elif node.tag == f"{_TAG}str" and re.search("[\x00\ud800-\udfff]", node.value):
        raise ValueError(f"{where}expected text, got {echo(node.value)}; leave the unprintable characters out")


def _is_finite(number: str) -> bool:
    try:
        return math.isfinite(float(number))
    except ValueError:
        return False


def _check_keys(key: str, node: yaml.MappingNode, source: str) -> None:
    lines: dict[str, int] = {}
    for name, _ in node.value:
        if name.tag == f"{_TAG}merge":
            continue
        if name.tag != f"{_TAG}str":
            quoted = f"{name.value}" if isinstance(name, yaml.ScalarNode) else f"a {name.id}"
            raise ValueError(
                f"{source}, line {_line(name)}: expected a text as key, got {shortened(quoted)}; put it in quotes"
            )
        whole = shortened(".".join(filter(None, (key, name.value))))
        if name.value in lines:
            raise ValueError(
                f"{source}, line {_line(name)}: {whole}: given twice, first in line {lines[name.value]}; leave one out"
            )
        lines[name.value] = _line(name)
