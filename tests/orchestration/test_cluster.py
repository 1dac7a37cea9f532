import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from raynas.config import RunConfig, load_config
from raynas.orchestration import cluster
from raynas.orchestration.room import training_room
from tests.orchestration.runs import small_run


def config_of(folder: Path, *overrides: str) -> RunConfig:
    return load_config(small_run(folder), overrides)


def test_the_files_of_a_killed_ray_are_removed_and_those_of_a_living_one_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, living = Path(f"/tmp/raynas-{ended.pid}-test"), Path(f"/tmp/raynas-{os.getppid()}-test")
    for folder in (left, living):
        folder.mkdir(exist_ok=True)
    own = cluster._temporary_directory()
    try:
        assert not left.exists()
        assert living.exists()
        assert Path(own).is_dir()
        assert len(own) < 40, "a socket's path may have 107 characters"
    finally:
        shutil.rmtree(living)
        shutil.rmtree(own)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.workers=3", {"CPU": 3.0}),
        ("train.cpus_per_worker=4", {"CPU": 12.0}),
        ("train.use_gpu=true", {"CPU": 3.0, "GPU": 3.0}),
        ("train.resource=spot", {"CPU": 3.0, "spot": 3.0}),
    ],
)
def test_workers_need_their_cpus_and_gpus(tmp_path: Path, override: str, expected: dict[str, float]) -> None:
    assert cluster.worker_needs(config_of(tmp_path, "train.workers=3", override)).resources == expected


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("search.cpus_per_evaluator=1", {"CPU": 1.0}),
        ("search.cpus_per_evaluator=4", {"CPU": 4.0}),
        ("search.gpus_per_evaluator=0.5", {"CPU": 1.0, "GPU": 0.5}),
    ],
)
def test_an_evaluator_needs_its_cpus_and_its_share_of_a_gpu(
    tmp_path: Path, override: str, expected: dict[str, float]
) -> None:
    assert cluster.evaluator_needs(config_of(tmp_path, "search.evaluators=7", override)).resources == expected


def check_workers(folder: Path, *overrides: str) -> None:
    config = config_of(folder, *overrides)
    cluster.check_fits(config, cluster.worker_needs(config))


def test_an_elastic_run_needs_only_its_least_number_of_workers_here(tmp_path: Path) -> None:
    check_workers(tmp_path, "train.workers=[2, 50]", "local_cpus=2")
    with pytest.raises(ValueError, match="3 workers need 3 CPU but this machine offers 2"):
        check_workers(tmp_path, "train.workers=[3, 50]", "local_cpus=2")


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    check_workers(tmp_path, "train.workers=1", "train.use_gpu=true")
    with pytest.raises(ValueError, match="2 workers need 2 GPU but this machine offers 1; set train.use_gpu to false"):
        check_workers(tmp_path, "train.workers=2", "train.use_gpu=true", "local_cpus=2")


def test_a_resource_that_this_machine_does_not_offer_is_refused(tmp_path: Path) -> None:
    message = "2 workers need 2 raynas_train but this machine offers 0; set train.resource to null, or give the address"
    with pytest.raises(ValueError, match=message):
        check_workers(tmp_path, "train.workers=[2, 4]", "train.resource=raynas_train", "local_cpus=2")


def test_what_a_cluster_lacks_is_counted_with_the_resource(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(tmp_path, "train.workers=[2, 9]", "train.resource=raynas_train", "train.cpus_per_worker=2")
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 16.0, "raynas_train": 1.0})
    assert cluster.missing(cluster.worker_needs(config)) == "1 more raynas_train"


def test_an_elastic_training_on_a_local_ray_has_as_many_workers_as_the_machine_holds(tmp_path: Path) -> None:
    config = config_of(tmp_path, "train.workers=[1, 9]", "train.cpus_per_worker=2", "local_cpus=7")
    assert cluster.local_workers(config) == 3
    with training_room(config) as room:
        assert room.gather(lambda waits_for: None) == 3
    with training_room(config_of(tmp_path, "train.workers=[1, 2]", "local_cpus=7")) as room:
        assert room.workers == 2


def test_an_evaluator_that_no_machine_like_this_holds_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, "search.cpus_per_evaluator=3", "local_cpus=2")
    message = "search.evaluators: an evaluator needs 3 CPU but this machine offers 2; lower search.cpus_per_evaluator,"
    with pytest.raises(ValueError, match=message):
        cluster.check_fits(config, cluster.evaluator_needs(config))


@pytest.mark.parametrize(
    ("override", "times"),
    [("search.cpus_per_evaluator=1", 5), ("search.cpus_per_evaluator=2", 2), ("search.gpus_per_evaluator=0.5", 4)],
)
def test_a_ray_of_ones_own_holds_as_many_evaluators_as_its_cpus_and_gpus_and_a_cluster_may_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, times: int
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    here = config_of(tmp_path, "local_cpus=5", override)
    there = config_of(tmp_path, "local_cpus=5", override, "address=10.0.0.1:6379")
    assert cluster.Cluster(here).room_for(cluster.evaluator_needs(here)) == times
    assert cluster.Cluster(there).room_for(cluster.evaluator_needs(there)) is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert cluster.Cluster(here).room_for(cluster.evaluator_needs(here)) is None
