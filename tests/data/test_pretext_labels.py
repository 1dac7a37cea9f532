"""Pretext tasks: the label says what was done to the image, in training and in evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from raynas.cli import main
from raynas.data import LABELS, Loader, draw_labels, fix_images, load_dataset
from raynas.data.labels.pretext_labels import permutations
from tests.data.miniatures import to_pixels
from tests.stages.runs import small_run

CPU = torch.device("cpu")
TASKS = {"rotation": 4, "jigsaw": 64}


def changed_by_hand(task, image, label):
    """Returns an image (height, width, 3) as a label says."""
    if task == "rotation":
        return np.rot90(image, label)
    side = len(image) // 3
    puzzle = image.copy()
    for place, piece in enumerate(permutations()[label]):
        row, column = divmod(place, 3)
        from_row, from_column = divmod(int(piece), 3)
        of_piece = image[from_row * side : (from_row + 1) * side, from_column * side : (from_column + 1) * side]
        puzzle[row * side : (row + 1) * side, column * side : (column + 1) * side] = of_piece
    return puzzle


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", resolution=10, max_images=200)


def labels_of(digits, task, epoch=0):
    train = digits.train
    return draw_labels(task, train.labels, train.index, num_categories=TASKS[task], seed=1, epoch=epoch)


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_holds_images_as_their_labels_say(digits, task):
    options = {"batch_size": 16, "seed": 3, "augmentation": None, "shuffle": False, "drop_last": False}
    loader = Loader(
        digits,
        digits.train,
        np.arange(200),
        lambda epoch: labels_of(digits, task, epoch),
        change=LABELS.row(task).change,
        **options,
    )
    for epoch in (0, 3):
        seen = 0
        for images, labels in loader.epoch(epoch):
            for pixels, label in zip(to_pixels(digits, images), labels.tolist(), strict=True):
                assert label == labels_of(digits, task, epoch)[seen]
                np.testing.assert_array_equal(pixels, changed_by_hand(task, digits.train.images[seen], label))
                seen += 1
        assert seen == 200


@pytest.mark.parametrize("task", TASKS)
def test_images_to_evaluate_on_are_as_their_labels_say(digits, task):
    positions = np.array([7, 3, 150, 42])
    labels = labels_of(digits, task)
    fixed = replace(fix_images(digits, digits.train, positions, labels), change=LABELS.row(task).change)
    ((images, of_images),) = list(fixed.batches(8, CPU))
    for pixels, label, position in zip(to_pixels(digits, images), of_images.tolist(), positions, strict=True):
        assert label == labels[position]
        np.testing.assert_array_equal(pixels, changed_by_hand(task, digits.train.images[position], label))


@pytest.mark.parametrize("task", TASKS)
def test_forms_are_uniform_and_sampled_anew_every_epoch(task):
    index = np.arange(64_000)
    first, second = (draw_labels(task, index % 10, index, num_categories=TASKS[task], seed=1, epoch=e) for e in (0, 1))
    counts = np.bincount(first, minlength=TASKS[task])
    assert len(counts) == TASKS[task]
    assert np.abs(counts / counts.mean() - 1).max() < 0.12
    assert (first == second).mean() == pytest.approx(1 / TASKS[task], abs=0.01)


def test_the_puzzles_begin_with_the_image_itself_and_are_far_from_each_other():
    orders = permutations()
    assert orders.shape == (64, 9) and orders[0].tolist() == list(range(9))
    assert all(sorted(order) == list(range(9)) for order in orders.tolist())
    distances = (orders[:, None] != orders[None]).sum(axis=2)[~np.eye(64, dtype=bool)]
    assert distances.min() >= 6


@pytest.mark.parametrize(("task", "categories"), TASKS.items())
def test_a_supernet_tells_the_forms_apart_and_is_evaluated_on_them(tmp_path: Path, task: str, categories: int) -> None:
    search = {"evaluators": 0, "evaluation_images": 64, "calibration_images": 64, "evaluation_batch_size": 64}
    data = {"labels": task, "train_portion": 0.5, "max_images": 256}
    file = small_run(tmp_path, algorithm="spos", data=data, search=search, train={"epochs": 1})
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    about = json.loads((run / "supernet/seed_0/initial/checkpoint.json").read_text())
    assert about["num_classes"] == categories
    losses = [json.loads(line)["loss"] for line in (run / "search/history.jsonl").read_text().splitlines()]
    assert 0.3 * np.log(categories) < np.median(losses) < 3 * np.log(categories)


def test_a_number_of_categories_of_ones_own_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = small_run(tmp_path, data={"labels": "rotation", "num_label_categories": 10})
    expected = "data.num_label_categories: labels 'rotation' have 4 categories, got 10; leave it out"
    assert main(["check", str(file)]) == 2
    assert expected in capsys.readouterr().err
