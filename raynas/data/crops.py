"""Pixels of a batch from memory or files, cropped and mirrored by a hash of (seed, epoch, sample)."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.utils import data

from raynas.data.hashing import Stream, hash_bits, uniform_integers
from raynas.data.image_files import pillow_quiet, read_rgb


class CroppedArrays:
    """Crops and flips of in-memory images by gathering rows from one padded tensor."""

    def __init__(
        self, images: np.ndarray, index: np.ndarray, seed: int, padding: int, flips: bool, device: torch.device
    ) -> None:
        """Stores (n, height, width, 3) uint8 images on the device, with ``padding`` black pixels around them."""
        num_images, height, width, _ = images.shape
        padded = F.pad(torch.from_numpy(images), (0, 0, padding, padding, padding, padding)).contiguous().to(device)
        self._row = 3 * (width + 2 * padding)  # bytes from a pixel to the one below it
        self._image = self._row * (height + 2 * padding)
        self._shape = (height, width, 3)
        # Window k is the image-sized crop whose top left byte is k: rows are runs of memory, windows overlap.
        last = num_images * self._image - (height - 1) * self._row - 3 * width
        self._windows = padded.view(-1).as_strided((last + 1, height, 3 * width), (1, self._row, 1))
        self._index, self._seed, self._padding, self._flips, self._device = index, seed, padding, flips, device

    def read(self, epoch: int, batches: list[Tensor]) -> Iterator[Tensor]:
        """Yields (b, height, width, 3) uint8 on the device for each batch of positions."""
        offsets = torch.from_numpy(self._draw_offsets(epoch)).to(self._device)
        flips = torch.from_numpy(self._draw_flips(epoch)).to(self._device)
        for batch in batches:
            crops = self._windows.index_select(0, offsets[batch]).view(-1, *self._shape)
            if (
                self._flips
            ):  # selecting from the crops and their mirror images copies runs; torch.where works by element
                mirrored = torch.arange(len(batch), device=self._device) + flips[batch] * len(batch)
                crops = torch.cat((crops, crops.flip(2))).index_select(0, mirrored)
            yield crops

    def _draw_offsets(self, epoch: int) -> np.ndarray:
        """Returns the first byte of each image's crop in this epoch, (n,) int64."""
        choices = 2 * self._padding + 1
        offsets: np.ndarray = np.arange(len(self._index)) * self._image
        for stream, stride in ((Stream.CROP_TOP, self._row), (Stream.CROP_LEFT, 3)):
            offsets += uniform_integers(hash_bits(self._seed, stream, epoch, self._index), choices) * stride
        return offsets

    def _draw_flips(self, epoch: int) -> np.ndarray:
        """Returns 1 for each image that is mirrored in this epoch, else 0, (n,) int64."""
        return uniform_integers(hash_bits(self._seed, Stream.FLIP, epoch, self._index), 2)


def shorter_side(resolution: int) -> int:
    """Returns the pixels of the shorter side of an image file before the crop to the centre: 256 for 224."""
    return round(resolution * 256 / 224)


def centre_crop(resolution: int) -> torch.nn.Module:
    """Returns the transform that resizes an image to 256/224 of the resolution and crops the central square."""
    from torchvision.transforms import v2

    crop: torch.nn.Module = v2.Compose([v2.Resize(shorter_side(resolution)), v2.CenterCrop(resolution)])
    return crop


class CroppedFiles:
    """Crops and flips of image files, read by loader processes."""

    def __init__(
        self,
        paths: list[str],
        index: np.ndarray,
        seed: int,
        resolution: int,
        ratio: Sequence[float] | None,
        flips: bool,
        num_workers: int,
        pin_memory: bool,
    ) -> None:
        """Stores the files and the crop: an area of 0.08 to 1 with a random ``ratio``, or the centre if it is None."""
        from torchvision.transforms import v2

        steps: list[torch.nn.Module] = [centre_crop(resolution)]
        if ratio is not None:
            steps = [v2.RandomResizedCrop(resolution, ratio=tuple(ratio))]
        if flips:
            steps.append(v2.RandomHorizontalFlip())
        self._crop = v2.Compose(steps)
        self._paths, self._index, self._seed, self._resolution = paths, index, seed, resolution
        self._num_workers, self._pin_memory = num_workers, pin_memory

    def read(self, epoch: int, batches: list[Tensor]) -> Iterator[Tensor]:
        """Yields (b, resolution, resolution, 3) uint8 on the CPU for each batch of positions."""
        seeds = hash_bits(self._seed, Stream.TRANSFORM, epoch, self._index)
        loader = data.DataLoader(
            _FileBatches(self._paths, seeds, self._crop, self._resolution),
            sampler=[batch.cpu().numpy() for batch in batches],
            batch_size=None,
            num_workers=self._num_workers,
            pin_memory=self._pin_memory,
            generator=torch.Generator(),  # otherwise the start of an epoch would advance the global generator
        )
        for pixels in loader:
            if isinstance(pixels, ValueError):
                raise pixels
            yield pixels


class _FileBatches(data.Dataset[Tensor | ValueError]):
    """Maps an array of positions to the pixels of a batch, inside a loader process."""

    def __init__(
        self, paths: list[str], seeds: np.ndarray, crop: Callable[[Image.Image], Image.Image], resolution: int
    ) -> None:
        """Stores the paths, and the seed of the crop of each."""
        self._paths, self._seeds, self._crop, self._resolution = paths, seeds, crop, resolution

    def __getitem__(self, positions: np.ndarray) -> Tensor | ValueError:
        """Returns (b, resolution, resolution, 3) uint8, or an error (raised here, it would end as a traceback)."""
        with pillow_quiet():
            return self._read(positions)

    def _read(self, positions: np.ndarray) -> Tensor | ValueError:
        pixels = np.empty((len(positions), self._resolution, self._resolution, 3), np.uint8)
        for row, position in zip(pixels, positions, strict=True):
            try:
                image = read_rgb(self._paths[position])
            except ValueError as error:
                return error
            with torch.random.fork_rng(devices=[]):
                # torch.manual_seed would also seed the accelerators permanently.
                torch.default_generator.manual_seed(int(self._seeds[position]) >> 1)
                row[...] = np.asarray(self._crop(image))
        return torch.from_numpy(pixels)
