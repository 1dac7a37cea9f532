"""Standard output that is full, closed, or of few characters does not end the work that writes to it."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class PatientStream:
    """A text stream that keeps its first failure and drops what is written after it.

    Characters that its encoding lacks are written as escapes.

    Attributes:
        failure: Why nothing more is written; None while it is.
    """

    def __init__(self, stream: TextIO) -> None:
        """Takes the stream."""
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Writes a text, and returns the number of its characters."""
        if self.failure is not None:
            return len(text)
        with self._kept():
            try:
                self._stream.write(text)
            except UnicodeEncodeError:
                encoding = self._stream.encoding or "ascii"
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        """Writes what is buffered."""
        with self._kept():
            self._stream.flush()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = error
            self._drop()

    def _drop(self) -> None:
        """Lets all that is written, also what is buffered, go nowhere."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def patient_output() -> Iterator[PatientStream]:
    """Yields standard output as a `PatientStream`, in the place of which it is put for the time of the block."""
    stream = PatientStream(sys.stdout if sys.stdout is not None else io.StringIO())
    with contextlib.redirect_stdout(stream):
        try:
            yield stream
        finally:
            stream.flush()


def failure_line(stream: PatientStream) -> str | None:
    """Returns what to say of a stream's failure; None where there is none, or the reader has seen enough, as `head`."""
    if stream.failure is None or stream.failure.errno == errno.EPIPE:
        return None
    return (
        f"standard output: {stream.failure.strerror}; what was done is on disk: give the same command again to see it"
    )
