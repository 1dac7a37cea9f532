"""A sweep at a URL: the same numbers as of its runs alone, whatever is lost of the machine that leads it."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from pyarrow.fs import FileSelector, FileSystem

from raynas.cli import main
from raynas.config.locations import staging
from tests.on_ray.test_sweep import METHODS, sweep_file
from tests.stages.runs import losses, small_run, start, succeed, wait_until
from tests.storage.s3_server import ENVIRONMENT, s3_server

TRAIN = {"epochs": 8, "checkpoint_every": 2}


def of_runs_alone(folder: Path, labels: str, fitness: str) -> tuple[float, float]:
    """Returns the best fitness and the last loss of a plain run in this process, without Ray or any URL."""
    folder.mkdir()
    assert main(["run", str(small_run(folder, train=TRAIN, data={"labels": labels}, search={"fitness": fitness}))]) == 0
    found = json.loads((folder / "runs/small/search/result.json").read_text())
    return found["best"][0]["fitness"], losses(folder / "runs/small")[-1]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.long
def test_a_sweep_on_s3_that_loses_its_driver_and_all_staging_ends_as_its_runs_would_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two trainings, each for two fitnesses, two trials at a time; killed when the first is done."""
    with s3_server() as address:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        url, sweep = "s3://bucket/sweeps/small", {**METHODS, "metric": "fitness", "also": ["train_loss"]}
        store, root = FileSystem.from_uri(url)
        changes: dict[str, Any] = {"train": {**TRAIN, "workers": 1}, "local_cpus": 2}
        file = sweep_file(tmp_path, {**sweep, "concurrent": 2}, storage_path="s3://bucket/sweeps", **changes)

        def listed(part: str = "") -> dict[str, Any]:
            infos = store.get_file_info(FileSelector(f"{root}/{part}", recursive=True, allow_not_found=True))
            return {info.path.removeprefix(f"{root}/"): info for info in infos if info.is_file}

        def done() -> list[str]:
            states = [json.loads(store.open_input_stream(info.path).read()) for info in listed("states").values()]
            return [state["name"] for state in states if state["status"] == "done"]

        process = start("sweep", file, XDG_CACHE_HOME=str(tmp_path / "lost"))
        wait_until(lambda: bool(done()), process, seconds=280)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        shutil.rmtree(tmp_path / "lost", ignore_errors=True)
        ended = done()
        assert len(ended) < 4, "there is something left to do"
        results = {path: info.mtime_ns for path, info in listed("trials").items() if path.split("/")[1] in ended}
        out = succeed("sweep", file, XDG_CACHE_HOME=str(tmp_path / "found"))
        assert out.endswith(f"sweep folder: {url}\n")
        there = listed()
        assert {path: there[path].mtime_ns for path in results} == results
        assert not [name for name in ended if f"{name}:" in out]
        assert not [path for path in there if path.endswith("owner.json") or "/ray/" in f"/{path}"]
        assert len({path.split("/")[1] for path in there if path.startswith("supernets/")}) == 2
        assert not [path for path in there if path.startswith("trials/") and "/supernet/" in path]
        curves = "Training loss of 2 supernets, by"
        assert curves in store.open_input_stream(f"{root}/report/index.html").read().decode()

        store.delete_dir(f"{root}/report")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "third"))
        capsys.readouterr()
        assert main(["report", url]) == 0
        page = staging(url, "reader") / "report/index.html"
        assert capsys.readouterr().out == f"report: {page}\n"
        assert curves in page.read_text()
        assert not list((tmp_path / "third").rglob("*.safetensors"))
        assert "report/index.html" in listed()
        trials = json.loads(store.open_input_stream(f"{root}/results.json").read())["trials"]
    assert [trial["status"] for trial in trials] == ["done"] * 4
    for trial in trials:
        labels, fitness = trial["point"].values()
        alone = of_runs_alone(tmp_path / trial["name"], labels, fitness)
        assert (trial["metrics"]["fitness"], trial["metrics"]["train_loss"]) == alone
        assert trial["epochs"] == 8
