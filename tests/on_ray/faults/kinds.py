"""What is done to a run: a function for each kind of fault."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from raynas.storage.owner import Owner
from tests.on_ray.faults.places import AsJob, OnCluster, Place
from tests.on_ray.faults.processes import Process, wait_for_end

WRITERS = (
    *("RayTrainWorker", "TrainController", "run_trainer", "Evaluator"),
    *("raynas run", "raynas rank", "ImplicitFunc"),
)
HOLD_SECONDS = 40.0
"""How long a disk stays full, or read-only, if raynas does not end of it."""


class Missed(Exception):
    """There was nothing to strike."""


@dataclass
class Run:
    """A run under way.

    Attributes:
        place: Where it is carried out.
        storage: Its `storage_path`.
        random: Chooses victims.
        process: The command that was given last.
        began: When that command was given.
        expected: What the user has to be told yet, and where it stands if it is told.
        lost: What was lost, and how it was seen.
    """

    place: Place
    storage: Path
    random: random.Random
    process: subprocess.Popen[bytes]
    began: float = field(default_factory=time.time)
    expected: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.storage / "small"

    @property
    def supernet(self) -> Path:
        return self.folder / "supernet/seed_0"

    @property
    def history(self) -> Path:
        return self.folder / "search/history.jsonl"

    def victim(self, *names: str) -> Process:
        """Returns one of the processes of these names.

        Raises:
            Missed: If there is none.
        """
        found = sorted(self.place.processes(*names), key=lambda process: process.pid)
        if not found:
            raise Missed(f"no {' or '.join(names)}")
        return self.random.choice(found)

    def kill(self, *names: str) -> None:
        """Kills one of the processes of these names, and waits until it is gone."""
        process = self.victim(*names)
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        wait_for_end(lambda: [p for p in self.place.processes(*names) if p.pid == process.pid], 10)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the command, and waits until it and all that writes has ended."""
        if self.process.poll() is not None:
            raise Missed("the command had ended")
        self.process.send_signal(number)
        self.process.wait(timeout=120)
        left = wait_for_end(lambda: self.place.processes(*WRITERS), 60)
        if left:
            raise RuntimeError(f"a minute after {number.name} of the command there are {left}")


def kill_worker(run: Run) -> None:
    run.kill("RayTrainWorker")


def kill_leader(run: Run) -> None:
    run.kill("ray::ImplicitFunc")


def kill_controller(run: Run) -> None:
    run.kill(run.random.choice(["TrainController", "run_trainer"]))


def kill_evaluator(run: Run) -> None:
    run.kill("ray::Evaluator")


def lose_node(run: Run) -> None:
    assert isinstance(run.place, OnCluster)
    run.place.lose_node(run.victim("RayTrainWorker", "ray::Evaluator"))


def lose_head(run: Run) -> None:
    assert isinstance(run.place, AsJob)
    run.place.lose_head()
    run.process.wait(timeout=180)  # what follows the job says that it is lost
    left = wait_for_end(run.place.processes, 90)
    if left:
        raise RuntimeError(f"90 s after the head was killed there are {left}")
    run.place.start_head()


def kill_driver(run: Run) -> None:
    run.signal(signal.SIGKILL)


def interrupt(run: Run) -> None:
    _save(run, lambda: run.signal(signal.SIGINT))


def terminate(run: Run) -> None:
    _save(run, lambda: run.signal(signal.SIGTERM))


def stop_job(run: Run) -> None:
    """Stops the job as `raynas stop` does, and waits until the command that follows it has ended."""
    assert isinstance(run.place, AsJob)
    place = run.place

    def stop() -> None:
        place.stop()
        run.process.wait(timeout=60)

    _save(run, stop)


def _save(run: Run, end: Callable[[], None]) -> None:
    """Ends a command, and checks that a training which took steps has saved the last one that it showed."""
    note = run.folder / "progress.json"
    trains = note.exists() and note.stat().st_mtime > run.began and not _is_trained(run)
    end()
    if not trains or _is_trained(run):
        return
    shown = json.loads(note.read_text())["step"]
    newest = max(run.supernet.glob("epoch_*"), default=None)
    saved = json.loads((newest / "checkpoint.json").read_text())["steps"] if newest is not None else 0
    run.expected.append("raynas: saved at ")
    if saved < shown:
        run.lost.append(f"{shown - saved} steps: a signal saved step {saved}, and step {shown} had been shown")


def _is_trained(run: Run) -> bool:
    return (run.supernet / "result.json").exists()


