"""Runs at URLs: what is carried, in which order, and what is left when something is killed or fails."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from PIL import Image
from pyarrow import PythonFile
from pyarrow.fs import FileSelector, FileSystem, FSSpecHandler, PyFileSystem

from raynas.cli import main
from raynas.config.locations import staging, within
from raynas.config.reading import load_config
from raynas.storage import object_store, registers
from raynas.storage import owner as owner_module
from raynas.storage.mirror import UrlMirror, mirror_at, mirrored, pull_news, pulled
from raynas.storage.ownership import Busy
from raynas.storage.registers import Lost
from tests.stages.runs import ROOT, chain_run, command, losses, outcome, small_run, start, succeed, wait_until
from tests.storage.s3_server import ENVIRONMENT, s3_server

Tree = dict[str, str]

OLD = {
    "config.json": "{}",
    "supernet/seed_0/initial/checkpoint.json": "initial",
    "supernet/seed_0/initial/weights.safetensors": "initial weights",
    "supernet/seed_0/epoch_00001/checkpoint.json": "1",
    "supernet/seed_0/epoch_00001/weights.safetensors": "weights 1",
    "supernet/seed_0/epoch_00001/optimizer.safetensors": "momentum 1",
    "supernet/seed_0/metrics.jsonl": "1\n",
}
"""A run after an epoch, of which the newest checkpoint is kept."""

NEW = {path: text for path, text in OLD.items() if "epoch" not in path} | {
    "supernet/seed_0/epoch_00002_step_00007/checkpoint.json": "2",
    "supernet/seed_0/epoch_00002_step_00007/weights.safetensors": "weights 2",
    "supernet/seed_0/epoch_00002_step_00007/optimizer.safetensors": "momentum 2",
    "supernet/seed_0/metrics.jsonl": "1\n2\n",
    "supernet/seed_0/result.json": "done",
}
"""The same run after another epoch, which is its last."""

REDONE = {path: text.replace(" 1", " one") if "epoch" in path else text for path, text in OLD.items()}
"""The same run after doing the epoch again: a checkpoint of the same name."""


class Killed(BaseException):
    """The end of a process."""


class Put(io.FileIO):
    """An object that is being written: it appears whole, when it is closed."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._hidden = file, file.with_name(f".{file.name}.{threading.get_ident()}")
        super().__init__(self._hidden, "w")

    def close(self) -> None:
        if not self.closed:
            super().close()
            os.replace(self._hidden, self._file)


class Store(FSSpecHandler):  # type: ignore[misc]
    """An object store in a folder, which notes what is written, and may fail or end the process before a write."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        super().__init__(DirFileSystem(path=str(folder), fs=LocalFileSystem(auto_mkdir=True)))
        self.folder, self.writes, self.reads = folder, list[str](), list[str]()
        self.before_write: Any = lambda: None
        self.before_read: Any = lambda: None

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        self.before_write()
        self.writes.append(f"put {path}")
        return PythonFile(Put(self.folder / path), mode="w")

    def delete_file(self, path: str) -> None:
        self.before_write()
        self.writes.append(f"delete {path}")
        super().delete_file(path)

    def open_input_stream(self, path: str) -> Any:
        self.before_read()
        self.reads.append(path)
        return super().open_input_stream(path)

    def tree(self) -> Tree:
        return tree_of(self.folder / "run")

    def fails(self, after: int, times: int = 1, error: BaseException | None = None) -> Any:
        """Returns what lets so many operations pass and then fails so many times."""
        count = iter(range(after + times))

        def fail() -> None:
            if next(count, -1) >= after:
                raise error or OSError("the store is not itself")

        return fail


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(registers, "SETTLED", 0.01)


def machine(store: Store, folder: Path) -> UrlMirror:
    """Returns the mirror of a process that begins on some machine."""
    return UrlMirror("s3://bucket/run", folder, PyFileSystem(store), "run")


def move(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """Lets what this process claims from now on be claimed on another machine."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    monkeypatch.setattr(owner_module, "boot_id", lambda: f"boot of {host}")


