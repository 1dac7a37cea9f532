"""Times the evaluation on Ray actors and in process, and measures what shared weights add to an actor's memory.

The stand-in for a fitness takes about 50 ms a candidate, asleep (what the pool itself costs, whatever the machine) or
multiplying matrices on one thread (what the cores give). The weights are 100 MB of numpy arrays, read through torch.

    python tests/performance/pool.py [--actors 1 2 4] [--candidates 100] [--json]
"""

import argparse
import json
import os
import shutil
import tempfile
import time
import warnings

import numpy as np
import torch

from raynas.on_ray.pool import Pool

SECONDS = 0.05


class Asleep:
    quantities = ("fitness",)

    def __call__(self, architectures):
        time.sleep(SECONDS * len(architectures))
        return np.array(architectures, dtype=np.float64)


class Multiplying:
    quantities = ("fitness",)

    def __init__(self, times):
        self.times = times

    def __call__(self, architectures):
        matrix = torch.full((256, 256), 1 / 256)
        for _ in range(self.times * len(architectures)):
            matrix = matrix @ matrix
        return np.array(architectures, dtype=np.float64)


class Private:
    """MB of this process alone, after all weights have been read."""

    quantities = ("fitness",)

    def __init__(self, weights, copied):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that they cannot be written
            self.weights = [torch.from_numpy(array.copy() if copied else array) for array in weights]

    def __call__(self, architectures):
        assert all(float(weight.sum()) > 0 for weight in self.weights)
        with open("/proc/self/smaps_rollup") as file:
            private = [int(line.split()[1]) for line in file if line.startswith(("Private_Clean:", "Private_Dirty:"))]
        return np.full((len(architectures), 1), sum(private) * 1024 / 1e6)


def multiplications():
    """Returns how many matrix products take as long as a candidate."""
    fitness = Multiplying(200)
    fitness([(0,)])
    began = time.perf_counter()
    fitness([(0,)])
    return round(200 * SECONDS / (time.perf_counter() - began))


def measure(options):
    candidates = [(index,) for index in range(options.candidates)]
    times = multiplications()
    kinds = {"asleep": (Asleep,), "multiplying": (Multiplying, times)}
    rates = {}
    for kind, (make, *objects) in kinds.items():
        fitness, began = make(*objects), time.perf_counter()
        for candidate in candidates:
            fitness([candidate])
        rates[f"{kind}, in process"] = len(candidates) / (time.perf_counter() - began)
    for actors in options.actors:
        with Pool(evaluators=actors) as pool:
            private = [
                pool.fitness(Private, [np.ones(n // 8) for _ in range(100)], copied, quantities=("fitness",))
                for n, copied in ((1000, False), (1_000_000, False), (1_000_000, True))
            ]
            small, shared, copied = (fitness(candidates)[-8 * actors :].mean() for fitness in private)
            for kind, (make, *objects) in kinds.items():
                fitness = pool.fitness(make, *objects, quantities=("fitness",))
                fitness(candidates[: 4 * actors])
                began = time.perf_counter()
                assert np.array_equal(fitness(candidates), candidates)
                rates[f"{kind}, {actors} actors"] = len(candidates) / (time.perf_counter() - began)
    return {
        "candidates_per_second": rates,
        "private_megabytes_added_per_actor": {"shared": shared - small, "copied": copied - small},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--candidates", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    import ray

    folder = tempfile.mkdtemp(prefix="rn", dir="/tmp")
    try:
        ray.init(
            address="local",
            num_cpus=max(options.actors),  # only counted: the cores are as many as they are
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=500_000_000,
            _temp_dir=folder,
        )
        measured = measure(options)
        ray.shutdown()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(measured))
        return
    print(f"{len(os.sched_getaffinity(0))} cores, {1e3 * SECONDS:g} ms a candidate")
    for name, rate in measured["candidates_per_second"].items():
        print(f"{name:28} {rate:7.1f} candidates/s")
    for name, megabytes in measured["private_megabytes_added_per_actor"].items():
        print(f"100 MB of weights, {name:9} {megabytes:+7.1f} MB of an actor's own")


if __name__ == "__main__":
    main()
