"""Wording shared by sections: lists of names, plurals, values in the form of a run file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from raynas.report.blocks import Paragraph


def listed(names: Sequence[str]) -> str:
    """Returns a list of names as text, with ``and`` before the last."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, such as ``1 epoch`` or ``2 epochs``."""
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def capital(text: str) -> str:
    """Returns a text with a capital first letter."""
    return text[:1].upper() + text[1:]


def plain(value: object) -> str:
    """Returns a value in the form of a run file."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def remarks(lines: Iterable[str]) -> list[Paragraph]:
    """Returns a paragraph for each reason why numbers are no evidence."""
    return [Paragraph(f"{capital(line)}.") for line in lines if line]


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Returns nested values by dotted keys."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