def tree_of(folder: Path) -> Tree:
    """Returns the text of every file by its path, but for what is the mirror's own."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    return {file.relative_to(folder).as_posix(): file.read_text() for file in files}


def make(folder: Path, tree: Tree) -> None:
    """Makes the files of a run what a tree says; those that do not change are not touched."""
    now = tree_of(folder)
    for path in set(now) - set(tree):
        (folder / path).unlink()
        if not any((folder / path).parent.iterdir()):
            (folder / path).parent.rmdir()
    for path in {path for path in tree if now.get(path) != tree[path]}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(tree[path])


def test_another_machine_pulls_what_was_pushed_and_nothing_is_carried_twice(tmp_path: Path, store: Store) -> None:
    here, there = machine(store, tmp_path / "here"), machine(store, tmp_path / "there")
    of_this_machine = {"lock": "", "supernet/seed_0/.epoch_00002.x/weights.safetensors": "half"}
    make(tmp_path / "here", OLD | of_this_machine)
    here.push()
    assert store.tree() == OLD
    there.pull()
    assert tree_of(tmp_path / "there") == OLD
    store.writes, store.reads = [], []
    here.push()
    there.pull()
    there.push()
    again = machine(store, tmp_path / "there")
    again.pull()
    again.push()
    assert (store.writes, store.reads) == ([], [])
    make(tmp_path / "there", NEW)
    again.push()
    here.pull()
    assert store.tree() == NEW
    assert tree_of(tmp_path / "here") == NEW | of_this_machine
    assert not (tmp_path / "here/supernet/seed_0/epoch_00001").exists()
    changed = {path for path in NEW if NEW[path] != OLD.get(path)}
    assert sorted(store.reads) == sorted(f"run/{path}" for path in changed)


def test_what_counts_on_other_files_goes_after_them_and_leaves_before_them(tmp_path: Path, store: Store) -> None:
    mirror = machine(store, tmp_path / "here")
    make(mirror.folder, OLD)
    mirror.push()
    store.writes = []
    make(mirror.folder, NEW)
    mirror.push()
    new, old = (f"run/supernet/seed_0/{name}" for name in ("epoch_00002_step_00007", "epoch_00001"))
    assert store.writes == [
        f"put {new}/optimizer.safetensors",
        f"put {new}/weights.safetensors",
        "put run/supernet/seed_0/metrics.jsonl",
        f"put {new}/checkpoint.json",
        "put run/supernet/seed_0/result.json",
        f"delete {old}/checkpoint.json",
        f"delete {old}/weights.safetensors",
        f"delete {old}/optimizer.safetensors",
    ]


def usable(run: Tree) -> list[int]:
    """Returns the epochs of the checkpoints that count, after checking that each is whole and has its metrics."""
    epochs = []
    for path in [path for path in run if path.endswith("/checkpoint.json")]:
        name = path.removesuffix("checkpoint.json")
        parts = {part.removeprefix(name): text for part, text in run.items() if part.startswith(name)}
        wholes = [
            {p.removeprefix(name): t for p, t in tree.items() if p.startswith(name)} for tree in (OLD, NEW, REDONE)
        ]
        assert parts in wholes, f"{name} is half a checkpoint: {parts}"
        epochs += [int(parts["checkpoint.json"])] if "epoch" in name else []
    assert len(run.get("supernet/seed_0/metrics.jsonl", "").splitlines()) >= max(epochs, default=0)
    assert ("supernet/seed_0/result.json" in run) <= (2 in epochs)
    return epochs


def has_halves(run: Tree) -> bool:
    """Returns whether there are weights that no checkpoint counts."""
    weights = {path.rpartition("/")[0] for path in run if path.endswith(".safetensors")}
    return not weights <= {path.rpartition("/")[0] for path in run if path.endswith("/checkpoint.json")}


@pytest.mark.parametrize("after", range(9))
def test_a_push_killed_between_any_two_writes_leaves_the_old_checkpoint_or_the_new(
    tmp_path: Path, store: Store, after: int
) -> None:
    first = machine(store, tmp_path / "first")
    make(first.folder, OLD)
    first.push()
    make(first.folder, NEW)
    store.before_write = store.fails(after, error=Killed())
    if after < 8:
        with pytest.raises(Killed):
            first.push()
    else:
        first.push()
    store.before_write = lambda: None
    reader = machine(store, tmp_path / "reader")
    reader.pull()
    assert usable(tree_of(reader.folder))
    assert not has_halves(tree_of(reader.folder))
    for name in ("elsewhere", "first"):  # an empty folder, and the one that was left behind
        store_before = tree_of(store.folder)
        again = machine(store, tmp_path / name)
        again.pull()
        assert usable(tree_of(again.folder))
        again.push()
        assert usable(store.tree())
        make(again.folder, NEW)
        again.push()
        assert store.tree() == NEW, "nothing of what was left unfinished stays"
        shutil.rmtree(store.folder)
        store.folder.mkdir()
        make(store.folder, store_before)


@pytest.mark.parametrize("after", range(5))
def test_a_checkpoint_of_the_same_name_is_never_half_the_old_and_half_the_new(
    tmp_path: Path, store: Store, after: int
) -> None:
    first = machine(store, tmp_path / "first")
    make(first.folder, OLD)
    first.push()
    make(first.folder, REDONE)
    store.before_write = store.fails(after, error=Killed())
    if after < 4:
        with pytest.raises(Killed):
            first.push()
    else:
        first.push()
    store.before_write = lambda: None
    again = machine(store, tmp_path / "again")
    again.pull()
    assert usable(tree_of(again.folder)) == ([1] if after in (0, 4) else [])
    make(again.folder, REDONE)
    again.push()
    assert store.tree() == REDONE


@pytest.mark.parametrize("after", range(8))
def test_a_pull_killed_between_any_two_reads_is_made_up_for_by_the_next(
    tmp_path: Path, store: Store, after: int
) -> None:
    make(store.folder / "run", OLD)
    mirror = machine(store, tmp_path / "here")
    store.before_read = store.fails(after, error=Killed())
    if after < len(OLD):
        with pytest.raises(Killed):
            mirror.pull()
        assert set(tree_of(tmp_path / "here").items()) <= set(OLD.items())
    store.before_read = lambda: None
    again = machine(store, tmp_path / "here")
    again.pull()
    again.push()
    assert tree_of(tmp_path / "here") == store.tree() == OLD
    assert store.writes == []


def test_a_failed_push_is_made_up_for_by_the_next_command_on_the_machine(tmp_path: Path, store: Store) -> None:
    mirror = machine(store, tmp_path / "here")
    make(mirror.folder, OLD)
    mirror.push()
    make(mirror.folder, NEW)
    store.before_write = store.fails(2, times=100)
    with pytest.raises(OSError, match="keeps failing"):
        mirror.push()
    store.before_write = lambda: None
    again = machine(store, tmp_path / "here")
    again.pull()
    assert tree_of(tmp_path / "here").items() >= NEW.items(), "what was not pushed is still here"
    make(tmp_path / "here", NEW)
    again.push()
    assert store.tree() == NEW


def test_what_another_machine_has_done_since_wins_over_what_was_not_pushed(tmp_path: Path, store: Store) -> None:
    lost, other = machine(store, tmp_path / "lost"), machine(store, tmp_path / "other")
    make(lost.folder, OLD)
    lost.push()
    other.pull()
    make(other.folder, NEW)
    other.push()
    make(lost.folder, OLD | {"supernet/seed_0/metrics.jsonl": "1\nof a run that was cut off\n"})
    again = machine(store, tmp_path / "lost")
    again.pull()
    again.push()
    assert tree_of(tmp_path / "lost") == store.tree() == NEW


def test_files_that_vanish_from_staging_are_fetched_again_never_deleted_at_the_url(
    tmp_path: Path, store: Store
) -> None:
    mirror = machine(store, tmp_path / "here")
    make(mirror.folder, OLD)
    mirror.push()
    shutil.rmtree(mirror.folder / "supernet")
    again = machine(store, tmp_path / "here")
    again.pull()
    again.push()
    assert tree_of(tmp_path / "here") == store.tree() == OLD


@pytest.mark.parametrize("config", [None, '{"created": "later"}'], ids=["removed", "replaced"])
def test_nothing_stays_of_a_run_that_was_removed_or_replaced_at_the_url(
    tmp_path: Path, store: Store, config: str | None
) -> None:
    mirror = machine(store, tmp_path / "here")
    make(mirror.folder, OLD)
    mirror.push()
    (mirror.folder / "supernet/seed_0/notes").write_text("never pushed")
    shutil.rmtree(store.folder / "run")
    there = {} if config is None else {"config.json": config}
    make(store.folder / "run", there)
    again = machine(store, tmp_path / "here")
    again.pull()
    again.push()
    assert tree_of(tmp_path / "here") == store.tree() == there


def test_only_the_parts_that_are_asked_for_are_carried(tmp_path: Path, store: Store) -> None:
    make(store.folder / "run", NEW | {"owner.json": "{}", "ray/attempt/x": "Ray's"})
    mirror = machine(store, tmp_path / "here")
    mirror.pull("config.json", mirror.folder / "supernet/seed_0/initial")
    assert set(tree_of(mirror.folder)) == {path for path in NEW if "initial" in path or path == "config.json"}
    mirror.pull(weights=False)
    assert set(tree_of(mirror.folder)) == {
        path for path in NEW if "initial" in path or not path.endswith(".safetensors")
    }
    make(mirror.folder, tree_of(mirror.folder) | {"report/index.html": "<html>", "search/history.jsonl": "{}"})
    mirror.push("report")
    assert store.writes == ["put run/report/index.html"]
    mirror.push("search", every=3600)
    assert len(store.writes) == 1


def test_what_never_came_to_the_url_is_not_taken_for_a_run_there(tmp_path: Path, store: Store) -> None:
    make(tmp_path / "here", {"config.json": "of a first push that failed"})
    machine(store, tmp_path / "here").pull()
    assert not (tmp_path / "here").exists()


SWEPT = {
    "sweep.json": "{}",
    "states/a.json": "{}",
    "trials/a/config.json": "{}",
    "trials/a/supernet/seed_0/metrics.jsonl": "1\n",
    "trials/a/supernet/seed_0/initial/checkpoint.json": "{}",
    "trials/a/supernet/seed_0/initial/weights.safetensors": "weights",
}
"""A sweep with a trial that is carried out."""

OF_OTHERS = {
    "ray/attempt/x": "Ray's",
    "trials/a/ray/attempt/x": "Ray's",
    "trials/a/owner.json": "{}",
    "trials/a/supernet/seed_0/epoch_00001/weights.safetensors": "of a checkpoint that is being written",
}
"""What lies there meanwhile, and is no part of it."""


def test_news_that_cannot_be_pulled_are_said_to_be_missing_and_end_nothing(tmp_path: Path, store: Store) -> None:
    make(store.folder / "run", SWEPT)
    mirror, said = machine(store, tmp_path / "here"), list[str]()
    store.before_read = store.fails(0, times=4)
    pull_news(mirror, said.append, "states")
    assert len(said) == 1 and said[0].startswith("work goes on unseen: storage_path: s3://bucket/run keeps failing (")
    pull_news(mirror, said.append, "states")
    assert len(said) == 1 and (mirror.folder / "states/a.json").exists()


def test_who_leads_a_sweep_carries_what_is_its_own_and_disturbs_no_trial(tmp_path: Path, store: Store) -> None:
    make(store.folder / "run", SWEPT | OF_OTHERS)
    mirror = machine(store, tmp_path / "here")
    mirror.pull("states")
    assert set(tree_of(mirror.folder)) == {"sweep.json", "states/a.json"}
    make(mirror.folder, tree_of(mirror.folder) | {"states/a.json": '{"status": "stopped"}', "results.json": "[]"})
    mirror.push("states", "results.json")
    assert store.writes == ["put run/results.json", "put run/states/a.json"]
    mirror.pull("trials/a/config.json", "trials/a/supernet", weights=False)
    assert set(tree_of(mirror.folder)) == {*SWEPT, "results.json"} - {
        "trials/a/supernet/seed_0/initial/weights.safetensors"
    }
    mirror.push("states", "results.json")
    assert len(store.writes) == 2
    machine(store, tmp_path / "reader").pull()
    assert set(tree_of(tmp_path / "reader")) == {*SWEPT, "results.json"}


@pytest.mark.parametrize("now", [{}, SWEPT | {"sweep.json": '{"of": "other axes"}'}], ids=["removed", "replaced"])
def test_nothing_stays_of_a_sweep_of_which_only_states_were_pulled(tmp_path: Path, store: Store, now: Tree) -> None:
    make(store.folder / "run", SWEPT)
    machine(store, tmp_path / "here").pull("states")
    (tmp_path / "here/states/b.json").write_text("never pushed")
    shutil.rmtree(store.folder / "run")
    make(store.folder / "run", now)
    machine(store, tmp_path / "here").pull("states")
    assert tree_of(tmp_path / "here") == {path: now[path] for path in now if not path.startswith("trials/")}


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, store: Store) -> None:
    make(store.folder / "run", {"thesis.tex": "precious"})
    with pytest.raises(ValueError, match=r"^name: s3://bucket/run exists and is not a run of raynas"):
        machine(store, tmp_path / "here").pull()
    assert (store.reads, store.writes) == ([], [])


def test_a_failure_that_passes_is_not_noticed_and_one_that_lasts_is_one_line(tmp_path: Path, store: Store) -> None:
    mirror = machine(store, tmp_path / "here")
    make(mirror.folder, OLD)
    store.before_write = store.fails(3, times=3)
    mirror.push()
    assert store.tree() == OLD
    make(mirror.folder, NEW)
    store.before_write = store.fails(0, times=4, error=OSError("AWS Error\nslow down"))
    with pytest.raises(OSError, match="keeps failing") as error:
        mirror.push()
    assert str(error.value) == (
        f"storage_path: s3://bucket/run keeps failing (AWS Error); what is not there yet is kept in {mirror.folder}; "
        "correct that and give the same command again to continue"
    )
    assert tree_of(mirror.folder) == NEW
    mirror.push()
    assert store.tree() == NEW


def test_a_file_replaced_between_listing_and_reading_is_looked_for_again(tmp_path: Path, store: Store) -> None:
    make(store.folder / "run", OLD)
    passes = iter(range(2))

    def replace() -> None:
        if next(passes, None) == 1:
            make(store.folder / "run", NEW)

    store.before_read = replace
    mirror = machine(store, tmp_path / "here")
    mirror.pull()
    assert tree_of(mirror.folder) == NEW


def owner(store: Store) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((store.folder / "run/owner.json").read_text())
    return content


def test_a_run_that_another_machine_works_on_is_refused_until_its_sign_of_life_stays_away(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registers, "BEAT", 0.05)
    said: list[str] = []
    with machine(store, tmp_path / "one").owned(said.append):
        move(monkeypatch, "elsewhere")
        with (
            pytest.raises(Busy, match=r"^s3://bucket/run is in use by raynas on .* wait for it to end"),
            machine(store, tmp_path / "two").owned(said.append),
        ):
            pass
        dead = owner(store)
    assert not (store.folder / "run/owner.json").exists(), "who ends leaves nothing to wait for"
    assert len(said) == 1
    (store.folder / "run/owner.json").write_text(json.dumps(dead))
    with machine(store, tmp_path / "two").owned(said.append):
        assert owner(store)["host"] == "elsewhere"
    assert len(said) == 2


def test_who_waits_for_another_machine_waits_while_that_lives_and_takes_over_what_it_left(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registers, "BEAT", 0.1)
    first = machine(store, tmp_path / "one").owned(pytest.fail)
    first.__enter__()
    move(monkeypatch, "elsewhere")
    entered, said, leave = threading.Event(), list[str](), threading.Event()

    def wait_and_work() -> None:
        with machine(store, tmp_path / "two").owned(said.append, wait=math.inf):
            entered.set()
            leave.wait(20)

    waiting = threading.Thread(target=wait_and_work)
    waiting.start()
    assert not entered.wait(1.0), "ten signs of life, and three that are missing would do"
    first.__exit__(None, None, None)
    assert entered.wait(20)
    dead = owner(store)
    assert dead["host"] == "elsewhere"
    leave.set()
    waiting.join()
    assert len(said) == 1
    move(monkeypatch, "a third")
    (store.folder / "run/owner.json").write_text(json.dumps(dead))
    with machine(store, tmp_path / "three").owned(said.append, wait=math.inf):
        assert owner(store)["host"] == "a third"
    assert len(said) == 2


def test_who_waits_for_a_while_is_refused_after_it(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registers, "BEAT", 0.05)
    with machine(store, tmp_path / "one").owned(pytest.fail):
        move(monkeypatch, "elsewhere")
        began = time.monotonic()
        with (
            pytest.raises(Busy, match=r"is in use by raynas on .* \(process \d+\); wait for it to end"),
            machine(store, tmp_path / "two").owned([].append, wait=0.5),
        ):
            pass
        assert time.monotonic() > began + 0.5


def test_of_several_that_wait_the_last_to_say_so_goes_on_and_the_others_wait_for_it(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registers, "BEAT", 0.01)
    place = store.folder / "run/owner.json"
    other = {"host": "elsewhere", "process": 7, "token": "x", "beat": 0}
    seen: list[str | None] = []

    def interfere() -> None:
        seen.append(owner(store)["token"] if place.exists() else None)
        if len(seen) == 2:  # what it has just written is replaced before it looks again
            place.write_text(json.dumps(other))
        elif len(seen) > 2 and place.exists() and owner(store)["token"] == "x":
            other["beat"] += 1
            place.write_text(json.dumps(other))
            if other["beat"] == 20:
                place.unlink()

    store.before_read = interfere
    said: list[str] = []
    with machine(store, tmp_path / "here").owned(said.append, wait=math.inf):
        assert other["beat"] == 20
        assert owner(store)["token"] == seen[1]
    assert said == [
        "s3://bucket/run was last worked on by raynas on elsewhere (process 7): waiting for its end, or for 0 s "
        "without a sign of life"
    ]


def test_of_two_machines_that_begin_in_the_same_second_one_goes_on(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registers, "BEAT", 0.1)
    monkeypatch.setattr(registers, "SETTLED", 0.3)
    rounds = 5
    together, answered = threading.Barrier(2), threading.Barrier(2)
    came: list[str] = []

    def begin(name: str) -> None:
        for _ in range(rounds):
            together.wait(20)
            try:
                with machine(store, tmp_path / name).owned(lambda line: None):
                    came.append("owner")
                    answered.wait(20)
            except Busy:
                came.append("busy")
                answered.wait(20)

    threads = [threading.Thread(target=begin, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(came) == ["busy"] * rounds + ["owner"] * rounds
    assert not (store.folder / "run/owner.json").exists()


def test_who_was_overwritten_by_a_slow_write_is_stopped_at_its_next_push(tmp_path: Path, store: Store) -> None:
    mirror = machine(store, tmp_path / "here")
    make(mirror.folder, OLD)
    with mirror.owned(print):
        late = json.dumps({"host": "elsewhere", "process": 7, "token": "x", "beat": 0})
        (store.folder / "run/owner.json").write_text(late)  # begun before the other was there, and slow
        with pytest.raises(Lost, match="was taken over by raynas on elsewhere"):
            mirror.push()
    assert store.tree() == {"owner.json": late}, "nothing was written, and the record is left to its owner"


def test_the_run_of_a_dead_process_of_this_machine_is_taken_over_at_once(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with machine(store, tmp_path / "one").owned(print):
        left = owner(store) | {"process": process.pid}
    (store.folder / "run/owner.json").write_text(json.dumps(left))
    monkeypatch.setattr(registers, "BEAT", 1e6)
    with machine(store, tmp_path / "two").owned(pytest.fail):
        assert owner(store)["process"] == os.getpid()


def test_who_was_taken_over_writes_no_more(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registers, "BEAT", 0.05)
    mirror = machine(store, tmp_path / "here")
    make(mirror.folder, OLD)
    other = {"host": "elsewhere", "process": 7, "token": "x", "beat": 0}
    with mirror.owned(print):
        (store.folder / "run/owner.json").write_text(json.dumps(other))
        with pytest.raises(Lost, match=r"was taken over by raynas on elsewhere \(process 7\)"):
            for _ in range(500):
                mirror.push()
                time.sleep(0.01)
    assert owner(store) == other


def test_a_url_that_cannot_be_written_is_a_mistake_of_the_users(tmp_path: Path, store: Store) -> None:
    store.before_write = store.fails(0, times=100, error=OSError("NO_SUCH_BUCKET"))
    with (
        pytest.raises(ValueError, match=r"^storage_path: s3://bucket/run cannot be written \(NO_SUCH_BUCKET\); check"),
        machine(store, tmp_path / "here").owned(print),
    ):
        pass


@pytest.mark.parametrize(
    ("storage_path", "location"),
    [
        ("s3://bucket", "s3://bucket/small"),
        ("gs://bucket/a/b/", "gs://bucket/a/b/small"),
        (
            "s3://bucket/a?scheme=http&endpoint_override=127.0.0.1:1",
            "s3://bucket/a/small?scheme=http&endpoint_override=127.0.0.1:1",
        ),
    ],
)
def test_a_run_is_named_within_its_url_and_has_a_staging_folder_for_each_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage_path: str, location: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = load_config(small_run(tmp_path, storage_path=storage_path))
    assert config.location == location
    assert config.folder == staging(location, "driver")
    assert config.folder.is_relative_to(tmp_path / "cache/raynas")
    assert config.folder.name == "small"
    others = [staging(location, "worker-0"), staging(f"{location}x", "driver"), staging(f"x{location}", "driver")]
    assert len({config.folder, *others}) == 4


def test_a_query_of_the_url_still_counts_for_what_lies_within() -> None:
    location = within("s3://bucket/a?endpoint_override=http://127.0.0.1:9&scheme=http&region=eu-west-1", "name")
    opened, root = FileSystem.from_uri(location)
    assert (root, opened.region) == ("bucket/a/name", "eu-west-1")


@pytest.mark.parametrize(
    ("storage_path", "message"),
    [
        (
            "file:///tmp/x",
            "storage_path: expected a folder or the URL of an object store, got 'file:///tmp/x'; give /tmp/x",
        ),
        ("s3://", "storage_path: expected a URL such as s3://bucket/path, got 's3://'"),
        ("s3://key:word@bucket/x", "storage_path: expected a URL without credentials"),
        ("s3://bucket/x?secret_key=word", "storage_path: expected a URL without credentials"),
    ],
)
def test_a_url_that_says_too_little_or_too_much_is_refused(tmp_path: Path, storage_path: str, message: str) -> None:
    with pytest.raises(ValueError) as mistake:
        load_config(small_run(tmp_path, storage_path=storage_path))
    assert message in str(mistake.value)
    assert "word" not in str(mistake.value)


def test_a_scheme_that_nobody_knows_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    config = load_config(small_run(tmp_path, storage_path="s4://bucket/x"))
    with (
        pytest.raises(ValueError, match=r"^storage_path: s4://bucket/x/small cannot be opened \(.*s4://.*\); give a"),
        mirrored(config, print),
    ):
        pass
    assert not (tmp_path / "cache").exists()


def test_processes_of_a_role_share_a_staging_folder_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with (
        mirror_at("mock:///x/small", "driver"),
        mirror_at("mock:///x/small", "reader"),
        pytest.raises(Busy, match="small-.*/driver is in use by raynas on"),
        mirror_at("mock:///x/small", "driver"),
    ):
        pass


def test_a_run_in_a_folder_is_carried_nowhere_and_loads_nothing_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = small_run(tmp_path)
    source = (
        "import sys\nfrom raynas.config.reading import load_config\n"
        "from raynas.storage.mirror import mirrored, pulled\n"
        f"config = load_config({str(file)!r})\n"
        "with mirrored(config, print) as mirror:\n"
        "    mirror.pull(); mirror.push('search', every=1); mirror.remove('ray')\n"
        "assert mirror.folder == config.folder == pulled(config.location) and not mirror.carries\n"
        "assert not {'pyarrow', 'ray'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=True)
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "runs").exists()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place of this test's own in a bucket, with credentials and address in the environment."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": server}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"s3://bucket/{tmp_path.name}"


@pytest.mark.slow
def test_a_run_on_s3_is_trained_searched_reported_and_reused_without_any_folder_in_common(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "local").mkdir()
    assert main(["run", str(small_run(tmp_path / "local"))]) == 0
    file = small_run(tmp_path, storage_path=bucket, report=True)
    assert main(["run", str(file)]) == 0
    assert capsys.readouterr().out.endswith(f"run folder: {bucket}/small\n")
    reusing = ("--set", "name=other", "--set", f"train.reuse={bucket}/small")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "checking"))
    assert main(["check", str(file), *reusing]) == 0
    assert main(["check", str(file), *reusing, "--set", "train.epochs=5"]) == 2
    assert (
        f"train.reuse: {bucket}/small trained other supernets (train.epochs 4 there, 5 here)" in capsys.readouterr().err
    )
    assert not list((tmp_path / "checking").rglob("metrics.jsonl")), "a check reads the configuration alone"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "reusing"))
    assert main(["run", str(file), *reusing]) == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "ranking"))
    assert main(["rank", str(file), "--sample", "20"]) == 0
    assert f"supernet: that of {bucket}/small\n" in capsys.readouterr().out
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "pages"))
    assert main(["report", str(file)]) == 0
    assert main(["compare", f"{bucket}/small", f"{bucket}/other", "--out", str(tmp_path / "both.html")]) == 0
    assert not list((tmp_path / "pages").rglob("*.safetensors"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "last"))
    small, other = pulled(f"{bucket}/small"), pulled(f"{bucket}/other")
    assert outcome(small, 4) == outcome(tmp_path / "local/runs/small", 4)
    assert (small / "rank/angle_paper.json").exists()
    assert json.loads((other / "search/result.json").read_text())["best"] == outcome(small, 4)["best"]
    assert "loss" in (other / "report/index.html").read_text(), "how the reused supernet was trained is told"
    assert not (other / "supernet").exists()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "networks"))
    Image.new("L", (8, 8), 120).save(tmp_path / "image.png")
    capsys.readouterr()
    assert main(["export", f"{bucket}/small", "--format", "safetensors", "--out", str(tmp_path / "network")]) == 0
    assert capsys.readouterr().out.endswith(f"network folder: {tmp_path}/network\n")
    predicted = []
    for network in (f"{bucket}/small", tmp_path / "local/runs/small", tmp_path / "network"):
        assert main(["predict", str(network), str(tmp_path / "image.png")]) == 0
        predicted.append(capsys.readouterr().out)
    assert predicted[0] == predicted[1] == predicted[2] != ""


@pytest.mark.slow
def test_what_keeps_s3_from_working_is_said_in_one_line(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = small_run(tmp_path, storage_path="s3://nobucket/x")
    for address, reason in ((os.environ["AWS_ENDPOINT_URL"], "NO_SUCH_BUCKET"), ("http://127.0.0.1:9", "NETWORK")):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert main(["train", str(file)]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert err.startswith("raynas: storage_path: s3://nobucket/x/small cannot be written (")
        assert reason in err
        assert err.endswith("check the bucket's name, the credentials in the environment and the network\n")


EPOCHS = 40


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.ray
def test_a_run_on_s3_whose_driver_and_staging_are_lost_continues_as_if_nothing_had_been(
    tmp_path: Path, bucket: str
) -> None:
    """Two workers, each with a folder of its own as on two machines; in training all that is on them is lost."""
    train = {"epochs": EPOCHS, "checkpoint_every": 5}
    (tmp_path / "local").mkdir()
    succeed("train", chain_run(tmp_path / "local", train={**train, "workers": 0}, alphas={"gates": "gumbel"}))
    changes: dict[str, Any] = {"train": {**train, "workers": 2}, "alphas": {"gates": "gumbel"}, "local_cpus": 2}
    file = chain_run(tmp_path, storage_path=bucket, **changes)
    process = start("run", file, XDG_CACHE_HOME=str(tmp_path / "lost"))
    files, root = FileSystem.from_uri(f"{bucket}/small/supernet/seed_0")
    reached = f"{root}/epoch_00010/checkpoint.json"
    wait_until(lambda: files.get_file_info(reached).size is not None, process, seconds=280)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    shutil.rmtree(tmp_path / "lost", ignore_errors=True)
    out = succeed("run", file, XDG_CACHE_HOME=str(tmp_path / "found"))
    assert out.endswith(f"run folder: {bucket}/small\n")
    assert "waiting" not in out
    status, out, err = command("report", file, XDG_CACHE_HOME=str(tmp_path / "page"))
    assert status == 0, out + err
    run = pulled(f"{bucket}/small")
    assert losses(run) == pytest.approx(losses(tmp_path / "local/runs/small"), rel=1e-5)
    assert (run / "search/result.json").exists()
    (place,) = (tmp_path / "found/raynas").glob("small-*")
    (weights,) = (place / "worker-1/small/supernet/seed_0").glob("epoch_*/weights.safetensors")
    assert weights.parent.name >= "epoch_00010", "training went on from what was at the URL"
    assert len(list((run / "tensorboard/seed_0").glob("events*"))) == 2
    left = [info.path for info in files.get_file_info(FileSelector(root.removesuffix("/supernet/seed_0")))]
    assert not [path for path in left if path.endswith(("/owner.json", "/ray"))]
