"""Tells the trackers of a run what happens in it, each in a thread of its own, so that a slow one delays nothing."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console

from raynas.config.default_values import default_values
from raynas.config.nested import flatten
from raynas.config.run_config import EXECUTION_KEYS, RunConfig
from raynas.errors import InputError
from raynas.failures import described
from raynas.options import Options
from raynas.records.run_record import RunRecord
from raynas.records.tracker_record import TrackerRecord
from raynas.stages.progress import write_line
from raynas.stages.record_events import EventSource, RecordEvents, SweepEvents
from raynas.storage.mirror import Mirror
from raynas.storage.run_folder import write_record
from raynas.trackers import TRACKER_FOLDER, TrackedRun, Tracker, TrackerRow
from raynas.trackers.event import Configuration, End, Event, Stage

FOLDERS = (TRACKER_FOLDER, "tensorboard")
"""Folders in that of the run that trackers write."""

LOOK_SECONDS = 1.0
"""Seconds between two looks at the records of a run."""

CLOSE_SECONDS = 30.0
"""Seconds that the end of a run waits for a tracker."""

INTERRUPTED_SECONDS = 3.0
"""The same after a signal: who sent it may kill 30 s later, most of which saving may have taken."""


class Told:
    """Receives what happens in a run besides its records, and passes it on to the trackers."""

    def __init__(self, deliveries: Sequence[Delivery]) -> None:
        """Takes the deliveries to the trackers."""
        self._deliveries = deliveries

    def tell(self, event: Event) -> None:
        """Passes an event on."""
        for delivery in self._deliveries:
            delivery.put(event)

    @contextmanager
    def stage(self, name: str) -> Iterator[dict[str, float]]:
        """Tells the begin and the end of a stage; yields its summary, to be filled."""
        began = time.perf_counter()
        self.tell(Stage(name))
        summary: dict[str, float] = {}
        yield summary
        self.tell(Stage(name, round(time.perf_counter() - began, 3), summary))


class Delivery:
    """Tells one tracker what happens, in a thread; the first failure ends it with a warning."""

    def __init__(
        self,
        row: TrackerRow,
        options: Options,
        run: TrackedRun,
        start: Configuration,
        events: Callable[[Path, Mapping[str, int]], EventSource],
        console: Console,
    ) -> None:
        """Starts the thread.

        Args:
            row: The tracker.
            options: Its options.
            run: The run.
            start: The first event, which is told once there is another one.
            events: Makes the source of the further events, from the folder and what was told before.
            console: Receives a warning.
        """
        self._row, self._options, self._run, self._start, self._console = row, options, run, start, console
        self._file = run.folder / TRACKER_FOLDER / f"{row.name.rpartition('.')[2]}.json"
        self._events = events(run.folder, _told_before(self._file))
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._tracker: Tracker | None = None
        self._waiting: list[Event] = []
        self._thread = threading.Thread(target=self._deliver, name=f"tracker {row.name}", daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Passes an event on."""
        self._queue.put(event)

    def close(self, seconds: float) -> None:
        """Waits until everything is told, or so many seconds."""
        self._queue.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._warn(f"is not done {seconds:.0f} s after the run")

    def _deliver(self) -> None:
        """Tells everything, until the end."""
        try:
            while self._step():
                pass
        except Exception as error:  # noqa: BLE001 (of a tracker, which never ends a run)
            self._warn(described(error))
            if self._tracker is not None:
                with contextlib.suppress(Exception):  # what it holds may be broken
                    self._tracker.close()

    def _warn(self, what: str) -> None:
        write_line(self._console, f"trackers: {self._row.name}: {what}; the run goes on without it")

    def _step(self) -> bool:
        """Tells what is new; returns False after the end."""
        is_last = False
        try:
            event = self._queue.get(timeout=LOOK_SECONDS)
            is_last = event is None
            if event is not None:
                self._waiting.append(event)
        except queue.Empty:
            pass
        before = dict(self._events.told)
        news = self._events.news()
        if self._tracker is None and not news:
            return not is_last  # a run that was complete before has nothing to tell
        if self._tracker is None:
            self._tracker = self._row.make(self._run, self._options)
            news.insert(0, self._start)
        for event in [*news, *self._waiting]:
            self._tracker.tell(event)
        self._waiting.clear()
        self._tracker.flush()
        if self._events.told != before:
            self._file.parent.mkdir(exist_ok=True)
            write_record(self._file, TrackerRecord(told=self._events.told))
        if is_last:
            self._tracker.close()
        return not is_last


