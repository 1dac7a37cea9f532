"""A command in a pseudo-terminal of a width, and what it draws there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Sequences that a terminal obeys: colours, and movements of the cursor."""

ERASE = re.compile(r"\r?\x1b\[(?:2K|1A)")
"""What begins a drawing of the bar over the one before."""


@dataclass
class Screen:
    """What a command has drawn in a terminal.

    Attributes:
        status: The exit status.
        text: All that was written, with control sequences.
        first_seconds: Seconds from the start of the command to the end of its first line.
    """

    status: int
    text: str
    first_seconds: float
    drawn: list[str] = field(init=False)

    def __post_init__(self) -> None:
        """Takes the text apart into what was on one line at a time."""
        pieces = re.split(r"[\r\n]+", ERASE.sub("\n", self.text))
        self.drawn = [line for piece in pieces if (line := CONTROL.sub("", piece)).strip()]

    def bars(self) -> list[str]:
        """Returns the drawings of a bar with its figures."""
        return [line for line in self.drawn if re.search(r"\d %", line) and "━" in line or " left" in line]


def in_terminal(command: Sequence[str], columns: int, cwd: os.PathLike[str], **environment: str) -> Screen:
    """Returns what a command draws in a terminal of so many columns."""
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    variables = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES", "NO_COLOR")}
    variables |= {"TERM": "xterm-256color", **environment}
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=variables, cwd=cwd)
    os.close(inner)
    text, first = b"", None
    while True:
        try:
            piece = os.read(outer, 65_536)
        except OSError:  # how Linux says that the last process has closed the terminal
            break
        if not piece:
            break
        text += piece
        if first is None and b"\n" in text:
            first = time.monotonic() - began
    os.close(outer)
    return Screen(process.wait(), text.decode(), first if first is not None else float("inf"))
