"""What raynas raises on purpose. Any other exception is a mistake in the code that it comes from.

A message is one line: the key as the user wrote it, what was expected, what came, and the remedy.
"""

from __future__ import annotations


class InputError(ValueError):
    """The user's input is not as it should be, and the message says how to change it; exit status 2."""


class RunError(RuntimeError):
    """Something failed although the input is right, and the message says what helps; exit status 1."""


class StorageError(RunError, ConnectionError):
    """A place where runs are kept cannot be reached, or keeps changing."""
