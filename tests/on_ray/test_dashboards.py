"""A run in Ray's own instruments: its metrics endpoint, Train's list of runs, the metadata of jobs."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from raynas.cli import main
from raynas.config.reading import load_config
from raynas.on_ray import gauges
from raynas.on_ray.gauges import EpochReports, Gauges, display_name, tags_of
from tests.stages.runs import small_run


def test_a_trial_is_named_after_its_sweep_and_itself_and_another_run_after_itself(tmp_path: Path) -> None:
    config = load_config(small_run(tmp_path))
    assert tags_of(config) == {"run": "small", "trial": ""} and display_name(config) == "small"
    trial = config.model_copy(update={"name": "eta-0.1", "storage_path": "s3://bucket/sweeps/grid/trials"})
    assert tags_of(trial) == {"run": "grid", "trial": "eta-0.1"} and display_name(trial) == "grid.eta-0.1"


def test_every_worker_reports_the_same_epochs_whatever_its_own_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, reported = [0.0], []
    monkeypatch.setattr(gauges.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr("ray.train.report", lambda figures: reported.append(figures["epoch"]))
    of_worker_0: list[float] = []
    first = EpochReports(lambda seconds: of_worker_0.append(seconds) or seconds, seconds=20.0)  # type: ignore[func-returns-value]
    second = EpochReports(lambda seconds: of_worker_0.pop(), seconds=20.0)
    for epoch in range(1, 11):
        clock[0] += 8.0
        first("seed 0", epoch, {"loss": 1.0})
        clock[0] += 1.5  # the other worker is late
        second("seed 0", epoch, {"loss": 1.0})
    assert reported == [3, 3, 6, 6, 9, 9]


def test_a_stream_of_evaluations_is_the_same_and_shows_the_best_and_the_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: dict[str, list[float]] = {}
    monkeypatch.setattr(Gauges, "set", lambda self, name, value: shown.setdefault(name, []).append(value))
    parts = [np.array([[0.1, 5.0], [0.4, 6.0]]), np.array([[0.3, 7.0]])]
    stream = Gauges(load_config(small_run(tmp_path))).measured(lambda architectures: iter(parts))
    assert [part.tolist() for part in stream([(0,), (1,), (2,)])] == [part.tolist() for part in parts]
    assert shown["raynas_best"] == [0.4, 0.4]
    diverged = [np.array([[np.nan, 1.0], [0.7, 1.0]])]
    list(Gauges(load_config(small_run(tmp_path))).measured(lambda architectures: iter(diverged))([(0,), (1,)]))
    assert shown["raynas_best"][-1] == 0.7
    assert all(speed > 0 for speed in shown["raynas_candidates_per_second"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture
def endpoints(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Yields the metrics endpoint and the dashboard of a Ray that tracks the state of Train."""
    import ray

    monkeypatch.setenv("RAY_TRAIN_ENABLE_STATE_TRACKING", "1")
    metrics, dashboard = free_port(), free_port()
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", f"http://127.0.0.1:{dashboard}")
    ray.init(
        address="local",
        num_cpus=3,
        include_dashboard=True,
        dashboard_port=dashboard,
        log_to_driver=False,
        _metrics_export_port=metrics,
        _system_config={"metrics_report_interval_ms": 300},
    )
    yield f"http://127.0.0.1:{metrics}/metrics", f"http://127.0.0.1:{dashboard}"
    ray.shutdown()


def read(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_run_is_on_the_metrics_endpoint_by_name_while_it_goes_on_and_in_the_list_of_trainings(
    tmp_path: Path, endpoints: tuple[str, str]
) -> None:
    metrics, dashboard = endpoints
    search = {"fitness": "one_shot_accuracy", "evaluators": 1, "evaluation_images": 64, "evaluation_batch_size": 32}
    small = {"data": {"max_images": 400}, "search": {**search, "calibration_images": 64, "population": 40}}
    file = small_run(tmp_path, train={"epochs": 150, "workers": 1, "batch_size": 32}, **small)
    seen: dict[str, set[float]] = {name: set() for name in gauges.GAUGES}
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.3):
            for name, tags, value in re.findall(r"^ray_(raynas_\w+)\{(.*)\} (\S+)$", read(metrics), re.MULTILINE):
                if name in seen and 'run="small"' in tags and 'trial=""' in tags:
                    seen[name].add(float(value))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        assert main(["run", str(file)]) == 0
        time.sleep(2.0)  # the last values are exported
    finally:
        over.set()
        looking.join()
    losses = [json.loads(line)["loss"] for line in (tmp_path / "runs/small/supernet/seed_0/metrics.jsonl").open()]
    assert seen["raynas_loss"]
    assert all(0.5 * min(losses) < loss < 2 * max(losses) for loss in seen["raynas_loss"])
    assert max(seen["raynas_images_per_second"]) > 10
    best = json.loads((tmp_path / "runs/small/search/result.json").read_text())["best"][0]["fitness"]
    assert max(seen["raynas_best"]) == pytest.approx(best)
    assert max(seen["raynas_candidates_per_second"]) > 0
    trainings = read(f"{dashboard}/api/train/v2/runs/v1")
    assert re.search(r'"name": ?"small-\d+"', trainings), trainings[:500]
    assert os.environ["RAY_TRAIN_ENABLE_STATE_TRACKING"] == "1"
