"""Records of a run that are read back are read up to the first damaged one, or named with what helps."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raynas.spaces.nasbench201 import NasBench201
from raynas.stages.logbook import numbered_lines
from raynas.stages.rank import _read_scores
from raynas.stages.supernet_records import SupernetRecords, read_alphas, read_angle_tables
from raynas.storage.checkpoint import DamagedCheckpoint, load_checkpoint
from raynas.storage.run_folder import NUMBER, read_json, records
from tests.stages.runs import small_run
from tests.test_cli import answer

SUMS = {"always": [1.0, 2.0, 3.0], "candidates": [[[1.0, 2.0, 3.0]]]}


def supernet(folder: Path, **lines: str) -> Path:
    """Returns the folder of a supernet of three epochs, with damaged second lines by the name of their file."""
    whole = {
        "metrics": [{"epoch": n} for n in range(3)],
        "angle_tables": [{"epochs": n, "paper": SUMS} for n in (1, 2, 3)],
        "derived": [{"epochs": n} for n in range(4)],
    }
    for name, content in whole.items():
        texts = [json.dumps(line) for line in content]
        if name in lines:
            texts[1] = lines[name]
        (folder / f"{name}.jsonl").write_text("".join(f"{text}\n" for text in texts))
    rows = io.BytesIO()
    np.save(rows, np.zeros((4, 2, 2)))
    (folder / "alphas.npy").write_bytes(rows.getvalue())
    return folder


def recorded_epochs(folder: Path) -> float:
    """Returns the epochs that all records of a supernet with alphas hold."""
    records = SupernetRecords(folder, NasBench201(), "with_none")
    return min(numbered_lines(folder / "metrics.jsonl", "epoch"), records.epochs())


NOT_RIGHT = (
    "null",
    "3",
    '"text"',
    "{}",
    '{"epoch": true, "epochs": true}',
    '{"epoch": 7, "epochs": 7}',
    "{",
    "[" * 10_000,
)


@pytest.mark.parametrize("text", NOT_RIGHT)
@pytest.mark.parametrize(("name", "whole"), [("metrics", 1), ("angle_tables", 1), ("derived", 0)])
def test_training_goes_on_from_before_the_first_damaged_line(tmp_path: Path, name: str, whole: int, text: str) -> None:
    assert recorded_epochs(supernet(tmp_path)) == 3
    assert recorded_epochs(supernet(tmp_path, **{name: text})) == whole


@pytest.mark.parametrize(
    "sums",
    [
        None,
        {},
        {"always": [1, 2, 3]},
        {"always": [1, 2], "candidates": [[[1, 2, 3]]]},
        {"always": [1, 2, 3], "candidates": [[[1, 2, None]]]},
        {"always": [1, 2, 3], "candidates": [[[1, 2, "a"]]]},
        {"always": [1, 2, float("nan")], "candidates": [[[1, 2, 3]]]},
    ],
)
def test_sums_under_the_angle_are_finite_numbers_of_their_shape(tmp_path: Path, sums: Any) -> None:
    place = supernet(tmp_path, angle_tables=json.dumps({"epochs": 2, "paper": sums}))
    assert list(read_angle_tables(place / "angle_tables.jsonl", "paper")) == [1]


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"text", b"PK\x03\x04"])
def test_damaged_alphas_are_named_with_what_helps(tmp_path: Path, content: bytes) -> None:
    file = supernet(tmp_path) / "alphas.npy"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"alphas.npy is damaged \(.+\); put it back, or remove .+ to train anew$"):
        read_alphas(file)


@pytest.mark.parametrize("content", ["null", '"text"', "[]", "{}", '{"parts": 3, "epochs": 1}', "", "{"])
def test_a_checkpoint_whose_position_is_damaged_is_a_damaged_checkpoint(tmp_path: Path, content: str) -> None:
    (tmp_path / "checkpoint.json").write_text(content)
    with pytest.raises(DamagedCheckpoint, match="is damaged"):
        load_checkpoint(tmp_path, {})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('"text"', "expected keys and values, got 'text'"),
        ("null", "expected keys and values, got None"),
        ('{"a": "1"}', "expected int or float under a, got '1'"),
        ('{"a": true}', "expected int or float under a, got True"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_json_file_that_is_not_what_was_written_is_named(tmp_path: Path, content: str, reason: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(content)
    with pytest.raises(ValueError, match="a.json is damaged") as caught:
        read_json(file, {"a": NUMBER}, "do this")
    assert reason in str(caught.value)
    assert str(caught.value).endswith("; do this")


def test_lines_are_read_up_to_the_first_that_is_damaged_or_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    assert records(file, {}) == []
    file.write_bytes(b'{"a": 1}\n{"a": 2.5}\n{"a": null}\n{"a": 3}\n')
    assert [line["a"] for line in records(file, {"a": NUMBER})] == [1, 2.5]
    file.write_bytes(b'{"a": 1}\n\xff\xfe\n{"a": 2}\n')
    assert [line["a"] for line in records(file, {"a": NUMBER})] == [1]
    file.write_bytes(b'{"a": 1}\n{"a": 2}')
    assert [line["a"] for line in records(file, {"a": NUMBER})] == [1]


@pytest.mark.parametrize("text", ["null", "[1]", "[1, null]", "{}", "["])
def test_scores_are_read_up_to_the_first_damaged_line(tmp_path: Path, text: str) -> None:
    about = {"quantities": ["fitness", "loss"]}
    file = tmp_path / "scores.jsonl"
    file.write_text(f"{json.dumps(about)}\n[1, 2]\n{text}\n[3, 4]\n")
    assert _read_scores(file, about) == [[1, 2]]
    assert _read_scores(file, {**about, "x": 1}) == []


@pytest.mark.parametrize("content", ["null", '"text"', "{}", '{"config": 3}', '{"config": {"name": 3}}'])
def test_a_run_whose_configuration_is_damaged_is_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    file = small_run(tmp_path)
    (tmp_path / "runs/small").mkdir(parents=True)
    (tmp_path / "runs/small/config.json").write_text(content)
    status, _, err = answer(capsys, "run", file)
    assert (status, err.count("\n")) == (2, 1)
    assert "config.json" in err and "put it back, or give this run another name" in err
