"""How far evolution by angle stays behind the best: the exact optimum of a chain, the best known of another space.

    python tests/performance/evolution_gap.py runs/rlnas_darts_cifar10-quick

The supernet of a trained run is searched anew under the run's limits: 20 times by evolution with the run's sizes, five
times by evolution with five times the population and the generations, and those continued by taking the best of all
changes of one or two choices until none is better. A chain is searched exactly too.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np

from raynas.capabilities import is_chain
from raynas.config.run_config import parse_config
from raynas.fitness.angle import Angle
from raynas.search import EvolutionOptions, Limits
from raynas.search_space import as_array
from raynas.stages.context import RunContext
from raynas.stages.task import make_task
from tests.search.searchers import make_evolution, make_exact_angle

SEEDS, LONG, LARGER = 20, 5, 5


def evolve(space, angle, limits, seed, settings):
    searcher = make_evolution(space, seed=seed, limits=limits, **settings)
    best = (-1.0, ())
    while architectures := searcher.ask():
        fitness = angle.angles(as_array(architectures))
        searcher.tell(architectures, fitness)
        top = int(fitness.argmax())
        best = max(best, (float(fitness[top]), architectures[top]))
    return best


def climb(space, angle, limits, start):
    """Returns the best angle that changes of one or two choices lead to, repaired and within the limits."""
    value, architecture = start
    rng = np.random.default_rng(0)
    sizes = [len(choice.candidates) for choice in space.choices]
    singles = [(i, k) for i, size in enumerate(sizes) for k in range(size)]
    while True:
        near = set()
        for first, second in itertools.combinations(singles, 2):
            changed = list(architecture)
            for i, k in (first, second):
                changed[i] = k
            if space.repair(tuple(changed), rng) == tuple(changed):
                near.add(tuple(changed))
        neighbours = as_array(sorted(near))
        if limits is not None:
            neighbours = neighbours[limits.admits(neighbours)]
        angles = angle.angles(neighbours)
        if not len(angles) or angles.max() <= value:
            return value
        value, architecture = float(angles.max()), tuple(neighbours[angles.argmax()].tolist())


def main(run: Path) -> None:
    config = parse_config(
        json.loads((run / "config.json").read_text())["config"] | {"storage_path": str(run.parent), "name": run.name}
    )
    task = make_task(config)
    space, table = task.space, RunContext(task).angle_sums(task.config.base_seeds[0])
    angle = Angle(space, table)
    bounds = config.search.limits.model_dump(exclude_none=True)
    limits = Limits(task.costs, **bounds) if bounds else None
    settings = config.search.options_of(EvolutionOptions).model_dump(include=set(EvolutionOptions.model_fields))
    began = time.perf_counter()
    short = np.array([evolve(space, angle, limits, seed, settings)[0] for seed in range(SEEDS)])
    per_search = (time.perf_counter() - began) / SEEDS
    larger = settings | {
        key: LARGER * settings[key] for key in ("population", "generations", "select", "mutations", "crossovers")
    }
    began = time.perf_counter()
    long = [evolve(space, angle, limits, 1000 + seed, larger) for seed in range(LONG)]
    per_long = (time.perf_counter() - began) / LONG
    climbed = [climb(space, angle, limits, best) for best in long]
    best_known = max(short.max(), *climbed)
    lines = [
        ("evolution, the run's sizes", short, per_search),
        (f"evolution, {LARGER} times the sizes", np.array([value for value, _ in long]), per_long),
        ("the same, then all changes of two choices", np.array(climbed), float("nan")),
    ]
    if is_chain(space):
        began = time.perf_counter()
        exact = make_exact_angle(space, table=table, limits=limits, top=1)
        best_known = angle.angles(as_array(exact.ask()))[0]
        lines.append(("exact", np.array([best_known]), time.perf_counter() - began))
        print(f"missed by the exact search: {exact.missed} rad; architectures {space.size:.3g}; limits {bounds}")
    print(f"{'angle, rad':44} {'mean':>9} {'worst':>9} {'best':>9} {'mean gap':>9} {'found':>6} {'seconds':>8}")
    for name, values, seconds in lines:
        gap = best_known - values.mean()
        found = int((values >= best_known - 1e-12).sum())
        print(
            f"{name:44} {values.mean():9.5f} {values.min():9.5f} {values.max():9.5f} {gap:9.5f} "
            f"{found:3}/{len(values):<2} {seconds:8.2f}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
