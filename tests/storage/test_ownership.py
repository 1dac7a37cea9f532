"""One owner at a time: with real processes, with owners that die, fall silent, freeze, and wake up again."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raynas.storage import owner as owner_module
from raynas.storage import registers
from raynas.storage.mirror import Mirror
from raynas.storage.owner import Owner
from raynas.storage.ownership import Busy, owning
from raynas.storage.registers import FolderRegister, Lost
from tests.stages.runs import ROOT

FOREIGN = Owner(
    host="elsewhere", boot="another-boot", namespace="pid:[1]", process=7, started=1, token="theirs", beat=0
)


@pytest.fixture
def short_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registers, "BEAT", 0.1)


def write(folder: Path, owner: Owner, number: int = 1) -> Path:
    file = folder / f".owner.{number}"
    temporary = folder / f"written-{number}"
    temporary.write_bytes(owner.record())
    os.replace(temporary, file)  # a reader never sees half of it
    return file


@contextmanager
def process_that_owns(folder: Path, beat: float = 20.0) -> Iterator[subprocess.Popen[str]]:
    source = (
        "import time\nfrom pathlib import Path\nfrom raynas.storage import ownership, registers\n"
        f"registers.BEAT = {beat}\n"
        f"with ownership.owning(registers.FolderRegister(Path({str(folder)!r}))) as owned:\n"
        "    print('owns', flush=True)\n"
        "    input()\n"
        "    owned.check()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", source],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "owns\n"
        yield process
    finally:
        process.kill()
        process.communicate()


CLAIMANT = """
import sys, time
from pathlib import Path
from raynas.storage.ownership import Busy, owning
from raynas.storage.registers import FolderRegister
print("ready", flush=True)
for line in iter(sys.stdin.readline, ""):
    folder, start = line.split()
    while time.time() < float(start):
        pass
    try:
        with owning(FolderRegister(Path(folder))):
            print("owner", flush=True)
            sys.stdin.readline()
    except Busy as error:
        print("busy" if "is in use by raynas on" in str(error) else error, flush=True)
        sys.stdin.readline()
