"""A data set and a label method of the user's own are one file: checked, trained on, recorded, resumed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from raynas.cli import main
from raynas.config.reading import load_config
from raynas.data import DATASETS, LABELS, load_dataset
from raynas.stages.task import make_task
from tests.drill.conftest import Added
from tests.stages.runs import small_run

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    "algorithm": "spos",
    "train": {"epochs": 2, "batch_size": 16, "checkpoint_every": 1},
    "search": {
        "name": "random",
        "generations": 1,
        "population": 4,
        "evaluators": 0,
        "calibration_images": 32,
        "evaluation_batch_size": 32,
    },
}


def striped_run(folder: Path, path: str, **data: Any) -> Path:
    data = {"name": f"{path}STRIPES", "labels": f"{path}NOISY", "width": 4, "num_images": 96, **data}
    return small_run(folder, **SMALL, data=data)


def test_a_users_data_set_and_labels_are_trained_on_recorded_and_resumed(
    tmp_path: Path, beside: Added, capsys: pytest.CaptureFixture[str]
) -> None:
    path = beside("own_data")
    file = striped_run(tmp_path, path)
    assert main(["check", str(file)]) == 0
    said = capsys.readouterr().out
    assert "# data: 48 train, 48 search, 40 test images of 2 classes, 8 x 8 pixels" in said
    assert "width: 4" in said
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    record = json.loads((run / "data.json").read_text())
    assert (record["name"], record["classes"]) == (f"{path}STRIPES", ["horizontal", "vertical"])
    assert json.loads((run / "config.json").read_text())["config"]["data"]["num_images"] == 96
    trained = load_file(run / "supernet/seed_0/epoch_00002/weights.safetensors")
    shutil.rmtree(run / "supernet/seed_0/epoch_00002")
    (run / "supernet/seed_0/result.json").unlink()
    assert main(["run", str(file)]) == 0
    again = load_file(run / "supernet/seed_0/epoch_00002/weights.safetensors")
    assert all(np.array_equal(value, again[key]) for key, value in trained.items())


def test_its_labels_and_images_come_with_all_that_other_data_sets_have(tmp_path: Path, beside: Added) -> None:
    path = beside("own_data")
    task = make_task(load_config(striped_run(tmp_path, path, max_images=60, resolution=12)))
    images = task.dataset.train.images
    assert isinstance(images, np.ndarray) and images.shape == (60, 12, 12, 3)
    assert (images[..., 0] == images[..., 1]).all(), "grey is repeated"
    assert (task.dataset.crop_padding, task.dataset.flip, task.num_categories) == (2, False, 2)
    kept = np.mean([task.labels(0, epoch) == task.dataset.train.labels for epoch in range(200)])
    assert kept == pytest.approx(3 / 4 + 1 / 4 / 2, abs=0.01)
    assert (task.labels(0, 1) == task.labels(0, 1)).all() and (task.labels(0, 1) != task.labels(0, 2)).any()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"widht": 3}, "data.widht: unknown key; did you mean width?"),
        ({"width": 0}, "data.width: expected greater than or equal to 1, got 0"),
        ({"crop_ratio": [1.0, 2.0]}, "data.crop_ratio: only image files are cropped to a random area, not users_own_"),
        ({"name": "digits"}, "data.num_images: unknown key; did you mean max_images?"),
        ({"name": "users_own_data.NOISY"}, "data.name: expected 'users_own_data.NOISY' to be a raynas.data.image_so"),
    ],
)
def test_what_its_keys_cannot_be_is_said_as_of_other_keys(
    tmp_path: Path, beside: Added, data: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as refused:
        load_config(striped_run(tmp_path, beside("own_data"), **data))
    assert message in str(refused.value).splitlines()[0]


BROKEN = """
import numpy as np
from raynas.data import Arrays, ImageSource, LabelMethod
WHITE, ONES = np.zeros((4, 8, 8, 3), np.uint8), np.ones(4, np.int64)
DIVIDED = ImageSource("divided", "divided", lambda path, options: 1 / 0)
LISTED = ImageSource("listed", "listed", lambda path, options: [WHITE])
FLOATS = ImageSource("floats", "floats", lambda path, options: Arrays(WHITE / 255, ONES, WHITE, ONES, 2))
FEW = ImageSource("few", "few", lambda path, options: Arrays(WHITE, ONES, WHITE, ONES, 1))
SIZES = ImageSource("sizes", "sizes", lambda path, options: Arrays(WHITE, ONES, WHITE[:, :4, :4], ONES, 2))
SHORT = LabelMethod("short", "too few", lambda request: request.true_labels[:1])
HIGH = LabelMethod("high", "too high", lambda request: request.true_labels + 10)
"""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "DIVIDED"}, "data.name: reading 'broken_data.DIVIDED' ends in ZeroDivisionError: division by zero"),
        ({"name": "LISTED"}, "data.name: expected 'broken_data.LISTED' to return Arrays, got list; correct its func"),
        ({"name": "FLOATS"}, "data.name: expected train_images of broken_data.FLOATS as uint8, got float64; scale"),
        ({"name": "FEW"}, "data.name: expected train_labels of broken_data.FEW below num_classes (1), got 1; number"),
        ({"name": "SIZES"}, "data.name: expected train_images and test_images of broken_data.SIZES in one size, got"),
        ({"labels": "SHORT"}, "data.labels: expected 'broken_data.SHORT' to return 1,438 integers from 0 to 9, got i"),
        ({"labels": "HIGH"}, "data.labels: expected 'broken_data.HIGH' to return 1,438 integers from 0 to 9, got 10"),
    ],
)
def test_images_and_labels_that_cannot_be_trained_on_name_the_member(
    tmp_path: Path, beside: Added, data: dict[str, str], message: str
) -> None:
    (tmp_path / "broken_data.py").write_text(BROKEN)
    own = {key: f"broken_data.{name}" for key, name in data.items()}
    with pytest.raises(ValueError) as refused:
        make_task(load_config(small_run(tmp_path, data={"name": "digits", "max_images": None, **own})))
    assert str(refused.value).startswith(message)


def test_inside_the_package_it_is_one_file_too(tmp_path: Path, inside: Callable[[str, str], None]) -> None:
    inside("own_data", "raynas.data.datasets")
    assert "stripes" in DATASETS.names()
    assert load_dataset("stripes", further={"num_images": 30}).num_classes == 2
    inside("own_data", "raynas.data.labels")
    assert "noisy" in LABELS.names()
    config = load_config(small_run(tmp_path, data={"name": "stripes", "labels": "noisy"}))
    assert (config.data.name, config.data.labels, config.data.further["width"]) == ("stripes", "noisy", 2)
