"""The image sets that a search can run on, read from where they lie and checked at the door."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch.nn import functional as F

from raynas.data import downsampled_imagenet
from raynas.data.hashing import Stream, hash_bits
from raynas.data.messages import one_line, some_of

if TYPE_CHECKING:  # torchvision and pyarrow are slow to import, and only image folders need them
    from raynas.data.folders import Folder
    from raynas.data.image_index import Reading

DATASETS = ("digits", "cifar10", "cifar100", "imagenet16-120", "npz", "folder")

_FOLDER_RESOLUTION = 224
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_BLACK, _WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_CHUNK = 4096  # images at a time, where the whole set in a wider type would be too much


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images of one part (train or test) of a data set.

    Attributes:
        images: (n, height, width, 3) uint8, or the n paths of image files.
        labels: (n,) int64, the true labels.
        index: (n,) int64, each image's position in the full part, before ``max_images`` picked some and before damaged
            files were skipped. Random labels and augmentation are drawn by it, so a subset's images keep theirs.
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
        name: one of `DATASETS`.
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


@dataclass(frozen=True, eq=False)
class _Arrays:
    """What a reader of in-memory images returns: uint8 (n, size, size, 3) images, int64 (n,) labels, class names."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    num_classes: int
    classes: tuple[str, ...] | None = None


