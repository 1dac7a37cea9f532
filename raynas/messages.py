"""Wording that all messages for people share: how a value of the user's is quoted."""

from __future__ import annotations

import re

LONGEST = 80
"""Characters of a quoted value; more are cut."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys or cannot show: control characters, changes of direction, halves of surrogate pairs."""


def printable_text(text: str) -> str:
    """Returns a text on one line whose control characters are escaped."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def shortened(text: str, longest: int = LONGEST) -> str:
    """Returns a text of at most `longest` characters whose control characters are escaped; a longer one is cut."""
    text = printable_text(text[: longest + 1])
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def echo(value: object) -> str:
    """Returns a value as a message quotes it: as Python writes it, on one line of at most `LONGEST` characters."""
    if isinstance(value, str):
        value = value[: LONGEST + 1]
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of too many digits, or lists in lists without end
        return f"a huge {type(value).__name__}"
    return shortened(text)
