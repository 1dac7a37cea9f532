"""The processes that a campaign started, whatever became of their parents, and what they leave behind."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARK = "RAYNAS_FAULTS_MARK"
"""The environment variable by which every process of a campaign is known."""


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    name: str


def marked(mark: str) -> list[Process]:
    """Returns the processes that carry a mark in their environment, or whose session one of these leads."""
    sign = f"{MARK}={mark}".encode()
    found, sessions = {}, set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes()
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent, _, session = map(int, (folder / "stat").read_text().rpartition(")")[2].split()[1:4])
        except (OSError, ValueError):
            continue  # it has ended, or is nobody's business
        pid = int(folder.name)
        if not any(words):
            continue  # a zombie, which only waits to be asked how it ended
        found[pid] = (parent, session, b" ".join(words).decode(errors="replace").strip(), sign in environment)
        if sign in environment:
            sessions.add(session)
    sessions.discard(os.getsid(0))
    return [
        Process(pid, parent, name)
        for pid, (parent, session, name, is_marked) in found.items()
        if pid != os.getpid() and (is_marked or session in sessions)
    ]


def wait_for_end(of: Callable[[], list[Process]], seconds: float) -> list[Process]:
    """Returns what is still there after so many seconds; nothing as soon as nothing is."""
    deadline = time.monotonic() + seconds
    while (left := of()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left
