"""What is found before training: batches too small, labels that say nothing; and what is said of images."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import nn

from raynas.cli import main
from raynas.config.reading import load_config
from raynas.config.run_config import RunConfig
from raynas.spaces.nasbench201 import NasBench201
from raynas.stages import dry_run
from raynas.stages import prepare as prepare_module
from raynas.stages.data_record import DATA, data_record, record_data, skipped_files
from raynas.stages.prepare import prepare
from raynas.stages.task import Task
from raynas.stages.train_supernet import build_supernet
from raynas.supernet.gates import Gate
from tests.data.miniatures import write_folder, write_npz
from tests.stages.runs import small_run, succeed

QUIET = Console(file=io.StringIO())
SMALL = {"population": 6, "generations": 1, "select": 2, "mutations": 2, "crossovers": 2}
DARTS = {"name": "darts", "channels": 2, "cells": 3}
MOBILENET = {"name": "mobilenet", "width": 0.25, "depth": 1}


def config_of(folder: Path, *overrides: str, **sections: Any) -> RunConfig:
    return load_config(small_run(folder, **sections), overrides)


def prepared(folder: Path, *overrides: str, **sections: Any) -> tuple[Task, list[str]]:
    found = prepare(config_of(folder, *overrides, **sections), QUIET)
    return found.task, found.lines


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return Path(write_folder(tmp_path / "images"))


def folder_run(tmp_path: Path, **sections: Any) -> Path:
    sections["data"] = {
        "name": "folder",
        "path": str(tmp_path / "images"),
        "resolution": 16,
        **sections.get("data", {}),
    }
    sections["train"] = {"epochs": 1, "batch_size": 8, **sections.get("train", {})}
    return small_run(tmp_path, **sections)


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_batch_of_one_image_that_shrinks_to_a_pixel_is_found_before_training(tmp_path: Path) -> None:
    sections: dict[str, Any] = {"algorithm": "spos", "space": MOBILENET, "train": {"batch_size": 1}}
    sections["search"] = {"evaluation_images": 64, "calibration_images": 64, "evaluation_batch_size": 64}
    with pytest.raises(
        ValueError, match=r"^train\.batch_size: a batch of 1 image in training, of 8 x 8 pixels, .*raise"
    ):
        prepared(tmp_path, **sections)
    _, lines = prepared(tmp_path, "train.batch_size=2", **sections)
    assert len(lines) == 1


def test_the_share_of_the_most_workers_counts(tmp_path: Path) -> None:
    sections: dict[str, Any] = {"space": MOBILENET, "algorithm": "spos", "train": {"batch_size": 4}}
    sections["search"] = {"evaluation_images": 64, "calibration_images": 64, "evaluation_batch_size": 64}
    prepared(tmp_path, "train.workers=[1,2]", **sections)
    with pytest.raises(
        ValueError, match=r"^train\.batch_size: .*raise train\.batch_size, lower train\.workers or raise"
    ):
        prepared(tmp_path, "train.workers=[1,4]", **sections)


def test_a_worker_with_one_image_is_said_where_it_can_be_trained(tmp_path: Path) -> None:
    _, lines = prepared(tmp_path, "train.batch_size=4", "train.workers=4")
    assert lines[1].startswith("train.batch_size: each worker gets 1 image of a batch, over which batch normalisation")
    for override in ("train.batch_size=8", "train.batch_size=4"):
        workers = "train.workers=4" if "8" in override else "train.workers=2"
        assert len(prepared(tmp_path, override, workers)[1]) == 1


def test_a_last_batch_of_one_image_to_calibrate_on_is_found_before_training(tmp_path: Path) -> None:
    search = {"evaluation_images": 64, "calibration_images": 129, "evaluation_batch_size": 64, "evaluators": 0}
    sections: dict[str, Any] = {"algorithm": "spos", "space": MOBILENET, "search": search}
    with pytest.raises(
        ValueError, match=r"^search\.calibration_images: a batch of 1 image in the last batch.*multiple"
    ):
        prepared(tmp_path, **sections)
    prepared(tmp_path, "search.calibration_images=130", **sections)


def test_images_too_small_for_a_space_are_found_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pooled(nn.Module):
        def forward(self, images: torch.Tensor, gates: object) -> torch.Tensor:
            return nn.functional.max_pool2d(images, 9)

    prepared(tmp_path)
    monkeypatch.setattr(NasBench201, "build_supernet", lambda space, num_classes: Pooled())
    with pytest.raises(
        ValueError, match=r"^data\.resolution: .* 8 x 8 pixels are too small for NasBench201: .*; raise"
    ):
        prepared(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "space",
    [DARTS, {**DARTS, "stem": "imagenet"}, MOBILENET, {"name": "nasbench201", "channels": 2, "cells": 1}],
    ids=str,
)
def test_what_the_dry_run_admits_can_be_trained(tmp_path: Path, space: dict[str, Any]) -> None:
    """At the smallest batch and resolution that pass: what was said to be possible is."""
    for overrides in (("data.resolution=8",), ("data.resolution=8", "train.batch_size=1"), ("data.resolution=4",)):
        config = config_of(
            tmp_path,
            *overrides,
            space=space,
            data={"max_images": 4},
            train={"epochs": 1, "batch_size": 2},
            search={"fitness": "num_parameters"},
        )
        task = prepare(config, QUIET).task
        try:
            dry_run.check_batches(task)
        except ValueError:
            with pytest.raises((ValueError, RuntimeError)):
                train_a_step(task)
        else:
            train_a_step(task)


def train_a_step(task: Task) -> None:
    gates = tuple(Gate(tuple(range(len(choice.candidates)))) for choice in task.space.choices)
    images, _ = next(task.train_batches(0, torch.device("cpu")).epoch(0))
    build_supernet(task, 0).train()(images, gates)


@pytest.mark.parametrize("labels", ["true", "shuffled", "random"])
def test_a_single_class_is_refused_unless_its_random_labels_are_of_several_categories(
    tmp_path: Path, labels: str
) -> None:
    file = write_npz(tmp_path / "one.npz", train_labels=np.zeros(40, int), test_labels=np.zeros(12, int))
    sections: dict[str, Any] = {"data": {"name": "npz", "path": file, "labels": labels}, "train": {"batch_size": 8}}
    key = "data.num_label_categories" if labels == "random" else "data.path"
    with pytest.raises(ValueError, match=rf"^{key}: expected .*at least 2 "):
        prepared(tmp_path, **sections)
    if labels == "random":
        prepared(tmp_path, "data.num_label_categories=5", **sections)


def test_an_array_set_is_said_in_one_line(tmp_path: Path) -> None:
    assert prepared(tmp_path)[1] == ["data: 719 train, 719 search, 359 test images of 10 classes, 8 x 8 pixels"]
    file = write_npz(tmp_path / "some.npz", test_labels=np.zeros(12, int))
    lines = prepared(tmp_path, data={"name": "npz", "path": file}, train={"batch_size": 8})[1]
    assert lines == [
        "data: 20 train, 20 search, 12 test images of 5 classes, 12 x 12 pixels",
        "data: classes without images: test has no image of 1, 2, 3, 4",
    ]


@pytest.fixture
def odd_images(images: Path) -> Path:
    """Images, two of them damaged, one of 16 bits, and files that are none."""
    for number in (3, 8):
        file = images / "train" / f"class_{number % 4}" / f"{number:04}.png"
        file.write_bytes(file.read_bytes()[:50])
    Image.fromarray(np.full((20, 20), 65535, np.uint16)).save(images / "train" / "class_1" / "0001.png")
    (images / "train" / "class_1" / "moving.gif").touch()
    (images / "val" / ".DS_Store").touch()
    return images


@pytest.mark.slow
def test_check_and_run_refuse_damaged_files_and_leave_nothing(
    tmp_path: Path, odd_images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("check", "run", "train", "rank", "profile"):
        line = error_of(capsys, verb, folder_run(tmp_path))
        assert line.startswith(f"raynas: data.path: expected image files in {odd_images}, but 2 of 52 cannot be read: ")
        assert "train/class_0/0008.png (" in line and "train/class_3/0003.png (" in line
        assert line.endswith("; replace or remove them, or set data.on_damaged to skip")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_check_and_run_say_what_was_skipped_and_converted_and_the_run_records_it(
    tmp_path: Path, odd_images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder_run(tmp_path, data={"on_damaged": "skip"}, search=SMALL)
    said = []
    for verb in ("check", "run"):
        capsys.readouterr()
        assert main([verb, str(file)]) == 0
        lines = [line.removeprefix("# ") for line in capsys.readouterr().out.splitlines()]
        said.append([line for line in lines if line.startswith("data: ")])
    assert said[0] == said[1]
    counts, left_out, converted = said[0]
    assert counts == "data: 20 train, 18 search, 12 test images of 4 classes, 16 x 16 pixels"
    assert left_out.startswith("data: files left out: 2 that cannot be read: train/class_0/0008.png (")
    assert "; 1 .gif, not read as an image: train/class_1/moving.gif; 1 hidden or of the operating system" in left_out
    assert converted == "data: files converted: 1 with more than 8 bits, scaled to 8"
    record = json.loads((tmp_path / "runs/small" / DATA).read_text())
    assert record["classes"] == ["class_0", "class_1", "class_2", "class_3"]
    assert (record["mean"], record["std"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert (record["resolution"], record["channels"], record["num_classes"]) == (16, 3, 4)
    assert record["images"] == {"train": 20, "search": 18, "test": 12}
    assert list(record["skipped"]) == ["train/class_0/0008.png", "train/class_3/0003.png"]
    assert "cropped to the centre" in record["pixels"]


@pytest.mark.slow
def test_files_that_can_be_read_again_do_not_join_a_run_that_skipped_them(
    tmp_path: Path, odd_images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder_run(tmp_path, data={"on_damaged": "skip"}, search=SMALL)
    assert main(["run", str(file)]) == 0
    bad, good = (odd_images / "train" / "class_0" / f"{number:04}.png" for number in (8, 4))
    bad.write_bytes(good.read_bytes())
    line = error_of(capsys, "run", file)
    assert "data.path: 1 image files can be read now and could not when this run began" in line
    assert "train/class_0/0008.png; put them back as they were" in line


@pytest.mark.slow
def test_a_run_without_a_record_goes_on_and_gets_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = small_run(tmp_path, train={"epochs": 1}, report=True)
    assert main(["run", str(file)]) == 0
    record = tmp_path / "runs/small" / DATA
    page = tmp_path / "runs/small/report/index.html"
    written = record.read_text()
    assert json.loads(written)["classes"] == [*"0123456789"]
    assert "719" in page.read_text() and "deviation" in page.read_text()
    record.unlink()
    assert main(["report", str(tmp_path / "runs/small")]) == 0
    assert "deviation" not in page.read_text()
    assert main(["run", str(file)]) == 0
    assert record.read_text() == written


def test_a_damaged_record_is_said_by_its_place(tmp_path: Path) -> None:
    task, _ = prepared(tmp_path)
    assert skipped_files(tmp_path) is None
    for content in ("{", '{"skipped": 3}'):
        (tmp_path / DATA).write_text(content)
        with pytest.raises(ValueError, match=r"data\.json is damaged"):
            record_data(tmp_path, task)
    (tmp_path / DATA).unlink()
    record_data(tmp_path, task)
    assert json.loads((tmp_path / DATA).read_text()) == data_record(task).content()


def test_reading_says_how_far_it_is(tmp_path: Path, images: Path) -> None:
    out = io.StringIO()
    shown: list[tuple[str, float, float | None]] = []

    class Told(prepare_module.Progress):
        def show(self, description: str, completed: float, total: float | None, *figures: str) -> None:
            shown.append((description, completed, total))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare_module, "Progress", Told)
        prepare(load_config(folder_run(tmp_path)), Console(file=out))
    assert shown == [("reading 52 images", 52, 52)]


@pytest.mark.ray
@pytest.mark.long
def test_workers_and_evaluators_read_the_images_that_the_driver_found_and_leave_the_numbers_of_one_process(
    tmp_path: Path, odd_images: Path
) -> None:
    sizes = {"evaluation_images": 16, "calibration_images": 16, "evaluation_batch_size": 8}
    histories, left = [], []
    for name, workers, evaluators in (("here", 0, 0), ("ray", 1, 2)):
        folder = tmp_path / name
        folder.mkdir()
        temporary = tmp_path / f"temporary-{name}"
        temporary.mkdir()
        data = {"path": str(odd_images), "on_damaged": "skip", "name": "folder", "resolution": 16}
        search = {**SMALL, **sizes, "evaluators": evaluators}
        file = small_run(
            folder,
            algorithm="spos",
            data=data,
            search=search,
            train={"epochs": 1, "batch_size": 8, "workers": workers, "deterministic": True},
            local_cpus=4,
        )
        succeed("run", file, TMPDIR=str(temporary))
        lines = map(json.loads, (folder / "runs/small/search/history.jsonl").read_text().splitlines())
        histories.append([(line["architecture"], line["accuracy"]) for line in lines])
        left.append([path for path in temporary.rglob("*") if path.is_file() and path.stat().st_size > 1000])
    assert histories[0] == histories[1]
    assert left == [[], []]
