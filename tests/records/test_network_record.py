"""The record of a network in use: it is read as it was written, and nonsense in it is named."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from raynas.errors import InputError
from raynas.records.file_table import file_kinds
from raynas.records.network_record import (
    ExportFacts,
    NetworkAccuracy,
    NetworkRecord,
    Preprocessing,
    Provenance,
    mean_and_deviation,
)


def record(**changes: Any) -> NetworkRecord:
    values: dict[str, Any] = {
        "space": {"name": "nasbench201", "channels": 4, "cells": 1},
        "architecture": (3, 1, 0, 2, 4, 1),
        "text": "|nor_conv_3x3~0|",
        "num_classes": 2,
        "classes": ("cat", "dog"),
        "preprocessing": Preprocessing(resolution=8, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), resize=8),
        "num_parameters": 1234,
        "multiply_adds": 56789,
        "weights": "retrained",
        "accuracy": NetworkAccuracy(seeds=[0, 1], top1=[90.0, 91.0], exported_seed=1),
        "provenance": Provenance(run="small", algorithm="rlnas", versions={"raynas": "0"}),
        "export": ExportFacts(format="onnx", files={"model.onnx": "0" * 64}, images=64),
    }
    return NetworkRecord(**{**values, **changes})


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = record(recipe={"epochs": 12, "learning_rate": 0.1})
    file = tmp_path / "config.json"
    file.write_text(json.dumps(written.content()))
    assert NetworkRecord.read(file) == written.model_copy(update={"version": 1})
    assert json.loads(file.read_text())["version"] == 1
    assert written.space_arguments == {"channels": 4, "cells": 1}


def test_classes_without_names_are_numbers() -> None:
    assert record().class_names == ["cat", "dog"]
    assert record(classes=None, num_classes=3).class_names == ["0", "1", "2"]


def test_the_record_is_no_file_of_a_run_or_sweep() -> None:
    assert NetworkRecord not in [*file_kinds("run"), *file_kinds("sweep")]


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("version",), 2, "expected version 1 or earlier, got 2; update raynas to read it"),
        (("space",), {"channels": 4}, "space: expected text under name, got None"),
        (("architecture",), "3", "expected a list under architecture, got '3'"),
        (("num_classes",), 0, "num_classes: expected 1 to 1,000,000, got 0"),
        (("classes",), ["cat"], "expected 2 names under classes, got 1"),
        (("weights",), "stolen", "weights: expected retrained, inherited, initial, got 'stolen'"),
        (("preprocessing", "resolution"), 10**9, "preprocessing.resolution: expected 1 to 4,096, got 1000000000"),
        (("preprocessing", "resize"), 7, "preprocessing: expected resize of 8 or more, got 7"),
        (("preprocessing", "std"), [0.2, 0.0, 0.2], "preprocessing.std: expected three numbers above 0"),
        (("preprocessing", "mean"), [0.2, float("nan"), 0.2], "preprocessing.mean: expected three numbers"),
        (("preprocessing", "mean"), [0.2], "preprocessing.mean: expected three numbers, for red, green and blue"),
        (("preprocessing", "interpolation"), "nearest", "preprocessing.interpolation: expected bilinear"),
        (("preprocessing", "resized_by"), "opencv", "preprocessing.resized_by: expected torch, pillow"),
        (("accuracy", "top1"), [90.0], "accuracy: expected 2 numbers under top1, one for each seed, got 1"),
    ],
)
def test_nonsense_is_named(tmp_path: Path, place: tuple[str, ...], value: Any, words: str) -> None:
    content = record().content()
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    file = tmp_path / "config.json"
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="config.json") as refused:
        NetworkRecord.read(file)
    assert words in str(refused.value)


def test_mean_and_deviation_are_those_of_statistics() -> None:
    values = [90.1, 91.7, 88.25]
    mean, deviation = mean_and_deviation(values)
    assert (mean, deviation) == pytest.approx((statistics.mean(values), statistics.stdev(values)))
    assert mean_and_deviation([90]) == (90, None)
