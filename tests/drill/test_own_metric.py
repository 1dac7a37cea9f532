"""Metrics of the user's own are one file: trials are compared by them, stopped by them, reported with their units."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from raynas.cli import main
from raynas.config.sweeps import Sweep, load_sweep
from raynas.on_ray.sweep_results import summary
from raynas.on_ray.sweep_schedulers.asha import make_asha
from raynas.on_ray.trial import EpochFeed, metrics_of
from raynas.report.sweep_page import write_sweep_report
from raynas.sweep_metrics import SWEEP_METRICS, TrialOutcome
from tests.drill.conftest import Added
from tests.stages.runs import small_run

pytestmark = pytest.mark.slow

SMALL: dict[str, Any] = {
    "algorithm": "spos",
    "data": {"max_images": 64},
    "train": {"epochs": 2, "batch_size": 16},
    "search": {"name": "random", "fitness": "random", "generations": 1, "population": 4, "evaluators": 0},
}


def sweep_file(folder: Path, path: str, **settings: Any) -> Path:
    file = small_run(folder, **SMALL)
    sweep = {"keys": {"seed": {"grid": [0, 1]}}, "metric": f"{path}TRAINING_ERROR", **settings}
    file.write_text(file.read_text() + yaml.safe_dump({"sweep": sweep}))
    return file


def outcome() -> TrialOutcome:
    first = {"accuracy": 10.0, "loss": 2.0, "step": 4, "seconds": 1.0}
    last = {"accuracy": 40.0, "loss": 1.5, "step": 8, "seconds": 1.0}
    best = {"num_parameters": 200, "drawing": {}, "fitness": 1.0}
    return TrialOutcome({"best": [best], "seconds": 1.0}, None, [[first, last]])


def settings_of(folder: Path, path: str, **settings: Any) -> Sweep:
    return load_sweep(sweep_file(folder, path, **settings))


def test_trials_are_measured_by_it_beside_the_metrics_of_raynas(tmp_path: Path, beside: Added) -> None:
    path = beside("own_metric")
    sweep = settings_of(tmp_path, path, also=[f"{path}WEIGHTS_PER_STEP", "fitness"])
    assert (sweep.settings.better, sweep.settings.metrics["fitness"].better) == ("min", "max")
    found = metrics_of(outcome(), sweep.settings.metrics)
    assert found[f"{path}TRAINING_ERROR"] == 60.0
    assert found[f"{path}WEIGHTS_PER_STEP"] == 25.0
    assert (found["fitness"], found["train_accuracy"], found["train_seconds"]) == (1.0, 40.0, 2.0)


def test_asha_stops_by_it_as_it_is_known_after_every_epoch(tmp_path: Path, beside: Added) -> None:
    path = beside("own_metric")
    scheduler = make_asha(settings_of(tmp_path, path, scheduler="asha"))
    assert (scheduler.metric, scheduler._mode) == (f"{path}TRAINING_ERROR", "min")
    other = make_asha(settings_of(tmp_path, path, scheduler="asha", metric=f"{path}WEIGHTS_PER_STEP"))
    assert (other.metric, other._mode) == ("train_loss", "min")


def test_the_report_of_its_results_says_its_unit(tmp_path: Path, beside: Added) -> None:
    path = beside("own_metric")
    sweep = settings_of(tmp_path, path)
    measured = {f"{path}TRAINING_ERROR": 12.5, "fitness": 1.0}
    state = {"status": "done", "error": None, "epochs": 2, "seconds": 1.0, "metrics": measured}
    folder = tmp_path / "runs/small"
    folder.mkdir(parents=True)
    states = [{"name": trial.name, "point": trial.point, "seed": trial.seed, **state} for trial in sweep.trials()]
    (folder / "results.json").write_text(json.dumps(summary(sweep, states)))
    page = write_sweep_report(folder).read_text()
    assert "training error (percent)" in page and "12.50" in page


@pytest.mark.slow
@pytest.mark.ray
def test_a_sweep_is_compared_by_it_and_says_its_unit(tmp_path: Path, beside: Added) -> None:
    path = beside("own_metric")
    file = sweep_file(tmp_path, path)
    file.write_text(file.read_text().replace("fitness: random", "fitness: displacement"))
    assert main(["sweep", str(file)]) == 0
    results = json.loads((tmp_path / "runs/small/results.json").read_text())
    assert (results["metric"], results["mode"]) == (f"{path}TRAINING_ERROR", "min")
    for trial in results["trials"]:
        numbers = trial["metrics"]
        assert numbers[f"{path}TRAINING_ERROR"] == pytest.approx(100.0 - numbers["train_accuracy"])
    stated = results["quantities"][f"{path}TRAINING_ERROR"]
    assert stated == {"title": "training error", "unit": "percent", "decimals": 2}
    page = (tmp_path / "runs/small/report/index.html").read_text()
    assert "training error (percent)" in page


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "users_own_metric.NOTHING"}, "sweep.metric: cannot import 'users_own_metric.NOTHING'"),
        ({"metric": "users_own_metric.training_error"}, "sweep.metric: expected 'users_own_metric.training_error' to"),
        ({"also": ["tau"]}, "sweep.also: tau is known by ranking; set sweep.rank to true"),
    ],
)
def test_what_is_no_metric_is_said(tmp_path: Path, beside: Added, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        settings_of(tmp_path, beside("own_metric"), **settings)
    assert str(refused.value).startswith(message)


def test_inside_the_package_it_is_one_file_too(tmp_path: Path, inside: Callable[[str, str], None]) -> None:
    inside("own_metric", "raynas.sweep_metrics")
    assert {"training_error", "weights_per_step"} <= set(SWEEP_METRICS.names())
    assert settings_of(tmp_path, "", metric="training_error").settings.better == "min"
    reported: list[dict[str, Any]] = []
    feed = EpochFeed(reported.append)
    feed._files = [tmp_path / "metrics.jsonl"]
    feed._files[0].write_text('{"epoch": 0, "loss": 2.0, "accuracy": 25.0}\n')
    feed()
    assert reported == [{"epoch": 1, "train_loss": 2.0, "train_accuracy": 25.0, "training_error": 75.0}]
