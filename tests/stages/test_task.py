"""What a run file says of its data reaches the batches that are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from raynas.config.run_config import parse_config
from raynas.stages.task import make_task
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


def pixels(batches: Any, epochs: range) -> set[bytes]:
    """Returns the different images of some epochs."""
    return {image.numpy().tobytes() for epoch in epochs for images, _ in batches.epoch(epoch) for image in images}


PLAIN = {"crop_padding": 0, "flip": False}


@pytest.mark.parametrize("portion", [0.3, 0.5, 0.8])
def test_the_alphas_batches_are_the_images_that_the_weights_never_see(portion: float) -> None:
    data = {"name": "digits", "max_images": 100, "train_portion": portion, **PLAIN}
    values = {"name": "x", "space": {"name": "nasbench201"}, "data": data, "train": {"batch_size": 10}, "seed": 3}
    task = make_task(parse_config(values))
    train, search = task.train_batches(0, CPU), task.search_batches(0, CPU)
    assert (train.steps_per_epoch, search.steps_per_epoch) == (round(10 * portion), 10 - round(10 * portion))
    of_train, of_search = pixels(train, range(3)), pixels(search, range(3))
    assert not of_train & of_search
    assert (len(of_train), len(of_search)) == (round(100 * portion), 100 - round(100 * portion))
    assert pixels(task.search_batches(1, CPU), range(1)) == of_search, "the split is the run's, not the base seed's"


def test_the_alphas_batches_are_made_as_those_of_the_weights_are() -> None:
    def first(batches: Any, epoch: int = 0) -> torch.Tensor:
        images, _ = next(iter(batches.epoch(epoch)))
        return images

    def task_of(labels: str = "true", **data: Any) -> Any:
        values = {
            "name": "x",
            "space": {"name": "nasbench201"},
            "data": {"name": "digits", "labels": labels, **data},
            "train": {"batch_size": 8},
        }
        return make_task(parse_config(values))

    plain = task_of(**PLAIN).search_batches(0, CPU)
    assert not torch.equal(first(plain), first(plain, 1)), "shuffled"
    for change in ({"crop_padding": 3}, {"flip": True}, {"cutout": 4}, {"lighting": 0.5}):
        changed = task_of(**{**PLAIN, **change}).search_batches(0, CPU)
        assert not torch.equal(first(plain), first(changed)), change
    assert not torch.equal(first(plain), first(task_of(**PLAIN).search_batches(1, CPU))), "another order by seed"
    (_, true), (_, drawn) = (next(iter(task_of(kind).search_batches(0, CPU).epoch(0))) for kind in ("true", "random"))
    assert not torch.equal(true, drawn)
