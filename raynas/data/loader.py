"""Batches of images and labels that do not depend on world size, number of workers and resumes."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from raynas.data.augmentation import AugmentationOptions
from raynas.data.crops import CroppedArrays, CroppedFiles
from raynas.data.cutout import cut_out, draw_holes
from raynas.data.dataset import Dataset, ImageSet
from raynas.data.hashing import Stream, hash_bits
from raynas.data.jitter import draw_colours, jitter
from raynas.data.lighting import draw_lights
from raynas.data.normalisation import Normalisation
from raynas.errors import InputError

_CPU = torch.device("cpu")
_RATIO = [3 / 4, 4 / 3]


class Loader:
    """Yields the batches of an epoch: float32 images, normalised and augmented, and int64 labels.

    Global batch t of an epoch is ``order[t * batch_size : (t + 1) * batch_size]``; a rank gets ``batch[rank::world]``.
    The order is a hash of (seed, epoch). Crop, flip, colours, light and hole of an image are hashes of (seed, epoch,
    index of the image). Batches therefore do not depend on the number of ranks, the number of loader processes, or the
    step at which an epoch was interrupted.

    In-memory images lie as one padded uint8 tensor on the device: a crop is an offset into it, a batch one gather of
    contiguous rows. Image files are read and cropped by ``num_workers`` processes, one global batch's share each.
    """

    def __init__(
        self,
        dataset: Dataset,
        images: ImageSet,
        positions: np.ndarray,
        labels: Callable[[int], np.ndarray],
        *,
        batch_size: int,
        seed: int,
        augmentation: AugmentationOptions | None,
        shuffle: bool,
        drop_last: bool,
        device: torch.device = _CPU,
        num_workers: int = 0,
        change: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        """Prepares the images at ``positions`` on the device.

        Args:
            dataset: Resolution, normalisation and the defaults of augmentation.
            images: The part to load from, ``dataset.train`` or ``dataset.test``.
            positions: (n,) positions in ``images`` to load.
            labels: Called with the epoch, returns the labels of all of ``images``, (len(images),) integers.
            batch_size: Images in a global batch, over all ranks.
            seed: Seed of order, crops, flips, colours, lights and holes.
            augmentation: How images are changed at random; None for images as they are, files cropped to the centre.
            shuffle: Whether to visit the images in random order; else in the order of ``positions``.
            drop_last: Whether to leave out a last batch that is not full.
            device: Where batches are produced.
            num_workers: Processes that read image files, 0 for the caller's own. In-memory images need none.
            change: Returns the images as their labels say, see `LabelMethod.change`; None leaves them as they are.

        Raises:
            InputError: If there is nothing to load, ``drop_last`` would drop everything, or the square that is cut out
                is larger than an image.
        """
        if not len(positions):
            raise InputError(
                "data.train_portion: expected a split that leaves at least 1 image to load here, got 0; lower it "
                "below 1 for images to search on"
            )
        if drop_last and len(positions) < batch_size:
            raise InputError(
                f"train.batch_size: expected at most {len(positions)} (the images there are to train on), got "
                f"{batch_size}; lower it, or load more images"
            )
        self._positions = np.asarray(positions, dtype=np.int64)
        self._index = images.index[self._positions]
        self._num_images = len(images)
        self._labels, self._batch_size, self._shuffle = labels, batch_size, shuffle
        self._seed, self._device, self._change = seed, device, change
        self.steps_per_epoch = len(positions) // batch_size if drop_last else -(-len(positions) // batch_size)
        self._lighting = 0.0 if augmentation is None else augmentation.lighting
        self._jitter = None if augmentation is None else augmentation.jitter_strengths
        self._cutout = 0 if augmentation is None else _checked_cutout(augmentation.cutout, dataset)
        self._resolution = dataset.resolution
        self._source = self._cropped(dataset, images, augmentation, num_workers)
        self._normalise = Normalisation(dataset.mean, dataset.std, dataset.resolution, device)

    def _cropped(
        self, dataset: Dataset, images: ImageSet, augmentation: AugmentationOptions | None, num_workers: int
    ) -> CroppedArrays | CroppedFiles:
        """Returns the source of cropped and mirrored images, from memory or from files."""
        flips, ratio, padding = False, None, 0
        if augmentation is not None:
            flips = dataset.flip if augmentation.flip is None else augmentation.flip
            ratio = augmentation.crop_ratio or _RATIO
            padding = dataset.crop_padding if augmentation.crop_padding is None else augmentation.crop_padding
        if isinstance(images.images, tuple):
            paths = [images.images[position] for position in self._positions]
            pin_memory = self._device.type == "cuda"
            return CroppedFiles(
                paths, self._index, self._seed, dataset.resolution, ratio, flips, num_workers, pin_memory
            )
        held = images.images[self._positions]
        return CroppedArrays(held, self._index, self._seed, padding, flips, self._device)

    def epoch(self, epoch: int, first_step: int = 0, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields this rank's share of each global batch: images and labels, on the device.

        Images are (b, 3, height, width) float32 in channels-last memory, labels (b,) int64. If the last batch has
        fewer images than ranks, b is 0 for some ranks.

        Args:
            epoch: counted from 0.
            first_step: the first global batch to yield; those before it are skipped, not produced.
            rank: index of the share, in [0, world).
            world: number of ranks that share a global batch.

        Raises:
            InputError: if a batch has fewer images than ranks, an image file is unreadable, or the labels do not match.
        """
        if self._batch_size < world:
            raise InputError(
                f"train.batch_size: expected at least 1 image for each of {world} workers, got {self._batch_size}; "
                "raise it, or use fewer workers"
            )
        assert 0 <= rank < world
        epoch_labels = np.asarray(self._labels(epoch))
        if epoch_labels.shape != (self._num_images,):
            raise InputError(
                f"expected one label for each of {self._num_images} images, got shape {epoch_labels.shape}"
            )
        labels = torch.from_numpy(epoch_labels[self._positions].astype(np.int64)).to(self._device)
        order = np.arange(len(self._positions))
        if self._shuffle:
            order = np.argsort(hash_bits(self._seed, Stream.ORDER, epoch, self._index))
        where = torch.from_numpy(order).to(self._device)
        starts = range(first_step * self._batch_size, self.steps_per_epoch * self._batch_size, self._batch_size)
        batches = [where[start : start + self._batch_size][rank::world] for start in starts]
        colours = None
        if self._jitter is not None:
            drawn = draw_colours(self._jitter, self._seed, epoch, self._index)
            colours = tuple(torch.from_numpy(values).to(self._device) for values in drawn)
        lights = None
        if self._lighting:
            lights = torch.from_numpy(draw_lights(self._lighting, self._seed, epoch, self._index)).to(self._device)
        holes = None
        if self._cutout:
            corners = draw_holes(self._cutout, self._resolution, self._seed, epoch, self._index)
            holes = torch.from_numpy(corners).to(self._device)
        for batch, pixels in zip(batches, self._source.read(epoch, batches), strict=True):
            light = None if lights is None else lights[batch]
            pixels = pixels.to(self._device, non_blocking=True)
            if self._change is not None:
                pixels = self._change(pixels, labels[batch])
            if colours is not None:
                pixels = jitter(pixels, *(values[batch] for values in colours))
            images = self._normalise(pixels, light)
            if holes is not None:
                cut_out(images, holes[batch], self._cutout)
            yield images, labels[batch]


def _checked_cutout(side: int, dataset: Dataset) -> int:
    """Returns the side of the square that is cut out.

    Raises:
        InputError: If it is larger than an image.
    """
    if side > dataset.resolution:
        raise InputError(
            f"data.cutout: expected at most {dataset.resolution} (the height and width of an image), got {side}; "
            "lower it"
        )
    return side
