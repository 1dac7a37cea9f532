"""Handwritten digits: 1,797 scans of 8 x 8 pixels that scikit-learn brings along. Nothing is downloaded."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np

from raynas.data.dataset import split_indices
from raynas.data.image_source import Arrays, ImageSource
from raynas.optional import check_installed
from raynas.options import Options


def read_digits(path: str | None, options: Options) -> Arrays:
    """Returns scikit-learn's 8x8 digits as grey RGB, split 80/20 in a way that no seed changes."""
    with gzip.open(_file(), "rt") as stream:
        table = np.loadtxt(stream, delimiter=",")
    grey = np.rint(table[:, :64].reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    images, labels = np.repeat(grey, 3, axis=3), table[:, 64].astype(np.int64)
    train, test = split_indices(len(labels), 0.8, seed=0)
    return Arrays(images[train], labels[train], images[test], labels[test], 10, tuple("0123456789"))


def _file() -> Path:
    """Returns the file of the digits: 64 grey values from 0 to 16 and the label in each row.

    It is found without the import of scikit-learn, which takes longer than the whole start of a run.
    """
    check_installed("sklearn", "digits", "data.name: digits")
    found = importlib.util.find_spec("sklearn")
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"


DIGITS = ImageSource("digits", "digits", read_digits, flip=False)
