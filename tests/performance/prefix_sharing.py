"""Candidates per second of one-shot accuracy in a chain, with and without sharing prefixes, on a run's own populations.

    raynas run jobs/spos_mobilenet_imagenet.yaml --quick
    python tests/performance/prefix_sharing.py runs/spos_mobilenet_imagenet-quick

Each generation of the run's history is evaluated again, in one process: one by one, and together in the order of their
architectures, in turns. Every row must be the same to the bit.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from rich.console import Console

from raynas.config.run_config import parse_config
from raynas.on_ray.session import on_ray
from raynas.stages import network_evaluation
from raynas.stages.evaluation import evaluating
from raynas.stages.progress import Progress
from raynas.stages.task import make_task

ROUNDS = 3


def main(run: Path) -> None:
    values = json.loads((run / "config.json").read_text())["config"]
    values["search"]["evaluators"] = 0
    config = parse_config(values | {"storage_path": str(run.parent), "name": run.name})
    task = make_task(config)
    generations = defaultdict(list)
    for line in (run / "search/history.jsonl").read_text().splitlines():
        generations[json.loads(line)["generation"]].append(tuple(json.loads(line)["architecture"]))
    together = network_evaluation.TOGETHER
    evaluations = {}
    console = Console(quiet=True)
    with on_ray(config) as backend, Progress(console, "") as progress:
        opened = []
        for most in (1, together):
            network_evaluation.TOGETHER = most
            opened.append(evaluating(task, backend, progress))
            evaluations[most] = opened[-1].__enter__()
        ratios, totals = [], {most: 0.0 for most in evaluations}
        print(f"generation  distinct blocks  one by one  up to {together} together  ratio")
        for generation, population in sorted(generations.items()):
            population.sort()
            seconds: dict[int, list[float]] = {most: [] for most in evaluations}
            rows = {}
            for _ in range(ROUNDS):
                for most, evaluation in evaluations.items():
                    began = time.perf_counter()
                    rows[most] = np.concatenate(list(evaluation.stream(population)))
                    seconds[most].append(time.perf_counter() - began)
            assert np.array_equal(rows[1], rows[together]), "sharing changed a number"
            prefixes = {a[:depth] for a in population for depth in range(1, len(a) + 1)}
            share = len(prefixes) / (len(population) * len(population[0]))
            median = {most: statistics.median(taken) for most, taken in seconds.items()}
            for most in evaluations:
                totals[most] += median[most]
            ratios.append(median[1] / median[together])
            print(
                f"{generation:10}  {100 * share:13.0f} %  {len(population) / median[1]:8.2f}/s  "
                f"{len(population) / median[together]:15.2f}/s  {ratios[-1]:.2f}"
            )
    print(f"all: {totals[1] / totals[together]:.2f} times as many candidates a second, the same rows to the bit")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