"""


def tell(processes: list[subprocess.Popen[str]], line: str) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{line}\n")
        process.stdin.flush()


@pytest.mark.slow
def test_of_two_processes_that_begin_together_exactly_one_owns_a_folder_in_each_of_a_hundred_rounds(
    tmp_path: Path,
) -> None:
    claimants = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMANT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    seen = []
    try:
        for claimant in claimants:
            assert claimant.stdout is not None and claimant.stdout.readline() == "ready\n"
        (tmp_path / "0").mkdir()
        for number in range(100):
            folder = tmp_path / ("0", "1")[number % 2]  # is there, and is new
            tell(claimants, f"{folder} {time.time() + 0.005}")
            seen.append(sorted(claimant.stdout.readline().strip() for claimant in claimants if claimant.stdout))
            tell(claimants, "release")
    finally:
        for claimant in claimants:
            claimant.communicate()
    assert seen == 100 * [["busy", "owner"]]
    assert os.listdir(tmp_path) == ["0"]
    assert os.listdir(tmp_path / "0") == []


def test_many_threads_own_a_folder_one_after_another(tmp_path: Path, short_beats: None) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(5):
            with owning(FolderRegister(tmp_path / "run"), wait=60):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 20 * [1]


def test_a_killed_owner_on_this_machine_is_followed_at_once(tmp_path: Path) -> None:
    with process_that_owns(tmp_path) as process:
        with pytest.raises(Busy, match=rf"is in use by raynas on .* \(process {process.pid}\); wait for it to end"):
            owning(FolderRegister(tmp_path)).__enter__()
        process.send_signal(signal.SIGKILL)
        process.wait()
        began = time.monotonic()
        with owning(FolderRegister(tmp_path)):
            assert time.monotonic() - began < 1
            assert os.listdir(tmp_path) == [".owner.2"]
    assert os.listdir(tmp_path) == []


def test_a_dead_process_that_nobody_has_waited_for_owns_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    try:
        started = owner_module.start_of(process.pid)
        assert started
        write(tmp_path, Owner.here().model_copy(update={"process": process.pid, "started": started}))
        deadline = time.monotonic() + 10
        while owner_module.start_of(process.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        with owning(FolderRegister(tmp_path)):
            pass
    finally:
        process.wait()


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({}, False),
        ({"started": 1}, True),
        ({"process": 4_194_304}, True),
        ({"process": 10**30}, True),
        ({"boot": "another", "started": 1}, False),
        ({"namespace": "another", "started": 1}, False),
        ({"boot": "", "namespace": "", "started": 1}, False),
    ],
)
def test_only_a_process_of_this_machine_that_is_gone_is_provably_dead(change: dict[str, object], dead: bool) -> None:
    assert Owner.here().model_copy(update=change).is_dead() is dead


def test_a_process_of_another_user_that_proc_hides_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(process: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    monkeypatch.setattr(owner_module, "start_of", lambda process: None)
    assert owner_module.is_running(7, started=1)


def beating(folder: Path, owner: Owner, left: threading.Event) -> None:
    """Writes signs of life of an owner until told to stop."""
    beat = 0
    while not left.wait(0.1):
        beat += 1
        write(folder, owner.model_copy(update={"beat": beat}))


def test_an_owner_elsewhere_that_gives_signs_of_life_is_respected_and_a_silent_one_is_followed(
    tmp_path: Path, short_beats: None
) -> None:
    write(tmp_path, FOREIGN)
    left, said = threading.Event(), list[str]()
    other = threading.Thread(target=beating, args=(tmp_path, FOREIGN, left))
    other.start()
    try:
        for wait in (0.0, 0.7):
            began = time.monotonic()
            with pytest.raises(Busy, match=r"is in use by raynas on elsewhere \(process 7\)"):
                owning(FolderRegister(tmp_path), said.append, wait).__enter__()
            assert wait < time.monotonic() - began < wait + 0.5
    finally:
        left.set()
        other.join()
    assert len(said) == 2 and "last worked on by raynas on elsewhere (process 7): waiting" in said[0]
    began = time.monotonic()
    with owning(FolderRegister(tmp_path)):
        assert 0.3 <= time.monotonic() - began < 1.0
        assert os.listdir(tmp_path) == [".owner.2"]


def test_a_frozen_owner_is_followed_and_writes_no_more_when_it_wakes_up(tmp_path: Path, short_beats: None) -> None:
    with process_that_owns(tmp_path, beat=0.1) as process:
        with pytest.raises(Busy):
            owning(FolderRegister(tmp_path)).__enter__()
        process.send_signal(signal.SIGSTOP)
        with owning(FolderRegister(tmp_path), wait=30):
            process.send_signal(signal.SIGCONT)
            _, err = process.communicate("\n")
            assert process.returncode == 1
            assert f"was taken over by raynas on {Owner.here().host} (process {os.getpid()})" in err.splitlines()[-1]
            assert os.listdir(tmp_path) == [".owner.2"], "who was taken over leaves the record of its successor"


def test_a_mirror_whose_run_was_taken_over_pushes_no_more(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "run")
    with mirror.owned(pytest.fail), mirror.owned(pytest.fail, part="supernet/seed_0"):
        mirror.push()
        mirror.push("search", every=10)
        (tmp_path / "run/supernet/seed_0/.owner.1").unlink()
        write(tmp_path / "run/supernet/seed_0", FOREIGN, 2)
        with pytest.raises(Lost, match=r"seed_0 was taken over by raynas on elsewhere \(process 7\); leave it to"):
            mirror.push("search", every=10)
    mirror.push()
    assert os.listdir(tmp_path / "run/supernet/seed_0") == [".owner.2"]


def test_a_record_that_somebody_removed_is_missed(tmp_path: Path) -> None:
    with owning(FolderRegister(tmp_path)) as owned:
        (tmp_path / ".owner.1").unlink()
        with pytest.raises(Lost, match="lost the record of its owner; give the same command again"):
            owned.check()


def test_a_claimant_that_was_suspended_gives_way_to_who_came_meanwhile(tmp_path: Path) -> None:
    dead = {".owner.4": write(tmp_path, FOREIGN, 4).read_bytes()}
    slow, owner = FolderRegister(tmp_path), Owner.here()
    (tmp_path / ".owner.4").unlink()  # taken over, and released
    with owning(FolderRegister(tmp_path)) as owned:
        assert not slow.claim(owner, dead)
        owned.check()
        assert os.listdir(tmp_path) == [".owner.1"]
    assert slow.claim(owner, dead)


def test_a_successor_that_died_between_its_claim_and_its_work_does_not_undo_who_woke_up(tmp_path: Path) -> None:
    with owning(FolderRegister(tmp_path)) as owned:
        write(tmp_path, Owner.here().model_copy(update={"process": 4_194_304}), 2)
        owned.check()
        with pytest.raises(Busy):
            owning(FolderRegister(tmp_path)).__enter__()


def test_records_are_complete_when_they_appear_and_a_beat_needs_no_space(tmp_path: Path, short_beats: None) -> None:
    with owning(FolderRegister(tmp_path)):
        inode = (tmp_path / ".owner.1").stat().st_ino
        sizes, beats = set(), set()
        deadline = time.monotonic() + 10
        while len(beats) < 3 and time.monotonic() < deadline:
            content = (tmp_path / ".owner.1").read_bytes()
            sizes.add(len(content))
            beats.add(Owner.parsed(content).beat)
            time.sleep(0.01)
        assert sizes == {512} and {0, 1, 2} <= beats
        assert (tmp_path / ".owner.1").stat().st_ino == inode


def test_a_file_system_without_links_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)
    with owning(FolderRegister(tmp_path)):
        assert Owner.parsed((tmp_path / ".owner.1").read_bytes()).process == os.getpid()
        assert not FolderRegister(tmp_path).claim(Owner.here(), {})
        with pytest.raises(Busy):
            owning(FolderRegister(tmp_path)).__enter__()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\x00", b"[]", b"null", b'{"process": "x", "host": 3, "boot": null, "beat": []}']
)
def test_a_damaged_record_is_somebody_unknown_until_it_stays_silent(
    tmp_path: Path, short_beats: None, content: bytes
) -> None:
    (tmp_path / ".owner.1").write_bytes(content)
    said: list[str] = []
    with owning(FolderRegister(tmp_path), said.append):
        assert os.listdir(tmp_path) == [".owner.2"]
    assert "last worked on by raynas on an unknown machine (process 0)" in said[0]


def test_the_name_of_a_host_cannot_write_on_the_terminal() -> None:
    assert "\x1b" not in str(FOREIGN.model_copy(update={"host": "\x1b[31mred\n" * 50}))
    assert len(str(FOREIGN.model_copy(update={"host": "x" * 5000}))) < 120


def refuse(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_a_folder_that_could_not_be_owned_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", refuse(OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        owning(FolderRegister(tmp_path / "a/b")).__enter__()
    assert os.listdir(tmp_path) == []


def test_a_record_of_an_earlier_layout_is_read_and_one_of_a_later_is_somebody_unknown() -> None:
    values = {"host": "there", "boot": "b", "namespace": "n", "process": 7, "started": 1, "token": "t", "beat": 3}
    assert Owner.parsed(json.dumps(values).encode()) == Owner(**values)  # type: ignore[arg-type]
    assert json.loads(Owner.here().record())["version"] == 1
    assert Owner.parsed(json.dumps({**values, "version": 2}).encode()) == Owner()
