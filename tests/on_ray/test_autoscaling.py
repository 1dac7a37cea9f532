"""Nodes that come because a run needs them, and go because it does not any more: a real autoscaler, on this machine."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import ray

from raynas.on_ray.pool import Pool
from tests.on_ray.autoscaling_cluster import AutoscalingCluster, State, autoscaling_cluster, watched
from tests.on_ray.pool_fitness import Weighted, Where
from tests.on_ray.test_sweep import sweep_file
from tests.stages.runs import ROOT, outcome, small_run, succeed

EPOCHS = 10
OF_RAY = {"_AutoscalingCoordinatorActor", "DatasetManager", "TrainStateActor"}
"""Actors that Ray starts once for all trainings of a cluster."""


def short_run(folder: Path, workers: int, evaluators: int) -> Path:
    images = {"evaluation_images": 128, "calibration_images": 128, "evaluation_batch_size": 64}
    folder.mkdir()
    return small_run(
        folder,
        algorithm="spos",
        train={"epochs": EPOCHS, "workers": workers},
        search={**images, "evaluators": evaluators},
    )


def evaluate_on_half_a_gpu_each(address: str) -> None:
    """Evaluates by as many actors as there is room for, which is none as yet, and half a GPU for each."""
    asked = [(1, index % 7, index) for index in range(30)]
    weights = np.array([1.0, 0.1, 0.001])
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    with Pool(evaluators=None, cpus=0, gpus=0.5) as pool:
        fitness = pool.fitness(Where, weights, 0.1, Path(os.devnull), quantities=Where.quantities)
        processes: set[float] = set()
        while len(processes) < 2:  # the second is started when the first has come
            values, of_call = fitness(asked).T
            processes.update(of_call)
            assert np.array_equal(values, Weighted(weights)(asked)[:, 0])


def on_cluster(cluster: AutoscalingCluster, *arguments: str | Path) -> subprocess.Popen[str]:
    """Returns a running Python whose Ray is the cluster's."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=dict(cluster.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def changes(numbers: list[int]) -> list[int]:
    """Returns the numbers without those that equal the one before."""
    return [number for at, number in enumerate(numbers) if at == 0 or number != numbers[at - 1]]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.long
def test_nodes_come_for_workers_evaluators_and_gpus_and_go_when_nothing_needs_them(tmp_path: Path) -> None:
    """Training on one node, evaluation on two, half GPUs on a third; the numbers are those of one process."""
    short_run(tmp_path / "alone", workers=0, evaluators=0)
    file = short_run(tmp_path / "cluster", workers=1, evaluators=2)
    types = {"cpu": ({"CPU": 1}, 4), "gpu": ({"GPU": 1}, 4)}
    gpu_users = f"from {__name__} import *; evaluate_on_half_a_gpu_each"
    with autoscaling_cluster(types, idle_seconds=8) as cluster, watched(cluster) as states:
        processes = [
            on_cluster(cluster, "-m", "raynas", "run", file, "--set", f"address={cluster.address}"),
            on_cluster(cluster, "-c", f"{gpu_users}({cluster.address!r})"),
        ]
        try:
            succeed("run", tmp_path / "alone/small.yaml")
            for process in processes:
                said, _ = process.communicate(timeout=400)
                assert process.returncode == 0, said
            ended = time.monotonic()
            while states[-1].nodes:
                assert time.monotonic() < ended + 30, f"nodes stay: {states[-1]}"
                time.sleep(0.2)
        finally:
            for process in processes:
                process.kill()
    assert cluster.processes() == []

    cpu_nodes, gpu_nodes = (
        {node for state in states for node, resources in state.nodes.items() if resources.get(kind)}
        for kind in ("CPU", "GPU")
    )
    assert (len(cpu_nodes), len(gpu_nodes)) == (2, 1), "no node came for nothing, and none was left and another taken"
    counts = changes([len(cpu_nodes & state.nodes.keys()) for state in states])
    assert counts in ([0, 1, 2, 0], [0, 1, 2, 1, 0])
    assert changes([len(gpu_nodes & state.nodes.keys()) for state in states]) == [0, 1, 0]

    def on(nodes: set[str], name: str, state: State) -> list[str]:
        return [place for place in state.places(name) if place in nodes]

    (trained_on,) = {node for state in states for node in on(cpu_nodes | gpu_nodes, "RayTrainWorker", state)}
    assert trained_on in cpu_nodes
    assert {node for state in states for node in on(cpu_nodes, "Evaluator", state)} == cpu_nodes, "taken over"
    assert max(len(on(gpu_nodes, "Evaluator", state)) for state in states) == 2, "they share a GPU"
    assert not any(on(cpu_nodes, "Evaluator", state) and state.places("RayTrainWorker") for state in states)
    assert {kind for kind, _ in states[-1].actors} <= OF_RAY
    assert max(state.groups for state in states) <= 2, "a reservation, until the trainer has asked for its room"
    assert states[-1].groups == 0

    assert outcome(tmp_path / "cluster/runs/small", EPOCHS) == outcome(tmp_path / "alone/runs/small", EPOCHS)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.long
def test_a_second_leading_trial_starts_on_the_node_that_comes_for_it(tmp_path: Path) -> None:
    """Each trial leads two workers, which fill a node; at the beginning there is none."""
    sweep = {"keys": {"data.labels": {"grid": ["true", "random"]}}, "metric": "fitness"}
    file = sweep_file(tmp_path, sweep, train={"epochs": 60, "workers": 2}, search={"fitness": "angle"})
    with autoscaling_cluster({"cpu": ({"CPU": 2}, 2)}, idle_seconds=60) as cluster, watched(cluster) as states:
        process = on_cluster(cluster, "-m", "raynas", "sweep", file, "--set", f"address={cluster.address}")
        try:
            said, _ = process.communicate(timeout=400)
            assert process.returncode == 0, said
        finally:
            process.kill()
    assert max(len(set(state.places("RayTrainWorker"))) for state in states) == 2, "both train at a time"
    counts = changes([len(state.nodes) for state in states])
    assert counts[:3] == [0, 1, 2], "the second node was asked for when the first trial had its own"
