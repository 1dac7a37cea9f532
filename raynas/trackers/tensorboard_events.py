"""TensorBoard: the search, the ranking and the hyper-parameters of a run, as events in its folder.

The trainings write theirs themselves, into folders beside this one. Of a sweep, TensorBoard on its folder compares the
trials by their hyper-parameters.
"""

from __future__ import annotations

import os
import platform
import time
from typing import Any

from raynas.optional import needed
from raynas.trackers.event import Configuration, End, Epoch, Event
from raynas.trackers.row import NoOptions, TrackedRun, Tracker, TrackerRow
from raynas.trackers.scalars import scalars_of

EXTRA = "report"
"""The extra that brings TensorBoard."""

FILE_VERSION = "brain.Event:2"
"""What the first event of a file says."""

FOLDER = "run"
"""The folder of the events inside ``tensorboard``."""


def _module(name: str) -> Any:
    """Returns a module of TensorBoard."""
    return needed(f"tensorboard.{name}", EXTRA, "trackers.names")


class TensorBoardEvents(Tracker):
    """Writes events that TensorBoard reads, of all but the trainings."""

    def __init__(self, run: TrackedRun, options: NoOptions) -> None:
        """Opens the file of events."""
        self._run = run
        self._summary = _module("compat.proto.summary_pb2")
        self._written = _module("compat.proto.event_pb2").Event
        folder = run.folder / "tensorboard" / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 1000}.{platform.node()}.{os.getpid()}"
        # Written here: TensorBoard's own writer has a thread, whose errors Python prints with a traceback.
        writer = _module("summary.writer.record_writer").RecordWriter
        self._writer = writer((folder / name).open("xb", buffering=0))
        self._writer.write(self._written(wall_time=time.time(), file_version=FILE_VERSION).SerializeToString())

    def tell(self, event: Event) -> None:
        """Writes numbers and hyper-parameters."""
        if isinstance(event, Configuration):
            self._write_settings(event)
        elif isinstance(event, End):
            self._write_end(event)
        elif not isinstance(event, Epoch):
            for step, values in scalars_of(event):
                numbers = []
                for tag, value in values.items():
                    numbers.append(self._summary.Summary.Value(tag=tag, simple_value=value))
                self._add(self._summary.Summary(value=numbers), step)

    def _write_settings(self, event: Configuration) -> None:
        """Writes the keys that differ from the defaults as hyper-parameters."""
        plain = {}
        for key, value in event.changed.items():
            plain[key] = value if isinstance(value, bool | int | float | str) else str(value)
        hparams = _module("plugins.hparams.summary_v2")
        self._add(hparams.hparams_pb(plain, trial_id=self._run.identity, start_time_secs=time.time()), 0)

    def _write_end(self, event: End) -> None:
        """Writes how the run ended, for the table of hyper-parameters."""
        statuses, plugin = _module("plugins.hparams.api_pb2"), _module("plugins.hparams.plugin_data_pb2")
        metadata = _module("plugins.hparams.metadata")
        status = {"done": statuses.STATUS_SUCCESS, "failed": statuses.STATUS_FAILURE}
        ended = plugin.SessionEndInfo(
            status=status.get(event.status, statuses.STATUS_UNKNOWN), end_time_secs=time.time()
        )
        content = plugin.HParamsPluginData(session_end_info=ended, version=metadata.PLUGIN_DATA_VERSION)
        data = self._summary.SummaryMetadata.PluginData(
            plugin_name=metadata.PLUGIN_NAME, content=content.SerializeToString()
        )
        value = self._summary.Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG,
            metadata=self._summary.SummaryMetadata(plugin_data=data),
            tensor=metadata.NULL_TENSOR,
        )
        self._add(self._summary.Summary(value=[value]), 0)

    def _add(self, summary: Any, step: int) -> None:
        event = self._written(wall_time=time.time(), step=step, summary=summary)
        self._writer.write(event.SerializeToString())

    def flush(self) -> None:
        """Writes the file."""
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()


TENSORBOARD = TrackerRow(
    "tensorboard",
    "TensorBoard",
    TensorBoardEvents,
    module="tensorboard",
    extra=EXTRA,
    imports=(
        "tensorboard.compat.proto.summary_pb2",
        "tensorboard.compat.proto.event_pb2",
        "tensorboard.summary.writer.record_writer",
        "tensorboard.plugins.hparams.summary_v2",
        "tensorboard.plugins.hparams.api_pb2",
        "tensorboard.plugins.hparams.plugin_data_pb2",
        "tensorboard.plugins.hparams.metadata",
    ),
)
