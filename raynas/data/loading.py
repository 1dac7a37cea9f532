"""Loading of the data set in a run file: reading, checks, resizing, and its default augmentation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from torch.nn import functional as F

from raynas.data.dataset import Dataset, ImageSet
from raynas.data.hashing import Stream, hash_bits
from raynas.data.image_source import DATASETS, Arrays, DataSource, ImageFiles, ImageSource, check_part, check_sizes
from raynas.data.messages import some_of
from raynas.data.text import TextArrays, TextDataset, TextOptions, text_dataset
from raynas.errors import InputError
from raynas.failures import described
from raynas.members import is_own
from raynas.messages import echo
from raynas.optional import needed

if TYPE_CHECKING:  # pyarrow is slow to import, and only image files need it
    from raynas.data.image_index import Reading

Channels: TypeAlias = tuple[float, float, float]
"""A number for each of red, green and blue."""

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_BLACK, _WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_FILE_RESOLUTION = 224  # if a row of files states none
_CHUNK = 4096  # images in one step, since the whole set in a wider type needs too much memory


def load_dataset(
    name: str,
    *,
    path: str | None = None,
    resolution: int | None = None,
    max_images: int | None = None,
    seed: int = 0,
    normalise: bool = True,
    further: Mapping[str, Any] | None = None,
    on_damaged: Literal["refuse", "skip"] = "refuse",
    skip: Collection[str] | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """Returns a data set with its normalisation and default augmentation.

    ================ ============================================================================ ================
    name             read from ``path``                                                           resolution
    ================ ============================================================================ ================
    digits           nothing: 1,797 scans that scikit-learn includes, split 80/20                 8
    cifar10, -100    torchvision's folder (default ``data``), downloaded into it if absent        32
    imagenet16-120   the folder of ``train_data_batch_1`` ... ``_10`` and ``val_data``            16
    npz              a file of train_images, train_labels, test_images, test_labels:              as they are
                     uint8 (n, size, size, 3 or 1) and integers (n,); class_names is optional
    folder           ``train/<class>/*`` and ``val/<class>/*`` (or ``test``); read file by file   224
    text             ``train.txt``, ``valid.txt`` and ``test.txt``: words separated by spaces             (a token)
    a dotted path    whatever the row of your own reads                                           as the row says
    ================ ============================================================================ ================

    Args:
        name: A name of `DATASETS`, or the dotted path of a row of your own.
        path: Location of the files; see the table.
        resolution: Height and width in pixels. In-memory images are resized once, here, files as they are read.
        max_images: Number of training images to keep, sampled by the seed; all if None. Test images are all kept.
            Damaged files are sampled too; skipping them later does not change the other images.
        seed: Seed of that sample.
        normalise: Whether to subtract the mean and divide by the deviation of the pixels, or of ImageNet for files;
            otherwise the result is pixels / 255.
        further: Values of the further keys of the row.
        on_damaged: Action for unreadable files: refuse the data set, or skip these files.
        skip: Paths of files below the folder to leave out. With a list no file is opened here, since an earlier call
            has found them. None opens every file that the index does not know.
        reading: Called while image files are opened.

    Raises:
        InputError: If an argument or a file is invalid. The message begins with the key to change:
            ``data.name``, ``data.path``, ``data.resolution``, ``data.max_images`` or ``data.on_damaged``.
    """
    source = DATASETS.row(name)
    if not isinstance(source, ImageSource):
        return _text(name, source, path, further or {})
    _check_resolution(resolution)
    found = _read(name, path, further or {})
    keep = _draw_subset(found.num_images, max_images, seed)
    resolution = resolution or source.resolution
    if isinstance(found, ImageFiles):
        dataset = _of_files(name, found, keep, resolution or _FILE_RESOLUTION, on_damaged, skip, reading)
    else:
        dataset = _of_arrays(name, found, keep, resolution or found.train_images.shape[1])
    mean, std = _statistics(dataset) if normalise else (_BLACK, _WHITE)
    return replace(dataset, mean=mean, std=std, flip=source.flip)


def _check_resolution(resolution: int | None) -> None:
    """Checks the resolution that images are resized to.

    Raises:
        InputError: If it is less than a pixel.
    """
    if resolution is not None and resolution < 1:
        raise InputError(f"data.resolution: expected at least 1 pixel, got {resolution}; raise it or leave it out")


def _text(name: str, source: DataSource, path: str | None, further: Mapping[str, Any]) -> TextDataset:
    """Returns a text.

    Raises:
        InputError: If the row has options that are not those of a text, or reads something else.
    """
    options = source.options.model_validate(dict(further))
    if not isinstance(options, TextOptions):
        raise InputError(
            f"data.name: expected the options of {echo(name)} to be a subclass of TextOptions; derive them"
        )
    found = _described(name, lambda: source.read(path, options))
    if not isinstance(found, TextArrays):
        raise InputError(
            f"data.name: expected {echo(name)} to return TextArrays, got {type(found).__name__}; correct its function"
        )
    return text_dataset(name, found, options)


def _described(name: str, read: Callable[[], Any]) -> Any:
    """Returns what a data set reads, and names the data set where reading one of the user's own fails.

    Raises:
        InputError: If it does.
    """
    try:
        return read()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        if not is_own(name):
            raise
        raise InputError(f"data.name: reading {echo(name)} ends in {described(error)}; correct its function") from error


def _statistics(dataset: Dataset) -> tuple[Channels, Channels]:
    """Returns mean and deviation of the training pixels, or those of ImageNet for files."""
    images = dataset.train.images
    return (_IMAGENET_MEAN, _IMAGENET_STD) if isinstance(images, tuple) else _pixel_statistics(images)


def _read(name: str, path: str | None, further: Mapping[str, Any]) -> Arrays | ImageFiles:
    """Reads a data set by its row, and returns the checked result.

    Raises:
        InputError: If the result does not match the row, or reading fails.
    """
    source = DATASETS.row(name)
    found: Arrays | ImageFiles = _described(
        name, lambda: source.read(path, source.options.model_validate(dict(further)))
    )
    expected = ImageFiles if source.reads_files else Arrays
    if not isinstance(found, expected):
        raise InputError(
            f"data.name: expected {echo(name)} to return {expected.__name__}, got {type(found).__name__}; correct its "
            "function, or reads_files of its row"
        )
    return _checked(found, name) if isinstance(found, Arrays) else found


def _checked(arrays: Arrays, name: str) -> Arrays:
    """Returns the arrays with three channels and int64 labels.

    Raises:
        InputError: If they do not match `Arrays`.
    """
    for part, images, labels in (
        ("train", arrays.train_images, arrays.train_labels),
        ("test", arrays.test_images, arrays.test_labels),
    ):
        check_part("data.name", name, part, images, labels)
        if labels.max() >= arrays.num_classes:
            raise InputError(
                f"data.name: expected {part}_labels of {name} below num_classes ({arrays.num_classes}), got "
                f"{labels.max()}; number the classes from 0, or raise num_classes"
            )
    check_sizes("data.name", name, arrays.train_images, arrays.test_images)
    return replace(
        arrays,
        train_images=_coloured(arrays.train_images),
        train_labels=arrays.train_labels.astype(np.int64, copy=False),
        test_images=_coloured(arrays.test_images),
        test_labels=arrays.test_labels.astype(np.int64, copy=False),
    )


def _coloured(images: np.ndarray) -> np.ndarray:
    """Returns images with three channels; grey is repeated."""
    return images if images.shape[3] == 3 else np.repeat(images, 3, axis=3)


def _of_arrays(name: str, arrays: Arrays, keep: np.ndarray, resolution: int) -> Dataset:
    """Returns the training images at the positions `keep`, and all test images, resized."""
    train_images = _resize(arrays.train_images[keep], resolution)
    test_images = _resize(arrays.test_images, resolution)
    return Dataset(
        name=name,
        train=ImageSet(train_images, arrays.train_labels[keep], keep),
        test=ImageSet(test_images, arrays.test_labels, np.arange(len(arrays.test_labels))),
        num_classes=arrays.num_classes,
        resolution=resolution,
        mean=_BLACK,
        std=_WHITE,
        crop_padding=round(resolution / 8),
        flip=True,
        classes=arrays.classes,
    )


def _of_files(
    name: str,
    folder: ImageFiles,
    keep: np.ndarray,
    resolution: int,
    on_damaged: Literal["refuse", "skip"],
    skip: Collection[str] | None,
    reading: Reading | None,
) -> Dataset:
    """Returns the training images at the positions `keep`, and all test images, without skipped images."""
    sampled = ImageSet(tuple(folder.train.files[position] for position in keep), folder.train.labels[keep], keep)
    test = ImageSet(folder.test.files, folder.test.labels, np.arange(len(folder.test.files)))
    assert isinstance(sampled.images, tuple)
    damaged: Mapping[str, str] = dict.fromkeys(skip or (), "")
    conversions: Mapping[str, int] = {}
    notes: tuple[str, ...] = ()
    if skip is None:
        needed("pyarrow.parquet", "files", f"data.name: {name}")
        from raynas.data.image_index import index_images

        index = index_images(folder.root, (*sampled.images, *folder.test.files), reading)
        damaged, conversions = index.damaged, index.conversions
        if index.not_stored:
            notes = (f"the index of images was not stored, so that every start reads them all: {index.not_stored}",)
        if damaged and on_damaged == "refuse":
            reasons = some_of([f"{file} ({reason})" for file, reason in damaged.items()], 10)
            raise InputError(
                f"data.path: expected image files in {folder.root}, but {len(damaged):,} of "
                f"{len(sampled.images) + len(folder.test.files):,} cannot be read: {reasons}; replace or remove them, "
                "or set data.on_damaged to skip"
            )
    dataset = Dataset(
        name=name,
        train=_without(sampled, folder.root, damaged),
        test=_without(test, folder.root, damaged),
        num_classes=len(folder.classes),
        resolution=resolution,
        mean=_BLACK,
        std=_WHITE,
        crop_padding=0,
        flip=True,
        classes=folder.classes,
        damaged=damaged,
        ignored=folder.ignored,
        conversions=conversions,
        notes=notes,
    )
    for part in (dataset.train, dataset.test):
        if not len(part):
            raise InputError(f"data.path: none of the images of a part of {folder.root} can be read; replace them")
    return dataset


def _without(images: ImageSet, root: Path, damaged: Collection[str]) -> ImageSet:
    """Returns the images without the damaged ones, which are given by their paths below the root."""
    assert isinstance(images.images, tuple)
    if not damaged:
        return images
    paths = {str(root / name) for name in damaged}
    skipped = np.array([file in paths for file in images.images], dtype=bool)
    kept = np.flatnonzero(~skipped)
    files = tuple(images.images[position] for position in kept)
    return ImageSet(files, images.labels[kept], images.index[kept], np.flatnonzero(skipped))


def _draw_subset(num_images: int, max_images: int | None, seed: int) -> np.ndarray:
    """Returns the sorted positions of the images to keep, int64."""
    everything = np.arange(num_images)
    if max_images is None:
        return everything
    if not 1 <= max_images <= num_images:
        raise InputError(
            f"data.max_images: expected 1 to {num_images} (the training images there are), got {max_images}; "
            "lower it, or leave it out to take all"
        )
    return np.sort(np.argsort(hash_bits(seed, Stream.SUBSET, 0, everything))[:max_images])


def _resize(images: np.ndarray, resolution: int) -> np.ndarray:
    """Returns the images at another resolution (bilinear, antialiased), (n, resolution, resolution, 3) uint8."""
    images = np.ascontiguousarray(images)
    if images.shape[1] == resolution:
        return images
    resized = np.empty((len(images), resolution, resolution, 3), np.uint8)
    for start in range(0, len(images), _CHUNK):
        chunk = torch.from_numpy(images[start : start + _CHUNK]).permute(0, 3, 1, 2)
        smooth = F.interpolate(chunk, (resolution, resolution), mode="bilinear", antialias=True)
        resized[start : start + _CHUNK] = smooth.permute(0, 2, 3, 1).numpy()
    return resized


def _pixel_statistics(images: np.ndarray) -> tuple[Channels, Channels]:
    """Returns the mean and the standard deviation of the three channels, in [0, 1] units, from exact integer sums."""
    total = np.zeros(3, np.uint64)
    total_squares = np.zeros(3, np.uint64)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        total += chunk.sum(0, dtype=np.uint64).sum((0, 1))
        total_squares += np.multiply(chunk, chunk, dtype=np.uint16).sum(0, dtype=np.uint64).sum((0, 1))
    count = images.size // 3
    mean = total / count
    std = np.sqrt(np.maximum(total_squares / count - mean**2, 1.0))
    red, green, blue = (mean / 255).astype(np.float32).tolist()
    red_std, green_std, blue_std = (std / 255).astype(np.float32).tolist()
    return (red, green, blue), (red_std, green_std, blue_std)
