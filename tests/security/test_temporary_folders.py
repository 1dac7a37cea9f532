"""Neighbours in /tmp: what others have put there is neither used nor removed, and nobody else sees a Ray of ours."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raynas.storage import temporary_folder as module
from raynas.storage.owner import Owner
from raynas.storage.temporary_folder import BELOW, SOCKET_PATH, temporary_folder
from tests.stages.runs import ROOT


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns where the folders of this user are in the tests; nothing is there yet."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(module, "SOCKET_PATH", 1000)  # those of pytest are long
    return tmp_path / f"raynas-{os.getuid()}"


@pytest.fixture
def dead() -> Owner:
    """Returns the owner that a killed process leaves."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Owner.here().model_copy(update={"process": process.pid})


def left(parent: Path, owner: Owner | None, name: str = "k1ll3d__") -> Path:
    """Makes the folder of a Ray that has ended or not."""
    parent.mkdir(mode=0o700, exist_ok=True)
    folder = parent / name
    (folder / "session").mkdir(parents=True)
    (folder / "session/thesis.txt").write_text("mine")
    if owner is not None:
        (folder / "owner.json").write_bytes(owner.record())
    return folder


def test_a_ray_has_a_private_folder_with_a_short_path_that_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    before = os.umask(0)
    try:
        with temporary_folder() as folder:
            assert folder.parent == Path(f"/tmp/raynas-{os.getuid()}")
            for place in (folder, folder.parent):
                assert stat.S_IMODE(place.stat().st_mode) == 0o700
            assert len(str(folder)) + BELOW <= SOCKET_PATH
            assert Owner.parsed((folder / "owner.json").read_bytes()).process == os.getpid()
    finally:
        os.umask(before)
    assert not folder.exists()


def test_the_folder_of_a_killed_process_goes_with_the_next_start(parent: Path, dead: Owner) -> None:
    folder = left(parent, dead)
    with temporary_folder():
        assert not folder.exists()


def test_the_folder_of_a_process_that_was_killed_here_goes_with_the_next_start(parent: Path) -> None:
    source = (
        "import time\nfrom raynas.storage import temporary_folder as module\nmodule.SOCKET_PATH = 1000\n"
        "with module.temporary_folder() as folder:\n    print(folder, flush=True)\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    try:
        with temporary_folder():
            assert (folder / "owner.json").exists(), "it lives"
        process.send_signal(signal.SIGKILL)
        process.wait()
        with temporary_folder():
            assert not folder.exists()
    finally:
        process.kill()
        process.communicate()


def others(parent: Path, dead: Owner) -> Iterator[Path]:
    """Yields what must stay."""
    yield left(parent, None, "no-owner")
    yield left(parent, Owner.here(), "living")
    yield left(parent, dead.model_copy(update={"boot": "another-boot"}), "of-another-machine-or-boot")
    yield left(parent, dead.model_copy(update={"boot": ""}), "of-no-boot")
    garbage = left(parent, None, "garbage")
    (garbage / "owner.json").write_bytes(b"\xff\x00{")
    yield garbage
    empty = left(parent, None, "empty-owner")
    (empty / "owner.json").write_bytes(b"")
    yield empty
    link = left(parent, None, "owner-is-a-link")
    (parent / "elsewhere.json").write_bytes(dead.record())
    (link / "owner.json").symlink_to(parent / "elsewhere.json")
    yield link
    pipe = left(parent, None, "owner-is-a-pipe")
    os.mkfifo(pipe / "owner.json")
    yield pipe


def test_what_is_not_provably_dead_stays(parent: Path, dead: Owner) -> None:
    folders = list(others(parent, dead))
    (parent / "a-file").write_text("mine")
    with temporary_folder():
        for folder in folders:
            assert (folder / "session/thesis.txt").read_text() == "mine", folder.name
        assert (parent / "a-file").exists()


def test_a_lock_that_a_container_holds_decides_where_its_processes_are_not_seen(parent: Path, dead: Owner) -> None:
    folder = left(parent, dead.model_copy(update={"namespace": "pid:[1]"}))
    with (folder / "owner.json").open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with temporary_folder():
            assert folder.exists()
    with temporary_folder():
        assert not folder.exists()


def test_links_among_the_folders_are_not_followed(parent: Path, dead: Owner, tmp_path: Path) -> None:
    victim = left(tmp_path / "home", dead, "thesis")
    parent.mkdir(mode=0o700)
    (parent / "link").symlink_to(victim)
    inside = left(parent, dead)
    (inside / "link").symlink_to(victim)
    with temporary_folder():
        assert not inside.exists()
        assert (victim / "session/thesis.txt").read_text() == "mine"


def test_old_and_hostile_names_beside_the_folder_stay_and_end_nothing(parent: Path, tmp_path: Path) -> None:
    names = [
        "raynas-1-x",
        "raynas-4194304-thesis",
        f"raynas-{10**30}-x",
        "raynas--x",
        "raynas-\x1b[31m-x",
        "raynas-²-x",
    ]
    for name in names:
        (tmp_path / name).mkdir()
    with temporary_folder():
        pass
    assert all((tmp_path / name).is_dir() for name in names)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o1777])
def test_a_parent_that_others_may_enter_is_refused(parent: Path, mode: int) -> None:
    parent.mkdir()
    parent.chmod(mode)
    with pytest.raises(RuntimeError, match=f"mode 0700, found one with mode {mode:04o}; remove it, or set RAY_TMPDIR"):
        temporary_folder().__enter__()
    assert os.listdir(parent) == []


def test_a_parent_that_is_a_link_or_a_file_is_refused(parent: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o700)
    parent.symlink_to(tmp_path / "mine")
    with pytest.raises(RuntimeError, match="found a link or a file; remove it"):
        temporary_folder().__enter__()
    parent.unlink()
    parent.write_text("")
    with pytest.raises(RuntimeError, match="found a link or a file; remove it"):
        temporary_folder().__enter__()
    assert os.listdir(tmp_path / "mine") == []


def test_a_parent_of_another_user_is_refused(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent.mkdir(mode=0o700)
    name = parent.name
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    parent.rename(parent.with_name(f"raynas-{other}"))
    with pytest.raises(RuntimeError, match=f"found one of user {other - 1}; remove it") as error:
        temporary_folder().__enter__()
    assert len(str(error.value).splitlines()) == 1 and name != f"raynas-{other}"


def test_a_path_that_is_too_long_for_sockets_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / ("x" * 60)
    monkeypatch.setenv("RAY_TMPDIR", str(place))
    with pytest.raises(RuntimeError, match=r"^RAY_TMPDIR: expected a path of at most \d\d characters"):
        temporary_folder().__enter__()
