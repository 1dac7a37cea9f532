"""Measures what limits cost a search: random architectures and evolution's children, at ever tighter limits.

For each range of multiply-adds: the share of architectures it admits; the milliseconds for a random architecture by
rejection alone (from that share) and now; and how many of the children wanted are found within `max_tries` draws each,
by rejection alone and with the rest brought in. Parents are those next to the upper limit, as where fitness grows with
cost.

    python tests/performance/limits.py [--draws 20000] [--generations 5]
"""

import argparse
import time

import numpy as np

from raynas.search.distinct import draw_distinct, sample_distinct
from raynas.search.limits import Limits
from raynas.search_space import as_array, crossover, mutate, sample
from raynas.spaces.darts import Darts
from raynas.spaces.mobilenet import MobileNet
from raynas.supernet.costs import cost_table

SPACES = {
    "darts": (Darts(channels=48, cells=14, stem="imagenet"), 600e6),
    "mobilenet": (MobileNet(), 475e6),
}
WANTED, TRIES = 25, 10


class Rejection(Limits):
    """The same limits, under which nothing can be brought in."""

    def excess(self, architectures):
        return np.full(len(architectures), np.inf)


def children(space, kind, limits, parents, rng):
    """Returns how many of the children wanted are found, and the seconds it takes."""

    def parent():
        return parents[int(rng.integers(len(parents)))]

    draws = {
        "mutation": lambda: mutate(space, parent(), 0.1, rng),
        "crossover": lambda: crossover(space, parent(), parent(), rng),
    }
    began = time.process_time()
    found = draw_distinct(space, rng, draws[kind], WANTED, TRIES * WANTED, set(parents), limits)
    return len(found), time.process_time() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--generations", type=int, default=5)
    options = parser.parse_args()
    for name, (space, usual) in SPACES.items():
        costs = cost_table(space, 224, 1000)
        rng = np.random.default_rng(0)
        began = time.process_time()
        drawn = costs.total(as_array([sample(space, rng) for _ in range(options.draws)]))
        draw_ms = 1e3 * (time.process_time() - began) / options.draws
        multiply_adds = drawn[:, costs.quantities.index("multiply_adds")]
        print(f"{name}: {space.size:.2g} architectures, sampled ones of {multiply_adds.min():.3g} ", end="")
        print(f"to {multiply_adds.max():.3g} multiply-adds, {draw_ms:.3f} ms a draw")
        print(f"{'multiply-adds':>19} {'admitted':>9} | random, ms: {'rejection':>9} {'now':>6}", end="")
        print("".join(f" | {kind}: rejection    now     ms" for kind in ("mutation", "crossover")))
        tails = np.quantile(multiply_adds, [0.5, 0.1, 0.01, 0.001]).tolist()
        for low, high in [*((0, bound) for bound in (*tails, usual)), (0.99 * usual, usual), (0.998 * usual, usual)]:
            bounds = {"min_multiply_adds": low, "max_multiply_adds": high}
            limits, rejection = Limits(costs, **bounds), Rejection(costs, **bounds)
            admitted = ((low <= multiply_adds) & (multiply_adds <= high)).mean()
            began = time.process_time()
            some = sample_distinct(space, rng, 200, set(), limits)
            now_ms = 1e3 * (time.process_time() - began) / len(some)
            parents = [some[i] for i in np.argsort(-costs.total(as_array(some))[:, 1])[:10]]
            print(f"{low / 1e6:7.1f}e6-{high / 1e6:.1f}e6 {100 * admitted:7.2f} % |", end="")
            print(f"{draw_ms / admitted if admitted else np.inf:22.2f} {now_ms:6.2f}", end="")
            for kind in ("mutation", "crossover"):
                before = [children(space, kind, rejection, parents, rng)[0] for _ in range(options.generations)]
                now = [children(space, kind, limits, parents, rng) for _ in range(options.generations)]
                count, seconds = map(sum, zip(*now, strict=True))
                wanted = WANTED * options.generations
                shares = f"{100 * sum(before) / wanted:.0f} %  {100 * count / wanted:3.0f} %"
                print(f" | {shares:>{len(kind) + 18}} {1e3 * seconds / count:6.2f}", end="")
            print()


if __name__ == "__main__":
    main()
