"""Description of a run's images: lines that are printed before training, and a record in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from raynas.data import TextDataset, split_images
from raynas.data.crops import shorter_side
from raynas.data.messages import some_of
from raynas.errors import InputError
from raynas.records.run_record import DataRecord, IgnoredFiles
from raynas.stages.task import Task
from raynas.storage.run_folder import write_record

DATA = "data.json"
"""File of the record: classes, normalisation, counts and skipped files."""

PIXELS = (
    "8-bit red, green and blue; grey is repeated, transparency is left out; divided by 255, then (value - mean) / std "
    "for each channel"
)
_DEEPER = "; more than 8 bits are scaled to 8; EXIF orientation is applied; resized so that the shorter side is "


def data_record(task: Task) -> DataRecord:
    """Returns the record of a run's images."""
    dataset = task.dataset
    if isinstance(dataset, TextDataset):
        return _text_record(task, dataset)
    pixels = PIXELS
    if dataset.reads_files:
        pixels += f"{_DEEPER}{shorter_side(dataset.resolution)} pixels, then cropped to the centre"
    return DataRecord(
        name=dataset.name,
        classes=None if dataset.classes is None else list(dataset.classes),
        num_classes=dataset.num_classes,
        resolution=dataset.resolution,
        channels=3,
        mean=list(dataset.mean),
        std=list(dataset.std),
        pixels=pixels,
        images={name: len(labels) for name, labels in labels_by_split(task).items()},
        skipped=dict(dataset.damaged),
        ignored={reason: IgnoredFiles(files=count, first=list(first)) for reason, (count, first) in _ignored(task)},
        converted=dict(dataset.conversions),
    )


def _text_record(task: Task, dataset: TextDataset) -> DataRecord:
    """Returns the record of a text, whose classes are the words."""
    return DataRecord(
        name=dataset.name,
        classes=list(dataset.vocabulary),
        num_classes=dataset.num_classes,
        resolution=dataset.resolution,
        channels=0,
        mean=[],
        std=[],
        images={name: len(labels) for name, labels in labels_by_split(task).items()},
    )


def reads_files(record: DataRecord) -> bool:
    """Returns whether the images of a record are files, and not in memory."""
    return _DEEPER in record.pixels


def record_data(folder: Path, task: Task) -> None:
    """Writes the record into a run's folder, unless it exists.

    Raises:
        InputError: If the existing record skipped other files than this run, or has another vocabulary.
    """
    file = folder / DATA
    if not file.exists():
        write_record(file, data_record(task))
        return
    if isinstance(task.dataset, TextDataset):
        _check_vocabulary(file, task.dataset)
    changed = sorted(set(skipped_files(folder) or ()) ^ set(task.dataset.damaged))
    if changed:
        raise InputError(
            f"data.path: {len(changed):,} image files can be read now and could not when this run began, or the other "
            f"way round: {some_of(changed, 5)}; put them back as they were, or give this run another name"
        )


def _check_vocabulary(file: Path, dataset: TextDataset) -> None:
    """Checks that a text has the words that the run began with, which its weights know by their numbers.

    Raises:
        InputError: If it has others.
    """
    recorded = DataRecord.read(file, "remove it to have it written again").classes or []
    if list(dataset.vocabulary) != list(recorded):
        others = sorted(set(dataset.vocabulary) ^ set(recorded))
        differ = f"{len(others):,} words differ ({some_of(others, 3)})" if others else "the order of the words differs"
        raise InputError(
            f"data.path: the vocabulary is not that of the run, which has {len(recorded):,} words: {differ}; put the "
            "text back as it was, or give this run another name"
        )


def skipped_files(folder: Path) -> list[str] | None:
    """Returns the files that a run skips, by their paths below the folder of images; None without a record.

    Raises:
        InputError: If the record is damaged.
    """
    file = folder / DATA
    if not file.exists():
        return None
    return list(DataRecord.read(file, "remove it to have it written again").skipped)


def labels_by_split(task: Task) -> dict[str, np.ndarray]:
    """Returns the true labels of the train split, of the search split and of the test images."""
    images, config = task.dataset.train, task.config
    train, search = split_images(images, config.data.train_portion, config.seed)
    return {"train": images.labels[train], "search": images.labels[search], "test": task.dataset.test.labels}


def data_lines(task: Task) -> list[str]:
    """Returns one line about the images, and further lines for remarks on files and classes."""
    dataset, splits = task.dataset, labels_by_split(task)
    if isinstance(dataset, TextDataset):
        return [_text_line(dataset, splits)]
    counts = ", ".join(f"{len(labels):,} {name}" for name, labels in splits.items() if len(labels))
    lines = [
        f"data: {counts} images of {dataset.num_classes:,} classes, {dataset.resolution} x {dataset.resolution} pixels"
    ]
    missing = []
    for name, labels in splits.items():
        absent = np.setdiff1d(np.arange(dataset.num_classes), labels)
        if len(labels) and len(absent):
            missing.append(f"{name} has no image of {some_of(_names(dataset.classes, absent), 5)}")
    if missing:
        lines.append(f"data: classes without images: {'; '.join(missing)}")
    left_out = []
    if dataset.damaged:
        reasons = some_of([f"{name} ({reason})" for name, reason in dataset.damaged.items()], 10)
        left_out.append(f"{len(dataset.damaged):,} that cannot be read: {reasons}")
    left_out += [f"{count:,} {reason}: {_first(count, first)}" for reason, (count, first) in _ignored(task)]
    if left_out:
        lines.append(f"data: files left out: {'; '.join(left_out)}")
    if dataset.conversions:
        converted = "; ".join(f"{count:,} with {kind}" for kind, count in dataset.conversions.items())
        lines.append(f"data: files converted: {converted}")
    return lines + [f"data: {note}" for note in dataset.notes]


def _text_line(dataset: TextDataset, splits: Mapping[str, np.ndarray]) -> str:
    """Returns a line about a text."""
    counts = ", ".join(f"{len(labels):,} {name}" for name, labels in splits.items())
    unknown = np.mean(splits["search"] == 0)
    return (
        f"data: {counts} tokens of {dataset.num_classes:,} words in windows of {dataset.window}; {unknown:.1%} of the "
        "search tokens are <unk>"
    )


def _ignored(task: Task) -> Sequence[tuple[str, tuple[int, tuple[str, ...]]]]:
    return list(task.dataset.ignored.items())


def _first(count: int, first: Sequence[str]) -> str:
    shown = list(first[:3])
    return ", ".join(shown) + (f" and {count - len(shown):,} more" if count > len(shown) else "")


def _names(classes: Sequence[str] | None, labels: np.ndarray) -> list[str]:
    return [str(label) if classes is None else classes[label] for label in labels.tolist()]
