"""Where the runs of a campaign are carried out: on a Ray of their own, on a cluster, as jobs of a head."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from raynas.storage.ownership import Owner
from raynas.storage.temporary_folder import OWNER_FILE
from tests.on_ray.faults.processes import MARK, Process, marked
from tests.on_ray.faults.space import EVALUATED
from tests.stages.runs import ROOT


class Place(ABC):
    """Starts commands, each in a session of its own, and knows their processes."""

    workers = 1
    """How many train; two do not end with the bits of one, since each sees half of a batch."""

    def __init__(self, folder: Path) -> None:
        """Takes an empty folder for what commands say; the rest of what they write is the run's."""
        self.folder = folder
        self.commands: list[int] = []
        self.mark = f"{os.getpid()}-{time.time_ns()}"
        self.temporary = Path(tempfile.mkdtemp(prefix="rf", dir="/tmp"))  # short: paths of sockets are
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RAY_")},
            MARK: self.mark,
            EVALUATED: str(folder / "evaluated"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(self.temporary / "tmp"),
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "60",
        }
        (self.temporary / "tmp").mkdir()

    @abstractmethod
    def options(self) -> list[str]:
        """Returns the options of commands that are carried out here."""

    def command(self, file: Path, verb: str, options: Sequence[str]) -> list[str]:
        """Returns the arguments of raynas that carry a command out here."""
        if verb == "report":
            return [verb, str(file), *options]
        return [verb, str(file), *options, *self.options()]

    def open(self) -> None:  # noqa: B027
        """Starts what the runs need."""

    def close(self) -> None:  # noqa: B027
        """Ends it."""

    def remove(self) -> None:
        """Removes what is only for the time of the runs."""
        shutil.rmtree(self.temporary, ignore_errors=True)

    def start(self, file: Path, said: Path, verb: str = "run", options: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Gives a command; what it says goes into a file."""
        with said.open("wb") as stream:
            process = self.popen(
                "-u", "-m", "raynas", *self.command(file, verb, options), stdout=stream, stderr=subprocess.STDOUT
            )
        self.commands.append(process.pid)
        return process

    def popen(self, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
            **{"stdin": subprocess.DEVNULL, **options},
        )

    def processes(self, *names: str) -> list[Process]:
        """Returns the processes started here, by a part of their names."""
        return [p for p in marked(self.mark) if not names or any(name in p.name for name in names)]

    def left(self) -> list[str]:
        """Returns the actors and placement groups that are left on what stays."""
        return []

    def rays(self) -> list[str]:
        """Returns the folders of local Rays that were started by commands given here."""
        left = []
        for file in Path(f"/tmp/raynas-{os.getuid()}").glob(f"*/{OWNER_FILE}"):
            with contextlib.suppress(FileNotFoundError):  # another Ray on this machine has ended
                if Owner.parsed(file.read_bytes()).process in self.commands:
                    left.append(str(file.parent))
        return left

    def remains(self) -> list[str]:
        """Returns what lies in the folder for temporary files."""
        there = (path.name for path in (self.temporary / "tmp").iterdir())
        others = ("torchinductor_", "pymp-")  # a cache of torch; the dashboard's of a head that was killed
        return sorted(name for name in there if not name.startswith(others))


class Local(Place):
    """A Ray of its own for every command."""

    def options(self) -> list[str]:
        return ["--set", "local_cpus=3"]


class TwoWorkers(Local):
    """The same with two training workers."""

    workers = 2

    def options(self) -> list[str]:
        return [*super().options(), "--set", "train.workers=2"]


class OneProcess(Place):
    """No Ray at all."""

    def options(self) -> list[str]:
        return ["--set", "train.workers=0", "--set", "search.evaluators=0"]


class OnCluster(Place):
    """A cluster of a head and two nodes, which outlives commands."""

    def open(self) -> None:
        self._cluster = self.popen("-m", "tests.on_ray.faults.cluster", str(self.temporary / "c"), stdin=-1, stdout=-1)
        assert self._cluster.stdout is not None
        self._address = self._cluster.stdout.readline().decode().strip()
        if not self._address:
            raise RuntimeError("the cluster did not start")

    def close(self) -> None:
        self._cluster.communicate(timeout=120)

    def options(self) -> list[str]:
        return ["--set", f"address={self._address}"]

    def lose_node(self, process: Process) -> None:
        """Kills the node of a process; another one comes."""
        self._ask(str(process.parent))

    def left(self) -> list[str]:
        return list(self._ask("left"))

    def _ask(self, line: str) -> list[str]:
        assert self._cluster.stdin is not None and self._cluster.stdout is not None
        self._cluster.stdin.write(f"{line}\n".encode())
        self._cluster.stdin.flush()
        answer: list[str] = json.loads(self._cluster.stdout.readline())
        return answer


class AsJob(Place):
    """A head with a dashboard, to which runs are submitted."""

    def open(self) -> None:
        self._ports = [_free_port() for _ in range(3)]
        self.start_head()

    def start_head(self) -> None:
        """Starts a head, and waits until it takes jobs."""
        port, dashboard, agent = self._ports
        options = {
            "port": port,
            "dashboard-port": dashboard,
            "dashboard-agent-listen-port": agent,
            "num-cpus": 3,
            "object-store-memory": 100 << 20,
        }
        self._head = self.popen(
            *("-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
            *(f"--{name}={value}" for name, value in options.items()),
            f"--temp-dir={self.temporary}/h{time.time_ns() % 10**6}",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while not (_listens(dashboard) and _listens(agent)):
            if time.monotonic() > deadline:
                raise RuntimeError("the head did not start")
            time.sleep(0.2)

    def lose_head(self) -> None:
        """Kills the head's own processes; what they had started is left to itself."""
        own = self.processes("gcs_server", "raylet/raylet", "dashboard", "scripts start", "monitor.py", "log_monitor")
        for process in own:
            _kill(process.pid)
        self._head.wait()

    def close(self) -> None:
        self._head.terminate()
        try:
            self._head.wait(timeout=60)
        except subprocess.TimeoutExpired:
            for process in self.processes():
                _kill(process.pid)

    def options(self) -> list[str]:
        self._job = f"job-{len(self.commands)}"
        return ["--address", f"http://127.0.0.1:{self._ports[1]}", "--id", self._job, "--follow"]

    def command(self, file: Path, verb: str, options: Sequence[str]) -> list[str]:
        assert verb == "run"
        return ["submit", str(file), *self.options()]

    def stop(self) -> None:
        """Stops the job that was submitted last."""
        address = f"http://127.0.0.1:{self._ports[1]}"
        process = self.popen("-m", "raynas", "stop", self._job, "--address", address, stdout=subprocess.DEVNULL)
        if process.wait(timeout=120):
            raise RuntimeError(f"{self._job} was not stopped: exit status {process.returncode}")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it went with another


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


PLACES: dict[str, type[Place]] = {
    "local": Local,
    "workers": TwoWorkers,
    "cluster": OnCluster,
    "job": AsJob,
    "process": OneProcess,
}
