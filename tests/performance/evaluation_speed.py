"""Times the evaluation by one-shot accuracy: candidates per second on 1, 2 and 4 Ray actors, and in one process.

Weights are untrained and images random, which changes no time. Every way evaluates the same candidates, after a first
few that it builds its supernet on; the ways take turns, and the median round is reported.

    python tests/performance/evaluation_speed.py [--channels 8 --cells 1 --resolution 16 --images 2048 --actors 1 2 4]
"""

import argparse
import json
import os
import statistics
import time

import numpy as np
import torch

from raynas.config.run_config import parse_config
from raynas.data import FixedImages
from raynas.on_ray.cluster import Cluster
from raynas.on_ray.nodes import Needs
from raynas.on_ray.pool import Pool
from raynas.search_space import sample
from raynas.spaces.nasbench201 import NasBench201
from raynas.stages.network_evaluation import build_fitness
from raynas.supernet.shared_weights import as_arrays


def images(count, resolution, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, resolution, resolution, 3), dtype=np.uint8)
    return FixedImages(pixels, rng.integers(0, 10, count), (0.5,) * 3, (0.25,) * 3)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("channels", 8), ("cells", 1), ("resolution", 16), ("images", 2048), ("candidates", 40)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    space = NasBench201(options.channels, options.cells)
    config = parse_config(
        {
            "name": "evaluating",
            "local_cpus": max(*options.actors, os.cpu_count() or 1),
            "space": {"name": "nasbench201", "channels": options.channels, "cells": options.cells},
            "data": {"name": "digits"},
            "search": {"fitness": "one_shot_accuracy"},
        }
    )
    calibration, evaluation = (images(options.images, options.resolution, seed) for seed in (0, 1))
    supernets = [(as_arrays(space.build_supernet(10).state_dict()), evaluation.labels)]
    arguments = (config.model_dump(), "one_shot_accuracy", space, 10, calibration, evaluation, supernets)
    rng = np.random.default_rng(0)
    candidates = [sample(space, rng) for _ in range(options.candidates)]
    here = build_fitness(*arguments)
    speeds = {"in process": []} | {f"{actors} actors": [] for actors in options.actors}
    with Cluster(config) as cluster:
        cluster.join(Needs("", "", {}, {}))
        for number in range(-1, options.rounds):
            wanted = candidates if number >= 0 else candidates[: 2 * max(options.actors)]
            began = time.perf_counter()
            expected = here(wanted)
            speeds["in process"].append(len(wanted) / (time.perf_counter() - began))
            for actors in options.actors:
                with Pool(evaluators=actors) as pool:
                    fitness = pool.fitness(build_fitness, *arguments, quantities=here.quantities)
                    fitness(candidates[: 2 * actors])
                    began = time.perf_counter()
                    assert (fitness(wanted) == expected).all()
                    speeds[f"{actors} actors"].append(len(wanted) / (time.perf_counter() - began))
    medians = {name: statistics.median(values[1:]) for name, values in speeds.items()}
    result = {
        name: {"candidates_per_second": value, "ratio": value / medians["in process"]}
        for name, value in medians.items()
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(
        f"C={options.channels} N={options.cells}, {options.images} + {options.images} images of {options.resolution}:"
    )
    for name, row in result.items():
        print(f"  {name:<12} {row['candidates_per_second']:8.2f} candidates/s   {row['ratio']:.2f} x one process")


if __name__ == "__main__":
    main()
