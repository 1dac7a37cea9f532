"""Wording shared by the errors about a user's files."""

from collections.abc import Iterable
from itertools import islice


def one_line(error: BaseException) -> str:
    """Returns the message of an error with its line breaks folded, to be quoted within a sentence."""
    return " ".join(str(error).split())


def some_of(names: Iterable[str], most: int) -> str:
    """Returns the first names, separated by commas, and how many more there are."""
    iterator = iter(names)
    first = list(islice(iterator, most))
    left = sum(1 for _ in iterator)
    return ", ".join(first) + (f" and {left:,} more" if left else "")