def lose_storage(run: Run) -> None:
    """Lays an empty folder over the storage for some seconds, as a share that is not mounted leaves it."""
    _mount("-t", "tmpfs", "-o", "ro,size=1m", "raynas-away", str(run.storage))
    try:
        time.sleep(run.random.uniform(2, 8))
    finally:
        subprocess.run(["umount", "--lazy", str(run.storage)], check=True)


def give_command_twice(run: Run) -> None:
    """Gives the command while it runs: the second one is refused, and the first one continues."""
    said = run.place.folder / f"said-twice-{time.time_ns()}"
    file = run.place.folder / "small.yaml"
    status = run.place.start(file, said).wait(timeout=180)
    if run.process.poll() is not None:
        raise Missed("the command had ended")
    text = said.read_text()
    if status not in (1, 2) or "in use" not in text or "Traceback" in text:
        run.lost.append(f"the run is not held against a second command: exit status {status}: {text[-500:]}")


def leave_owner(run: Run) -> None:
    """Kills the driver, and leaves all that says in the run's folder that it is there, as a machine that dies does."""
    records = {
        file: file.read_bytes()
        for file in run.folder.rglob("*")
        if file.is_file() and ("lock" in file.name or "owner" in file.name)
    }
    run.signal(signal.SIGKILL)
    for file, content in records.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def kill_rank(run: Run) -> None:
    """Kills `raynas rank` while it evaluates, or reads what it needs."""
    _kill_verb(run, "rank", ("--sample", "24"))


def kill_report(run: Run) -> None:
    _kill_verb(run, "report", ())


def _kill_verb(run: Run, verb: str, options: tuple[str, ...]) -> None:
    """Kills a command somewhere on its way; the command given again leaves what it leaves when it is undisturbed."""
    file, said = run.place.folder / "small.yaml", run.place.folder / f"said-{verb}"

    def carry_out() -> float:
        began = time.monotonic()
        if run.place.start(file, said, verb, options).wait(timeout=300):
            raise RuntimeError(said.read_text()[-2000:])
        return time.monotonic() - began

    seconds = carry_out()
    expected = _results(run.folder / verb)
    shutil.rmtree(run.folder / verb)
    process = run.place.start(file, said, verb, options)
    time.sleep(run.random.uniform(0.3, 1) * seconds)
    process.kill()
    process.wait()
    left = wait_for_end(lambda: run.place.processes(*WRITERS), 60)
    if left:
        raise RuntimeError(f"a minute after SIGKILL of raynas {verb} there are {left}")
    carry_out()
    found = _results(run.folder / verb)
    run.lost += [f"{verb}: {name}" for name in expected | found if expected.get(name) != found.get(name)]


def _results(folder: Path) -> dict[str, object]:
    """Returns what a command left, by file: figures by their names alone, numbers without times."""
    return {str(file.relative_to(folder)): _untimed(file) for file in folder.rglob("*") if file.is_file()}


def _untimed(file: Path) -> object:
    if file.suffix == ".json":
        content = json.loads(file.read_text())
        if isinstance(content, dict):  # the list of a report's figures is none
            content.pop("seconds", None)
        return content
    return file.read_text() if file.suffix == ".csv" else file.name


def _newest_checkpoint(run: Run) -> Path:
    found = sorted(run.supernet.glob("epoch_*"))
    if len(found) < 2:
        raise Missed("there are no two checkpoints")
    run.expected.append(f"{found[-1]} is damaged")
    return found[-1]


def truncate_checkpoint(run: Run) -> None:
    file = _newest_checkpoint(run) / f"{run.random.choice(['weights', 'optimizer', 'alphas'])}.safetensors"
    os.truncate(file, run.random.randrange(file.stat().st_size))


def flip_bit(run: Run) -> None:
    """Turns a bit of the numbers over, behind the header that says what they are."""
    file = _newest_checkpoint(run) / f"{run.random.choice(['weights', 'optimizer', 'alphas'])}.safetensors"
    content = bytearray(file.read_bytes())
    at = run.random.randrange(8 + int.from_bytes(content[:8], "little"), len(content))
    content[at] ^= 1 << run.random.randrange(8)
    file.write_bytes(content)


def remove_part(run: Run) -> None:
    folder = _newest_checkpoint(run)
    (folder / run.random.choice(["weights.safetensors", "optimizer.safetensors", "checkpoint.json"])).unlink()


def cut_metrics(run: Run) -> None:
    _cut(run, run.supernet / run.random.choice(["metrics.jsonl", "derived.jsonl", "angle_tables.jsonl"]))


def cut_history(run: Run) -> None:
    _cut(run, run.history)


