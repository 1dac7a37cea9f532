"""What `raynas explain` prints: the documentation of a key, a section or a member as lines of text."""

from __future__ import annotations

import difflib
import json
import textwrap
from collections.abc import Sequence
from typing import Any

from raynas.config.key_docs import REQUIRED, KeyDoc, filled_values, key_docs, section_docs
from raynas.config.member_docs import MemberDoc, member_doc, member_docs
from raynas.config.named import AnyFamily
from raynas.errors import InputError
from raynas.messages import echo

WIDTH = 100
"""Characters of a line."""


def explained(word: str, values: dict[str, Any] | None = None) -> list[str]:
    """Returns what a key, a section or a member means, as lines.

    Args:
        word: A dotted key, a section, the last part of a key, or the name of a member.
        values: The resolved values of a run file under dotted keys, to be told beside the defaults.

    Raises:
        InputError: If there is no such key; the nearest ones are named.
    """
    keys = key_docs()
    found = [key for key in keys if _without_axis(key.key) == word] or [key for key in keys if key.key == word]
    if found:
        return _paragraphs([_key_lines(key, values or {}) for key in found])
    sections = {_without_axis(name): text for name, text in section_docs().items()}
    if word in sections:
        return _section_lines(word, sections[word], keys)
    families = _families(keys)
    members = [(family, name) for family in families for name in family.names() if name == word]
    if members:
        return _paragraphs([_member_lines(family, member_doc(family, name)) for family, name in members])
    endings = [key for key in keys if key.name == word]
    if endings:
        return _paragraphs([_key_lines(key, values or {}) for key in endings])
    names = [*dict.fromkeys(key.key for key in keys), *sections, *(name for one in families for name in one.names())]
    close = difflib.get_close_matches(word, names, n=3, cutoff=0.5)
    close += [
        name for name in names if name.rpartition(".")[2] in difflib.get_close_matches(word, [name.rpartition(".")[2]])
    ]
    hint = f"did you mean {' or '.join(dict.fromkeys(close[:3]))}?" if close else f"sections are {', '.join(sections)}"
    raise InputError(f"{echo(word)[1:-1]}: expected a key, a section or a member of a run file; {hint}")


def default_in_words(key: KeyDoc) -> str:
    """Returns the default of a key as a run file writes it."""
    if key.default is REQUIRED:
        return "required"
    return written(key.default)


def written(value: Any) -> str:
    """Returns a value as a run file writes it on one line."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value)


def null_in_words(key: KeyDoc) -> str:
    """Returns what an open key stands for, by algorithm; empty where its own text says it."""
    by_value: dict[str, list[str]] = {}
    for algorithm, value in filled_values(key.key).items():
        by_value.setdefault(written(value), []).append(algorithm)
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in by_value.items())


def execution_in_words(key: KeyDoc) -> str:
    """Returns what a change of the key between two resumes does; empty of a key that must not change."""
    if key.execution is None:
        return ""
    exactness = "to rounding" if key.execution.rounds else "to the bit"
    return f"May change when a run is resumed: results agree {exactness}."


def _without_axis(key: str) -> str:
    """Returns a key without the part that stands for the name of an axis."""
    return key.replace(".KEY", "")


def _paragraphs(blocks: Sequence[Sequence[str]]) -> list[str]:
    """Returns blocks of lines with an empty line between two."""
    lines: list[str] = []
    for block in blocks:
        lines += ["", *block] if lines else block
    return lines


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    """Returns a text as indented lines."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _key_lines(key: KeyDoc, values: dict[str, Any]) -> list[str]:
    """Returns what a key means."""
    kind = "space" if key.space else "data set"
    place = f" (of the {kind} {key.owner})" if key.owner else ""
    lines = [f"{key.key}{place}: {key.kind}; default: {default_in_words(key)}"]
    lines += _wrapped(key.text)
    meaning = null_in_words(key)
    if meaning:
        lines += _wrapped(f"null takes the entry of the algorithm: {meaning}.")
    lines += _wrapped(execution_in_words(key))
    if key.key in values:
        lines.append(f"  in this file: {written(values[key.key])}")
    if key.family is not None:
        lines += ["  accepted names, beside the dotted path of your own:", *_member_table(key.family)]
    return lines


def _section_lines(name: str, text: str, keys: Sequence[KeyDoc]) -> list[str]:
    """Returns the keys of a section, a line or two each."""
    lines = [f"{name}: {text}"]
    for key in keys:
        if f"{_without_axis(key.key)}.".startswith(f"{name}."):
            place = f" ({key.owner})" if key.owner else ""
            lines += [
                f"  {key.key}{place}: {key.kind}; default: {default_in_words(key)}",
                *_wrapped(key.text, "      "),
            ]
    if name == "space":
        lines.append("`raynas explain NAME` says more of a space")
    return lines


def _member_lines(family: AnyFamily, member: MemberDoc) -> list[str]:
    """Returns what a member is, with the docstring of its module."""
    lines = [f"{family.key}: {member.name}", f"  {member.title}"]
    if member.needs:
        lines += _wrapped(f"It needs {', '.join(member.needs)}.")
    return [*lines, "", *member.text.splitlines()] if member.text else lines


def _member_table(family: AnyFamily) -> list[str]:
    """Returns the members of a family, a line each."""
    members = member_docs(family)
    width = max(len(member.name) for member in members)
    return [f"    {member.name.ljust(width)}  {member.title}" for member in members]


def _families(keys: Sequence[KeyDoc]) -> list[AnyFamily]:
    """Returns the families that keys name, each once."""
    families: dict[str, AnyFamily] = {}
    for key in keys:
        if key.family is not None:
            families.setdefault(key.family.key, key.family)
    return list(families.values())