def load_dataset(
    name: str,
    *,
    path: str | None = None,
    resolution: int | None = None,
    max_images: int | None = None,
    seed: int = 0,
    normalise: bool = True,
    on_damaged: Literal["refuse", "skip"] = "refuse",
    skip: Collection[str] | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """Returns a data set with the normalisation and augmentation that suit it.

    ================ ============================================================================ ================
    name             read from ``path``                                                           resolution
    ================ ============================================================================ ================
    digits           nothing: 1,797 scans that scikit-learn brings along, split 80/20             8
    cifar10, -100    torchvision's folder (default ``data``), downloaded into it if absent        32
    imagenet16-120   the folder of ``train_data_batch_1`` ... ``_10`` and ``val_data``            16
    npz              a file of train_images, train_labels, test_images, test_labels:              as they are
                     uint8 (n, size, size, 3 or 1) and integers (n,); class_names is optional
    folder           ``train/<class>/*`` and ``val/<class>/*`` (or ``test``); read file by file   224
    ================ ============================================================================ ================

    Args:
        name: one of `DATASETS`.
        path: where the files lie; see the table.
        resolution: height and width in pixels. In-memory images are resized once, here, files as they are read.
        max_images: how many of the training images to keep, drawn by seed; all if None. Test images are all kept.
            Damaged files are drawn too: skipping them later leaves fewer, and does not change the others.
        seed: seed of that draw.
        normalise: whether a network sees the pixels less their mean and divided by their deviation, those of ImageNet
            for files; else pixels / 255.
        on_damaged: what to do if files of a folder cannot be read: refuse the folder, or skip these files.
        skip: paths of files below the folder to leave out. Given, no file is opened here: an earlier call has found
            them, in this process or in another. None opens every file that the index does not know.
        reading: called while image files are opened.

    Raises:
        ValueError: if an argument or a file is not as described. The message begins with the key to change:
            ``data.name``, ``data.path``, ``data.resolution``, ``data.max_images`` or ``data.on_damaged``.
    """
    if name not in DATASETS:
        raise ValueError(f"data.name: expected one of {', '.join(DATASETS)}, got {name!r}; choose one of them")
    if resolution is not None and resolution < 1:
        raise ValueError(f"data.resolution: expected at least 1 pixel, got {resolution}; raise it or leave it out")
    if name == "folder":
        from raynas.data.folders import list_folder

        folder = list_folder(_given(path, name))
        keep = _draw_subset(len(folder.train.files), max_images, seed)
        dataset = _folder_dataset(folder, keep, resolution or _FOLDER_RESOLUTION, on_damaged, skip, reading)
        return dataset if normalise else replace(dataset, mean=_BLACK, std=_WHITE)
    arrays = _ARRAY_READERS[name](path)
    resolution = resolution or arrays.train_images.shape[1]
    keep = _draw_subset(len(arrays.train_labels), max_images, seed)
    train_images = _resize(arrays.train_images[keep], resolution)
    train = ImageSet(train_images, arrays.train_labels[keep], keep)
    test = ImageSet(_resize(arrays.test_images, resolution), arrays.test_labels, np.arange(len(arrays.test_labels)))
    mean, std = _pixel_statistics(train_images) if normalise else (_BLACK, _WHITE)
    return Dataset(
        name=name,
        train=train,
        test=test,
        num_classes=arrays.num_classes,
        resolution=resolution,
        mean=mean,
        std=std,
        crop_padding=round(resolution / 8),
        flip=name != "digits",
        classes=arrays.classes,
    )


def split_images(images: ImageSet, train_portion: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of the train part and of the search part in a set of images, each sorted int64.

    Skipped images are split with the others, then left out: the others are in the part that they would be in anyway.

    Args:
        images: the set to split.
        train_portion: as `split_indices` takes it.
        seed: as `split_indices` takes it.

    Raises:
        ValueError: as `split_indices` does.
    """
    num_drawn = len(images) + len(images.skipped)
    train, search = split_indices(num_drawn, train_portion, seed)
    if not len(images.skipped):
        return train, search
    kept = np.delete(np.arange(num_drawn), images.skipped)
    return np.flatnonzero(np.isin(kept, train)), np.flatnonzero(np.isin(kept, search))


def split_indices(num_images: int, train_portion: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of the train part and of the search part, each sorted int64; together [0, num_images).

    Args:
        num_images: how many images there are to split.
        train_portion: the train part's share, in (0, 1]; 1 leaves the search part empty.
        seed: which of the many splits.

    Raises:
        ValueError: if the portion is outside (0, 1], or so small that no image is left to train on.
    """
    num_train = round(num_images * train_portion) if 0 < train_portion <= 1 else 0
    if num_train == 0:
        raise ValueError(
            f"data.train_portion: expected a share in (0, 1] that leaves at least 1 of {num_images} images to "
            f"train on, got {train_portion}; set it to 0.5 for halves or to 1 for all"
        )
    order = np.argsort(hash_bits(seed, Stream.SPLIT, 0, np.arange(num_images)))
    return np.sort(order[:num_train]), np.sort(order[num_train:])


def _given(path: str | None, name: str) -> Path:
    """Returns the path that a data set without a default place is read from."""
    if path is None:
        raise ValueError(f"data.path: data set '{name}' is read from your disk, got no path; say where it lies")
    return Path(path).expanduser()


def _draw_subset(num_images: int, max_images: int | None, seed: int) -> np.ndarray:
    """Returns the sorted positions of the images to keep, int64."""
    everything = np.arange(num_images)
    if max_images is None:
        return everything
    if not 1 <= max_images <= num_images:
        raise ValueError(
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


def _pixel_statistics(images: np.ndarray) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
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


def _read_digits(path: str | None) -> _Arrays:
    """Returns scikit-learn's 8x8 digits as grey RGB, split 80/20 in a way that no seed changes."""
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    grey = np.rint(scans.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    images, labels = np.repeat(grey, 3, axis=3), labels.astype(np.int64)
    train, test = split_indices(len(labels), 0.8, seed=0)
    return _Arrays(images[train], labels[train], images[test], labels[test], 10, tuple("0123456789"))


def _read_cifar10(path: str | None) -> _Arrays:
    """Returns CIFAR-10 as torchvision reads it."""
    return _read_cifar("CIFAR10", path, num_classes=10)


def _read_cifar100(path: str | None) -> _Arrays:
    """Returns CIFAR-100 as torchvision reads it."""
    return _read_cifar("CIFAR100", path, num_classes=100)


def _read_cifar(variant: str, path: str | None, num_classes: int) -> _Arrays:
    """Returns the torchvision data set of that class name, downloading it where it is absent."""
    from torchvision import datasets

    root = Path(path or "data").expanduser()
    try:
        train, test = (getattr(datasets, variant)(root, train=part, download=True) for part in (True, False))
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"data.path: expected {variant} as torchvision stores it in {root}, where it is missing or damaged, and "
            f"the download failed ({one_line(error)}); put it there, or point data.path at where it is"
        ) from error
    labels = (np.asarray(part.targets, np.int64) for part in (train, test))
    return _Arrays(train.data, next(labels), test.data, next(labels), num_classes, tuple(train.classes))


def _read_imagenet16(path: str | None) -> _Arrays:
    """Returns ImageNet16-120 from NAS-Bench-201's files."""
    folder = _given(path, "imagenet16-120")
    train = downsampled_imagenet.read_imagenet16(folder, "train")
    test = downsampled_imagenet.read_imagenet16(folder, "test")
    return _Arrays(*train, *test, num_classes=downsampled_imagenet.NUM_CLASSES)


def _read_npz(path: str | None) -> _Arrays:
    """Returns the four arrays of a user's own file."""
    file = _given(path, "npz")
    what = "an .npz file of train_images, train_labels, test_images and test_labels"
    try:
        with file.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it holds a single array without a name")
            arrays = {
                f"{part}_{kind}": archive[f"{part}_{kind}"]
                for part in ("train", "test")
                for kind in ("images", "labels")
            }
            names = archive["class_names"] if "class_names" in archive else None
    except KeyError as error:
        raise ValueError(f"data.path: expected {file} to be {what}; {error.args[0]}; add the array") from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"data.path: expected {file} to be {what}, but it was not read: {one_line(error)}; "
            "write it with numpy.savez"
        ) from error
    for part in ("train", "test"):
        _check_part(file, part, arrays[f"{part}_images"], arrays[f"{part}_labels"])
    sizes = {part: arrays[f"{part}_images"].shape[1] for part in ("train", "test")}
    if sizes["train"] != sizes["test"]:
        raise ValueError(
            f"data.path: expected train_images and test_images of {file} in one size, got {sizes['train']} and "
            f"{sizes['test']} pixels; resize one of them"
        )
    images = [np.repeat(arrays[f"{part}_images"], 3 // arrays[f"{part}_images"].shape[3], axis=3) for part in sizes]
    labels = [arrays[f"{part}_labels"].astype(np.int64) for part in sizes]
    classes = _class_names(file, names)
    num_classes = _count_classes(file, np.unique(np.concatenate(labels)), classes)
    return _Arrays(images[0], labels[0], images[1], labels[1], num_classes, classes)


def _class_names(file: Path, names: np.ndarray | None) -> tuple[str, ...] | None:
    """Returns the names of the classes that an .npz file carries; None if it carries none.

    Raises:
        ValueError: If they are no list of different texts.
    """
    if names is None:
        return None
    if names.dtype.kind != "U" or names.ndim != 1 or len(set(names.tolist())) < len(names):
        raise ValueError(
            f"data.path: expected class_names of {file} as a list of different texts, got {names.dtype} {names.shape}; "
            "write them as numpy.array([...]) of strings, or leave them out"
        )
    return tuple(names.tolist())


def _count_classes(file: Path, labels: np.ndarray, classes: tuple[str, ...] | None) -> int:
    """Returns how many classes there are: as many as have names, else the greatest label and one.

    Args:
        file: The file, for messages.
        labels: The labels that occur, sorted.
        classes: The names of the classes, if the file carries them.

    Raises:
        ValueError: If a label has no name, or if most of the numbers up to the greatest label do not occur.
    """
    num_classes = int(labels[-1]) + 1
    if classes is not None:
        if num_classes > len(classes):
            raise ValueError(
                f"data.path: expected labels of {file} below {len(classes)}, the number of its class_names, got "
                f"{labels[-1]}; number the classes from 0, or name all of them"
            )
        return len(classes)
    if 2 * len(labels) < num_classes:
        raise ValueError(
            f"data.path: expected labels of {file} numbered from 0 without large gaps, but only {len(labels):,} of the "
            f"{num_classes:,} numbers up to {labels[-1]} occur ({some_of(map(str, labels), 5)}); number the classes "
            "that there are from 0, or name all of them in class_names"
        )
    return num_classes


def _check_part(file: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Raises ValueError unless the arrays are square uint8 images with one class each."""
    expected = f"data.path: expected {part}_images of {file} as"
    if images.dtype != np.uint8:
        raise ValueError(f"{expected} uint8, got {images.dtype}; scale the pixels to 0..255 and convert them")
    if images.ndim != 4 or images.shape[3] not in (1, 3) or images.shape[1] != images.shape[2] or not images.size:
        raise ValueError(
            f"{expected} (images, size, size, 3 or 1) with at least one image, got {images.shape}; make them square "
            "and put the channels last"
        )
    expected = f"data.path: expected {part}_labels of {file} as"
    if labels.dtype.kind not in "iu" or labels.shape != (len(images),):
        raise ValueError(
            f"{expected} {len(images)} integers, one for each image, got {labels.dtype} {labels.shape}; "
            "give each image the number of its class"
        )
    if labels.min() < 0:
        raise ValueError(f"{expected} 0 or more, got {labels.min()}; number the classes from 0")


def _folder_dataset(
    folder: Folder,
    keep: np.ndarray,
    resolution: int,
    on_damaged: Literal["refuse", "skip"],
    skip: Collection[str] | None,
    reading: Reading | None,
) -> Dataset:
    """Returns the training images at the positions `keep`, and all test images, without those that are skipped."""
    drawn = ImageSet(tuple(folder.train.files[position] for position in keep), folder.train.labels[keep], keep)
    test = ImageSet(folder.test.files, folder.test.labels, np.arange(len(folder.test.files)))
    assert isinstance(drawn.images, tuple)
    damaged: Mapping[str, str] = dict.fromkeys(skip or (), "")
    conversions: Mapping[str, int] = {}
    notes: tuple[str, ...] = ()
    if skip is None:
        from raynas.data.image_index import index_images

        index = index_images(folder.root, (*drawn.images, *folder.test.files), reading)
        damaged, conversions = index.damaged, index.conversions
        if index.not_stored:
            notes = (f"the index of images was not stored, so that every start reads them all: {index.not_stored}",)
        if damaged and on_damaged == "refuse":
            reasons = some_of([f"{name} ({reason})" for name, reason in damaged.items()], 10)
            raise ValueError(
                f"data.path: expected image files in {folder.root}, but {len(damaged):,} of "
                f"{len(drawn.images) + len(folder.test.files):,} cannot be read: {reasons}; replace or remove them, or "
                "set data.on_damaged to skip"
            )
    dataset = Dataset(
        name="folder",
        train=_without(drawn, folder.root, damaged),
        test=_without(test, folder.root, damaged),
        num_classes=len(folder.classes),
        resolution=resolution,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
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
            raise ValueError(f"data.path: none of the images of a part of {folder.root} can be read; replace them")
    return dataset


def _without(images: ImageSet, root: Path, damaged: Collection[str]) -> ImageSet:
    """Returns the images without those whose path below the root is among the damaged ones."""
    assert isinstance(images.images, tuple)
    if not damaged:
        return images
    paths = {str(root / name) for name in damaged}
    skipped = np.array([file in paths for file in images.images], dtype=bool)
    kept = np.flatnonzero(~skipped)
    files = tuple(images.images[position] for position in kept)
    return ImageSet(files, images.labels[kept], images.index[kept], np.flatnonzero(skipped))


_ARRAY_READERS: dict[str, Callable[[str | None], _Arrays]] = {
    "digits": _read_digits,
    "cifar10": _read_cifar10,
    "cifar100": _read_cifar100,
    "imagenet16-120": _read_imagenet16,
    "npz": _read_npz,
}
