"""The image sets that a search can run on, read from where they lie and checked at the door."""

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from raynas.data import downsampled_imagenet
from raynas.data.hashing import Stream, hash_bits
from raynas.data.messages import one_line

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
        index: (n,) int64, each image's position in the full part, before ``max_images`` picked some. Random labels and
            augmentation are drawn by it, so a subset's images keep theirs.
    """

    images: np.ndarray | tuple[str, ...]
    labels: np.ndarray
    index: np.ndarray

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


@dataclass(frozen=True, eq=False)
class _Arrays:
    """What a reader of in-memory images returns: uint8 (n, size, size, 3) images and int64 (n,) labels."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    num_classes: int


def load_dataset(
    name: str,
    *,
    path: str | None = None,
    resolution: int | None = None,
    max_images: int | None = None,
    seed: int = 0,
    normalise: bool = True,
) -> Dataset:
    """Returns a data set with the normalisation and augmentation that suit it.

    ================ ============================================================================ ================
    name             read from ``path``                                                           resolution
    ================ ============================================================================ ================
    digits           nothing: 1,797 scans that scikit-learn brings along, split 80/20             8
    cifar10, -100    torchvision's folder (default ``data``), downloaded into it if absent        32
    imagenet16-120   the folder of ``train_data_batch_1`` ... ``_10`` and ``val_data``            16
    npz              a file of train_images, train_labels, test_images, test_labels:              as they are
                     uint8 (n, size, size, 3 or 1) and integers (n,)
    folder           ``train/<class>/*`` and ``val/<class>/*`` (or ``test``); read file by file   224
    ================ ============================================================================ ================

    Args:
        name: one of `DATASETS`.
        path: where the files lie; see the table.
        resolution: height and width in pixels. In-memory images are resized once, here, files as they are read.
        max_images: how many of the training images to keep, drawn by seed; all if None. Test images are all kept.
        seed: seed of that draw.
        normalise: whether a network sees the pixels less their mean and divided by their deviation, those of ImageNet
            for files; else pixels / 255.

    Raises:
        ValueError: if an argument or a file is not as described. The message begins with the key to mend:
            ``data.name``, ``data.path``, ``data.resolution`` or ``data.max_images``.
    """
    if name not in DATASETS:
        raise ValueError(f"data.name: expected one of {', '.join(DATASETS)}, got {name!r}; choose one of them")
    if resolution is not None and resolution < 1:
        raise ValueError(f"data.resolution: expected at least 1 pixel, got {resolution}; raise it or leave it out")
    if name == "folder":
        dataset = _read_folder(_given(path, name), resolution or _FOLDER_RESOLUTION, max_images, seed)
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
    )


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
    return _Arrays(images[train], labels[train], images[test], labels[test], num_classes=10)


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
    return _Arrays(train.data, next(labels), test.data, next(labels), num_classes)


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
    num_classes = int(max(part.max() for part in labels)) + 1
    return _Arrays(images[0], labels[0], images[1], labels[1], num_classes)


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


def _read_folder(root: Path, resolution: int, max_images: int | None, seed: int) -> Dataset:
    """Returns the paths and labels of a folder of folders of images."""
    train, train_classes = _list_images(root / "train")
    test, test_classes = _list_images(root / "val" if (root / "val").is_dir() else root / "test")
    if train_classes != test_classes:
        odd = ", ".join(sorted(set(train_classes) ^ set(test_classes))[:5])
        raise ValueError(
            f"data.path: expected the same classes for training and for testing in {root}, but only one of the two has "
            f"{odd}; add the missing folders"
        )
    keep = _draw_subset(len(train), max_images, seed)
    assert isinstance(train.images, tuple)
    train = ImageSet(tuple(train.images[position] for position in keep), train.labels[keep], keep)
    return Dataset(
        name="folder",
        train=train,
        test=test,
        num_classes=len(train_classes),
        resolution=resolution,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        crop_padding=0,
        flip=True,
    )


def _list_images(folder: Path) -> tuple[ImageSet, list[str]]:
    """Returns the image files below ``folder/<class>/`` and the names of the classes, sorted."""
    from torchvision.datasets import ImageFolder

    try:
        found = ImageFolder(str(folder))
    except OSError as error:
        raise ValueError(
            f"data.path: expected one folder of images a class in {folder}, but {one_line(error)}; "
            "lay the images out as train/<class>/* and val/<class>/*"
        ) from error
    images = ImageSet(
        tuple(file for file, _ in found.samples), np.array(found.targets, np.int64), np.arange(len(found.samples))
    )
    return images, found.classes


_ARRAY_READERS: dict[str, Callable[[str | None], _Arrays]] = {
    "digits": _read_digits,
    "cifar10": _read_cifar10,
    "cifar100": _read_cifar100,
    "imagenet16-120": _read_imagenet16,
    "npz": _read_npz,
}
