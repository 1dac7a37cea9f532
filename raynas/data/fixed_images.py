"""Images for the evaluation of every architecture: in a fixed order, without augmentation, small enough to share."""

from __future__ import annotations

import functools
import math
import os
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raynas.data.crops import centre_crop
from raynas.data.dataset import Dataset, ImageSet
from raynas.data.image_files import pillow_quiet, read_rgb
from raynas.data.loading import load_dataset
from raynas.data.normalisation import Normalisation
from raynas.data.shared_pixels import shared_pixels


@dataclass(frozen=True, eq=False)
class FixedImages:
    """Images and labels as plain arrays, which processes of a machine can map without copies.

    Attributes:
        pixels: (n, height, width, 3) uint8.
        labels: (n,) int64.
        mean: mean of red, green and blue (black 0, white 1) for normalisation.
        std: their deviations.
        change: returns the images as their labels say, see `LabelMethod.change`; None leaves them as they are.
    """

    pixels: np.ndarray
    labels: np.ndarray
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    change: Callable[[Tensor, Tensor], Tensor] | None = None

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.labels)

    def batches(self, batch_size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields normalised images (b, 3, height, width) float32, channels last, and labels (b,).

        Args:
            batch_size: images in a batch; the last batch may have fewer.
            device: where batches are produced.
        """
        normalise = Normalisation(self.mean, self.std, self.pixels.shape[1], device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nor is it written
            pixels, labels = torch.from_numpy(self.pixels), torch.from_numpy(self.labels)
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            images, of_images = pixels[part].to(device), labels[part].to(device)
            if self.change is not None:
                images = self.change(images, of_images)
            yield normalise(images), of_images


BY_VALUE = 256 << 20
"""Largest number of bytes of in-memory images that are sent to other processes, which read more images themselves."""

_READERS = 8  # threads that decode files; Pillow releases the lock while it decodes


@dataclass(frozen=True, eq=False)
class ImagesOnDisk:
    """Images that a process on another machine reads itself, from the description that it receives.

    Attributes:
        labels: (n,) int64.
        shape: shape of the pixels, (n, height, width, 3).
        mean: as in `FixedImages`.
        std: as in `FixedImages`.
        token: key by which processes of a machine share the pixels.
        fill: writes the pixels into an array; a function of this module with its arguments, so that it can be pickled.
    """

    labels: np.ndarray
    shape: tuple[int, int, int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    token: str
    fill: Callable[[np.ndarray], None]

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.labels)

    def read(self) -> FixedImages:
        """Returns the images; the first process of this machine reads them, and the others map them.

        Raises:
            InputError: if an image file is unreadable.
            OSError: if the temporary folder has no room for the pixels.
        """
        return FixedImages(shared_pixels(self.token, self.shape, self.fill), self.labels, self.mean, self.std)


def fix_images(dataset: Dataset, images: ImageSet, positions: np.ndarray, labels: np.ndarray) -> FixedImages:
    """Returns the images at ``positions``, files read and cropped to the centre, with their labels.

    Args:
        dataset: resolution and normalisation.
        images: the part to take from.
        positions: (n,) positions in ``images``.
        labels: (len(images),) the labels of all of ``images``.

    Raises:
        InputError: if an image file is unreadable.
    """
    if isinstance(images.images, tuple):
        pixels = np.empty((len(positions), dataset.resolution, dataset.resolution, 3), np.uint8)
        read_files([images.images[position] for position in positions], pixels)
    else:
        pixels = images.images[positions]
    return FixedImages(pixels, np.asarray(labels)[positions].astype(np.int64), dataset.mean, dataset.std)


def images_to_send(
    dataset: Dataset, images: ImageSet, positions: np.ndarray, labels: np.ndarray, arguments: Mapping[str, Any]
) -> FixedImages | ImagesOnDisk:
    """Returns the images at ``positions`` in the form to send to other machines, without reading image files.

    Args:
        dataset: as `fix_images` takes it.
        images: ``dataset.train``.
        positions: as `fix_images` takes them.
        labels: as `fix_images` takes them.
        arguments: the arguments of `load_dataset` for the data set.
    """
    shape = (len(positions), dataset.resolution, dataset.resolution, 3)
    fill: Callable[[np.ndarray], None]
    if isinstance(images.images, tuple):
        fill = functools.partial(read_files, [images.images[position] for position in positions])
    elif math.prod(shape) <= BY_VALUE:
        return fix_images(dataset, images, positions, labels)
    else:
        fill = functools.partial(load_images, dict(arguments), positions)
    labels = np.asarray(labels)[positions].astype(np.int64)
    return ImagesOnDisk(labels, shape, dataset.mean, dataset.std, uuid.uuid4().hex, fill)


def read_files(paths: Sequence[str], pixels: np.ndarray) -> None:
    """Writes image files, cropped to the centre, into (n, resolution, resolution, 3) uint8, in several threads.

    Raises:
        InputError: if a file is unreadable.
    """
    crop = centre_crop(pixels.shape[1])

    def read(position: int) -> None:
        pixels[position] = np.asarray(crop(read_rgb(paths[position])))

    with pillow_quiet(), ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as pool:
        try:
            for _ in pool.map(read, range(len(paths))):
                pass
        except ValueError:
            pool.shutdown(cancel_futures=True)
            raise


def load_images(arguments: Mapping[str, Any], positions: np.ndarray, pixels: np.ndarray) -> None:
    """Writes the training images at ``positions`` of an in-memory data set into an array, after loading the set."""
    images = load_dataset(**arguments).train.images
    assert isinstance(images, np.ndarray)
    pixels[...] = images[positions]
