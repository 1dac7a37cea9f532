"""Latency in a run: measured once, kept, read again; limits and objectives go by it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import raynas.stages.latency as latency
from raynas.cli import main
from raynas.search_space import AdditiveTable
from tests.stages.runs import small_run


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measures by the number of 3 x 3 convolutions, a millisecond each and one always; returns what was asked for."""
    asked = []

    def table(space, **settings):
        asked.append("table")
        assert settings["threads"] == 1 and settings["batch_size"] == 1 and settings["resolution"] == 8
        terms = np.zeros((6, 5, 1))
        terms[:, 3] = 1e-3
        settings["report"](1, 1)
        return AdditiveTable(("latency",), np.array([1e-3]), terms)

    def check(space, architectures, **settings):
        asked.append("check")
        return np.array([1e-3 * (2 + 2 * a.count(3)) for a in architectures])

    monkeypatch.setattr(latency, "latency_table", table)
    monkeypatch.setattr(latency, "check_latency", check)
    return asked


def limited(folder: Path, **search: object) -> Path:
    settings = {"fitness": "num_parameters", "limits": {"max_latency": 3e-3}, **search}
    return small_run(folder, search=settings)


def test_a_limit_on_latency_is_kept_and_latency_recorded(
    tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(limited(tmp_path))]) == 0
    run = tmp_path / "runs/small"
    lines = [json.loads(line) for line in (run / "search/history.jsonl").read_text().splitlines()]
    assert len(lines) == 60
    for line in lines:
        assert line["latency"] == pytest.approx(1e-3 * (1 + line["architecture"].count(3))) and line["latency"] <= 3e-3
        assert type(line["num_parameters"]) is int
    assert json.loads((run / "search/result.json").read_text())["best"][0]["architecture"].count(3) == 2
    assert "latency: measuring every candidate on " in capsys.readouterr().out


def test_it_is_measured_once_for_a_run(tmp_path: Path, measured: list[str]) -> None:
    file = limited(tmp_path)
    assert main(["run", str(file)]) == 0
    (tmp_path / "runs/small/search/result.json").unlink()
    assert main(["run", str(file)]) == 0
    assert main(["profile", str(file)]) == 0
    assert measured == ["table", "check"]


def test_a_run_that_asks_for_none_measures_none(tmp_path: Path, measured: list[str]) -> None:
    assert main(["run", str(limited(tmp_path, limits={"max_parameters": 1e6}))]) == 0
    assert measured == [] and not (tmp_path / "runs/small/latency.json").exists()


def test_what_was_measured_for_other_networks_is_refused(
    tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = limited(tmp_path)
    assert main(["run", str(file)]) == 0
    stored = tmp_path / "runs/small/latency.json"
    stored.write_text(json.dumps(json.loads(stored.read_text()) | {"threads": 4}))
    assert main(["run", str(file)]) == 2
    assert "latency.json was measured for threads 4, now it is 1; remove the file" in capsys.readouterr().err


def test_limits_that_admit_nothing_are_refused_before_anything_is_trained(
    tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(limited(tmp_path, fitness="angle", limits={"max_latency": 5e-4}))]) == 2
    assert "search.limits.max_latency: 5.0e-4 admits none" in capsys.readouterr().err
    assert not (tmp_path / "runs/small/supernet").exists()


def test_a_check_refuses_a_limit_on_latency_that_is_none(
    tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(limited(tmp_path, limits={"max_latency": -1.0}))]) == 2
    assert "search.limits.max_latency: expected greater than or equal to 0, got -1.0" in capsys.readouterr().err


def test_a_check_says_that_latency_is_measured_later(
    tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(limited(tmp_path))]) == 0
    assert "# search.limits on latency: it is measured when the search begins" in capsys.readouterr().out
    assert measured == []


def test_a_profile_holds_predicted_against_measured(
    tmp_path: Path, measured: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile", str(small_run(tmp_path))]) == 0
    out = capsys.readouterr().out
    assert "correlation 1.000, median error 50.0 %, worst -50.0 %" in out
    profile = json.loads((tmp_path / "runs/small/profile.json").read_text())
    assert len(profile["networks"]) == 20
    assert all(n["measured"] == pytest.approx(2 * n["predicted"]) for n in profile["networks"])


def test_without_a_cuda_device_one_is_refused_by_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if latency.torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert main(["profile", str(small_run(tmp_path)), "--set", "latency.device=cuda"]) == 2
    assert "latency.device: this machine has no CUDA device; set it to cpu" in capsys.readouterr().err


def test_a_check_asks_for_the_device_only_while_latency_is_not_measured(
    tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(latency.torch.cuda, "is_available", lambda: False)
    on_cuda = [str(limited(tmp_path)), "--set", "latency.device=cuda"]
    assert main(["check", *on_cuda]) == 2
    assert capsys.readouterr().err == "raynas: latency.device: this machine has no CUDA device; set it to cpu\n"
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(latency.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(latency.torch.cuda, "get_device_name", lambda: "a GPU")
    assert main(["run", *on_cuda]) == 0
    monkeypatch.setattr(latency.torch.cuda, "is_available", lambda: False)
    assert main(["check", *on_cuda]) == 0


def test_latency_is_an_objective_of_pareto(tmp_path: Path, measured: list[str]) -> None:
    assert main(["run", str(limited(tmp_path, name="pareto", objectives=["latency"], limits={}))]) == 0
    result = json.loads((tmp_path / "runs/small/search/result.json").read_text())
    assert result["objectives"] == ["latency"] and len(result["hypervolumes"]) == 3
    assert result["hypervolumes"] == sorted(result["hypervolumes"])
    front = [(entry["latency"], entry["fitness"]) for entry in result["front"]]
    assert front == sorted(front) and [f for _, f in front] == sorted(f for _, f in front)
