"""Runs as jobs of a Ray cluster: submitted, listed, followed and stopped over the cluster's Job API.

A job gets a copy of the current folder, as with `ray job submit --working-dir .`. Relative paths and the user's own
spaces therefore work on the cluster as they do locally. raynas itself is included if it is not installed.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import secrets
import shlex
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import yaml
from rich.console import Console

from raynas import __version__
from raynas.config.job_files import PREFIX, job_folder
from raynas.config.reading import load_config
from raynas.config.run_config import RunConfig
from raynas.config.sweeps import load_sweep
from raynas.errors import InputError, RunError
from raynas.on_ray.packing import LEFT_OUT, Package
from raynas.stages import signals

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

ADDRESS = "http://127.0.0.1:8265"
"""Default address of the Job API, unless RAY_API_SERVER_ADDRESS or the user sets another one."""

VARIABLES = ("RAYNAS_TRACEBACK",)
"""Environment variables of this process that are copied to a job."""

ANSWER_SECONDS, POLL_SECONDS, STOP_SECONDS = 10.0, 1.0, 60.0

GRACE_SECONDS = 30
"""Whole seconds from SIGTERM to SIGKILL when a job is stopped, as for a pod in Kubernetes."""


def checked(file: Path, overrides: Sequence[str], quick: bool, sent: Package) -> RunConfig:
    """Returns the configuration of a run file that can become a job.

    Args:
        file: The run file.
        overrides: ``key=value`` pairs.
        quick: Whether its `quick` keys apply.
        sent: The files of the job.

    Raises:
        InputError: If the run file is invalid or not among the files, or its results would be lost.
    """
    with signals.imports():  # imported here, since only this function needs torch
        from raynas.stages.prepare import Purpose, prepare

    config = load_config(file, overrides, quick)
    settings = [config]
    if verb_of(file) == "sweep":
        settings = load_sweep(file, overrides, quick).settings_to_prepare()
    for setting in settings:
        prepare(setting, Console(stderr=True), Purpose.ELSEWHERE)
    if file.resolve() not in sent.files.values() and not _is_of_raynas(file):
        raise InputError(
            f"{file}: is not sent with {sent.folder}; give the command in a folder that holds it, outside of "
            f"{', '.join(LEFT_OUT)}, hidden folders and what .gitignore or .rayignore names"
        )
    if "://" not in config.storage_path and not config.storage_path.startswith(("/", "~")):
        raise InputError(
            f"storage_path: {config.storage_path!r} lies in the job's own folder, which is lost with the cluster; give "
            "--set storage_path=/FOLDER that all machines see"
        )
    return config


def _is_of_raynas(file: Path) -> bool:
    """Returns whether a run file is one that raynas brings along."""
    return file.resolve().parent == job_folder().resolve()


def verb_of(file: Path) -> str:
    """Returns the verb that runs a file: `sweep` if the file has a section of that name, else `run`."""
    return "sweep" if "sweep" in yaml.safe_load(file.read_text(encoding="utf-8")) else "run"


def entrypoint(file: Path, overrides: Sequence[str], quick: bool, folder: Path) -> str:
    """Returns the command of a job. A run file of raynas outside of the folder is named by ``jobs:NAME``."""
    if _is_of_raynas(file) and not file.resolve().is_relative_to(folder):
        where = f"{PREFIX}{file.stem}"
    else:
        where = file.resolve().relative_to(folder).as_posix()
    options = [word for override in overrides for word in ("--set", override)] + ["--quick"] * quick
    return shlex.join(["python", "-m", "raynas", verb_of(file), where, *options])


def environment(given: Sequence[str]) -> dict[str, str]:
    """Returns the environment of a job: `VARIABLES` of this process, and the variables of the user.

    A stopped job has `GRACE_SECONDS` from SIGTERM to SIGKILL, in which training saves; the default of Ray is 3.

    Raises:
        InputError: If a variable is not ``KEY=VALUE``.
    """
    variables = {"PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(GRACE_SECONDS)}
    variables |= {key: os.environ[key] for key in VARIABLES if key in os.environ}
    for assignment in given:
        key, equals, value = assignment.partition("=")
        if not key.isidentifier() or not equals:
            raise InputError(f"--env: expected KEY=VALUE such as NCCL_DEBUG=INFO, got {assignment!r}")
        variables[key] = value
    return variables


def connect(address: str | None) -> JobSubmissionClient:
    """Returns the Job API of a cluster, with the local token if there is one.

    Args:
        address: ``http://HOST:PORT`` of the cluster's dashboard; by default RAY_API_SERVER_ADDRESS, else `ADDRESS`.

    Raises:
        InputError: If no cluster answers, it has another version, or it does not accept the token.
    """
    address = _url(address or os.environ.get("RAY_API_SERVER_ADDRESS") or ADDRESS)
    _check_answers(address)
    os.environ.setdefault(
        "RAY_AUTH_MODE", "token" if _token_at_hand() else "disabled"
    )  # Ray does not add the token itself
    os.environ["RAY_API_SERVER_ADDRESS"] = address  # Ray prefers the variable to an argument
    from ray.job_submission import JobSubmissionClient

    for module in ("dashboard_sdk", "job.sdk"):
        logging.getLogger(f"ray.dashboard.modules.{module}").setLevel(logging.WARNING)
    with answers(address):
        try:
            client = JobSubmissionClient(address)
        except (RuntimeError, ValueError, KeyError) as error:  # no such page, or not a page of Ray
            raise InputError(f"--address: what answers at {address} is no dashboard of Ray") from error
    _check_version(address, str(client._server_ray_version))
    return client


def _url(address: str) -> str:
    """Returns an address with its scheme.

    Raises:
        InputError: If it is not an address of a Job API.
    """
    url = address if "://" in address else f"http://{address}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"--address: expected http://HOST:8265, where the cluster's dashboard is, got {address!r}")
    return url.rstrip("/")


def _token_at_hand() -> bool:
    return (
        any(os.environ.get(key) for key in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
        or (Path.home() / ".ray" / "auth_token").exists()
    )


def _check_answers(address: str) -> None:
    """Checks that a server answers within seconds, since Ray's client would wait for minutes.

    Raises:
        InputError: If no server answers.
    """
    try:
        urllib.request.urlopen(f"{address}/api/version", timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError:
        pass  # also an answer: most requests without a token are refused
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"--address: there is no dashboard of Ray at {address}; give the address of one, or start one (ray start "
            "--head)"
        ) from error


def _check_version(address: str, there: str) -> None:
    """Checks that the Ray versions of the cluster and of this process agree up to the last number.

    Raises:
        InputError: If they differ.
    """
    here = version("ray")
    if there.split(".")[:2] != here.split(".")[:2]:
        raise InputError(f"--address: the cluster at {address} has Ray {there}, here is Ray {here}; install that one")


@contextlib.contextmanager
def answers(address: str, job: str | None = None) -> Iterator[None]:
    """Turns errors of the Job API into one line with the remedy.

    Raises:
        InputError: If the cluster is gone, the token is wrong, or the job is missing or exists already.
        RunError: If the request fails in another way.
    """
    from ray.exceptions import AuthenticationError

    try:
        yield
    except AuthenticationError as error:
        missing = "required" in str(error)
        raise InputError(
            f"--address: the cluster at {address} "
            + ("wants a token" if missing else "does not accept this token")
            + "; give its own: RAY_AUTH_MODE=token RAY_AUTH_TOKEN=..."
        ) from error
    except OSError as error:  # as exceptions of Ray and of its client are
        raise InputError(f"--address: the cluster at {address} does not answer any more") from error
    except RuntimeError as error:
        if job is not None and "does not exist" in str(error):
            raise InputError(f"{job}: there is no such job at {address}; `raynas jobs` lists them") from error
        if job is not None and "already exists" in str(error):
            raise InputError(f"--id: there is a job {job} at {address} already; give another one") from error
        raise RunError(f"the cluster at {address}: {' '.join(str(error).split())[-200:]}") from error


def submit(
    client: JobSubmissionClient,
    sent: Package,
    command: str,
    variables: Mapping[str, str],
    job: str,
    say: Callable[[str], None],
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Submits a job and returns its id.

    Args:
        client: The cluster's Job API.
        sent: The files of the job.
        command: Its command.
        variables: Its environment.
        job: Its id.
        say: Receives a line with the size of the upload.
        metadata: What the cluster shows of the job, as `metadata_of` returns it.

    Raises:
        InputError: If it exceeds the limit of Ray, or a job with this id exists.
    """
    from ray._private.runtime_env.packaging import GCS_STORAGE_MAX_SIZE

    with tempfile.TemporaryDirectory() as scratch, answers(client.get_address(), job):
        archive = Path(scratch) / "working_dir.zip"
        sent.write(archive)
        size = archive.stat().st_size
        if size >= GCS_STORAGE_MAX_SIZE:
            largest = max(sent.files, key=lambda name: sent.files[name].stat().st_size)
            raise InputError(
                f"{sent.folder}: {megabytes(size)} to send, but Ray takes less than {megabytes(GCS_STORAGE_MAX_SIZE)}; "
                f"move what is no code out of it (largest: {largest}, {megabytes(sent.files[largest].stat().st_size)})"
            )
        say(f"sending {len(sent.files):,} files of {sent.folder}, {megabytes(size)}")
        return client.submit_job(
            entrypoint=command,
            runtime_env={"working_dir": str(archive), "env_vars": dict(variables)},
            submission_id=job,
            metadata=dict(metadata or {}),
        )


