"""The second stage of a run: propose architectures, judge them, keep the history and the best."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from raynas.fitness.angle import SUMS
from raynas.fitness.remarks import accuracy_remarks, ranking_remarks
from raynas.messages import echo, shortened
from raynas.search import SEARCHERS, ExactAngle, Limits, Pareto, RandomSearch, Searcher, order
from raynas.search.alphas import evenly
from raynas.search.pareto import front, hypervolumes
from raynas.search_space import AdditiveTable, Architecture, as_array
from raynas.stages.judge import FROM_ALPHAS, Judge, angle_sums, evaluation_count, fitness_name, trained_alphas
from raynas.stages.progress import Progress, time_left
from raynas.stages.task import Task, as_searched
from raynas.storage.mirror import Mirror
from raynas.storage.run_folder import (
    NUMBER,
    Kind,
    append_text,
    lacking,
    read_json,
    whole_lines,
    write_json,
    write_text,
)

Result: TypeAlias = dict[str, Any]
"""What ``search/result.json`` holds."""


def search(
    task: Task, mirror: Mirror, judging: Callable[[], AbstractContextManager[Judge]], progress: Progress
) -> Result:
    """Returns the search's result, from its file if the search is done, else after searching, or searching on.

    Each judged architecture is a line of ``search/history.jsonl``, written as soon as it is judged. A search that was
    killed asks its searcher for the recorded generations again, tells it the recorded fitness, and goes on from there.

    Args:
        task: Space and images.
        mirror: The run's folder, and what carries its files.
        judging: Opens the judge, if there is anything left to judge.
        progress: Told how far the search is.

    Raises:
        ValueError: If the supernets are not trained, limits admit nothing, or the history is of another search.
        RuntimeError: If an evaluation fails.
    """
    folder = mirror.folder
    file = folder / "search" / "result.json"
    if file.exists():
        return _with_truth(as_searched(task), file, _read_result(as_searched(task), file))
    began = time.perf_counter()
    config = task.config.search
    searcher = make_searcher(task)
    task = as_searched(task)
    history = folder / "search" / "history.jsonl"
    recorded = _read_history(history)
    lines: list[dict[str, Any]] = []
    generation, judged_here, appending, best = 0, 0, False, -math.inf
    planned = {
        "exhaustive": task.space.size,
        "exact_angle": config.top,
        "derive": len(task.config.base_seeds),
    }.get(config.name or "", config.population * config.generations)
    generations = math.ceil(planned / config.population)
    with judging() as judge:
        while asked := searcher.ask():
            architectures = sorted(asked)  # neighbours begin alike, which judging a chain makes use of
            old = recorded.get(generation, [])
            if [tuple(line["architecture"]) for line in old] != architectures[: len(old)]:
                raise ValueError(
                    f"{history} is not the history of this search: generation {generation} differs; remove the file "
                    "to search anew"
                )
            lines += old
            best = max([best, *(line["fitness"] for line in old)])
            left = architectures[len(old) :]
            if left and not appending:  # what was not written to its end is dropped
                write_text(history, "".join(json.dumps(line) + "\n" for line in lines))
                appending = True
            for rows in judge.stream(left) if left else ():
                seconds = round(time.perf_counter() - began, 6)
                judged, left = left[: len(rows)], left[len(rows) :]
                new = [
                    {"generation": generation, **line, "seconds": seconds}
                    for line in describe_all(task, judged, judge.quantities, rows)
                ]
                mirror.check()
                append_text(history, "".join(json.dumps(line) + "\n" for line in new))
                mirror.push("search", every=10)
                lines += new
                best = max(best, *(line["fitness"] for line in new))
                progress.show(
                    "judging architectures",
                    len(lines),
                    planned,
                    f"generation {generation + 1}  {len(lines):,} judged  best {fitness_name(config)} {best:.5g}",
                )
            of_generation = zip(architectures, lines[-len(architectures) :], strict=True)
            fitness = {architecture: line["fitness"] for architecture, line in of_generation}
            searcher.tell(asked, np.array([fitness[architecture] for architecture in asked]))
            generation += 1
            if len(old) < len(architectures):
                judged_here += len(architectures) - len(old)
                seconds_left = (time.perf_counter() - began) / judged_here * (planned - len(lines))
                progress.milestone(
                    f"generation {generation}/{generations}  {len(lines):,} judged  best {fitness_name(config)} "
                    f"{best:.5g}" + (f"  {time_left(seconds_left)}" if generation < generations else "")
                )
    ranking = order([tuple(line["architecture"]) for line in lines], np.array([line["fitness"] for line in lines]))
    # Of cells that compute the same function only the first is listed; the order of equals is that of `order`.
    firsts: dict[Architecture, dict[str, Any]] = {}
    for i in ranking:
        firsts.setdefault(task.space.canonical(tuple(lines[i]["architecture"])), lines[i])
    listed = list(firsts.values())[: config.top]
    result = {
        "fitness": "+".join(config.fitnesses),
        "name": fitness_name(config),
        "base_seeds": task.config.base_seeds,
        "evaluations": len(lines),
        "functions": len(firsts),
        "generations": generation,
        "seconds": round(time.perf_counter() - began, 6),
        **_of_searcher(task, searcher, lines),
        "best": [_best(task, line) for line in listed],
    }
    result["remarks"] = _remarks(task, listed)
    write_json(file, result)
    return _with_truth(task, file, result)


def _of_searcher(task: Task, searcher: Searcher, lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns what only some searchers have to say: how exact they are; the front, and how it advanced."""
    if isinstance(searcher, ExactAngle):
        return {"missed": searcher.missed}
    if not isinstance(searcher, Pareto):
        return {}
    points = np.array([[line["fitness"], *(line[name] for name in searcher.objectives)] for line in lines])
    on_front = sorted(np.flatnonzero(front(points)).tolist(), key=lambda at: (*points[at, 1:], -points[at, 0]))
    return {
        "objectives": list(searcher.objectives),
        "hypervolumes": hypervolumes(points, [line["generation"] for line in lines]),
        "front": [_best(task, lines[at]) for at in on_front],
    }


