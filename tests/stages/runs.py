"""Small runs for the tests: their YAML files, the command line as a process, and what a run left behind."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def small_run(folder: Path, **sections: Any) -> Path:
    """Returns a run file for a tiny space on digits, changed by sections such as ``train={"epochs": 2}``."""
    values: dict[str, Any] = {
        "storage_path": str(folder / "runs"),
        "report": False,
        "space": {"name": "nasbench201", "channels": 2, "cells": 1},
        "data": {"name": "digits", "train_portion": 0.5},
        "train": {"epochs": 4, "workers": 0, "checkpoint_every": 1},
        "search": {"population": 20, "generations": 3, "select": 5, "mutations": 8, "crossovers": 8},
    }
    for section, changes in sections.items():
        if isinstance(changes, dict) and section != "space":
            values[section] = {**values.get(section, {}), **changes}
        else:
            values[section] = changes
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def chain_run(folder: Path, **sections: Any) -> Path:
    """Returns a run file for the space without batch normalisation, which is of another package than raynas."""
    return small_run(folder, space={"name": "tests.stages.chain_space.ChainSpace"}, **sections)


def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Returns the running command line, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "raynas", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def command(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    """Returns the exit status, standard output and standard error of the command line."""
    process = start(*arguments, **environment)
    try:
        out, err = process.communicate(timeout=300)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err


def succeed(*arguments: str | Path, **environment: str) -> str:
    """Returns the standard output of a command line that must exit with 0."""
    status, out, err = command(*arguments, **environment)
    assert status == 0, f"exit status {status}\n{out}\n{err}"
    return out


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 300) -> None:
    """Waits for a condition while a process runs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended early: {process.communicate()}"
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def shown_step(run: Path) -> int:
    """Returns the last step that training showed."""
    return int(json.loads((run / "progress.json").read_text())["step"])


def saved_step(run: Path, said: str) -> int:
    """Returns the step that a signal saved, which the command must say and the run folder must have."""
    found = re.fullmatch(r"raynas: saved at (?:epoch (\d+), step (\d+)|the end of epoch (\d+)); .* again\n", said)
    assert found, said
    epochs, steps = (int(found[3]), 0) if found[3] else (int(found[1]) - 1, int(found[2]))
    name = f"epoch_{epochs:05d}" + (f"_step_{steps:05d}" if steps else "")
    checkpoint = json.loads((run / "supernet/seed_0" / name / "checkpoint.json").read_text())
    return int(checkpoint["steps"])


def losses(run: Path, seed: int = 0) -> list[float]:
    """Returns the loss of every epoch."""
    return [json.loads(line)["loss"] for line in (run / f"supernet/seed_{seed}/metrics.jsonl").read_text().splitlines()]


def outcome(run: Path, epochs: int) -> dict[str, Any]:
    """Returns what must not depend on how a run was carried out: weights, momentum, alphas, losses, history, best."""
    place = run / "supernet/seed_0"
    alphas = (place / "alphas.npy").exists()
    timed = ("seconds", "images_per_second")
    lines = (place / "metrics.jsonl").read_text() + (run / "search/history.jsonl").read_text()
    return {
        **{
            name: hashlib.sha256((place / name).read_bytes()).hexdigest()
            for name in (
                "initial/weights.safetensors",
                f"epoch_{epochs:05d}/weights.safetensors",
                f"epoch_{epochs:05d}/optimizer.safetensors",
                *((f"epoch_{epochs:05d}/alphas.safetensors", "alphas.npy", "derived.jsonl") if alphas else ()),
            )
        },
        "lines": [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines.splitlines()],
        "best": json.loads((run / "search/result.json").read_text())["best"],
    }
