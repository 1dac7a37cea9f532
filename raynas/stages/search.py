"""The second stage of a run: propose architectures, evaluate them, keep the history and the best."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from raynas.capabilities import canonical_of, drawing_of
from raynas.errors import InputError
from raynas.fitness.benchmark_table import BenchmarkTable
from raynas.fitness.random_architecture import random_architectures
from raynas.fitness.remarks import ranking_remarks
from raynas.messages import echo
from raynas.options import Options
from raynas.records.record import text_of
from raynas.records.search_record import BestArchitecture, HistoryLine, RandomRecord, SearchRecord
from raynas.search import BudgetOptions, Limits, PopulationOptions, RandomSearch, SearchContext, Searcher, order
from raynas.search.alphas import DERIVE
from raynas.search_space import Architecture, as_array
from raynas.stages.alpha_outcome import alpha_outcomes, alpha_remarks, with_trajectories
from raynas.stages.context import BeforeTraining, RunContext
from raynas.stages.evaluation import Evaluation, remarks_on, runs_trained_networks
from raynas.stages.network_evaluation import evaluation_count
from raynas.stages.progress import Progress
from raynas.stages.progress_line import duration
from raynas.stages.refine import Refinement, in_refined_order, refine
from raynas.stages.task import Task, as_searched
from raynas.storage.mirror import Mirror
from raynas.storage.run_folder import append_lines, write_record, write_text
from raynas.supernet.costs import COSTS

Result: TypeAlias = dict[str, Any]
"""What ``search/result.json`` holds."""


def search(
    task: Task,
    mirror: Mirror,
    evaluating: Callable[[], AbstractContextManager[Evaluation]],
    progress: Progress,
    evaluating_again: Callable[[], AbstractContextManager[Evaluation]] | None = None,
) -> Result:
    """Returns the search's result, from its file if the search is done, else after searching, or searching on.

    Each evaluated architecture is a line of ``search/history.jsonl``, written as soon as it is known. A search that was
    killed asks its searcher for the recorded generations again, tells it the recorded fitness, and goes on from there.

    Args:
        task: Space and images.
        mirror: The run's folder, and what carries its files.
        evaluating: Opens the evaluation, if there is anything left to evaluate.
        progress: Told how far the search is.
        evaluating_again: Opens the evaluation in the task of `refined_task`, where `search.refine` asks for one.

    Raises:
        InputError: If the supernets are not trained, limits admit nothing, or the history is of another search.
        RunError: If an evaluation fails.
    """
    file = mirror.folder / "search" / "result.json"
    searched = as_searched(task)
    if file.exists():
        return _with_benchmark(searched, file, _read_result(searched, file)).content()
    searching = _Searching(searched, mirror, make_searcher(task), progress)
    with evaluating() as evaluation:
        searching.go_on(evaluation)
    searching.say_end()
    refinement = None
    if evaluating_again is not None:
        refinement = refine(task, mirror, searching.functions(), evaluating_again, progress)
    record = searching.result(refinement)
    write_record(file, record)
    return _with_benchmark(searched, file, record).content()


def _varies(options: type[Options]) -> bool:
    """Returns whether generations differ in size, so that their number is not known before."""
    return issubclass(options, BudgetOptions)


class _Searching:
    """A search that goes on from what its history records."""

    def __init__(self, task: Task, mirror: Mirror, searcher: Searcher, progress: Progress) -> None:
        """Reads the history of the run.

        Raises:
            InputError: If it is damaged.
        """
        self._began = time.perf_counter()
        self._task, self._mirror, self._searcher, self._progress = task, mirror, searcher, progress
        self._history = mirror.folder / "search" / "history.jsonl"
        self._recorded = _read_history(self._history)
        self._lines: list[HistoryLine] = []
        self._generation = 0
        self._is_appending = False
        self._best = -math.inf
        self._seconds = 0.0
        config = task.config.search
        self._fitness_name = config.fitness_name
        row = config.searcher
        self._planned = row.planned(task.space, config.options_of(row.options), len(task.config.base_seeds))
        self._generations = "" if _varies(row.options) else f"/{math.ceil(self._planned / config.population)}"

    def go_on(self, evaluation: Evaluation) -> None:
        """Carries the search to its end.

        Raises:
            InputError: If limits admit nothing, or the history is of another search.
            RunError: If an evaluation fails.
        """
        while asked := self._searcher.ask():
            architectures = sorted(asked)  # neighbours begin alike, which the evaluation of a chain makes use of
            left = architectures[self._read_recorded(architectures) :]
            if left:
                self._evaluate(left, evaluation)
            of_generation = zip(architectures, self._lines[-len(architectures) :], strict=True)
            fitness = {architecture: line.fitness for architecture, line in of_generation}
            self._searcher.tell(asked, np.array([fitness[architecture] for architecture in asked]))
            self._generation += 1

    def _read_recorded(self, architectures: Sequence[Architecture]) -> int:
        """Takes what is recorded of this generation, and returns how many lines that are.

        Raises:
            InputError: If other architectures are recorded.
        """
        recorded = self._recorded.get(self._generation, [])
        if [tuple(line.architecture) for line in recorded] != list(architectures[: len(recorded)]):
            raise InputError(
                f"{self._history} is not the history of this search: generation {self._generation} differs; remove "
                "the file to search anew"
            )
        self._lines += recorded
        self._best = max([self._best, *(line.fitness for line in recorded)])
        return len(recorded)

    def _evaluate(self, left: Sequence[Architecture], evaluation: Evaluation) -> None:
        """Evaluates architectures and records each as soon as it is known."""
        if not self._is_appending:  # what was not written to its end is dropped
            write_text(self._history, text_of(self._lines))
            self._is_appending = True
        done = 0
        for rows in evaluation.stream(left):
            evaluated = left[done : done + len(rows)]
            done += len(rows)
            seconds = round(time.perf_counter() - self._began, 6)
            new = []
            for line in describe_all(self._task, evaluated, evaluation.quantities, rows):
                new.append(HistoryLine(**{"generation": self._generation, **line, "seconds": seconds}))
            self._mirror.check()
            append_lines(self._history, new)
            self._mirror.push("search", every=10)
            self._lines += new
            self._best = max(self._best, *(line.fitness for line in new))
            figures = (f"generation {self._generation + 1}{self._generations}", f"{len(self._lines):,} evaluated")
            self._progress.show("search", len(self._lines), self._planned, self._best_figure(), *figures)

    def _best_figure(self) -> str:
        """Returns the best fitness so far, for people."""
        return f"best {self._fitness_name} {self._best:.5g}"

    def say_end(self) -> None:
        """Says what the search came to."""
        self._seconds = time.perf_counter() - self._began
        seconds = duration(self._seconds)
        evaluated = f"{len(self._lines):,} architectures in {self._generation:,} generations"
        self._progress.note(f"search: {evaluated}, {self._best_figure()}, {seconds}")

    def functions(self) -> list[dict[str, Any]]:
        """Returns the lines of different functions, the best first.

        Of cells that compute the same function only the first is among them; the order of equals is that of `order`.
        """
        lines = [line.content() for line in self._lines]
        ranking = order([tuple(line["architecture"]) for line in lines], np.array([line["fitness"] for line in lines]))
        firsts: dict[Architecture, dict[str, Any]] = {}
        for number in ranking:
            firsts.setdefault(canonical_of(self._task.space, tuple(lines[number]["architecture"])), lines[number])
        return list(firsts.values())

    def result(self, refinement: Refinement | None = None) -> SearchRecord:
        """Returns what the search ended with.

        Args:
            refinement: What evaluating the best architectures again came to, by which they are then ordered.

        Raises:
            InputError: If a space or searcher of the user's own returns what no record can hold.
        """
        task, config = self._task, self._task.config.search
        lines = [line.content() for line in self._lines]
        functions = self.functions()
        quantities = config.recorded_quantities()
        listed = functions[: config.top]
        refined: dict[str, Any] = {}
        if refinement is not None:
            listed = in_refined_order(functions, refinement)[: config.top]
            quantities.append(refinement.quantity)
            refined["refinement"] = refinement.record.content()
        findings = config.searcher.findings(self._searcher, lines)
        if "front" in findings:
            findings["front"] = [_best(task, line) for line in findings["front"]]
        outcomes = alpha_outcomes(task)
        if outcomes:
            findings["alphas"] = [outcome.content() for outcome in outcomes]
        result = {
            "fitness": "+".join(row.name for row in config.fitness_rows),
            "name": self._fitness_name,
            "quantities": quantities,
            "base_seeds": task.config.base_seeds,
            "evaluations": len(lines),
            "functions": len(functions),
            **_images_behind(task),
            "generations": self._generation,
            "seconds": round(self._seconds, 6),
            **findings,
            **refined,
            "best": [_best(task, line) for line in listed],
            "remarks": _remarks(task, listed) + alpha_remarks(outcomes),
        }
        where = f"the result of searcher {config.searcher.name} on space {type(task.space).__name__}"
        return SearchRecord.checked(result, where, "correct what the searcher or the space returns")


def _images_behind(task: Task) -> dict[str, int]:
    """Returns how many images and labels are behind each accuracy; empty of a search that runs no networks."""
    if not runs_trained_networks(task.config.search):
        return {}
    return {"evaluation_images": evaluation_count(task), "categories": task.num_categories}


def _remarks(task: Task, listed: Sequence[dict[str, Any]]) -> list[str]:
    """Returns why the numbers of the best architectures say little, a sentence each; none where they do say much."""
    return remarks_on(task, listed) + ranking_remarks(
        np.array([line["fitness"] for line in listed]), name="fitness of the best"
    )


def _with_benchmark(task: Task, file: Path, record: SearchRecord) -> SearchRecord:
    """Returns the result with benchmark accuracies of what it lists, in percent, None where the table has none.

    Where the run file names a table, the accuracies are written down too; without one, those written before stay.
    """
    table = task.table
    if table is None:
        return record
    known: dict[str, Any] = {"column": table.column, "best": _with_accuracies(table, record.best)}
    if "front" in record.model_fields_set:
        known["front"] = _with_accuracies(table, record.front)
    if record.alphas:
        known["alphas"] = with_trajectories(task, record.alphas, table)
    known["random"] = _random_records(task, table, known["best"])
    completed = record.model_copy(update=known)
    if completed != record:
        write_record(file, completed)
    return completed


def _random_records(task: Task, table: BenchmarkTable, best: Sequence[BestArchitecture]) -> list[RandomRecord]:
    """Returns what a random architecture is worth, beside the best one found."""
    search, limits = task.config.search, _limits(task)
    derivation = search.derivation if search.searcher is DERIVE else None
    found = best[0].true if best else None
    records = []
    for random in random_architectures(table, task.space, derivation, limits.admits if limits else None):
        record = RandomRecord(
            of=random.of,
            architectures=len(random.accuracies),
            mean=random.mean,
            deviation=random.deviation,
            below=None if found is None else random.share_below(found),
        )
        records.append(record)
    return records


def _with_accuracies(table: BenchmarkTable, lines: Sequence[BestArchitecture]) -> list[BestArchitecture]:
    """Returns architectures with their accuracies in a benchmark's table, None where it has none."""
    completed = []
    for line in lines:
        (accuracy,) = table.accuracies([tuple(line.architecture)]).tolist()
        completed.append(line.model_copy(update={"true": None if math.isnan(accuracy) else accuracy}))
    return completed


