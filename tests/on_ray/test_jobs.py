"""Jobs: with a client that is none, and on real clusters; what listens, and what may run code."""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.job_submission import JobStatus

from raynas.cli import main
from raynas.on_ray import jobs, packing
from tests.stages.runs import ROOT, command, losses, outcome, small_run, start, succeed, wait_until

TOKEN = "0123456789abcdef" * 2
RAY = [sys.executable, "-m", "ray.scripts.scripts"]


class FakeClient:
    """A cluster of one job, which is `states` one look after the other, and says one line more each time."""

    def __init__(self, *states: JobStatus, code: int | None = None, message: str = "") -> None:
        self.states, self.code, self.message = list(states), code, message
        self.looks, self.stopped = 0, False
        self.submitted: dict[str, Any] = {}
        self.packed: list[str] = []

    def get_address(self) -> str:
        return "http://head:8265"

    def get_job_info(self, job: str) -> Any:
        if job != "mine":
            raise RuntimeError(f"Request failed with status code 404: Job {job} does not exist.")
        status = self.states[min(self.looks, len(self.states) - 1)]
        self.looks += 1
        return details(job, status, driver_exit_code=self.code, message=self.message)

    def get_job_status(self, job: str) -> JobStatus:
        return self.get_job_info(job).status

    def get_job_logs(self, job: str) -> str:
        return "".join(f"line {number}\n" for number in range(self.looks))

    def stop_job(self, job: str) -> bool:
        self.stopped = True
        return True

    def submit_job(self, **arguments: Any) -> str:
        if arguments["submission_id"] == "taken":
            raise RuntimeError("Traceback\n  x\nValueError: Job with submission_id taken already exists. Please ...")
        with zipfile.ZipFile(arguments["runtime_env"]["working_dir"]) as archive:
            self.packed = archive.namelist()
        self.submitted = arguments
        return str(arguments["submission_id"])


def details(job: str | None, status: JobStatus, **values: Any) -> SimpleNamespace:
    given = {"start_time": None, "end_time": None, "entrypoint": "true", "driver_exit_code": None, "message": ""}
    return SimpleNamespace(submission_id=job, status=status, **{**given, **values})


@pytest.fixture(autouse=True)
def quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "POLL_SECONDS", 0.01)


def project(folder: Path) -> Path:
    """Returns a folder as a user's is: a run file, a package, and much that no job needs."""
    wanted = ("my_space.py", "own/__init__.py", "own/data/__init__.py", "table.csv", "configs/b.yaml")
    unwanted = (
        *(
            "data/images.npz",
            "runs/x/config.json",
            "own/runs/a.json",
            "configs/data/b.npz",
            ".git/config",
            ".env",
            "own/.secret",
            "env/pyvenv.cfg",
            "env/x.py",
        ),
        *("own/__pycache__/x.py", "a.pyc", "own/w.safetensors", "w.pt", "mine.egg-info/PKG-INFO", "conda/conda-meta/h"),
    )
    for name in (*wanted, *unwanted):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return small_run(folder)


def test_a_package_holds_code_and_run_files_and_nothing_else(tmp_path: Path) -> None:
    project(tmp_path)
    sent = packing.package(tmp_path).files
    own = {name for name in sent if not name.startswith("raynas/")}
    expected = {
        "my_space.py",
        "own/__init__.py",
        "own/data/__init__.py",
        "table.csv",
        "configs/b.yaml",
    }
    assert own == {*expected, "small.yaml"}
    checkout = {path.relative_to(ROOT).as_posix() for path in (ROOT / "raynas").rglob("*.py")}
    assert "raynas/data/loader.py" in checkout and checkout <= set(sent), "raynas goes along: it is not installed"


def test_an_installed_raynas_stays_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(ROOT))
    project(tmp_path)
    assert not [name for name in packing.package(tmp_path).files if name.startswith("raynas/")]


