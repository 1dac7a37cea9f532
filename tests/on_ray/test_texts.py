"""Recurrent cells are searched on Ray as in one process: workers split the streams, and actors measure perplexity."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.on_ray.test_faults import training_workers
from tests.stages.runs import start, succeed, wait_until
from tests.stages.test_language import language_run

EPOCHS = 12


@pytest.mark.ray
@pytest.mark.slow
def test_two_workers_that_split_the_streams_end_as_one_although_one_is_killed(tmp_path: Path) -> None:
    sections = {"algorithm": "gdas", "alphas": {"learning_rate": 0.1}}
    train = {"epochs": EPOCHS, "checkpoint_every": 1, "learning_rate": 1.0, "min_learning_rate": 1.0}
    succeed("run", language_run(tmp_path / "here", **sections, train={**train, "workers": 0}))
    search = {"evaluators": 1}
    process = start("run", language_run(tmp_path / "ray", **sections, train={**train, "workers": 2}, search=search))
    metrics = tmp_path / "ray/runs/small/supernet/seed_0/metrics.jsonl"
    wait_until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) >= 2, process)
    os.kill(training_workers(process)[1], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "a training worker was lost; continuing from the last checkpoint" in out
    runs = [tmp_path / place / "runs/small" for place in ("here", "ray")]
    for part in ("weights", "memory"):
        here, on_ray = (load_file(run / f"supernet/seed_0/epoch_{EPOCHS:05d}/{part}.safetensors") for run in runs)
        for name, tensor in here.items():
            torch.testing.assert_close(on_ray[name], tensor, rtol=1e-3, atol=1e-4)
    best = [json.loads((run / "search/result.json").read_text())["best"][0] for run in runs]
    assert best[1]["architecture"] == best[0]["architecture"]
    assert best[1]["perplexity"] == pytest.approx(best[0]["perplexity"], rel=1e-3)
