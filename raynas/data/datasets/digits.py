"""Handwritten digits: 1,797 scans of 8 x 8 pixels that scikit-learn brings along. Nothing is downloaded."""

from __future__ import annotations

import numpy as np

from raynas.data.dataset import split_indices
from raynas.data.image_source import Arrays, ImageSource
from raynas.options import Options


def read_digits(path: str | None, options: Options) -> Arrays:
    """Returns scikit-learn's 8x8 digits as grey RGB, split 80/20 in a way that no seed changes."""
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    grey = np.rint(scans.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    images, labels = np.repeat(grey, 3, axis=3), labels.astype(np.int64)
    train, test = split_indices(len(labels), 0.8, seed=0)
    return Arrays(images[train], labels[train], images[test], labels[test], 10, tuple("0123456789"))


DIGITS = ImageSource("digits", "digits", read_digits, flip=False)
