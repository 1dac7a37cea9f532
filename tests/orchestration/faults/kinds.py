"""What is done to a run: a function for each kind of fault."""

import errno
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from raynas.orchestration.ownership import Owner
from tests.orchestration.faults.places import AsJob, OnCluster, Place
from tests.orchestration.faults.processes import Process, wait_for_end

WRITERS = ("RayTrainWorker", "TrainController", "run_trainer", "Evaluator", "raynas run")
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
        expected: What the user has to be told yet, and where it stands if it is told.
    """

    place: Place
    storage: Path
    random: random.Random
    process: subprocess.Popen[bytes]
    expected: list[str] = field(default_factory=list)

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
    run.signal(signal.SIGINT)


def terminate(run: Run) -> None:
    run.signal(signal.SIGTERM)


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
    dead = replace(Owner.here(), process=4_194_304)
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
    "controller": Kind("SIGKILL of the trainer's controller", kill_controller),
    "evaluator": Kind("SIGKILL of an evaluation actor", kill_evaluator),
    "node": Kind("loss of a whole node, another comes", lose_node),
    "head": Kind("loss of a job's head, a new head, submitted again", lose_head),
    "driver": Kind("SIGKILL of the driver", kill_driver),
    "interrupt": Kind("Ctrl-C of the driver", interrupt),
    "terminate": Kind("SIGTERM of the driver", terminate),
    "full": Kind("disk full, then space again", fill_disk, of_disk=True),
    "read_only": Kind("storage read-only, then writable again", make_read_only, of_disk=True),
    "truncated": Kind("newest checkpoint: a part truncated", truncate_checkpoint),
    "flipped": Kind("newest checkpoint: a bit of its numbers flipped", flip_bit),
    "missing": Kind("newest checkpoint: a part missing", remove_part),
    "metrics": Kind("metrics cut off in a line", cut_metrics),
    "history": Kind("history cut off in a line", cut_history),
    "progress": Kind("progress.json garbage", garble_progress),
    "locks": Kind("stale records of owners", leave_locks),
    "halves": Kind("half-written files and folders", leave_halves),
}
