"""Batches of images and labels that are the same at any world size, with any workers and after any resume."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from raynas.data.crops import CroppedArrays, CroppedFiles
from raynas.data.cutout import cut_out, draw_holes
from raynas.data.dataset import Dataset, ImageSet
from raynas.data.hashing import Stream, hash_bits
from raynas.data.lighting import draw_lights
from raynas.data.normalisation import Normalisation

_CPU = torch.device("cpu")
_RATIO = (3 / 4, 4 / 3)


class Loader:
    """Yields the batches of an epoch: float32 images, normalised and augmented, and int64 labels.

    Global batch t of an epoch is ``order[t * batch_size : (t + 1) * batch_size]``; a rank gets ``batch[rank::world]``.
    The order is a hash of (seed, epoch), crop, flip, light and hole of an image of (seed, epoch, the image's index):
    nothing depends on how many ranks share a batch, on the number of loader processes, or on where an epoch was
    interrupted.

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
        augment: bool,
        shuffle: bool,
        crop_padding: int | None = None,
        crop_ratio: Sequence[float] | None = None,
        flip: bool | None = None,
        lighting: float = 0.0,
        cutout: int = 0,
        drop_last: bool,
        device: torch.device = _CPU,
        num_workers: int = 0,
    ) -> None:
        """Holds the images at ``positions`` ready on the device.

        Args:
            dataset: resolution, normalisation and the defaults of augmentation.
            images: the part to load from, ``dataset.train`` or ``dataset.test``.
            positions: (n,) which of ``images`` to load.
            labels: called with the epoch, returns the labels of all of ``images``, (len(images),) integers.
            batch_size: images in a global batch, over all ranks.
            seed: seed of order, crops, flips, lights and holes.
            augment: whether to crop, flip, light and cut out at random.
            shuffle: whether to visit the images in random order; else in the order of ``positions``.
            crop_padding: black pixels around an in-memory image that a crop may shift into; the data set's if None.
                Files are cropped to a random area of 0.08 to 1 instead.
            crop_ratio: least and greatest ratio of width to height of that area; 3/4 and 4/3 if None.
            flip: whether half of the augmented images are mirrored; the data set's if None.
            lighting: deviation of the random light of augmented images, see `draw_lights`.
            cutout: side of the square that is blanked in augmented images, see `draw_holes`; 0 for none.
            drop_last: whether to leave out a last batch that is not full.
            device: where batches are produced.
            num_workers: processes that read image files, 0 for the caller's own. In-memory images need none.

        Raises:
            ValueError: if there is nothing to load, ``drop_last`` would drop everything, or the square is larger than
                an image.
        """
        if not len(positions):
            raise ValueError(
                "data.train_portion: expected a split that leaves at least 1 image to load here, got 0; lower it "
                "below 1 for images to search on"
            )
        if drop_last and len(positions) < batch_size:
            raise ValueError(
                f"train.batch_size: expected at most {len(positions)} (the images there are to train on), got "
                f"{batch_size}; lower it, or load more images"
            )
        if cutout > dataset.resolution:
            raise ValueError(
                f"data.cutout: expected at most {dataset.resolution} (the height and width of an image), got {cutout}; "
                "lower it"
            )
        self._positions = np.asarray(positions, dtype=np.int64)
        self._index = images.index[self._positions]
        self._num_images = len(images)
        self._labels = labels
        self._batch_size = batch_size
        self._seed = seed
        self._shuffle = shuffle
        self._device = device
        self.steps_per_epoch = len(positions) // batch_size if drop_last else -(-len(positions) // batch_size)
        flips = augment and (dataset.flip if flip is None else flip)
        self._lighting = lighting if augment else 0.0
        self._cutout = cutout if augment else 0
        self._resolution = dataset.resolution
        self._source: CroppedArrays | CroppedFiles
        if isinstance(images.images, tuple):
            paths = [images.images[position] for position in self._positions]
            self._source = CroppedFiles(
                paths,
                self._index,
                seed,
                dataset.resolution,
                (crop_ratio or _RATIO) if augment else None,
                flips,
                num_workers,
                pin_memory=device.type == "cuda",
            )
        else:
            padding = (dataset.crop_padding if crop_padding is None else crop_padding) if augment else 0
            held = images.images[self._positions]
            self._source = CroppedArrays(held, self._index, seed, padding, flips, device)
        self._normalise = Normalisation(dataset.mean, dataset.std, dataset.resolution, device)

    def epoch(self, epoch: int, first_step: int = 0, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields this rank's share of each global batch: images and labels, on the device.

        Images are (b, 3, height, width) float32 in channels-last memory, labels (b,) int64. Where a last batch holds
        fewer images than there are ranks, b is 0 for some.

        Args:
            epoch: counted from 0.
            first_step: the first global batch to yield; those before it are skipped, not produced.
            rank: which share, in [0, world).
            world: how many ranks share a global batch.

        Raises:
            ValueError: if a batch has fewer images than ranks, an image file is unreadable, or the labels do not match.
        """
        if self._batch_size < world:
            raise ValueError(
                f"train.batch_size: expected at least 1 image for each of {world} workers, got {self._batch_size}; "
                "raise it, or use fewer workers"
            )
        assert 0 <= rank < world
        drawn = np.asarray(self._labels(epoch))
        if drawn.shape != (self._num_images,):
            raise ValueError(f"expected one label for each of {self._num_images} images, got shape {drawn.shape}")
        labels = torch.from_numpy(drawn[self._positions].astype(np.int64)).to(self._device)
        order = np.arange(len(self._positions))
        if self._shuffle:
            order = np.argsort(hash_bits(self._seed, Stream.ORDER, epoch, self._index))
        where = torch.from_numpy(order).to(self._device)
        starts = range(first_step * self._batch_size, self.steps_per_epoch * self._batch_size, self._batch_size)
        batches = [where[start : start + self._batch_size][rank::world] for start in starts]
        lights = None
        if self._lighting:
            lights = torch.from_numpy(draw_lights(self._lighting, self._seed, epoch, self._index)).to(self._device)
        holes = None
        if self._cutout:
            drawn = draw_holes(self._cutout, self._resolution, self._seed, epoch, self._index)
            holes = torch.from_numpy(drawn).to(self._device)
        for batch, pixels in zip(batches, self._source.read(epoch, batches), strict=True):
            light = None if lights is None else lights[batch]
            images = self._normalise(pixels.to(self._device, non_blocking=True), light)
            if holes is not None:
                cut_out(images, holes[batch], self._cutout)
            yield images, labels[batch]
