"""Texts of a run's files as a page can hold them."""

from __future__ import annotations

import re
from typing import Any

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML forbids: control characters, halves of surrogate pairs."""

_SUSPICIOUS = re.compile(rb"\\u|[\x00-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")
"""Bytes of a JSON file without which none of its texts holds such a character."""


def is_printable(data: bytes) -> bool:
    """Returns whether the bytes of a JSON text certainly hold nothing that a page cannot show."""
    return _SUSPICIOUS.search(data) is None


def printable(value: Any) -> Any:
    """Returns a JSON value whose texts hold nothing that XML forbids; U+FFFD takes the place of each such character."""
    if isinstance(value, str):
        return _FORBIDDEN.sub("\ufffd", value)
    if isinstance(value, list):
        return [printable(part) for part in value]
    if isinstance(value, dict):
        return {printable(key): printable(part) for key, part in value.items()}
    return value
