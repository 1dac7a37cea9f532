"""A loaded data set: its images, their augmentation, and their split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from raynas.data.hashing import Stream, hash_bits
from raynas.errors import InputError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images of one part (train or test) of a data set.

    Attributes:
        images: (n, height, width, 3) uint8, or the n paths of image files.
        labels: (n,) int64, the true labels.
        index: (n,) int64, each image's position in the full part, before ``max_images`` picked some and before damaged
            files were skipped. Random labels and augmentation are functions of it, so a subset's images keep theirs.
        skipped: (k,) int64, positions of the skipped images among the images that ``max_images`` picked.
    """

    images: np.ndarray | tuple[str, ...]
    labels: np.ndarray
    index: np.ndarray
    skipped: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class TokenSet(ImageSet):
    """The positions of a text as samples: the input is a token, the label the token after it.

    Attributes:
        images: (n,) int64, the token at each position.
        labels: (n,) int64, the token after it.
        index: (n,) int64, the positions.
        num_train: how many positions train; those behind them are held out for the search.
    """

    num_train: int = 0


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set of square images with its default augmentation.

    Attributes:
        name: the name in run files.
        train: the images to search and train on.
        test: the images to report accuracy on.
        num_classes: number of true labels; labels lie in [0, num_classes).
        resolution: height and width in pixels.
        mean: subtracted from red, green and blue (black 0, white 1): the mean of the training pixels, or 0.
        std: divisor after that, in the same unit: their deviation, at least one grey level of 255, or 1.
        crop_padding: black pixels around an image for random crops; files are cropped to a random size.
        flip: whether a mirrored image stays in its class.
        classes: the names of the classes by label; None without names.
        damaged: the reason for each skipped file, by its path below the folder.
        ignored: number and first ten paths of the files that are not images, by the reason.
        conversions: number of files for each conversion of `image_files`.
        notes: further messages of the reader, one line each.
        batched: what a batch holds.
    """

    batched: ClassVar[str] = "images"

    name: str
    train: ImageSet
    test: ImageSet
    num_classes: int
    resolution: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_padding: int
    flip: bool
    classes: tuple[str, ...] | None = None
    damaged: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    conversions: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def reads_files(self) -> bool:
        """Whether images are files that are read one by one."""
        return isinstance(self.train.images, tuple)


def split_images(images: ImageSet, train_portion: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of the train part and of the search part in a set of images, each sorted int64.

    Skipped images are split with the others and then left out, so they do not change the parts of the others. A text
    has parts of its own.

    Args:
        images: the set to split.
        train_portion: as `split_indices` takes it.
        seed: as `split_indices` takes it.

    Raises:
        InputError: as `split_indices` does.
    """
    if isinstance(images, TokenSet):
        return np.arange(images.num_train), np.arange(images.num_train, len(images))
    num_images = len(images) + len(images.skipped)
    train, search = split_indices(num_images, train_portion, seed)
    if not len(images.skipped):
        return train, search
    kept = np.delete(np.arange(num_images), images.skipped)
    return np.flatnonzero(np.isin(kept, train)), np.flatnonzero(np.isin(kept, search))


def split_indices(num_images: int, train_portion: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of the train part and of the search part, each sorted int64; together [0, num_images).

    Args:
        num_images: number of images to split.
        train_portion: the train part's share, in (0, 1]; 1 leaves the search part empty.
        seed: seed of the split.

    Raises:
        InputError: if the portion is outside (0, 1], or so small that the train part is empty.
    """
    num_train = round(num_images * train_portion) if 0 < train_portion <= 1 else 0
    if num_train == 0:
        raise InputError(
            f"data.train_portion: expected a share in (0, 1] that leaves at least 1 of {num_images} images to "
            f"train on, got {train_portion}; set it to 0.5 for halves or to 1 for all"
        )
    order = np.argsort(hash_bits(seed, Stream.SPLIT, 0, np.arange(num_images)))
    return np.sort(order[:num_train]), np.sort(order[num_train:])
