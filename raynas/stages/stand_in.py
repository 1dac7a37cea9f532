"""Data sets that are not on this machine, replaced by images without content of the same number and size.

A check, and a job that will run elsewhere, know from them what a run would do: the split, the batches, the costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raynas.config.data_section import DataSection
from raynas.data import Dataset, ImageSet


@dataclass(frozen=True)
class Published:
    """What is known of a data set without reading it.

    Attributes:
        title: Its name, for people.
        images: Number of its training images.
        num_classes: Number of its labels.
        resolution: Height and width of its images.
    """

    title: str
    images: int
    num_classes: int
    resolution: int


PUBLISHED = {
    "cifar10": Published("CIFAR-10", 50_000, 10, 32),
    "cifar100": Published("CIFAR-100", 50_000, 100, 32),
    "imagenet16-120": Published("ImageNet16-120", 151_700, 120, 16),
    "folder": Published("ImageNet", 1_281_167, 1_000, 224),
}
"""Data sets by `data.name`; a folder that is not here is taken for ImageNet."""

UNKNOWN = Published("a file that is not here", 1_000_000, 10, 32)
"""What is assumed of other data sets: enough images for any split and batch."""


def is_here(data: DataSection) -> bool:
    """Returns whether the images can be read without downloading them."""
    if data.name in ("cifar10", "cifar100"):
        return False
    return data.name != "folder" or data.path is not None


def is_readable(data: DataSection) -> bool:
    """Returns whether this machine has the path of the images, if they have one."""
    return is_here(data) and (data.path is None or Path(data.path).exists())


def stand_in(data: DataSection) -> Dataset:
    """Returns a data set of the published number and size of images, all of them black."""
    published = PUBLISHED.get(data.name, UNKNOWN)
    number = min(data.max_images or published.images, published.images)
    resolution = data.resolution or published.resolution
    labels = np.arange(number) % published.num_classes
    pixels = np.broadcast_to(np.zeros((), np.uint8), (number, resolution, resolution, 3))
    files = ("train/class/image.jpeg",) * number
    images = ImageSet(files if data.name == "folder" else pixels, labels, np.arange(number))
    none = np.empty(0, np.int64)
    empty = ImageSet(() if data.name == "folder" else pixels[:0], none, none)
    return Dataset(
        name=data.name,
        train=images,
        test=empty,
        num_classes=published.num_classes,
        resolution=resolution,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        crop_padding=round(resolution / 8),
        flip=True,
    )


def stand_in_line(data: DataSection) -> str:
    """Returns what is assumed of a data set that is not read, in one line."""
    published = PUBLISHED.get(data.name, UNKNOWN)
    until = ", until data.path says where a folder lies" if data.name == "folder" and data.path is None else ""
    return (
        f"data: not looked at; what follows is for {published.title}: {published.images:,} training images of "
        f"{published.num_classes:,} classes{until}"
    )
