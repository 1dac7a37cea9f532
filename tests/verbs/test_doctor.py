"""`raynas doctor`: what a machine has, each line ok, a warning or a fault with its remedy."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from raynas.cli import main
from raynas.verbs import doctor

Usage = namedtuple("Usage", ("total", "used", "free"))


def test_a_machine_without_faults_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--storage", str(tmp_path / "runs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok      versions: raynas ")
    assert f"storage_path: {tmp_path / 'runs'} can be written" in "\n".join(lines)
    assert lines[-1].startswith(f"checks: {len(lines) - 1}, faults: 0, warnings: ")
    assert list(tmp_path.iterdir()) == [], "nothing is left where it looked"


def test_a_fault_ends_with_1_and_its_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--storage", "/proc/nowhere"]) == 1
    out, err = capsys.readouterr()
    faults = [finding for finding in json.loads(out) if finding["status"] == "fault"]
    assert [fault["check"] for fault in faults] == ["storage_path"]
    assert faults[0]["remedy"] == "choose another folder"
    assert err.startswith("raynas: faults: storage_path: /proc/nowhere cannot be written")


def test_a_cluster_that_does_not_answer_is_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--address", "http://127.0.0.1:9"]) == 1
    findings = {finding["check"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert "there is no dashboard of Ray at http://127.0.0.1:9" in findings["cluster"]["text"]


def test_a_url_is_written_to_and_left_clean(tmp_path: Path) -> None:
    assert doctor.storage_finding("mock://bucket/runs").status == "fault"
    (tmp_path / "a").write_text("")
    found = doctor.storage_finding(f"{tmp_path}/a/b")
    assert (found.status, found.remedy) == ("fault", "choose another folder")


def test_what_is_scarce_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(2**40, 2**40 - 2**20, 2**20))
    assert doctor.shared_memory(tmp_path).status == "warning"
    assert doctor.folder_finding("cache", tmp_path).status == "warning"
    assert doctor.shared_memory(tmp_path / "none").status == "warning"


@pytest.mark.parametrize(("limit", "quota"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("nonsense", None)])
def test_the_limit_of_a_container_on_cpus_is_read(limit: str, quota: float | None, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(limit)
    assert doctor.cpu_quota(tmp_path / "cpu.max") == quota
    assert doctor.cpu_quota(tmp_path / "missing") is None


def test_a_token_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    def status(**environment: str) -> str:
        return next(doctor.token_findings(environment, tmp_path)).status

    assert status() == "ok", "there is none"
    assert status(RAY_AUTH_TOKEN="x") == "ok"
    assert status(RAY_AUTH_TOKEN_PATH=str(tmp_path / "missing")) == "fault"
    file = tmp_path / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text("x")
    os.chmod(file, 0o644)
    assert status() == "warning"
    os.chmod(file, 0o600)
    assert status() == "ok"


def test_a_missing_package_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(doctor.OPTIONAL, "no-such-package", ("ray", "sweeps"))
    found = doctor.optional_package("no-such-package", "ray", "sweeps")
    assert (found.status, found.remedy) == ("warning", "give `pip install 'raynas[ray]'`")
    assert doctor.optional_package("pytest", "ray", "tests").status == "ok"
