"""How well a fitness ranks a space, or a sample of it: its rank correlation with the benchmark accuracies."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from raynas.capabilities import distinct_functions
from raynas.config.search_section import MembersSection, SearchSection
from raynas.errors import InputError
from raynas.fitness import FITNESSES, mean_of
from raynas.fitness.baselines import LIVE_MULTIPLY_ADDS, baselines_of
from raynas.fitness.benchmark_table import BenchmarkTable
from raynas.fitness.rank_correlation import rank_statistics, tau_of, tau_within
from raynas.fitness.remarks import accuracy_remarks, ranking_remarks
from raynas.records.cells import csv_cell
from raynas.records.rank_record import EpochCorrelation, RankRecord, RankRowRecord, ScoresHeader, read_scores
from raynas.records.record import Number, text_of, whole_lines
from raynas.records.search_record import QuantityRecord
from raynas.search.limits import limit_keys
from raynas.search_space import Architecture, all_architectures, as_array, sample
from raynas.stages.context import RunContext
from raynas.stages.evaluation import (
    Evaluation,
    fitness_without_networks,
    label,
    remarks_on,
    runs_networks,
)
from raynas.stages.progress import Progress
from raynas.stages.progress_line import duration
from raynas.stages.search import describe_all
from raynas.stages.task import Task
from raynas.storage.mirror import Mirror
from raynas.storage.run_folder import append_text, write_bytes, write_record, write_text
from raynas.supernet.costs import COUNTED, NUM_PARAMETERS

SAMPLE, WHOLE = 1_000, 100_000
"""Architectures ranked by default: so many by a fitness that runs networks; by others all, of a space up to this."""

BOOTSTRAP = 200
"""Resamples behind an interval."""


def rank(
    task: Task,
    mirror: Mirror,
    evaluating: Callable[[], AbstractContextManager[Evaluation]],
    progress: Progress,
    *,
    size: int | None = None,
    every_epoch: bool = False,
) -> dict[str, Any]:
    """Returns how well the run's fitness ranks the space, beside the baselines, and leaves it in ``rank/``.

    Args:
        task: Space and images.
        mirror: The run's folder, and what carries its files.
        evaluating: Opens the evaluation.
        progress: Told how far it is.
        size: How many architectures to rank, the same ones for every run; by default `SAMPLE` or the whole space.
        every_epoch: Whether to rank after every epoch of training too, by a fitness that is known then.

    Raises:
        InputError: If something that this needs is missing (trained supernets, a table for `every_epoch`), or there is
            nothing to order in a sample of one.
        RunError: If an evaluation fails.
    """
    search, table = task.config.search, task.table
    _check_request(search, table, size, every_epoch)
    began = time.perf_counter()
    architectures = _chosen(task, size)
    with evaluating() as evaluation:
        rows = _scores(task, mirror, evaluation, architectures, progress)
    accuracies = None if table is None else table.accuracies(architectures)
    firsts = distinct_functions(task.space, architectures)
    ranked = _rows(task, architectures, rows[:, 0], accuracies, firsts)
    epochs = None if accuracies is None or not every_epoch else _by_epoch(task, architectures, accuracies, progress)
    lines = describe_all(task, architectures, evaluation.quantities, rows)
    record = RankRecord(
        label=label(search),
        fitness="+".join(row.name for row in search.fitness_rows),
        quantities=[QuantityRecord(**quantity) for quantity in search.recorded_quantities()],
        table=table.path.name if table else None,
        column=table.column if table else None,
        cells=len(architectures),
        functions=None if accuracies is None else len(firsts),
        space=task.space.num_architectures,
        known=len(table) if table else None,
        base_seeds=task.config.base_seeds,
        bootstrap=BOOTSTRAP,
        rows=ranked,
        remarks=_remarks(task, lines, rows[:, 0], accuracies),
        seconds=round(time.perf_counter() - began, 3),
    )
    if epochs is not None:
        record = record.model_copy(update={"epochs": epochs})
    tau = ranked[0].tau
    figure = "" if table is None else f", tau-b {'undefined' if tau is None else f'{tau:.3f}'}"
    progress.note(f"rank: {len(architectures):,} architectures{figure}, {duration(record.seconds)}")
    _write(mirror, record, lines, accuracies, rows[:, 0])
    return record.content()


def _write(
    mirror: Mirror,
    record: RankRecord,
    lines: Sequence[dict[str, Any]],
    accuracies: np.ndarray | None,
    fitness: np.ndarray,
) -> None:
    """Writes the files of a ranking: table, vector and record."""
    mirror.check()
    folder = mirror.folder / "rank"
    _write_scores(folder / f"{record.label}.csv", lines, accuracies)
    _write_vector(folder / f"{record.label}.npy", fitness, record.space)
    write_record(folder / f"{record.label}.json", record)
    mirror.push("rank")


def _check_request(search: SearchSection, table: BenchmarkTable | None, size: int | None, every_epoch: bool) -> None:
    """Checks what the command line asks for.

    Raises:
        InputError: If it cannot be had.
    """
    if size is not None and size < 2:
        raise InputError(f"--sample: expected 2 or more, got {size}")
    if not every_epoch:
        return
    if len(search.fitnesses) > 1 or search.fitness_rows[0].of_sums is None:
        known = [row.name for row in FITNESSES.rows().values() if row.of_sums is not None]
        raise InputError(
            f"--every-epoch: the weights of every epoch are not kept, only what {' and '.join(known)} need, got "
            f"search.fitness: {search.fitness_name}; give --set search.fitness={known[0]}"
        )
    if table is None:
        raise InputError("--every-epoch: needs benchmark accuracies to rank against; give --set benchmark.path=FILE")


def _rows(
    task: Task,
    architectures: Sequence[Architecture],
    fitness: np.ndarray,
    accuracies: np.ndarray | None,
    firsts: np.ndarray,
) -> list[RankRowRecord]:
    """Returns how well the fitness and the baselines order the benchmark accuracies; without any, the costs.

    Args:
        task: The space and its costs.
        architectures: Those that are ranked.
        fitness: Their fitness, ``(n,)``.
        accuracies: Their benchmark accuracies, ``(n,)``; None without a benchmark.
        firsts: The positions of the first architecture of every function.
    """
    name = task.config.search.fitness_name
    costs = task.costs.total(as_array(architectures))
    if accuracies is None:
        row: dict[str, Any] = {"name": name}
        for cost in COUNTED:
            of_cost = costs[:, task.costs.quantities.index(cost)]
            key = limit_keys(cost)[0].replace("max", "tau")
            row[key] = rank_statistics(fitness, of_cost, bootstrap=0).tau
        return [RankRowRecord(**row)]
    ranked = {name: fitness}
    for baseline in baselines_of(task.space):
        ranked[baseline.name] = fitness_without_networks(task, baseline)(architectures)[:, 0]
    sizes = costs[:, task.costs.quantities.index(NUM_PARAMETERS.name)]
    live = fitness_without_networks(task, LIVE_MULTIPLY_ADDS)(architectures)[:, 0]
    columns = {column: table.accuracies(architectures) for column, table in task.further_tables.items()}
    rows = []
    for name, values in ranked.items():
        statistics = rank_statistics(values, accuracies, sizes=sizes, bootstrap=BOOTSTRAP)
        further: dict[str, Any] = {
            "tau_within_live": tau_within(values, accuracies, live),
            "tau_distinct": tau_of(values[firsts], accuracies[firsts]),
        }
        if columns:
            further["tau_columns"] = {column: _tau_of_known(values, known) for column, known in columns.items()}
        rows.append(RankRowRecord(name=name, **further, **asdict(statistics)))
    return rows


def _tau_of_known(fitness: np.ndarray, accuracies: np.ndarray) -> float | None:
    """Returns tau-b over the architectures whose accuracy is not NaN."""
    is_known = ~np.isnan(accuracies)
    return tau_of(fitness[is_known], accuracies[is_known])


def _remarks(
    task: Task, lines: Sequence[dict[str, Any]], fitness: np.ndarray, accuracies: np.ndarray | None
) -> list[str]:
    """Returns why the ranking says little, a sentence each; none where it does say much."""
    remarks = ranking_remarks(fitness, accuracies, task.config.search.fitness_name)
    remarks += remarks_on(task, [lines[int(np.argmax(fitness))]])
    if accuracies is not None:
        remarks += accuracy_remarks([float(accuracies.max())], task.dataset.num_classes, None, "benchmark accuracy")
    return remarks


def _chosen(task: Task, size: int | None) -> list[Architecture]:
    """Returns the architectures to rank, in lexicographic order; a sample is the same one for every run."""
    space, table = task.space, task.table
    if size is None and runs_networks(task.config.search):
        size = SAMPLE
    if table is None and space.size > WHOLE:
        rng = np.random.default_rng(0)
        sampled = {sample(space, rng) for _ in range(size or WHOLE)}
        return sorted(sampled)
    every = table.architectures if table is not None else all_architectures(space)
    if size is not None and size < len(every):
        every = every[np.sort(np.random.default_rng(0).permutation(len(every))[:size])]
    return [tuple(architecture) for architecture in every.tolist()]


def _scores(
    task: Task, mirror: Mirror, evaluation: Evaluation, architectures: Sequence[Architecture], progress: Progress
) -> np.ndarray:
    """Returns what each architecture is worth, ``(n, len(evaluation.quantities))``.

    Scores of networks take time: they are kept as they come, and a second call with the same settings reads them.
    """
    search = task.config.search
    if not runs_networks(search):
        return np.concatenate(list(evaluation.stream(architectures)))
    file = mirror.folder / "rank" / f"{label(search)}.scores.jsonl"
    about = {
        "quantities": list(evaluation.quantities),
        "architectures": len(architectures),
        "base_seeds": task.config.base_seeds,
        "fitness": search.fitness,
        **_settings(search),
    }
    header = ScoresHeader(**about)
    known = _read_scores(file, header, _default_settings(search))[: len(architectures)]
    write_text(file, text_of([header]) + _text_of_scores(known))
    if len(known) == len(architectures):
        return np.array(known)
    for rows in evaluation.stream(architectures[len(known) :]):
        mirror.check()
        append_text(file, _text_of_scores(rows.tolist()))
        mirror.push("rank", every=10)
        known += rows.tolist()
        best = max(row[0] for row in known)
        figures = (f"best {search.fitness_name} {best:.5g}", f"{len(known):,} of {len(architectures):,}")
        progress.show("ranking", len(known), len(architectures), *figures)
    return np.array(known)


def _settings(search: SearchSection) -> dict[str, Any]:
    """Returns the options of all fitnesses: those that raynas brings along, and those that the run file names."""
    settings: dict[str, Any] = {"combine": search.combine}
    for row in (*FITNESSES.rows().values(), *search.fitness_rows):
        settings.update(search.options_of(row.options).model_dump(include=set(row.options.model_fields)))
    return settings


def _default_settings(search: SearchSection) -> dict[str, Any]:
    """Returns the defaults of those options: scores of an earlier version do not state the options that are newer."""
    defaults: dict[str, Any] = {"combine": MembersSection.model_fields["combine"].default}
    for row in (*FITNESSES.rows().values(), *search.fitness_rows):
        for key, option in row.options.model_fields.items():
            defaults[key] = option.get_default(call_default_factory=True)
    return defaults


def _read_scores(file: Path, header: ScoresHeader, defaults: Mapping[str, Any] | None = None) -> list[list[Number]]:
    """Returns the scores that an earlier call left under the same settings, up to the first line that is damaged.

    Args:
        file: The scores.
        header: The settings.
        defaults: Settings that the file need not state.
    """
    lines = whole_lines(file)
    there = ScoresHeader.read_one(lines[0]) if lines else None
    if there is None or {**(defaults or {}), **there.content()} != json.loads(text_of([header])):
        return []
    return read_scores(lines[1:], len(header.quantities))


def _text_of_scores(scores: Sequence[Sequence[Number]]) -> str:
    """Returns the lines of a file of scores, without its header."""
    return "".join(f"{json.dumps(row)}\n" for row in scores)


def _by_epoch(
    task: Task, architectures: Sequence[Architecture], accuracies: np.ndarray, progress: Progress
) -> list[EpochCorrelation]:
    """Returns how well the fitness ranks after each epoch, from the sums that training recorded.

    Raises:
        InputError: If training recorded none.
    """
    context, definition = RunContext(task), task.config.search.angle_definition
    row = task.config.search.fitness_rows[0]
    make, options = row.of_sums, task.config.search.options_of(row.options)
    assert make is not None
    tables = [context.recorded_sums(base_seed, definition) for base_seed in context.base_seeds]
    epochs = sorted(set.intersection(*map(set, tables)))
    if not epochs:
        raise InputError(
            f"--every-epoch: {task.config.supernets} holds no angle ({definition}) of every epoch; train this run anew"
        )
    correlations = []
    for epoch in epochs:
        fitness = mean_of([make(task.space, of_seed[epoch], options) for of_seed in tables])(architectures)[:, 0]
        statistics = rank_statistics(fitness, accuracies, bootstrap=0)
        progress.show("ranking every epoch", epoch, epochs[-1], f"tau {statistics.tau or 0.0:.3f}")
        values: dict[str, Any] = {"epoch": epoch, "tau": statistics.tau, "rho": statistics.rho, "top": statistics.top}
        correlations.append(EpochCorrelation(**values))
    return correlations


def _write_vector(file: Path, fitness: np.ndarray, of_space: int) -> None:
    """Writes the fitness of the whole space, float64; of a part of it, removes what an earlier ranking left."""
    if len(fitness) < of_space:
        file.unlink(missing_ok=True)
        return
    out = io.BytesIO()
    np.save(out, fitness.astype(np.float64))
    write_bytes(file, out.getvalue())


def _write_scores(file: Path, lines: Sequence[dict[str, Any]], accuracies: np.ndarray | None) -> None:
    """Writes one row for each architecture."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*lines[0], "true"])
    for number, line in enumerate(lines):
        joined = "-".join(map(str, line["architecture"]))
        accuracy = "" if accuracies is None else accuracies[number].item()
        writer.writerow([joined, *map(csv_cell, list(line.values())[1:]), accuracy])
    write_text(file, out.getvalue())