def _remarks(task: Task, listed: Sequence[dict[str, Any]]) -> list[str]:
    """Returns why the numbers of the best architectures say little, a sentence each; none where they do say much."""
    accuracies = [line["accuracy"] for line in listed if "accuracy" in line]
    remarks = accuracy_remarks(accuracies, task.num_categories, evaluation_count(task), "one-shot accuracy")
    return remarks + ranking_remarks(np.array([line["fitness"] for line in listed]), name="fitness of the best")


def _with_truth(task: Task, file: Path, result: Result) -> Result:
    """Returns the result with the true accuracy of the best, in percent, None where the table does not know it.

    Where the run file names a table, the accuracies are written down too; without one, those written before stay.
    """
    table = task.table
    if table is None:
        return result
    told = {**result, "column": table.column}
    for listed in ("best", "front"):
        if listed in result:
            known = table.accuracies([tuple(line["architecture"]) for line in result[listed]]).tolist()
            told[listed] = [
                {**line, "true": None if math.isnan(true) else true}
                for line, true in zip(result[listed], known, strict=True)
            ]
    if told != result:
        write_json(file, told)
    return told


def make_searcher(task: Task) -> Searcher:
    """Returns the searcher of a run, at its beginning.

    Raises:
        ValueError: If its settings do not go together, or it needs supernets that are not trained. Limits that admit
            nothing show when it is asked.
    """
    config = task.config.search
    arguments = config.arguments
    if config.name == "pareto":
        arguments["costs"] = task.costs
    if config.name == "exact_angle":
        (arguments["table"],) = angle_sums(task)
    if config.name in FROM_ALPHAS:
        arguments["trained"] = trained_alphas(task)
    return _build(task, arguments)


