"""A fitness held against the truth: score a whole space, or a sample of it, and say how well that ranks it."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from raynas.fitness import mean_of
from raynas.fitness.angle import Angle, Displacement
from raynas.fitness.rank_correlation import rank_statistics
from raynas.fitness.remarks import accuracy_remarks, ranking_remarks
from raynas.records.cells import csv_cell
from raynas.search_space import Architecture, all_architectures, as_array, sample
from raynas.stages.judge import Judge, baseline, evaluation_count, fitness_name, label, runs_networks
from raynas.stages.progress import Progress
from raynas.stages.search import describe_all
from raynas.stages.task import Task
from raynas.stages.train_supernet import ANGLE_TABLES, read_angle_tables
from raynas.storage.mirror import Mirror
from raynas.storage.run_folder import append_text, seed_folder, whole_lines, write_json, write_text

SAMPLE, WHOLE = 1_000, 100_000
"""Architectures ranked by default: so many by a fitness that runs networks; by others all, of a space up to this."""

BOOTSTRAP = 200
"""Resamples behind an interval."""

BY_EPOCH: dict[str, type[Angle] | type[Displacement]] = {"angle": Angle, "displacement": Displacement}
"""Fitnesses that are known after every epoch of training."""

BASELINES = ("num_parameters", "multiply_adds", "random")


def rank(
    task: Task,
    mirror: Mirror,
    judging: Callable[[], AbstractContextManager[Judge]],
    progress: Progress,
    *,
    size: int | None = None,
    every_epoch: bool = False,
) -> dict[str, Any]:
    """Returns how well the run's fitness ranks the space, beside the baselines, and leaves it in ``rank/``.

    Args:
        task: Space and images.
        mirror: The run's folder, and what carries its files.
        judging: Opens the judge.
        progress: Told how far it is.
        size: How many architectures to rank, the same ones for every run; by default `SAMPLE` or the whole space.
        every_epoch: Whether to rank by angle or displacement after every epoch of training too.

    Raises:
        ValueError: If something that this needs is missing (trained supernets, a table for `every_epoch`), or there is
            nothing to order in a sample of one.
        RuntimeError: If an evaluation fails.
    """
    search, table, folder = task.config.search, task.table, mirror.folder
    if size is not None and size < 2:
        raise ValueError(f"--sample: expected 2 or more, got {size}")
    if every_epoch and search.fitness not in BY_EPOCH:
        raise ValueError(
            f"--every-epoch: the weights of every epoch are not kept, only what {' and '.join(BY_EPOCH)} need, got "
            f"search.fitness: {fitness_name(search)}; give --set search.fitness=angle"
        )
    if every_epoch and table is None:
        raise ValueError("--every-epoch: needs the truth to rank against; give --set benchmark.path=FILE")
    began = time.perf_counter()
    architectures = _chosen(task, size)
    with judging() as judge:
        rows = _scores(task, mirror, judge, architectures, progress)
    fitness = rows[:, 0]
    costs = task.costs.total(as_array(architectures))
    ranked = {fitness_name(search): fitness} | {name: baseline(task, name)(architectures)[:, 0] for name in BASELINES}
    result: dict[str, Any] = {
        "label": label(search),
        "fitness": "+".join(search.fitnesses),
        "table": table.path.name if table else None,
        "column": table.column if table else None,
        "cells": len(architectures),
        "space": task.space.num_architectures,
        "known": len(table) if table else None,
        "base_seeds": task.config.base_seeds,
        "bootstrap": BOOTSTRAP,
    }
    truth = None
    if table is not None:
        truth = table.accuracies(architectures)
        sizes = costs[:, task.costs.quantities.index("num_parameters")]
        result["rows"] = [
            {"name": name, **asdict(rank_statistics(values, truth, sizes=sizes, bootstrap=BOOTSTRAP))}
            for name, values in ranked.items()
        ]
        if every_epoch:
            result["epochs"] = list(_by_epoch(task, architectures, truth, progress))
    else:
        row: dict[str, Any] = {"name": fitness_name(search)}
        for quantity, key in (("num_parameters", "tau_parameters"), ("multiply_adds", "tau_multiply_adds")):
            cost = costs[:, task.costs.quantities.index(quantity)]
            row[key] = rank_statistics(fitness, cost, bootstrap=0).tau
        result["rows"] = [row]
    lines = describe_all(task, architectures, judge.quantities, rows)
    result["remarks"] = ranking_remarks(fitness, truth, fitness_name(search))
    best = int(np.argmax(fitness))
    if "accuracy" in lines[best]:
        result["remarks"] += accuracy_remarks(
            [lines[best]["accuracy"]], task.num_categories, evaluation_count(task), "one-shot accuracy"
        )
    if truth is not None:
        result["remarks"] += accuracy_remarks(
            [float(truth.max())], task.dataset.num_classes, None, "benchmark accuracy"
        )
    mirror.check()
    _write_scores(folder / "rank" / f"{label(search)}.csv", lines, truth)
    result["seconds"] = round(time.perf_counter() - began, 3)
    write_json(folder / "rank" / f"{label(search)}.json", result)
    mirror.push("rank")
    return result


def _chosen(task: Task, size: int | None) -> list[Architecture]:
    """Returns the architectures to rank, in lexicographic order; a sample is the same one for every run."""
    space, table = task.space, task.table
    if size is None and runs_networks(task.config.search):
        size = SAMPLE
    if table is None and space.size > WHOLE:
        rng = np.random.default_rng(0)
        drawn = {sample(space, rng) for _ in range(size or WHOLE)}
        return sorted(drawn)
    every = table.architectures if table is not None else all_architectures(space)
    if size is not None and size < len(every):
        every = every[np.sort(np.random.default_rng(0).permutation(len(every))[:size])]
    return [tuple(architecture) for architecture in every.tolist()]


def _scores(
    task: Task, mirror: Mirror, judge: Judge, architectures: Sequence[Architecture], progress: Progress
) -> np.ndarray:
    """Returns what each architecture is worth, ``(n, len(judge.quantities))``.

    Scores of networks take time: they are kept as they come, and a second call with the same settings reads them.
    """
    search = task.config.search
    if not runs_networks(search):
        return np.concatenate(list(judge.stream(architectures)))
    file = mirror.folder / "rank" / f"{label(search)}.scores.jsonl"
    about = {
        "quantities": list(judge.quantities),
        "architectures": len(architectures),
        "base_seeds": task.config.base_seeds,
        **{
            key: getattr(search, key)
            for key in (
                "fitness",
                "angle",
                "angle_epoch",
                "calibration_images",
                "evaluation_images",
                "evaluation_batch_size",
            )
        },
    }
    known = _read_scores(file, about)[: len(architectures)]
    text = "".join(f"{json.dumps(line)}\n" for line in (about, *known))
    write_text(file, text)
    for rows in judge.stream(architectures[len(known) :]) if len(known) < len(architectures) else ():
        mirror.check()
        append_text(file, "".join(f"{json.dumps(row)}\n" for row in rows.tolist()))
        mirror.push("rank", every=10)
        known += rows.tolist()
        best = max(row[0] for row in known)
        figures = f"{len(known):,} of {len(architectures):,}  best {fitness_name(search)} {best:.5g}"
        progress.show("judging architectures", len(known), len(architectures), figures)
    return np.array(known)


def _read_scores(file: Path, about: dict[str, Any]) -> list[list[float]]:
    """Returns the scores that an earlier call left under the same settings, up to the first line that is damaged."""
    lines = whole_lines(file)
    if not lines or lines[0] != json.dumps(about):
        return []
    scores: list[list[float]] = []
    for line in lines[1:]:
        try:
            row = json.loads(line)
        except ValueError:
            break
        whole = isinstance(row, list) and len(row) == len(about["quantities"])
        if not whole or not all(isinstance(value, int | float) for value in row):
            break
        scores.append(row)
    return scores


def _by_epoch(
    task: Task, architectures: Sequence[Architecture], truth: np.ndarray, progress: Progress
) -> Iterator[dict[str, Any]]:
    """Yields how well the angle ranks after each epoch, from the sums that training recorded.

    Raises:
        ValueError: If training recorded none.
    """
    definition = task.config.search.angle
    files = [seed_folder(task.config.supernets, seed) / ANGLE_TABLES for seed in task.config.base_seeds]
    make = BY_EPOCH[task.config.search.fitnesses[0]]
    tables = [read_angle_tables(file, definition) for file in files]
    epochs = sorted(set.intersection(*map(set, tables)))
    if not epochs:
        raise ValueError(f"--every-epoch: {files[0]} holds no {definition} angle; train this run anew")
    for epoch in epochs:
        fitness = mean_of([make(task.space, of_seed[epoch]) for of_seed in tables])(architectures)[:, 0]
        statistics = rank_statistics(fitness, truth, bootstrap=0)
        progress.show("ranking every epoch", epoch, epochs[-1], f"tau {statistics.tau or 0.0:.3f}")
        yield {"epoch": epoch, "tau": statistics.tau, "rho": statistics.rho, "top": statistics.top}


def _write_scores(file: Path, lines: Sequence[dict[str, Any]], truth: np.ndarray | None) -> None:
    """Writes one row for each architecture."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*lines[0], "true"])
    for number, line in enumerate(lines):
        joined = "-".join(map(str, line["architecture"]))
        true = "" if truth is None else truth[number].item()
        writer.writerow([joined, *map(csv_cell, list(line.values())[1:]), true])
    write_text(file, out.getvalue())
