"""Data sets that are not on this machine, replaced by images without content of the same number and size.

A check, and a job that will run elsewhere, know from them what a run would do: the split, the batches, the costs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raynas.config.data_section import DataSection
from raynas.data import Dataset, ImageSet
from raynas.data.image_source import KnownSize

UNKNOWN = KnownSize("a data set that is not here", 1_000_000, 10, 32)
"""What is assumed of other data sets: enough images for any split and batch."""


def is_here(data: DataSection) -> bool:
    """Returns whether the images can be read without downloading them."""
    return data.source.size_unread(data.path) is None


def is_readable(data: DataSection) -> bool:
    """Returns whether this machine has the images, or the path that they are read from."""
    return is_here(data) and (data.path is None or Path(data.path).exists())


def stand_in(data: DataSection) -> Dataset:
    """Returns a data set of the known number and size of images, all of them black."""
    source, size = data.source, data.source.known or UNKNOWN
    number = min(data.max_images or size.images, size.images)
    resolution = data.resolution or source.resolution or size.resolution
    labels = np.arange(number) % size.num_classes
    pixels = np.broadcast_to(np.zeros((), np.uint8), (number, resolution, resolution, 3))
    files = ("train/class/image.jpeg",) * number
    images = ImageSet(files if source.reads_files else pixels, labels, np.arange(number))
    none = np.empty(0, np.int64)
    empty = ImageSet(() if source.reads_files else pixels[:0], none, none)
    return Dataset(
        name=data.name,
        train=images,
        test=empty,
        num_classes=size.num_classes,
        resolution=resolution,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        crop_padding=round(resolution / 8),
        flip=source.flip,
    )


def stand_in_line(data: DataSection) -> str:
    """Returns what is assumed of a data set that is not read, in one line."""
    size = data.source.known or UNKNOWN
    until = "" if data.source.is_downloaded or data.path is not None else ", until data.path says where a folder lies"
    return (
        f"data: not looked at; what follows is for {size.title}: {size.images:,} training images of "
        f"{size.num_classes:,} classes{until}"
    )
