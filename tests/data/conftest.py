from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from raynas.data import DATASETS, Dataset, ImageSet, load_dataset
from tests.data.miniatures import (
    NUM_TRAIN,
    marked_images,
    marked_labels,
    write_cifar,
    write_folder,
    write_imagenet16,
    write_npz,
)


@pytest.fixture(params=[name for name, row in DATASETS.rows().items() if row.holds == "images"])
def dataset_of(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Dataset]:
    """What loads each data set of images in miniature, with further arguments of `load_dataset`."""
    write: dict[str, Callable[[], str | None]] = {
        "digits": lambda: None,
        "cifar10": lambda: write_cifar(tmp_path, monkeypatch, "CIFAR10", "labels", 10),
        "cifar100": lambda: write_cifar(tmp_path, monkeypatch, "CIFAR100", "fine_labels", 100),
        "imagenet16-120": lambda: write_imagenet16(tmp_path),
        "npz": lambda: write_npz(tmp_path / "marked.npz"),
        "folder": lambda: write_folder(tmp_path),
    }
    resolution = 16 if request.param == "folder" else None
    return partial(load_dataset, request.param, path=write[request.param](), resolution=resolution)


@pytest.fixture
def dataset(dataset_of: Callable[..., Dataset]) -> Dataset:
    return dataset_of()


@pytest.fixture
def marked() -> Dataset:
    """An in-memory data set of 40 marked images, normalised so that batches hold the pixels as they are."""
    images = ImageSet(marked_images(NUM_TRAIN, 12), marked_labels(NUM_TRAIN, 5), np.arange(NUM_TRAIN))
    return Dataset("npz", images, images, 5, 12, (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), 2, True)
