"""Records: what one class writes it reads, old and newer files are read, and damage is named."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from raynas.records.figures_record import FiguresRecord
from raynas.records.latency_record import ProfileRecord
from raynas.records.mirror_record import MirrorRecord
from raynas.records.rank_record import RankRecord, read_scores
from raynas.records.record import Line, Part, Record, text_of
from raynas.records.run_record import DataRecord, RunRecord
from raynas.records.search_record import BestArchitecture, HistoryLine, SearchRecord
from raynas.records.sweep_record import ResultsRecord, SweepRecord, TrialState
from raynas.records.training_record import (
    AlphaNames,
    AngleLine,
    CheckpointRecord,
    DerivedLine,
    EpochLine,
    ProgressRecord,
    TrainedRecord,
)

OLD = Path(__file__).parents[1] / "old_runs" / "0.1.0"

FILES: list[tuple[type[Record], str]] = [
    (RunRecord, "*/config.json"),
    (SearchRecord, "*/search/result.json"),
    (RankRecord, "*/rank/*.json"),
    (ProgressRecord, "*/progress.json"),
    (TrainedRecord, "*/supernet/seed_0/result.json"),
    (AlphaNames, "*/supernet/seed_0/alphas.json"),
    (CheckpointRecord, "*/supernet/seed_0/*/checkpoint.json"),
    (SweepRecord, "sweep/sweep.json"),
    (ResultsRecord, "sweep/results.json"),
    (TrialState, "sweep/states/*.json"),
]

LINES: list[tuple[type[Line], str]] = [
    (HistoryLine, "*/search/history.jsonl"),
    (EpochLine, "*/supernet/seed_0/metrics.jsonl"),
    (AngleLine, "*/supernet/seed_0/angle_tables.jsonl"),
    (DerivedLine, "*/supernet/seed_0/derived.jsonl"),
]


@pytest.mark.parametrize(("record", "pattern"), FILES)
def test_an_old_file_is_read_and_written_again_with_its_keys_in_their_order(record: type[Record], pattern: str) -> None:
    files = sorted(OLD.glob(pattern))
    assert files
    for file in files:
        old = json.loads(file.read_text())
        new = record.read(file).content()
        if record is not CheckpointRecord:  # which states its version as its format
            assert new.pop("version") == 1
        assert json.dumps(new) == json.dumps(old)


@pytest.mark.parametrize(("line", "pattern"), LINES)
def test_old_lines_are_read_and_written_again_as_the_same_bytes(line: type[Line], pattern: str) -> None:
    files = sorted(OLD.glob(pattern))
    assert files
    for file in files:
        assert text_of(line.read_all(file)) == file.read_text()
        assert text_of(line.read_good(file)) == file.read_text()


class Small(Record):
    """A record of this test.

    Attributes:
        name: A text.
        sizes: Whole numbers.
        parts: Parts.
    """

    class Inner(Part):
        weight: float

    newest = 3
    name: str
    sizes: list[int] = []
    parts: list[Inner] = []


def small(file: Path, **content: Any) -> Path:
    file.write_text(json.dumps(content))
    return file


def test_a_file_without_a_version_is_of_version_1_and_what_is_written_states_the_newest(tmp_path: Path) -> None:
    file = small(tmp_path / "a.json", name="x")
    assert Small.read(file).version == 1
    assert Small(name="x", sizes=[1]).content() == {"version": 3, "name": "x", "sizes": [1]}
    small(file, **Small(name="x").content())
    assert Small.read(file).version == 3


def test_keys_of_a_later_raynas_are_ignored_and_a_later_version_is_refused(tmp_path: Path) -> None:
    file = small(tmp_path / "a.json", name="x", invented=[1])
    assert Small.read(file).content() == {"version": 3, "name": "x"}
    small(file, version=4, name="x")
    with pytest.raises(ValueError, match=r"a\.json: expected version 3 or earlier, got 4; update raynas to read it"):
        Small.read(file)
    small(file, version=4)
    with pytest.raises(ValueError, match=r"expected version 3 or earlier, got 4"):
        Small.read(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "expected keys and values, got list"),
        ({}, "expected text under name, got None"),
        ({"name": "x", "sizes": 3}, "expected a list under sizes, got 3"),
        ({"name": "x", "sizes": [1, "2"]}, "expected whole numbers under sizes, got [1, '2']"),
        ({"name": "x", "sizes": [True]}, "expected whole numbers under sizes, got [True]"),
        ({"name": "x", "parts": [{"weight": 1}, {}]}, "parts[1]: expected a number under weight, got None"),
        ({"name": "x", "parts": [7]}, "parts[0]: expected keys and values, got int"),
        ({"name": "x" * 200, "sizes": "y" * 200}, f"expected a list under sizes, got '{'y' * 76}..."),
    ],
)
def test_damage_is_named_with_its_place_and_what_was_expected(tmp_path: Path, content: object, said: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ValueError) as error:
        Small.read(file, "mend it")
    assert str(error.value) == f"{file} is damaged: {said}; mend it"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"name":\n}', "at line 2 (Expecting value)"),
        (b'{"name":\n"\xff"}', "at line 2 (it is not UTF-8 text)"),
        (b"", "at line 1 (Expecting value)"),
        (b"[" * 100_000, "(lists in lists without end)"),
        (b'{"name": ' + b"9" * 5000 + b"}", "(Exceeds the limit"),
    ],
)
def test_what_is_no_json_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(data)
    with pytest.raises(ValueError) as error:
        Small.read(file)
    assert str(error.value).startswith(f"{file} is damaged {said}")
    assert str(error.value).endswith("; remove it to have its stage run again")


LINE = '{"generation": 0, "architecture": [1], "description": "a", "fitness": 1.0}\n'


def test_a_last_line_that_was_cut_off_is_left_out_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    assert HistoryLine.read_all(file) == []
    file.write_text(LINE * 2 + LINE[:20])
    assert len(HistoryLine.read_all(file)) == len(HistoryLine.read_good(file)) == 2
    file.write_text(LINE * 2 + LINE[:20] + "\n" + LINE)
    with pytest.raises(ValueError, match=r"history.jsonl is damaged at line 3 \(Unterminated string"):
        HistoryLine.read_all(file)
    assert len(HistoryLine.read_good(file)) == 2


def test_a_line_states_its_version_from_the_second_on() -> None:
    class Second(HistoryLine):
        """A later line."""

        newest = 2

    values = json.loads(LINE)
    assert HistoryLine(**values).content() == values
    assert Second(**values).content() == {"version": 2, **values}
    assert Second.read_one(LINE) is not None
    assert HistoryLine.read_one(json.dumps({"version": 2, **values})) is None


def test_a_line_keeps_numbers_that_its_class_does_not_name_and_their_order(tmp_path: Path) -> None:
    line = {**json.loads(LINE), "spread": 0.5, "num_parameters": 7, "note": "text", "seconds": 1.5}
    read = HistoryLine.read_one(json.dumps(line))
    assert read is not None
    assert json.dumps(read.content()) == json.dumps(line)
    assert read.numbers() == {"generation": 0, "fitness": 1.0, "spread": 0.5, "num_parameters": 7, "seconds": 1.5}


def test_numbers_that_are_none_are_read_as_json_writes_them(tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    values = {"device": "cpu", "batch_size": 1, "threads": 1, "networks": [{"predicted": 1.0, "measured": 2}]}
    file.write_text(json.dumps({**values, "correlation": math.nan, "median_error": 0.1, "worst_error": -0.1}))
    profile = ProfileRecord.read(file)
    assert math.isnan(profile.correlation) and profile.measured.tolist() == [2.0]


def test_texts_are_made_fit_for_a_page_only_where_that_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"config": {"name": "a\x00\ud800b", "further": ["\x1b", {"\x07": 1}]}}))
    assert RunRecord.read(file).config["name"] == "a\x00\ud800b"
    assert RunRecord.read(file, for_page=True).config == {
        "name": "a\ufffd\ufffdb",
        "further": ["\ufffd", {"\ufffd": 1}],
    }


def test_a_writer_may_give_tuples_and_parts() -> None:
    best = BestArchitecture(
        architecture=(1, 2), description="a", fitness=1.0, num_parameters=3, drawing={"cell": [("in", "out", "conv")]}
    )
    record = SearchRecord(fitness="angle", evaluations=1, generations=1, seconds=1.0, best=[best], base_seeds=(0,))
    plain = {"architecture": [1, 2], "description": "a", "fitness": 1.0, "num_parameters": 3}
    assert record.content() == {
        **{"version": 1, "fitness": "angle", "base_seeds": [0], "evaluations": 1, "generations": 1, "seconds": 1.0},
        "best": [{**plain, "drawing": {"cell": [["in", "out", "conv"]]}}],
    }


def test_a_record_of_images_from_before_the_files_that_are_skipped_is_read(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text('{"num_classes": 10, "resolution": 32, "mean": [0.5], "std": [1], "images": {"train": 5}}')
    data = DataRecord.read(file)
    assert (data.images, data.skipped) == ({"train": 5}, {})


def test_scores_are_read_up_to_the_first_line_that_is_damaged() -> None:
    lines = [b"[1.5, 2]", b"[NaN, 1.0]", b"[1.0]", b"[3, 4]"]
    first, second = read_scores(lines, 2)
    assert first == [1.5, 2] and math.isnan(second[0])
    assert read_scores([b"[1, true]"], 2) == read_scores([b"{}"], 2) == read_scores([b'["1", 2]'], 2) == []


def test_a_result_keeps_the_keys_that_a_searcher_of_the_users_own_adds(tmp_path: Path) -> None:
    written = {
        **{"version": 1, "fitness": "angle", "evaluations": 1, "generations": 1, "seconds": 0.5, "rounds": [3, 4]},
        **{"best": [{"architecture": [0], "description": "a", "fitness": 1.0}], "remarks": [], "column": "test"},
    }
    file = tmp_path / "result.json"
    file.write_text(json.dumps(written))
    read = SearchRecord.read(file).content()
    assert read == written and list(read) == list(written)


def test_records_of_earlier_layouts_are_read(tmp_path: Path) -> None:
    """Before they had a version, the file of a mirror was a mapping of its files, and that of a page a list."""
    file = tmp_path / "record.json"
    for content in ({"config.json": [[1, 2], [3, 4]]}, {"version": 2, "files": {"config.json": [[1, 2], [3, 4]]}}):
        file.write_text(json.dumps(content))
        assert MirrorRecord.read(file).files == {"config.json": [[1, 2], [3, 4]]}
    for figures in (["b.svg", "a.png", "../c.svg", 3], {"version": 2, "figures": ["b.svg", "a.png"]}):
        file.write_text(json.dumps(figures))
        assert FiguresRecord.read(file).figures == ["a.png", "b.svg"]
    file.write_text("{}")
    assert MirrorRecord.read(file).files == {}
    for kind in (MirrorRecord, FiguresRecord):
        file.write_text(json.dumps({"version": 3, "files": {}, "figures": []}))
        with pytest.raises(ValueError, match="expected version 2 or earlier, got 3"):
            kind.read(file)
