"""The second stage of a run: propose architectures, judge them, keep the history and the best."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raynas.fitness.angle import Angle, angle_table
from raynas.orchestration.checkpoint import DamagedCheckpoint, epoch_folder, load_checkpoint
from raynas.orchestration.run_folder import append_text, read_json, seed_folder, write_json, write_text
from raynas.orchestration.task import Task
from raynas.orchestration.train_supernet import is_trained
from raynas.search import SEARCHERS, Limits, Searcher, order
from raynas.search_space import Architecture, as_array


def search(task: Task, folder: Path) -> dict[str, Any]:
    """Returns the search's result, from its file if the search is done, else after searching, or searching on.

    Each judged architecture is a line of ``search/history.jsonl``. A search that was killed asks its searcher for the
    recorded generations again, tells it the recorded fitness, and goes on from there.

    Raises:
        ValueError: If the supernets are not trained, limits admit nothing, or the history is of another search.
    """
    file = folder / "search" / "result.json"
    if file.exists():
        return read_json(file)
    began = time.perf_counter()
    fitness = _angle(task, folder)
    config = task.config.search
    searcher = make_searcher(task)
    history = folder / "search" / "history.jsonl"
    recorded = _read_history(history)
    lines: list[dict[str, Any]] = []
    generation, appending = 0, False
    while architectures := searcher.ask():
        old = recorded.get(generation, [])
        if [tuple(line["architecture"]) for line in old] != architectures[: len(old)]:
            raise ValueError(
                f"{history} is not the history of this search: generation {generation} differs; remove the file to "
                "search anew"
            )
        if len(old) == len(architectures):
            lines += old
        else:  # new, or the part of it that a disk took before the end
            if not appending:
                write_text(history, "".join(json.dumps(line) + "\n" for line in lines))
                appending = True
            new = _judge(task, fitness, architectures)
            seconds = round(time.perf_counter() - began, 6)
            new = [{"generation": generation, **line, "seconds": seconds} for line in new]
            append_text(history, "".join(json.dumps(line) + "\n" for line in new))
            lines += new
        searcher.tell(architectures, np.array([line["fitness"] for line in lines[-len(architectures) :]]))
        generation += 1
    ranking = order([tuple(line["architecture"]) for line in lines], np.array([line["fitness"] for line in lines]))
    # Of cells that compute the same function only the first is listed; the order of equals is that of `order`.
    firsts: dict[Architecture, dict[str, Any]] = {}
    for i in ranking:
        firsts.setdefault(task.space.canonical(tuple(lines[i]["architecture"])), lines[i])
    best = list(firsts.values())[: config.top]
    result = {
        "fitness": config.fitness,
        "angle": config.angle,
        "base_seeds": task.config.base_seeds,
        "evaluations": len(lines),
        "functions": len(firsts),
        "generations": generation,
        "seconds": round(time.perf_counter() - began, 6),
        "best": [{key: line[key] for key in line if key not in ("generation", "seconds")} for line in best],
    }
    write_json(file, result)
    return result


def make_searcher(task: Task) -> Searcher:
    """Returns the searcher of a run, at its beginning.

    Raises:
        ValueError: If its settings do not go together. Limits that admit nothing show when it is asked.
    """
    config = task.config.search
    limits = config.limits.model_dump(exclude_none=True)
    assert config.name is not None
    return SEARCHERS[config.name](
        task.space, seed=task.config.seed, limits=Limits(task.costs, **limits) if limits else None, **config.arguments
    )


def _judge(task: Task, fitness: Angle, architectures: Sequence[Architecture]) -> list[dict[str, Any]]:
    """Returns what is recorded of each architecture: itself, its fitness, the spread of that, and its costs."""
    costs = task.costs.total(as_array(architectures)).tolist()
    return [
        {
            "architecture": list(architecture),
            "description": task.space.describe(architecture),
            "fitness": value,
            "spread": spread,
            **dict(zip(task.costs.quantities, cost, strict=True)),
        }
        for architecture, value, spread, cost in zip(
            architectures, fitness(architectures).tolist(), fitness.spread(architectures).tolist(), costs, strict=True
        )
    ]


def _angle(task: Task, folder: Path) -> Angle:
    """Returns the angle of the run's supernets, the mean over the base seeds."""
    tables = []
    for base_seed in task.config.base_seeds:
        place, about = seed_folder(folder, base_seed), task.about(base_seed)
        if not is_trained(folder, base_seed):
            raise ValueError(
                f"{folder} holds no trained supernet of base seed {base_seed}; run `raynas train` with this file first"
            )
        try:
            initial = load_checkpoint(place / "initial", about)
            trained = load_checkpoint(epoch_folder(place, task.config.train.epochs), about)
        except DamagedCheckpoint as error:
            raise DamagedCheckpoint(
                f"{error}; remove {place / 'result.json'} to train again from the checkpoint before it"
            ) from error
        tables.append(angle_table(task.space, initial.weights, trained.weights, task.config.search.angle))
    return Angle(task.space, tables)


def _read_history(history: Path) -> dict[int, list[dict[str, Any]]]:
    """Returns the recorded lines by generation; a last line that was not written to its end is left out.

    Raises:
        ValueError: If a line is not JSON.
    """
    by_generation: dict[int, list[dict[str, Any]]] = defaultdict(list)
    text = history.read_text(encoding="utf-8") if history.exists() else ""
    for number, text_line in enumerate(text[: text.rfind("\n") + 1].splitlines(), start=1):
        try:
            line = json.loads(text_line)
        except ValueError as error:
            raise ValueError(f"{history} is damaged at line {number}; remove the file to search anew") from error
        by_generation[line["generation"]].append(line)
    return by_generation
