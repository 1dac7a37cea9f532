"""What the jobs in jobs/ need at once fits into the machines that the files of cluster/ ask for."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from raynas.config.reading import load_config
from raynas.config.run_config import RunConfig
from raynas.data import Dataset, FixedImages, ImageSet, images_to_send
from raynas.on_ray.cluster import evaluator_needs, worker_resources
from raynas.stages.evaluation import runs_networks
from raynas.stages.task import make_space
from tests.cluster.cluster_files import LAUNCHED, RAY_CLUSTER, ROOT, Documents, _bytes, read_documents

MACHINE_MEMORY = 32e9  # of g6.2xlarge and g2-standard-8
TORCH = 2e9  # of a process with torch, its network and a batch
RUNS = [path for path in sorted((ROOT / "jobs").glob("*.yaml")) if not path.stem.startswith("sweep_")]


@dataclass(frozen=True)
class Machines:
    """Bytes and CPUs of a cluster's head and of one of its workers."""

    head_store: float
    worker_store: float
    worker_shared: float
    worker_memory: float
    worker_cpus: float


def machines_of(documents: Documents, name: str) -> Machines:
    document = documents[name]
    if name == RAY_CLUSTER:
        spec, worker = document["spec"], document["spec"]["workerGroupSpecs"][0]
        (container,) = worker["template"]["spec"]["containers"]
        (shared,) = (v["emptyDir"] for v in worker["template"]["spec"]["volumes"] if "emptyDir" in v)
        limits = container["resources"]["limits"]
        return Machines(
            float(spec["headGroupSpec"]["rayStartParams"]["object-store-memory"]),
            float(worker["rayStartParams"]["object-store-memory"]),
            _bytes(shared["sizeLimit"]),
            _bytes(limits["memory"]),
            float(limits["cpu"]),
        )
    stores = [
        float(re.findall(r"--object-store-memory=(\d+)", " ".join(document[f"{role}_start_ray_commands"]))[0])
        for role in ("head", "worker")
    ]
    (shared,) = re.findall(r"--shm-size=(\d+)g", " ".join(document["docker"]["worker_run_options"]))
    cpus = document["available_node_types"]["gpu_spot"]["resources"]["CPU"]
    return Machines(*stores, int(shared) << 30, MACHINE_MEMORY, cpus)


def stand_in(config: RunConfig) -> Dataset:
    """Returns a data set of the size that the job's has, without its images."""
    sizes = config.data.source.known
    assert sizes is not None
    resolution, number = config.data.resolution or sizes.resolution, config.data.max_images or sizes.images
    images: Any = np.broadcast_to(np.zeros(1, np.uint8), (number, resolution, resolution, 3))
    if config.data.name == "folder":
        images = ("/mnt/raynas/data/imagenet/train/n01440764/n01440764_10026.JPEG",) * number
    part = ImageSet(images, np.zeros(number, np.int64), np.arange(number))
    black: tuple[float, float, float] = (0.0, 0.0, 0.0)
    return Dataset(config.data.name, part, part, sizes.num_classes, resolution, black, black, 0, True)


def sent(config: RunConfig) -> Iterator[Any]:
    """Yields the calibration and the evaluation images as the driver sends them to evaluators."""
    dataset = stand_in(config)
    number = len(dataset.train)
    train = round(number * config.data.train_portion)
    for count in (
        min(config.search.calibration_images, train),
        config.search.evaluation_images or number - train,
    ):
        yield images_to_send(dataset, dataset.train, np.arange(count), dataset.train.labels, {})


def weights(config: RunConfig) -> int:
    """Returns the bytes of the supernets of all base seeds."""
    sizes = config.data.source.known
    assert sizes is not None
    with torch.device("meta"):
        supernet = make_space(config).build_supernet(sizes.num_classes)
    assert config.train.base_seeds is not None
    return len(config.train.base_seeds) * sum(4 * tensor.numel() for tensor in supernet.state_dict().values())


def needs_of(config: RunConfig) -> dict[str, float]:
    """Returns bytes and CPUs that a job needs on one machine at once, by what they are of."""
    sizes = config.data.source.known
    assert sizes is not None
    image = 3 * (config.data.resolution or sizes.resolution) ** 2
    needs = {"CPUs of a training worker": worker_resources(config)["CPU"]}
    if config.data.name == "folder":
        share = config.train.batch_size / config.train.worker_range[1]
        # torch reads two batches ahead in each process
        needs["shared memory of loader processes"] = 2 * config.data.loader_workers * share * image
    if runs_networks(config.search):
        needs["CPUs of an evaluator"] = evaluator_needs(config).resources["CPU"]
        needs["object store of the head"], needs["memory of a worker"] = float(weights(config)), TORCH
        for part in sent(config):
            if isinstance(part, FixedImages):
                needs["object store of the head"] += part.pixels.nbytes
            else:
                needs["object store of the head"] += len(pickle.dumps(part))
                needs["memory of a worker"] += len(part) * image
        needs["object store of a worker"] = needs["object store of the head"]
    return needs


def mistakes(needs: dict[str, float], machines: Machines) -> list[str]:
    """Returns what of a job does not fit, a line each."""
    have = {
        "CPUs of a training worker": machines.worker_cpus,
        "CPUs of an evaluator": machines.worker_cpus,
        "shared memory of loader processes": machines.worker_shared - machines.worker_store,
        "object store of the head": machines.head_store,
        "object store of a worker": machines.worker_store,
        "memory of a worker": machines.worker_memory - machines.worker_store,
    }
    return [f"{what}: {need:g} of {have[what]:g}" for what, need in needs.items() if need > have[what]]


@pytest.mark.slow
def test_every_job_fits_the_machines() -> None:
    configs = {path.name: load_config(path) for path in RUNS}
    needs = {name: needs_of(config) for name, config in configs.items() if config.data.source.known is not None}
    assert {"spos_mobilenet_imagenet.yaml", "rlnas_darts_imagenet.yaml", "spos_nasbench201.yaml"} <= set(needs)
    assert sum("memory of a worker" in need for need in needs.values()) > 1
    for cluster in (*LAUNCHED, RAY_CLUSTER):
        machines = machines_of(read_documents(), cluster)
        assert {name: found for name, need in needs.items() if (found := mistakes(need, machines))} == {}, cluster


@pytest.mark.slow
def test_a_job_that_does_not_fit_is_found() -> None:
    machines = machines_of(read_documents(), LAUNCHED[0])
    job = ROOT / "jobs" / "spos_mobilenet_imagenet.yaml"
    for overrides, what in (
        (["data.loader_workers=9"], "CPUs of a training worker"),
        (["train.workers=1", "train.batch_size=2048"], "shared memory of loader processes"),
        (["search.calibration_images=200000"], "memory of a worker"),
        (["search.cpus_per_evaluator=9"], "CPUs of an evaluator"),
        (["space.width=20.0"], "object store of the head"),
    ):
        assert any(line.startswith(what) for line in mistakes(needs_of(load_config(job, overrides)), machines)), what


def test_the_images_of_the_imagenet_job_never_pass_through_the_head() -> None:
    config = load_config(ROOT / "jobs" / "spos_mobilenet_imagenet.yaml")
    calibration, evaluation = sent(config)
    assert (len(calibration), len(evaluation)) == (20_000, 8_000)
    assert sum(len(pickle.dumps(part)) for part in (calibration, evaluation)) < 10e6
