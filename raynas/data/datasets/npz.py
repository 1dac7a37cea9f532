"""A file of your own: an .npz file of train_images, train_labels, test_images, test_labels, perhaps class_names."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from raynas.data.image_source import Arrays, ImageSource, check_part, check_sizes, given_path
from raynas.data.messages import one_line, some_of
from raynas.errors import InputError
from raynas.options import Options

_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def read_npz(path: str | None, options: Options) -> Arrays:
    """Returns the four arrays of a user's own file."""
    file = given_path(path, "npz")
    what = "an .npz file of train_images, train_labels, test_images and test_labels"
    try:
        with file.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise InputError("it holds a single array without a name")
            arrays = {name: archive[name] for name in _ARRAYS}
            names = archive["class_names"] if "class_names" in archive else None
    except KeyError as error:
        raise InputError(f"data.path: expected {file} to be {what}; {error.args[0]}; add the array") from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"data.path: expected {file} to be {what}, but it was not read: {one_line(error)}; "
            "write it with numpy.savez"
        ) from error
    for part in ("train", "test"):
        check_part("data.path", file, part, arrays[f"{part}_images"], arrays[f"{part}_labels"])
    check_sizes("data.path", file, arrays["train_images"], arrays["test_images"])
    labels = np.unique(np.concatenate([arrays["train_labels"], arrays["test_labels"]]).astype(np.int64))
    classes = _class_names(file, names)
    return Arrays(**arrays, num_classes=_count_classes(file, labels, classes), classes=classes)


def _class_names(file: Path, names: np.ndarray | None) -> tuple[str, ...] | None:
    """Returns the class names in an .npz file; None if there are none.

    Raises:
        InputError: If they are no list of different texts.
    """
    if names is None:
        return None
    if names.dtype.kind != "U" or names.ndim != 1 or len(set(names.tolist())) < len(names):
        raise InputError(
            f"data.path: expected class_names of {file} as a list of different texts, got {names.dtype} {names.shape}; "
            "write them as numpy.array([...]) of strings, or leave them out"
        )
    return tuple(names.tolist())


def _count_classes(file: Path, labels: np.ndarray, classes: tuple[str, ...] | None) -> int:
    """Returns how many classes there are: as many as have names, else the greatest label and one.

    Args:
        file: The file, for messages.
        labels: The labels that occur, sorted.
        classes: The names of the classes, if the file has them.

    Raises:
        InputError: If a label has no name, or if most of the numbers up to the greatest label do not occur.
    """
    num_classes = int(labels[-1]) + 1
    if classes is not None:
        if num_classes > len(classes):
            raise InputError(
                f"data.path: expected labels of {file} below {len(classes)}, the number of its class_names, got "
                f"{labels[-1]}; number the classes from 0, or name all of them"
            )
        return len(classes)
    if 2 * len(labels) < num_classes:
        raise InputError(
            f"data.path: expected labels of {file} numbered from 0 without large gaps, but only {len(labels):,} of the "
            f"{num_classes:,} numbers up to {labels[-1]} occur ({some_of(map(str, labels), 5)}); number the classes "
            "that there are from 0, or name all of them in class_names"
        )
    return num_classes


NPZ = ImageSource("npz", "images of an .npz file", read_npz, needs_path=True)
