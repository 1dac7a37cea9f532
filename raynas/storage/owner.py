"""The process that owns a folder or URL: how a record names it, and whether it still runs."""

from __future__ import annotations

import json
import os
import socket
import uuid
from pathlib import Path

from pydantic import ValidationError

from raynas.records.record import Record


class Owner(Record):
    """A process that owns a folder or URL, as its record there names it.

    Attributes:
        host: Name of its machine.
        boot: Identifier of the machine's last start; empty where the system has none.
        namespace: Identifier of the namespace of its process number; a container has a namespace of its own.
        process: Its process number.
        started: Time of its start, in clock ticks after that of the machine; 0 where the system does not tell.
        token: Unique to this ownership.
        beat: Number of signs of life that it has given.
    """

    host: str = "an unknown machine"
    boot: str = ""
    namespace: str = ""
    process: int = 0
    started: int = 0
    token: str = ""
    beat: int = 0

    def __str__(self) -> str:
        host = "".join(letter if letter.isprintable() else "?" for letter in self.host[:80])
        return f"raynas on {host} (process {self.process})"

    @staticmethod
    def here() -> Owner:
        """Returns an owner of this process with a new token."""
        process = os.getpid()
        return Owner(
            host=socket.gethostname(),
            boot=boot_id(),
            namespace=namespace_id(),
            process=process,
            started=start_of(process) or 0,
            token=uuid.uuid4().hex,
        )

    @staticmethod
    def parsed(content: bytes) -> Owner:
        """Returns the owner that a record names; an unknown one if it is damaged or not written yet."""
        try:
            owner = Owner.model_validate_json(content)
        except ValidationError:
            return Owner()
        return owner if owner.version <= Owner.newest else Owner()

    def record(self) -> bytes:
        """Returns the text of the record that names this owner."""
        return json.dumps(self.content()).encode()

    def with_beat(self) -> Owner:
        """Returns the owner after one more sign of life."""
        return self.model_copy(update={"beat": self.beat + 1})

    def is_here(self) -> bool:
        """Returns whether this process can see the owner's process, if there is one."""
        return bool(self.boot) and (self.boot, self.namespace) == (boot_id(), namespace_id())

    def is_dead(self) -> bool:
        """Returns whether the owner's process is provably gone."""
        return self.is_here() and not is_running(self.process, self.started)


def boot_id() -> str:
    """Returns an identifier of this machine's last start; an empty text where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def namespace_id() -> str:
    """Returns an identifier of the namespace of process numbers; an empty text where the system has none."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def start_of(process: int) -> int | None:
    """Returns the time at which a process started, in clock ticks after the start of the machine.

    None if it cannot be read, and 0 if the process has ended but its parent has not noticed.
    """
    try:
        content = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *numbers = content.rpartition(")")[2].split()  # the name before the bracket may hold any character
    return 0 if state in "ZX" else int(numbers[18])  # field 22 of proc(5)


def is_running(process: int, started: int) -> bool:
    """Returns whether a process of this machine runs that started at the given time, see `start_of`."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it runs, under another user
    now = start_of(process)
    return now is None or now == started  # None: /proc hides processes of other users
