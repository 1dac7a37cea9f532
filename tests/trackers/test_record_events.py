"""Events are read from records as they grow: each once, whatever happens to the files meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raynas.config.reading import load_config
from raynas.stages.record_events import GrowingFile, RecordEvents, SweepEvents
from raynas.stages.tracking import changed_keys
from raynas.storage.run_folder import write_text
from raynas.trackers.event import Architecture, Artifact, Epoch, Event, Generation, Rank, Trial
from raynas.trackers.scalars import scalars_of

METRICS = "supernet/seed_0/metrics.jsonl"


def epochs(*numbers: int) -> str:
    return "".join(json.dumps({"epoch": number, "step": 4 * number, "loss": 1.5}) + "\n" for number in numbers)


def evaluated(generation: int, *fitness: float) -> str:
    keys = {"generation": generation, "architecture": [0], "description": "a"}
    return "".join(json.dumps({**keys, "fitness": value}) + "\n" for value in fitness)


def folder_with(tmp_path: Path) -> Path:
    (tmp_path / "supernet/seed_0").mkdir(parents=True)
    (tmp_path / "search").mkdir()
    return tmp_path


def told_epochs(news: list[Event]) -> list[int]:
    return [int(event.line["epoch"]) for event in news if isinstance(event, Epoch)]


def test_a_line_is_read_once_when_it_is_written_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    growing = GrowingFile(file)
    assert growing.new_lines() == (False, [])
    file.write_text("one\ntw")
    assert growing.new_lines()[1] == [b"one"]
    assert growing.new_lines() == (False, [])
    with file.open("a") as stream:
        stream.write("o\nthree\n")
    assert growing.new_lines() == (False, [b"two", b"three"])
    write_text(file, "one\n2\n")  # another file takes its place
    assert growing.new_lines() == (True, [b"one", b"2"])
    file.unlink()
    assert growing.new_lines() == (True, []) and growing.lines == 0


def test_epochs_are_told_once_and_those_after_a_cut_again(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    events, file = RecordEvents(folder), folder / METRICS
    file.write_text(epochs(0, 1, 2))
    assert told_epochs(events.news()) == [0, 1, 2] and events.news() == []
    write_text(file, epochs(0))  # a worker was lost: training continues from a checkpoint
    assert events.news() == []
    write_text(file, epochs(0, 1, 2, 3))
    assert told_epochs(events.news()) == [1, 2, 3]


@pytest.mark.parametrize("before", range(6))
def test_another_process_tells_exactly_what_the_one_before_did_not(tmp_path: Path, before: int) -> None:
    folder = folder_with(tmp_path)
    texts = [(METRICS, epochs(0, 1)), (METRICS, epochs(2)), ("search/history.jsonl", evaluated(0, 0.1, 0.5))]
    texts += [("search/history.jsonl", evaluated(1, 0.3)), ("search/result.json", "{}\n")]
    told: dict[str, int] = {}
    found: list[Event] = []
    for number, (name, text) in enumerate(texts):
        with (folder / name).open("a") as stream:
            stream.write(text)
        if number < before:
            first = RecordEvents(folder, told)
            found += first.news()
            told = first.told
    second = RecordEvents(folder, told)
    found += second.news()
    assert told_epochs(found) == [0, 1, 2]
    assert [event.line["fitness"] for event in found if isinstance(event, Architecture)] == [0.1, 0.5, 0.3]
    generations = [event for event in found if isinstance(event, Generation)]
    assert [(one.generation, one.evaluated, one.best) for one in generations] == [(0, 2, 0.5), (1, 3, 0.5)]
    assert [one.mean for one in generations] == pytest.approx([0.3, 0.3])
    assert [event.path for event in found if isinstance(event, Artifact)] == ["search/result.json"]
    assert RecordEvents(folder, second.told).news() == []


def test_a_line_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    (folder / METRICS).write_text(epochs(0) + "{\n" + epochs(1))
    assert told_epochs(RecordEvents(folder).news()) == [0, 1]


def test_a_ranking_is_told_when_it_is_new_and_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "rank").mkdir()
    file, events = tmp_path / "rank/angle.json", RecordEvents(tmp_path)
    row = {"name": "angle", "tau": 0.5}
    record = {"version": 1, "label": "angle", "fitness": "angle", "cells": 9, "space": 9, "seconds": 1.0, "rows": [row]}
    file.write_text(json.dumps(record))
    (rank, artifact) = events.news()
    assert rank == Rank("angle", {"angle": 0.5}) and artifact == Artifact("rank/angle.json")
    assert events.news() == []
    file.write_text(json.dumps({**record, "epochs": [{"epoch": 1, "tau": 0.1}, {"epoch": 2, "tau": 0.5}]}))
    rank = events.news()[0]
    assert isinstance(rank, Rank) and rank.by_epoch == {1: 0.1, 2: 0.5}
    assert [(one.step, dict(one.values)) for one in scalars_of(rank)] == [
        (1, {"rank_by_epoch/angle": 0.1}),
        (2, {"rank_by_epoch/angle": 0.5}),
        (2, {"rank_angle/angle": 0.5}),
    ]


def state(folder: Path, name: str, status: str, **metrics: float) -> None:
    keys = {"version": 1, "name": name, "begun": 1.0, "point": {"seed": name}, "status": status, "metrics": metrics}
    (folder / "states").mkdir(exist_ok=True)
    (folder / f"states/{name}.json").write_text(json.dumps(keys))


def test_trials_are_told_when_they_end_and_a_failed_one_again_when_it_is_done(tmp_path: Path) -> None:
    events = SweepEvents(tmp_path)
    state(tmp_path, "a", "running", loss=1.0)
    state(tmp_path, "b", "failed")
    (failed,) = events.news()
    assert isinstance(failed, Trial) and (failed.name, failed.status) == ("b", "failed")
    state(tmp_path, "a", "done", loss=0.5)
    state(tmp_path, "b", "done", loss=0.7)
    told = {event.name: dict(event.metrics) for event in events.news() if isinstance(event, Trial)}
    assert told == {"a": {"loss": 0.5}, "b": {"loss": 0.7}}
    assert SweepEvents(tmp_path, events.told).news() == []


def test_what_is_no_finite_number_is_left_out_of_the_figures() -> None:
    event = Epoch("supernet/seed_0", {"epoch": 0, "step": 7, "loss": 1.0, "a": None, "b": float("nan"), "c": True})
    assert [(one.step, dict(one.values)) for one in scalars_of(event)] == [(7, {"supernet_seed_0/loss": 1.0})]


def test_a_result_is_read_again_only_when_its_file_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, read = folder_with(tmp_path), []
    write_text(folder / "data.json", "{}")
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda file: read.append(file.name) or read_bytes(file))
    events = RecordEvents(folder)
    assert events.news() == [Artifact("data.json")]
    assert events.news() == events.news() == []
    write_text(folder / "data.json", "{} ")
    assert events.news() == [Artifact("data.json")]
    assert read == ["data.json"] * 2


def test_keys_are_changed_that_differ_from_the_defaults_of_the_algorithm(tmp_path: Path) -> None:
    text = "space: {name: nasbench201}\ndata: {name: digits}\nalgorithm: gdas\nseed: 3\ntrain: {epochs: 7}\n"
    (tmp_path / "mine.yaml").write_text(text)
    changed = changed_keys(load_config(tmp_path / "mine.yaml"))
    given = {"algorithm": "gdas", "space.name": "nasbench201", "data.name": "digits"}
    assert changed == {**given, "seed": 3, "train.epochs": 7}
