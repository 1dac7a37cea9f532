"""What a run file says of its data reaches the batches that are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from raynas.config import parse_config
from raynas.orchestration.task import make_task
from tests.data.miniatures import write_folder

CPU = torch.device("cpu")


def noise_folder(folder: Path) -> dict[str, Any]:
    """Returns the section of a folder of images of noise, wider than high."""
    write_folder(folder)
    rng = np.random.default_rng(0)
    for file in folder.rglob("*.png"):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(file)
    return {"name": "folder", "path": str(folder), "resolution": 16}


def first_batch(**data: Any) -> torch.Tensor:
    """Returns the images of the first batch."""
    values = {"name": "x", "space": {"name": "nasbench201"}, "data": data, "train": {"batch_size": 8}}
    images, _ = next(iter(make_task(parse_config(values)).train_batches(0, CPU).epoch(0)))
    return images


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("digits", {"normalise": False}),
        ("digits", {"lighting": 0.5}),
        ("digits", {"crop_padding": 3}),
        ("digits", {"flip": True}),
        ("folder", {"normalise": False}),
        ("folder", {"lighting": 0.5}),
        ("folder", {"crop_ratio": [1, 1]}),
        ("folder", {"flip": False}),
    ],
)
def test_each_key_of_the_augmentation_changes_the_batches(tmp_path: Path, kind: str, change: dict[str, Any]) -> None:
    data: dict[str, Any] = {"name": "digits"}
    if kind == "folder":
        data = noise_folder(tmp_path)
    plain = first_batch(**data)
    assert torch.equal(plain, first_batch(**data))
    assert not torch.equal(plain, first_batch(**data, **change))


def test_what_is_not_normalised_lies_between_black_and_white_in_any_light(tmp_path: Path) -> None:
    bright = {"normalise": False, "lighting": 5.0}
    for data in ({"name": "digits"}, noise_folder(tmp_path)):
        images = first_batch(**data, **bright)
        assert (images.min(), images.max()) == (0, 1)