def megabytes(size: int) -> str:
    """Returns a size as readable text."""
    return f"{size / 1e6:,.1f} MB"


def metadata_of(config: RunConfig, file: Path) -> dict[str, str]:
    """Returns what a cluster shows of a job: the run, what it searches, and where its results will be."""
    return {
        "raynas": __version__,
        "run": config.name,
        "verb": verb_of(file),
        "algorithm": config.algorithm,
        "space": config.space.name,
        "data": config.data.name,
        "location": config.location,
    }


def new_id(config: RunConfig) -> str:
    """Returns a new id for a job, which begins with the name of the run."""
    return f"{config.name}-{secrets.token_hex(3)}"


def follow(client: JobSubmissionClient, job: str, write: Callable[[str], object]) -> int:
    """Prints the log of a job until it ends, and returns its exit status.

    A stopped job counts as terminated. A job that a signal killed has the status that a shell gives it.

    Raises:
        InputError: If the job does not exist, or the cluster stops answering.
        RunError: If the job failed before its command started or ended.
        KeyboardInterrupt: If Ctrl-C or SIGTERM came, which stop the log but not the job.
    """
    written = 0
    try:
        with answers(client.get_address(), job):
            while True:
                details = client.get_job_info(job)  # before the log, so that the log of an ended job is complete
                log = client.get_job_logs(job)
                write(log[written:])
                written = len(log)
                if details.status.is_terminal():
                    break
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"{job} goes on; `raynas jobs {job} --follow` follows it again, `raynas stop {job}` stops it"
        ) from None
    if details.status == "STOPPED":
        return 128 + signal.SIGTERM
    code: int | None = details.driver_exit_code
    if code is None and details.status == "FAILED":
        raise RunError(f"{job}: {' '.join(str(details.message).split())}")
    return 128 - code if code and code < 0 else code or 0