def _cut(run: Run, file: Path) -> None:
    """Cuts a file off in the middle of its last line."""
    lines = file.read_bytes().splitlines(keepends=True)
    os.truncate(file, file.stat().st_size - run.random.randrange(1, len(lines[-1])))


def garble_progress(run: Run) -> None:
    (run.folder / "progress.json").write_bytes(run.random.randbytes(50))


def leave_locks(run: Run) -> None:
    """Leaves the records of owners that are long gone, and the locks of an earlier version."""
    dead = Owner.here().model_copy(update={"process": 4_194_304})
    for folder in (run.folder, run.supernet):
        (folder / "lock").write_text("4194304\n")
        (folder / ".owner.99").write_bytes(dead.record())


def leave_halves(run: Run) -> None:
    """Leaves what a process leaves that dies while it writes, where the stage writes."""
    files = [run.folder / "progress.json", run.folder / "search/result.json"]
    if not (run.supernet / "result.json").exists():
        files.append(run.supernet / "alphas.npy")
        for half in (run.supernet / ".epoch_00099.k1ll3d__", run.supernet / ".initial.k1ll3d__"):
            half.mkdir()
            (half / "weights.safetensors").write_bytes(run.random.randbytes(1000))
    (run.folder / "ray/attempt-1").mkdir(parents=True, exist_ok=True)
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.with_name(f".{file.name}.k1ll3d__").write_bytes(run.random.randbytes(100))


def fill_disk(run: Run) -> None:
    """Fills the disk to its last byte, until raynas has ended of it."""
    filler = run.storage / "filler"
    with filler.open("wb", buffering=0) as stream:
        for block in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    stream.write(bytes(block))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    run.expected.append("No space left on device")
    _hold(run)
    filler.unlink()


def make_read_only(run: Run) -> None:
    """Lays a read-only view over the storage, until raynas has ended of it."""
    run.expected.append("Read-only file system")
    _mount("--bind", str(run.storage), str(run.storage))
    try:
        _mount("-o", "remount,ro,bind", str(run.storage))
        _hold(run)
    finally:
        subprocess.run(["umount", "--lazy", str(run.storage)], check=True)


def _hold(run: Run) -> None:
    deadline = time.monotonic() + HOLD_SECONDS
    while run.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@contextmanager
def small_disk(folder: Path, mebibytes: int = 64) -> Iterator[str | None]:
    """Mounts a disk of its own on a folder for the block; yields why that is not possible, or None."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "raynas-faults", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        yield mounted.stderr.strip() or "mount failed"
        return
    try:
        yield None
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        says: What is done, for the table.
        strike: Does it.
        of_disk: Whether it needs a disk of its own.
    """

    says: str
    strike: Callable[[Run], None]
    of_disk: bool = False


KINDS = {
    "worker": Kind("SIGKILL of a training worker", kill_worker),
    "leader": Kind("SIGKILL of the leader of a trial", kill_leader),
    "controller": Kind("SIGKILL of the trainer's controller", kill_controller),
    "evaluator": Kind("SIGKILL of an evaluation actor", kill_evaluator),
    "node": Kind("loss of a whole node, another comes", lose_node),
    "head": Kind("loss of a job's head, a new head, submitted again", lose_head),
    "driver": Kind("SIGKILL of the driver", kill_driver),
    "interrupt": Kind("Ctrl-C of the driver", interrupt),
    "terminate": Kind("SIGTERM of the driver", terminate),
    "full": Kind("disk full, then space again", fill_disk, of_disk=True),
    "read_only": Kind("storage read-only, then writable again", make_read_only, of_disk=True),
    "stop": Kind("`raynas stop` of the job, submitted again", stop_job),
    "away": Kind("storage gone for some seconds", lose_storage, of_disk=True),
    "twice": Kind("the command given twice at a time", give_command_twice),
    "owner": Kind("SIGKILL of the driver, whose locks are left", leave_owner),
    "rank": Kind("SIGKILL of `raynas rank`", kill_rank),
    "report": Kind("SIGKILL of `raynas report`", kill_report),
    "truncated": Kind("newest checkpoint: a part truncated", truncate_checkpoint),
    "flipped": Kind("newest checkpoint: a bit of its numbers flipped", flip_bit),
    "missing": Kind("newest checkpoint: a part missing", remove_part),
    "metrics": Kind("metrics cut off in a line", cut_metrics),
    "history": Kind("history cut off in a line", cut_history),
    "progress": Kind("progress.json garbage", garble_progress),
    "locks": Kind("stale records of owners", leave_locks),
    "halves": Kind("half-written files and folders", leave_halves),
}
