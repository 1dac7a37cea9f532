"""Sweeps of every scheduler and searcher, of trials that work alone and of trials that lead workers, on one Ray."""

from __future__ import annotations

import io
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util import placement_group_table
from ray.util.state import list_actors
from rich.console import Console

from raynas.config.reading import load_config
from raynas.on_ray.cluster import Cluster, evaluator_needs
from raynas.on_ray.sweep import sweep_runs
from tests.on_ray.test_sweep import read
from tests.stages.runs import losses, small_run

pytestmark = [pytest.mark.slow, pytest.mark.ray]

IMAGES = {"evaluation_images": 64, "calibration_images": 64, "evaluation_batch_size": 64}
SEARCH = {"population": 6, "generations": 1, "select": 3, "mutations": 2, "crossovers": 2, **IMAGES}
DATA = {"max_images": 300}

GRIDS: dict[str, dict[str, Any]] = {
    "none": {"search.fitness": {"grid": ["one_shot_accuracy", "one_shot_loss"]}},  # two trials on one training
    "asha": {"train.learning_rate": {"grid": [0.1, 1e-6, 0.05]}},  # the second is behind after every epoch
}
SAMPLED = {"train.learning_rate": {"loguniform": [0.001, 0.1]}, "search.population": {"choice": [4, 6]}}


@pytest.fixture(scope="module", autouse=True)
def local_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray of four CPUs, which all sweeps of this module join."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("RAY_API_SERVER_ADDRESS", "PYTHONPATH", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
            environment.setenv(name, "")  # given back what it was, whatever the block makes of it
            environment.delenv(name)
        config = load_config(small_run(tmp_path_factory.mktemp("ray"), local_cpus=4))
        with Cluster(config, dashboard=True) as cluster:
            cluster.join(evaluator_needs(config))
            yield


def swept(folder: Path, sweep: dict[str, Any], workers: int, epochs: int, cpus: int) -> dict[str, Any]:
    """Returns the results of a sweep whose workers take so many of the four CPUs each."""
    train = {"epochs": epochs, "workers": workers, "cpus_per_worker": cpus, "min_learning_rate": 0.0, "batch_size": 32}
    settings = {"metric": "fitness", **sweep}
    return sweep_runs(
        read(folder, settings, train=train, data=DATA, search={"fitness": "one_shot_accuracy", **SEARCH}, local_cpus=4),
        Console(file=io.StringIO()),
    )


def held() -> list[str]:
    """Returns the placement groups and actors that are there, but for those that Ray keeps for all trainings."""
    groups = [group for group, state in placement_group_table().items() if state["state"] != "REMOVED"]
    kept = ("AutoscalingCoordinator", "DatasetManager", "TrainStateActor", "DatasetStats")
    actors = [actor.class_name for actor in list_actors(filters=[("state", "!=", "DEAD")])]
    return [*groups, *(name for name in actors if not any(one in name for one in kept))]


def assert_nothing_is_held(seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while held():
        assert time.monotonic() < deadline, held()
        time.sleep(0.5)
    assert ray.available_resources()["CPU"] == 4


@pytest.mark.long
def test_leading_trials_share_a_training_and_its_room_and_leave_nothing_behind(tmp_path: Path) -> None:
    """Both take all CPUs for their workers; the second starts when the first has trained, and trains nothing."""
    results = swept(tmp_path, {"keys": GRIDS["none"]}, workers=2, epochs=3, cpus=2)
    assert [(trial["status"], trial["error"]) for trial in results["trials"]] == [("done", None)] * 2
    (shared,) = (tmp_path / "runs/small/supernets").iterdir()
    assert len(losses(shared)) == 3
    first, second = (trial["metrics"] for trial in results["trials"])
    assert first["train_loss"] == second["train_loss"] == losses(shared)[-1]
    assert second["fitness"] == -second["loss"]
    assert_nothing_is_held()


@pytest.mark.long
@pytest.mark.parametrize(
    ("workers", "scheduler", "searcher"), list(itertools.product((1, 2), ("none", "asha"), ("random", "optuna")))
)
def test_every_scheduler_and_searcher_carries_out_trials_alone_and_leading(
    tmp_path: Path, workers: int, scheduler: str, searcher: str
) -> None:
    keys = GRIDS[scheduler] if searcher == "random" else SAMPLED
    samples = {"samples": 3} if searcher == "optuna" else {}
    early: dict[str, Any] = {"metric": "train_loss", "reduction": 2, "concurrent": 1} if scheduler == "asha" else {}
    epochs = 40 if scheduler == "asha" else 2
    sweep = {"keys": keys, "scheduler": scheduler, "searcher": searcher, **samples, **early}
    results = swept(tmp_path, sweep, workers, epochs, cpus=1)
    ended = Counter(trial["status"] for trial in results["trials"])
    assert set(ended) <= ({"done", "stopped"} if early else {"done"}), results["trials"]
    number = 3 if searcher == "optuna" else len(next(iter(keys.values()))["grid"])
    assert ended.total() == number and ended["done"] >= 1
    if (scheduler, searcher) == ("asha", "random"):
        first, behind, _ = results["trials"]
        assert first["status"] == "done" and (behind["status"], behind["epochs"]) == ("stopped", 1)
        assert len(losses(tmp_path / "runs/small" / behind["folder"])) < epochs, "it was stopped while it trained"
    for trial in results["trials"]:
        if trial["status"] == "done":
            assert {"fitness", "train_loss", "num_parameters"} <= set(trial["metrics"]) and trial["epochs"] == epochs
    assert_nothing_is_held()