def stop(client: JobSubmissionClient, job: str) -> str:
    """Stops a job, unless it has ended, and returns its final status.

    Raises:
        InputError: If the job does not exist.
        RunError: If the job does not end.
    """
    with answers(client.get_address(), job):
        client.stop_job(job)
        deadline = time.monotonic() + STOP_SECONDS
        while not (status := client.get_job_status(job)).is_terminal():
            if time.monotonic() > deadline:
                raise RunError(f"{job} is {status.value} {STOP_SECONDS:.0f} s after it was stopped; try again")
            time.sleep(POLL_SECONDS)
    return str(status.value)


def listed(client: JobSubmissionClient, job: str | None = None) -> dict[str, list[str]]:
    """Returns the jobs of a cluster, or one of them, the newest first, as columns of text.

    Raises:
        InputError: If the job does not exist.
    """
    with answers(client.get_address(), job):
        found = client.list_jobs() if job is None else [client.get_job_info(job)]
    sent = [
        details for details in found if details.submission_id is not None
    ]  # the others are drivers that were not submitted
    sent.sort(key=lambda details: details.start_time or 0, reverse=True)
    return {
        "id": [str(details.submission_id) for details in sent],
        "status": [details.status.value for details in sent],
        "started": [_time(details.start_time) for details in sent],
        "duration": [_duration(details.start_time, details.end_time) for details in sent],
        "file": [_file(details.entrypoint) for details in sent],
    }


def _time(milliseconds: int | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000)) if milliseconds else ""


def _duration(start: int | None, end: int | None) -> str:
    """Returns hours, minutes and seconds between two times in milliseconds; None as the end means now."""
    if not start:
        return ""
    seconds = round((end or 1000 * time.time()) - start) // 1000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _file(command: str) -> str:
    """Returns the run file in the command of a job, or the whole command if it is not a raynas command."""
    words = command.split()
    return words[4] if words[:3] == ["python", "-m", "raynas"] and len(words) > 4 else command
