"""ImageNet16-120: read from the pickled batches in which it is published, without trusting them."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from raynas.data.image_source import Arrays, ImageSource, KnownSize, given_path
from raynas.data.messages import one_line
from raynas.errors import InputError
from raynas.options import Options

NUM_CLASSES = 120
RESOLUTION = 16
_NUM_PIXELS = 3 * RESOLUTION * RESOLUTION
_FILES = {"train": tuple(f"train_data_batch_{number}" for number in range(1, 11)), "test": ("val_data",)}
# A pickle can call whatever it can name. These names build numpy arrays, as numpy 1 and numpy 2 spell them.
_ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Loads containers, numbers, strings and numpy arrays; refuses to import anything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return super().find_class(module, name)


def _read_batch(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images of the first 120 classes in one file, (n, 16, 16, 3) uint8, and their labels, (n,) int64."""
    expected = f"data.path: expected {file} to be a batch of ImageNet16 (a pickled dict of arrays)"
    remedy = "download the ImageNet16 files of NAS-Bench-201 again"
    if not file.is_file():
        raise InputError(f"{expected}, but there is no such file; point data.path at the folder that holds it")
    try:
        with file.open("rb") as stream:
            batch = _ArrayUnpickler(stream, encoding="latin1").load()
    except Exception as error:  # a damaged pickle may raise anything
        raise InputError(
            f"{expected}, but it was not read: {type(error).__name__}: {one_line(error)}; {remedy}"
        ) from error
    if not isinstance(batch, dict) or not {"data", "labels"} <= batch.keys():
        raise InputError(f"{expected} with the keys 'data' and 'labels', but they are missing; {remedy}")
    pixels, given = batch["data"], batch["labels"]
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (len(pixels), _NUM_PIXELS):
        came = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise InputError(f"{expected} with 'data' of uint8 (n, {_NUM_PIXELS}), got {came}; {remedy}")
    try:
        labels = np.asarray(given)
    except ValueError:  # lists within the list
        labels = np.empty(0)
    if labels.shape != (len(pixels),) or labels.dtype.kind not in "iu":
        raise InputError(f"{expected} with one integer in 'labels' for each of its {len(pixels)} images; {remedy}")
    if len(labels) and not 1 <= labels.min() <= labels.max() <= 1000:
        raise InputError(f"{expected} with 'labels' from 1 to 1000, got {labels.min()} to {labels.max()}; {remedy}")
    kept = labels <= NUM_CLASSES
    images = pixels[kept].reshape(-1, 3, RESOLUTION, RESOLUTION).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels[kept].astype(np.int64) - 1


def read_imagenet16(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images of a part, (n, 16, 16, 3) uint8, and their labels in [0, 120), (n,) int64.

    The files hold all 1,000 classes of ImageNet, numbered from 1; ImageNet16-120 is the first 120 of them.

    Args:
        folder: holds ``train_data_batch_1`` to ``train_data_batch_10`` and ``val_data``.
        part: ``"train"`` or ``"test"``; the latter is ImageNet's validation set.

    Raises:
        InputError: if a file is missing, damaged, holds something else, or asks to import anything but numpy's arrays.

    Reference: Dong & Yang 2020 (NAS-Bench-201) for the subset, Chrabaszcz et al. 2017 for the files.
    """
    images, labels = zip(*(_read_batch(folder / name) for name in _FILES[part]), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def read_both_parts(path: str | None, options: Options) -> Arrays:
    """Returns ImageNet16-120 from NAS-Bench-201's files."""
    folder = given_path(path, "imagenet16-120")
    train, test = (read_imagenet16(folder, part) for part in ("train", "test"))
    return Arrays(*train, *test, num_classes=NUM_CLASSES)


IMAGENET16_120 = ImageSource(
    "imagenet16-120",
    "ImageNet16-120",
    read_both_parts,
    known=KnownSize("ImageNet16-120", 151_700, NUM_CLASSES, RESOLUTION),
    needs_path=True,
)
