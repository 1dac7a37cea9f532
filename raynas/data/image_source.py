"""Sources of images: the row of a data set, and the results of reading one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from raynas.errors import InputError
from raynas.members import Family
from raynas.options import Options


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images in memory.

    Attributes:
        train_images: (n, size, size, 3 or 1) uint8; a single channel is grey.
        train_labels: (n,) integers in [0, num_classes).
        test_images: As the training images, in the same size.
        test_labels: As the training labels.
        num_classes: Number of classes.
        classes: The names of the classes by label; None without names.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    num_classes: int
    classes: tuple[str, ...] | None = None

    @property
    def num_images(self) -> int:
        """The number of training images."""
        return len(self.train_images)


@dataclass(frozen=True, eq=False)
class FilePart:
    """The image files of one part, sorted by class and path.

    Attributes:
        files: (n,) their paths.
        labels: (n,) int64.
    """

    files: tuple[str, ...]
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """The image files of a data set, which are read one by one.

    Attributes:
        root: The folder that all files are below.
        train: Its training images.
        test: Its test images.
        classes: Names of the classes by label, sorted.
        ignored: Number and first ten paths of the files that are not images, by the reason.
    """

    root: Path
    train: FilePart
    test: FilePart
    classes: tuple[str, ...]
    ignored: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)

    @property
    def num_images(self) -> int:
        """The number of training images."""
        return len(self.train.files)


@dataclass(frozen=True)
class KnownSize:
    """The size of a data set that is known without reading it.

    Attributes:
        title: The name of the data set in texts.
        images: Number of training images.
        num_classes: Number of classes.
        resolution: Height and width of the images in pixels.
    """

    title: str
    images: int
    num_classes: int
    resolution: int


@dataclass(frozen=True)
class DataSource:
    """A data set that a run file can name: a row of `data.name`.

    Attributes:
        name: The name in run files.
        title: The name in texts.
        read: Returns the data, from `data.path` and the options.
        options: Further keys of the `data` section that the data set takes.
        is_downloaded: Whether `read` may download the data.
        known: The size, if it is known without reading, for checks that read no data.
        needs_path: Whether the data are read from `data.path` alone, so that a run file has to name it.
        path_can_wait: Whether a check assumes the known size as long as `data.path` is left out.
        reads_files: Whether images are files that are read one by one.
        holds: What a sample is, ``images`` or ``tokens``.
    """

    name: str
    title: str
    read: Callable[[str | None, Any], Any]
    options: type[Options] = Options
    is_downloaded: bool = False
    known: KnownSize | None = None
    needs_path: bool = False
    path_can_wait: bool = False
    reads_files: bool = False
    holds: ClassVar[str] = "images"


@dataclass(frozen=True)
class ImageSource(DataSource):
    """A data set of images.

    Attributes:
        reads_files: Whether `read` returns `ImageFiles`, and not `Arrays`. Files are cropped to a random area, and
            loader processes read them.
        flip: Whether a mirrored image stays in its class.
        resolution: Height and width that images are resized to by default; None for their own.
    """

    read: Callable[[str | None, Any], Arrays | ImageFiles]
    reads_files: bool = False
    flip: bool = True
    resolution: int | None = None


DATASETS = Family("data.name", DataSource, "raynas.data.datasets")
"""The data sets that a run file can name."""


def given_path(path: str | None, name: str) -> Path:
    """Returns the path of a data set without a default path.

    Raises:
        InputError: If no path is given.
    """
    if path is None:
        raise InputError(f"data.path: data set '{name}' is read from your disk, got no path; say where it lies")
    return Path(path).expanduser()


def check_part(key: str, source: object, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Checks that arrays are square uint8 images with one class each.

    Args:
        key: The key of the run file that names them, for messages.
        source: Their file or folder, for messages.
        part: ``train`` or ``test``.
        images: (n, size, size, 3 or 1) uint8.
        labels: (n,) integers, 0 or more.

    Raises:
        InputError: If they are not.
    """
    expected = f"{key}: expected {part}_images of {source} as"
    if images.dtype != np.uint8:
        raise InputError(f"{expected} uint8, got {images.dtype}; scale the pixels to 0..255 and convert them")
    if images.ndim != 4 or images.shape[3] not in (1, 3) or images.shape[1] != images.shape[2] or not images.size:
        raise InputError(
            f"{expected} (images, size, size, 3 or 1) with at least one image, got {images.shape}; make them square "
            "and put the channels last"
        )
    expected = f"{key}: expected {part}_labels of {source} as"
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise InputError(
            f"{expected} {len(images)} integers, one for each image, got {labels.dtype} {labels.shape}; "
            "give each image the number of its class"
        )
    if labels.min() < 0:
        raise InputError(f"{expected} 0 or more, got {labels.min()}; number the classes from 0")


def check_sizes(key: str, source: object, train_images: np.ndarray, test_images: np.ndarray) -> None:
    """Checks that training and test images are of one size.

    Raises:
        InputError: If they are not.
    """
    train_size, test_size = train_images.shape[1], test_images.shape[1]
    if train_size != test_size:
        raise InputError(
            f"{key}: expected train_images and test_images of {source} in one size, got {train_size} and {test_size} "
            "pixels; resize one of them"
        )
