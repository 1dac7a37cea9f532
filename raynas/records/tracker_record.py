"""The record of a tracker: what of a run it has been told."""

from __future__ import annotations

from typing import ClassVar

from raynas.records.record import OtherFile, Record


class TrackerRecord(Record):
    """What a tracker has been told of a run, so that a run that continues tells nothing twice.

    Attributes:
        told: Of each file of the run: the lines that were told, or a checksum of what was.
    """

    file: ClassVar[str] = "trackers/*.json"
    holds: ClassVar[str] = "how much of the run each tracker has been told"

    told: dict[str, int]


WANDB_FILES = OtherFile("trackers/wandb/", "what the tracker `wandb` keeps offline, for `wandb sync`")
