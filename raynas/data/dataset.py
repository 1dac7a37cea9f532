"""A data set that was loaded: its images, what suits them, and how they are split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
        skipped: (k,) int64, the positions, among the images that ``max_images`` picked, of those that were skipped.
    """

    images: np.ndarray | tuple[str, ...]
    labels: np.ndarray
    index: np.ndarray
    skipped: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set of square images, and the augmentation that suits it.

    Attributes:
        name: the name in run files.
        train: the images to search and train on.
        test: the images to report accuracy on.
        num_classes: number of true labels; labels lie in [0, num_classes).
        resolution: height and width in pixels.
        mean: what normalising takes from red, green and blue, black 0 and white 1: the training pixels' mean, or 0.
        std: what it then divides them by, same units: their deviations, at least one grey level of 255, or 1.
        crop_padding: black pixels around an image that a random crop may shift into; files are cropped at random size.
        flip: whether a mirrored image is still one of its class.
        classes: the names of the classes by label; None if nobody names them.
        damaged: why a file of a folder was skipped, by its path below the folder.
        ignored: files that are no images to read, by the reason: how many, and the paths of the first ten.
        conversions: how many files each conversion of `image_files` concerns.
        notes: what else reading has to say, a line each.
    """

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

    Skipped images are split with the others, then left out: the others are in the part that they would be in anyway.

    Args:
        images: the set to split.
        train_portion: as `split_indices` takes it.
        seed: as `split_indices` takes it.

    Raises:
        InputError: as `split_indices` does.
    """
    num_images = len(images) + len(images.skipped)
    train, search = split_indices(num_images, train_portion, seed)
    if not len(images.skipped):
        return train, search
    kept = np.delete(np.arange(num_images), images.skipped)
    return np.flatnonzero(np.isin(kept, train)), np.flatnonzero(np.isin(kept, search))


def split_indices(num_images: int, train_portion: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of the train part and of the search part, each sorted int64; together [0, num_images).

    Args:
        num_images: how many images there are to split.
        train_portion: the train part's share, in (0, 1]; 1 leaves the search part empty.
        seed: which of the many splits.

    Raises:
        InputError: if the portion is outside (0, 1], or so small that no image is left to train on.
    """
    num_train = round(num_images * train_portion) if 0 < train_portion <= 1 else 0
    if num_train == 0:
        raise InputError(
            f"data.train_portion: expected a share in (0, 1] that leaves at least 1 of {num_images} images to "
            f"train on, got {train_portion}; set it to 0.5 for halves or to 1 for all"
        )
    order = np.argsort(hash_bits(seed, Stream.SPLIT, 0, np.arange(num_images)))
    return np.sort(order[:num_train]), np.sort(order[num_train:])
