"""CIFAR-10 and CIFAR-100: 50,000 training and 10,000 test images of 32 x 32 pixels, as torchvision stores them."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from raynas.data.image_source import Arrays, ImageSource, KnownSize
from raynas.data.messages import one_line
from raynas.errors import InputError
from raynas.options import Options


def read_cifar(path: str | None, options: Options, *, variant: str, num_classes: int) -> Arrays:
    """Returns the torchvision data set of that class name, downloading it where it is absent."""
    from torchvision import datasets

    root = Path(path or "data").expanduser()
    try:
        train, test = (getattr(datasets, variant)(root, train=part, download=True) for part in (True, False))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"data.path: expected {variant} as torchvision stores it in {root}, where it is missing or damaged, and "
            f"the download failed ({one_line(error)}); put it there, or point data.path at where it is"
        ) from error
    labels = (np.asarray(part.targets, np.int64) for part in (train, test))
    return Arrays(train.data, next(labels), test.data, next(labels), num_classes, tuple(train.classes))


CIFAR10 = ImageSource(
    "cifar10",
    "CIFAR-10",
    functools.partial(read_cifar, variant="CIFAR10", num_classes=10),
    is_downloaded=True,
    known=KnownSize("CIFAR-10", 50_000, 10, 32),
)

CIFAR100 = ImageSource(
    "cifar100",
    "CIFAR-100",
    functools.partial(read_cifar, variant="CIFAR100", num_classes=100),
    is_downloaded=True,
    known=KnownSize("CIFAR-100", 50_000, 100, 32),
)
