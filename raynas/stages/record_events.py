"""Events of a run, read from its records as they grow: each line of a file is told once."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from raynas.errors import InputError
from raynas.records.rank_record import RankRecord
from raynas.records.record import is_number
from raynas.records.run_record import PAGE
from raynas.records.search_record import HistoryLine
from raynas.records.sweep_record import TrialState
from raynas.records.training_record import EpochLine
from raynas.storage.run_folder import METRICS
from raynas.trackers.event import Architecture, Artifact, Epoch, Event, Generation, Rank, Trial

HISTORY, RESULT = "search/history.jsonl", "search/result.json"

TRAININGS = (f"supernet/seed_*/{METRICS}", f"retrain/*/*/seed_*/{METRICS}")
"""Where trainings leave the lines of their epochs."""

RESULTS = ("data.json", RESULT, "retrain/*/result.json", "rank/*.json", "latency.json", "profile.json", PAGE.file)
"""Files that are results, and are told when they are new or have changed."""


FINAL = frozenset(zlib.crc32(status.encode()) for status in ("done", "stopped"))
"""Checksums of the statuses of trials that are not run again."""


class GrowingFile:
    """A file of lines that grows. What was read is not read again, unless the file was written anew."""

    def __init__(self, file: Path) -> None:
        """Begins before the first line."""
        self._file = file
        self._inode, self._offset, self.lines = -1, 0, 0

    def new_lines(self) -> tuple[bool, list[bytes]]:
        """Returns whether the file was written anew since, and the lines that are new; all lines in that case."""
        try:
            with self._file.open("rb") as stream:
                found = os.fstat(stream.fileno())
                is_short = found.st_size < self._offset
                is_anew = found.st_ino != self._inode or is_short or not self._is_end_of_line(stream)
                if is_anew:
                    self._inode, self._offset, self.lines = found.st_ino, 0, 0
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            is_anew, data = self.lines > 0, b""
            self._inode, self._offset, self.lines = -1, 0, 0
        lines = data[: data.rfind(b"\n") + 1].split(b"\n")[:-1]
        self._offset += data.rfind(b"\n") + 1
        self.lines += len(lines)
        return is_anew, lines

    def _is_end_of_line(self, stream: BinaryIO) -> bool:
        """Returns whether a line ends where the last look ended."""
        if self._offset == 0:
            return True
        stream.seek(self._offset - 1)
        return stream.read(1) == b"\n"


class EventSource(Protocol):
    """Events that come of records.

    Attributes:
        told: What was told, by names; kept between two commands.
    """

    told: dict[str, int]

    def news(self) -> list[Event]:
        """Returns the events that were not told before."""
        ...


class SweepEvents:
    """The events of a sweep: trials that have ended.

    Attributes:
        told: Of each trial: a checksum of the status that was told.
    """

    def __init__(self, folder: Path, told: Mapping[str, int] | None = None) -> None:
        """Takes the sweep's folder, and what was told before."""
        self._folder = folder
        self.told: dict[str, int] = dict(told or {})

    def news(self) -> list[Event]:
        """Returns the trials that have ended, and were not told before."""
        found: list[Event] = []
        for file in sorted((self._folder / "states").glob("*.json")):
            if self.told.get(file.stem) in FINAL:
                continue
            try:
                state = TrialState.read(file)
            except InputError:
                continue  # who leads the sweep says so
            checksum = zlib.crc32(state.status.encode())
            if state.status != "running" and self.told.get(file.stem) != checksum:
                metrics = {name: float(value) for name, value in state.metrics.items() if is_number(value)}
                found.append(Trial(len(self.told), state.name, state.status, state.point, metrics))
                self.told[file.stem] = checksum
        return found