def _told_before(file: Path) -> Mapping[str, int]:
    """Returns what a tracker was told before; nothing if the record is missing or damaged."""
    try:
        return TrackerRecord.read(file).told if file.exists() else {}
    except InputError:
        return {}


@contextmanager
def tracked(config: RunConfig, mirror: Mirror, console: Console, group: str = "") -> Iterator[Told]:
    """Holds the trackers of a run; yields what they are told by.

    Args:
        config: The resolved configuration.
        mirror: The run's folder, and what uploads its files.
        console: Receives warnings.
        group: The sweep that the run is a trial of.
    """
    record = RunRecord.read(mirror.folder / "config.json")
    run = TrackedRun(config.name, config.location, mirror.folder, f"{config.location} {record.created}", group)
    start = Configuration(_plain(config), changed_keys(config), record.versions, record.created)
    with _told(config, run, start, RecordEvents, mirror, console) as told:
        yield told


@contextmanager
def tracked_sweep(base: RunConfig, mirror: Mirror, console: Console) -> Iterator[Told]:
    """Holds the trackers of a sweep, which are told of the trials that end; yields what they are told by.

    Args:
        base: The resolved configuration that the sweep varies.
        mirror: The sweep's folder, and what uploads its files.
        console: Receives warnings.
    """
    run = TrackedRun(base.name, base.location, mirror.folder, base.location, base.name)
    start = Configuration(_plain(base), changed_keys(base))
    with _told(base, run, start, SweepEvents, mirror, console) as told:
        yield told


@contextmanager
def _told(
    config: RunConfig,
    run: TrackedRun,
    start: Configuration,
    events: Callable[[Path, Mapping[str, int]], EventSource],
    mirror: Mirror,
    console: Console,
) -> Iterator[Told]:
    """Holds the trackers of a run or sweep, and tells them how it ends.

    Args:
        config: The resolved configuration.
        run: The run.
        start: The first event.
        events: Makes the source of the further events, from the folder and what was told before.
        mirror: The folder, and what uploads its files.
        console: Receives warnings.
    """
    deliveries = []
    for row in config.trackers.rows():
        row.import_modules()
        deliveries.append(Delivery(row, config.trackers.options_of(row.options), run, start, events, console))
    told = Told(deliveries)
    with ExitStack() as stack:
        if deliveries:
            stack.callback(mirror.push, *FOLDERS)
        try:
            yield told
        except Exception as error:
            _end(told, deliveries, End("failed", described(error)), CLOSE_SECONDS)
            raise
        except BaseException:
            _end(told, deliveries, End("interrupted"), INTERRUPTED_SECONDS)
            raise
        _end(told, deliveries, End("done"), CLOSE_SECONDS)


def _end(told: Told, deliveries: Sequence[Delivery], event: End, seconds: float) -> None:
    """Tells all trackers the end, and waits so many seconds for each."""
    told.tell(event)
    for delivery in deliveries:
        delivery.close(seconds)


def _plain(config: RunConfig) -> dict[str, object]:
    """Returns a configuration as plain values, by dotted keys."""
    return flatten(config.model_dump(mode="json"))


def changed_keys(config: RunConfig) -> dict[str, object]:
    """Returns the keys whose values differ from the defaults, by dotted keys, and the algorithm and the seed.

    Keys that say where and how the run is executed are left out.
    """
    defaults = default_values(config.model_dump(mode="json"), own=True)
    changed: dict[str, object] = {}
    for key, value in _plain(config).items():
        is_changed = key == "seed" or key not in defaults or defaults[key] != value
        if is_changed and key not in EXECUTION_KEYS and value is not None:
            changed[key] = value
    return changed
