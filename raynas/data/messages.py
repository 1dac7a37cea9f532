"""Wording shared by error messages about a user's files."""

from collections.abc import Iterable
from itertools import islice


def one_line(error: BaseException) -> str:
    """Returns the message of an error in one line, for a quotation within a sentence."""
    return " ".join(str(error).split())


def some_of(names: Iterable[str], most: int) -> str:
    """Returns the first names, separated by commas, and the number of the others."""
    iterator = iter(names)
    first = list(islice(iterator, most))
    left = sum(1 for _ in iterator)
    return ", ".join(first) + (f" and {left:,} more" if left else "")
