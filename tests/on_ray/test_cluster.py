import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raynas.config.reading import load_config
from raynas.config.run_config import RunConfig
from raynas.on_ray import cluster, nodes
from raynas.on_ray.room import training_room
from tests.stages.runs import small_run


def config_of(folder: Path, *overrides: str) -> RunConfig:
    return load_config(small_run(folder), overrides)


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


def have_nodes(
    monkeypatch: pytest.MonkeyPatch, *there: dict[str, float], types: Sequence[dict[str, float]] = ()
) -> None:
    """Lets a cluster have nodes, and an autoscaler node types."""
    monkeypatch.setattr(nodes, "_nodes", lambda: list(there))
    monkeypatch.setattr(nodes, "_node_types", lambda: list(types))
    monkeypatch.setattr(nodes, "_may_grow", lambda bundle: False)


def test_what_a_cluster_lacks_is_counted_with_the_resource(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(tmp_path, "train.workers=[2, 9]", "train.resource=raynas_train", "train.cpus_per_worker=2")
    have_nodes(monkeypatch, {"CPU": 16.0, "raynas_train": 1.0})
    assert nodes.missing(cluster.worker_needs(config)) == "1 more raynas_train"


def test_an_elastic_training_on_a_local_ray_has_as_many_workers_as_the_machine_holds(tmp_path: Path) -> None:
    config = config_of(tmp_path, "train.workers=[1, 9]", "train.cpus_per_worker=2", "local_cpus=7")
    assert cluster.local_workers(config) == 3
    with training_room(config) as room:
        assert room.gather(lambda waits_for: None) == 3
    with training_room(config_of(tmp_path, "train.workers=[1, 2]", "local_cpus=7")) as room:
        assert room.workers == 2


def test_a_worker_larger_than_any_node_is_said_whatever_the_nodes_have_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = cluster.worker_needs(config_of(tmp_path, "train.workers=2", "train.cpus_per_worker=8"))
    have_nodes(monkeypatch, *[{"CPU": 4.0}] * 8)
    assert nodes.missing(needs) == (
        "a node with 8 CPU (the largest there is has 4 CPU), which is of no node type that can come"
    )
    have_nodes(monkeypatch, *[{"CPU": 4.0}] * 8, types=[{"CPU": 32.0}])
    assert nodes.missing(needs) == "a node with 8 CPU (the largest there is has 4 CPU)"
    have_nodes(monkeypatch, {"CPU": 8.0}, *[{"CPU": 4.0}] * 7)
    assert nodes.missing(needs) == "nodes for 1 more of 8 CPU each"
    have_nodes(monkeypatch, {"CPU": 8.0}, {"CPU": 9.0})
    assert nodes.missing(needs) == ""


def test_an_evaluator_larger_than_any_node_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = cluster.evaluator_needs(config_of(tmp_path, "search.gpus_per_evaluator=0.5"))
    have_nodes(monkeypatch, {"CPU": 4.0}, {"GPU": 1.0})
    assert nodes.missing(needs).startswith("a node with 1 CPU and 0.5 GPU (the largest there is has 4 CPU and 1 GPU)")
    have_nodes(monkeypatch, {"CPU": 4.0, "GPU": 1.0})
    assert nodes.missing(needs) == ""


@pytest.mark.parametrize(
    ("bundle", "fits"), [({"CPU": 4.0}, True), ({"CPU": 5.0}, True), ({"CPU": 4.0, "GPU": 1.0}, False)]
)
def test_a_bundle_fits_on_a_node_that_is_there_or_of_a_type_that_can_come(
    monkeypatch: pytest.MonkeyPatch, bundle: dict[str, float], fits: bool
) -> None:
    have_nodes(monkeypatch, {"CPU": 4.0}, {"GPU": 1.0}, types=[{"CPU": 64.0}])
    assert nodes.fits_a_node(bundle) is fits


@pytest.mark.parametrize(("version", "grows"), [(0, False), (7, True)])
def test_an_autoscaler_that_has_not_refused_a_bundle_may_bring_a_node_for_it(
    monkeypatch: pytest.MonkeyPatch, version: int, grows: bool
) -> None:
    refused = SimpleNamespace(resources_bundle={"CPU": 64.0})
    state = SimpleNamespace(autoscaler_state_version=version, infeasible_resource_requests=[refused])
    monkeypatch.setattr(nodes, "_autoscaler", lambda: state)
    assert nodes._may_grow({"CPU": 8.0}) is grows
    assert nodes._may_grow({"CPU": 64.0}) is False
    monkeypatch.setattr(nodes, "_autoscaler", lambda: None)
    assert nodes._may_grow({"CPU": 64.0}) is True


def start_local(
    monkeypatch: pytest.MonkeyPatch, place: Path, failures: int
) -> tuple[list[str], list[subprocess.Popen[bytes]]]:
    """Lets Ray fail to start some times, as it does on a busy machine; returns its folders and what it leaves."""
    folders: list[str] = []
    children: list[subprocess.Popen[bytes]] = []

    def init(**options: Any) -> None:
        folders.append(options["_temp_dir"])
        assert Path(options["_temp_dir"]).is_dir()
        if len(folders) <= failures:
            children.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
            raise Exception("The current node timed out during startup.\nA second line")

    monkeypatch.setenv("RAY_TMPDIR", str(place))
    monkeypatch.setattr("raynas.storage.temporary_folder.SOCKET_PATH", 1000)
    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    return folders, children


def test_a_ray_that_does_not_start_is_tried_again_in_a_fresh_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, children = start_local(monkeypatch, tmp_path, failures=2)
    with cluster._local_ray(num_cpus=1):
        assert len(set(folders)) == 3
        assert [Path(folder).exists() for folder in folders] == [False, False, True]
        assert [child.wait(timeout=10) for child in children] == [-9, -9], "what it left is ended"
    assert not Path(folders[-1]).exists()


def test_a_ray_that_never_starts_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders, children = start_local(monkeypatch, tmp_path, failures=99)
    with pytest.raises(RuntimeError, match=r"did not start on this machine in 3 attempts \(The current node") as error:
        cluster._local_ray(num_cpus=1).__enter__()
    assert len(str(error.value).splitlines()) == 1
    assert len(folders) == 3 and not any(Path(folder).exists() for folder in folders)
    for child in children:
        child.wait(timeout=10)


@pytest.mark.parametrize("address", ["local", "auto"])
def test_a_dead_cluster_that_the_environment_names_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    config = config_of(tmp_path, f"address={address}")
    began = time.monotonic()
    with (
        pytest.raises(ValueError, match=r"^RAY_ADDRESS: there is no Ray cluster at '127.0.0.1:1'; .* or unset it"),
        cluster.Cluster(config) as joined,
    ):
        joined.join(cluster.worker_needs(config))
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("variable", "address", "local"),
    [("", "local", True), ("local", "local", True), ("1.2.3.4:5", "local", False), ("local", "1.2.3.4:5", False)],
)
def test_ray_address_counts_where_the_run_file_names_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, address: str, local: bool
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", variable)
    assert cluster.is_local(config_of(tmp_path, f"address={address}")) is local


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
