"""Every data set of the package in miniature, written to disk in its own format.

Image i of a part is of one colour that spells i, so that a batch tells which images it holds, cropped or not.
"""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raynas.data import Dataset

NUM_TRAIN, NUM_TEST = 40, 12


def marked_images(num_images: int, size: int) -> np.ndarray:
    images = np.full((num_images, size, size, 3), 77, np.uint8)
    images[..., 0] = (np.arange(num_images) % 16 * 15)[:, None, None]
    images[..., 1] = (np.arange(num_images) // 16 * 15)[:, None, None]
    return images


def read_marks(pixels: np.ndarray) -> np.ndarray:
    """Returns the numbers of marked images, (n,), from (n, height, width, 3) uint8, by the pixel in the middle."""
    middle = pixels[:, pixels.shape[1] // 2, pixels.shape[2] // 2].astype(np.int64)
    return middle[:, 0] // 15 + middle[:, 1] // 15 * 16


def to_pixels(dataset: Dataset, batch: torch.Tensor) -> np.ndarray:
    """Returns a normalised batch as the uint8 pixels it was made of, (n, height, width, 3)."""
    assert batch.dtype == torch.float32 and batch.is_contiguous(memory_format=torch.channels_last)
    exact = (batch.permute(0, 2, 3, 1).double() * torch.tensor(dataset.std) + torch.tensor(dataset.mean)) * 255
    pixels = exact.round()
    assert (exact - pixels).abs().max() < 1e-3
    return pixels.to(torch.uint8).numpy()


def marked_labels(num_images: int, num_classes: int) -> np.ndarray:
    return (np.arange(num_images) * 7 + 3) % num_classes


def write_npz(path: Path, **replaced: np.ndarray) -> str:
    arrays = {
        "train_images": marked_images(NUM_TRAIN, 12),
        "train_labels": marked_labels(NUM_TRAIN, 5),
        "test_images": marked_images(NUM_TEST, 12),
        "test_labels": marked_labels(NUM_TEST, 5),
    }
    np.savez(path, **{key: array for key, array in (arrays | replaced).items() if array is not None})
    return str(path)


def rows_channel_first(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_imagenet16(folder: Path) -> str:
    """Writes the files of the 1,000 classes: behind each image of the first 120, one of the rest."""
    folder.mkdir(exist_ok=True)
    names = [f"train_data_batch_{number}" for number in range(1, 11)]
    parts = [(names, NUM_TRAIN), (["val_data"], NUM_TEST)]
    for files, num_images in parts:
        rows = rows_channel_first(marked_images(num_images, 16))
        labels = marked_labels(num_images, 120)
        for file, positions in zip(files, np.array_split(np.arange(num_images), len(files)), strict=True):
            data = np.repeat(rows[positions], 2, axis=0)
            data[1::2] = 255
            numbers = [number for label in labels[positions] for number in (int(label) + 1, 121 + int(label))]
            (folder / file).write_bytes(pickle.dumps({"data": data, "labels": numbers}, protocol=2))
    return str(folder)


def write_folder(root: Path) -> str:
    for part, num_images in (("train", NUM_TRAIN), ("val", NUM_TEST)):
        for number, image in enumerate(marked_images(num_images, 20)):
            folder = root / part / f"class_{number % 4}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number:04}.png")
    return str(root)


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch, variant: str, label_key: str, num_classes: int) -> str:
    """Writes CIFAR's files as torchvision reads them, and tells torchvision their checksums."""
    import torchvision

    kind = getattr(torchvision.datasets, variant)
    folder = root / kind.base_folder
    folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, content: dict[str, object]) -> list[str]:
        payload = pickle.dumps(content, protocol=2)
        (folder / name).write_bytes(payload)
        return [name, hashlib.md5(payload).hexdigest()]

    for part, num_images in (("train", NUM_TRAIN), ("test", NUM_TEST)):
        rows = rows_channel_first(marked_images(num_images, 32))
        labels = marked_labels(num_images, num_classes).tolist()
        half = num_images // 2
        files = [
            write(f"{part}_{first}", {"data": rows[first : first + half], label_key: labels[first : first + half]})
            for first in (0, half)
        ]
        monkeypatch.setattr(kind, f"{part}_list", files)
    name, checksum = write("names", {"names": [str(number) for number in range(num_classes)]})
    monkeypatch.setattr(kind, "meta", {"filename": name, "key": "names", "md5": checksum})
    return str(root)
