"""What docstrings say, read: their first paragraph, and the text of each attribute."""

from __future__ import annotations

import inspect
import re


def summary(documented: type) -> str:
    """Returns the first paragraph of a docstring on one line."""
    return " ".join(inspect.cleandoc(documented.__doc__ or "").partition("\n\n")[0].split())


def attribute_docs(documented: type, below: type = object) -> dict[str, str]:
    """Returns the texts under ``Attributes:`` in the docstrings of a class and of its bases, by their names.

    Args:
        documented: The class.
        below: Only bases that are derived from this class count.
    """
    texts: dict[str, str] = {}
    for base in reversed(documented.__mro__):
        if base is not below and issubclass(base, below):
            texts |= _attributes_in(vars(base).get("__doc__") or "")
    return texts


def plain(text: str) -> str:
    """Returns a text of a docstring with names in single backquotes."""
    return text.replace("``", "`")


def _attributes_in(docstring: str) -> dict[str, str]:
    """Returns the texts under ``Attributes:`` of one docstring, each on one line."""
    block = re.search(r"^Attributes:\n((?:    .*\n?|\n)*)", inspect.cleandoc(docstring), re.MULTILINE)
    texts: dict[str, str] = {}
    if block is None:
        return texts
    for entry in re.split(r"\n(?=    \S)", block[1].rstrip()):
        name, _, text = entry.strip().partition(":")
        texts[name] = plain(" ".join(text.split()))
    return texts
