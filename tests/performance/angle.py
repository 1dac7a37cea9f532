"""Times the angle of NAS-Bench-201: the table, the whole space, and a search of 20 x 100, on one core.

`paths` is the definition carried out: weights of every live path concatenated in float64, one architecture at a time.

    python tests/performance/angle.py [--channels 16 --cells 5 --rounds 7] [--json]
"""

import argparse
import json
import statistics
import time

import numpy as np
import torch

from raynas.fitness.angle import Angle, angle_table
from raynas.search_space import all_architectures
from raynas.spaces.nasbench201 import NONE, OPERATIONS, POOL, SKIP, NasBench201
from tests.search.searchers import make_evolution

PATHS = ((3,), (1, 5), (0, 4), (0, 2, 5))  # edges of each path from input to output


def angle_by_paths(space, initial, trained, architecture):
    vectors = []
    for weights in (initial, trained):
        parts = []
        for path in PATHS:
            if any(architecture[edge] == NONE for edge in path):
                continue
            for cell in range(3 * space.cells):
                channels = space.channels * 2 ** (cell // space.cells)
                for edge in path:
                    k = architecture[edge]
                    if k == POOL:
                        parts.append(torch.full((channels * channels * 9,), 1 / 9, dtype=torch.float64))
                    elif k != SKIP:
                        parts.append(weights[f"cells.{cell}.edges.{edge}.{OPERATIONS[k]}.conv.weight"].flatten())
        vectors.append(torch.cat(parts) if parts else torch.zeros(0))
    if not len(vectors[0]):
        return 0.0
    before, after = (vector / vector.norm() for vector in vectors)
    return float(2 * torch.atan2((before - after).norm(), (before + after).norm()))  # precise at small angles too


def median_seconds(function, rounds):
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        function()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("channels", 16), ("cells", 5), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    space = NasBench201(options.channels, options.cells)
    initial, trained = ({k: v.double() for k, v in space.build_supernet(10).state_dict().items()} for _ in range(2))
    everything = all_architectures(space)
    table = angle_table(space, initial, trained, "paper")
    angle = Angle(space, [table])
    some = [tuple(row) for row in everything[:: len(everything) // 50].tolist()]

    def search():
        searcher = make_evolution(space, seed=0)
        while architectures := searcher.ask():
            searcher.tell(architectures, angle(architectures))

    error = np.abs(angle(some) - [angle_by_paths(space, initial, trained, a) for a in some]).max()
    seconds = {
        "table": median_seconds(lambda: angle_table(space, initial, trained, "paper"), options.rounds),
        "all 15,625 architectures": median_seconds(lambda: angle.angles(everything), options.rounds),
        "search of 20 x 100": median_seconds(search, options.rounds),
        "one architecture by paths": median_seconds(
            lambda: [angle_by_paths(space, initial, trained, a) for a in some], options.rounds
        )
        / len(some),
    }
    if options.json:
        print(json.dumps({"seconds": seconds, "largest_difference_rad": float(error)}))
        return
    for name, value in seconds.items():
        print(f"{name:28} {1e3 * value:9.3f} ms")
    per_architecture = seconds["all 15,625 architectures"] / len(everything)
    print(f"closed form: {1e6 * per_architecture:.2f} us an architecture, ", end="")
    print(f"{seconds['one architecture by paths'] / per_architecture:,.0f} times as fast; ", end="")
    print(f"largest difference {error:.1e} rad over {len(some)} architectures")


if __name__ == "__main__":
    main()
