"""Exceptions as people see them: exit status, one line, the place, and the role of a file."""

from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raynas.cli import main
from raynas.data import split_indices
from raynas.errors import InputError, RunError, StorageError
from raynas.failures import FAILURE, INVALID_INPUT, MOST_LINES, lines_of, outcome
from raynas.search_space import as_array
from tests.stages.runs import ROOT, small_run


def caught(function: Any, *arguments: Any) -> Exception:
    with pytest.raises(Exception) as info:
        function(*arguments)
    return info.value


def refuse() -> None:
    raise InputError("data.path: mine")


def raise_value_error() -> None:
    raise ValueError("of the user's own space")


def divide(by: int) -> float:
    return 1 / by


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (lambda: caught(split_indices, 10, 2.0, 0), INVALID_INPUT, "data.train_portion: expected a share"),
        (lambda: caught(refuse), INVALID_INPUT, "data.path: mine"),
        (lambda: InputError("from another process"), INVALID_INPUT, "from another process"),
        (lambda: RunError("from another process"), FAILURE, "from another process"),
        (lambda: StorageError("storage_path: keeps failing"), FAILURE, "storage_path: keeps failing"),
        (lambda: pickle.loads(pickle.dumps(InputError("sent"))), INVALID_INPUT, "sent"),
        (
            lambda: caught(raise_value_error),
            FAILURE,
            "internal error: ValueError: of the user's own space (" + __file__,
        ),
        (lambda: caught(np.ones(2).__add__, np.ones(3)), FAILURE, "internal error: ValueError: operands could not be"),
        (lambda: caught(np.reshape, np.ones(2), (3,)), FAILURE, "internal error: ValueError: cannot reshape"),
        (lambda: caught(json.loads, "{"), FAILURE, "internal error: JSONDecodeError: Expecting property name"),
        (lambda: caught(int, "x"), FAILURE, "internal error: ValueError: invalid literal"),
        (lambda: caught(as_array, [object()]), FAILURE, "internal error: TypeError"),
        (lambda: caught(divide, 0), FAILURE, f"internal error: ZeroDivisionError: division by zero ({__file__}, line"),
        (lambda: MemoryError("x"), FAILURE, "out of memory (x); lower train.batch_size"),
        (lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory"), FAILURE, "out of memory (DefaultCPUAll"),
        (lambda: SystemExit(3), FAILURE, "internal error: SystemExit: 3"),
    ],
)
def test_only_what_raynas_raises_on_purpose_speaks_for_itself(error: Any, status: int, message: str) -> None:
    found = outcome(error(), {})
    assert found[0] == status
    assert found[1].startswith(message)
    assert found[1].endswith("RAYNAS_TRACEBACK=1 shows the traceback") == message.startswith("internal")


@pytest.mark.parametrize(
    ("file", "role"),
    [
        ("/runs/a/supernet/x", "storage_path: "),
        ("/runs", "storage_path: "),
        ("/", "storage_path: "),
        ("/runs/data/1.jpg", "data.path: "),
        ("/elsewhere/x", ""),
        ("/runs2/x", ""),
    ],
)
def test_an_error_of_the_system_says_the_file_and_the_nearest_key_that_names_it(file: str, role: str) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", file)
    places = {"storage_path": "/runs", "data.path": "/runs/data"}
    assert outcome(error, places) == (
        FAILURE,
        f"{role}No space left on device: {file}; free some space and give the same command again to continue",
    )


def test_a_message_has_few_lines_and_no_control_characters() -> None:
    assert lines_of("a\nb") == ["a", "b"]
    assert lines_of("\n".join(map(str, range(10)))) == ["0", "1", "2", "and 7 more such lines"]
    assert len(lines_of("\n".join(map(str, range(MOST_LINES))))) == MOST_LINES
    assert lines_of("\x1b[2J" + "x" * 5_000)[0].startswith("\\x1b[2Jxxx")
    assert len(lines_of("x" * 5_000)[0]) == 1_000


def test_an_exception_that_nobody_expects_is_one_line_with_its_place_and_a_traceback_only_if_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAYNAS_TRACEBACK", raising=False)
    monkeypatch.setattr("raynas.stages.task.load_dataset", lambda *_, **__: divide(0))
    assert main(["check", str(small_run(tmp_path))]) == FAILURE
    err = capsys.readouterr().err
    assert err.startswith(f"raynas: internal error: ZeroDivisionError: division by zero ({__file__}, line ")
    assert err.count("\n") == 1
    monkeypatch.setenv("RAYNAS_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main(["check", str(tmp_path / "small.yaml")])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "status", "err"),
    [
        (">/dev/full", 1, "raynas: standard output: No space left on device; what was done is on disk: give"),
        (">&-", 0, ""),
        ("| true", 0, ""),
        (">/dev/full 2>/dev/full", 1, ""),
    ],
)
def test_an_output_that_cannot_be_written_does_not_end_a_run(
    tmp_path: Path, redirection: str, status: int, err: str
) -> None:
    file = small_run(tmp_path, train={"epochs": 1}, name="é".encode().hex())
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; {sys.executable} -m raynas run "{file}" {redirection}'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr[: len(err)], bool(done.stderr)) == (status, err, bool(err))
    assert (tmp_path / "runs" / "é".encode().hex() / "search/result.json").exists()


def in_a_folder_that_is_not_utf8(tmp_path: Path, *arguments: str) -> tuple[int, bytes, bytes]:
    """Returns exit status, output and errors of a command in such a folder, on a terminal of few characters."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xe9"))
    folder.mkdir()
    environment = {**os.environ, "LANG": "C", "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "raynas", *arguments], cwd=folder, capture_output=True, env=environment
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_a_run_folder_that_is_not_utf8_is_refused_in_one_line(tmp_path: Path) -> None:
    file = small_run(tmp_path, train={"epochs": 1}, storage_path="runs", report=True)
    status, _, err = in_a_folder_that_is_not_utf8(tmp_path, "run", str(file))
    assert status == 2
    assert err.startswith(
        b"raynas: storage_path: expected a path in UTF-8, which TensorBoard and safetensors need, got"
    )
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_a_command_given_in_a_folder_that_is_not_utf8_runs_elsewhere(tmp_path: Path) -> None:
    file = small_run(tmp_path, train={"epochs": 1}, report=True)
    status, out, err = in_a_folder_that_is_not_utf8(tmp_path, "run", str(file))
    assert (status, err) == (0, b"")
    assert out.rstrip().endswith(b"/runs/small")
    assert (tmp_path / "runs/small/report/index.html").exists()