def test_a_checkout_sends_itself_once() -> None:
    sent = packing.package(ROOT).files
    assert sent["raynas/cli.py"] == ROOT / "raynas/cli.py" and "jobs/quickstart.yaml" in sent
    assert not [name for name in sent if name.startswith((".git", ".venv", "runs/"))]


def test_the_same_files_give_the_same_archive(tmp_path: Path) -> None:
    archives = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").write_text("1")
        os.utime(tmp_path / name / "x.py", (1e9, 1e9 if name == "a" else 1.1e9))
        packing.Package(tmp_path / name, {"x.py": tmp_path / name / "x.py"}).write(tmp_path / f"{name}.zip")
        archives.append((tmp_path / f"{name}.zip").read_bytes())
    assert archives[0] == archives[1]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient(JobStatus.PENDING, JobStatus.RUNNING, JobStatus.SUCCEEDED, code=0)
    monkeypatch.setattr(jobs, "connect", lambda address: fake)
    return fake


def answer(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_submission_prints_the_id_alone_and_sends_command_folder_and_environment(
    tmp_path: Path, client: FakeClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYNAS_TRACEBACK", "1")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    options = ["--set", "train.epochs=7", "--set", "name=a b", "--env", "A=b=c", "--id", "mine"]
    with pytest.raises(ValueError, match="name: "):  # RAYNAS_TRACEBACK: the mistake is raised
        main(["submit", str(file), *options])
    options[3] = "search.mutation_excludes=[none, skip_connect]"
    status, out, err = answer(capsys, "submit", file, *options)
    assert (status, out) == (0, "mine\n")
    assert err.startswith(f"raynas: sending {len(client.packed)} files of {tmp_path}, ") and err.endswith(" MB\n")
    assert client.submitted["entrypoint"] == (
        "python -m raynas run small.yaml --set train.epochs=7 --set 'search.mutation_excludes=[none, skip_connect]'"
    )
    variables = client.submitted["runtime_env"]["env_vars"]
    expected = {"PYTHONUNBUFFERED": "1", "RAYNAS_TRACEBACK": "1", "A": "b=c"}
    assert variables == {**expected, "RAY_JOB_STOP_WAIT_TIME_S": "30"}, "a job that is stopped has time to save"
    assert {"small.yaml", "my_space.py", "raynas/cli.py"} <= set(client.packed)


def test_following_shows_each_line_once_after_the_id_and_returns_the_exit_status(
    tmp_path: Path, client: FakeClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = small_run(tmp_path, quick={"train": {"epochs": 1}})
    monkeypatch.chdir(tmp_path)
    status, out, _ = answer(capsys, "submit", file, "--quick", "--follow", "--id", "mine")
    assert (status, out) == (0, "mine\nline 0\nline 1\nline 2\n")
    assert client.submitted["entrypoint"].endswith("run small.yaml --quick")
    client.code, client.states = 2, [JobStatus.FAILED]
    status, out, _ = answer(capsys, "jobs", "mine", "--follow")
    assert status == 2 and out.count("line 2\n") == 1


def test_a_job_without_an_id_is_called_after_its_run(
    tmp_path: Path, client: FakeClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = small_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    ids = [answer(capsys, "submit", file)[1] for _ in range(2)]
    assert ids[0] != ids[1] and all(one.startswith("small-") and len(one) == len("small-123456\n") for one in ids)


@pytest.mark.parametrize(
    ("state", "code", "status"),
    [
        (JobStatus.SUCCEEDED, 0, 0),
        (JobStatus.SUCCEEDED, None, 0),
        (JobStatus.FAILED, 2, 2),
        (JobStatus.FAILED, 143, 143),
        (JobStatus.FAILED, -9, 137),
        (JobStatus.STOPPED, None, 143),
    ],
)
def test_a_job_ends_as_its_command_does(state: JobStatus, code: int | None, status: int) -> None:
    assert jobs.follow(FakeClient(JobStatus.RUNNING, state, code=code), "mine", lambda text: None) == status


def test_a_job_whose_command_never_ran_fails_in_one_line() -> None:
    client = FakeClient(JobStatus.FAILED, message="runtime_env setup\nfailed")
    with pytest.raises(RuntimeError, match="^mine: runtime_env setup failed$"):
        jobs.follow(client, "mine", lambda text: None)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_end_of_following_leaves_the_job_running_and_says_so(
    client: FakeClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    client.states = [JobStatus.RUNNING]
    monkeypatch.setattr("time.sleep", lambda seconds: os.kill(os.getpid(), number))
    ended, _, err = answer(capsys, "jobs", "mine", "--follow")
    assert (ended, client.stopped) == (status, False)
    assert err == "raynas: mine goes on; `raynas jobs mine --follow` follows it again, `raynas stop mine` stops it\n"


def test_stopping_waits_until_the_job_has_stopped(client: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    client.states = [JobStatus.RUNNING, JobStatus.RUNNING, JobStatus.STOPPED]
    assert answer(capsys, "stop", "mine") == (0, "mine: STOPPED\n", "")
    assert client.stopped and client.looks == 3


def test_a_job_that_does_not_stop_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "STOP_SECONDS", 0.05)
    with pytest.raises(RuntimeError, match="mine is RUNNING"):
        jobs.stop(FakeClient(JobStatus.RUNNING), "mine")


def test_jobs_are_listed_with_the_newest_first(
    client: FakeClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = "python -m raynas sweep jobs/a.yaml --quick"
    listing = [
        details("old", JobStatus.FAILED, start_time=1_000, end_time=3_726_999, entrypoint=run),
        details(None, JobStatus.RUNNING, start_time=5_000),
        details("new", JobStatus.RUNNING, start_time=int(1000 * time.time()) - 5_100, entrypoint="sleep 9"),
    ]
    client.list_jobs = lambda: listing  # type: ignore[attr-defined]
    status, out, _ = answer(capsys, "jobs")
    rows = [line.split() for line in out.splitlines()]
    assert status == 0 and rows[0] == ["id", "status", "started", "duration", "file"]
    assert [row[0] for row in rows[1:]] == ["new", "old"]
    assert rows[1][4:] == ["0:00:05", "sleep", "9"]
    assert rows[2][1] == "FAILED" and rows[2][4:] == ["1:02:05", "jobs/a.yaml"]
    listing.clear()
    assert answer(capsys, "jobs")[1] == "no jobs\n"


def test_a_file_with_a_sweep_becomes_a_sweep(tmp_path: Path) -> None:
    file = small_run(tmp_path, sweep={"keys": {"seed": {"seeds": 2}}})
    assert jobs.entrypoint(file, [], True, tmp_path) == "python -m raynas sweep small.yaml --quick"
    assert jobs.entrypoint(small_run(tmp_path), [], False, tmp_path) == "python -m raynas run small.yaml"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit", "small.yaml", "--set", "train.epoch=3"], "train.epoch: unknown key; did you mean epochs?"),
        (["submit", "small.yaml", "--set", "space.name=no.such.Space"], "space.name: cannot import 'no.such.Space'"),
        (["submit", "small.yaml", "--set", "storage_path=runs"], "storage_path: 'runs' lies in the job's own folder"),
        (["submit", "data/small.yaml"], "data/small.yaml: is not sent with "),
        (["submit", "small.yaml", "--env", "A"], "--env: expected KEY=VALUE such as NCCL_DEBUG=INFO, got 'A'"),
        (["submit", "small.yaml", "--id", "taken"], "--id: there is a job taken at http://head:8265 already"),
        (["stop", "other"], "other: there is no such job at http://head:8265"),
        (["jobs", "other"], "other: there is no such job at http://head:8265"),
        (["jobs", "other", "--follow"], "other: there is no such job at http://head:8265"),
        (["jobs", "--follow"], "--follow: give the ID of a job"),
    ],
)
def test_a_mistake_is_said_in_one_line_before_anything_is_sent(
    tmp_path: Path,
    client: FakeClient,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    shutil.copy(small_run(tmp_path), tmp_path / "data")
    client.stop_job = client.get_job_info  # type: ignore[method-assign,assignment]
    status, out, err = answer(capsys, *arguments)
    lines = [line for line in err.splitlines() if not line.startswith("raynas: sending")]
    assert (status, out, len(lines)) == (2, "", 1), err
    assert lines[0].startswith(f"raynas: {message}"), err
    assert client.submitted == {}


def test_an_upload_that_ray_does_not_take_is_refused_with_its_largest_file(
    tmp_path: Path, client: FakeClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "big.bin").write_bytes(os.urandom(2_000_000))
    monkeypatch.setattr("ray._private.runtime_env.packaging.GCS_STORAGE_MAX_SIZE", 1_000_000)
    status, out, err = answer(capsys, "submit", small_run(tmp_path))
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert " MB to send, but Ray takes less than 1.0 MB; " in err and err.endswith("(largest: big.bin, 2.0 MB)\n")
    assert client.submitted == {}


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:9", "--address: there is no dashboard of Ray at http://127.0.0.1:9; "),
        ("127.0.0.1:9", "--address: there is no dashboard of Ray at http://127.0.0.1:9; "),
        ("ray://127.0.0.1:9", "--address: expected http://HOST:8265, where the cluster's dashboard is, got 'ray://"),
    ],
)
def test_where_no_cluster_answers_one_line_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, address: str, message: str
) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")  # which loses against --address
    status, out, err = answer(capsys, "jobs", "--address", address)
    assert (status, out) == (2, "") and err.startswith(f"raynas: {message}") and len(err.splitlines()) == 1
    assert ":1;" in answer(capsys, "jobs")[2]


def test_a_cluster_of_another_version_is_refused() -> None:
    from importlib.metadata import version

    here = version("ray")
    jobs._check_version("http://head", f"{here.rpartition('.')[0]}.99")
    with pytest.raises(ValueError, match=f"the cluster at http://head has Ray 2.9.0, here is Ray {here}"):
        jobs._check_version("http://head", "2.9.0")


# What may run code.


def dangers(source: str) -> list[str]:
    """Returns what a module does by which a file could run code: its line and what it is."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [(node.lineno, one) for one in dict.fromkeys(names) if one.split(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if name in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"):
                found.append((node.lineno, name))
            if name in ("torch.load", "torch.jit.load", "torch.hub.load", "joblib.load"):
                found.append((node.lineno, name))
            if name.endswith("yaml.load") and given.get("Loader") not in ("_Loader", "yaml.SafeLoader"):
                found.append((node.lineno, name))
            if name in ("yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "yaml.unsafe_load_all"):
                found.append((node.lineno, name))
            found += [
                (node.lineno, f"{name}({key}={value})") for key, value in given.items() if (key, value) in OPTIONS
            ]
    return [f"{line}: {what}" for line, what in found]


UNPICKLERS = ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "code", "runpy")
OPTIONS = (("shell", "True"), ("allow_pickle", "True"), ("weights_only", "False"))

READ_WITH_CARE = {
    "raynas/data/datasets/imagenet16.py": ["3: pickle"],  # its unpickler knows arrays and nothing else
    "raynas/fitness/benchmark_table.py": ["13: pickle"],  # for an error's name: NATS-Bench's own package unpickles
    # The code that this process has just written, to time it; a folder that is loaded executes none (test_loading).
    "raynas/networks/export/python_format.py": ["145: exec", "145: compile"],
}


def test_nothing_in_raynas_unpickles_or_evaluates_what_it_reads() -> None:
    files = sorted((ROOT / "raynas").rglob("*.py"))
    assert len(files) > 60
    found = {path.relative_to(ROOT).as_posix(): dangers(path.read_text(encoding="utf-8")) for path in files}
    assert {name: bad for name, bad in found.items() if bad} == READ_WITH_CARE
    assert "pickle.load" not in (ROOT / "raynas/fitness/benchmark_table.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import cloudpickle as c",
        "torch.load(f, weights_only=True)",
        "np.load(f, allow_pickle=True)",
        "yaml.load(t, Loader=yaml.Loader)",
        "yaml.load(t)",
        "yaml.unsafe_load(t)",
        "eval('1')",
        "exec(text)",
        "subprocess.run(x, shell=True)",
        "os.system(x)",
    ],
)
def test_what_could_run_code_is_found(source: str) -> None:
    assert len(dangers(source)) >= 1


def test_a_file_that_is_read_by_safe_loaders_passes() -> None:
    assert dangers("yaml.safe_load(t)\nyaml.load(t, Loader=_Loader)\nnp.load(f)\nre.compile(x)\nmodel.eval()") == []


def test_a_run_file_cannot_name_python_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touched = tmp_path / "touched"
    file = small_run(tmp_path)
    file.write_text(file.read_text() + f"seed: !!python/object/apply:os.mkdir ['{touched}']\n")
    status, _, err = answer(capsys, "check", file)
    assert status == 2 and "seed: expected a text, number, list or section, got tag:" in err and not touched.exists()
    status, _, err = answer(capsys, "check", small_run(tmp_path), "--set", f"seed=!!python/name:os.system {touched}")
    assert status == 2 and not touched.exists()


def test_a_dotted_path_runs_the_code_of_a_module_and_only_a_space_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one way in which a run file runs code: importing the module that it names."""
    status, _, err = answer(capsys, "check", small_run(tmp_path, space={"name": "os.system"}))
    assert status == 2 and "'os.system' is not a subclass" in err


# Real clusters.


def listening(session: int) -> set[tuple[str, str]]:
    """Returns process and address of every socket on which the processes of a session wait for connections."""
    sockets = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                sockets[f"socket:[{fields[9]}]"] = fields[1].split(":")[0]
    found = set()
    for process, name in members(session).items():
        for handle in Path(f"/proc/{process}/fd").glob("*"):
            try:
                target = os.readlink(handle)
            except FileNotFoundError:
                continue
            if target in sockets:
                found.add((name.split()[0], sockets[target]))
    return found


def members(session: int) -> dict[int, str]:
    """Returns the living processes of a session, by their command."""
    listing = subprocess.run(["ps", "-eo", "pid=,sid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 3) for line in listing.splitlines()]
    return {int(pid): name for pid, sid, state, name in rows if int(sid) == session and "Z" not in state}


LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="only Linux tells there who listens")
def test_a_local_ray_listens_on_loopback_and_sigterm_ends_all_of_it_and_the_run_continues(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = {"epochs": 60, "checkpoint_every": 5}
    file = small_run(tmp_path, train={**settings, "workers": 1})
    process = start("run", file, RAY_AUTH_MODE="token")
    request.addfinalizer(lambda: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
    wait_until(lambda: (tmp_path / "runs/small/supernet/seed_0/epoch_00015").exists(), process)  # past two tenths
    beyond = {(name, address) for name, address in listening(process.pid) if address not in LOOPBACK}
    # Workers find each other through torch's key-value store, which listens everywhere. Nothing else may.
    assert {name for name, _ in beyond} <= {"ray::RayTrainWorker"}, beyond
    assert len(listening(process.pid) - beyond) > 5, "sockets were looked at"
    began = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 143
    trained = (tmp_path / "runs/small/supernet/seed_0/result.json").exists()
    saved = re.fullmatch(r"raynas: saved at .*epoch \d+.*; give the same command again\n", err)
    assert saved or (trained and err == "raynas: terminated; give the same command again to continue\n"), err
    assert time.monotonic() - began < 30
    assert members(process.pid) == {}
    told = epochs_told(out)
    assert told and told == sorted(told)
    done = max(int(path.name.split("_")[1]) for path in (tmp_path / "runs/small/supernet/seed_0").glob("epoch_*"))
    out = succeed("run", file, "--set", "train.workers=0")
    told = epochs_told(out)
    assert told == sorted(told) and all(done < epoch <= 60 for epoch in told), "epochs of before are not told again"
    (tmp_path / "other").mkdir()
    succeed("run", small_run(tmp_path / "other", train=settings))
    assert outcome(tmp_path / "runs/small", 60) == outcome(tmp_path / "other/runs/small", 60)


def epochs_told(out: str) -> list[int]:
    """Returns the epochs that the log of a run names, in their order."""
    return [int(epoch) for epoch in re.findall(r"^\d\d:\d\d:\d\d  .*  epoch (\d+)/\d+  ", out, re.MULTILINE)]


@pytest.fixture(scope="module")
def head() -> Iterator[dict[str, str]]:
    """A cluster that wants a token: the environment of who knows it."""
    folder = tempfile.mkdtemp(prefix="rn", dir="/tmp")
    port = 20_000 + os.getpid() % 10_000
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": "",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_TMPDIR": folder,
    }
    options = {
        "--port": port,
        "--dashboard-port": port + 1,
        "--dashboard-agent-listen-port": port + 2,
        "--temp-dir": folder,
        "--num-cpus": 3,
        "--object-store-memory": 100_000_000,
    }
    process = subprocess.Popen(
        [*RAY, "start", "--head", "--block", *(str(word) for option in options.items() for word in option)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    known = {key: environment[key] for key in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_TMPDIR")}
    known["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{port + 1}"
    try:
        wait_until(lambda: command("jobs", **known)[0] == 0, process)  # type: ignore[arg-type]
        yield known
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def workers_of(folder: str) -> list[str]:
    """Returns the living processes of a cluster that work for a job: by its session's folder in their environment."""
    listing = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    found = []
    for line in listing.splitlines():
        pid, name = line.split(None, 1)
        if any(sign in name for sign in ("RayTrainWorker", "run_trainer", "TrainController", "-m raynas run")):
            try:
                variables = Path(f"/proc/{pid}/environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if f"RAY_TMPDIR={folder}".encode() in variables:
                found.append(name)
    return found


def raynas(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Returns exit status, output and errors of the command line, given in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "raynas", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )
    return done.returncode, done.stdout, done.stderr


def shown_by(head: dict[str, str], job: str) -> str:
    """Returns what the cluster's dashboard says of a job."""
    request = urllib.request.Request(f"{head['RAY_API_SERVER_ADDRESS']}/api/jobs/{job}")
    request.add_header("Authorization", f"Bearer {head['RAY_AUTH_TOKEN']}")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.read().decode())


@pytest.mark.slow
@pytest.mark.ray
def test_a_job_is_submitted_stopped_and_continued_on_a_cluster_that_wants_a_token(
    head: dict[str, str], tmp_path: Path
) -> None:
    """What `ray job submit` began, and `raynas stop` ended in the middle, `raynas submit` continues."""
    settings = [f"storage_path={tmp_path}", "train.epochs=300", "train.checkpoint_every=5", "report=false"]
    words = ["jobs/quickstart.yaml", *(word for setting in settings for word in ("--set", setting))]
    grace = ["--runtime-env-json", '{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "30"}}']
    submission = ["--working-dir", ".", "--submission-id", "first", "--no-wait", *grace, "--"]
    place = tmp_path / "quickstart/supernet/seed_0"
    subprocess.run(
        [*RAY, "job", "submit", *submission, "python", "-m", "raynas", "run", *words],
        cwd=ROOT,
        env={**os.environ, **head},
        check=True,
        capture_output=True,
        timeout=200,
    )
    deadline = time.monotonic() + 200
    while not (place / "epoch_00010").exists():
        assert time.monotonic() < deadline, raynas(ROOT, "jobs", "first", "--follow", **head)
        time.sleep(0.05)
    assert len(workers_of(head["RAY_TMPDIR"])) >= 3, "a job is seen while it runs"
    assert raynas(ROOT, "stop", "first", **head)[:2] == (0, "first: STOPPED\n")
    deadline = time.monotonic() + 60
    while left := workers_of(head["RAY_TMPDIR"]):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    status, out, _ = raynas(ROOT, "jobs", "first", "--follow", **head)
    assert status == 143
    saved = re.findall(
        r"\nraynas: saved at (?:the end of )?epoch (\d+)(?:, step \d+)?; give the same command again\n$", out
    )
    assert re.search(r"\n\d\d:\d\d:\d\d  supernet  \d+ %  .*loss \S+  epoch \d+/300", out)
    assert "\x1b" not in out.partition("epoch ")[2]
    reached = max(int(path.name.split("_")[1]) for path in place.glob("epoch_*"))
    if reached < 300:  # else it had trained before it was stopped
        assert reached >= 10
        assert int(saved[0]) in (reached, reached + 1)

    status, out, err = raynas(ROOT, "submit", *words, "--id", "second", "--follow", **head)
    assert status == 0, out + err
    lines = out.splitlines()
    assert lines[0] == "second" and lines[-1] == f"run folder: {tmp_path / 'quickstart'}"
    told = epochs_told(out)
    assert told == sorted(told) and all(reached < epoch <= 300 for epoch in told)
    assert any(re.search(r"  search: 2,000 architectures in 20 generations, ", line) for line in lines)
    of_job = json.loads(shown_by(head, "second"))["metadata"]
    assert (of_job["run"], of_job["verb"], of_job["space"]) == ("quickstart", "run", "nasbench201")
    assert of_job["location"] == str(tmp_path / "quickstart")
    assert len(json.loads((tmp_path / "quickstart/search/result.json").read_text())["best"]) == 10

    status, out, _ = raynas(ROOT, "jobs", **head)
    rows = [line.split() for line in out.splitlines()[1:]]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("second", "SUCCEEDED", "jobs/quickstart.yaml"),
        ("first", "STOPPED", "jobs/quickstart.yaml"),
    ]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.long
def test_a_space_of_the_users_own_goes_along_and_what_fails_there_fails_here(
    head: dict[str, str], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(ROOT / "tests/stages/chain_space.py", project / "my_space.py")
    space = {"name": "my_space.ChainSpace"}
    small_run(project, space=space, storage_path=str(tmp_path / "runs"), quick={"train": {"epochs": 2}})
    status, out, err = raynas(project, "submit", "small.yaml", "--quick", "--follow", **head)
    assert status == 0, out + err
    assert len(losses(tmp_path / "runs/small-quick")) == 2
    gpu = ["--set", "train.use_gpu=true", "--set", "name=other"]
    status, out, _ = raynas(project, "submit", "small.yaml", *gpu, "--follow", **head)
    assert status == 2 and out.endswith("raynas: train.use_gpu: this machine has no CUDA device; set it to false\n")
    for token, mend in ((TOKEN[::-1], "does not accept this token"), (None, "wants a token")):
        known = {**head, "RAY_AUTH_TOKEN": token} if token else {**head, "RAY_AUTH_MODE": "disabled"}
        status, out, err = raynas(project, "submit", "small.yaml", **known)
        assert (status, out, len(err.splitlines())) == (2, "", 1) and mend in err
    elsewhere = {**head, "RAY_API_SERVER_ADDRESS": "http://127.0.0.1:1"}  # which loses against --address
    status, out, err = raynas(project, "jobs", "--address", head["RAY_API_SERVER_ADDRESS"], **elsewhere)
    assert status == 0 and "small.yaml" in out, err
    status, out, err = raynas(project, "stop", "nobody", **head)
    assert (status, out, len(err.splitlines())) == (2, "", 1) and "nobody: there is no such job at" in err
    status, out, err = raynas(project, "submit", "small.yaml", "--id", "twice", **head)
    assert (status, out) == (0, "twice\n"), err
    status, out, err = raynas(project, "submit", "small.yaml", "--id", "twice", **head)
    assert (status, out) == (2, "") and "--id: there is a job twice at" in err
