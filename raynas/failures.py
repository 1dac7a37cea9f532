"""What went wrong, for people: the exit status and one line, never a traceback unless it is asked for.

An `InputError` or `RunError` says what to do in its own words. Any other exception is a mistake in the code that it
came from, whose place the line names.
"""

from __future__ import annotations

import errno
import os
import sysconfig
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import CodeType

from raynas.errors import InputError, RunError
from raynas.messages import printable_text, shortened

INVALID_INPUT, FAILURE = 2, 1
"""Exit statuses: something of the user's is not as it should be; something else failed."""

PACKAGE = Path(__file__).resolve().parent
_LIBRARIES = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib")})

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EACCES: "give yourself the right to it",
    errno.EPERM: "give yourself the right to it",
    errno.EROFS: "choose a place that can be written",
    errno.EMFILE: "raise `ulimit -n`",
}
"""What helps against an error of the operating system."""

LONGEST_LINE = 1_000
MOST_LINES = 4
"""Of a message; what is more is counted."""


def lines_of(message: str) -> list[str]:
    """Returns a message as the lines to show: at most `MOST_LINES`, none of them long, control characters escaped."""
    lines = [shortened(line, LONGEST_LINE) for line in message.splitlines()]
    if len(lines) <= MOST_LINES:
        return lines
    return [*lines[: MOST_LINES - 1], f"and {len(lines) - MOST_LINES + 1:,} more such lines"]


def outcome(error: BaseException, places: Mapping[str, str]) -> tuple[int, str]:
    """Returns the exit status and the message of an exception.

    Args:
        error: The exception.
        places: Files and folders that the user named, by the key or option that names them.
    """
    if isinstance(error, OSError) and error.errno is not None and error.strerror:
        return FAILURE, _of_system(error, places)
    if isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__ or "can't allocate memory" in str(error):
        return FAILURE, (
            f"out of memory ({_first_line(error)}); lower train.batch_size, search.evaluation_batch_size, "
            "data.resolution or the size of the space"
        )
    if isinstance(error, InputError):
        return INVALID_INPUT, str(error)
    if isinstance(error, RunError):
        return FAILURE, str(error)
    return FAILURE, _unexpected(error)


def named(error: BaseException) -> str:
    """Returns the class of an exception and its first line, such as ``ZeroDivisionError: division by zero``."""
    return ": ".join(filter(None, (type(error).__name__, _first_line(error))))


def described(error: BaseException) -> str:
    """Returns class, first line and place of an exception, such as ``KeyError: 'a' (my_space.py, line 3)``."""
    frame = error.__traceback__
    found = None
    while frame is not None:
        if not _is_library(frame.tb_frame.f_code):
            found = frame
        frame = frame.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    where = ""
    if found is not None:
        file = Path(found.tb_frame.f_code.co_filename)
        inside = file.resolve().is_relative_to(PACKAGE)
        where = f" ({file.resolve().relative_to(PACKAGE.parent) if inside else file}, line {found.tb_lineno})"
    return printable_text(f"{named(error)}{where}")


def _unexpected(error: BaseException) -> str:
    return f"internal error: {described(error)}; RAYNAS_TRACEBACK=1 shows the traceback"


def _first_line(error: BaseException) -> str:
    return shortened(next(iter(str(error).strip().splitlines()), ""), 300)


def _is_library(code: CodeType) -> bool:
    if code.co_filename.startswith("<"):
        return True
    file = Path(code.co_filename).resolve()
    if file.is_relative_to(PACKAGE):
        return False
    return any(part in ("site-packages", "dist-packages") for part in file.parts) or str(file).startswith(_LIBRARIES)


def _of_system(error: OSError, places: Mapping[str, str]) -> str:
    """Returns an error of the operating system with the file and its role, where it names one."""
    assert error.errno is not None
    remedy = f"{REMEDIES.get(error.errno, 'put that right')} and give the same command again to continue"
    if not error.filename:
        return f"{error.strerror} ({_place_of(error)}); {remedy}"
    file = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    return f"{_role(file, places)}{error.strerror}: {printable_text(file)}; {remedy}"


def _place_of(error: BaseException) -> str:
    return described(error).rpartition(" (")[2].rstrip(")")


def _role(file: str, places: Mapping[str, str]) -> str:
    """Returns the key or option that names a file or the nearest folder above it, as the lead of a message."""
    absolute = os.path.abspath(file)
    places = {**places, "temporary files (TMPDIR)": tempfile.gettempdir()}
    folders = {role: os.path.abspath(place) for role, place in places.items()}
    around = [role for role, folder in folders.items() if f"{absolute}/".startswith(f"{folder.rstrip('/')}/")]
    if around:
        return f"{max(around, key=lambda role: len(folders[role]))}: "
    above = [role for role, folder in folders.items() if folder.startswith(f"{absolute.rstrip('/')}/")]
    return f"{above[0]}: " if above else ""