def check_search(task: Task) -> None:
    """Says before anything is trained what would keep the run's search from beginning.

    Raises:
        ValueError: If its settings do not go together, or limits admit nothing.
    """
    config = task.config.search
    if config.name == "exact_angle":
        nothing = np.zeros((len(task.space.choices), max(len(c.candidates) for c in task.space.choices), len(SUMS)))
        _build(task, {**config.arguments, "table": AdditiveTable(SUMS, nothing[0, 0], nothing)})
    elif config.name in FROM_ALPHAS:
        _build(task, {**config.arguments, "trained": [evenly(task.space)]})
    else:
        make_searcher(task).ask()
        return
    RandomSearch(task.space, seed=0, population=1, generations=1, limits=_limits(task)).ask()


def _build(task: Task, arguments: dict[str, Any]) -> Searcher:
    name = task.config.search.name
    assert name is not None
    return SEARCHERS[name](task.space, seed=task.config.seed, limits=_limits(task), **arguments)


def _limits(task: Task) -> Limits | None:
    """Returns the limits that the run file sets, None if it sets none."""
    limits = task.config.search.limits.model_dump(exclude_none=True)
    return Limits(task.costs, **limits) if limits else None


def describe_all(
    task: Task, architectures: Sequence[Architecture], quantities: Sequence[str], rows: np.ndarray
) -> list[dict[str, Any]]:
    """Returns what is recorded of each architecture: itself, what it is worth, and what it costs."""
    costs = task.costs.total(as_array(architectures))
    columns = [
        column if name == "latency" else column.astype(np.int64)
        for name, column in zip(task.costs.quantities, costs.T, strict=True)
    ]
    by_architecture = zip(*(column.tolist() for column in columns), strict=True)
    return [
        {
            "architecture": list(architecture),
            "description": task.space.describe(architecture),
            **dict(zip(quantities, row, strict=True)),
            **dict(zip(task.costs.quantities, cost, strict=True)),
        }
        for architecture, row, cost in zip(architectures, rows.tolist(), by_architecture, strict=True)
    ]


def _best(task: Task, line: dict[str, Any]) -> dict[str, Any]:
    """Returns what the result says of an architecture."""
    drawing = task.space.drawing(tuple(line["architecture"]))
    return {**{key: line[key] for key in line if key not in ("generation", "seconds")}, "drawing": drawing}


def _read_result(task: Task, file: Path) -> Result:
    """Returns what a search left.

    Raises:
        ValueError: If the file is damaged.
    """
    remedy = "remove it to search again from the history beside it"
    keys: dict[str, Kind] = {"fitness": str, "name": str, "evaluations": int, "functions": int, "seconds": NUMBER}
    result: Result = read_json(file, {**keys, "best": list}, remedy)
    for listed in ("best", "front"):
        for number, line in enumerate(result.get(listed) or []):
            damage = lacking(line, {"architecture": list, "description": str, "fitness": NUMBER})
            if damage is None and not _is_architecture(task, line["architecture"]):
                damage = f"expected an architecture of the space, got {echo(line['architecture'])}"
            if damage is not None:
                raise ValueError(f"{file} is damaged ({listed}.{number}: {damage}); {remedy}")
    return result


def _is_architecture(task: Task, candidates: Sequence[object]) -> bool:
    choices = task.space.choices
    return len(candidates) == len(choices) and all(
        isinstance(candidate, int) and 0 <= candidate < len(choice.candidates)
        for candidate, choice in zip(candidates, choices, strict=True)
    )


def _read_history(history: Path) -> dict[int, list[dict[str, Any]]]:
    """Returns the recorded lines by generation; a last line that was not written to its end is left out.

    Raises:
        ValueError: If a line is not JSON.
    """
    by_generation: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for number, text_line in enumerate(whole_lines(history), start=1):
        try:
            line = json.loads(text_line)
            damage = lacking(line, {"generation": int, "architecture": list, "description": str, "fitness": NUMBER})
        except (ValueError, RecursionError) as error:
            damage = shortened(str(error))
        if damage is not None:
            raise ValueError(f"{history} is damaged at line {number} ({damage}); remove the file to search anew")
        by_generation[line["generation"]].append(line)
    return by_generation
