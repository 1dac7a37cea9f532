"""Preprocessing of one image equals raynas' own evaluation: to the bit for data in memory and for image files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from raynas.data import fix_images, load_dataset
from raynas.errors import InputError
from raynas.networks.preprocessing import preprocess, preprocessing_of, read_image, timm_config
from raynas.records.network_record import Preprocessing

CPU = torch.device("cpu")


def evaluated(dataset: Any, images: Any, labels: np.ndarray, positions: np.ndarray) -> torch.Tensor:
    """Returns the inputs of networks in raynas' own evaluation, ``(n, 3, resolution, resolution)``."""
    fixed = fix_images(dataset, images, positions, labels)
    return torch.cat([batch for batch, _ in fixed.batches(7, CPU)])


@pytest.mark.parametrize("normalise", [True, False])
def test_images_in_memory_become_the_same_to_the_bit(normalise: bool) -> None:
    dataset = load_dataset("digits", normalise=normalise)
    positions = np.array([3, 0, 700, 41])
    expected = evaluated(dataset, dataset.train, dataset.train.labels, positions)
    transform = preprocess(preprocessing_of(dataset))
    arrays = [dataset.train.images[position] for position in positions]
    assert torch.equal(torch.stack([transform(pixels) for pixels in arrays]), expected)
    assert torch.equal(torch.stack([transform(Image.fromarray(pixels)) for pixels in arrays]), expected)
    assert torch.equal(torch.stack([transform(Image.fromarray(pixels).convert("L")) for pixels in arrays]), expected)


@pytest.mark.parametrize("resolution", [5, 16, 32])
def test_images_in_memory_are_resized_to_the_same_bits(resolution: int) -> None:
    resized, original = load_dataset("digits", resolution=resolution), load_dataset("digits")
    positions = np.arange(20)
    expected = evaluated(resized, resized.train, resized.train.labels, positions)
    transform = preprocess(preprocessing_of(resized))
    found = torch.stack([transform(original.train.images[position]) for position in positions])
    assert torch.equal(found, expected)


def folder_of_images(root: Path) -> Path:
    """Writes image files of several modes, sizes and orientations."""
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in ("a", "b"):
            folder = root / part / name
            folder.mkdir(parents=True)
            colours = rng.integers(0, 256, (37, 50, 3), dtype=np.uint8)
            Image.fromarray(colours).save(folder / "rgb.png")
            Image.fromarray(colours[:, :, 0]).save(folder / "grey.png")
            Image.fromarray(colours).convert("P").save(folder / "palette.png")
            Image.fromarray(np.dstack([colours, colours[:, :, :1]])).save(folder / "transparent.png")
            Image.fromarray(colours[:, :, 0].astype(np.uint16) * 257).save(folder / "deep.png")
            turned = Image.Exif()
            turned[0x0112] = 6
            Image.fromarray(colours).save(folder / "turned.jpg", exif=turned)
    return root


@pytest.mark.parametrize("resolution", [24, 48])
def test_image_files_become_the_same_to_the_bit(tmp_path: Path, resolution: int) -> None:
    dataset = load_dataset("folder", path=str(folder_of_images(tmp_path)), resolution=resolution)
    expected = evaluated(dataset, dataset.train, dataset.train.labels, np.arange(len(dataset.train)))
    stated = preprocessing_of(dataset)
    assert stated.resize == round(resolution * 256 / 224)
    transform = preprocess(stated)
    assert isinstance(dataset.train.images, tuple)
    assert len(dataset.train.images) == 12
    found = torch.stack([read_image(file, transform) for file in dataset.train.images])
    assert torch.equal(found, expected)
    opened = torch.stack([transform(Image.open(file)) for file in dataset.train.images])
    assert torch.equal(opened, expected)


def test_the_numbers_are_those_of_the_textbook() -> None:
    stated = Preprocessing(resolution=8, mean=[0.5, 0.25, 0.1], std=[0.2, 0.3, 0.4], resize=8)
    pixels = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    expected = (pixels / 255 - [0.5, 0.25, 0.1]) / [0.2, 0.3, 0.4]
    np.testing.assert_allclose(preprocess(stated)(pixels).numpy(), expected.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 20), (20, 40), (3, 200), (44, 40)])
@pytest.mark.parametrize("resized_by", ["torch", "pillow"])
def test_images_of_any_shape_are_cropped_to_the_centre(shape: tuple[int, int], resized_by: str) -> None:
    stated = Preprocessing(resolution=8, mean=[0, 0, 0], std=[1, 1, 1], resize=10, resized_by=resized_by)
    ramp = np.linspace(0, 255, max(shape)).astype(np.uint8)  # along the longer side, so its middle is half of white
    pixels = np.broadcast_to(ramp[:, None] if shape[0] > shape[1] else ramp, shape)
    seen = preprocess(stated)(pixels)
    assert seen.shape == (3, 8, 8)
    assert float(seen.mean()) == pytest.approx(0.5, abs=0.06)  # an odd rest is cut off on one side
    along = seen[0].mean(1 if shape[0] > shape[1] else 0)
    share = 8 / 10 * min(shape) / max(shape)  # of the longer side that the crop keeps
    assert float(along[-1] - along[0]) == pytest.approx(share * 7 / 8, abs=0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros(8, np.uint8),
        "cat.png",
    ],
    ids=["floats", "channels first", "four channels", "empty", "a line", "a name"],
)
@pytest.mark.parametrize("resized_by", ["torch", "pillow"])
def test_what_is_no_image_is_refused(wrong: Any, resized_by: str) -> None:
    stated = Preprocessing(resolution=8, mean=[0, 0, 0], std=[1, 1, 1], resize=8, resized_by=resized_by)
    with pytest.raises(InputError, match="image: expected an image of Pillow or a uint8 array"):
        preprocess(stated)(wrong)


def test_a_file_that_is_no_image_is_named_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_text("meow")
    stated = Preprocessing(resolution=8, mean=[0, 0, 0], std=[1, 1, 1], resize=8)
    with pytest.raises(InputError) as refused:
        read_image(str(file), preprocess(stated))
    assert str(refused.value).startswith(
        f"expected {file} to be an image, but it was not read: it is in no image format"
    )


def test_the_words_of_timm_say_the_same_crop() -> None:
    files = Preprocessing(resolution=224, mean=[0.4, 0.4, 0.4], std=[0.2, 0.2, 0.2], resize=256, resized_by="pillow")
    config = timm_config(files)
    assert config["input_size"] == (3, 224, 224)
    assert round(config["input_size"][1] / config["crop_pct"]) == 256
    assert timm_config(files.model_copy(update={"resize": 224}))["crop_pct"] == 1.0