class RecordEvents:
    """The events of a run that its records hold.

    Attributes:
        told: Of each file: the lines that were told, or a checksum of what was.
    """

    def __init__(self, folder: Path, told: Mapping[str, int] | None = None) -> None:
        """Takes the run's folder, and what was told before."""
        self._folder = folder
        self.told: dict[str, int] = dict(told or {})
        self._files: dict[str, GrowingFile] = {}
        self._seen: dict[str, tuple[int, int, int]] = {}
        self._search = _Generations()

    def news(self) -> list[Event]:
        """Returns what the folder holds that was not told before; a file that was cut off tells what follows."""
        return [*self._epochs(), *self._evaluated(), *self._results()]

    def _new_lines(self, name: str) -> tuple[bool, int, list[bytes]]:
        """Returns whether a file was written anew, the number of the first line that was not read, and these lines."""
        file = self._files.setdefault(name, GrowingFile(self._folder / name))
        before = file.lines
        is_anew, lines = file.new_lines()
        if is_anew or name in self.told:
            self.told[name] = min(self.told.get(name, 0), file.lines)
        return is_anew, 0 if is_anew else before, lines

    def _epochs(self) -> Iterator[Epoch]:
        for pattern in TRAININGS:
            for file in sorted(self._folder.glob(pattern)):
                name = file.relative_to(self._folder).as_posix()
                training = name.rpartition("/")[0]
                _, first, lines = self._new_lines(name)
                for number, data in enumerate(lines, start=first):
                    line = EpochLine.read_one(data)
                    if number >= self.told.get(name, 0) and line is not None:
                        self.told[name] = number + 1
                        yield Epoch(training, line.content())

    def _evaluated(self) -> Iterator[Architecture | Generation]:
        is_anew, first, lines = self._new_lines(HISTORY)
        if is_anew:
            self._search = _Generations()
        for number, data in enumerate(lines, start=first):
            line = HistoryLine.read_one(data)
            if line is None:
                continue
            yield from self._generation(self._search.add(line))
            if number >= self.told.get(HISTORY, 0):
                self.told[HISTORY] = number + 1
                yield Architecture(number, line.content())
        if (self._folder / RESULT).exists():
            yield from self._generation(self._search.end())

    def _generation(self, generation: Generation | None) -> Iterator[Generation]:
        """Yields a generation that is over, unless it was told before."""
        key = "generations"
        if generation is not None and generation.generation >= self.told.get(key, 0):
            self.told[key] = generation.generation + 1
            yield generation

    def _results(self) -> Iterator[Rank | Artifact]:
        for pattern in RESULTS:
            for file in sorted(self._folder.glob(pattern)):
                name = file.relative_to(self._folder).as_posix()
                found = file.stat()
                state = found.st_ino, found.st_mtime_ns, found.st_size
                if self._seen.get(name) == state:
                    continue
                self._seen[name] = state
                checksum = zlib.crc32(file.read_bytes())
                if self.told.get(name) == checksum:
                    continue
                self.told[name] = checksum
                rank = _rank_of(file) if name.startswith("rank/") else None
                if rank is not None:
                    yield rank
                yield Artifact(name)


def _rank_of(file: Path) -> Rank | None:
    """Returns what a ranking found; None without a benchmark, or if the record is damaged."""
    try:
        record = RankRecord.read(file)
    except InputError:
        return None
    tau = {row.name: float(row.tau) for row in record.rows if row.tau is not None}
    by_epoch = {row.epoch: float(row.tau) for row in record.epochs or () if row.tau is not None}
    return Rank(record.label, tau, by_epoch) if tau else None


class _Generations:
    """Sums up the lines of a search by generations."""

    def __init__(self) -> None:
        self._fitness: list[float] = []
        self._number = self._evaluated = 0
        self._best, self._architecture = -math.inf, ""

    def add(self, line: HistoryLine) -> Generation | None:
        """Takes an evaluated architecture; returns the generation before it if it is of the next one."""
        ended = self.end() if line.generation != self._number else None
        self._number = line.generation
        self._fitness.append(float(line.fitness))
        self._evaluated += 1
        if line.fitness > self._best:
            self._best, self._architecture = float(line.fitness), line.description
        return ended

    def end(self) -> Generation | None:
        """Returns the current generation; None if nothing of it is evaluated."""
        if not self._fitness:
            return None
        mean = sum(self._fitness) / len(self._fitness)
        self._fitness = []
        return Generation(self._number, self._evaluated, self._best, mean, self._architecture)
