"""Two commands that begin together on one name, with different configurations: one works, one leaves nothing."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raynas.config.reading import load_config
from raynas.config.sweeps import load_sweep
from raynas.on_ray import sweep as sweep_module
from raynas.on_ray.session import on_ray
from raynas.stages import run as run_module
from raynas.stages.run import opened, profile_run, rank_run
from raynas.storage.ownership import Busy
from tests.stages.runs import ROOT, small_run, start

OPENER = """
import dataclasses, sys, time
from rich.console import Console
from raynas.config.reading import load_config
from raynas.storage.ownership import Busy
from raynas.stages import run
file, seed = sys.argv[1:]
prepared = run.prepare(load_config(file, [f"seed={seed}"]), Console(stderr=True))

def prepare_again(config, console, **further):
    return dataclasses.replace(prepared, task=dataclasses.replace(prepared.task, config=config))

run.prepare = prepare_again  # images are read once
print("ready", flush=True)
for name in iter(sys.stdin.readline, ""):
    config = load_config(file, [f"name={name.strip()}", f"seed={seed}"])
    try:
        with run.opened(config, Console(stderr=True)):
            print(f"opened {seed}", flush=True)
            sys.stdin.readline()
    except Busy:
        print("busy", flush=True)
        sys.stdin.readline()
"""


@pytest.mark.slow
def test_of_two_processes_the_configuration_is_of_the_one_that_goes_on_in_each_of_twenty_rounds(tmp_path: Path) -> None:
    file = small_run(tmp_path)
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(file), str(seed)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]

    def tell(line: str) -> None:
        for opener in openers:
            assert opener.stdin is not None
            opener.stdin.write(f"{line}\n")
            opener.stdin.flush()

    try:
        for opener in openers:
            assert opener.stdout is not None and opener.stdout.readline() == "ready\n"
        for number in range(20):
            tell(f"run-{number}")
            answers = sorted(opener.stdout.readline().strip() for opener in openers if opener.stdout)
            folder = tmp_path / f"runs/run-{number}"
            stored = json.loads((folder / "config.json").read_text())["config"]["seed"]
            assert answers == ["busy", f"opened {stored}"]
            assert sorted(os.listdir(folder)) == [".owner.1", "config.json", "data.json"]
            tell("end")
    finally:
        for opener in openers:
            opener.communicate()


@contextmanager
def one_at_work(monkeypatch: pytest.MonkeyPatch, place: object, name: str) -> Iterator[Callable[..., list[str]]]:
    """Yields what runs two functions together; the work that they would do waits until both have begun."""
    answered = threading.Barrier(2)

    def work(*_: Any, **__: Any) -> dict[str, Any]:
        answered.wait(60)
        return {"trials": []}

    def together(*functions: Callable[[], object]) -> list[str]:
        came: list[str] = []

        def begin(number: int) -> None:
            try:
                functions[number]()
                came.append(str(number))
            except Busy:
                came.append("busy")
                answered.wait(60)

        threads = [threading.Thread(target=begin, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(came)

    monkeypatch.setattr(place, name, work)
    yield together


@pytest.mark.parametrize(
    ("verb", "work", "told"),
    [
        (functools.partial(rank_run, open_backend=on_ray), "rank", ["tensorboard", "trackers"]),
        (profile_run, "profile", []),
    ],
)
def test_ranks_and_profiles_own_the_run_before_they_look_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: Callable[..., object], work: str, told: list[str]
) -> None:
    file = small_run(tmp_path, search={"fitness": "num_parameters"})
    monkeypatch.setattr(run_module, "with_latency", lambda task, *_: task)
    with one_at_work(monkeypatch, run_module, work) as together:
        for number in range(5):
            configs = [load_config(file, [f"name=run-{number}", f"seed={seed}"]) for seed in (0, 1)]
            came = together(*(lambda config=config: verb(config, Console(quiet=True)) for config in configs))
            stored = json.loads((configs[0].folder / "config.json").read_text())["config"]["seed"]
            assert came == [str(stored), "busy"]
            assert sorted(os.listdir(configs[0].folder)) == ["config.json", "data.json", *told]


def test_a_sweep_owns_its_folder_before_it_looks_at_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = small_run(tmp_path, sweep={"keys": {"search.population": {"grid": [20, 30]}}})
    monkeypatch.setattr(sweep_module, "plans", lambda *_: ())
    monkeypatch.setattr(sweep_module, "write_sweep_report", lambda folder: None)
    with one_at_work(monkeypatch, sweep_module, "_write_results") as together:
        for number in range(5):
            sweeps = [load_sweep(file, [f"name=sweep-{number}", f"seed={seed}"]) for seed in (0, 1)]
            came = together(*(lambda one=one: sweep_module.sweep_runs(one, Console(quiet=True)) for one in sweeps))
            stored = json.loads((sweeps[0].folder / "sweep.json").read_text())["base"]["seed"]
            assert came == [str(stored), "busy"]
            assert os.listdir(sweeps[0].folder) == ["sweep.json"]


@pytest.mark.slow
def test_of_two_commands_one_runs_and_the_other_says_who_does(tmp_path: Path) -> None:
    file = small_run(tmp_path, train={"epochs": 2})
    both = [start("run", file, "--set", f"seed={seed}") for seed in (1, 2)]
    said = [process.communicate(timeout=300) for process in both]
    stored = json.loads((tmp_path / "runs/small/config.json").read_text())["config"]["seed"]
    winner, loser = stored - 1, 2 - stored
    assert both[winner].returncode == 0, said[winner][1]
    assert both[loser].returncode in (1, 2), "in use or, if it began when the other had ended, of another configuration"
    assert len(said[loser][1].splitlines()) == 1
    assert ("is in use by raynas on" in said[loser][1]) == (both[loser].returncode == 1)
    assert not list((tmp_path / "runs/small").rglob(".*"))


@pytest.mark.parametrize("mistake", ["another configuration", "no run", "a file"])
@pytest.mark.parametrize("verb", ["run", "rank", "profile"])
def test_a_mistake_leaves_the_folder_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, mistake: str
) -> None:
    from raynas.cli import main

    file = small_run(tmp_path)
    run = tmp_path / "runs/small"
    run.parent.mkdir()
    if mistake == "a file":
        run.write_text("mine")
    else:
        run.mkdir()
        other = load_config(small_run(tmp_path), ["seed=9"]).model_dump()
        content = json.dumps({"config": other}) if mistake == "another configuration" else "{}"
        (run / ("config.json" if mistake == "another configuration" else "thesis.json")).write_text(content)
    before = [(path, path.stat().st_mtime_ns) for path in run.parent.rglob("*") if path.is_file()]
    status = main([verb, str(file)])
    err = capsys.readouterr().err
    assert status == (1 if mistake == "a file" else 2), err
    assert len(err.splitlines()) == 1
    assert before == [(path, path.stat().st_mtime_ns) for path in run.parent.rglob("*") if path.is_file()]


def test_a_rank_without_a_run_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from raynas.cli import main

    file = small_run(tmp_path)
    assert main(["rank", str(file)]) == 2
    assert "there is no run" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_open_run_that_fails_before_its_configuration_is_written_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no")

    monkeypatch.setattr(run_module, "open_run", fail)
    with pytest.raises(ValueError, match="no"), opened(load_config(small_run(tmp_path)), Console(quiet=True)):
        pass
    assert not (tmp_path / "runs").exists()
