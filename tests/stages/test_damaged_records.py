"""Records of a run that are read back are read up to the first damaged one, or named with what helps."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raynas.config.reading import load_config
from raynas.records.rank_record import ScoresHeader
from raynas.records.record import text_of
from raynas.records.training_record import EpochLine
from raynas.spaces.nasbench201 import NasBench201
from raynas.stages.logbook import counted
from raynas.stages.rank import _read_scores
from raynas.stages.run_lines import trained_line
from raynas.stages.supernet_records import SupernetRecords, read_alphas, read_angle_tables
from raynas.stages.train_supernet import supernet_plans
from raynas.storage.checkpoint import DamagedCheckpoint, load_checkpoint
from tests.stages.runs import small_run
from tests.test_cli import answer

SUMS = {"always": [1.0, 2.0, 3.0], "candidates": [[[1.0, 2.0, 3.0]]]}


def supernet(folder: Path, **lines: str) -> Path:
    """Returns the folder of a supernet of three epochs, with damaged second lines by the name of their file."""
    whole = {
        "metrics": [{"epoch": n, "loss": 1.5} for n in range(3)],
        "angle_tables": [{"epochs": n, "paper": SUMS} for n in (1, 2, 3)],
        "derived": [{"epochs": n, "architecture": [0] * 6, "operations": {}} for n in range(4)],
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


def test_the_line_of_a_training_that_is_done_ends_well_where_its_last_epoch_is_damaged(tmp_path: Path) -> None:
    config = load_config(small_run(tmp_path))
    (plan,) = supernet_plans(config)
    file = config.folder / plan.folder / "metrics.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text('{"epoch": 3, "step": 12, "loss": 1.5, "seconds": 2}\n')
    assert trained_line(plan, config.folder) == f"{plan.name}: 4 epochs in 2.0 s, loss 1.500"
    file.write_text('{"epoch": tru')
    assert trained_line(plan, config.folder) == f"{plan.name}: 4 epochs in 0.0 s"


def recorded_epochs(folder: Path) -> float:
    """Returns the epochs that all records of a supernet with alphas hold."""
    records = SupernetRecords(folder, NasBench201(), "with_none")
    lines = EpochLine.read_good(folder / "metrics.jsonl")
    return min(counted(line.epoch for line in lines), records.epochs())


NOT_RIGHT = (
    "null",
    "3",
    '"text"',
    "{}",
    '{"epoch": true, "epochs": true, "loss": 1, "architecture": [], "operations": {}}',
    '{"epoch": 7, "epochs": 7, "loss": 1, "architecture": [], "operations": {}}',
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


@pytest.mark.parametrize(
    "content",
    ["null", '"text"', "[]", "{}", '{"parts": 3, "epochs": 1}', '{"parts": ["a"], "epochs": 1}', "", "{", "[" * 10_000],
)
def test_a_checkpoint_whose_position_is_damaged_is_a_damaged_checkpoint(tmp_path: Path, content: str) -> None:
    (tmp_path / "checkpoint.json").write_text(content)
    with pytest.raises(DamagedCheckpoint, match="is damaged"):
        load_checkpoint(tmp_path, {})


@pytest.mark.parametrize("text", ["null", "[1]", "[1, null]", "[1, true]", "{}", "["])
def test_scores_are_read_up_to_the_first_damaged_line(tmp_path: Path, text: str) -> None:
    about: dict[str, Any] = {"quantities": ["fitness", "loss"], "architectures": 3, "base_seeds": [0], "fitness": "a"}
    file = tmp_path / "scores.jsonl"
    file.write_text(f"{json.dumps(about)}\n[1, 2]\n{text}\n[3, 4]\n")
    assert _read_scores(file, ScoresHeader(**about)) == [[1, 2]]
    assert _read_scores(file, ScoresHeader(**about, x=1)) == []
    assert _read_scores(file, ScoresHeader(**about, x=1), {"x": 1}) == [[1, 2]], "an option that is newer than the file"
    assert _read_scores(file, ScoresHeader(**about, x=2), {"x": 1}) == []


def test_scores_hold_for_settings_that_were_given_as_a_tuple(tmp_path: Path) -> None:
    header = ScoresHeader(quantities=["fitness"], architectures=2, base_seeds=[0], fitness="a", splits=("x", "y"))
    file = tmp_path / "scores.jsonl"
    file.write_text(f"{text_of([header])}[0.5]\n")
    assert _read_scores(file, header) == [[0.5]]


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
