"""Images that every architecture is judged on: in one order, without augmentation, small enough to be shared."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raynas.data.crops import CroppedArrays, CroppedFiles
from raynas.data.datasets import Dataset, ImageSet
from raynas.data.normalisation import Normalisation


@dataclass(frozen=True, eq=False)
class FixedImages:
    """Images and labels as plain arrays, which processes of one machine can map instead of copying.

    Attributes:
        pixels: (n, height, width, 3) uint8.
        labels: (n,) int64.
        mean: of red, green and blue, black 0 and white 1, to normalise with.
        std: their deviations.
    """

    pixels: np.ndarray
    labels: np.ndarray
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.labels)

    def batches(self, batch_size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields normalised images (b, 3, height, width) float32, channels last, and labels (b,).

        Args:
            batch_size: images in a batch; the last may hold fewer.
            device: where batches are produced.
        """
        normalise = Normalisation(self.mean, self.std, self.pixels.shape[1], device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # nor is it written
            pixels, labels = torch.from_numpy(self.pixels), torch.from_numpy(self.labels)
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield normalise(pixels[part].to(device)), labels[part].to(device)


def fix_images(dataset: Dataset, images: ImageSet, positions: np.ndarray, labels: np.ndarray) -> FixedImages:
    """Returns the images at ``positions``, files read and cropped to the centre, with their labels.

    Args:
        dataset: resolution and normalisation.
        images: the part to take from.
        positions: (n,) which of ``images``.
        labels: (len(images),) the labels of all of ``images``.

    Raises:
        ValueError: if an image file is unreadable.
    """
    index = images.index[positions]
    if isinstance(images.images, tuple):
        paths = [images.images[position] for position in positions]
        source: CroppedArrays | CroppedFiles = CroppedFiles(
            paths, index, 0, dataset.resolution, ratio=None, flips=False, num_workers=0, pin_memory=False
        )
        pixels = next(iter(source.read(0, [torch.arange(len(positions))]))).numpy()
    else:
        pixels = images.images[positions]
    return FixedImages(pixels, np.asarray(labels)[positions].astype(np.int64), dataset.mean, dataset.std)
