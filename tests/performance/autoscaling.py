"""Draws how a cluster grows and shrinks with a run: its nodes, and who works on them while `raynas run` goes on.

A head without CPUs, and nodes of one CPU that a real autoscaler starts and ends as processes of this machine. Training
is elastic, and the number of evaluators follows the work.

    python tests/performance/autoscaling.py [--picture jobs/pictures/autoscaling.svg] [--json]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))
from raynas.report.drawing_style import style, svg_of
from raynas.report.palette import FAINT, GRID, SERIES
from tests.on_ray.autoscaling_cluster import autoscaling_cluster, watched

IDLE_SECONDS = 6
NODES = 4
RUN = {
    "report": False,
    "algorithm": "spos",
    "space": {"name": "nasbench201", "channels": 8, "cells": 2},
    "data": {"name": "digits", "train_portion": 0.5},
    "train": {"epochs": 40, "workers": [1, 2]},
    "search": {"population": 150, "generations": 2, "evaluation_batch_size": 128},
}
WHO = {"RayTrainWorker": "training worker", "Evaluator": "evaluator"}


def record():
    """Returns the states of the cluster, and when what happened, in seconds since `raynas run` was started."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.yaml"
        file.write_text(yaml.safe_dump({**RUN, "storage_path": folder}))
        run = Path(folder) / "run"
        signs = {"first step": run / "progress.json", "trained": run / "supernet/seed_0/result.json"}
        with autoscaling_cluster({"cpu": ({"CPU": 1}, NODES)}, IDLE_SECONDS) as cluster, watched(cluster) as states:
            began = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "raynas", "run", str(file), "--set", f"address={cluster.address}"],
                env=dict(cluster.environment),
                stdout=sys.stderr,
            )
            marks = {}
            while process.poll() is None:
                for name, sign in signs.items():
                    if name not in marks and sign.exists():
                        marks[name] = time.monotonic() - began
                time.sleep(0.02)
            if process.returncode or len(marks) < len(signs):
                raise SystemExit(f"raynas run ended with {process.returncode} after {marks}")
            while states[-1].nodes:
                time.sleep(0.05)
            time.sleep(1)
    timed = [(state.seconds - began, state) for state in states if state.seconds >= began]
    marks["evaluated"] = max(seconds for seconds, state in timed if state.places("Evaluator"))
    return timed, marks


def measured(states, marks):
    """Returns the seconds that the README names."""

    def first(condition, after=0.0):
        return next(seconds for seconds, state in states if seconds >= after and condition(state))

    asked = first(lambda state: any(state.places("_AutoscalingCoordinatorActor")))
    up = first(lambda state: state.nodes)
    evaluators = first(lambda state: state.places("Evaluator"))
    over = marks["evaluated"]
    return {
        "raynas run to the first node asked for": asked,
        "asked for to the first node up": up - asked,
        "first node up to first step": marks["first step"] - up,
        "training, from its first step": marks["trained"] - marks["first step"],
        "trained to first evaluator asked for": evaluators - marks["trained"],
        "evaluators asked for to their end": over - evaluators,
        "evaluators' end to last node gone": first(lambda state: not state.nodes, after=over) - over,
        "most nodes": max(len(state.nodes) for _, state in states),
    }


def spans(states, present):
    """Returns from when to when each thing was there that `present` names in a state, in order of appearance."""
    found, now = [], {}
    for seconds, state in states:
        there = present(state)
        for thing in [thing for thing in now if thing not in there]:
            found.append((thing, now.pop(thing), seconds))
        for thing in there:
            now.setdefault(thing, seconds)
    return sorted([*found, *((thing, since, states[-1][0]) for thing, since in now.items())], key=lambda span: span[1])


def draw(states, marks):
    """Returns a figure: a lane for each node that came, with who worked on it."""
    nodes = spans(states, lambda state: state.nodes)
    lanes = {node: lane for lane, (node, _, _) in enumerate(nodes)}
    figure, axes = plt.subplots(figsize=(7.6, 0.42 * len(lanes) + 1.4), layout="constrained")
    look = {"node": {"height": 0.74, "color": GRID, "edgecolor": FAINT, "linewidth": 0.8}}
    there = {"node": nodes}
    for (kind, name), color in zip(WHO.items(), SERIES, strict=False):
        look[name] = {"height": 0.42, "color": color}
        there[name] = spans(states, lambda state, kind=kind: set(state.places(kind)) & set(lanes))
    bars = [
        axes.barh(
            [lanes[node] for node, _, _ in of], [b - a for _, a, b in of], left=[a for _, a, _ in of], **look[name]
        )
        for name, of in there.items()
    ]
    last = max(until for _, _, until in nodes)
    begins = {
        "starting": 0.0,
        "training": marks["first step"],
        "evaluating": marks["trained"],
        "idle": marks["evaluated"],
    }
    for (name, since), until in zip(begins.items(), [*list(begins.values())[1:], last], strict=True):
        axes.axvline(until, color=FAINT, linewidth=0.8, linestyle=(0, (3, 2)))
        axes.text((since + until) / 2, -0.6, name, ha="center", va="bottom")
    axes.set_xlim(0, 1.01 * last)
    axes.set_ylim(len(lanes) - 0.5, -0.55)
    axes.set_yticks(range(len(lanes)), [f"node {lane + 1}" for lane in lanes.values()])
    axes.grid(False)
    axes.set_xlabel("seconds since raynas run was started")
    figure.legend(bars, there, loc="outside lower center", ncols=len(bars))
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, help="where to draw it")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    states, marks = record()
    if options.picture:
        with style():
            options.picture.write_text(svg_of(draw(states, marks)))
    figures = measured(states, marks)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:40} {value:7.1f}")


if __name__ == "__main__":
    main()