def make_searcher(task: Task) -> Searcher:
    """Returns the searcher of a run, at its beginning.

    Raises:
        InputError: If its settings do not go together, or it needs supernets that are not trained. Limits that admit
            nothing show when it is asked.
    """
    return _build(task, RunContext(task))


def check_search(task: Task) -> None:
    """Says before anything is trained what would keep the run's search from beginning.

    Raises:
        InputError: If its settings do not go together, or limits admit nothing.
    """
    if not task.config.search.searcher.needs:
        make_searcher(task).ask()
        return
    _build(task, BeforeTraining(task))
    one = PopulationOptions(population=1, generations=1)
    RandomSearch(task.space, one, seed=0, limits=_limits(task)).ask()


def _build(task: Task, context: SearchContext) -> Searcher:
    """Returns the searcher of a run, of what a context holds."""
    search = task.config.search
    row = search.searcher
    return row.make(task.space, task.config.seed, _limits(task), context, search.options_of(row.options))


def _limits(task: Task) -> Limits | None:
    """Returns the limits that the run file sets, None if it sets none."""
    bounds = task.config.search.bounds()
    return Limits(task.costs, **bounds) if bounds else None


def describe_all(
    task: Task, architectures: Sequence[Architecture], quantities: Sequence[str], rows: np.ndarray
) -> list[dict[str, Any]]:
    """Returns what is recorded of each architecture: itself, what it is worth, and what it costs."""
    costs = task.costs.total(as_array(architectures))
    columns = []
    for name, column in zip(task.costs.quantities, costs.T, strict=True):
        columns.append(column if COSTS.row(name).is_measured else column.astype(np.int64))
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
    drawing = drawing_of(task.space, tuple(line["architecture"]))
    return {**{key: line[key] for key in line if key not in ("generation", "seconds")}, "drawing": drawing}


