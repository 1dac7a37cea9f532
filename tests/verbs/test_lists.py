"""`raynas list`: what raynas brings along, and the runs of a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from raynas.algorithms import ALGORITHMS
from raynas.arguments import LISTS
from raynas.cli import main
from raynas.storage.owner import Owner
from tests.stages.runs import ROOT

OLD_RUNS = Path(__file__).parents[1] / "old_runs" / "0.1.0"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("kind", [kind for kind in LISTS if kind != "runs"])
def test_every_list_names_its_members_and_says_what_they_are(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(printed(capsys, "list", kind, "--json"))
    table = printed(capsys, "list", kind).splitlines()
    assert len(rows) == len(table) - 1 >= (3 if kind == "trackers" else 4)
    for row, line in zip(rows, table[1:], strict=True):
        assert line.startswith(row["name"])
        assert len(row["what"]) > 3


def test_without_a_kind_all_names_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    names = json.loads(printed(capsys, "list", "--json"))
    assert set(names) == set(LISTS) - {"runs"}
    assert names["algorithms"] == list(ALGORITHMS.names())
    text = printed(capsys, "list")
    assert all(name in text for of_kind in names.values() for name in of_kind)


def test_the_list_of_algorithms_has_the_entries_of_their_rows(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in json.loads(printed(capsys, "list", "algorithms", "--json"))}
    assert (rows["gdas"]["weights"], rows["gdas"]["alphas"], rows["gdas"]["searcher"]) == ("gumbel", "gumbel", "derive")
    assert (rows["rlnas"]["labels"], rows["rlnas"]["fitness"]) == ("random", "angle")
    assert rows["spos"]["what"].startswith("SPOS"), "not the text of a module that imports its row"


def test_jobs_are_the_files_of_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(printed(capsys, "list", "jobs", "--json"))
    assert [row["name"] for row in rows] == sorted(f"jobs:{file.stem}" for file in (ROOT / "jobs").glob("*.yaml"))


def test_runs_are_listed_with_state_and_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(OLD_RUNS, tmp_path / "runs")
    (tmp_path / "runs/no_run").mkdir()
    shutil.rmtree(tmp_path / "runs/gdas/search")
    rows = {row["name"]: row for row in json.loads(printed(capsys, "list", "runs", tmp_path / "runs", "--json"))}
    assert set(rows) == {"gdas", "rlnas", "spos", "sweep"}
    best = json.loads((tmp_path / "runs/rlnas/search/result.json").read_text())["best"][0]
    assert (rows["rlnas"]["state"], rows["rlnas"]["best"]) == ("searched", f"angle {best['fitness']:.5g}")
    assert (rows["gdas"]["state"], rows["gdas"]["best"]) == ("trained", "")
    assert (rows["sweep"]["kind"], rows["sweep"]["state"]) == ("sweep", "4 of 4 trials done")


def test_a_run_that_a_process_works_on_and_a_damaged_one_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(OLD_RUNS, tmp_path / "runs")
    (tmp_path / "runs/rlnas/.owner.1").write_bytes(Owner.here().record())
    dead = Owner.here().model_copy(update={"process": 2**22 + 1, "started": 1})
    (tmp_path / "runs/spos/.owner.1").write_bytes(dead.record())
    (tmp_path / "runs/gdas/search/result.json").write_text("{")
    rows = {row["name"]: row for row in json.loads(printed(capsys, "list", "runs", tmp_path / "runs", "--json"))}
    assert rows["rlnas"]["state"] == "searched (running)"
    assert rows["spos"]["state"] == "searched"
    assert rows["gdas"]["state"].startswith("damaged: ")


def test_a_folder_without_runs_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "list", "runs", tmp_path) == "no runs\n"
    assert main(["list", "runs", str(tmp_path / "missing")]) == 2
    assert "expected a folder of runs" in capsys.readouterr().err