def _read_result(task: Task, file: Path) -> SearchRecord:
    """Returns what a search left.

    Raises:
        InputError: If the file is damaged.
    """
    remedy = "remove it to search again from the history beside it"
    record = SearchRecord.read(file, remedy)
    for key, expected in {"name": "text", "functions": "a whole number"}.items():
        if getattr(record, key) is None:  # which the report can do without
            raise InputError(f"{file} is damaged: expected {expected} under {key}, got None; {remedy}")
    for listed, lines in {"best": record.best, "front": record.front}.items():
        for number, line in enumerate(lines):
            if not _is_architecture(task, line.architecture):
                raise InputError(
                    f"{file} is damaged: {listed}[{number}]: expected an architecture of the space under architecture, "
                    f"got {echo(line.architecture)}; {remedy}"
                )
    return record


def _is_architecture(task: Task, candidates: Sequence[int]) -> bool:
    choices = task.space.choices
    if len(candidates) != len(choices):
        return False
    pairs = zip(candidates, choices, strict=True)
    return all(0 <= candidate < len(choice.candidates) for candidate, choice in pairs)


def _read_history(history: Path) -> dict[int, list[HistoryLine]]:
    """Returns the recorded lines by generation; a last line that was not written to its end is left out.

    Raises:
        InputError: If a line is damaged.
    """
    by_generation: dict[int, list[HistoryLine]] = defaultdict(list)
    for line in HistoryLine.read_all(history, "remove the file to search anew"):
        by_generation[line.generation].append(line)
    return by_generation
